//! The decision: from ffprobe's listing to a [`Source`] or a refusal. Pure.

use toktik_events::{Rejection, RejectionCode};

use super::listing::{Listing, Packet, Stream};
use super::timing::{Declared, Timing, counted, timing};
use super::{ProbeError, codecs, corrupt, too_long, unsupported};
use crate::process::{Output, RunError};
use crate::settings::GRACE;
use crate::sniff::Container;
use crate::source::{Audio, Fraction, Source, Transfer, Video};

/// Pixels of the side.
const SHORTEST: u32 = 16;
const LONGEST: u32 = 8192;

/// `said`: bytes of film that the container claims to have, if it does.
pub(super) fn decide(
    output: &Output,
    container: Container,
    max_duration: f64,
    said: u64,
) -> Result<Source, ProbeError> {
    // Names of pixel formats and the like are ASCII; anything else must not cost the clip.
    let text = String::from_utf8_lossy(&output.stdout);
    let listing: Listing = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    if output.stderr_tail.contains("Set enable_drefs") {
        return Err(forbidden("This file points to other files; export it as a self-contained video.").into());
    }
    if let Some(rejection) = beyond_decoders(&output.stderr_tail) {
        return Err(rejection.into());
    }
    let source = source(&listing, container, max_duration)?;
    if is_full_of_holes(&listing, &source, said) {
        return Err(corrupt().into());
    }
    Ok(source)
}

/// Sides so large that ffmpeg does not even list them, or gives up.
pub(super) fn beyond_decoders(messages: &str) -> Option<Rejection> {
    let (_, rest) = messages.split_once("Picture size ")?;
    let (size, _) = rest.split_once(" is invalid")?;
    let (width, height) = size.split_once('x')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    (width > LONGEST || height > LONGEST).then(|| out_of_range(width, height))
}

/// Whether the file has room for more than twice the frames that were found, and says or shows by their times that it
/// once had them. Demuxers pass over what they cannot read without a word.
fn is_full_of_holes(listing: &Listing, source: &Source, said: u64) -> bool {
    let found: u64 = listing.packets.iter().filter_map(|packet| packet.size).sum();
    let stream = listing
        .streams
        .iter()
        .find(|stream| stream.index == source.video.stream);
    let frames = stream.map_or(0, |stream| packets_of(listing, stream).count());
    let said_frames = stream.and_then(|stream| stream.frames).unwrap_or(0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let timed_frames = (source.duration * source.video.frame_rate.as_f64()) as usize;
    found.saturating_mul(2) < said && frames.saturating_mul(2) < said_frames.max(timed_frames)
}

/// Not the file's doing: ffprobe is of a version that prints something else, or was cut short.
fn unreadable(error: &serde_json::Error) -> ProbeError {
    let stderr_tail = format!("ffprobe printed something unexpected: {error}");
    ProbeError::Failed(RunError::Failed { code: 0, stderr_tail })
}

fn source(listing: &Listing, container: Container, max_duration: f64) -> Result<Source, Rejection> {
    refuse_carriers(listing, container)?;
    refuse_encrypted(listing)?;
    let stream = picture(listing)?;
    let mut timing = measured(listing, stream, container)?;
    if container.is_picture_format() && timing.frames == 1 {
        return Err(Rejection::new(
            RejectionCode::NotAVideo,
            "This is a still picture, not a video.",
        ));
    }
    if max_duration > 0.0 && timing.duration > max_duration + GRACE {
        return Err(too_long(timing.duration, max_duration));
    }
    let sound = sound(listing, stream);
    if container.may_jump() {
        timing.start -= earliest(stream, sound);
    }
    Ok(Source {
        demuxer: container.demuxer().to_owned(),
        duration: timing.duration,
        video: video(stream, &timing)?,
        audio: sound.and_then(audio),
    })
}

/// Where ffmpeg's clock begins that reads these streams.
fn earliest(picture: &Stream, sound: Option<&Stream>) -> f64 {
    let starts = [picture.start, sound.and_then(|sound| sound.start)];
    let earliest = starts.into_iter().flatten().min_by(f64::total_cmp);
    earliest.unwrap_or_default()
}

/// The text tracks of an AVI are files in the file; a playlist among them is opened by their content.
fn refuse_carriers(listing: &Listing, container: Container) -> Result<(), Rejection> {
    let carries = |stream: &Stream| stream.codec_type == "subtitle" && stream.codec_name.as_deref() != Some("xsub");
    if container == Container::Avi && listing.streams.iter().any(carries) {
        return Err(forbidden(
            "This AVI carries another file as subtitles; export it without subtitles.",
        ));
    }
    Ok(())
}

fn refuse_encrypted(listing: &Listing) -> Result<(), Rejection> {
    let encrypted = listing.streams.iter().any(Stream::is_encrypted);
    if encrypted || listing.packets.iter().any(|packet| packet.encrypted) {
        let message = "This video is copy-protected and cannot be read.";
        return Err(Rejection::new(RejectionCode::Encrypted, message));
    }
    Ok(())
}

fn forbidden(message: &str) -> Rejection {
    Rejection::new(RejectionCode::ForbiddenFormat, message)
}

/// Of the moving pictures that can be decoded, the most prominent; the first of equals. A phone's motion photo has a
/// few large stills as a track beside its film, so that one with far fewer frames than another is no candidate.
fn picture(listing: &Listing) -> Result<&Stream, Rejection> {
    let moving = || listing.streams.iter().filter(|stream| stream.is_moving());
    let decodable = moving().filter(|stream| stream.codec_name.as_deref().is_some_and(codecs::is_video));
    let shown = |stream: &Stream| {
        packets_of(listing, stream)
            .filter(|packet| !packet.flags.discarded)
            .count()
    };
    let counted: Vec<(&Stream, usize)> = decodable.map(|stream| (stream, shown(stream))).collect();
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

fn measured(listing: &Listing, stream: &Stream, container: Container) -> Result<Timing, Rejection> {
    let declared = Declared {
        real: stream.r_frame_rate,
        average: stream.avg_frame_rate,
    };
    let packets = packets_of(listing, stream);
    if container.is_bare() {
        return counted(packets.count(), declared).ok_or_else(corrupt);
    }
    let mut timing = timing(packets, declared, container.may_jump()).ok_or_else(corrupt)?;
    if stream.is_interlaced() {
        timing.frame_rate = of_frames(timing.frame_rate, stream.avg_frame_rate);
    }
    Ok(timing)
}

/// Where each field has a packet of its own, packets come twice as often as frames.
fn of_frames(packets: Fraction, average: Option<Fraction>) -> Fraction {
    let twice = |average: &Fraction| (packets.as_f64() / average.as_f64() - 2.0).abs() < 0.05;
    average.filter(twice).unwrap_or(packets)
}

fn packets_of<'a>(listing: &'a Listing, stream: &Stream) -> impl Iterator<Item = &'a Packet> {
    let index = stream.index;
    listing
        .packets
        .iter()
        .filter(move |packet| packet.stream_index == index)
}

fn video(stream: &Stream, timing: &Timing) -> Result<Video, Rejection> {
    let (width, height) = displayed(stream)?;
    let known = |value: &Option<String>| value.clone().filter(|value| value != "unknown");
    Ok(Video {
        stream: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        width,
        height,
        start: timing.start,
        frame_rate: timing.frame_rate,
        variable_frame_rate: timing.variable,
        interlaced: stream.is_interlaced(),
        transfer: transfer(stream.color_transfer.as_deref()),
        pixel_format: stream.pix_fmt.clone().unwrap_or_default(),
        color_range: known(&stream.color_range),
        color_space: known(&stream.color_space),
        wide_gamut: is_wide(stream),
    })
}

/// BT.2020's matrix stands for its colours, too: hardly anybody uses one without the other.
fn is_wide(stream: &Stream) -> bool {
    let of_2020 = |value: &Option<String>| value.as_deref().is_some_and(|value| value.starts_with("bt2020"));
    of_2020(&stream.color_primaries) || of_2020(&stream.color_space)
}

fn transfer(name: Option<&str>) -> Transfer {
    match name {
        Some("smpte2084") => Transfer::Pq,
        Some("arib-std-b67") => Transfer::Hlg,
        _ => Transfer::Sdr,
    }
}

/// Width and height as a viewer sees them: pixels made square by stretching, then turned.
fn displayed(stream: &Stream) -> Result<(u32, u32), Rejection> {
    if stream.width == 0 || stream.height == 0 {
        return Err(corrupt());
    }
    let (width, height) = square(stream);
    let (width, height) = if is_sideways(stream.rotation()) {
        (height, width)
    } else {
        (width, height)
    };
    if width.min(height) < SHORTEST || width.max(height) > LONGEST {
        return Err(out_of_range(width, height));
    }
    Ok((width, height))
}

/// Never smaller than the coded picture in either direction, so that no detail is lost before the ladder is chosen.
fn square(stream: &Stream) -> (u32, u32) {
    let ratio = stream.sample_aspect_ratio.map_or(1.0, Fraction::as_f64);
    if ratio >= 1.0 {
        (stretched(stream.width, ratio), stream.height)
    } else {
        (stream.width, stretched(stream.height, 1.0 / ratio))
    }
}

fn stretched(side: u32, factor: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let side = (f64::from(side) * factor).round() as u32;
    side
}

/// As ffmpeg's own rotation does, which swaps the sides within a degree of a quarter turn.
fn is_sideways(rotation: f64) -> bool {
    (rotation.rem_euclid(180.0) - 90.0).abs() < 1.0
}

fn out_of_range(width: u32, height: u32) -> Rejection {
    let message = format!(
        "The picture is {width}x{height} pixels; the short side must have at least {SHORTEST}, the long side at most \
         {LONGEST}."
    );
    Rejection::new(RejectionCode::DimensionsOutOfRange, message)
}

/// Of the tracks that belong to the picture, can be decoded and have something in them, the one marked; the first of
/// equals. Broken sound does not cost the clip its picture.
fn sound<'a>(listing: &'a Listing, picture: &Stream) -> Option<&'a Stream> {
    let usable = |stream: &&Stream| {
        stream.codec_type == "audio"
            && stream.codec_name.as_deref().is_some_and(codecs::is_audio)
            && stream.channels > 0
            && stream.sample_rate.is_some_and(|rate| rate > 0)
            && listing.together(picture.index, stream.index)
            && packets_of(listing, stream).any(|packet| !packet.flags.discarded)
    };
    let usable = listing.streams.iter().filter(usable);
    usable.rev().max_by_key(|stream| stream.prominence())
}

fn audio(stream: &Stream) -> Option<Audio> {
    Some(Audio {
        stream: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        channels: stream.channels,
        sample_rate: stream.sample_rate?,
    })
}

#[cfg(test)]
mod tests;
