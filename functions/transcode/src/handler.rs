//! Runs ffmpeg once for a unit and stores what came out.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_catalog::videos::Video;
use toktik_events::payload::Rejected;
use toktik_events::{Function, Message, Payload, Rejection, RejectionCode};
use toktik_media::encode;
use toktik_media::plan::{Plan, Unit};
use toktik_media::settings::Settings;
use toktik_runtime::step::Gauge;
use toktik_runtime::workshop::{SOURCE, Workshop, Workshops, is_damage};
use toktik_runtime::{Context, Failure};

use crate::segments;

/// Wall-clock time for one unit: the longest that any of our hosts allows.
const TIME: Duration = Duration::from_mins(15);

pub(crate) struct Handler {
    context: Context,
    workshops: Workshops,
}

#[async_trait]
impl toktik_runtime::Handler for Handler {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        let Payload::UnitRequested(step) = &message.payload else {
            return Ok(());
        };
        let work = |lease, gauge| self.work(lease, gauge, cancel);
        self.context
            .complete_step(Function::Transcode, step, cancel, work)
            .await
    }
}

impl Handler {
    pub(crate) fn new(settings: &Settings, context: &Context) -> anyhow::Result<Self> {
        let workshops = Workshops::new(settings)?;
        Ok(Self {
            context: context.clone(),
            workshops,
        })
    }

    async fn work(&self, lease: Lease, gauge: Gauge, cancel: &CancellationToken) -> Result<Value, Failure> {
        let (video, plan) = self.context.planned(&lease).await?;
        let unknown = || Failure::give_up("unknown_unit", anyhow!("the plan has no unit {}", lease.unit));
        let unit = plan
            .units
            .iter()
            .find(|unit| unit.id == lease.unit)
            .ok_or_else(unknown)?;
        let workshop = self.workshops.open(TIME, cancel)?;
        workshop.fetch_source(&self.context.objects, &video).await?;
        self.encode(&workshop, &video, &plan, unit, &gauge).await?;
        let made = segments::store(&self.context.objects, &workshop, &plan, unit, &lease).await?;
        Ok(serde_json::to_value(made).context("recording what was made")?)
    }

    async fn encode(
        &self,
        workshop: &Workshop,
        video: &Video,
        plan: &Plan,
        unit: &Unit,
        gauge: &Gauge,
    ) -> Result<(), Failure> {
        let duration = plan.duration();
        let args = encode::unit_args(plan, unit, SOURCE);
        let run = workshop.ffmpeg(args, |progress| {
            gauge.set(progress.seconds.unwrap_or(0.0) / duration);
        });
        match run.await {
            Ok(_) => Ok(()),
            Err(error) if is_damage(&error) => {
                tracing::info!(error = %error, "more than half of the clip does not decode");
                self.reject(video).await?;
                Err(Failure::give_up("corrupt", error))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn reject(&self, video: &Video) -> Result<(), Failure> {
        let rejection = Rejection::new(
            RejectionCode::Corrupt,
            "The file is damaged: less than half of the picture could be decoded.",
        );
        if !self.context.catalog.reject(video, &rejection).await? {
            return Ok(());
        }
        let rejected = Rejected {
            video_id: video.id,
            generation: video.generation,
            rejection,
        };
        let message = Message::new(
            Function::Transcode,
            self.context.clock.now(),
            Payload::Rejected(rejected),
        );
        self.context.publisher.publish(&message).await?;
        self.context.drop_objects(video).await?;
        Ok(())
    }
}
