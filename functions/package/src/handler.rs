//! Reads the ledger, writes what follows from it, and says so.

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Lease, ManifestItem, OVERVIEW, Progress};
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::Step;
use toktik_events::{Function, Message, Payload};
use toktik_media::manifest::Object;
use toktik_runtime::settings::Keep;
use toktik_runtime::step::{self, Turn};
use toktik_runtime::{Context, Failure};

use crate::derive::{Standing, standing};
use crate::download::Joiner;

/// Others write too: so often the ledger is read again before the event is left for later.
const ROUNDS: u32 = 5;

pub struct Handler<J> {
    context: Context,
    joiner: J,
    keep: Keep,
}

/// The clip as one look found it.
struct Look {
    video: Video,
    before: ManifestItem,
    standing: Standing,
}

#[async_trait]
impl<J: Joiner> toktik_runtime::Handler for Handler<J> {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        match step::asked(Function::Package, message) {
            Some(step) => self.package(&step, cancel).await,
            None => Ok(()),
        }
    }
}

impl<J: Joiner> Handler<J> {
    pub fn new(context: &Context, joiner: J, keep: Keep) -> Self {
        Self {
            context: context.clone(),
            joiner,
            keep,
        }
    }

    async fn package(&self, step: &Step, cancel: &CancellationToken) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            let Some(look) = self.look(step).await? else {
                return Ok(());
            };
            let done = match (look.video.status, look.standing.all_made) {
                (Status::Ready, _) => return self.ready(&look.video).await,
                (Status::Processing | Status::Playable, true) => self.complete(&look, step, cancel).await?,
                (Status::Processing | Status::Playable, false) => self.grow(&look).await?,
                _ => return Ok(()),
            };
            if done {
                return Ok(());
            }
        }
        Err(anyhow!("the ledger kept changing").into())
    }

    async fn look(&self, step: &Step) -> Result<Option<Look>, Failure> {
        let (id, generation) = (step.video_id, step.generation);
        let catalog = &self.context.catalog;
        let video = catalog.video(id).await?.filter(|video| video.generation == generation);
        let (Some(video), Some(plan)) = (video, catalog.plan(id, generation).await?) else {
            return Ok(None);
        };
        // The manifest first: what the ledger says then is at least as new.
        let before = catalog.manifest(id, generation).await?.unwrap_or_default();
        let steps = catalog.steps(id, generation).await?;
        Ok(Some(Look {
            video,
            before,
            standing: standing(&plan, &steps),
        }))
    }

    /// Writes what can be played by now. True when that is what the catalog says.
    async fn grow(&self, look: &Look) -> Result<bool, Failure> {
        let progress = &look.standing.progress;
        let known = look.before.manifest == progress.manifest && look.video.status == progress.status;
        if !known {
            let now = self.context.clock.now();
            let catalog = &self.context.catalog;
            if !catalog
                .advance(&look.video, look.before.revision, progress, None, now)
                .await?
            {
                return Ok(false);
            }
        }
        if look.standing.overview_due {
            self.request_overview(&look.video).await?;
        }
        if progress.status == Status::Playable {
            self.context
                .publish(Function::Package, Payload::Playable(look.video.clip()))
                .await?;
        }
        Ok(true)
    }

    /// The rung that it is made of is there.
    async fn request_overview(&self, video: &Video) -> Result<(), Failure> {
        let step = Step {
            video_id: video.id,
            generation: video.generation,
            step: Function::Thumbnail.to_string(),
            unit: OVERVIEW.to_owned(),
        };
        Ok(self
            .context
            .publish(Function::Package, Payload::UnitRequested(step))
            .await?)
    }

    /// Does the last step and makes the clip ready.
    async fn complete(&self, look: &Look, step: &Step, cancel: &CancellationToken) -> Result<bool, Failure> {
        if look.video.status == Status::Processing {
            // People can watch while the last step runs; it rests on the status that this writes.
            self.grow(look).await?;
            return Ok(false);
        }
        let manifest = &look.standing.progress.manifest;
        let work = |lease: Lease, _| async move { optional(self.joiner.join(manifest, &lease, cancel).await) };
        match self.context.under_lease(step, cancel, work).await? {
            Turn::Worked(lease, download) => self.finish(look, &lease, download).await,
            Turn::Done | Turn::Over => Ok(false),
        }
    }

    async fn finish(&self, look: &Look, lease: &Lease, download: Option<Object>) -> Result<bool, Failure> {
        let mut progress: Progress = look.standing.progress.clone();
        progress.status = Status::Ready;
        progress.manifest.complete = true;
        if download.is_none() {
            progress.warnings.push("download_failed".to_owned());
        }
        progress.manifest.download = download;
        let now = self.context.clock.now();
        let catalog = &self.context.catalog;
        if !catalog
            .advance(&look.video, look.before.revision, &progress, Some(lease), now)
            .await?
        {
            // Somebody changed the clip meanwhile; that is no fault of the step's.
            catalog.interrupt(lease).await?;
            return Ok(false);
        }
        let took = now - look.video.created_at;
        tracing::info!(took_ms = took.num_milliseconds(), "a clip is ready");
        self.ready(&look.video).await?;
        Ok(true)
    }

    /// What follows from being ready; may be repeated.
    async fn ready(&self, video: &Video) -> Result<(), Failure> {
        self.context
            .publish(Function::Package, Payload::Ready(video.clip()))
            .await?;
        if self.keep == Keep::UntilReady {
            self.context.drop_upload(video).await?;
        }
        Ok(())
    }
}

/// A file to take along that cannot be made does not keep the clip from being ready.
fn optional(made: Result<Object, Failure>) -> Result<Option<Object>, Failure> {
    match made {
        Ok(object) => Ok(Some(object)),
        Err(Failure::GiveUp { reason, .. }) => {
            tracing::warn!(reason = format!("{reason:#}"), "going on without a download");
            Ok(None)
        }
        Err(retry) => Err(retry),
    }
}
