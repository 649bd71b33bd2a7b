//! Runs ffmpeg for a unit, as often as it takes, and stores what came out.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_catalog::results;
use toktik_events::{Function, Message, Payload};
use toktik_media::encode::{self, Reading};
use toktik_media::plan::{Plan, Unit, Work};
use toktik_media::process::RunError;
use toktik_runtime::step::{self, Gauge, Outcome};
use toktik_runtime::workshop::{SOURCE, Workshop, Workshops, corrupt, is_damage};
use toktik_runtime::{Context, Failure};

use crate::Settings;
use crate::segments::{self, Cuttings};

pub(crate) struct Handler {
    context: Context,
    workshops: Workshops,
    /// Wall-clock time for ffmpeg in one run of a unit.
    time: Duration,
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
        let workshops = Workshops::new(&settings.media)?;
        Ok(Self {
            context: context.clone(),
            workshops,
            time: settings.units.time(),
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
        let workshop = self.workshops.open(self.time, cancel)?;
        workshop.fetch_source(&self.context.objects, &video).await?;
        let bench = Bench {
            plan: &plan,
            unit,
            workshop: &workshop,
            gauge: &gauge,
        };
        let Some(cuttings) = bench.make().await? else {
            tracing::info!("less than half of the clip decodes");
            return Ok(Outcome::Refused(corrupt()));
        };
        let tracks = segments::store(&self.context.objects, cuttings, &step::prefix(&lease)).await?;
        Ok(Outcome::Made(
            serde_json::to_value(results::Unit { tracks }).context("recording what was made")?,
        ))
    }
}

/// A unit and what it is made with.
struct Bench<'a> {
    plan: &'a Plan,
    unit: &'a Unit,
    workshop: &'a Workshop,
    gauge: &'a Gauge,
}

/// What came of one run over a unit.
enum Run {
    Made(Vec<Cuttings>),
    /// Frames are missing, though ffmpeg found nothing wrong: the file's index led to a place behind the first of them.
    Short,
    /// More than half of what was decoded failed, or nothing came out.
    Damaged,
}

impl Bench<'_> {
    /// None if so much of the clip does not decode that it is refused.
    ///
    /// A unit sees a part of the clip, and damage gathers in places. So none is judged by its own part: where more than
    /// half of that fails, the whole clip is decoded, to the verdict that one unit for all would have come to. Where no
    /// unit finds more than half of its part failing, no more than half of the whole does. A clip that is kept shows
    /// what one unit would have shown, the last good picture, which may lie before the part: it is read from the start.
    async fn make(&self) -> Result<Option<Vec<Cuttings>>, Failure> {
        match self.run(Reading::Near).await? {
            Run::Made(cuttings) => return Ok(Some(cuttings)),
            Run::Damaged if self.is_whole() || !self.is_good_enough().await? => return Ok(None),
            Run::Damaged => tracing::info!("this part of the clip does not decode, but enough of it does"),
            Run::Short => tracing::info!("the file's index is wrong, reading from the start"),
        }
        match self.run(Reading::Patient).await? {
            Run::Made(cuttings) => Ok(Some(cuttings)),
            // Not one picture up to the end of this unit.
            Run::Short | Run::Damaged => Ok(None),
        }
    }

    /// Whether the unit shows all there is, so that its part is the whole.
    fn is_whole(&self) -> bool {
        match self.unit.work {
            Work::Video { frames, .. } => frames >= self.plan.frames,
            Work::Audio => true,
        }
    }

    async fn run(&self, reading: Reading) -> Result<Run, Failure> {
        let duration = match self.unit.work {
            Work::Video { frames, .. } => self.plan.seconds(frames),
            Work::Audio => self.plan.duration(),
        };
        let runs = encode::unit_runs(self.plan, self.unit, reading, SOURCE);
        let runs = self.workshop.ffmpeg_each(runs, |progress| {
            self.gauge.set(progress.seconds.unwrap_or(0.0) / duration);
        });
        if is_damaged(runs.await)? {
            return Ok(Run::Damaged);
        }
        let Some(cuttings) = segments::cut(self.workshop, self.plan, self.unit).await? else {
            return Ok(Run::Damaged);
        };
        let expected = match self.unit.work {
            Work::Video { frames, .. } => Some(frames),
            Work::Audio => None,
        };
        let short = |cuttings: &Cuttings| expected.is_some_and(|frames| cuttings.track.samples != frames);
        Ok(if cuttings.iter().any(short) {
            Run::Short
        } else {
            Run::Made(cuttings)
        })
    }

    async fn is_good_enough(&self) -> Result<bool, Failure> {
        let judged = self.workshop.ffmpeg(encode::judge_args(self.plan, SOURCE), |_| ());
        Ok(!is_damaged(judged.await.map(|_| ()))?)
    }
}

fn is_damaged(ended: Result<(), RunError>) -> Result<bool, Failure> {
    match ended {
        Ok(()) => Ok(false),
        Err(error) if is_damage(&error) => {
            tracing::debug!(%error, "it does not decode");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
