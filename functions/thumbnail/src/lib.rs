//! Makes a clip's pictures: poster, storyboard and animated preview.
//!
//! Started by `toktik.video.accepted.v1` for the poster, without which the clip fails, and by `toktik.unit.requested.v1` for
//! storyboard and preview, once the rung is there of which they are made; without them the clip carries a warning.
//!
//! Emits `toktik.step.completed.v1`.

mod handler;

use toktik_events::Function;
use toktik_media::settings::Settings as Media;
use toktik_runtime::{Context, Serverless, Service};

pub struct Thumbnail;

impl Serverless for Thumbnail {
    const NAME: Function = Function::Thumbnail;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        Ok(Service::events(handler::Handler::new(&settings, context)?))
    }
}

/// The settings of this function alone, for programs that compose several.
pub use handler::{Pictures, Settings};

impl Settings {
    pub fn new(media: Media, pictures: Pictures) -> Self {
        Self { media, pictures }
    }
}
