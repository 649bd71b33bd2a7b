//! Hands out what is watched: playlists rendered from the manifest, and addresses of everything else.
//!
//! Started by requests. Playlists carry signed URLs of segments, since media requests must not redirect (Apple HLS
//! authoring 8.18); pictures and files redirect to one. Also counts views and signs links to private clips.
//!
//! Emits nothing. Never sends media bytes itself, and never changes a clip.

mod address;
mod audience;
mod link;
mod links;
mod media;
mod playlists;
mod settings;
mod shelf;
mod views;

use std::sync::Arc;
use std::time::Duration;

use toktik_catalog::videos::Video;
use toktik_events::{Function, VideoId};
use toktik_media::manifest::Manifest;
use toktik_runtime::http::Problem;
use toktik_runtime::{Context, Crowd, Serverless, Service};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use settings::Settings;

use link::LinkKey;
use shelf::{Shelf, Work};

/// For so long a crowd may be shown a clip that another process has deleted or made private.
const MOMENT: Duration = Duration::from_millis(10);

pub struct Playback;

impl Serverless for Playback {
    const NAME: Function = Function::Playback;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let link_key = LinkKey::new(&settings)?;
        let desk = Arc::new(Desk {
            context: context.clone(),
            settings,
            link_key,
            videos: Crowd::keeping(MOMENT, context.catalog.writes()),
            shelf: Shelf::default(),
        });
        let router = OpenApiRouter::new()
            .routes(routes!(playlists::multivariant))
            .routes(routes!(playlists::media))
            .routes(routes!(media::poster_jpeg))
            .routes(routes!(media::poster_webp))
            .routes(routes!(media::storyboard))
            .routes(routes!(media::preview))
            .routes(routes!(media::audio))
            .routes(routes!(media::download))
            .routes(routes!(views::view))
            .routes(routes!(links::create))
            .with_state(desk);
        Ok(Service::http(router))
    }
}

/// What every endpoint works with.
struct Desk {
    context: Context,
    settings: Settings,
    link_key: LinkKey,
    videos: Crowd<VideoId, Result<Option<Arc<Video>>, Problem>>,
    shelf: Shelf,
}

impl Desk {
    /// The clip as it is at this moment: whether it may be watched is asked anew each time, for a crowd once in a while.
    async fn video(&self, id: VideoId) -> Result<Option<Arc<Video>>, Problem> {
        let video = self.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
        Ok(video.map(Arc::new))
    }

    /// What has been made of the clip; 404 `not_ready` before anything is.
    async fn manifest(&self, video: &Video) -> Result<Arc<Manifest>, Problem> {
        let work = Work::of(video);
        if let Some(manifest) = self.shelf.manifests.get(&work) {
            return Ok(manifest);
        }
        let item = self.context.catalog.manifest(video.id, video.generation).await;
        let item = item.map_err(anyhow::Error::from)?.ok_or_else(not_ready)?;
        let manifest = Arc::new(item.manifest);
        // It may be a later one than the clip said a moment ago.
        self.shelf.keep_manifest(work.at(item.revision), &manifest);
        Ok(manifest)
    }
}

/// It may still come, or the clip has none.
fn missing(manifest: &Manifest) -> Problem {
    if manifest.complete {
        Problem::not_found()
    } else {
        not_ready()
    }
}

fn not_ready() -> Problem {
    let title = "This has not been made yet. Try again in a moment.";
    Problem::new(axum::http::StatusCode::NOT_FOUND, "not_ready", title).retry_after(2)
}
