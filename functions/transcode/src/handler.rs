//! Runs ffmpeg once for a unit and stores what came out.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_events::{Function, Message, Payload};
use toktik_media::encode;
use toktik_media::settings::Settings;
use toktik_runtime::step::{Gauge, Outcome};
use toktik_runtime::workshop::{SOURCE, Workshops, corrupt, is_damage};
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

    async fn work(&self, lease: Lease, gauge: Gauge, cancel: &CancellationToken) -> Result<Outcome, Failure> {
        let (video, plan) = self.context.planned(&lease).await?;
        let unknown = || Failure::give_up("unknown_unit", anyhow!("the plan has no unit {}", lease.unit));
        let unit = plan
            .units
            .iter()
            .find(|unit| unit.id == lease.unit)
            .ok_or_else(unknown)?;
        let workshop = self.workshops.open(TIME, cancel)?;
        workshop.fetch_source(&self.context.objects, &video).await?;
        let duration = plan.duration();
        let runs = workshop.ffmpeg_each(encode::unit_runs(&plan, unit, SOURCE), |progress| {
            gauge.set(progress.seconds.unwrap_or(0.0) / duration);
        });
        match runs.await {
            Ok(()) => {}
            Err(error) if is_damage(&error) => {
                tracing::info!(%error, "more than half of the clip does not decode");
                return Ok(Outcome::Refused(corrupt()));
            }
            Err(error) => return Err(error.into()),
        }
        let made = segments::store(&self.context.objects, &workshop, &plan, unit, &lease).await?;
        let Some(made) = made else {
            tracing::info!("nothing of the clip decodes");
            return Ok(Outcome::Refused(corrupt()));
        };
        Ok(Outcome::Made(
            serde_json::to_value(made).context("recording what was made")?,
        ))
    }
}
