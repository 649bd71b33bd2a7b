//! From an arrived upload to a plan or a refusal.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Lease, State, StepItem};
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::{Clip, ObjectCreated, Step};
use toktik_events::{Function, Message, Payload};
use toktik_media::plan::Plan;
use toktik_objects::keys;
use toktik_runtime::step::Turn;
use toktik_runtime::{Context, Failure, trace};

use crate::examine::{Examiner, Finding};

pub struct Handler<E> {
    context: Context,
    examiner: E,
}

#[async_trait]
impl<E: Examiner> toktik_runtime::Handler for Handler<E> {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        match &message.payload {
            Payload::ObjectCreated(object) => self.arrived(object, cancel).await,
            Payload::Uploaded(clip) => match self.context.catalog.video(clip.video_id).await? {
                Some(video) if video.generation == clip.generation => self.decide(&video, cancel).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl<E: Examiner> Handler<E> {
    pub fn new(context: &Context, examiner: E) -> Self {
        Self {
            context: context.clone(),
            examiner,
        }
    }

    /// The store says that there is an object.
    async fn arrived(&self, object: &ObjectCreated, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(id) = keys::video_of_upload(&object.key) else {
            return Ok(());
        };
        let video = self.context.catalog.video(id).await?;
        let Some(video) = video else {
            return self.remove(&object.key).await;
        };
        if !expects(&video, object) {
            return self.remove_unless_accepted(&video, &object.key).await;
        }
        if video.status == Status::Ready {
            // Told again of what was accepted, or bytes that came after it: the janitor knows what is to be kept.
            return Ok(self.context.catalog.reopen_work(id).await?);
        }
        let trace = video.trace.unwrap_or_else(toktik_events::TraceParent::root).child();
        trace::join(trace, self.pin_and_decide(video, cancel)).await
    }

    async fn pin_and_decide(&self, mut video: Video, cancel: &CancellationToken) -> Result<(), Failure> {
        if video.status == Status::Uploading {
            let head = self
                .context
                .objects
                .head(&video.upload.key)
                .await
                .map_err(anyhow::Error::from)?;
            let Some(head) = head else { return Ok(()) };
            self.context
                .catalog
                .begin_processing(&video, &head.etag, None, self.context.clock.now())
                .await?;
            let Some(now) = self.context.catalog.video(video.id).await? else {
                return Ok(());
            };
            video = now;
        }
        self.decide(&video, cancel).await
    }

    /// The event may be old news of bytes that others have replaced since, where a store lets them: what lies there now
    /// decides.
    async fn remove_unless_accepted(&self, video: &Video, key: &str) -> Result<(), Failure> {
        if video.upload.key == key && !matches!(video.status, Status::Rejected | Status::Deleted) {
            let head = self.context.objects.head(key).await.map_err(anyhow::Error::from)?;
            if head.map(|head| head.etag) == video.source_etag {
                return Ok(());
            }
        }
        self.remove(key).await
    }

    /// Nobody expects these bytes: the clip is gone or decided, or they lie where they should not.
    async fn remove(&self, key: &str) -> Result<(), Failure> {
        tracing::info!(key, "removing an upload that nobody expects");
        self.context
            .objects
            .delete(&[key.to_owned()])
            .await
            .map_err(anyhow::Error::from)?;
        Ok(())
    }

    async fn decide(&self, video: &Video, cancel: &CancellationToken) -> Result<(), Failure> {
        if video.status == Status::Rejected {
            // Its lease has not run out, and there is nothing to wait for.
            return Ok(self.context.announce_refusal(Function::Probe, video.id).await?);
        }
        let step = Step {
            video_id: video.id,
            generation: video.generation,
            step: Function::Probe.to_string(),
            unit: String::new(),
        };
        let work = |_: Lease, _| self.examiner.examine(video, cancel);
        match self.context.under_lease(&step, cancel, work).await? {
            Turn::Worked(lease, Finding::Playable(plan)) => self.accept(&lease, &plan).await,
            Turn::Worked(lease, Finding::Refused(rejection)) => {
                Ok(self.context.refuse(Function::Probe, &lease, &rejection).await?)
            }
            Turn::Done => self.announce_again(video).await,
            Turn::Over => Ok(self.context.announce_refusal(Function::Probe, video.id).await?),
        }
    }

    async fn accept(&self, lease: &Lease, plan: &Plan) -> Result<(), Failure> {
        let now = self.context.clock.now();
        // Refused also when the answer to a first try was lost: then there is a plan, and somebody has to say so.
        if !self.context.catalog.accept(lease, plan, now).await? && !self.is_accepted(lease).await? {
            return Ok(());
        }
        tracing::info!(
            duration_seconds = plan.duration(),
            rungs = plan.rungs.len(),
            "accepted a clip"
        );
        let clip = Clip {
            video_id: lease.video_id,
            generation: lease.generation,
        };
        self.announce(clip).await
    }

    async fn is_accepted(&self, lease: &Lease) -> Result<bool, Failure> {
        let item = self
            .context
            .catalog
            .step(lease.video_id, lease.generation, &lease.step, &lease.unit)
            .await?;
        Ok(item.is_some_and(|item| item.state == State::Done))
    }

    /// The work was done, but whether anybody heard of it is not known.
    async fn announce_again(&self, video: &Video) -> Result<(), Failure> {
        if video.status.is_final() {
            return Ok(());
        }
        self.announce(video.clip()).await
    }

    /// Asks for every step that is planned and that nobody is at.
    async fn announce(&self, clip: Clip) -> Result<(), Failure> {
        let now = self.context.clock.now();
        let steps = self.context.catalog.steps(clip.video_id, clip.generation).await?;
        let waits = |item: &&StepItem| !item.is_settled() && !item.is_leased(now);
        let waiting: Vec<&StepItem> = steps.iter().filter(waits).collect();
        // Units first: they take longest.
        for item in waiting.iter().filter(|item| item.is_of(Function::Transcode)) {
            let step = Step {
                video_id: clip.video_id,
                generation: clip.generation,
                step: item.step.clone(),
                unit: item.unit.clone(),
            };
            self.context
                .publish(Function::Probe, Payload::UnitRequested(step))
                .await?;
        }
        let accepted = |item: &&StepItem| item.is_of(Function::Thumbnail) || item.is_of(Function::Audio);
        if waiting.iter().any(accepted) {
            self.context.publish(Function::Probe, Payload::Accepted(clip)).await?;
        }
        Ok(())
    }
}

/// Whether this object is the upload that the clip waits for, or the one it was made from.
fn expects(video: &Video, object: &ObjectCreated) -> bool {
    if video.upload.key != object.key {
        return false;
    }
    let pinned = video.source_etag.as_deref().zip(object.etag.as_deref());
    let same_bytes = pinned.is_none_or(|(pinned, arrived)| pinned == arrived);
    match video.status {
        Status::Uploading => true,
        Status::Processing | Status::Playable | Status::Ready | Status::Failed => same_bytes,
        Status::Rejected | Status::Deleted => false,
    }
}
