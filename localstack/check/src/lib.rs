//! Reads an HLS presentation byte by byte, as a player would, and says which clauses of the specifications it breaks.
//! Presentations are VOD or growing (`EVENT`), in CMAF, of anybody: all that is known of them is an address.
//!
//! It is a witness: it shares no code with what makes our playlists and segments, and it judges what is there, not what
//! was meant. It does not decode: whether pictures look right is for a decoder to say.
//!
//! `fetch` asks, `playlist` (with `attributes`), `init` and `segment` (over `boxes`) read, `presentation` holds what they
//! read, `rules` judges.
//!
//! "Apple" is Apple's HLS authoring specification.
//!
//! | clause | what is asked |
//! |---|---|
//! | Apple 1.13 | an IDR at least every 2 s (recommended) |
//! | Apple 1.19 | at most 60 frames a second |
//! | Apple 1.26-1.27 | average and peak bandwidth are declared as measured, within 10% |
//! | Apple 1.33 | one aspect ratio |
//! | Apple 6.1 | I-frame playlists: there, true, each range one IDR with its boxes, all of them named |
//! | Apple 7.3 | `tfdt` without gaps, the first alike in all renditions, and no edit list that moves them apart |
//! | Apple 7.4 | segments begin with an IDR, by its NAL unit; flags agree with NAL units |
//! | Apple 7.7 | no segment is longer than the target and 0.5 s |
//! | Apple 8.3 | picture and sound are of one length |
//! | Apple 8.6 | `PLAYLIST-TYPE:VOD` and `ENDLIST`; `EVENT` while it grows |
//! | Apple 8.10 | `LANGUAGE` |
//! | Apple 8.18 | no redirect |
//! | Apple 8.20 | `EXT-X-MAP` |
//! | Apple 9.1-9.15 | `CODECS`, `RESOLUTION`, `FRAME-RATE`, `AVERAGE-BANDWIDTH` are there |
//! | Apple 9.5 | sound is not in the picture's segments (recommended) |
//! | Apple 9.11-9.12 | `EXT-X-INDEPENDENT-SEGMENTS` |
//! | Apple 9.21 | a variant for cellular networks: at most 192 kbit/s |
//! | Apple 10.1, 10.4 | playlists gzip; media types |
//! | RFC 8216 3.3, ISO 14496-12 8 | init and media segments are whole; samples lie in their `mdat`; one sample description; rising sequence numbers |
//! | RFC 8216 4.1, 4.2 | text and attribute lists are well-formed |
//! | RFC 8216 4.3 | `EXTM3U`, `VERSION`, `EXTINF` as the samples have it, `TARGETDURATION`, `MEDIA` and its groups; what variants declare is true |
//! | RFC 8216 6.2.4 | segments of all variants match: number, times, frames, target duration |
//! | RFC 9110 8.6, 14, 15 | answers: status, length, ranges |
//! | Fetch | pages of other origins may read them (recommended) |
//!
//! A target duration under the recommended 6 s (Apple 7.5) is not a finding.

mod attributes;
mod boxes;
mod fetch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod init;
mod playlist;
mod presentation;
mod report;
mod rules;
mod segment;
#[cfg(test)]
mod testing;

use url::Url;

pub use report::{Finding, Report, Severity, Sound, Variant};

use fetch::{Kind, Network, Source};
use presentation::Presentation;

/// There is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not an http address")]
    Address(String),
    #[error("no client can be set up: {0}")]
    Client(reqwest::Error),
    #[error("{place} cannot be fetched: {reason}")]
    Unreachable { place: String, reason: String },
    #[error("{place} answers {status}")]
    Status { place: String, status: u16 },
}

/// Checks the presentation whose multivariant playlist is at `url`.
pub async fn check(url: &str) -> Result<Report, Error> {
    let parsed = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let parsed = parsed.ok_or_else(|| Error::Address(url.to_owned()))?;
    let network = Network::new().map_err(Error::Client)?;
    check_at(&network, &parsed).await
}

async fn check_at(source: &impl Source, url: &Url) -> Result<Report, Error> {
    let (exchange, body) = source.get(url, Kind::Playlist, None).await;
    let place = exchange.place.clone();
    match &exchange.answer {
        Err(reason) => {
            let reason = reason.clone();
            Err(Error::Unreachable { place, reason })
        }
        Ok(answer) if answer.status >= 400 => {
            let status = answer.status;
            Err(Error::Status { place, status })
        }
        Ok(_) => {
            let presentation = Presentation::load(source, url, exchange, &body).await;
            Ok(rules::judge(&presentation))
        }
    }
}
