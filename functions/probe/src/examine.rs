//! Looks at the accepted bytes and decides.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Video;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::plan::{self, Options, Plan};
use toktik_media::probe::{self, ProbeError, Request};
use toktik_media::process::Limits;
use toktik_media::settings::Settings;
use toktik_runtime::workshop::Workshops;
use toktik_runtime::{Context, Failure};

/// A clip of a minute takes a tenth of a second.
const TIME: Duration = Duration::from_mins(1);
/// The same on every machine: an encoder's output depends on it, and a repeat may run elsewhere.
const THREADS: u32 = 2;

#[derive(Debug)]
pub enum Finding {
    Playable(Box<Plan>),
    Refused(Rejection),
}

/// Looks at a clip's bytes.
#[async_trait]
pub trait Examiner: Send + Sync + 'static {
    async fn examine(&self, video: &Video, cancel: &CancellationToken) -> Result<Finding, Failure>;
}

pub(crate) struct Sandbox {
    pub(crate) context: Context,
    pub(crate) workshops: Workshops,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Examiner for Sandbox {
    async fn examine(&self, video: &Video, cancel: &CancellationToken) -> Result<Finding, Failure> {
        let objects = &self.context.objects;
        let head = objects.head(&video.upload.key).await.map_err(anyhow::Error::from)?;
        if let Some(rejection) = head.and_then(|head| of_wrong_size(head.size, video.upload.size)) {
            return Ok(Finding::Refused(rejection));
        }
        let workshop = self.workshops.open(TIME, cancel)?;
        let file = workshop.fetch_source(objects, video).await?;
        let request = Request {
            file: &file,
            dir: workshop.path(),
            max_duration: self.settings.max_duration,
            limits: Limits::default(),
            budget: workshop.budget(),
            cancel,
        };
        match probe::probe(workshop.runner(), request).await {
            Ok(source) => {
                let options = Options {
                    segment_seconds: self.settings.segment_seconds,
                    threads: THREADS,
                };
                Ok(Finding::Playable(Box::new(plan::plan(&source, &options))))
            }
            Err(ProbeError::Rejected(rejection)) => Ok(Finding::Refused(rejection)),
            Err(ProbeError::Failed(error)) => Err(error.into()),
        }
    }
}

/// The store was told to take exactly what was declared; not every store listens.
fn of_wrong_size(size: u64, declared: u64) -> Option<Rejection> {
    if size == 0 {
        let message = "The file is empty: there is nothing in it to play.";
        return Some(Rejection::new(RejectionCode::Empty, message));
    }
    if size > declared {
        let message = "The file is larger than was announced.";
        return Some(Rejection::new(RejectionCode::TooLarge, message));
    }
    None
}
