//! The ledger: what has to be done for a clip, who is at it, and what came of it.
//!
//! A step item is run under a lease. Its `attempts` is the fencing number: whoever comes back after the lease went to
//! somebody else can no longer write. Every write also checks that the clip still wants the work.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::{Function, VideoId};
use toktik_media::manifest::Manifest;
use toktik_media::plan::Plan;

use crate::Catalog;
use crate::feed;
use crate::table::{Error, Key, Query, Write};
use crate::videos::{Made, Status, Trouble, Video, done_unless_condition, meta, open_work, partition};

/// How long a run may be silent before somebody else takes over, unless [`Catalog::leasing_for`] says otherwise.
pub const LEASE: Duration = Duration::seconds(30);
/// So many runs that never came to an end, and the step is given up: it takes down whoever begins it.
pub const MAX_ATTEMPTS: u32 = 5;
/// So many runs that ended in the wish for another one, and the step is given up: what was out of reach for this long
/// does not come back by itself. With the queue's backoff that is more than an hour.
pub const MAX_POSTPONED: u32 = 20;

/// The unit of thumbnail's that is made of a rung and not of the source: storyboard and preview. The poster has no name.
pub const OVERVIEW: &str = "overview";

/// While a clip is one of these its steps are done.
const WORKED_FOR: [Status; 2] = [Status::Processing, Status::Playable];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Running,
    Done,
    Failed,
}

/// One piece of work of a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepItem {
    pub step: String,
    pub unit: String,
    pub state: State,
    /// Runs so far, the present one included.
    pub attempts: u32,
    /// Runs that ended because the host had to stop: no fault of the step's.
    #[serde(default)]
    pub interrupted: u32,
    /// Runs that asked to be tried another time: a store was out of reach.
    #[serde(default)]
    pub postponed: u32,
    /// Milliseconds since the epoch.
    pub lease_until: Option<i64>,
    /// When somebody was last asked to do it.
    pub requested_at: DateTime<Utc>,
    /// 0 to 1.
    pub progress: f64,
    /// What came of it, as the step itself writes it. Of a step that is published while it grows, what came of it so far:
    /// whoever runs it next goes on from there.
    pub result: Option<serde_json::Value>,
    pub error: Option<Trouble>,
}

/// The right to run a step, until it runs out or the step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub video_id: VideoId,
    pub generation: u32,
    pub step: String,
    pub unit: String,
    pub attempt: u32,
}

/// What became of asking for a lease.
#[derive(Debug)]
pub enum Begin {
    Started(Lease),
    /// Somebody else is at it.
    Busy,
    Done,
    /// It was given up, and the clip does not know yet.
    Failed,
    /// It ran too often without coming to an end.
    Exhausted,
    /// The clip no longer wants it: deleted, decided, or in another generation; or it was never planned.
    Unwanted,
}

pub(crate) fn prefix(generation: u32) -> String {
    format!("STEP#{generation:06}#")
}

fn key(id: VideoId, generation: u32, step: &str, unit: &str) -> Key {
    Key::new(partition(id), format!("{}{step}#{unit}", prefix(generation)))
}

fn plan_key(id: VideoId, generation: u32) -> Key {
    Key::new(partition(id), format!("PLAN#{generation:06}"))
}

fn manifest_key(id: VideoId, generation: u32) -> Key {
    Key::new(partition(id), format!("MANIFEST#{generation:06}"))
}

pub(crate) fn pending(
    id: VideoId,
    generation: u32,
    step: &str,
    unit: &str,
    now: DateTime<Utc>,
) -> Result<Write, Error> {
    let item = StepItem {
        step: step.to_owned(),
        unit: unit.to_owned(),
        state: State::Pending,
        attempts: 0,
        interrupted: 0,
        postponed: 0,
        lease_until: None,
        requested_at: now,
        progress: 0.0,
        result: None,
        error: None,
    };
    Ok(Write::put(key(id, generation, step, unit), &item)?.if_absent())
}

#[derive(Serialize, Deserialize)]
struct PlanItem {
    plan: Plan,
}

/// The manifest and its place in the order of manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestItem {
    pub revision: u64,
    pub manifest: Manifest,
}

/// What package found the clip to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub manifest: Manifest,
    pub status: Status,
    pub warnings: Vec<String>,
}

impl Lease {
    fn key(&self) -> Key {
        key(self.video_id, self.generation, &self.step, &self.unit)
    }

    /// The clip is still in this generation, and its fate is open.
    fn clip_wants_it(&self) -> Result<Write, Error> {
        wants(self.video_id, self.generation)
    }

    fn still_mine(&self, write: Write) -> Result<Write, Error> {
        write
            .if_equal("attempts", &self.attempt)?
            .if_equal("state", &State::Running)
    }
}

fn wants(id: VideoId, generation: u32) -> Result<Write, Error> {
    Write::check(meta(id))
        .if_equal("generation", &generation)?
        .if_one_of("status", &WORKED_FOR)
}

impl Catalog {
    /// Asks for the right to run a step.
    pub async fn begin(
        &self,
        id: VideoId,
        generation: u32,
        step: &str,
        unit: &str,
        now: DateTime<Utc>,
    ) -> Result<Begin, Error> {
        let Some(item) = self.step(id, generation, step, unit).await? else {
            return Ok(Begin::Unwanted);
        };
        let in_the_way = match item.state {
            State::Done => return Ok(Begin::Done),
            State::Failed => Some(Begin::Failed),
            State::Running if item.is_leased(now) => Some(Begin::Busy),
            State::Running | State::Pending => item.is_exhausted().then_some(Begin::Exhausted),
        };
        if let Some(in_the_way) = in_the_way {
            let wanted = self.is_wanted(id, generation).await?;
            return Ok(if wanted { in_the_way } else { Begin::Unwanted });
        }
        let lease = Lease {
            video_id: id,
            generation,
            step: step.to_owned(),
            unit: unit.to_owned(),
            attempt: item.attempts + 1,
        };
        let take = Write::update(lease.key())
            .set("state", &State::Running)?
            .set("attempts", &lease.attempt)?
            .set("lease_until", &(now + self.lease).timestamp_millis())?
            .set("progress", &0.0)?
            .if_equal("attempts", &item.attempts)?
            .if_equal("state", &item.state)?;
        match self.table.write(vec![lease.clip_wants_it()?, take]).await {
            Ok(()) => Ok(Begin::Started(lease)),
            Err(Error::Condition(0)) => Ok(Begin::Unwanted),
            Err(Error::Condition(_)) => Ok(Begin::Busy),
            Err(error) => Err(error),
        }
    }

    async fn is_wanted(&self, id: VideoId, generation: u32) -> Result<bool, Error> {
        let video = self.video(id).await?.filter(|video| video.generation == generation);
        Ok(video.is_some_and(|video| WORKED_FOR.contains(&video.status)))
    }

    pub async fn step(&self, id: VideoId, generation: u32, step: &str, unit: &str) -> Result<Option<StepItem>, Error> {
        self.table.get(&key(id, generation, step, unit)).await
    }

    /// Keeps the lease for another while. False when it is lost or the clip no longer wants the work.
    pub async fn renew(&self, lease: &Lease, progress: f64, now: DateTime<Utc>) -> Result<bool, Error> {
        let renew = Write::update(lease.key())
            .set("lease_until", &(now + self.lease).timestamp_millis())?
            .set("progress", &progress)?;
        let writes = vec![lease.clip_wants_it()?, lease.still_mine(renew)?];
        done_unless_condition(self.table.write(writes).await)
    }

    /// Gives the lease back unfinished, so that the next delivery can begin at once.
    pub async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let write = lease.still_mine(released(lease)?)?;
        done_unless_condition(self.table.write(vec![write]).await).map(|_| ())
    }

    /// The same where the host has to stop, so that the run does not count.
    pub async fn interrupt(&self, lease: &Lease) -> Result<(), Error> {
        let write = lease.still_mine(released(lease)?.add("interrupted", 1))?;
        done_unless_condition(self.table.write(vec![write]).await).map(|_| ())
    }

    /// The same where the run came to its end and wants another one, later.
    pub async fn postpone(&self, lease: &Lease) -> Result<(), Error> {
        let write = lease.still_mine(released(lease)?.add("postponed", 1))?;
        done_unless_condition(self.table.write(vec![write]).await).map(|_| ())
    }

    /// Records what came of a step so far. False when the lease is lost or the clip no longer wants it.
    pub async fn progress(&self, lease: &Lease, result: &serde_json::Value) -> Result<bool, Error> {
        let write = lease.still_mine(Write::update(lease.key()).set("result", result)?)?;
        done_unless_condition(self.table.write(vec![lease.clip_wants_it()?, write]).await)
    }

    /// Records what came of a step. False when the lease is lost or the clip no longer wants it.
    pub async fn finish(&self, lease: &Lease, result: &serde_json::Value) -> Result<bool, Error> {
        let writes = vec![lease.clip_wants_it()?, finished(lease, result)?];
        done_unless_condition(self.table.write(writes).await)
    }

    /// Records the plan and everything that is to be done, with the end of probing, in one transaction.
    pub async fn accept(&self, lease: &Lease, plan: &Plan, now: DateTime<Utc>) -> Result<bool, Error> {
        let (id, generation) = (lease.video_id, lease.generation);
        let video = &plan.source.video;
        let update = Write::update(meta(id))
            .set("duration", &plan.duration())?
            .set("width", &video.width)?
            .set("height", &video.height)?
            .if_equal("generation", &generation)?
            .if_equal("status", &Status::Processing)?;
        let mut writes = vec![update, finished(lease, &serde_json::Value::Null)?];
        writes.push(Write::put(plan_key(id, generation), &PlanItem { plan: plan.clone() })?.if_absent());
        for unit in &plan.units {
            writes.push(pending(id, generation, "transcode", &unit.id, now)?);
        }
        writes.push(pending(id, generation, "thumbnail", "", now)?);
        writes.push(pending(id, generation, "thumbnail", OVERVIEW, now)?);
        if plan.source.audio.is_some() {
            writes.push(pending(id, generation, "audio", "", now)?);
        }
        writes.push(pending(id, generation, "package", "", now)?);
        done_unless_condition(self.table.write(writes).await)
    }

    pub async fn plan(&self, id: VideoId, generation: u32) -> Result<Option<Plan>, Error> {
        let item: Option<PlanItem> = self.table.get(&plan_key(id, generation)).await?;
        Ok(item.map(|item| item.plan))
    }

    pub async fn manifest(&self, id: VideoId, generation: u32) -> Result<Option<ManifestItem>, Error> {
        self.table.get(&manifest_key(id, generation)).await
    }

    /// Writes the next manifest and, with it, the status that rests on it. False when another one was faster, or the
    /// clip's fate is decided.
    pub async fn advance(
        &self,
        video: &Video,
        revision: u64,
        progress: &Progress,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let item = ManifestItem {
            revision: revision + 1,
            manifest: progress.manifest.clone(),
        };
        let mut put = Write::put(manifest_key(video.id, video.generation), &item)?;
        put = if revision == 0 {
            put.if_absent()
        } else {
            put.if_equal("revision", &revision)?
        };
        let mut after = video.clone();
        after.status = progress.status;
        let mut update = Write::update(meta(video.id))
            .set("status", &progress.status)?
            .set("warnings", &progress.warnings)?
            .set("made", &Made::of(&item))?
            .if_equal("generation", &video.generation)?
            .if_equal("status", &video.status)?
            .if_equal("revision", &video.revision)?;
        if progress.status.is_watchable() && video.published_at.is_none() {
            after.published_at = Some(now);
            update = update.set("published_at", &now)?;
        }
        let mut writes = vec![update, put];
        writes.extend(feed::relist(&after)?);
        done_unless_condition(self.table.write(writes).await)
    }

    /// Records that a step was given up. False when it is done, somebody else is at it by now, or the clip no longer wants it.
    pub async fn give_up(
        &self,
        id: VideoId,
        generation: u32,
        step: &str,
        unit: &str,
        trouble: &Trouble,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let item = self.step(id, generation, step, unit).await?;
        let idle = |item: &StepItem| match item.state {
            State::Pending => true,
            State::Running => !item.is_leased(now),
            State::Done | State::Failed => false,
        };
        let Some(item) = item.filter(idle) else {
            return Ok(false);
        };
        let update = Write::update(key(id, generation, step, unit))
            .set("state", &State::Failed)?
            .set("error", trouble)?
            .remove("lease_until")
            .if_equal("attempts", &item.attempts)?
            .if_equal("state", &item.state)?;
        done_unless_condition(self.table.write(vec![wants(id, generation)?, update]).await)
    }

    /// Somebody is being asked to do this step again.
    pub async fn requested(&self, video: &Video, item: &StepItem, now: DateTime<Utc>) -> Result<(), Error> {
        let update = Write::update(key(video.id, video.generation, &item.step, &item.unit))
            .set("requested_at", &now)?
            .if_equal("attempts", &item.attempts)?;
        done_unless_condition(self.table.write(vec![update]).await).map(|_| ())
    }

    /// Whether nobody is at any step of the clip, in whichever generation, so that nothing more will be written for it.
    pub async fn is_quiet(&self, id: VideoId, now: DateTime<Utc>) -> Result<bool, Error> {
        let steps: Vec<StepItem> = self
            .table
            .query_all(Query::partition(partition(id)).prefix("STEP#"))
            .await?;
        Ok(!steps
            .iter()
            .any(|item| item.state == State::Running && item.is_leased(now)))
    }

    /// Ends every lease of a clip: for the one program that runs all steps itself and has just started.
    pub async fn clear_leases(&self, video: &Video) -> Result<(), Error> {
        for item in self.steps(video.id, video.generation).await? {
            if item.state == State::Running {
                let lease = Lease {
                    video_id: video.id,
                    generation: video.generation,
                    step: item.step,
                    unit: item.unit,
                    attempt: item.attempts,
                };
                self.release(&lease).await?;
            }
        }
        Ok(())
    }

    /// Has the janitor look after this clip.
    pub async fn reopen_work(&self, id: VideoId) -> Result<(), Error> {
        self.table.write(vec![open_work(id)?]).await
    }
}

fn released(lease: &Lease) -> Result<Write, Error> {
    let write = Write::update(lease.key()).set("state", &State::Pending)?;
    Ok(write.remove("lease_until"))
}

fn finished(lease: &Lease, result: &serde_json::Value) -> Result<Write, Error> {
    let write = Write::update(lease.key())
        .set("state", &State::Done)?
        .set("progress", &1.0)?
        .set("result", result)?
        .remove("lease_until");
    lease.still_mine(write)
}

impl StepItem {
    /// Whether this function does it.
    pub fn is_of(&self, function: Function) -> bool {
        self.step == function.name()
    }

    pub fn is_leased(&self, now: DateTime<Utc>) -> bool {
        self.lease_until.is_some_and(|until| until > now.timestamp_millis())
    }

    /// Whether it ran too often without coming to an end.
    pub fn is_exhausted(&self) -> bool {
        let ended = self.interrupted + self.postponed;
        self.attempts.saturating_sub(ended) >= MAX_ATTEMPTS || self.postponed >= MAX_POSTPONED
    }

    /// Whether nothing more will come of it.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Done | State::Failed)
    }
}
