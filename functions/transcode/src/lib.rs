//! Makes one unit of a clip's plan: several rungs of the picture from one decode, or the sounds.
//!
//! Started by `toktik.unit.requested.v1`. Writes init and media segments as objects of their own, each under a key that
//! no other attempt uses, and records them in the ledger.
//!
//! Emits `toktik.step.completed.v1`, or `toktik.video.rejected.v1` when more than half of the clip does not decode.
//!
//! Never decides what is to be made (the plan does), and never writes a playlist (playback does).

mod handler;
mod order;
mod pace;
mod segments;

use toktik_events::Function;
use toktik_media::settings::{Settings as Media, Units};
use toktik_runtime::{Context, Serverless, Service};

pub struct Transcode;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub units: Units,
}

impl Serverless for Transcode {
    const NAME: Function = Function::Transcode;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        Ok(Service::events(handler::Handler::new(&settings, context)?))
    }
}
