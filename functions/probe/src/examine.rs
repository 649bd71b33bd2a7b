//! Looks at the accepted bytes and decides.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::videos::Video;
use toktik_events::{Rejection, RejectionCode};
use toktik_media::cost::Host;
use toktik_media::plan::{self, Options, Plan};
use toktik_media::probe::{self, ProbeError, Request};
use toktik_media::process::Limits;
use toktik_media::settings::{Settings, Units};
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
    pub(crate) units: Units,
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
        let file = workshop.fetch_copy(objects, video).await?;
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
                let plan = plan::plan(&source, &self.options());
                warn_of_long_units(&plan, self.units.host());
                Ok(Finding::Playable(Box::new(plan)))
            }
            Err(ProbeError::Rejected(rejection)) => Ok(Finding::Refused(rejection)),
            Err(ProbeError::Failed(error)) => Err(error.into()),
        }
    }
}

impl Sandbox {
    fn options(&self) -> Options {
        Options {
            segment_seconds: self.settings.segment_seconds,
            threads: THREADS,
            host: self.units.host(),
            unit_seconds: self.units.unit_seconds,
            parallelism: self.units.transcode_parallelism,
        }
    }
}

/// The clip is taken all the same: what was reckoned for the worst may go well, and nothing is wrong with the clip. If it
/// does not go well, the unit is given up in time, and the clip fails.
fn warn_of_long_units(plan: &Plan, host: Host) {
    let longest = plan.units.iter().filter_map(|unit| plan.expected(unit, host));
    let longest = longest.fold(0.0, f64::max);
    if longest > host.share() {
        tracing::warn!(
            seconds = longest,
            deadline = host.deadline,
            "a unit of this clip may take longer than half of the deadline"
        );
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
