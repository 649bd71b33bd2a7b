//! Decides what becomes of an upload.
//!
//! Started by an object that arrives in the bucket and by `toktik.video.uploaded.v1`, both of which may come, in any
//! order, again and again. Pins the bytes by their ETag, looks at them in the sandbox, and either writes the plan into
//! the ledger or refuses the clip.
//!
//! Emits `toktik.unit.requested.v1` for each unit and `toktik.video.accepted.v1`, or `toktik.video.rejected.v1`.
//!
//! Never decodes more than it has to, and never believes a file's name or header.

mod examine;
mod handler;

use toktik_events::Function;
use toktik_media::settings::{Settings as Media, Units};
use toktik_runtime::workshop::Workshops;
use toktik_runtime::{Context, Serverless, Service};

pub use examine::{Examiner, Finding};
pub use handler::Handler;

pub struct Probe;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub units: Units,
}

impl Serverless for Probe {
    const NAME: Function = Function::Probe;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let examiner = examine::Sandbox {
            context: context.clone(),
            workshops: Workshops::new(&settings.media)?,
            settings: settings.media,
            units: settings.units,
        };
        Ok(Service::events(Handler::new(context, examiner)))
    }
}
