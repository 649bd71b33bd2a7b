//! The decision: from ffprobe's listing to a [`Source`] or a refusal. Pure.

use toktik_events::{Rejection, RejectionCode};

use super::choice::{earliest, picture, sound};
use super::listing::{Listing, Stream};
use super::shape::{beyond_decoders, displayed};
use super::timing::{Declared, Timing, counted, timing};
use super::words::{corrupt, too_long};
use super::{ProbeError, Samples, common, thinned};
use crate::process::{Output, RunError};
use crate::settings::GRACE;
use crate::sniff::Container;
use crate::source::{Audio, Fraction, Source, Transfer, Video, Weight};

/// `said`: bytes of film that the container claims to have, if it does. With it comes what the samples are to confirm.
pub(super) fn decide(
    output: &Output,
    container: Container,
    max_duration: f64,
    said: u64,
) -> Result<(Source, Option<Samples>), ProbeError> {
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
    let common = common::groups(&listing, &source).map(Samples::Common);
    let samples = common.or_else(|| thinned::pictures(&listing, &source).map(Samples::Thinned));
    Ok((source, samples))
}

/// Whether the file has room for more than twice the frames that were found, and says or shows by their times that it
/// once had them. Demuxers pass over what they cannot read without a word.
fn is_full_of_holes(listing: &Listing, source: &Source, said: u64) -> bool {
    let found: u64 = listing.packets.iter().filter_map(|packet| packet.size).sum();
    let stream = listing
        .streams
        .iter()
        .find(|stream| stream.index == source.video.stream);
    let frames = stream.map_or(0, |stream| listing.packets_of(stream).count());
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
    let picture_bytes = listing.packets_of(stream).filter_map(|packet| packet.size).sum();
    if container.may_jump() {
        timing.start -= earliest(stream, sound);
    }
    Ok(Source {
        demuxer: container.demuxer().to_owned(),
        duration: timing.duration,
        video: video(stream, &timing)?,
        audio: sound.and_then(audio),
        weight: Weight {
            bytes: 0,
            picture_bytes,
            keyframe_gap: timing.keyframe_gap,
            thins: false,
        },
        gops: Vec::new(),
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

fn measured(listing: &Listing, stream: &Stream, container: Container) -> Result<Timing, Rejection> {
    let declared = Declared {
        real: stream.r_frame_rate,
        average: stream.avg_frame_rate,
    };
    let packets = listing.packets_of(stream);
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
