use super::*;
use crate::plan::{Options, Work, plan};
use crate::source::{Fraction, Video, Weight};

/// A minute in an MP4 with a keyframe every two seconds.
pub(crate) fn minute(codec: &str, (width, height): (u32, u32), rate: u32, bit_rate: u64) -> Source {
    Source {
        demuxer: "mov".to_owned(),
        duration: 60.0,
        video: Video {
            stream: 0,
            codec: codec.to_owned(),
            width,
            height,
            start: 0.0,
            frame_rate: Fraction::new(rate, 1),
            variable_frame_rate: false,
            interlaced: false,
            transfer: Transfer::Sdr,
            pixel_format: "yuv420p".to_owned(),
            color_range: None,
            color_space: None,
            wide_gamut: false,
        },
        audio: None,
        weight: Weight {
            bytes: bit_rate * 60 / 8,
            picture_bytes: bit_rate * 60 / 8,
            keyframe_gap: 2.0,
            thins: false,
        },
        gops: Vec::new(),
    }
}

fn on(cpus: f64, deadline: f64) -> Options {
    Options {
        host: Host { cpus, deadline },
        ..Options::default()
    }
}

/// How many units the highest rung has, and how long the longest of all takes as a part of what it may.
fn units(source: &Source, options: &Options) -> (usize, f64) {
    let plan = plan(source, options);
    let expected = plan.units.iter().filter_map(|unit| plan.expected(unit, options.host));
    (
        highest(&plan).len(),
        expected.fold(0.0, f64::max) / options.host.share(),
    )
}

/// Frames of the units of the highest rung.
fn highest(plan: &Plan) -> Vec<u64> {
    let units = plan.units.iter().filter_map(|unit| match &unit.work {
        Work::Video { frames, rungs, .. } if rungs.contains(&plan.rungs[0].name) => Some(*frames),
        _ => None,
    });
    units.collect()
}

/// 89 s of CPU, 47 s of two cores, measured on film: the model says more, but not another order.
#[test]
fn what_was_measured_is_below_what_is_expected() {
    let source = minute("h264", (1920, 1080), 30, 8_300_000);
    let plan = plan(&source, &Options::default());
    let rungs: Vec<_> = plan.rungs.iter().collect();
    let expected = Costs::of(&plan, &rungs, Host::default()).seconds(0.0, plan.duration());
    assert!((47.0..188.0).contains(&expected), "{expected:?}");
}

#[test]
fn an_ordinary_clip_is_one_unit() {
    for codec in ["h264", "hevc", "vp9", "av1"] {
        assert_eq!(
            units(&minute(codec, (1920, 1080), 30, 20_000_000), &on(1.0, 600.0)).0,
            1,
            "{codec}"
        );
    }
}

/// A minute of the largest pictures that are taken, which one run does not make in 15 minutes.
#[test]
fn the_largest_pictures_fit_in_several_units() {
    for (rate, least) in [(30, 2), (60, 3)] {
        let source = minute("h264", (8192, 8192), rate, 200_000_000);
        let (count, part) = units(&source, &on(2.0, 900.0));
        assert!((least..12).contains(&count) && part <= 1.0, "{rate}: {count}, {part}");
        let (smaller, part) = units(&source, &on(2.0, 600.0));
        assert!(smaller > count && part <= 1.0, "{rate}: {smaller}, {part}");
    }
}

#[test]
fn a_small_part_of_a_core_makes_more_units() {
    let source = minute("hevc", (3840, 2160), 60, 100_000_000);
    let (whole, _) = units(&source, &on(2.0, 900.0));
    let (shared, part) = units(&source, &on(0.5, 900.0));
    assert!(shared > 2 * whole && part <= 1.0, "{whole}, {shared}, {part}");
}

/// Where all before a unit has to be decoded, the later ones are shorter.
#[test]
fn units_get_shorter_where_each_is_read_from_the_start() {
    let mut source = minute("h264", (3840, 2160), 60, 50_000_000);
    source.demuxer = "flv".to_owned();
    let plan = plan(&source, &on(0.7, 900.0));
    let frames = highest(&plan);
    assert!(
        frames.len() > 2 && frames.is_sorted_by(|one, next| one >= next),
        "{frames:?}"
    );
    assert!(frames[0] > frames[frames.len() - 1], "{frames:?}");
}

/// Nothing that can be planned makes the last minutes of an endless broadcast fit: it is planned as well as can be.
#[test]
fn what_cannot_fit_comes_as_near_as_it_can() {
    let mut source = minute("h264", (3840, 2160), 60, 50_000_000);
    source.demuxer = "mpegts".to_owned();
    source.duration = 7200.0;
    let (count, part) = units(&source, &on(1.0, 600.0));
    assert!((2..=90).contains(&count) && part > 1.0, "{count}, {part}");
}
