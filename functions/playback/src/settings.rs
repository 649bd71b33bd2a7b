use std::time::Duration;

use toktik_identity::Secret;
use toktik_runtime::settings::{seconds, signed_lifetime};

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a signed playback URL is good, seconds
    #[arg(long, env = "TOKTIK_PLAYBACK_URL_TTL", default_value = "14400", value_parser = signed_lifetime)]
    pub playback_url_ttl: Duration,
    /// Address of a CDN in front of the bucket; used, unsigned, for public clips only
    #[arg(long, env = "TOKTIK_CDN_URL")]
    pub cdn_url: Option<String>,
    /// Secret that signs playback links to private clips; at least 32 bytes
    #[arg(long, env = "TOKTIK_LINK_SECRET", hide_env_values = true)]
    pub link_secret: Option<Secret>,
    /// How long a playback link is good, seconds
    #[arg(long, env = "TOKTIK_LINK_TTL", default_value = "86400", value_parser = seconds)]
    pub link_ttl: Duration,
}
