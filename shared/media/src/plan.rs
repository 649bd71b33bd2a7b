//! The plan of one clip: the ladder, the frame grid, and the units of work. Pure; written once by probe, read by all steps.

mod copied;
mod passes;
mod units;

use serde::{Deserialize, Serialize};

use crate::cost::{Costs, Host};
use crate::source::{Fraction, Source};

pub use copied::Copied;

/// What is to be made of a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub source: Source,
    /// Constant frame rate of every rung, from 1 to 60.
    pub frame_rate: Fraction,
    /// Frames of the output; its duration is `frames / frame_rate`.
    pub frames: u64,
    /// Frames from one IDR to the next: at most 2 s (Apple HLS authoring 1.13).
    pub gop_frames: u32,
    pub gops_per_segment: u32,
    /// Where the highest rung is the source's own picture: its GOPs, which all other rungs follow.
    #[serde(default)]
    pub copied: Option<Copied>,
    /// Highest first.
    pub rungs: Vec<Rung>,
    /// Best first; empty for a silent clip.
    pub sounds: Vec<Sound>,
    /// Threads of the encoder: x264's bitstream depends on it, so a repeated run must use the same.
    pub threads: u32,
    pub units: Vec<Unit>,
}

/// One rendition of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// By the short side: `480p`.
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub crf: u32,
    /// Peak of the picture, bit/s (VBV `maxrate`).
    pub max_rate: u32,
    /// VBV buffer, bits.
    pub buffer: u32,
    /// H.264 level times ten: 31 is 3.1.
    pub level: u32,
    pub reference_frames: u32,
    /// Name of the sound it is played with; none for a silent clip.
    pub sound: Option<String>,
}

/// One rendition of the sound: AAC-LC stereo, 48 kHz, as long as the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    /// Also the HLS group: `audio`, `audio-low`.
    pub name: String,
    /// Bit/s.
    pub bit_rate: u32,
}

/// A piece of work for one run of transcode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Unique in the plan and part of object keys: `audio`, `low-0`, `video-0`.
    pub id: String,
    /// What it makes is published segment by segment, since it is what people wait for. Everything else is once it is
    /// whole.
    #[serde(default)]
    pub grows: bool,
    /// It is not begun while one that grows is made, which otherwise would not keep ahead of who watches.
    #[serde(default)]
    pub waits: bool,
    #[serde(flatten)]
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// These rungs, from one decode, for a range of the output's frames. It begins where a segment does, and ends where
    /// one does or the clip.
    Video {
        rungs: Vec<String>,
        first_frame: u64,
        frames: u64,
    },
    /// This rung is the source's own picture, in new boxes.
    Copy { rung: String },
    /// Every sound of the plan, from one decode.
    Audio,
}

impl Work {
    /// Whether it makes this rung or sound, or a part of it.
    pub fn makes(&self, plan: &Plan, track: &str) -> bool {
        match self {
            Work::Video { rungs, .. } => rungs.iter().any(|rung| rung == track),
            Work::Copy { rung } => rung == track,
            Work::Audio => plan.sound(track).is_some(),
        }
    }
}

/// What the operator chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Target duration of a segment, seconds; no segment is longer.
    pub segment_seconds: u32,
    pub threads: u32,
    /// What makes the units.
    pub host: Host,
    /// The longest unit of picture, seconds, of which it takes whole segments, one at least. If none, units are as few
    /// as fit the host.
    pub unit_seconds: Option<u32>,
    /// Units of picture that are worked on at once, by as many hosts: the clip is cut into as many, if it is long enough.
    pub parallelism: u32,
}

impl Default for Options {
    /// 4 s, where Apple HLS authoring 7.5 recommends 6, so that a clip starts sooner.
    fn default() -> Self {
        Self {
            segment_seconds: 4,
            threads: 2,
            host: Host::default(),
            unit_seconds: None,
            parallelism: 1,
        }
    }
}

pub fn plan(source: &Source, options: &Options) -> Plan {
    let frame_rate = frame_rate(source);
    let frames = frames(source.duration, frame_rate);
    let gop_frames = whole_frames(2, frame_rate);
    let segment_frames = whole_frames(options.segment_seconds, frame_rate);
    let shortest = source.duration.min(f64::from(options.segment_seconds) / 2.0);
    let cellular = cellular(frame_rate, shortest);
    let copied = copied::cut(source, frame_rate, frames, options.segment_seconds);
    let copied = copied.filter(|copied| copied.peak() <= copied::cap(source, frame_rate, &cellular));
    let rungs = ladder(source, frame_rate, &cellular, copied.as_ref());
    let mut plan = Plan {
        source: source.clone(),
        frame_rate,
        frames,
        gop_frames,
        gops_per_segment: (segment_frames / gop_frames).max(1),
        copied,
        sounds: sounds(&rungs),
        units: Vec::new(),
        rungs,
        threads: options.threads.max(1),
    };
    plan.units = plan.cut(options);
    plan
}

impl Plan {
    /// Seconds.
    pub fn duration(&self) -> f64 {
        self.seconds(self.frames)
    }

    pub fn segment_frames(&self) -> u32 {
        self.gop_frames * self.gops_per_segment
    }

    /// `EXT-X-TARGETDURATION` of every playlist of the clip, known before the first segment is.
    ///
    /// No segment's rounded duration exceeds it (RFC 8216 4.3.3.1).
    pub fn target_duration(&self) -> u32 {
        if let Some(copied) = &self.copied {
            return copied.target_duration(self.frame_rate);
        }
        let ends = self.ends();
        let lengths = ends
            .iter()
            .scan(0, |begin, end| Some(end - std::mem::replace(begin, *end)));
        let longest = lengths.max().unwrap_or(1).min(u64::from(self.segment_frames()));
        let ticks = longest * u64::from(self.frame_rate.den);
        let seconds = ticks.div_ceil(u64::from(self.frame_rate.num));
        u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
    }

    /// Segments of a whole rendition.
    pub fn segments(&self) -> u64 {
        self.ends().len() as u64
    }

    pub fn rung(&self, name: &str) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.name == name)
    }

    /// Those that small pictures are made of, since the source costs ten times as much to decode: the lowest for tiles, and
    /// for what moves the lowest that is good to look at. The cellular one pays for its size.
    pub fn small_rungs(&self) -> Option<[&Rung; 2]> {
        let lowest = self.rungs.last()?;
        let good = |rung: &&Rung| rung.width.min(rung.height) > CELLULAR_SIDE;
        Some([lowest, self.rungs.iter().rev().find(good).unwrap_or(lowest)])
    }

    pub fn sound(&self, name: &str) -> Option<&Sound> {
        self.sounds.iter().find(|sound| sound.name == name)
    }

    /// The frame behind each segment, the clip's last included.
    ///
    /// The first ones are single GOPs, and of the very first GOP there are two halves: nobody sees anything before two are
    /// made, and whoever has seen one needs the next at once. A host that is a little faster than the clip keeps ahead of
    /// that; if longer ones followed the first, it had to be twice as fast. A rest of less than half a second belongs to the segment before it: that may exceed the target by as much
    /// (Apple HLS authoring 7.7), and players get stuck on a segment of a frame or two.
    pub fn ends(&self) -> Vec<u64> {
        /// Of 16 s altogether.
        const SHORT: u64 = 8;
        if let Some(copied) = &self.copied {
            return copied.ends();
        }
        let half_second = u64::from(self.frame_rate.num).div_ceil(u64::from(self.frame_rate.den) * 2);
        let gop = u64::from(self.gop_frames);
        let [half, _] = self.first_keyframes();
        let short = [half].into_iter().chain((1..=SHORT).map(|number| number * gop));
        let long = (1..).map(|number| SHORT * gop + number * u64::from(self.segment_frames()));
        let whole = short.chain(long).take_while(|end| end + half_second <= self.frames);
        whole.chain([self.frames]).collect()
    }

    /// The keyframes behind the very first. All others follow at the distance of a GOP.
    pub fn first_keyframes(&self) -> [u64; 2] {
        let gop = u64::from(self.gop_frames);
        [gop.div_ceil(2), gop]
    }

    /// How long this host takes for a unit that encodes the picture, seconds; none for any other.
    pub fn expected(&self, unit: &Unit, host: Host) -> Option<f64> {
        let Work::Video {
            rungs,
            first_frame,
            frames,
        } = &unit.work
        else {
            return None;
        };
        let rungs: Vec<&Rung> = self.rungs.iter().filter(|rung| rungs.contains(&rung.name)).collect();
        let costs = Costs::of(self, &rungs, host);
        Some(costs.seconds(self.seconds(*first_frame), self.seconds(first_frame + frames)))
    }

    /// When a frame of the output is shown.
    #[expect(clippy::cast_precision_loss, reason = "a clip of 2^52 frames has no end")]
    pub fn seconds(&self, frame: u64) -> f64 {
        frame as f64 * f64::from(self.frame_rate.den) / f64::from(self.frame_rate.num)
    }
}

/// A row of the ladder: what a picture of this short side may cost at up to 30 fps.
struct Step {
    short_side: u32,
    crf: u32,
    max_rate: u32,
    /// VBV buffer in half seconds of `max_rate`.
    buffer: u32,
    sound: &'static str,
}

/// Highest first, without the cellular rung. Each cap is about twice the one below, and easy content stays far under it.
const LADDER: [Step; 4] = [
    Step {
        short_side: 1080,
        crf: 23,
        max_rate: 6_000_000,
        buffer: 4,
        sound: SOUND,
    },
    Step {
        short_side: 720,
        crf: 23,
        max_rate: 3_200_000,
        buffer: 4,
        sound: SOUND,
    },
    Step {
        short_side: 480,
        crf: 23,
        max_rate: 1_600_000,
        buffer: 4,
        sound: SOUND,
    },
    Step {
        short_side: 360,
        crf: 23,
        max_rate: 800_000,
        buffer: 4,
        sound: SOUND,
    },
];

const CELLULAR_SIDE: u32 = 240;

/// Together with 64 kbit/s of sound it peaks under 192 kbit/s (Apple HLS authoring 9.21), which is measured over at
/// least half a target duration, or the whole of a short clip (RFC 8216 4.1): `shortest` seconds. There the picture
/// may also spend its buffer, sound takes 69 kbit/s, and the boxes take 0.1 kbit/s for each frame a second.
fn cellular(frame_rate: Fraction, shortest: f64) -> Step {
    const BUFFER_SECONDS: f64 = 0.5;
    let boxes = 2_000.0 + 100.0 * frame_rate.as_f64();
    let room = 0.93 * (192_000.0 - 69_000.0 - boxes);
    let rate = room / (1.0 + BUFFER_SECONDS / shortest.max(BUFFER_SECONDS));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "far less than the room"
    )]
    let max_rate = rate as u32;
    Step {
        short_side: CELLULAR_SIDE,
        crf: 25,
        max_rate,
        buffer: 1,
        sound: LOW_SOUND,
    }
}

/// The widest picture made: beyond it hardware decoders give up, and only strips wider than 4:1 reach it.
const LONGEST_SIDE: u32 = 4096;

fn ladder(source: &Source, frame_rate: Fraction, cellular: &Step, copied: Option<&Copied>) -> Vec<Rung> {
    let (width, height) = (source.video.width, source.video.height);
    let audible = source.audio.is_some();
    let short_side = width.min(height);
    let mut rungs: Vec<Rung> = Vec::new();
    let steps = LADDER.iter().chain([cellular]);
    if let Some(copied) = copied {
        // Between two rungs of the ladder it is one of its own.
        let step = copied::step(copied, short_side, cellular);
        rungs.push(capped(&step, step.max_rate, (width, height), frame_rate, audible));
    }
    let lower = |step: &&Step| step.short_side < short_side || copied.is_none() && step.short_side == short_side;
    for step in steps.filter(lower) {
        let size = fit(width, height, step.short_side);
        let rung = rung(step, size, frame_rate, audible);
        // Strips that reach the longest side come out alike at several steps.
        if rungs.iter().all(|above| above.name != rung.name) {
            rungs.push(rung);
        }
    }
    if rungs.is_empty() {
        rungs.push(rung(cellular, fit(width, height, short_side), frame_rate, audible));
    }
    rungs
}

fn rung(step: &Step, size: (u32, u32), frame_rate: Fraction, audible: bool) -> Rung {
    let fast = frame_rate.as_f64() > 31.0 && step.short_side > CELLULAR_SIDE;
    let max_rate = if fast { step.max_rate / 2 * 3 } else { step.max_rate };
    capped(step, max_rate, size, frame_rate, audible)
}

fn capped(step: &Step, max_rate: u32, (width, height): (u32, u32), frame_rate: Fraction, audible: bool) -> Rung {
    let buffer = (max_rate / 2)
        .saturating_mul(step.buffer)
        .max(of_one_frame(max_rate, frame_rate));
    let level = level(width, height, frame_rate, max_rate, buffer);
    Rung {
        name: format!("{}p", width.min(height)),
        width,
        height,
        crf: step.crf,
        max_rate,
        buffer,
        level,
        reference_frames: REFERENCE_FRAMES,
        sound: audible.then(|| step.sound.to_owned()),
    }
}

/// Bits that a buffer has to hold at least.
fn of_one_frame(max_rate: u32, frame_rate: Fraction) -> u32 {
    let bits = u64::from(max_rate) * u64::from(frame_rate.den) / u64::from(frame_rate.num.max(1));
    u32::try_from(bits).unwrap_or(u32::MAX)
}

/// The even size of this short side with the source's aspect, never larger than the source.
fn fit(width: u32, height: u32, short_side: u32) -> (u32, u32) {
    let (short, long) = (width.min(height), width.max(height));
    let scaled = u64::from(long) * u64::from(short_side) / u64::from(short.max(1));
    let (new_short, new_long) = if scaled > u64::from(LONGEST_SIDE) {
        (even(short, LONGEST_SIDE, long), LONGEST_SIDE)
    } else {
        (even(short, short_side, short), even(long, short_side, short))
    };
    if width < height {
        (new_short, new_long)
    } else {
        (new_long, new_short)
    }
}

/// `side * num / den` as the nearest even number that is not above `side`, and at least 2.
fn even(side: u32, num: u32, den: u32) -> u32 {
    let den = u64::from(den.max(1)) * 2;
    let half = (u64::from(side) * u64::from(num) + den / 2) / den;
    let half = u32::try_from(half).unwrap_or(u32::MAX).min(side / 2);
    half.max(1) * 2
}

/// A second reference costs veryfast next to nothing; a third gains nothing (480p film: 3.6, 3.8 and 4.2 s of CPU).
const REFERENCE_FRAMES: u32 = 2;

/// What x264 reserves for the B-pyramid, whatever it refers to: `max_dec_frame_buffering`.
const BUFFERED_FRAMES: u64 = 4;

/// A row of H.264 table A-1.
struct Level {
    /// Times ten.
    number: u32,
    /// Macroblocks a second.
    rate: u64,
    /// Macroblocks of a frame.
    frame: u64,
    /// Macroblocks of the decoded picture buffer.
    buffered: u64,
    /// 1000 bit/s of the VCL in Baseline; High allows 1.25 times as much (table A-2).
    bit_rate: u64,
    /// 1000 bit, likewise.
    bit_buffer: u64,
}

const fn row(number: u32, rate: u64, frame: u64, buffered: u64, bit_rate: u64, bit_buffer: u64) -> Level {
    Level {
        number,
        rate,
        frame,
        buffered,
        bit_rate,
        bit_buffer,
    }
}

const LEVELS: [Level; 19] = [
    row(10, 1_485, 99, 396, 64, 175),
    row(11, 3_000, 396, 900, 192, 500),
    row(12, 6_000, 396, 2_376, 384, 1_000),
    row(13, 11_880, 396, 2_376, 768, 2_000),
    row(20, 11_880, 396, 2_376, 2_000, 2_000),
    row(21, 19_800, 792, 4_752, 4_000, 4_000),
    row(22, 20_250, 1_620, 8_100, 4_000, 4_000),
    row(30, 40_500, 1_620, 8_100, 10_000, 10_000),
    row(31, 108_000, 3_600, 18_000, 14_000, 14_000),
    row(32, 216_000, 5_120, 20_480, 20_000, 20_000),
    row(40, 245_760, 8_192, 32_768, 20_000, 25_000),
    row(41, 245_760, 8_192, 32_768, 50_000, 62_500),
    row(42, 522_240, 8_704, 34_816, 50_000, 62_500),
    row(50, 589_824, 22_080, 110_400, 135_000, 135_000),
    row(51, 983_040, 36_864, 184_320, 240_000, 240_000),
    row(52, 2_073_600, 36_864, 184_320, 240_000, 240_000),
    row(60, 4_177_920, 139_264, 696_320, 240_000, 240_000),
    row(61, 8_355_840, 139_264, 696_320, 480_000, 480_000),
    row(62, 16_711_680, 139_264, 696_320, 800_000, 800_000),
];

/// The lowest level that allows such a stream (H.264 A.3.1 and A.3.2), times ten.
fn level(width: u32, height: u32, frame_rate: Fraction, max_rate: u32, buffer: u32) -> u32 {
    let (columns, rows) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
    let frame = columns * rows;
    let allows = |level: &&Level| {
        frame <= level.frame
            && frame * u64::from(frame_rate.num) <= level.rate * u64::from(frame_rate.den)
            && frame * BUFFERED_FRAMES <= level.buffered
            && columns.max(rows).pow(2) <= level.frame * 8
            && u64::from(max_rate) <= level.bit_rate * 1_250
            && u64::from(buffer) <= level.bit_buffer * 1_250
    };
    LEVELS.iter().find(allows).map_or(62, |level| level.number)
}

/// Rates that displays and players expect.
const STANDARD_RATES: [Fraction; 14] = [
    Fraction::new(1, 1),
    Fraction::new(2, 1),
    Fraction::new(5, 1),
    Fraction::new(10, 1),
    Fraction::new(12, 1),
    Fraction::new(15, 1),
    Fraction::new(20, 1),
    Fraction::new(24_000, 1_001),
    Fraction::new(24, 1),
    Fraction::new(25, 1),
    Fraction::new(30_000, 1_001),
    Fraction::new(30, 1),
    Fraction::new(50, 1),
    Fraction::new(60, 1),
];

/// The output's constant rate. At least 1, so that an IDR every 2 s is possible; at most 60 (Apple HLS authoring 1.19).
fn frame_rate(source: &Source) -> Fraction {
    let given = source.video.frame_rate;
    if given.num == 0 || given.den == 0 {
        return Fraction::new(30, 1);
    }
    if given.as_f64() > FASTEST_CAMERA {
        return Fraction::new(60, 1);
    }
    if given.as_f64() < 1.0 && !source.video.variable_frame_rate {
        return Fraction::new(1, 1);
    }
    let capped = divided(given);
    if source.video.variable_frame_rate {
        next_standard(capped)
    } else {
        snapped(capped, measured_within(source.duration))
    }
}

/// Beyond it every n-th frame is no evenly spaced choice any more.
const FASTEST_CAMERA: f64 = 300.0;

/// How far a rate can be off that was measured by times in whole milliseconds: a part of itself.
fn measured_within(duration: f64) -> f64 {
    (0.001 / duration.max(0.1)).max(0.000_2)
}

/// Every n-th frame, so that what remains is evenly spaced: 120 becomes 60, 90 becomes 45.
fn divided(rate: Fraction) -> Fraction {
    // A camera's 60.02 is 60 with a crooked clock, not a reason to halve.
    let times = (rate.as_f64() / 60.5).ceil().max(1.0);
    if times <= 1.0 {
        return if rate.as_f64() > 60.0 {
            Fraction::new(60, 1)
        } else {
            rate
        };
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 5")]
    let times = times as u32;
    let halved = rate.den.checked_mul(times).map(|den| Fraction::new(rate.num, den));
    halved
        .filter(|rate| rate.as_f64() <= 60.0)
        .unwrap_or(Fraction::new(60, 1))
}

/// A variable rate is below what its camera aimed at, so the next standard rate loses no frame; times in whole
/// milliseconds make 30.3 of 30. At least ten a second show the pictures of a slide show when they are due.
fn next_standard(average: Fraction) -> Fraction {
    let enough = |rate: &&Fraction| rate.as_f64() >= (average.as_f64() * 0.98).max(10.0);
    STANDARD_RATES
        .iter()
        .find(enough)
        .copied()
        .unwrap_or(Fraction::new(60, 1))
}

/// Takes 2997/100 for the 30000/1001 it stands for, and brings odd fractions to terms that time bases can hold.
fn snapped(rate: Fraction, tolerance: f64) -> Fraction {
    let off = |standard: &Fraction| (rate.as_f64() / standard.as_f64() - 1.0).abs();
    let standards = STANDARD_RATES.iter().chain(&[NTSC_60]);
    let nearest = standards.min_by(|a, b| off(a).total_cmp(&off(b)));
    if let Some(standard) = nearest.filter(|standard| off(standard) < tolerance) {
        return *standard;
    }
    let rate = reduced(rate);
    if rate.num <= 120_000 { rate } else { thousandths(rate) }
}

const NTSC_60: Fraction = Fraction::new(60_000, 1_001);

fn reduced(rate: Fraction) -> Fraction {
    let (mut a, mut b) = (rate.num, rate.den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Fraction::new(rate.num / a.max(1), rate.den / a.max(1))
}

fn thousandths(rate: Fraction) -> Fraction {
    let num = u64::from(rate.num) * 1000 / u64::from(rate.den.max(1));
    reduced(Fraction::new(
        u32::try_from(num).unwrap_or(60_000).clamp(1_000, 60_000),
        1000,
    ))
}

fn frames(duration: f64, frame_rate: Fraction) -> u64 {
    let frames = (duration * frame_rate.as_f64()).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let frames = frames as u64;
    frames.max(1)
}

/// Whole frames in so many seconds, at least one.
fn whole_frames(seconds: u32, frame_rate: Fraction) -> u32 {
    let frames = u64::from(seconds) * u64::from(frame_rate.num) / u64::from(frame_rate.den);
    u32::try_from(frames).unwrap_or(u32::MAX).max(1)
}

const SOUND: &str = "audio";
const LOW_SOUND: &str = "audio-low";

/// Those that a rung is played with.
fn sounds(rungs: &[Rung]) -> Vec<Sound> {
    let all = [(SOUND, 128_000), (LOW_SOUND, 64_000)];
    let played = all
        .into_iter()
        .filter(|(name, _)| rungs.iter().any(|rung| rung.sound.as_deref() == Some(name)));
    played
        .map(|(name, bit_rate)| Sound {
            name: name.to_owned(),
            bit_rate,
        })
        .collect()
}

#[cfg(test)]
mod tests;
