//! Frame counts, segment boundaries and timestamps.

use toktik_media::manifest::Rendition;
use toktik_media::plan::{Options, plan};
use toktik_media::source::Fraction;

use crate::clip;
use crate::stage::{Made, Stage};

const FILM: &str = "-f lavfi -i testsrc2=s=640x360:r=30:d=6 -f lavfi -i sine=f=440:d=6 \
                    -c:v libx264 -preset ultrafast -c:a aac -shortest clip.mp4";

fn film(stage: &Stage) -> Made {
    stage.generate(FILM);
    stage.produce(&clip::source(640, 360, 6.0), "clip.mp4")
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 0.000_5
}

#[test]
fn every_rung_has_every_frame_from_zero() {
    let stage = Stage::new();
    let made = film(&stage);
    assert_eq!(made.manifest.variants.len(), 2);
    for variant in &made.manifest.variants {
        let times = stage.frame_times(&format!("{}.m3u8", variant.name));
        assert_eq!(times.len(), 180);
        for (number, time) in times.iter().enumerate() {
            assert!(near(*time, made.plan.seconds(number as u64)), "{number}: {time}");
        }
    }
}

#[test]
fn segments_are_of_the_planned_length_in_every_rung() {
    let stage = Stage::new();
    let made = film(&stage);
    for variant in &made.manifest.variants {
        let durations: Vec<f64> = variant.rendition.segments().map(|segment| segment.duration).collect();
        assert_eq!(durations, [1.0, 1.0, 2.0, 2.0]);
        let keyframes: Vec<usize> = variant
            .rendition
            .segments()
            .map(|segment| segment.keyframes.len())
            .collect();
        assert_eq!(keyframes, [1, 1, 1, 1]);
    }
}

#[test]
fn sound_is_as_long_as_the_picture_and_cut_with_it() {
    let stage = Stage::new();
    let made = film(&stage);
    let packet = 1024.0 / 48_000.0;
    assert_eq!(made.manifest.sounds.len(), 2);
    for sound in &made.manifest.sounds {
        let durations: Vec<f64> = sound.rendition.segments().map(|segment| segment.duration).collect();
        assert_eq!(durations.len(), 4);
        assert!((durations[0] - 1.0).abs() <= packet / 2.0 + 0.001, "{durations:?}");
        assert!((durations.iter().sum::<f64>() - 6.0).abs() < packet, "{durations:?}");
    }
}

#[test]
fn every_segment_decodes_by_itself() {
    let stage = Stage::new();
    let made = film(&stage);
    for variant in &made.manifest.variants {
        let part = &variant.rendition.parts[0];
        for index in 0..part.segments.len() {
            let only = Rendition {
                codecs: String::new(),
                parts: vec![toktik_media::manifest::Part {
                    segments: vec![part.segments[index].clone()],
                    ..part.clone()
                }],
            };
            assert_eq!(only.segments().count(), 1);
            let init = std::fs::read(stage.path().join(part.init_key())).unwrap();
            let media = std::fs::read(stage.path().join(part.segment_key(index))).unwrap();
            std::fs::write(stage.path().join("one.mp4"), [init, media].concat()).unwrap();
            let frames = stage.lines("ffprobe", "-show_entries frame=pict_type,key_frame -of csv=p=0 one.mp4");
            assert_eq!(frames.len(), [30, 30, 60, 60][index]);
            assert!(frames[0].starts_with("1,I"), "{}", frames[0]);
        }
    }
}

#[test]
fn iframe_playlists_hold_the_first_picture_of_each_gop() {
    let stage = Stage::new();
    let made = film(&stage);
    for variant in &made.manifest.variants {
        let pictures = stage.lines(
            "ffprobe",
            &format!(
                "-show_entries frame=pict_type,pts_time -of csv=p=0 -i {}-iframes.m3u8",
                variant.name
            ),
        );
        assert_eq!(pictures, ["0.000000,I", "1.000000,I", "2.000000,I", "4.000000,I"]);
    }
}

#[test]
fn ffmpeg_plays_the_multivariant_playlist_without_a_warning() {
    let stage = Stage::new();
    film(&stage);
    let frames = stage.lines("ffmpeg", "-i playlist.m3u8 -map 0:v:0 -f framemd5 -");
    assert_eq!(frames.len(), 180);
}

/// Rate in, rate out, frames out of two seconds.
fn check_rate(given: Fraction, expected: Fraction, frames: usize) {
    let stage = Stage::new();
    let Fraction { num, den } = given;
    stage.generate(&format!(
        "-f lavfi -i testsrc2=s=320x240:r={num}/{den} -frames:v {} -c:v libx264 -preset ultrafast clip.mp4",
        (2 * num).div_ceil(den)
    ));
    let duration = f64::from((2 * num).div_ceil(den)) / given.as_f64();
    let made = stage.produce(&clip::silent(320, 240, duration, given), "clip.mp4");
    assert_eq!(made.plan.frame_rate, expected);
    let times = stage.frame_times("240p.m3u8");
    assert_eq!(times.len(), frames);
    assert!(near(times[0], 0.0), "{times:?}");
    let last = times[times.len() - 1];
    assert!(near(last, made.plan.seconds(frames as u64 - 1)), "{last}");
}

#[test]
fn rate_29_97() {
    check_rate(Fraction::new(30_000, 1_001), Fraction::new(30_000, 1_001), 60);
}

#[test]
fn rate_23_976() {
    check_rate(Fraction::new(24_000, 1_001), Fraction::new(24_000, 1_001), 48);
}

#[test]
fn rate_1() {
    check_rate(Fraction::new(1, 1), Fraction::new(1, 1), 2);
}

#[test]
fn rate_120() {
    check_rate(Fraction::new(120, 1), Fraction::new(60, 1), 120);
}

#[test]
fn rate_17() {
    check_rate(Fraction::new(17, 1), Fraction::new(17, 1), 34);
}

#[test]
fn one_frame() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30 -frames:v 1 -c:v libx264 clip.mp4");
    let made = stage.produce(&clip::silent(320, 240, 1.0 / 30.0, Fraction::new(30, 1)), "clip.mp4");
    assert_eq!(made.plan.frames, 1);
    assert_eq!(stage.frame_times("240p.m3u8").len(), 1);
}

#[test]
fn a_source_that_ends_early_is_filled_with_its_last_picture() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30 -frames:v 57 -c:v libx264 clip.mp4");
    stage.produce(&clip::silent(320, 240, 2.0, Fraction::new(30, 1)), "clip.mp4");
    assert_eq!(stage.frame_times("240p.m3u8").len(), 60);
}

#[test]
fn a_rate_without_a_whole_gop_in_two_seconds_keeps_within_them() {
    let made = plan(
        &clip::silent(320, 240, 10.0, Fraction::new(30_000, 1_001)),
        &Options::default(),
    );
    assert_eq!(made.gop_frames, 59);
    assert!(made.seconds(u64::from(made.segment_frames())) < 4.0);
}
