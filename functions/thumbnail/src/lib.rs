//! Makes a clip's pictures: poster, storyboard and animated preview.
//!
//! Started by `toktik.video.accepted.v1`. Without a poster the step fails; without the others the clip carries a warning.
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
