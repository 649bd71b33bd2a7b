//! A place to work on a clip: a directory of its own that is gone afterwards, the clip's source, and ffmpeg.

mod scratch;
mod sources;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Video;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::encode;
use toktik_media::manifest::{Part, Rendition};
use toktik_media::process::{Budget, Job, Limits, Output, Progress, RunError, Runner, Tool};
use toktik_media::settings::Settings;
use toktik_objects::Objects;

use self::scratch::{Held, sweep};
use self::sources::{Source, Version};
use crate::context::Context;
use crate::function::Failure;

pub use self::sources::Sources;

/// What whoever runs the function can do about a full disk.
const FULL: &str = "there is no room left to work on the clip: give the directory for it (TOKTIK_SCRATCH_DIR) more, on \
                    Lambda as ephemeral storage";

/// What ffmpeg calls the source; it is told the format, so the name needs no ending.
pub const SOURCE: &str = "source";

/// Opens workshops. Made once when a function starts, so that a machine without ffmpeg is noticed there.
#[derive(Clone, Debug)]
pub struct Workshops {
    pub runner: Runner,
    settings: Settings,
}

pub struct Workshop {
    dir: Held,
    /// Where it is made, and directories like it.
    scratch: PathBuf,
    source: OnceLock<Source>,
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
            scratch,
            source: OnceLock::new(),
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
        self.dir.path()
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

    /// Lets ffmpeg read exactly the accepted bytes, as [`SOURCE`]. All workshops of this process that are open at the same
    /// time have the same file, which no ffmpeg can change. The name is a link to it: what is made goes by other names.
    pub async fn fetch_source(&self, context: &Context, video: &Video) -> Result<(), Failure> {
        let version = Version {
            key: video.upload.key.clone(),
            etag: etag(video).to_owned(),
        };
        let download = |file: PathBuf| async move {
            context.objects.download(&video.upload.key, etag(video), &file).await?;
            tracing::debug!(path = %file.display(), "downloaded the source");
            Ok(())
        };
        let fetched = context.sources.fetch(version, &self.scratch, download).await;
        let source = fetched.map_err(not_fetched)?;
        std::os::unix::fs::symlink(source.file(), self.file(SOURCE)).context("naming the source")?;
        // A second one would have found the name taken.
        self.source.set(source).ok();
        Ok(())
    }

    /// Brings exactly the accepted bytes here, as a file that may be changed.
    pub async fn fetch_copy(&self, objects: &Objects, video: &Video) -> Result<PathBuf, Failure> {
        let file = self.file(SOURCE);
        let fetched = objects.download(&video.upload.key, etag(video), &file).await;
        fetched.map_err(not_fetched)?;
        Ok(file)
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
            reads: self.source.get().map(Source::file),
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

fn etag(video: &Video) -> &str {
    video.source_etag.as_deref().unwrap_or_default()
}

fn not_fetched(error: toktik_objects::Error) -> Failure {
    match error {
        toktik_objects::Error::Missing(key) => {
            Failure::give_up("source_missing", anyhow!("the uploaded file {key} is gone"))
        }
        error @ toktik_objects::Error::Store(_) => with_advice(error.into()).into(),
    }
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

    #[test]
    fn a_source_that_is_gone_is_given_up_and_everything_else_tried_again() {
        let gone = not_fetched(toktik_objects::Error::Missing("uploads/a".to_owned()));
        let code = |failure: &Failure| match failure {
            Failure::GiveUp { code, .. } => Some(*code),
            Failure::Retry { .. } => None,
        };
        assert_eq!(code(&gone), Some("source_missing"));
        let full = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull)).context("writing a scratch file");
        let Failure::Retry { reason, .. } = not_fetched(full.into()) else {
            panic!("room may be made");
        };
        assert!(format!("{reason:#}").contains("TOKTIK_SCRATCH_DIR"), "{reason:#}");
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
}
