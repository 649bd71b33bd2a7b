//! A place to work on a clip: a directory of its own that is gone afterwards, the clip's source, and ffmpeg.
//!
//! A process that is killed leaves its directories behind. Whoever lives holds a lock on each of its own, which ends with
//! the process whatever ends it; a function that starts removes those that nobody holds. Numbers of processes would not
//! do: containers that share a place for temporary files count for themselves.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Video;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::encode;
use toktik_media::manifest::{Part, Rendition};
use toktik_media::process::{Budget, Job, Limits, Output, Progress, RunError, Runner, Tool};
use toktik_media::settings::Settings;
use toktik_objects::Objects;

use crate::function::Failure;

/// What whoever runs the function can do about a full disk.
const FULL: &str = "there is no room left to work on the clip: give the directory for it (TOKTIK_SCRATCH_DIR) more, on \
                    Lambda as ephemeral storage";

/// The name of the source in the directory; ffmpeg is told the format, so it needs no ending.
pub const SOURCE: &str = "source";

/// What their directories' names begin with. Whatever else lies beside them is not ours to remove.
const PREFIX: &str = "toktik-workshop-";

/// Opens workshops. Made once when a function starts, so that a machine without ffmpeg is noticed there.
#[derive(Clone, Debug)]
pub struct Workshops {
    pub runner: Runner,
    settings: Settings,
}

pub struct Workshop {
    dir: Held,
    runner: Runner,
    budget: Budget,
    /// Over all threads of one child.
    cpu: Duration,
    /// How far other work goes before it.
    nice: i32,
    cancel: CancellationToken,
}

impl Workshops {
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let runner = Runner::new(settings).context("setting up ffmpeg")?;
        let scratch = settings.scratch();
        if let Err(error) = sweep(&scratch) {
            tracing::warn!(%error, path = %scratch.display(), "could not look for what killed processes left");
        }
        Ok(Self {
            runner,
            settings: settings.clone(),
        })
    }

    /// A fresh directory, with this much time for everything that is run in it.
    pub fn open(&self, time: Duration, cancel: &CancellationToken) -> anyhow::Result<Workshop> {
        let scratch = self.settings.scratch();
        Ok(Workshop {
            dir: Held::new(&scratch).with_context(|| format!("making a directory in {}", scratch.display()))?,
            runner: self.runner.clone(),
            budget: Budget::new(time),
            cpu: all_cores_for(time),
            nice: 0,
            cancel: cancel.clone(),
        })
    }
}

/// The wall clock ends a child first; this is for one that has outlived whoever looks at the clock.
fn all_cores_for(time: Duration) -> Duration {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    time.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX))
        .max(Limits::default().cpu)
}

/// For what completes a clip that can be watched already, or that nobody waits for.
pub const LATER: i32 = 19;

impl Workshop {
    /// The same, where other work goes so far before it.
    #[must_use]
    pub fn behind(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Brings exactly the accepted bytes here.
    pub async fn fetch_source(&self, objects: &Objects, video: &Video) -> Result<PathBuf, Failure> {
        let file = self.file(SOURCE);
        let etag = video.source_etag.as_deref().unwrap_or_default();
        match objects.download(&video.upload.key, etag, &file).await {
            Ok(()) => Ok(file),
            Err(toktik_objects::Error::Missing(key)) => Err(Failure::give_up(
                "source_missing",
                anyhow!("the uploaded file {key} is gone"),
            )),
            Err(error) => Err(with_advice(error.into()).into()),
        }
    }

    /// Brings a rendition here: its init and media segments, one after the other. All units have the same init segment,
    /// unless they were made by different versions of the encoder.
    pub async fn fetch_rendition(&self, objects: &Objects, rendition: &Rendition, name: &str) -> Result<(), Failure> {
        let mut inits = rendition.parts.iter().map(|part| part.init_hash);
        let first = inits.next();
        if inits.any(|init| Some(init) != first) {
            return Err(Failure::give_up(
                "different_encoders",
                anyhow!("units differ in their init segments"),
            ));
        }
        let init = rendition.parts.first().map(Part::init_key);
        let segments = rendition
            .parts
            .iter()
            .flat_map(|part| (0..part.segments.len()).map(|index| part.segment_key(index)));
        let keys: Vec<String> = init.into_iter().chain(segments).collect();
        let fetched = objects.concatenate(&keys, &self.file(name)).await;
        Ok(fetched.map_err(anyhow::Error::from)?)
    }

    pub async fn ffmpeg(&self, args: Vec<String>, progress: impl FnMut(Progress) + Send) -> Result<Output, RunError> {
        let job = Job {
            tool: Tool::Ffmpeg,
            args,
            dir: self.path(),
            limits: Limits {
                cpu: self.cpu,
                nice: self.nice,
                ..Limits::default()
            },
            budget: &self.budget,
            cancel: &self.cancel,
        };
        self.runner.run(job, progress).await
    }

    /// Runs that build on each other, until one fails.
    pub async fn ffmpeg_each(
        &self,
        runs: Vec<Vec<String>>,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<(), RunError> {
        for args in runs {
            self.ffmpeg(args, &mut progress).await?;
        }
        Ok(())
    }
}

/// A directory that others can see is in use.
struct Held {
    // Fields go in this order: nobody is to find the directory unheld while it is being removed.
    dir: TempDir,
    _lock: File,
}

impl Held {
    fn new(scratch: &Path) -> io::Result<Self> {
        loop {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(scratch)?;
            // Somebody who sweeps right now may have been faster: then this one is theirs to remove.
            if let Some(lock) = lock(dir.path())? {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }
}

/// None for a directory that somebody else holds, or that is gone. Names are never used twice, so that one which still
/// lies there once we have the lock is the one we locked.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => Ok(dir.exists().then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the workshops of processes that are no more.
fn sweep(scratch: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        match remove_if_abandoned(&path) {
            Ok(true) => tracing::info!(path = %path.display(), "removed what a killed process left"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove what a killed process left"),
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> io::Result<bool> {
    let Some(_lock) = lock(path)? else {
        return Ok(false);
    };
    std::fs::remove_dir_all(path)?;
    Ok(true)
}

fn with_advice(error: anyhow::Error) -> anyhow::Error {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if causes.any(|cause| cause.kind() == io::ErrorKind::StorageFull) {
        return error.context(FULL);
    }
    error
}

/// What a clip is told of which hardly anything can be decoded.
pub fn corrupt() -> Rejection {
    Rejection::new(
        RejectionCode::Corrupt,
        "The file is damaged: less than half of the picture could be decoded.",
    )
}

/// Whether ffmpeg failed because of what it was given to decode.
pub fn is_damage(error: &RunError) -> bool {
    const COMPLAINTS: [&str; 4] = [
        "Invalid data found",
        "Error while decoding",
        "Cannot determine format of input",
        "Output file is empty",
    ];
    match error {
        RunError::Failed { code, stderr_tail } => {
            *code == encode::CORRUPT || COMPLAINTS.iter().any(|complaint| stderr_tail.contains(complaint))
        }
        _ => false,
    }
}

/// A clip that exhausts its limits would do so again; a sandbox or a disk that is missing may be mended.
impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::Cancelled => Self::retry_after(Duration::ZERO, error),
            RunError::Spawn(_) | RunError::Sandbox(_) => Self::Retry {
                after: None,
                reason: error.into(),
            },
            RunError::Failed { stderr_tail, .. } if stderr_tail.contains("No space left") => Self::Retry {
                after: None,
                reason: anyhow::Error::from(error).context(FULL),
            },
            RunError::TimedOut => Self::give_up("timed_out", error),
            RunError::OutOfMemory { .. } => Self::give_up("out_of_memory", error),
            RunError::Killed { .. } | RunError::Failed { .. } | RunError::OutputTooLarge { .. } => {
                Self::give_up("ffmpeg_failed", error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(scratch: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(scratch).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_workshops_that_nobody_holds_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let held = Held::new(scratch.path()).unwrap();
        let abandoned = scratch.path().join(format!("{PREFIX}dead"));
        std::fs::create_dir_all(abandoned.join("720p")).unwrap();
        std::fs::write(abandoned.join("720p/init.mp4"), "x").unwrap();
        std::fs::create_dir(scratch.path().join("toktik-main")).unwrap();

        sweep(scratch.path()).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(left(scratch.path()), ["toktik-main".to_owned(), name(held.dir.path())]);
        drop(held);
        assert_eq!(left(scratch.path()), ["toktik-main"]);
    }

    #[test]
    fn a_full_disk_comes_with_advice() {
        let failed = |kind: io::ErrorKind| Err::<(), _>(io::Error::from(kind)).context("writing a scratch file");
        let told = |kind| format!("{:#}", with_advice(failed(kind).unwrap_err()));
        let full = told(io::ErrorKind::StorageFull);
        assert!(
            full.contains("TOKTIK_SCRATCH_DIR") && full.contains("writing a scratch file"),
            "{full}"
        );
        assert!(!told(io::ErrorKind::PermissionDenied).contains("TOKTIK_SCRATCH_DIR"));
    }

    #[test]
    fn a_directory_that_was_swept_while_it_was_made_is_not_used() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join(format!("{PREFIX}new"));
        std::fs::create_dir(&dir).unwrap();
        let sweeping = lock(&dir).unwrap();
        assert!(sweeping.is_some() && lock(&dir).unwrap().is_none());
        std::fs::remove_dir(&dir).unwrap();
        drop(sweeping);
        assert!(lock(&dir).unwrap().is_none());
    }
}
