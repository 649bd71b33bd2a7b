//! What web is told.

use clap::Args;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Address of the CDN that playback sends players to, which pages then have to be let read from
    #[arg(long, env = "TOKTIK_CDN_URL")]
    pub cdn_url: Option<String>,
}
