//! What a unit of the picture costs: how long a host takes for it. Pure; the plan cuts a clip into units by it.
//!
//! Seconds of CPU are reckoned by the picture's size and by its bits, since both cost: the decoder takes so much for each
//! pixel and so much for each bit, the filters for each pixel of the source, the encoders for each pixel of a rung.
//! The figures are of the machine that this was measured on, the hard end of each, and a quarter more.
//!
//! Measured with ffmpeg 5.1 on two threads of a server's core, on moving test pictures without and with strong noise
//! (0.1 and 3 bits a pixel), 1080p, 4k and 8k, 8 and 10 bits. Nanoseconds a pixel, easy and hard:
//! H.264 2.4 to 3.2 and 26 to 28.5; HEVC 2.9 to 3.6 and 31 to 34; VP9 2.8 and 31 to 33; VP8 2.2 and 8.8 (at 1.1 bits);
//! AV1 2.2 to 3.1 and 18 to 20; `ProRes` 3.0 and 9.5 (at 1.2 and 3.7).
//! That is 1.5 to 2.4 for a pixel, and for a bit 8, 12, 8, 7, 6, 2.6.
//! Scaling takes 0.9 to 2 for a pixel of the source, joining fields 0.9 to 1.4, tone mapping 11, narrowing colours 4,
//! encoding 8 and 14 to 18 for a pixel of a rung.

use crate::encode;
use crate::filters;
use crate::plan::{Plan, Rung};
use crate::source::{Source, Transfer};

/// What makes a unit, as far as its speed depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Host {
    /// Cores, or a part of one.
    pub cpus: f64,
    /// Seconds after which it ends a run.
    pub deadline: f64,
}

impl Default for Host {
    /// Two cores, and Lambda's deadline.
    fn default() -> Self {
        Self {
            cpus: 2.0,
            deadline: 900.0,
        }
    }
}

impl Host {
    /// What a unit may take by plan, seconds: half of the deadline. The rest is for a machine that is slower or busy, and
    /// for a damaged clip, which is decoded once more from the start.
    pub fn share(self) -> f64 {
        self.deadline / 2.0
    }

    /// Seconds of CPU in a second of work by so many threads. ffmpeg keeps no more cores busy than that, and those not
    /// quite.
    fn speed(self, threads: u32) -> f64 {
        const BUSY: f64 = 0.9;
        self.cpus.min(f64::from(threads)).max(0.01) * BUSY
    }
}

/// Seconds to start ffmpeg, to write into the ledger, to split what came out.
const OVERHEAD: f64 = 2.0;
/// Bytes a second, to and from the store.
const TRANSFER: f64 = 25e6;

/// What the picture of a plan costs on a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Seconds for a unit of no length.
    fixed: f64,
    /// Seconds for each second of the source that is decoded.
    decode: f64,
    /// Seconds for each second of the output that is made of decoded frames, and stored.
    make: f64,
    /// Seconds of the source that may have to be decoded before a unit that begins in the middle; none if that is
    /// everything before it.
    lead: Option<f64>,
}

impl Costs {
    /// Of these rungs, from one decode.
    pub fn of(plan: &Plan, rungs: &[&Rung], host: Host) -> Self {
        let source = &plan.source;
        let reading = host.speed(filters::decoding_threads(source, plan.threads));
        let bits: f64 = rungs.iter().map(|rung| f64::from(rung.max_rate)).sum();
        Self {
            fixed: OVERHEAD + bytes(source.weight.bytes) / TRANSFER,
            decode: decode(source) / reading,
            make: filter(plan, rungs) / reading
                + encode(plan, rungs) / host.speed(plan.threads)
                + bits / 8.0 / TRANSFER,
            lead: encode::is_indexed(source).then(|| source.weight.keyframe_gap + encode::early(source)),
        }
    }

    /// For a second of the clip in the midst of a unit.
    pub(crate) fn a_second(&self) -> f64 {
        self.decode + self.make
    }

    /// For a unit that shows the clip from one time to another.
    pub fn seconds(&self, from: f64, to: f64) -> f64 {
        let lead = self.lead.map_or(from, |lead| lead.min(from));
        let length = to - from;
        self.fixed + (lead + length) * self.decode + length * self.make
    }
}

/// Seconds of CPU for a second of these rungs, from one decode.
pub(crate) fn work(plan: &Plan, rungs: &[&Rung]) -> f64 {
    decode(&plan.source) + filter(plan, rungs) + encode(plan, rungs)
}

/// Nanoseconds of CPU that a decoder takes.
struct Decoder {
    name: &'static str,
    /// For each pixel of a frame.
    pixel: f64,
    /// For each bit.
    bit: f64,
}

const fn row(name: &'static str, pixel: f64, bit: f64) -> Decoder {
    Decoder { name, pixel, bit }
}

/// Eight bits and 4:2:0.
const DECODERS: [Decoder; 6] = [
    row("h264", 3.0, 10.0),
    row("hevc", 3.0, 15.0),
    row("vp8", 3.0, 10.0),
    row("vp9", 3.0, 10.5),
    row("av1", 3.0, 8.0),
    row("prores", 3.0, 4.0),
];

/// All others: slower than any that was measured.
const UNKNOWN: Decoder = row("", 6.0, 15.0);

/// Seconds of CPU to decode a second of the source.
pub(crate) fn decode(source: &Source) -> f64 {
    let video = &source.video;
    let decoder = DECODERS.iter().find(|decoder| decoder.name == video.codec);
    let decoder = decoder.unwrap_or(&UNKNOWN);
    let frame_rate = video.frame_rate.as_f64().clamp(1.0, FASTEST);
    let per_pixel = decoder.pixel * samples(&video.pixel_format);
    (pixels(video.width, video.height) * frame_rate * per_pixel + bits(source) * decoder.bit) * NANO
}

const NANO: f64 = 1e-9;
/// Frames a second of anything that was filmed.
const FASTEST: f64 = 300.0;

/// Bits of a second of the picture. Where much happens there are more than on average.
fn bits(source: &Source) -> f64 {
    const CROWDED: f64 = 2.0;
    bytes(source.weight.picture_bytes) * 8.0 / source.duration.max(1.0) * CROWDED
}

/// How much more than eight bits and 4:2:0 a pixel of this format is.
fn samples(format: &str) -> f64 {
    let planes = match format {
        _ if format.contains("444") || format.contains("rgb") || format.contains("gbr") => 2.0,
        _ if format.contains("422") => 4.0 / 3.0,
        _ => 1.0,
    };
    let deep = ["10", "12", "14", "16", "48"]
        .iter()
        .any(|depth| format.contains(depth));
    planes * if deep { 1.25 } else { 1.0 }
}

/// Seconds of CPU for the filters of a second of the output.
fn filter(plan: &Plan, rungs: &[&Rung]) -> f64 {
    const SCALED: f64 = 2.5;
    const SCALED_IN_LIGHT: f64 = 5.0;
    const TONE_MAPPED: f64 = 15.0;
    const JOINED: f64 = 2.0;
    let video = &plan.source.video;
    let of_source = pixels(video.width, video.height) * samples(&video.pixel_format);
    let top = rungs.first().map_or(0.0, |rung| pixels(rung.width, rung.height));
    let of_rungs: f64 = rungs.iter().map(|rung| pixels(rung.width, rung.height)).sum();
    let (scale, map) = match video.transfer {
        Transfer::Sdr if video.wide_gamut => (SCALED_IN_LIGHT, TONE_MAPPED),
        Transfer::Sdr => (SCALED, 0.0),
        Transfer::Pq | Transfer::Hlg => (SCALED_IN_LIGHT, TONE_MAPPED),
    };
    let frame = of_source * scale + top * map + of_rungs * SCALED;
    let fields = if video.interlaced { of_source * JOINED } else { 0.0 };
    (frame * plan.frame_rate.as_f64() + fields * video.frame_rate.as_f64().min(FASTEST)) * NANO
}

/// Seconds of CPU to encode a second of the rungs.
fn encode(plan: &Plan, rungs: &[&Rung]) -> f64 {
    const PIXEL: f64 = 22.0;
    let frame: f64 = rungs.iter().map(|rung| pixels(rung.width, rung.height)).sum();
    frame * PIXEL * plan.frame_rate.as_f64() * NANO
}

fn pixels(width: u32, height: u32) -> f64 {
    f64::from(width) * f64::from(height)
}

#[expect(clippy::cast_precision_loss, reason = "no file has 2^52 bytes")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
