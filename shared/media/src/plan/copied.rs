//! The source's own picture as the highest rung: whether it may be that, and how it is cut into segments.
//!
//! Probe has found a picture that every player takes (`Source::gops`). What is decided here is what the ladder asks of a
//! rung: IDRs as often as Apple wants them, a frame rate that is not too high, and a peak that can be asked of viewers.

use serde::{Deserialize, Serialize};

use super::{CELLULAR_SIDE, SOUND, Step};
use crate::source::{Fraction, Gop, Source};

/// How a source is cut whose own picture is a rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Frames of each GOP, from the first to the last.
    pub gops: Vec<u32>,
    /// GOPs of each segment.
    pub segments: Vec<u32>,
    /// Highest bit/s of the picture, over at least half a target duration.
    peak: u64,
}

/// Beyond it the list of GOPs would be the larger part of the plan.
const MOST_GOPS: usize = 2_000;
/// Frames a second: below it our own rungs have no B-frames, because players stumble over their delay.
const SLOWEST: f64 = 10.0;
/// The highest rung of the ladder.
const LARGEST: u32 = 1080;

/// None where the picture has to be encoded like all others.
pub(super) fn cut(source: &Source, frame_rate: Fraction, frames: u64, segment_seconds: u32) -> Option<Copied> {
    let video = &source.video;
    let (width, height) = (video.width, video.height);
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    let same_rate = (frame_rate.as_f64() / video.frame_rate.as_f64() - 1.0).abs() < 0.001;
    let gops = &source.gops;
    let total: u64 = gops.iter().map(|gop| u64::from(gop.frames)).sum();
    let fits = !gops.is_empty() && gops.len() <= MOST_GOPS && even && width.min(height) <= LARGEST;
    if !fits || !same_rate || frame_rate.as_f64() < SLOWEST || total != frames {
        return None;
    }
    // Rounded up: two seconds at 29.97 frames a second are 59.94 frames, and a camera's GOP is 60.
    let begun = |seconds: u32| (u64::from(seconds) * u64::from(frame_rate.num)).div_ceil(u64::from(frame_rate.den));
    let (longest, most) = (begun(2), begun(segment_seconds));
    if gops.iter().any(|gop| u64::from(gop.frames) > longest) {
        return None;
    }
    let segments = gather(gops, most, frame_rate);
    Some(Copied {
        peak: peak(gops, &segments, frame_rate),
        gops: gops.iter().map(|gop| gop.frames).collect(),
        segments,
    })
}

/// As many GOPs to a segment as go into it. A rest of less than half a second belongs to the segment before it.
fn gather(gops: &[Gop], most: u64, frame_rate: Fraction) -> Vec<u32> {
    let mut segments: Vec<u32> = Vec::new();
    let mut length = 0;
    for gop in gops {
        let frames = u64::from(gop.frames);
        match segments.last_mut() {
            Some(last) if length + frames <= most.max(frames) => {
                *last += 1;
                length += frames;
            }
            _ => {
                segments.push(1);
                length = frames;
            }
        }
    }
    let short = length * u64::from(frame_rate.den) * 2 < u64::from(frame_rate.num);
    if short
        && segments.len() > 1
        && let Some(rest) = segments.pop()
        && let Some(last) = segments.last_mut()
    {
        *last += rest;
    }
    segments
}

/// Bit/s of the busiest segment, boxes included.
fn peak(gops: &[Gop], segments: &[u32], frame_rate: Fraction) -> u64 {
    const BOXES: u64 = 16;
    let mut gops = gops.iter();
    let rates = segments.iter().map(|length| {
        let (mut bytes, mut frames) = (0, 0);
        for gop in gops.by_ref().take(*length as usize) {
            bytes += gop.bytes + BOXES * u64::from(gop.frames);
            frames += u64::from(gop.frames);
        }
        bytes * 8 * u64::from(frame_rate.num) / (frames * u64::from(frame_rate.den)).max(1)
    });
    rates.max().unwrap_or(0)
}

/// What may be asked of viewers, bit/s: what cameras record at this size. It is more than our own rung of this size takes,
/// and there are lower ones for whom it is too much. The cellular rung is as small as it is for a reason.
pub(super) fn cap(source: &Source, frame_rate: Fraction, cellular: &Step) -> u64 {
    const PER_PIXEL: u64 = 10;
    let (width, height) = (u64::from(source.video.width), u64::from(source.video.height));
    if width.min(height) <= u64::from(CELLULAR_SIDE) {
        return cellular.max_rate.into();
    }
    let usual = width * height * PER_PIXEL;
    if frame_rate.as_f64() > 31.0 {
        usual / 2 * 3
    } else {
        usual
    }
}

/// What the source's own picture is as a row of the ladder.
pub(super) fn step(copied: &Copied, short_side: u32, cellular: &Step) -> Step {
    let low = short_side <= CELLULAR_SIDE;
    Step {
        short_side,
        crf: 23,
        max_rate: u32::try_from(copied.peak).unwrap_or(u32::MAX).max(1),
        buffer: 4,
        sound: if low { cellular.sound } else { SOUND },
    }
}

impl Copied {
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// The frames with which GOPs begin.
    pub fn keyframes(&self) -> impl Iterator<Item = u64> {
        self.gops.iter().scan(0, |next, frames| {
            let begin = *next;
            *next += u64::from(*frames);
            Some(begin)
        })
    }

    /// Frames of the longest GOP.
    pub fn longest(&self) -> u32 {
        self.gops.iter().copied().max().unwrap_or(1)
    }

    fn lengths(&self) -> Vec<u64> {
        let mut gops = self.gops.iter();
        let length = |gops_of_it: &u32| {
            gops.by_ref()
                .take(*gops_of_it as usize)
                .map(|frames| u64::from(*frames))
                .sum()
        };
        self.segments.iter().map(length).collect()
    }

    /// The frame behind each segment.
    pub(super) fn ends(&self) -> Vec<u64> {
        let mut end = 0;
        let lengths = self.lengths().into_iter();
        lengths
            .map(|length| {
                end += length;
                end
            })
            .collect()
    }

    /// The longest segment's duration, rounded as RFC 8216 4.3.3.1 compares it.
    pub(super) fn target_duration(&self, frame_rate: Fraction) -> u32 {
        let longest = self.lengths().into_iter().max().unwrap_or(0);
        let (num, den) = (u64::from(frame_rate.num.max(1)), u64::from(frame_rate.den));
        let seconds = (longest * den * 2 + num) / (num * 2);
        u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
    }
}
