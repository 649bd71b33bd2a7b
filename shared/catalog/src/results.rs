//! What the steps leave in the ledger for package to read.

use serde::{Deserialize, Serialize};
use toktik_media::manifest::{Object, Part, Poster, Storyboard};

/// What one unit of transcode made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub tracks: Vec<Track>,
}

/// A rung's or a sound's share of a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The rung or the sound.
    pub name: String,
    /// RFC 6381.
    pub codecs: String,
    /// Those of earlier runs that came to no end, whose segments were published, and that of the run which did.
    pub parts: Vec<Part>,
}

/// What thumbnail made. Only the poster has to be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thumbnails {
    pub poster: Poster,
    pub storyboard: Option<Storyboard>,
    pub preview: Option<Object>,
    /// What could not be made.
    pub warnings: Vec<String>,
}

/// What audio made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    pub mp3: Option<Object>,
    /// What could not be made.
    pub warnings: Vec<String>,
}
