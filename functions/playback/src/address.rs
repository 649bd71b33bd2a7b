//! Addresses of objects: at the CDN for public clips where there is one, else signed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::Video;
use toktik_media::playlist::Links;
use toktik_objects::{Answer, Hold, Signer};
use toktik_runtime::http::{Problem, StoreAddress};

use crate::Desk;

/// Makes addresses for one request.
pub(crate) struct Addresses<'a> {
    desk: &'a Desk,
    signer: Signer,
    /// One moment for all of them, so that they are of the same hour.
    now: DateTime<Utc>,
    cdn: Option<&'a str>,
    private: bool,
}

impl Desk {
    pub(crate) fn addresses(&self, video: &Video, store: &StoreAddress) -> Addresses<'_> {
        let public = video.visibility == Visibility::Public;
        Addresses {
            desk: self,
            signer: self.context.objects.signer(store.0.as_deref()),
            now: self.context.clock.now(),
            cdn: self.settings.cdn_url.as_deref().filter(|_| public),
            private: video.visibility == Visibility::Private,
        }
    }
}

impl Addresses<'_> {
    /// For how long what was just made of these addresses may be shown again.
    pub(crate) fn holds(&self) -> Option<Hold> {
        self.signer.holds(self.now, self.desk.settings.playback_url_ttl)
    }

    pub(crate) async fn of(&self, key: &str, disposition: Option<&str>) -> Result<String, Problem> {
        if let (Some(cdn), None) = (self.cdn, disposition) {
            return Ok(format!("{}/{key}", cdn.trim_end_matches('/')));
        }
        // Objects say that they never change; a clip that is private must not stay in a cache for that.
        let cache_control = self.private.then_some("private, no-store");
        let answer = Answer {
            disposition,
            cache_control,
        };
        let ttl = self.desk.settings.playback_url_ttl;
        let signed = self.signer.get(key, answer, self.now, ttl).await;
        Ok(signed.map_err(anyhow::Error::from)?)
    }

    /// The addresses of all these keys, for a playlist to look up.
    pub(crate) async fn of_all(&self, keys: Vec<String>, token: Option<&str>) -> Result<Rendered, Problem> {
        let mut objects = HashMap::with_capacity(keys.len());
        for key in keys {
            let address = self.of(&key, None).await?;
            objects.insert(key, address);
        }
        let suffix = token.map(|token| format!("?token={token}")).unwrap_or_default();
        Ok(Rendered { objects, suffix })
    }
}

/// Addresses as playlists show them: playlists beside the multivariant one, objects as signed.
#[derive(Default)]
pub(crate) struct Rendered {
    objects: HashMap<String, String>,
    /// What a link's bearer needs at every playlist.
    suffix: String,
}

impl Rendered {
    pub(crate) fn playlists_only(token: Option<&str>) -> Self {
        let suffix = token.map(|token| format!("?token={token}")).unwrap_or_default();
        Self {
            objects: HashMap::new(),
            suffix,
        }
    }
}

impl Links for Rendered {
    fn media(&self, name: &str) -> String {
        format!("playlists/{name}.m3u8{}", self.suffix)
    }

    fn iframes(&self, name: &str) -> String {
        format!("playlists/{name}-iframes.m3u8{}", self.suffix)
    }

    fn object(&self, key: &str) -> String {
        self.objects.get(key).cloned().unwrap_or_default()
    }
}
