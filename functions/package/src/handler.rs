//! Reads the ledger, writes what follows from it, and says so.

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Lease, ManifestItem, OVERVIEW};
use toktik_catalog::results;
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::Step;
use toktik_events::{Function, Message, Payload};
use toktik_media::manifest::{Manifest, Object};
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
            let done = match look.video.status {
                Status::Ready => return self.ready(&look.video).await,
                Status::Processing | Status::Playable => {
                    self.grow(&look).await? && self.go_on(&look, step, cancel).await?
                }
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
        if look.before.manifest == progress.manifest && look.video.status == progress.status {
            return Ok(true);
        }
        let (before, now) = (look.before.revision, self.context.clock.now());
        Ok(self.context.catalog.advance(&look.video, before, progress, now).await?)
    }

    /// What follows from what can be played by now. True when that is all.
    async fn go_on(&self, look: &Look, step: &Step, cancel: &CancellationToken) -> Result<bool, Failure> {
        let standing = &look.standing;
        if standing.progress.status == Status::Ready {
            let took = self.context.clock.now() - look.video.created_at;
            tracing::info!(took_ms = took.num_milliseconds(), "a clip is ready");
            self.ready(&look.video).await?;
            return Ok(true);
        }
        if standing.overview_due {
            self.request_overview(&look.video).await?;
        }
        if standing.progress.status == Status::Playable {
            self.context
                .publish(Function::Package, Payload::Playable(look.video.clip()))
                .await?;
        }
        if standing.download_due {
            self.join(&standing.progress.manifest, step, cancel).await?;
        }
        Ok(!standing.download_due)
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

    /// Makes the file to take along, which may have been all that was missing.
    async fn join(&self, manifest: &Manifest, step: &Step, cancel: &CancellationToken) -> Result<(), Failure> {
        let work = |lease: Lease, _| async move { optional(self.joiner.join(manifest, &lease, cancel).await) };
        if let Turn::Worked(lease, download) = self.context.under_lease(step, cancel, work).await? {
            let made = serde_json::to_value(results::Joined { download }).context("recording what was made")?;
            self.context.catalog.finish(&lease, &made).await?;
        }
        Ok(())
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
