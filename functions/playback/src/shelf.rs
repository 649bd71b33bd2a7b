//! What stays the same for a while and takes long to make: manifests, playlists and signed addresses.
//!
//! Nothing here says whether a clip may be watched. A manifest never changes under its revision; what carries signed
//! addresses is kept no longer than they would be signed the same again.

use std::sync::Arc;

use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::Video;
use toktik_events::VideoId;
use toktik_media::manifest::Manifest;
use toktik_objects::Hold;
use toktik_runtime::Cache;
use toktik_runtime::http::{Entity, StoreAddress};

/// Bytes of memory, roughly; a clip of a minute has a manifest of 20 kB and playlists of 60 kB.
const MANIFESTS: usize = 4 << 20;
const PAGES: usize = 8 << 20;
const ADDRESSES: usize = 1 << 20;
/// What a segment takes in a manifest, its keyframes included.
const SEGMENT: usize = 128;

pub(crate) struct Shelf {
    pub(crate) manifests: Cache<Work, Arc<Manifest>>,
    pages: Cache<Place, (Hold, Page)>,
    addresses: Cache<Place, (Hold, Address)>,
}

/// A playlist.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) body: Entity,
    /// Nothing more will be added to it.
    pub(crate) complete: bool,
}

/// Where an object is to be fetched.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) url: HeaderValue,
    pub(crate) complete: bool,
}

/// What a clip was made into, as of one manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    video: VideoId,
    generation: u32,
    revision: u64,
}

/// One thing of it, for those who reach the store at one address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    work: Work,
    visibility: Visibility,
    name: String,
    store: Option<String>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            manifests: Cache::new(MANIFESTS),
            pages: Cache::new(PAGES),
            addresses: Cache::new(ADDRESSES),
        }
    }
}

impl Work {
    pub(crate) fn of(video: &Video) -> Self {
        Self {
            video: video.id,
            generation: video.generation,
            revision: video.made.revision,
        }
    }

    pub(crate) fn at(self, revision: u64) -> Self {
        Self { revision, ..self }
    }
}

impl Place {
    pub(crate) fn new(video: &Video, name: &str, store: &StoreAddress) -> Self {
        Self {
            work: Work::of(video),
            visibility: video.visibility,
            name: name.to_owned(),
            store: store.0.clone(),
        }
    }
}

impl Shelf {
    pub(crate) fn keep_manifest(&self, work: Work, manifest: &Arc<Manifest>) {
        let renditions = manifest.variants.iter().map(|variant| &variant.rendition);
        let renditions = renditions.chain(manifest.sounds.iter().map(|sound| &sound.rendition));
        let segments: usize = renditions.map(|rendition| rendition.segments().count()).sum();
        let bytes = 2048 + segments * SEGMENT;
        self.manifests.put(work, Arc::clone(manifest), bytes);
    }

    pub(crate) fn page(&self, place: &Place, now: DateTime<Utc>) -> Option<Page> {
        let (hold, page) = self.pages.get(place)?;
        hold.contains(now).then_some(page)
    }

    pub(crate) fn keep_page(&self, place: Place, hold: Option<Hold>, page: &Page) {
        if let Some(hold) = hold {
            self.pages.put(place, (hold, page.clone()), page.body.bytes());
        }
    }

    pub(crate) fn address(&self, place: &Place, now: DateTime<Utc>) -> Option<Address> {
        let (hold, address) = self.addresses.get(place)?;
        hold.contains(now).then_some(address)
    }

    pub(crate) fn keep_address(&self, place: Place, hold: Option<Hold>, address: &Address) {
        if let Some(hold) = hold {
            self.addresses
                .put(place, (hold, address.clone()), address.url.len() * 2);
        }
    }
}
