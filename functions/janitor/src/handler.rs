//! One round, clip by clip.

use anyhow::Context as _;
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{State, StepItem};
use toktik_catalog::outbox::Owed;
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::{Change, Step, User};
use toktik_events::{Function, Message, Payload, Rejection, RejectionCode, VideoId, intake};
use toktik_identity::UserId;
use toktik_objects::{OpenUpload, keys};
use toktik_runtime::settings::Keep;
use toktik_runtime::{Context, Failure, trace};

use crate::rank;

/// An upload may come so long after its last URL ran out, or as long as the URL was good: a slow PUT that began in time.
const LATE_UPLOAD: Duration = Duration::hours(1);
/// A step that nobody began in this time is asked for again; parts for a clip that does not exist by then are dropped.
const STUCK: Duration = Duration::minutes(5);
/// Until then a run that does not know yet may still write, and a URL that we signed is good.
const LAST_SWEEP: Duration = Duration::hours(2);
const CLIPS_AT_ONCE: usize = 50;
/// So long a deleted clip's tombstone stays.
const TOMBSTONE: Duration = Duration::days(1);

pub struct Janitor {
    context: Context,
    keep: Keep,
}

#[async_trait]
impl toktik_runtime::Handler for Janitor {
    async fn handle(&self, message: &Message, _: &CancellationToken) -> Result<(), Failure> {
        match &message.payload {
            Payload::Deleted(change) => Ok(self.look_after(change.video_id).await?),
            Payload::UserDeleted(user) => Ok(self.delete_clips(user).await?),
            Payload::Tick => Ok(self.round().await?),
            _ => Ok(()),
        }
    }
}

impl Janitor {
    pub fn new(context: &Context, keep: Keep) -> Self {
        Self {
            context: context.clone(),
            keep,
        }
    }

    /// Looks after everything once. One clip's trouble does not keep the others waiting.
    pub async fn round(&self) -> anyhow::Result<()> {
        self.publish_overdue().await?;
        if let Err(error) = self.abort_unknown().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not look for uploads that nobody knows of"
            );
        }
        for id in self.context.catalog.open_work().await? {
            if let Err(error) = self.look_after(id).await {
                tracing::warn!(video.id = %id, error = format!("{error:#}"), "could not look after a clip");
            }
        }
        rank::rank(&self.context).await.context("ranking the popular clips")
    }

    /// Whoever begins an upload in parts may die before the clip that it is for is written down.
    async fn abort_unknown(&self) -> anyhow::Result<()> {
        let objects = &self.context.objects;
        let before = self.context.clock.now() - STUCK;
        for open in objects.open_multiparts(keys::INCOMING).await? {
            if open.began < before && !self.is_awaited(&open).await? {
                tracing::info!(key = open.key, "dropping parts that nobody waits for");
                objects.abort_multipart(&open.key, &open.upload_id).await?;
            }
        }
        Ok(())
    }

    async fn is_awaited(&self, open: &OpenUpload) -> anyhow::Result<bool> {
        let Some(id) = keys::video_of_upload(&open.key) else {
            return Ok(true);
        };
        let video = self.context.catalog.video(id).await?;
        let video = video.filter(|video| video.status == Status::Uploading);
        let multipart = video.and_then(|video| video.upload.multipart);
        Ok(multipart.is_some_and(|multipart| multipart.upload_id == open.upload_id))
    }

    async fn publish_overdue(&self) -> anyhow::Result<()> {
        let catalog = &self.context.catalog;
        for owed in catalog.overdue(self.context.clock.now()).await? {
            if let Err(error) = self.publish_owed(&owed).await {
                tracing::warn!(
                    event.id = owed.id,
                    error = format!("{error:#}"),
                    "an event stays in the outbox"
                );
            }
        }
        Ok(())
    }

    async fn publish_owed(&self, owed: &Owed) -> anyhow::Result<()> {
        for message in intake::parse(owed.event.as_bytes()).context("reading the outbox")? {
            self.context.publisher.publish(&message).await?;
        }
        Ok(self.context.catalog.settle_owed(owed).await?)
    }

    /// Deletes every clip of an account that is gone, as its owner would have.
    async fn delete_clips(&self, user: &User) -> anyhow::Result<()> {
        let owner: UserId = user.user_id.parse().context("the event names no user")?;
        let mut after = None;
        loop {
            let (videos, next) = self
                .context
                .catalog
                .videos_of(owner, after.as_deref(), CLIPS_AT_ONCE)
                .await?;
            for video in videos.iter().filter(|video| video.status != Status::Deleted) {
                self.delete(video).await?;
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    async fn delete(&self, video: &Video) -> anyhow::Result<()> {
        let change = Change {
            video_id: video.id,
            revision: video.revision + 1,
        };
        let now = self.context.clock.now();
        let message = Message::new(Function::Janitor, now, Payload::Deleted(change)).with_trace(trace::current());
        self.context.catalog.delete(video, &message, now).await?;
        self.context.publish_owed(&message).await;
        Ok(())
    }

    async fn look_after(&self, id: VideoId) -> anyhow::Result<()> {
        let Some(video) = self.context.catalog.video(id).await? else {
            return Ok(self.context.catalog.forget_work(id).await?);
        };
        let trace = video.trace.unwrap_or_else(toktik_events::TraceParent::root).child();
        trace::scope(trace, self.look_at(&video)).await
    }

    async fn look_at(&self, video: &Video) -> anyhow::Result<()> {
        match video.status {
            Status::Uploading => self.expire_upload(video).await,
            Status::Processing | Status::Playable => self.ask_again(video).await,
            Status::Ready => self.tidy(video).await,
            Status::Rejected => self.refuse_again(video).await,
            Status::Failed => self.tidy_failed(video).await,
            Status::Deleted => self.bury(video).await,
        }
    }

    /// Nothing is left to do for the clip once nobody works for it any more: then the sweep just made was the last.
    async fn close(&self, video: &Video) -> anyhow::Result<()> {
        let catalog = &self.context.catalog;
        if catalog.is_quiet(video.id, self.context.clock.now()).await? {
            catalog.close_work(video).await?;
        }
        Ok(())
    }

    async fn expire_upload(&self, video: &Video) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        if now < video.upload_until {
            return Ok(());
        }
        let arrived = self.context.objects.head(&video.upload.key).await?;
        if arrived.is_some() {
            // Neither the client nor the store told us; nothing is lost by that.
            let head = arrived.map(|head| head.etag).unwrap_or_default();
            return self.begin(video, &head).await;
        }
        let grace = LATE_UPLOAD.min(video.upload_until - video.created_at);
        if now < video.upload_until + grace {
            return Ok(());
        }
        let rejection = Rejection::new(
            RejectionCode::UploadExpired,
            "The upload was never finished. Start it again to post this clip.",
        );
        self.context.catalog.expire(video, &rejection).await?;
        self.refuse_again(video).await
    }

    /// Whoever refused it may not have come to the end of it, or the clip would not be here.
    async fn refuse_again(&self, video: &Video) -> anyhow::Result<()> {
        self.context.announce_refusal(Function::Janitor, video.id).await?;
        match self.context.catalog.video(video.id).await? {
            Some(now) if now.status == Status::Rejected => self.close(&now).await,
            _ => Ok(()),
        }
    }

    async fn begin(&self, video: &Video, etag: &str) -> anyhow::Result<()> {
        let payload = Payload::Uploaded(video.clip());
        let now = self.context.clock.now();
        let message = Message::new(Function::Janitor, now, payload).with_trace(trace::current());
        if self
            .context
            .catalog
            .begin_processing(video, etag, Some(&message), now)
            .await?
        {
            self.context.publish_owed(&message).await;
        }
        Ok(())
    }

    /// Asks for every step that is to be done and that nobody is at, also for one that was given up while the clip does
    /// not know it: whoever is asked says so again. An event too many changes nothing.
    async fn ask_again(&self, video: &Video) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let steps = self.context.catalog.steps(video.id, video.generation).await?;
        for item in steps.iter().filter(|item| is_stuck(item, now)) {
            self.context.catalog.requested(video, item, now).await?;
            tracing::info!(video.id = %video.id, step = item.step, unit = item.unit, "asking again for a step");
            self.context.publisher.publish(&self.request(video, item)).await?;
        }
        Ok(())
    }

    fn request(&self, video: &Video, item: &StepItem) -> Message {
        let step = Step {
            video_id: video.id,
            generation: video.generation,
            step: item.step.clone(),
            unit: item.unit.clone(),
        };
        let payload = match item.step.parse() {
            Ok(Function::Probe) => Payload::Uploaded(video.clip()),
            _ if !step.unit.is_empty() => Payload::UnitRequested(step),
            Ok(Function::Package) => Payload::StepCompleted(step),
            _ => Payload::Accepted(video.clip()),
        };
        Message::new(Function::Janitor, self.context.clock.now(), payload)
    }

    /// Removes what lost attempts and earlier generations left behind, and the original when its time is over.
    async fn tidy(&self, video: &Video) -> anyhow::Result<()> {
        let item = self.context.catalog.manifest(video.id, video.generation).await?;
        let Some(manifest) = item.map(|item| item.manifest) else {
            return Ok(());
        };
        let objects = &self.context.objects;
        let mut lost = objects.list(&keys::media_of(video.id)).await?;
        lost.retain(|key| !manifest.names(key));
        objects.delete(&lost).await?;
        let keeps = match self.keep {
            Keep::UntilReady => false,
            Keep::Forever => return self.close(video).await,
            Keep::Days(days) => {
                let ready = video.published_at.unwrap_or(video.created_at);
                self.context.clock.now() < ready + Duration::days(days.into())
            }
        };
        if keeps {
            return Ok(());
        }
        self.context.drop_upload(video).await?;
        self.close(video).await
    }

    /// The original stays: the owner may try again. Should that have happened by now, the new generation's objects are
    /// none of ours.
    async fn tidy_failed(&self, video: &Video) -> anyhow::Result<()> {
        for generation in 1..=video.generation {
            let made = keys::generation(video.id, generation);
            self.context.objects.delete_prefix(&made).await?;
        }
        self.close(video).await
    }

    /// Removes everything now, and once more when nothing can arrive any longer.
    async fn bury(&self, video: &Video) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let deleted = video.deleted_at.unwrap_or(now);
        self.context.drop_upload(video).await?;
        self.context.objects.delete_prefix(&keys::media_of(video.id)).await?;
        self.context.catalog.bury(video, deleted + TOMBSTONE).await?;
        let quiet_from = video.upload_until.max(deleted) + LAST_SWEEP;
        if now >= quiet_from {
            self.context.catalog.close_work(video).await?;
        }
        Ok(())
    }
}

/// To be done, with nobody at it, and not just asked for. The last step begins when all others are settled; asking for
/// it early is a look at the ledger and no more.
fn is_stuck(item: &StepItem, now: DateTime<Utc>) -> bool {
    let idle = match item.state {
        State::Pending | State::Failed => true,
        State::Running => !item.is_leased(now),
        // Package does it, and then has to say that the clip is ready.
        State::Done => item.is_of(Function::Package),
    };
    idle && now - item.requested_at > STUCK
}
