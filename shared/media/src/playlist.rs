//! HLS playlists and the storyboard's cues, rendered from a manifest. Pure: the same manifest gives the same text.
//!
//! Addresses are the caller's: it knows the routes and signs what has to be signed.

use std::fmt::Write;

use crate::manifest::{Manifest, Part, Rendition, Segment, Sound, Storyboard, Variant};

/// `Content-Type` of a playlist (Apple HLS authoring 10.4).
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// Turns names and keys into addresses.
pub trait Links {
    /// Of the media playlist of a variant or sound, by its name.
    fn media(&self, name: &str) -> String;
    /// Of the I-frame playlist of a variant, by its name.
    fn iframes(&self, name: &str) -> String;
    /// Of a stored object, by its key.
    fn object(&self, key: &str) -> String;
}

/// What all media playlists of a clip have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub complete: bool,
    pub target_duration: u32,
    pub segments: Option<u64>,
}

impl From<&Manifest> for State {
    fn from(manifest: &Manifest) -> Self {
        Self {
            complete: manifest.complete,
            target_duration: manifest.target_duration,
            segments: manifest.segments,
        }
    }
}

impl State {
    /// Whether nothing more will be added to this rendition. Others of the clip may still grow, but whoever has seen this one
    /// to its end is not to wait for them.
    fn has_ended(self, rendition: &Rendition) -> bool {
        self.complete
            || self
                .segments
                .is_some_and(|all| rendition.segments().count() as u64 >= all)
    }
}

/// Fragmented MP4 in `EXT-X-MAP` needs 6 (RFC 8216 7), and every packager says 7 for it.
const HEADER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n";

/// The playlist that names all others.
pub fn multivariant(manifest: &Manifest, links: &impl Links) -> String {
    let mut text = String::from(HEADER);
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    for sound in &manifest.sounds {
        text.push_str(&sound_line(sound, links));
    }
    for variant in starting_first(manifest) {
        text.push_str(&variant_lines(manifest, variant, links));
    }
    for variant in &manifest.variants {
        text.push_str(&iframe_line(manifest, variant, links));
    }
    text
}

/// What a player may take for its first guess, bit/s.
const STARTING_BANDWIDTH: u64 = 2_000_000;

/// Native players begin with the variant that is listed first, so that is one which most networks carry; the others
/// follow highest first. Players that choose by themselves sort the list anyway.
fn starting_first(manifest: &Manifest) -> Vec<&Variant> {
    let mut variants: Vec<&Variant> = manifest.variants.iter().collect();
    let light = |variant: &&Variant| manifest.bandwidth(variant) <= STARTING_BANDWIDTH;
    let start = variants
        .iter()
        .position(light)
        .unwrap_or(variants.len().saturating_sub(1));
    if let Some(first) = variants.get_mut(..=start) {
        first.rotate_right(1);
    }
    variants
}

/// `LANGUAGE` is required (Apple HLS authoring 8.10), and nobody asked for it: undetermined.
fn sound_line(sound: &Sound, links: &impl Links) -> String {
    format!(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"Original\",LANGUAGE=\"und\",DEFAULT=YES,AUTOSELECT=YES,\
         CHANNELS=\"{}\",URI=\"{}\"\n",
        sound.name,
        sound.channels,
        links.media(&sound.name)
    )
}

fn variant_lines(manifest: &Manifest, variant: &Variant, links: &impl Links) -> String {
    let Variant {
        name,
        width,
        height,
        rendition,
        ..
    } = variant;
    let sound = manifest.sound_of(variant);
    let mut line = format!("#EXT-X-STREAM-INF:BANDWIDTH={}", manifest.bandwidth(variant));
    if let Some(average) = manifest.average_bandwidth(variant) {
        append(&mut line, format_args!(",AVERAGE-BANDWIDTH={average}"));
    }
    let codecs = [Some(&rendition.codecs), sound.map(|sound| &sound.rendition.codecs)];
    let codecs: Vec<&str> = codecs.into_iter().flatten().map(String::as_str).collect();
    append(
        &mut line,
        format_args!(",CODECS=\"{}\",RESOLUTION={width}x{height}", codecs.join(",")),
    );
    append(
        &mut line,
        format_args!(",FRAME-RATE={:.3}", variant.frame_rate.as_f64()),
    );
    if let Some(sound) = sound {
        append(&mut line, format_args!(",AUDIO=\"{}\"", sound.name));
    }
    // Without this attribute players look for closed captions in the picture.
    append(
        &mut line,
        format_args!(",CLOSED-CAPTIONS=NONE\n{}\n", links.media(name)),
    );
    line
}

/// Apple HLS authoring 6.1: for trick play.
fn iframe_line(manifest: &Manifest, variant: &Variant, links: &impl Links) -> String {
    let Variant {
        name,
        width,
        height,
        rendition,
        ..
    } = variant;
    let mut line = format!(
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={}",
        iframe_bandwidth(manifest, variant)
    );
    if manifest.complete {
        append(
            &mut line,
            format_args!(",AVERAGE-BANDWIDTH={}", rendition.keyframe_average()),
        );
    }
    append(
        &mut line,
        format_args!(",CODECS=\"{}\",RESOLUTION={width}x{height}", rendition.codecs),
    );
    append(&mut line, format_args!(",URI=\"{}\"\n", links.iframes(name)));
    line
}

/// I-frames are part of the picture, so its cap is theirs until they can be measured.
fn iframe_bandwidth(manifest: &Manifest, variant: &Variant) -> u64 {
    if manifest.complete {
        variant.rendition.keyframe_peak(manifest.target_duration)
    } else {
        u64::from(variant.max_rate)
    }
}

/// The segments of one variant or sound.
pub fn media(rendition: &Rendition, state: State, links: &impl Links) -> String {
    let mut text = media_header(rendition, state);
    text.push_str(&segment_list(rendition, links, |segment, url| {
        format!("#EXTINF:{:.6},\n{url}\n", segment.duration)
    }));
    end(&mut text, rendition, state);
    text
}

/// The I-frames of one variant, as ranges of its segments.
pub fn iframes(rendition: &Rendition, state: State, links: &impl Links) -> String {
    let mut text = media_header(rendition, state);
    text.push_str("#EXT-X-I-FRAMES-ONLY\n");
    text.push_str(&segment_list(rendition, links, keyframe_lines));
    end(&mut text, rendition, state);
    text
}

/// A part's init segment is named only where it differs from the one before: ffmpeg warns of a second one.
fn segment_list(rendition: &Rendition, links: &impl Links, entry: impl Fn(&Segment, &str) -> String) -> String {
    let mut text = String::new();
    let mut init = None;
    for part in &rendition.parts {
        if init.replace(part.init_hash) != Some(part.init_hash) {
            text.push_str(&map_line(part, links));
        }
        for (index, segment) in part.segments.iter().enumerate() {
            text.push_str(&entry(segment, &links.object(&part.segment_key(index))));
        }
    }
    text
}

fn keyframe_lines(segment: &Segment, url: &str) -> String {
    let mut text = String::new();
    for keyframe in &segment.keyframes {
        append(&mut text, format_args!("#EXTINF:{:.6},\n", keyframe.duration));
        append(
            &mut text,
            format_args!("#EXT-X-BYTERANGE:{}@{}\n{url}\n", keyframe.size, keyframe.offset),
        );
    }
    text
}

/// A growing playlist is an `EVENT`, and players start those at the live edge unless told otherwise.
fn media_header(rendition: &Rendition, state: State) -> String {
    let longest = rendition
        .segments()
        .map(|segment| segment.duration.round())
        .fold(0.0, f64::max);
    let target = f64::from(state.target_duration).max(longest).max(1.0);
    let kind = if state.complete {
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
    } else {
        "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n"
    };
    format!("{HEADER}#EXT-X-TARGETDURATION:{target:.0}\n#EXT-X-MEDIA-SEQUENCE:0\n{kind}")
}

fn map_line(part: &Part, links: &impl Links) -> String {
    format!("#EXT-X-MAP:URI=\"{}\"\n", links.object(&part.init_key()))
}

fn end(text: &mut String, rendition: &Rendition, state: State) {
    if state.has_ended(rendition) {
        text.push_str("#EXT-X-ENDLIST\n");
    }
}

fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).ok();
}

/// WebVTT whose cues are tiles of the sprite, as media fragments `#xywh=`.
pub fn storyboard_vtt(storyboard: &Storyboard, duration: f64, sprite_url: &str) -> String {
    let Storyboard {
        tile_width,
        tile_height,
        columns,
        tiles,
        interval,
        ..
    } = *storyboard;
    let mut text = String::from("WEBVTT\n");
    for tile in 0..tiles {
        let start = f64::from(tile) * interval;
        let end = if tile + 1 == tiles {
            duration
        } else {
            (start + interval).min(duration)
        };
        if start >= end {
            break;
        }
        let (x, y) = (tile % columns.max(1) * tile_width, tile / columns.max(1) * tile_height);
        append(&mut text, format_args!("\n{} --> {}\n", cue_time(start), cue_time(end)));
        append(
            &mut text,
            format_args!("{sprite_url}#xywh={x},{y},{tile_width},{tile_height}\n"),
        );
    }
    text
}

/// `hh:mm:ss.ttt`, as WebVTT has it.
fn cue_time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let millis = (seconds * 1000.0).round() as u64;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}.{millis:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests;
