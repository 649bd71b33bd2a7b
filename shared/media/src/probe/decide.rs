//! The decision: from ffprobe's listing to a [`Source`] or a refusal. Pure.

use toktik_events::{Rejection, RejectionCode};

use super::listing::{Listing, Packet, Stream};
use super::timing::{Declared, Timing, timing};
use super::{ProbeError, codecs, corrupt, too_long, unsupported};
use crate::process::{Output, RunError};
use crate::settings::GRACE;
use crate::sniff::Container;
use crate::source::{Audio, Fraction, Source, Transfer, Video};

/// Pixels of the side.
const SHORTEST: u32 = 16;
const LONGEST: u32 = 8192;

pub(super) fn decide(output: &Output, container: Container, max_duration: f64) -> Result<Source, ProbeError> {
    // Names of pixel formats and the like are ASCII; anything else must not cost the clip.
    let text = String::from_utf8_lossy(&output.stdout);
    let listing: Listing = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    if output.stderr_tail.contains("Set enable_drefs") {
        return Err(forbidden("This file points to other files; export it as a self-contained video.").into());
    }
    Ok(source(&listing, container, max_duration)?)
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
    let timing = measured(listing, stream, container)?;
    if container.is_picture_format() && timing.frames == 1 {
        return Err(Rejection::new(
            RejectionCode::NotAVideo,
            "This is a still picture, not a video.",
        ));
    }
    if max_duration > 0.0 && timing.duration > max_duration + GRACE {
        return Err(too_long(timing.duration, max_duration));
    }
    Ok(Source {
        demuxer: container.demuxer().to_owned(),
        duration: timing.duration,
        video: video(stream, &timing)?,
        audio: sound(listing),
    })
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

/// The first moving picture that can be decoded.
fn picture(listing: &Listing) -> Result<&Stream, Rejection> {
    let moving = || listing.streams.iter().filter(|stream| stream.is_moving());
    if let Some(stream) = moving().find(|stream| stream.codec_name.as_deref().is_some_and(codecs::is_video)) {
        return Ok(stream);
    }
    match moving().next() {
        Some(stream) => Err(unsupported(
            stream.codec_name.as_deref().unwrap_or(&stream.codec_tag_string),
        )),
        None if listing.streams.is_empty() => Err(corrupt()),
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
    timing(packets_of(listing, stream), declared, container.may_jump()).ok_or_else(corrupt)
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
        transfer: transfer(stream.color_transfer.as_deref()),
        pixel_format: stream.pix_fmt.clone().unwrap_or_default(),
        color_range: known(&stream.color_range),
        color_space: known(&stream.color_space),
    })
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

/// The first track that can be decoded and has something in it. Broken sound does not cost the clip its picture.
fn sound(listing: &Listing) -> Option<Audio> {
    let usable = |stream: &&Stream| {
        stream.codec_type == "audio"
            && stream.codec_name.as_deref().is_some_and(codecs::is_audio)
            && stream.channels > 0
            && packets_of(listing, stream).any(|packet| !packet.discarded)
    };
    let stream = listing.streams.iter().find(usable)?;
    Some(Audio {
        stream: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        channels: stream.channels,
        sample_rate: stream.sample_rate.filter(|rate| *rate > 0)?,
    })
}

#[cfg(test)]
mod tests;
