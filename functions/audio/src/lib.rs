//! Makes an MP3 of a clip's sound, tagged with its title and channel and nothing else.
//!
//! Started by `toktik.video.accepted.v1`; a silent clip has no such step. An MP3 that cannot be made is a warning and
//! does not keep the clip from being ready.
//!
//! Emits `toktik.step.completed.v1`. Never makes the sound of the playlists: that is a unit of transcode.

mod handler;

use toktik_events::Function;
use toktik_media::settings::Settings;
use toktik_runtime::{Context, Serverless, Service};

pub struct Audio;

impl Serverless for Audio {
    const NAME: Function = Function::Audio;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        Ok(Service::events(handler::Handler::new(&settings, context)?))
    }
}
