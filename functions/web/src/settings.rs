//! What web is told.

use clap::Args;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Address of the CDN that playback sends players to, which pages then have to be let read from
    #[arg(long, env = "TOKTIK_CDN_URL")]
    pub cdn_url: Option<String>,
    /// Longest clip that probe accepts, seconds; 0 for no limit. Pages say so before a byte is sent
    #[arg(long, env = "TOKTIK_MAX_DURATION", default_value_t = 60.0)]
    pub max_duration: f64,
    /// Largest file that upload takes, bytes; pages say so too
    #[arg(long, env = "TOKTIK_MAX_UPLOAD_BYTES", default_value_t = 1 << 30)]
    pub max_upload_bytes: u64,
}
