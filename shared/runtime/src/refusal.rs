//! Refusing a clip: the ledger first, then everybody who wants to know, then its bytes.

use toktik_catalog::ledger::Lease;
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::Rejected;
use toktik_events::{Function, Payload, Rejection, VideoId};

use crate::context::Context;

impl Context {
    /// Refuses the clip that this lease is for. Does nothing when its fate was decided already.
    pub async fn refuse(&self, from: Function, lease: &Lease, rejection: &Rejection) -> anyhow::Result<()> {
        let Some(video) = self.catalog.video(lease.video_id).await? else {
            return Ok(());
        };
        if video.generation != lease.generation {
            return Ok(());
        }
        let refused = self.catalog.reject(&video, rejection).await?;
        // Nobody is at the clip any more, and it need not wait for the lease's end to be closed.
        self.catalog.release(lease).await?;
        if refused {
            tracing::info!(code = rejection.code.as_str(), "refused a clip");
        }
        self.announce_refusal(from, lease.video_id).await
    }

    /// Says that the clip was refused and removes its bytes, if it was. May be repeated: whoever refused it may not have
    /// come that far.
    pub async fn announce_refusal(&self, from: Function, id: VideoId) -> anyhow::Result<()> {
        let video = self.catalog.video(id).await?;
        let Some(video) = video.filter(|video| video.status == Status::Rejected) else {
            return Ok(());
        };
        if let Some(rejected) = rejected(&video) {
            self.publish(from, Payload::Rejected(rejected)).await?;
        }
        self.drop_objects(&video).await
    }
}

fn rejected(video: &Video) -> Option<Rejected> {
    Some(Rejected {
        video_id: video.id,
        generation: video.generation,
        rejection: video.rejection()?,
    })
}
