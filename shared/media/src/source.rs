//! What was found out about an upload: all that planning and encoding need to know of it.

use serde::{Deserialize, Serialize};

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
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Index of the stream in the file.
    pub stream: u32,
    pub codec: String,
    /// As displayed: display matrix applied, pixels made square.
    pub width: u32,
    pub height: u32,
    /// Timestamp of the first frame in the file's own time.
    pub start: f64,
    pub frame_rate: Fraction,
    pub variable_frame_rate: bool,
    pub transfer: Transfer,
    pub pixel_format: String,
    /// `tv`, `pc` or unknown.
    pub color_range: Option<String>,
    pub color_space: Option<String>,
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
