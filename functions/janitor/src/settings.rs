use std::time::Duration;

use toktik_runtime::settings::{Originals, seconds};

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub originals: Originals,
    /// Time between two rounds, seconds, where this program keeps its own schedule
    #[arg(long, env = "TOKTIK_JANITOR_INTERVAL", default_value = "60", value_parser = seconds)]
    pub janitor_interval: Duration,
}
