//! Clips as people see and manage them: the feed, one clip, one's own; edit, delete, retry, like.
//!
//! Started by requests.
//!
//! Emits `toktik.video.updated.v1`, `toktik.video.deleted.v1`, `toktik.video.liked.v1`, and `toktik.video.uploaded.v1`
//! to begin anew with a clip that failed; each through the outbox, so that no change goes unheard.
//!
//! Never touches an object: deleting hides a clip, the janitor removes it.

mod cursor;
mod feed;
mod likes;
mod manage;
mod names;
mod read;
mod view;

use std::sync::Arc;

use toktik_catalog::videos::Video;
use toktik_events::{Function, VideoId};
use toktik_identity::Identity;
use toktik_runtime::http::{Entity, Problem, ServiceAddress};
use toktik_runtime::{Context, Crowd, Serverless, Service, access};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use feed::FeedQuery;
use names::Names;
use read::Shown;

pub struct Videos;

/// It has no settings of its own.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {}

impl Serverless for Videos {
    const NAME: Function = Function::Videos;
    type Settings = Settings;

    fn start(_: Settings, context: &Context) -> anyhow::Result<Service> {
        let desk = Arc::new(Desk {
            context: context.clone(),
            names: Names::default(),
            clips: Crowd::default(),
            feeds: Crowd::default(),
        });
        let router = OpenApiRouter::new()
            .routes(routes!(feed::feed))
            .routes(routes!(read::own))
            .routes(routes!(read::one, manage::edit, manage::delete))
            .routes(routes!(manage::retry))
            .routes(routes!(likes::like, likes::unlike))
            .with_state(desk);
        Ok(Service::http(router))
    }
}

/// What every endpoint works with.
struct Desk {
    context: Context,
    names: Names,
    clips: Crowd<(VideoId, ServiceAddress), Read<Option<Arc<Shown>>>>,
    feeds: Crowd<(FeedQuery, ServiceAddress), Read<Entity>>,
}

/// What everybody who asked is told, be it that something went wrong.
type Read<T> = Result<T, Problem>;

impl Desk {
    async fn visible(&self, id: VideoId, viewer: Option<&Identity>) -> Result<Video, Problem> {
        let video = self.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
        video
            .filter(|video| access::sees(video, viewer))
            .ok_or_else(Problem::not_found)
    }

    async fn commanded(&self, id: VideoId, caller: &Identity) -> Result<Video, Problem> {
        let video = self.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
        let video = video.ok_or_else(Problem::not_found)?;
        access::require_command(&video, caller)?;
        Ok(video)
    }
}
