//! When a clip's frames are shown, from its packets and never from its header, which may say anything.

use super::listing::Packet;
use crate::source::Fraction;

/// Seconds from one frame to the next that no camera reaches; in formats whose recordings are joined, a jump.
const JUMP: f64 = 10.0;
/// Seconds that decoding times may run backwards within one recording: what ffmpeg puts up with, too.
const BACKWARDS: f64 = 0.1;
/// A frame that follows another within this part of the usual time is not seen: coders hide reference pictures so.
const UNSEEN: f64 = 0.1;
/// How many times as fast as usual pictures follow each other in a burst.
const BURST: f64 = 1.5;
/// Seconds by which a picture may come early or late before people see it.
const NOTICEABLE: f64 = 0.1;
/// The rate of frames without times, if the file does not say; a PAL camera's, and ffmpeg's own guess.
const GUESS: Fraction = Fraction::new(25, 1);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timing {
    /// Time of the first frame, in the file's own time.
    pub(super) start: f64,
    /// From there to the end of the last frame.
    pub(super) duration: f64,
    pub(super) frames: usize,
    pub(super) frame_rate: Fraction,
    pub(super) variable: bool,
    /// Longest time from one keyframe to the next, or to the end.
    pub(super) keyframe_gap: f64,
}

/// A frame's place in time.
#[derive(Clone, Copy)]
struct Frame {
    /// Without the jumps.
    shown: f64,
    /// As the file has it.
    given: f64,
    duration: Option<f64>,
    /// Can be decoded without those before it.
    key: bool,
}

/// The rates that the file declares; either may be a clock's resolution instead.
#[derive(Clone, Copy, Default)]
pub(super) struct Declared {
    pub(super) real: Option<Fraction>,
    pub(super) average: Option<Fraction>,
}

impl Declared {
    fn plausible(self) -> impl Iterator<Item = Fraction> {
        [self.real, self.average]
            .into_iter()
            .flatten()
            .filter(|rate| rate.as_f64() <= 300.0)
    }
}

/// Of frames that have no times but follow each other at the declared rate. None if there are none.
pub(super) fn counted(frames: usize, declared: Declared) -> Option<Timing> {
    let frame_rate = declared.plausible().next().unwrap_or(GUESS);
    (frames > 0).then(|| Timing {
        start: 0.0,
        duration: count(frames) / frame_rate.as_f64(),
        frames,
        frame_rate,
        variable: false,
        keyframe_gap: count(frames) / frame_rate.as_f64(),
    })
}

/// None if no packet is to be shown.
pub(super) fn timing<'a>(
    packets: impl Iterator<Item = &'a Packet>,
    declared: Declared,
    may_jump: bool,
) -> Option<Timing> {
    let guess = declared.plausible().next().unwrap_or(GUESS);
    let step = 1.0 / guess.as_f64();
    let packets: Vec<&Packet> = packets.filter(|packet| !packet.flags.discarded).collect();
    let mut frames = straightened(decodable(&packets, may_jump), step, may_jump);
    let keyframes: Vec<f64> = frames
        .iter()
        .filter(|frame| frame.key)
        .map(|frame| frame.shown)
        .collect();
    frames.sort_by(|a, b| a.shown.total_cmp(&b.shown));
    let (first, last) = (frames.first()?, frames.last()?);
    let rhythm = Rhythm::of(&seen(&frames)).map(|rhythm| rhythm.ending(last.duration));
    let duration = last.shown - first.shown + length(last, rhythm, step);
    Some(Timing {
        start: first.given,
        duration,
        frames: frames.len(),
        frame_rate: rhythm.map_or(guess, |rhythm| rhythm.rate(declared)),
        variable: rhythm.is_some_and(|rhythm| rhythm.variable),
        keyframe_gap: longest_gap(&keyframes, first.shown, first.shown + duration),
    })
}

/// Between two of these times, or from one to the beginning or the end.
fn longest_gap(times: &[f64], begin: f64, end: f64) -> f64 {
    let before = std::iter::once(begin).chain(times.iter().copied());
    let after = times.iter().copied().chain(std::iter::once(end));
    before
        .zip(after)
        .map(|(before, after)| after - before)
        .fold(0.0, f64::max)
}

/// A recording of something that was running already begins anywhere; it shows nothing before its first keyframe.
fn decodable<'a>(packets: &'a [&'a Packet], may_jump: bool) -> &'a [&'a Packet] {
    let first = packets.iter().position(|packet| packet.flags.key).filter(|_| may_jump);
    &packets[first.unwrap_or(0)..]
}

/// How long the last frame stands. Where the container says it for no frame, ffmpeg guesses, and guesses short.
fn length(last: &Frame, rhythm: Option<Rhythm>, step: f64) -> f64 {
    const SLOWEST: f64 = 1.0;
    let least = rhythm.map_or(0.0, |rhythm| rhythm.short);
    let given = last.duration.filter(|length| *length > 0.0);
    match given {
        Some(given) if least <= SLOWEST => given.max(least),
        Some(given) => given,
        None => rhythm.map_or(step, |rhythm| rhythm.median),
    }
}

/// Seconds from each frame to the next one that is seen.
fn seen(frames: &[Frame]) -> Vec<f64> {
    let gaps: Vec<f64> = frames.windows(2).map(|pair| pair[1].shown - pair[0].shown).collect();
    let least = quantile(&gaps, 0.5) * UNSEEN;
    let mut apart = Vec::with_capacity(gaps.len());
    let mut hidden = 0.0;
    for gap in gaps {
        if gap <= least {
            hidden += gap;
        } else {
            apart.push(hidden + gap);
            hidden = 0.0;
        }
    }
    apart
}

/// The gap that this part of all are not longer than.
fn quantile(gaps: &[f64], part: f64) -> f64 {
    let mut sorted = gaps.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between none and all"
    )]
    let index = (count(gaps.len()) * part) as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// Puts recordings that were joined end to end on one clock, and frames without a time where they belong.
fn straightened(packets: &[&Packet], step: f64, may_jump: bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let wait = waiting(packets);
    let mut offset = 0.0;
    let mut previous = None::<f64>;
    for packet in packets {
        let expected = previous.map_or(0.0, |time| time + step);
        let decoded = packet.dts.or(packet.pts).unwrap_or(expected - offset);
        let gap = decoded + offset - previous.unwrap_or(decoded + offset);
        if may_jump && !(-BACKWARDS..=JUMP).contains(&gap) {
            offset += step - gap;
        }
        previous = Some(decoded + offset);
        let given = wait.map_or_else(|| presented(packet, decoded), |wait| decoded + wait);
        frames.push(Frame {
            shown: given + offset,
            given,
            duration: packet.duration,
            key: packet.flags.key,
        });
    }
    frames
}

/// Where only some packets have a presentation time, that of the others is not their decoding time. But frames are shown
/// at the times at which frames are decoded, though in another order, and all so much later.
fn waiting(packets: &[&Packet]) -> Option<f64> {
    let some = packets
        .iter()
        .any(|packet| packet.pts.is_none() && packet.dts.is_some());
    let mut waits = packets.iter().filter_map(|packet| Some(packet.pts? - packet.dts?));
    waits.find(|wait| wait.abs() < JUMP).filter(|_| some)
}

/// A frame is shown soon after it is decoded. A presentation time far from that is a difference that wrapped around.
fn presented(packet: &Packet, decoded: f64) -> f64 {
    packet.pts.filter(|pts| (pts - decoded).abs() < JUMP).unwrap_or(decoded)
}

#[derive(Clone, Copy)]
struct Rhythm {
    median: f64,
    mean: f64,
    /// A quarter of the gaps are at most this long.
    short: f64,
    variable: bool,
}

impl Rhythm {
    /// None for a single frame, or if all are shown at once.
    fn of(gaps: &[f64]) -> Option<Self> {
        let total: f64 = gaps.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let median = quantile(gaps, 0.5);
        // Times in whole milliseconds make 33 and 34 of 33.3.
        let tolerance = (median * 0.1).max(0.001_5);
        let variable = gaps.iter().any(|gap| (gap - median).abs() > tolerance);
        Some(Self {
            median,
            mean: total / count(gaps.len()),
            short: quantile(gaps, 0.25),
            variable,
        })
    }

    /// A slide show whose last picture stands for another time than the others is as variable.
    fn ending(self, last: Option<f64>) -> Self {
        let differs = last.is_some_and(|last| last > 0.0 && (last - self.median).abs() > NOTICEABLE);
        Self {
            variable: self.variable || differs && self.median > NOTICEABLE,
            ..self
        }
    }

    /// Constant: what the file declares, if that is what it does, or the average of what it does. Variable: how fast
    /// pictures follow each other while they move, since many stand still between, as in recordings of screens.
    fn rate(self, declared: Declared) -> Fraction {
        let near = |rate: &Fraction| (rate.as_f64() * self.mean - 1.0).abs() < 0.01;
        if self.variable {
            return thousandths(1.0 / self.moving());
        }
        let declared = declared.plausible().find(near);
        declared.unwrap_or_else(|| thousandths(1.0 / self.mean))
    }

    /// Seconds between pictures that move: the usual gap, unless most of them are pauses.
    fn moving(self) -> f64 {
        let usual = self.median.min(self.mean);
        let bursts = self.short > 0.0 && self.short * BURST < usual;
        if bursts { self.short } else { usual }
    }
}

/// A clip has far fewer frames than a float has digits.
fn count(frames: usize) -> f64 {
    f64::from(u32::try_from(frames).unwrap_or(u32::MAX))
}

fn thousandths(rate: f64) -> Fraction {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let num = (rate * 1000.0).round().clamp(1.0, 1e9) as u32;
    Fraction::new(num, 1000)
}

#[cfg(test)]
mod tests;
