//! Takes in clips: says where the bytes go, and notices when they are there.
//!
//! Started by requests. The bytes go from the client straight to the object store, by URLs that bind their exact length
//! and type; large ones in parts that are signed on demand, so that an upload can go on after an interruption.
//!
//! Emits `toktik.video.uploaded.v1`, and `toktik.video.deleted.v1` for an upload that is called off. Never sees a byte of
//! a clip, and never waits for one.

mod create;
mod finish;
mod parts;
mod settings;
mod view;

use std::sync::Arc;

use toktik_catalog::videos::{Status, Video};
use toktik_events::{Function, VideoId};
use toktik_identity::Identity;
use toktik_objects::Signer;
use toktik_runtime::http::{Problem, StoreAddress};
use toktik_runtime::{Context, Serverless, Service, access};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use settings::Settings;

pub struct Upload;

impl Serverless for Upload {
    const NAME: Function = Function::Upload;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let desk = Arc::new(Desk {
            context: context.clone(),
            settings,
        });
        let router = OpenApiRouter::new()
            .routes(routes!(create::create))
            .routes(routes!(parts::list, parts::sign))
            .routes(routes!(finish::complete))
            .routes(routes!(finish::cancel))
            .with_state(desk);
        Ok(Service::http(router))
    }
}

/// What every endpoint works with.
struct Desk {
    context: Context,
    settings: Settings,
}

impl Desk {
    fn signer(&self, address: &StoreAddress) -> Signer {
        self.context.objects.signer(address.0.as_deref())
    }

    /// The clip, if the caller commands it.
    async fn own(&self, id: VideoId, caller: &Identity) -> Result<Video, Problem> {
        let video = self.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
        let video = video.ok_or_else(Problem::not_found)?;
        access::require_command(&video, caller)?;
        Ok(video)
    }

    /// The same while it waits for its bytes.
    async fn own_upload(&self, id: VideoId, caller: &Identity) -> Result<Video, Problem> {
        let video = self.own(id, caller).await?;
        if video.status == Status::Uploading {
            return Ok(video);
        }
        let title = "This clip's upload is over.";
        Err(Problem::conflict("not_uploading", title))
    }
}
