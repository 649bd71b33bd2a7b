//! Runs ffmpeg for a unit, as often as it takes, and stores what comes out while it runs.

use std::fs::File;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_catalog::results;
use toktik_events::payload::Step;
use toktik_events::{Function, Message};
use toktik_media::cmaf::Cut;
use toktik_media::encode::{self, Reading};
use toktik_media::plan::{Plan, Unit, Work};
use toktik_media::process::RunError;
use toktik_runtime::step::{self, Gauge, Outcome};
use toktik_runtime::workshop::{SOURCE, Workshop, Workshops, corrupt, is_damage};
use toktik_runtime::{Context, Failure, Urgency};

use crate::Settings;
use crate::order;
use crate::pace::{Pace, Watched};
use crate::segments::{self, Pipes, Publisher, Shelves, Split, Tells};

pub(crate) struct Handler {
    context: Context,
    workshops: Workshops,
    /// Wall-clock time for ffmpeg in one run of a unit.
    time: Duration,
}

#[async_trait]
impl toktik_runtime::Handler for Handler {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(step) = step::asked(Function::Transcode, message) else {
            return Ok(());
        };
        let work = |lease, gauge| self.work(lease, gauge, cancel);
        self.context
            .complete_step(Function::Transcode, &step, cancel, work)
            .await
    }

    async fn urgency(&self, message: &Message) -> Urgency {
        match step::asked(Function::Transcode, message) {
            Some(step) => asked_for(&self.context, &step).await.unwrap_or_default(),
            None => Urgency::default(),
        }
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
        if unit.waits {
            self.until_others_are_made(&plan, &lease).await?;
        }
        let before = match self.context.published(&lease).await? {
            Some(result) => Some(serde_json::from_value(result).context("reading what was published")?),
            None => None,
        };
        let workshop = self
            .workshops
            .open(self.time, cancel)?
            .behind(order::behind(&plan, unit));
        workshop.fetch_source(&self.context, &video).await?;
        let mut bench = Bench {
            context: &self.context,
            lease: &lease,
            plan: &plan,
            unit,
            workshop: &workshop,
            gauge: &gauge,
            tells: Tells::of(unit),
            before,
            runs: 0,
        };
        let Some(made) = bench.make().await? else {
            tracing::info!("less than half of the clip decodes");
            return Ok(Outcome::Refused(corrupt()));
        };
        Ok(Outcome::Made(
            serde_json::to_value(made).context("recording what was made")?,
        ))
    }

    /// Waits while somebody makes what is watched while it is made, and no longer: where nobody is at it, it may be that
    /// whoever is to be has no room before this is done.
    async fn until_others_are_made(&self, plan: &Plan, lease: &Lease) -> Result<(), Failure> {
        const LOOK_AGAIN: Duration = Duration::from_millis(500);
        loop {
            // Also before the first look: all units of a clip are asked for at once.
            tokio::time::sleep(LOOK_AGAIN).await;
            let steps = self.context.catalog.steps(lease.video_id, lease.generation).await?;
            let now = self.context.clock.now();
            if !order::growing(plan, &steps).any(|item| item.is_leased(now)) {
                return Ok(());
            }
        }
    }
}

/// Who waits for a unit, if the plan is known by now: whoever handles it finds out what is wrong if it is not.
async fn asked_for(context: &Context, step: &Step) -> anyhow::Result<Urgency> {
    let plan = context.catalog.plan(step.video_id, step.generation).await?;
    let urgency = plan.and_then(|plan| {
        let unit = plan.units.iter().find(|unit| unit.id == step.unit)?;
        Some(order::urgency(&plan, unit))
    });
    Ok(urgency.unwrap_or_default())
}

/// A unit and what it is made with.
struct Bench<'a> {
    context: &'a Context,
    lease: &'a Lease,
    plan: &'a Plan,
    unit: &'a Unit,
    workshop: &'a Workshop,
    gauge: &'a Gauge,
    tells: Tells,
    /// What is published by now, by earlier attempts or by this one.
    before: Option<results::Unit>,
    /// Runs of ffmpeg so far: each stores under keys of its own.
    runs: u32,
}

/// What came of one run over a unit.
enum Run {
    Made(results::Unit),
    /// Frames are missing, though ffmpeg found nothing wrong: the file's index led to a place behind the first of them.
    Short,
    /// More than half of what was decoded failed, or nothing came out.
    Damaged,
    /// The source's own picture is not what it seemed to be.
    Uncommon,
}

/// What is left to do of a unit once its first segments are published.
struct Rest {
    work: Work,
    cut: Cut,
    /// Segments that are made once more and thrown away: sound is made from its beginning, since an encoder that begins in
    /// the middle is heard.
    skipped: usize,
}

impl Bench<'_> {
    /// None if so much of the clip does not decode that it is refused.
    ///
    /// A unit sees a part of the clip, and damage gathers in places. So none is judged by its own part: where more than
    /// half of that fails, the whole clip is decoded, to the verdict that one unit for all would have come to. Where no
    /// unit finds more than half of its part failing, no more than half of the whole does. A clip that is kept shows
    /// what one unit would have shown, the last good picture, which may lie before the part: it is read from the start.
    async fn make(&mut self) -> Result<Option<results::Unit>, Failure> {
        match self.run(&self.unit.work.clone(), Reading::Near).await? {
            Run::Made(made) => return Ok(Some(made)),
            Run::Uncommon => return self.encode_after_all().await,
            Run::Damaged if self.is_whole() || !self.is_good_enough().await? => return Ok(None),
            Run::Damaged => tracing::info!("this part of the clip does not decode, but enough of it does"),
            Run::Short => tracing::info!("the file's index is wrong, reading from the start"),
        }
        self.patiently(&self.unit.work.clone()).await
    }

    async fn patiently(&mut self, work: &Work) -> Result<Option<results::Unit>, Failure> {
        match self.run(work, Reading::Patient).await? {
            Run::Made(made) => Ok(Some(made)),
            // Not one picture up to the end of this unit.
            Run::Short | Run::Damaged | Run::Uncommon => Ok(None),
        }
    }

    /// Makes a rung that was to be the source's own picture as the others are made. What is published of that picture stays
    /// until the other is whole.
    async fn encode_after_all(&mut self) -> Result<Option<results::Unit>, Failure> {
        let Work::Copy { rung } = &self.unit.work else {
            return Ok(None);
        };
        (self.tells, self.before) = (Tells::AtTheEnd, None);
        let work = Work::Video {
            rungs: vec![rung.clone()],
            first_frame: 0,
            frames: self.plan.frames,
        };
        match self.run(&work, Reading::Near).await? {
            Run::Made(made) => Ok(Some(made)),
            Run::Short | Run::Damaged | Run::Uncommon => Ok(None),
        }
    }

    /// Whether the unit shows all there is, so that its part is the whole.
    fn is_whole(&self) -> bool {
        match self.unit.work {
            Work::Video { frames, .. } => frames >= self.plan.frames,
            Work::Copy { .. } | Work::Audio => true,
        }
    }

    /// None if everything is published.
    fn rest(&self, work: &Work) -> Option<Rest> {
        let published = self.before.as_ref().map_or(0, segments::published);
        let (first, whole) = match work {
            Work::Video {
                first_frame, frames, ..
            } => (*first_frame, first_frame + frames),
            Work::Copy { .. } | Work::Audio => (0, self.plan.frames),
        };
        let ends: Vec<u64> = self
            .plan
            .ends()
            .into_iter()
            .filter(|end| *end > first && *end <= whole)
            .collect();
        if published >= ends.len() {
            return None;
        }
        let begun = published.checked_sub(1).and_then(|last| ends.get(last).copied());
        let rest = match work {
            Work::Video { rungs, .. } => {
                let first_frame = begun.unwrap_or(first);
                Rest {
                    work: Work::Video {
                        rungs: rungs.clone(),
                        first_frame,
                        frames: whole - first_frame,
                    },
                    cut: Cut::video(self.plan, first_frame),
                    skipped: 0,
                }
            }
            Work::Copy { .. } => Rest {
                work: work.clone(),
                cut: Cut::copy(self.plan),
                skipped: published,
            },
            Work::Audio => Rest {
                work: work.clone(),
                cut: Cut::audio(self.plan),
                skipped: published,
            },
        };
        Some(rest)
    }

    async fn run(&mut self, work: &Work, reading: Reading) -> Result<Run, Failure> {
        let Some(Rest { work, cut, skipped }) = self.rest(work) else {
            return Ok(self.before.clone().map_or(Run::Damaged, Run::Made));
        };
        self.runs += 1;
        let unit = Unit {
            work,
            ..self.unit.clone()
        };
        let outputs = encode::outputs(self.plan, &unit);
        let Pipes { held, pieces } = Pipes::open(self.workshop.path(), &outputs, &cut, skipped)?;
        let mut shelves = Shelves::new(&outputs, |name| folder(self.lease, name, self.runs));
        let (made, seen) = watch::channel(0.0);
        // Who was told of an earlier run's segments is not kept waiting.
        let pace = Pace::of(self.plan, &unit).filter(|_| self.before.is_none());
        let publisher = Publisher {
            context: self.context,
            lease: self.lease,
            before: self.before.as_ref(),
            tells: self.tells,
            told: self.before.as_ref().map_or(0, segments::published),
            watched: pace.map(|pace| Watched { pace, made: seen }),
        };
        let storing = pieces.store(&mut shelves, publisher);
        let ended = self.attend(&unit, reading, held, made, storing).await;
        let made = shelves.unit(self.before.as_ref());
        if self.tells != Tells::AtTheEnd {
            self.before.clone_from(&made);
        }
        let (ended, split) = ended?;
        if is_damaged(ended)? {
            return Ok(Run::Damaged);
        }
        let expected = match unit.work {
            Work::Video { frames, .. } => Some(frames),
            Work::Copy { .. } => Some(self.plan.frames),
            Work::Audio => None,
        };
        Ok(match (split, made) {
            (Split::Whole(samples), Some(made)) => {
                let short = expected.is_some_and(|frames| samples.iter().any(|samples| *samples != frames));
                if short { Run::Short } else { Run::Made(made) }
            }
            (Split::Uncommon, _) => Run::Uncommon,
            (Split::Late, _) => Run::Short,
            (Split::Whole(_) | Split::Nothing, _) => Run::Damaged,
        })
    }

    /// Runs ffmpeg, says how many seconds are made, and stores meanwhile what it writes. The pipes end when it has.
    async fn attend(
        &self,
        unit: &Unit,
        reading: Reading,
        held: Vec<File>,
        made: watch::Sender<f64>,
        storing: impl Future<Output = Result<Split, Failure>>,
    ) -> Result<(Result<(), RunError>, Split), Failure> {
        let duration = match unit.work {
            Work::Video { frames, .. } => self.plan.seconds(frames),
            Work::Copy { .. } | Work::Audio => self.plan.duration(),
        };
        let runs = encode::unit_runs(self.plan, unit, reading, SOURCE);
        let making = self.workshop.ffmpeg_each(runs, move |progress| {
            let seconds = progress.seconds.unwrap_or(0.0);
            self.gauge.set(seconds / duration);
            made.send_replace(seconds);
        });
        let mut storing = pin!(storing);
        tokio::select! {
            ended = making => {
                drop(held);
                Ok((ended, storing.await?))
            }
            // Pipes that nobody empties would keep ffmpeg waiting.
            split = &mut storing => Ok((Ok(()), split?)),
        }
    }

    async fn is_good_enough(&self) -> Result<bool, Failure> {
        let judged = self.workshop.ffmpeg(encode::judge_args(self.plan, SOURCE), |_| ());
        Ok(!is_damaged(judged.await.map(|_| ()))?)
    }
}

/// Where a run stores a track; ends in `/`. Segments of two runs are never mixed.
fn folder(lease: &Lease, name: &str, run: u32) -> String {
    let prefix = step::prefix(lease);
    match run {
        1 => format!("{prefix}{name}/"),
        _ => format!("{prefix}{name}-{run}/"),
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
