//! Decides what becomes of a clip when a step has been given up.
//!
//! Started by what hosts and queues send to its queue: `{event, error}` for an event that a handler gave up, the bare
//! event where a queue or a broker only tired of delivering it. A given-up step fails the clip, unless the clip can do
//! without. Tired deliveries are backlog, not failure: only steps that really ran too often fail a clip; the janitor
//! asks for the others again, within six minutes. The word that an account was deleted, which asks for no step, goes
//! back into the outbox.
//!
//! Emits `toktik.video.failed.v1`, or `toktik.step.completed.v1` when the clip goes on without the step.

mod handler;

use toktik_events::Function;
use toktik_runtime::{Context, Serverless, Service};

pub struct DeadLetter;

/// It has no settings of its own.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {}

impl Serverless for DeadLetter {
    const NAME: Function = Function::DeadLetter;
    type Settings = Settings;

    fn start(_: Settings, context: &Context) -> anyhow::Result<Service> {
        Ok(Service::events(handler::Handler {
            context: context.clone(),
        }))
    }
}
