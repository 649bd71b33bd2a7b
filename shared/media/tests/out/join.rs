//! Units in the middle of a clip: eight greys take turns, so that a lost or doubled frame shows.

use toktik_media::plan::{Options, Plan, Unit, Work, plan};
use toktik_media::source::{Fraction, Source};

use crate::clip;
use crate::stage::Stage;

fn ramp(rate: &str) -> String {
    format!(
        "-f lavfi -i color=black:s=320x240:r={rate}:d=7,geq=lum=20+26*mod(N\\,8):cb=128:cr=128 -frames:v 180 -c:v libx264 -g 250"
    )
}

/// The same plan with its picture cut into units of one segment.
fn in_units(source: &Source) -> Plan {
    let mut plan = plan(source, &Options::default());
    let rungs: Vec<String> = plan.rungs.iter().map(|rung| rung.name.clone()).collect();
    let ends = plan.ends();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let units = begins.zip(&ends).enumerate().map(|(number, (first_frame, end))| Unit {
        id: format!("video-{number}"),
        grows: false,
        waits: false,
        work: Work::Video {
            rungs: rungs.clone(),
            first_frame,
            frames: end - first_frame,
        },
    });
    plan.units = units.collect();
    plan
}

fn check(source: &Source, clip: &str, args: &str) {
    let stage = Stage::new();
    stage.generate(&format!("{args} {clip}"));
    let plan = in_units(source);
    assert_eq!(plan.units.len(), 4);
    let made = stage.produce_plan(plan, clip);
    let parts = &made.manifest.variants[0].rendition.parts;
    assert_eq!(
        parts.iter().map(|part| part.segments.len()).collect::<Vec<_>>(),
        [1, 1, 1, 1]
    );
    let luma = stage.luma("240p.m3u8", "iw:ih:0:0");
    assert_eq!(luma.len(), 180);
    for (number, luma) in luma.iter().enumerate() {
        let off = i32::from(*luma) - i32::try_from(20 + 26 * (number % 8)).unwrap();
        assert!(off.abs() <= 10, "frame {number} is {luma}");
    }
    let times = stage.frame_times("240p.m3u8");
    for (number, time) in times.iter().enumerate() {
        assert!(
            (time - made.plan.seconds(number as u64)).abs() < 0.001,
            "{number}: {time}"
        );
    }
}

#[test]
fn of_an_mp4() {
    check(
        &clip::silent(320, 240, 6.0, Fraction::new(30, 1)),
        "clip.mp4",
        &ramp("30"),
    );
}

#[test]
fn of_a_matroska_file_with_its_millisecond_clock() {
    let mut source = clip::silent(320, 240, 6.006, Fraction::new(30_000, 1_001));
    source.demuxer = "matroska".to_owned();
    check(&source, "clip.mkv", &ramp("30000/1001"));
}

#[test]
fn of_a_transport_stream() {
    let mut source = clip::silent(320, 240, 6.0, Fraction::new(30, 1));
    source.demuxer = "mpegts".to_owned();
    check(&source, "clip.ts", &ramp("30"));
}
