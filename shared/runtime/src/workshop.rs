//! A place to work on a clip: a directory of its own that is gone afterwards, the clip's source, and ffmpeg.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Video;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::encode;
use toktik_media::process::{Budget, Job, Limits, Output, Progress, RunError, Runner, Tool};
use toktik_media::settings::Settings;
use toktik_objects::Objects;

use crate::function::Failure;

/// The name of the source in the directory; ffmpeg is told the format, so it needs no ending.
pub const SOURCE: &str = "source";

/// Opens workshops. Made once when a function starts, so that a machine without ffmpeg is noticed there.
#[derive(Clone, Debug)]
pub struct Workshops {
    pub runner: Runner,
    settings: Settings,
}

pub struct Workshop {
    dir: TempDir,
    runner: Runner,
    budget: Budget,
    cancel: CancellationToken,
}

impl Workshops {
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let runner = Runner::new(settings).context("setting up ffmpeg")?;
        Ok(Self {
            runner,
            settings: settings.clone(),
        })
    }

    /// A fresh directory, with this much time for everything that is run in it.
    pub fn open(&self, time: Duration, cancel: &CancellationToken) -> anyhow::Result<Workshop> {
        let scratch = self.settings.scratch();
        let dir = tempfile::Builder::new().prefix("toktik-").tempdir_in(&scratch);
        Ok(Workshop {
            dir: dir.with_context(|| format!("making a directory in {}", scratch.display()))?,
            runner: self.runner.clone(),
            budget: Budget::new(time),
            cancel: cancel.clone(),
        })
    }
}

impl Workshop {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
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
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }

    pub async fn ffmpeg(&self, args: Vec<String>, progress: impl FnMut(Progress) + Send) -> Result<Output, RunError> {
        let job = Job {
            tool: Tool::Ffmpeg,
            args,
            dir: self.path(),
            limits: Limits::default(),
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
                reason: error.into(),
            },
            RunError::TimedOut => Self::give_up("timed_out", error),
            RunError::OutOfMemory { .. } => Self::give_up("out_of_memory", error),
            RunError::Killed { .. } | RunError::Failed { .. } | RunError::OutputTooLarge { .. } => {
                Self::give_up("ffmpeg_failed", error)
            }
        }
    }
}
