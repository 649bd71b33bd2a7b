//! When a clip's frames are shown, from its packets and never from its header, which may say anything.

use super::listing::Packet;
use crate::source::Fraction;

/// Seconds from one frame to the next that no camera reaches; in formats whose recordings are joined, a jump.
const JUMP: f64 = 10.0;
/// Seconds that decoding times may run backwards within one recording.
const BACKWARDS: f64 = 1.0;
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
}

/// A frame's place in time.
#[derive(Clone, Copy)]
struct Frame {
    /// Without the jumps.
    shown: f64,
    /// As the file has it.
    given: f64,
    duration: Option<f64>,
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

/// None if no packet is to be shown.
pub(super) fn timing<'a>(
    packets: impl Iterator<Item = &'a Packet>,
    declared: Declared,
    may_jump: bool,
) -> Option<Timing> {
    let guess = declared.plausible().next().unwrap_or(GUESS);
    let step = 1.0 / guess.as_f64();
    let mut frames = straightened(packets.filter(|packet| !packet.discarded), step, may_jump);
    frames.sort_by(|a, b| a.shown.total_cmp(&b.shown));
    let (first, last) = (frames.first()?, frames.last()?);
    let gaps: Vec<f64> = frames.windows(2).map(|pair| pair[1].shown - pair[0].shown).collect();
    let rhythm = Rhythm::of(&gaps);
    let last_duration = last
        .duration
        .filter(|length| *length > 0.0)
        .or(rhythm.map(|rhythm| rhythm.median));
    Some(Timing {
        start: first.given,
        duration: last.shown - first.shown + last_duration.unwrap_or(step),
        frames: frames.len(),
        frame_rate: rhythm.map_or(guess, |rhythm| rhythm.rate(declared)),
        variable: rhythm.is_some_and(|rhythm| rhythm.variable),
    })
}

/// Puts recordings that were joined end to end on one clock, and frames without a time where they belong.
fn straightened<'a>(packets: impl Iterator<Item = &'a Packet>, step: f64, may_jump: bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut offset = 0.0;
    let mut previous = None::<f64>;
    for packet in packets {
        let expected = previous.map_or(0.0, |time| time + step);
        let decoded = packet.dts.or(packet.pts).unwrap_or(expected - offset);
        let gap = decoded + offset - previous.unwrap_or(decoded + offset);
        if gap < -BACKWARDS || may_jump && gap > JUMP {
            offset += step - gap;
        }
        previous = Some(decoded + offset);
        let given = presented(packet, decoded);
        frames.push(Frame {
            shown: given + offset,
            given,
            duration: packet.duration,
        });
    }
    frames
}

/// A frame is shown soon after it is decoded. A presentation time far from that is a difference that wrapped around.
fn presented(packet: &Packet, decoded: f64) -> f64 {
    packet.pts.filter(|pts| (pts - decoded).abs() < JUMP).unwrap_or(decoded)
}

#[derive(Clone, Copy)]
struct Rhythm {
    median: f64,
    mean: f64,
    variable: bool,
}

impl Rhythm {
    /// None for a single frame, or if all are shown at once.
    fn of(gaps: &[f64]) -> Option<Self> {
        let total: f64 = gaps.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let mut sorted = gaps.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        // Times in whole milliseconds make 33 and 34 of 33.3.
        let tolerance = (median * 0.1).max(0.001_5);
        let variable = gaps.iter().any(|gap| (gap - median).abs() > tolerance);
        Some(Self {
            median,
            mean: total / count(gaps.len()),
            variable,
        })
    }

    /// Constant: what the file declares, if that is what it does. Variable: the average of what it does.
    fn rate(self, declared: Declared) -> Fraction {
        let near = |rate: &Fraction| (rate.as_f64() * self.mean - 1.0).abs() < 0.01;
        let declared = declared.plausible().find(near).filter(|_| !self.variable);
        declared.unwrap_or_else(|| thousandths(1.0 / self.mean))
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
