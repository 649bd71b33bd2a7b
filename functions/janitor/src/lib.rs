//! Sweeps up: whatever got stuck, was abandoned or is no longer wanted.
//!
//! Started by `toktik.schedule.tick.v1`, `toktik.video.deleted.v1` and `toktik.user.deleted.v1`. Goes through the clips that somebody still has
//! to look after, never through the whole table: asks again for steps that nobody is at, refuses uploads that never came,
//! removes what belongs to deleted and refused clips, drops originals whose time is over, publishes events that stayed
//! behind, and ranks the popular clips.
//!
//! Emits whatever was owed, and `toktik.video.rejected.v1` for uploads that never came. Repeating a round changes nothing.

mod handler;
mod rank;
mod settings;

pub use settings::Settings;

use toktik_events::Function;
use toktik_runtime::{Context, Serverless, Service};

pub use handler::Janitor as Sweeper;

pub struct Janitor;

impl Serverless for Janitor {
    const NAME: Function = Function::Janitor;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        Ok(Service::events(handler::Janitor::new(
            context,
            settings.originals.keep_source,
        )))
    }
}
