//! What has been made of a clip so far: what package writes and playback renders playlists from.

use serde::{Deserialize, Serialize};

use crate::cmaf;
use crate::plan::{self, Plan, Rung};
use crate::source::Fraction;

/// Sizes are bytes, durations seconds, bandwidths bit/s.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Every required step is done: playlists are `VOD` and final.
    pub complete: bool,
    /// `EXT-X-TARGETDURATION` of every media playlist, whole seconds; the same from the first segment to the last.
    pub target_duration: u32,
    /// Of each rendition, once it is whole; none if that is not known.
    #[serde(default)]
    pub segments: Option<u64>,
    /// Highest first; only those that have a segment.
    pub variants: Vec<Variant>,
    /// Best first; empty for a silent clip.
    pub sounds: Vec<Sound>,
    pub poster: Option<Poster>,
    pub storyboard: Option<Storyboard>,
    pub preview: Option<Object>,
    pub mp3: Option<Object>,
    pub download: Option<Object>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The rung's: `480p`.
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate: Fraction,
    /// Cap of the picture, bit/s: announced until all segments can be measured.
    pub max_rate: u32,
    /// Name of the sound it is played with.
    pub sound: Option<String>,
    pub rendition: Rendition,
}

/// A sound, which is an audio group of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    /// `audio`, `audio-low`.
    pub name: String,
    /// Planned bit/s.
    pub bit_rate: u32,
    pub channels: u32,
    pub rendition: Rendition,
}

/// One track as init segment and media segments, each an object of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// RFC 6381: `avc1.64001f`, `mp4a.40.2`.
    pub codecs: String,
    /// Key prefix of each unit that contributes segments, in order.
    pub parts: Vec<Part>,
}

/// The contiguous segments of one unit, beside the `init.mp4` they need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The folder, ending in `/`; files in it are `init.mp4`, `00000.m4s`, `00001.m4s` ...
    pub prefix: String,
    pub init_size: u64,
    /// Of the init segment's bytes: parts that agree in it can share one.
    pub init_hash: u64,
    pub segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub duration: f64,
    pub size: u64,
    /// Empty for audio.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyframes: Vec<Keyframe>,
}

/// Where an I-frame lies in its segment: its `moof` and `mdat`, which hold nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyframe {
    pub offset: u64,
    pub size: u64,
    /// Until the next one.
    pub duration: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub key: String,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poster {
    pub jpeg: Object,
    pub webp: Object,
}

/// One sprite of equal tiles, filled row by row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storyboard {
    pub sprite: Object,
    pub tile_width: u32,
    pub tile_height: u32,
    pub columns: u32,
    pub tiles: u32,
    /// Seconds of the clip that one tile stands for.
    pub interval: f64,
}

impl Manifest {
    pub fn sound(&self, name: &str) -> Option<&Sound> {
        self.sounds.iter().find(|sound| sound.name == name)
    }

    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The sound a variant is played with.
    pub fn sound_of(&self, variant: &Variant) -> Option<&Sound> {
        variant.sound.as_deref().and_then(|name| self.sound(name))
    }

    /// What a player must be able to receive, bit/s: planned while the clip is growing, measured when it is complete
    /// (Apple HLS authoring 1.26 and 1.27). Picture and sound are added, as RFC 8216 4.3.4.2 asks.
    pub fn bandwidth(&self, variant: &Variant) -> u64 {
        let sound = self.sound_of(variant);
        if !self.complete {
            return u64::from(variant.max_rate) + sound.map_or(0, |sound| u64::from(sound.bit_rate));
        }
        let target = self.target_duration;
        variant.rendition.peak(target) + sound.map_or(0, |sound| sound.rendition.peak(target))
    }

    /// Measured, bit/s; none while the clip is growing.
    pub fn average_bandwidth(&self, variant: &Variant) -> Option<u64> {
        let sound = self.sound_of(variant);
        let average = variant.rendition.average() + sound.map_or(0, |sound| sound.rendition.average());
        self.complete.then_some(average)
    }
}

impl Manifest {
    /// Whether an object is part of what the clip is made of; every other one is a lost attempt's.
    pub fn names(&self, key: &str) -> bool {
        let renditions = self.variants.iter().map(|variant| &variant.rendition);
        let renditions = renditions.chain(self.sounds.iter().map(|sound| &sound.rendition));
        let mut parts = renditions.flat_map(|rendition| &rendition.parts);
        parts.any(|part| part.names(key)) || self.objects().any(|object| object.key == key)
    }

    fn objects(&self) -> impl Iterator<Item = &Object> {
        let poster = self.poster.iter().flat_map(|poster| [&poster.jpeg, &poster.webp]);
        let sprite = self.storyboard.iter().map(|storyboard| &storyboard.sprite);
        let files = [&self.preview, &self.mp3, &self.download].into_iter().flatten();
        poster.chain(sprite).chain(files)
    }
}

impl Variant {
    pub fn new(plan: &Plan, rung: &Rung, rendition: Rendition) -> Self {
        Self {
            name: rung.name.clone(),
            width: rung.width,
            height: rung.height,
            frame_rate: plan.frame_rate,
            max_rate: rung.max_rate,
            sound: rung.sound.clone(),
            rendition,
        }
    }
}

impl Sound {
    pub fn new(sound: &plan::Sound, rendition: Rendition) -> Self {
        Self {
            name: sound.name.clone(),
            bit_rate: sound.bit_rate,
            channels: 2,
            rendition,
        }
    }
}

impl Part {
    /// What a run stored after its last segment was published is nobody's.
    fn names(&self, key: &str) -> bool {
        let Some(name) = key.strip_prefix(&self.prefix) else {
            return false;
        };
        name == cmaf::INIT || (0..self.segments.len()).any(|index| name == cmaf::segment_name(index))
    }

    pub fn init_key(&self) -> String {
        format!("{}{}", self.prefix, cmaf::INIT)
    }

    pub fn segment_key(&self, index: usize) -> String {
        format!("{}{}", self.prefix, cmaf::segment_name(index))
    }
}

impl Rendition {
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.parts.iter().flat_map(|part| &part.segments)
    }

    /// Seconds.
    pub fn duration(&self) -> f64 {
        self.segments().map(|segment| segment.duration).sum()
    }

    /// Highest bit/s of a run of segments.
    pub fn peak(&self, target_duration: u32) -> u64 {
        peak(&self.runs(), target_duration)
    }

    /// Bit/s.
    pub fn average(&self) -> u64 {
        average(&self.runs())
    }

    /// The same of a player that loads I-frames only.
    pub fn keyframe_peak(&self, target_duration: u32) -> u64 {
        peak(&self.keyframe_runs(), target_duration)
    }

    pub fn keyframe_average(&self) -> u64 {
        average(&self.keyframe_runs())
    }

    fn runs(&self) -> Vec<Run> {
        self.segments()
            .map(|segment| Run {
                bytes: segment.size,
                seconds: segment.duration,
            })
            .collect()
    }

    fn keyframe_runs(&self) -> Vec<Run> {
        let keyframes = self.segments().flat_map(|segment| &segment.keyframes);
        keyframes
            .map(|keyframe| Run {
                bytes: keyframe.size,
                seconds: keyframe.duration,
            })
            .collect()
    }
}

/// Bytes that have to arrive in a time.
#[derive(Clone, Copy, Default)]
struct Run {
    bytes: u64,
    seconds: f64,
}

impl Run {
    fn and(self, next: Self) -> Self {
        Self {
            bytes: self.bytes + next.bytes,
            seconds: self.seconds + next.seconds,
        }
    }

    /// Bit/s, rounded up: what is announced is never below what is sent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes of files"
    )]
    fn rate(self) -> u64 {
        if self.seconds > 0.0 {
            (self.bytes as f64 * 8.0 / self.seconds).ceil() as u64
        } else {
            0
        }
    }
}

/// RFC 8216 4.1: the largest bit rate of any contiguous set of segments whose duration is between 0.5 and 1.5 times
/// the target duration. A clip without such a set has its average for a peak.
fn peak(runs: &[Run], target_duration: u32) -> u64 {
    let target = f64::from(target_duration);
    let mut peak = average(runs);
    for first in 0..runs.len() {
        let mut sum = Run::default();
        for run in &runs[first..] {
            sum = sum.and(*run);
            if sum.seconds > target * 1.5 {
                break;
            }
            if sum.seconds >= target * 0.5 {
                peak = peak.max(sum.rate());
            }
        }
    }
    peak
}

fn average(runs: &[Run]) -> u64 {
    runs.iter().copied().fold(Run::default(), Run::and).rate()
}

#[cfg(test)]
mod tests;
