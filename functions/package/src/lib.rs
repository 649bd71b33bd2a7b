//! Puts together what the steps have made, and says how far a clip has come.
//!
//! Started by `toktik.step.completed.v1`. Reads the ledger, derives from it what can be played, and writes the manifest
//! and the status that rests on it in one transaction, under a rising revision. When the best picture and its sound are
//! there to the end, joins them into `download.mp4`; that is a step like any other.
//!
//! Emits `toktik.unit.requested.v1` for storyboard and preview when the rung is there of which thumbnail makes them,
//! `toktik.video.playable.v1` and `toktik.video.ready.v1`. Counts nothing: the same ledger gives the same answer.

mod derive;
mod download;
mod handler;

use toktik_events::Function;
use toktik_media::settings::Settings as Media;
use toktik_runtime::settings::Originals;
use toktik_runtime::workshop::Workshops;
use toktik_runtime::{Context, Serverless, Service};

pub use download::Joiner;
pub use handler::Handler;

pub struct Package;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub originals: Originals,
}

impl Serverless for Package {
    const NAME: Function = Function::Package;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let joiner = download::Ffmpeg {
            context: context.clone(),
            workshops: Workshops::new(&settings.media)?,
        };
        let handler = Handler::new(context, joiner, settings.originals.keep_source);
        Ok(Service::events(handler))
    }
}
