//! What was found out about an upload: all that planning and encoding need to know of it.

use serde::{Deserialize, Serialize};

use crate::sniff;

/// An exact ratio, as frame rates and aspect ratios are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    pub num: u32,
    pub den: u32,
}

impl Fraction {
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den }
    }

    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// An upload that can be played. Times are seconds, sizes pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// ffmpeg's name of the one demuxer that may open this file, forced from the sniffed content.
    pub demuxer: String,
    /// End of the last video frame, counted from the first, by the packets and not by the header's word.
    pub duration: f64,
    pub video: Video,
    /// The first audio track, if there is a usable one.
    pub audio: Option<Audio>,
    #[serde(default)]
    pub weight: Weight,
    /// Of a picture that every player takes as it is: its GOPs, from the first to the last. Empty for any other.
    #[serde(default)]
    pub gops: Vec<Gop>,
}

/// A closed group of pictures, which begins with an IDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gop {
    pub frames: u32,
    pub bytes: u64,
}

/// How much there is to read: what the plan reckons with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Bytes of the file.
    pub bytes: u64,
    /// Of these, the picture's.
    pub picture_bytes: u64,
    /// Longest time from one keyframe to the next, or to the end: so much may have to be decoded before a time.
    pub keyframe_gap: f64,
    /// Every second picture can be left undecoded, since no other refers to it.
    #[serde(default)]
    pub thins: bool,
}

impl Source {
    /// Whether the format's clock may jump where recordings were joined. ffmpeg then closes the gaps, and counts from
    /// the earliest of the streams that are read; otherwise times are the file's own.
    pub fn clock_jumps(&self) -> bool {
        matches!(self.demuxer.as_str(), "mpegts" | "mpeg")
    }

    /// Whether the file has no times at all.
    pub fn is_bare(&self) -> bool {
        sniff::BARE.contains(&self.demuxer.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Index of the stream in the file.
    pub stream: u32,
    pub codec: String,
    /// As displayed: display matrix applied, pixels made square.
    pub width: u32,
    pub height: u32,
    /// Time of the first frame on the clock by which ffmpeg reads the file ([`Source::clock_jumps`]).
    pub start: f64,
    pub frame_rate: Fraction,
    pub variable_frame_rate: bool,
    /// Two fields of different moments in each frame.
    #[serde(default)]
    pub interlaced: bool,
    pub transfer: Transfer,
    pub pixel_format: String,
    /// `tv`, `pc` or unknown.
    pub color_range: Option<String>,
    pub color_space: Option<String>,
    /// More colours than BT.709 has: BT.2020.
    #[serde(default)]
    pub wide_gamut: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    pub stream: u32,
    pub codec: String,
    pub channels: u32,
    pub sample_rate: u32,
}

/// How the picture's light is coded; all but `Sdr` is tone-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    Sdr,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}
