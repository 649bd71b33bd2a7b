//! What the gateway is told.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser};
use toktik_runtime::settings::{Listen, Log, seconds};

use crate::target::{Origin, Template};

/// One address for all of Toktik's functions that answer requests
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub server: Listen,
    #[command(flatten)]
    pub gateway: Settings,
    #[command(flatten)]
    pub log: Log,
}

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where a function is; `{function}` stands for its name
    #[arg(
        long,
        env = "TOKTIK_GATEWAY_TARGET",
        value_name = "URL",
        default_value = "http://{function}"
    )]
    pub target: Template,
    /// Where the object store is, if browsers are to reach it through the gateway
    #[arg(long, env = "TOKTIK_GATEWAY_STORE", value_name = "URL")]
    pub store: Option<Origin>,
    /// The bucket whose objects are reached so
    #[arg(long, env = "TOKTIK_BUCKET", default_value = "toktik")]
    pub bucket: String,
    /// How long a function may take to begin its answer, starting from zero included, seconds
    #[arg(long, env = "TOKTIK_GATEWAY_TIMEOUT", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
    /// Believe the X-Forwarded-For and X-Forwarded-Proto of proxies in front, which are known by their private addresses
    #[arg(long, env = "TOKTIK_TRUST_PROXY", value_parser = BoolishValueParser::new())]
    pub trust_proxy: bool,
}
