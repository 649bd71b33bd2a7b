//! What notify is told.

use std::time::Duration;

use clap::Args;
use toktik_runtime::settings::seconds;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a stream of events is kept open, seconds; with 0 it ends when it has told how things are
    #[arg(long, env = "TOKTIK_STREAM_TIME", default_value = "25", value_parser = seconds)]
    pub stream_time: Duration,
    /// How often a stream looks for news, seconds
    #[arg(long, env = "TOKTIK_STREAM_POLL", default_value = "1", value_parser = pace)]
    pub stream_poll: Duration,
    /// How many streams this process keeps open at once
    #[arg(long, env = "TOKTIK_STREAM_LIMIT", default_value = "1000")]
    pub stream_limit: usize,
}

fn pace(text: &str) -> Result<Duration, String> {
    let pace = seconds(text)?;
    if (Duration::from_millis(10)..=Duration::from_mins(1)).contains(&pace) {
        return Ok(pace);
    }
    Err("from 0.01 to 60 seconds".to_owned())
}
