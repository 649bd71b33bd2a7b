//! Which of a file's streams are played.

use toktik_events::{Rejection, RejectionCode};

use super::codecs;
use super::listing::{Listing, Stream};
use super::words::{corrupt, unsupported};

/// Of the moving pictures that can be decoded, the most prominent; the first of equals. A phone's motion photo has a
/// few large stills as a track beside its film, so that one with far fewer frames than another is no candidate.
pub(super) fn picture(listing: &Listing) -> Result<&Stream, Rejection> {
    let moving = || listing.streams.iter().filter(|stream| stream.is_moving());
    let decodable = moving().filter(|stream| stream.codec_name.as_deref().is_some_and(codecs::is_video));
    let counted: Vec<(&Stream, usize)> = decodable.map(|stream| (stream, listing.shown(stream))).collect();
    let most = counted.iter().map(|(_, frames)| *frames).max().unwrap_or(0);
    let films = counted
        .iter()
        .filter(|(_, frames)| *frames > 0 && frames.saturating_mul(2) >= most);
    if let Some((stream, _)) = films.rev().max_by_key(|(stream, _)| stream.prominence()) {
        return Ok(stream);
    }
    match moving().find(|stream| !stream.codec_name.as_deref().is_some_and(codecs::is_video)) {
        Some(stream) => Err(unsupported(
            stream.codec_name.as_deref().unwrap_or(&stream.codec_tag_string),
        )),
        None if listing.streams.is_empty() || moving().next().is_some() => Err(corrupt()),
        None => Err(Rejection::new(
            RejectionCode::NoVideoStream,
            "This file has no moving picture, only sound or a cover picture.",
        )),
    }
}

/// Of the tracks that belong to the picture, can be decoded and have something in them, the one marked; the first of
/// equals. Broken sound does not cost the clip its picture.
pub(super) fn sound<'a>(listing: &'a Listing, picture: &Stream) -> Option<&'a Stream> {
    let usable = |stream: &&Stream| {
        stream.codec_type == "audio"
            && stream.codec_name.as_deref().is_some_and(codecs::is_audio)
            && stream.channels > 0
            && stream.sample_rate.is_some_and(|rate| rate > 0)
            && listing.together(picture.index, stream.index)
            && listing.shown(stream) > 0
    };
    let usable = listing.streams.iter().filter(usable);
    usable.rev().max_by_key(|stream| stream.prominence())
}

/// Where ffmpeg's clock begins that reads these streams.
pub(super) fn earliest(picture: &Stream, sound: Option<&Stream>) -> f64 {
    let starts = [picture.start, sound.and_then(|sound| sound.start)];
    let earliest = starts.into_iter().flatten().min_by(f64::total_cmp);
    earliest.unwrap_or_default()
}
