//! Playback links: whoever has one may watch one private clip until it runs out.
//!
//! The token is the end of its life and a MAC over that and the clip's id; nothing is stored.

use anyhow::bail;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use toktik_events::VideoId;

use crate::settings::Settings;

const MIN_SECRET: usize = 32;

#[derive(Clone)]
pub(crate) struct LinkKey(Vec<u8>);

impl LinkKey {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let secret = settings
            .link_secret
            .as_ref()
            .map(|secret| secret.expose().as_bytes().to_vec());
        match secret {
            Some(secret) if secret.len() >= MIN_SECRET => Ok(Self(secret)),
            Some(_) => bail!("TOKTIK_LINK_SECRET has to be at least {MIN_SECRET} bytes long"),
            None => bail!("nothing to sign playback links with: set TOKTIK_LINK_SECRET to {MIN_SECRET} random bytes"),
        }
    }

    pub(crate) fn sign(&self, video: VideoId, until: DateTime<Utc>) -> String {
        let until = until.timestamp();
        format!(
            "{until}.{}",
            URL_SAFE_NO_PAD.encode(self.mac(video, until).finalize().into_bytes())
        )
    }

    pub(crate) fn admits(&self, token: &str, video: VideoId, now: DateTime<Utc>) -> bool {
        let Some((until, mac)) = token.split_once('.') else {
            return false;
        };
        let (Ok(until), Ok(mac)) = (until.parse::<i64>(), URL_SAFE_NO_PAD.decode(mac)) else {
            return false;
        };
        now.timestamp() < until && self.mac(video, until).verify_slice(&mac).is_ok()
    }

    /// The same viewer on the same day, without keeping who that is.
    pub(crate) fn anonymous(&self, viewer: &str, now: DateTime<Utc>) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.0);
        hash.update(now.format("%Y-%m-%d").to_string());
        hash.update(viewer);
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    fn mac(&self, video: VideoId, until: i64) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        #[allow(clippy::expect_used)]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(format!("playback:{video}:{until}").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;

    #[test]
    fn a_link_is_for_one_clip_and_ends() {
        let (key, other) = (LinkKey(vec![1; 32]), LinkKey(vec![2; 32]));
        let (video, now) = (VideoId::random(), DateTime::UNIX_EPOCH + Duration::days(1));
        let token = key.sign(video, now + Duration::hours(1));
        assert!(key.admits(&token, video, now));
        assert!(!key.admits(&token, VideoId::random(), now), "another clip");
        assert!(!key.admits(&token, video, now + Duration::hours(1)), "too late");
        assert!(!other.admits(&token, video, now), "another key");
        let later = format!("9{token}");
        assert!(!key.admits(&later, video, now), "a longer life");
        for garbage in ["", ".", "x.y", "99999999999."] {
            assert!(!key.admits(garbage, video, now), "{garbage}");
        }
    }
}
