use proptest::prelude::*;

use super::*;
use crate::source::Video;
use crate::source::{Audio, Gop, Transfer, Weight};

fn source(width: u32, height: u32, frame_rate: Fraction) -> Source {
    Source {
        demuxer: "mov".to_owned(),
        duration: 24.0,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width,
            height,
            start: 0.0,
            frame_rate,
            variable_frame_rate: false,
            interlaced: false,
            transfer: Transfer::Sdr,
            pixel_format: "yuv420p".to_owned(),
            color_range: None,
            color_space: None,
            wide_gamut: false,
        },
        audio: Some(Audio {
            stream: 1,
            codec: "aac".to_owned(),
            channels: 2,
            sample_rate: 48_000,
        }),
        weight: Weight::default(),
        gops: Vec::new(),
    }
}

fn planned(width: u32, height: u32) -> Plan {
    plan(&source(width, height, Fraction::new(30, 1)), &Options::default())
}

fn sizes(plan: &Plan) -> Vec<(&str, u32, u32)> {
    plan.rungs
        .iter()
        .map(|rung| (rung.name.as_str(), rung.width, rung.height))
        .collect()
}

#[test]
fn full_high_definition_has_every_rung() {
    assert_eq!(
        sizes(&planned(1920, 1080)),
        [
            ("1080p", 1920, 1080),
            ("720p", 1280, 720),
            ("480p", 854, 480),
            ("360p", 640, 360),
            ("240p", 426, 240)
        ]
    );
}

#[test]
fn the_short_side_counts() {
    assert_eq!(sizes(&planned(720, 1280))[0], ("720p", 720, 1280));
    assert_eq!(
        sizes(&planned(642, 642)),
        [("480p", 480, 480), ("360p", 360, 360), ("240p", 240, 240)]
    );
    assert_eq!(sizes(&planned(3840, 2160))[0], ("1080p", 1920, 1080));
}

#[test]
fn a_small_source_keeps_its_own_even_size() {
    assert_eq!(sizes(&planned(161, 91)), [("90p", 160, 90)]);
    assert_eq!(sizes(&planned(16, 16)), [("16p", 16, 16)]);
    assert_eq!(sizes(&planned(17, 239)), [("16p", 16, 238)]);
}

#[test]
fn strips_stay_within_what_decoders_take() {
    assert_eq!(sizes(&planned(8192, 512)), [("256p", 4096, 256), ("240p", 3840, 240)]);
    assert_eq!(sizes(&planned(256, 8192)), [("128p", 128, 4096)]);
}

#[test]
fn the_lowest_rung_has_the_low_sound() {
    let plan = planned(1280, 720);
    let sounds: Vec<_> = plan
        .rungs
        .iter()
        .map(|rung| rung.sound.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(sounds, ["audio", "audio", "audio", "audio-low"]);
    assert_eq!(
        plan.sounds.iter().map(|sound| sound.bit_rate).collect::<Vec<_>>(),
        [128_000, 64_000]
    );
    assert_eq!(
        planned(320, 200)
            .sounds
            .iter()
            .map(|sound| sound.bit_rate)
            .collect::<Vec<_>>(),
        [64_000]
    );
}

#[test]
fn levels_of_the_ladder() {
    let levels = |rate| -> Vec<u32> {
        let plan = plan(&source(1920, 1080, Fraction::new(rate, 1)), &Options::default());
        plan.rungs.iter().map(|rung| rung.level).collect()
    };
    assert_eq!(levels(30), [40, 31, 31, 30, 21]);
    assert_eq!(levels(60), [42, 32, 31, 31, 30]);
}

#[test]
fn sound_is_the_first_unit() {
    let plan = planned(640, 360);
    let ids: Vec<_> = plan.units.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!(ids, ["audio", "video-0"]);
    let rungs = vec!["360p".to_owned(), "240p".to_owned()];
    assert_eq!(
        plan.units[1].work,
        Work::Video {
            rungs,
            first_frame: 0,
            frames: 720
        }
    );
}

#[test]
fn the_grid() {
    let grid = |num, den, seconds| {
        let mut source = source(320, 240, Fraction::new(num, den));
        source.duration = seconds;
        let plan = plan(&source, &Options::default());
        (
            plan.frames,
            plan.gop_frames,
            plan.gops_per_segment,
            plan.target_duration(),
        )
    };
    assert_eq!(grid(30, 1, 24.0), (720, 60, 2, 4));
    assert_eq!(grid(30_000, 1_001, 24.0), (719, 59, 2, 4));
    assert_eq!(grid(24_000, 1_001, 10.0), (240, 47, 2, 3));
    assert_eq!(grid(1, 1, 5.0), (5, 2, 2, 2));
    assert_eq!(grid(3, 2, 6.0), (9, 3, 2, 2));
    assert_eq!(grid(30, 1, 0.033), (1, 60, 2, 1));
    assert_eq!(grid(30, 1, 0.0), (1, 60, 2, 1));
}

#[test]
fn the_first_segments_are_single_gops() {
    let ends = |segment_seconds, duration| {
        let mut source = source(320, 240, Fraction::new(30, 1));
        source.duration = duration;
        let options = Options {
            segment_seconds,
            ..Options::default()
        };
        plan(&source, &options).ends()
    };
    let short = [30, 60, 120, 180, 240, 300, 360, 420, 480];
    assert_eq!(ends(4, 26.0), [&short[..], &[600, 720, 780]].concat());
    assert_eq!(ends(6, 26.0), [&short[..], &[660, 780]].concat());
    assert_eq!(ends(2, 18.0), [&short[..], &[540]].concat());
    assert_eq!(ends(4, 1.0), [30]);
}

#[test]
fn a_short_rest_is_no_segment() {
    let segments = |num, den, duration| {
        let mut source = source(320, 240, Fraction::new(num, den));
        source.duration = duration;
        let plan = plan(&source, &Options::default());
        (plan.segments(), plan.target_duration())
    };
    assert_eq!(segments(25, 1, 1.0), (1, 1));
    assert_eq!(segments(25, 1, 1.48), (1, 2));
    assert_eq!(segments(25, 1, 1.52), (2, 1));
    assert_eq!(segments(25, 1, 2.48), (2, 2));
    assert_eq!(segments(25, 1, 2.52), (3, 1));
    assert_eq!(segments(25, 1, 20.0), (10, 4));
    assert_eq!(segments(25, 1, 20.48), (10, 4));
    assert_eq!(segments(25, 1, 20.52), (11, 4));
    assert_eq!(segments(25, 1, 0.04), (1, 1));
    assert_eq!(segments(1, 1, 5.0), (4, 2));
}

#[test]
fn rates() {
    let rate = |num, den, variable| {
        let mut source = source(320, 240, Fraction::new(num, den));
        source.video.variable_frame_rate = variable;
        let Fraction { num, den } = frame_rate(&source);
        (num, den)
    };
    assert_eq!(rate(120, 1, false), (60, 1));
    assert_eq!(rate(100, 1, false), (50, 1));
    assert_eq!(rate(90, 1, false), (45, 1));
    assert_eq!(rate(120_000, 1_001, false), (60_000, 1_001));
    assert_eq!(rate(60_020, 1_000, false), (60, 1));
    assert_eq!(rate(2997, 100, false), (30_000, 1_001));
    assert_eq!(rate(1, 10, false), (1, 1));
    assert_eq!(rate(600, 1, false), (60, 1));
    assert_eq!(rate(90_000, 1, true), (60, 1));
    assert_eq!(rate(0, 0, false), (30, 1));
    assert_eq!(rate(17, 1, false), (17, 1));
    assert_eq!(rate(283, 10, true), (30_000, 1_001));
    assert_eq!(rate(2995, 100, true), (30_000, 1_001));
    assert_eq!(rate(30_303, 1_000, true), (30_000, 1_001));
    assert_eq!(rate(7, 1, true), (10, 1));
    assert_eq!(rate(119, 1, true), (60, 1));
}

#[test]
fn the_shorter_the_clip_the_less_its_rate_is_known() {
    let rate = |duration| {
        let mut source = source(320, 240, Fraction::new(29_990, 1_000));
        source.duration = duration;
        frame_rate(&source)
    };
    assert_eq!(rate(1.0), Fraction::new(30, 1));
    assert_eq!(rate(20.0), Fraction::new(2_999, 100));
}

#[test]
fn a_plan_survives_its_store() {
    let plan = planned(1920, 1080);
    let text = serde_json::to_string(&plan).expect("plans are plain data");
    assert_eq!(serde_json::from_str::<Plan>(&text).ok(), Some(plan));
}

proptest! {
    #[test]
    fn rungs_of_any_source(width in 16_u32..=8192, height in 16_u32..=8192, num in 1_u32..=120_000, den in 1_u32..=1_001) {
        let plan = plan(&source(width, height, Fraction::new(num, den)), &Options::default());
        prop_assert!(!plan.rungs.is_empty());
        for rung in &plan.rungs {
            check_size(rung, width, height)?;
            check_level(rung, plan.frame_rate)?;
        }
        let mut names: Vec<_> = plan.rungs.iter().map(|rung| &rung.name).collect();
        names.dedup();
        prop_assert_eq!(names.len(), plan.rungs.len());
    }

    #[test]
    fn grid_of_any_rate(num in any::<u32>(), den in any::<u32>(), variable: bool, seconds in 0.0..100_000.0) {
        let mut source = source(320, 240, Fraction::new(num, den));
        source.video.variable_frame_rate = variable;
        source.duration = seconds;
        let plan = plan(&source, &Options::default());
        let rate = plan.frame_rate.as_f64();
        prop_assert!((0.999..=60.0).contains(&rate), "{rate}");
        prop_assert!(f64::from(plan.gop_frames) / rate <= 2.0);
        prop_assert!(f64::from(plan.segment_frames()) / rate <= 4.0);
        prop_assert!((plan.duration() - seconds).abs() <= 0.5 / rate + 1e-6 || plan.frames == 1);
    }
}

/// First frame and number of frames of each unit that makes this rung.
fn ranges_of(plan: &Plan, rung: &str) -> Vec<(u64, u64)> {
    let pictures = plan.units.iter().filter_map(|unit| match &unit.work {
        Work::Video {
            first_frame,
            frames,
            rungs,
        } if rungs.iter().any(|name| name == rung) => Some((*first_frame, *frames)),
        _ => None,
    });
    pictures.collect()
}

/// Of the lowest rung.
fn ranges(plan: &Plan) -> Vec<(u64, u64)> {
    ranges_of(plan, &plan.rungs.last().expect("there is one").name)
}

fn check_tiles(plan: &Plan) -> Result<(), TestCaseError> {
    let mut ends = vec![0];
    ends.extend(plan.ends());
    for rung in &plan.rungs {
        let mut next = 0;
        for (first, frames) in ranges_of(plan, &rung.name) {
            prop_assert_eq!(first, next);
            prop_assert!(frames > 0);
            next = first + frames;
            prop_assert!(ends.contains(&next));
        }
        prop_assert_eq!(next, plan.frames);
    }
    prop_assert_eq!(ends.len() as u64, plan.segments() + 1);
    prop_assert!(plan.units.len() as u64 <= units::MOST + 1);
    Ok(())
}

fn ids(plan: &Plan) -> Vec<(&str, bool)> {
    plan.units.iter().map(|unit| (unit.id.as_str(), unit.grows)).collect()
}

/// A clip that is encoded all the same gets its lowest rungs first, unless one pass for all is fast enough.
#[test]
fn the_lowest_rungs_go_first() {
    let plan = planned(1920, 1080);
    assert_eq!(ids(&plan), [("audio", true), ("low-0", true), ("video-0", false)]);
    let Work::Video { rungs, .. } = &plan.units[1].work else {
        panic!("{:?}", plan.units);
    };
    assert_eq!(rungs, &["360p", "240p"]);
    assert_eq!(ids(&planned(640, 360)), [("audio", true), ("video-0", true)]);
}

/// Where even the lowest rungs keep all cores busy, the others wait for them.
#[test]
fn what_needs_the_whole_machine_to_keep_ahead_has_it() {
    let waiting = |(width, height), cpus, parallelism| {
        let mut source = source(width, height, Fraction::new(60, 1));
        "hevc".clone_into(&mut source.video.codec);
        "yuv420p10le".clone_into(&mut source.video.pixel_format);
        source.video.transfer = Transfer::Pq;
        let host = Host {
            cpus,
            ..Host::default()
        };
        let options = Options {
            host,
            parallelism,
            ..Options::default()
        };
        let units = plan(&source, &options).units.into_iter();
        units.filter(|unit| unit.waits).map(|unit| unit.id).collect::<Vec<_>>()
    };
    assert_eq!(waiting((3840, 2160), 2.0, 1), ["video-0"]);
    let nobody: [&str; 0] = [];
    assert_eq!(waiting((1920, 1080), 2.0, 1), nobody, "it is fast enough");
    assert_eq!(waiting((3840, 2160), 8.0, 1), nobody, "there are other cores");
    assert_eq!(waiting((3840, 2160), 2.0, 2), nobody, "there are other machines");
}

/// Two seconds each, of 8 Mbit/s.
fn compliant(width: u32, height: u32, groups: u32) -> Source {
    let mut source = source(width, height, Fraction::new(30, 1));
    source.duration = f64::from(groups * 2);
    source.gops = vec![
        Gop {
            frames: 60,
            bytes: 2_000_000
        };
        groups as usize
    ];
    source
}

#[test]
fn a_picture_that_players_take_is_the_highest_rung_as_it_is() {
    let plan = plan(&compliant(1920, 1080, 6), &Options::default());
    assert_eq!(ids(&plan), [("audio", true), ("copy", true), ("video-0", true)]);
    assert_eq!(
        plan.units[1].work,
        Work::Copy {
            rung: "1080p".to_owned()
        }
    );
    assert_eq!((plan.ends(), plan.target_duration()), (vec![120, 240, 360], 4));
    // What it takes, and not what we would have given it.
    assert!(
        (8_000_000..8_010_000).contains(&plan.rungs[0].max_rate),
        "{}",
        plan.rungs[0].max_rate
    );
    assert_eq!(sizes(&plan)[1..], sizes(&planned(1920, 1080))[1..]);
}

#[test]
fn between_two_rungs_it_keeps_its_own_size() {
    let mut source = compliant(1000, 600, 6);
    source.gops.iter_mut().for_each(|gop| gop.bytes = 500_000);
    let sizes_of = |source: &Source| -> Vec<u32> {
        let plan = plan(source, &Options::default());
        plan.rungs.iter().map(|rung| rung.height).collect()
    };
    assert_eq!(sizes_of(&source), [600, 480, 360, 240]);
    source.gops.clear();
    assert_eq!(sizes_of(&source), [480, 360, 240]);
}

#[test]
fn what_the_ladder_does_not_allow_is_encoded() {
    let copied = |change: fn(&mut Source)| {
        let mut source = compliant(1920, 1080, 6);
        change(&mut source);
        plan(&source, &Options::default()).copied.is_some()
    };
    assert!(copied(|_| ()));
    assert!(!copied(|source| source.gops[2].bytes = 12_000_000), "its peak");
    assert!(copied(|source| source.gops[2].bytes = 4_000_000));
    assert!(
        !copied(|source| source.gops[..2].copy_from_slice(&[gop(61), gop(59)])),
        "IDRs are too far apart"
    );
    assert!(copied(|source| source.gops[..2].copy_from_slice(&[gop(60), gop(60)])));
    assert!(!copied(|source| source.duration += 0.1), "frames are missing");
    assert!(
        !copied(|source| source.video.frame_rate = Fraction::new(90, 1)),
        "too fast"
    );
    assert!(!copied(|source| source.video.width = 1919), "an odd side");
    assert!(
        !copied(|source| (source.video.width, source.video.height) = (2560, 1440)),
        "too large"
    );
    // The cellular rung is as small as it is for a reason.
    assert!(!copied(|source| (source.video.width, source.video.height) = (320, 240)));
}

fn gop(frames: u32) -> Gop {
    Gop { frames, bytes: 1_000 }
}

#[test]
fn segments_follow_the_groups_of_a_source() {
    let segments = |gops: &[u32], rate: Fraction| {
        let mut source = compliant(1920, 1080, 1);
        source.gops = gops.iter().map(|frames| gop(*frames)).collect();
        source.video.frame_rate = rate;
        source.duration = f64::from(gops.iter().sum::<u32>()) / rate.as_f64();
        let plan = plan(&source, &Options::default());
        (plan.ends(), plan.target_duration())
    };
    let thirty = Fraction::new(30, 1);
    assert_eq!(segments(&[60, 60, 60, 60], thirty), (vec![120, 240], 4));
    assert_eq!(segments(&[50, 50, 50, 50], thirty), (vec![100, 200], 3));
    assert_eq!(segments(&[30, 45, 60, 10, 60], thirty), (vec![75, 145, 205], 3));
    // A camera's two seconds at 29.97 are 60 frames.
    assert_eq!(segments(&[60; 4], Fraction::new(30_000, 1_001)), (vec![120, 240], 4));
    // A rest of a third of a second.
    assert_eq!(segments(&[60, 60, 10], thirty), (vec![130], 4));
}

/// As many units as hosts work at once; on one machine as few as can be.
#[test]
fn a_cluster_gets_units_for_all_of_it() {
    let units = |parallelism, seconds| {
        let mut source = source(1920, 1080, Fraction::new(30, 1));
        source.duration = seconds;
        source.weight.keyframe_gap = 2.0;
        let plan = plan(
            &source,
            &Options {
                parallelism,
                ..Options::default()
            },
        );
        ranges_of(&plan, "1080p").len()
    };
    assert_eq!([1, 4, 7].map(|parallelism| units(parallelism, 59.0)), [1, 4, 7]);
    // Less than eight seconds are no unit.
    assert_eq!([4, 100].map(|parallelism| units(parallelism, 10.0)), [1, 1]);
    assert_eq!(units(100, 59.0), 7);
}

proptest! {
    #[test]
    fn units_tile_any_clip(
        (width, height) in (16_u32..=8192, 16_u32..=8192),
        (num, den) in (1_u32..=120_000, 1_u32..=1_001),
        duration in 0.0..4000.0,
        (cpus, deadline) in (0.05..16.0, 10.0..4000.0),
        (demuxer, keyframe_gap) in (prop::sample::select(vec!["mov", "matroska", "mpegts", "avi"]), 0.0..70.0),
        bytes in 0_u64..4 << 30,
        unit_seconds in prop::option::of(0_u32..100),
    ) {
        let mut source = source(width, height, Fraction::new(num, den));
        source.demuxer = demuxer.to_owned();
        source.duration = duration;
        source.weight = Weight { bytes, picture_bytes: bytes / 2, keyframe_gap, thins: false };
        let host = Host { cpus, deadline };
        let plan = plan(&source, &Options { host, unit_seconds, ..Options::default() });
        check_tiles(&plan)?;
        let expected = plan.units.iter().filter_map(|unit| plan.expected(unit, host));
        let longest = expected.fold(0.0, f64::max);
        let segment = Plan { frames: plan.frames.min(u64::from(plan.segment_frames())), ..plan.clone() };
        let rungs: Vec<&Rung> = segment.rungs.iter().collect();
        let least = Costs::of(&segment, &rungs, host).seconds(plan.duration() - segment.duration(), plan.duration());
        // Only what fits in no plan of that many units may take longer than it should.
        let fits = least <= host.share() && plan.segments() <= units::MOST / 2;
        prop_assert!(unit_seconds.is_some() || !fits || longest <= host.share() * 1.000_001, "{longest}");
    }
}

#[test]
fn units_of_a_chosen_length() {
    let ranges = |unit_seconds, duration| {
        let mut source = source(320, 240, Fraction::new(30, 1));
        source.duration = duration;
        let options = Options {
            unit_seconds: Some(unit_seconds),
            ..Options::default()
        };
        super::tests::ranges(&plan(&source, &options))
    };
    assert_eq!(ranges(4, 10.0), [(0, 120), (120, 120), (240, 60)]);
    assert_eq!(ranges(9, 10.0), [(0, 180), (180, 120)]);
    assert_eq!(ranges(1, 4.1), [(0, 60), (60, 63)]);
    assert_eq!(ranges(4, 360.0).len(), 90);
    // Units of four seconds would be one more than there may be.
    assert_eq!(ranges(4, 361.0).last(), Some(&(10_680, 150)));
    assert_eq!(ranges(4, 364.0).len(), 90);
}

#[test]
fn units_are_as_few_as_fit_and_even() {
    let cut = |segments, limit: f64| {
        let bounds = units::Bounds {
            limit,
            least: 1,
            most: units::MOST,
        };
        units::cut(segments, bounds, |_, length| {
            f64::from(u32::try_from(length).unwrap_or(0))
        })
    };
    assert_eq!(cut(10, 10.0), [10]);
    assert_eq!(cut(10, 9.0), [5, 5]);
    assert_eq!(cut(10, 4.0), [4, 4, 2]);
    assert_eq!(cut(9, 4.0), [3, 3, 3]);
    // Beyond what any unit can do, as many as there may be.
    assert_eq!(cut(180, 0.5), [2; 90]);
}

fn check_size(rung: &Rung, width: u32, height: u32) -> Result<(), TestCaseError> {
    prop_assert!(rung.width.is_multiple_of(2) && rung.height.is_multiple_of(2) && rung.width > 0 && rung.height > 0);
    prop_assert!(rung.width <= width && rung.height <= height);
    prop_assert!(rung.width.max(rung.height) <= LONGEST_SIDE);
    // Within a pixel of the exact size for one of the sides; own sizes lose an odd pixel on either.
    let (w, h) = (f64::from(rung.width), f64::from(rung.height));
    let aspect = f64::from(width) / f64::from(height);
    let off = (w - h * aspect).abs().min((h - w / aspect).abs());
    prop_assert!(off <= 2.0, "{w}x{h} of {width}x{height}");
    Ok(())
}

fn check_level(rung: &Rung, frame_rate: Fraction) -> Result<(), TestCaseError> {
    let level = LEVELS.iter().find(|level| level.number == rung.level);
    let Some(level) = level else {
        return Err(TestCaseError::fail("no such level"));
    };
    let frame = u64::from(rung.width.div_ceil(16)) * u64::from(rung.height.div_ceil(16));
    prop_assert!(frame <= level.frame);
    prop_assert!(frame * u64::from(frame_rate.num) <= level.rate * u64::from(frame_rate.den));
    prop_assert!(frame * BUFFERED_FRAMES <= level.buffered);
    prop_assert!(u64::from(rung.max_rate) <= level.bit_rate * 1250);
    Ok(())
}
