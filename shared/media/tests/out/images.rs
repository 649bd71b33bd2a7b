//! Posters, storyboard and preview.

use toktik_media::images::{self, Moment};
use toktik_media::plan::{Options, Plan, plan};
use toktik_media::source::{Fraction, Gop};

use crate::clip;
use crate::stage::Stage;

const RED: &str = "-f lavfi -i color=0xc04020:s=640x360:r=30:d=6,format=gbrp,scale=out_color_matrix=bt601,format=yuv420p \
                   -c:v libx264 -colorspace smpte170m clip.mp4";

fn planned(duration: f64) -> Plan {
    let mut source = clip::silent(640, 360, duration, Fraction::new(30, 1));
    source.video.color_space = Some("smpte170m".to_owned());
    plan(&source, &Options::default())
}

fn probe(stage: &Stage, file: &str) -> String {
    stage
        .lines(
            "ffprobe",
            &format!("-show_entries stream=codec_name,width,height,pix_fmt -of csv=p=0 {file}"),
        )
        .remove(0)
}

/// Of an image, by its own rules.
fn rgb(stage: &Stage, file: &str, range: &str) -> [u8; 3] {
    let filter = format!("crop=2:2,scale=in_color_matrix=bt601:in_range={range}:flags=accurate_rnd,format=rgb24");
    let bytes = stage.ask("ffmpeg", &format!("-i {file} -vf {filter} -frames:v 1 -f rawvideo -"));
    [bytes[0], bytes[1], bytes[2]]
}

fn is_red(color: [u8; 3]) -> bool {
    color
        .iter()
        .zip([0xc0, 0x40, 0x20_u8])
        .all(|(one, other)| one.abs_diff(other) <= 8)
}

#[test]
fn posters_in_both_formats() {
    for moment in [Moment::Representative, Moment::First] {
        let stage = Stage::new();
        stage.generate(RED);
        stage.ffmpeg(&images::poster_args(&planned(6.0), moment, "clip.mp4"));
        assert_eq!(probe(&stage, images::POSTER_JPEG), "mjpeg,640,360,yuvj420p");
        assert!(probe(&stage, images::POSTER_WEBP).starts_with("webp,640,360,yuv420p"));
        let jpeg = rgb(&stage, images::POSTER_JPEG, "pc");
        assert!(is_red(jpeg), "{jpeg:?}");
        let webp = rgb(&stage, images::POSTER_WEBP, "tv");
        assert!(is_red(webp), "{webp:?}");
    }
}

#[test]
fn a_poster_passes_over_a_black_start() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=4,drawbox=t=fill:c=black:enable='lt(t,1)' -c:v libx264 clip.mp4",
    );
    let plan = plan(&clip::silent(320, 240, 4.0, Fraction::new(30, 1)), &Options::default());
    stage.ffmpeg(&images::poster_args(&plan, Moment::Representative, "clip.mp4"));
    assert!(stage.luma(images::POSTER_JPEG, "iw:ih:0:0")[0] > 40);
    stage.ffmpeg(&images::poster_args(&plan, Moment::First, "clip.mp4"));
    assert!(stage.luma(images::POSTER_JPEG, "iw:ih:0:0")[0] < 40);
}

/// Keyframes are enough where there are some to choose from: a poster then costs a tenth.
#[test]
fn a_poster_of_keyframes_passes_over_a_black_start_too() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=8,drawbox=t=fill:c=black:enable='lt(t,1)' -c:v libx264 -g 60 -flags +cgop clip.mp4",
    );
    let mut source = clip::silent(320, 240, 8.0, Fraction::new(30, 1));
    source.weight.keyframe_gap = 2.0;
    source.gops = vec![
        Gop {
            frames: 60,
            bytes: 9_000
        };
        4
    ];
    let args = images::poster_args(&plan(&source, &Options::default()), Moment::Representative, "clip.mp4");
    assert!(args.windows(2).any(|pair| pair == ["-skip_frame", "nokey"]), "{args:?}");
    stage.ffmpeg(&args);
    assert!(stage.luma(images::POSTER_JPEG, "iw:ih:0:0")[0] > 40);
}

#[test]
fn a_storyboard_tile_shows_what_its_interval_begins_with() {
    let stage = Stage::new();
    // Second n is of grey 30 * (n + 1).
    stage.generate(
        "-f lavfi -i color=black:s=640x360:r=30:d=6,geq=lum=30*(1+floor(N/30)):cb=128:cr=128 -c:v libx264 clip.mp4",
    );
    let plan = planned(6.0);
    let sheet = images::sheet(&plan);
    assert_eq!(
        (sheet.tiles, sheet.columns, sheet.tile_width, sheet.tile_height),
        (6, 6, 160, 90)
    );
    stage.ffmpeg(&images::overview_args(&plan, &sheet, ["clip.mp4"; 2]));
    assert_eq!(probe(&stage, images::STORYBOARD), "mjpeg,960,90,yuvj420p");
    for tile in 0..6_u32 {
        let luma = stage.luma(images::STORYBOARD, &format!("100:60:{}:15", tile * 160 + 30))[0];
        // The file is of full range.
        let expected = (30.0 * f64::from(tile + 1) - 16.0) * 255.0 / 219.0;
        assert!(
            (f64::from(luma) - expected).abs() < 5.0,
            "tile {tile}: {luma}, not {expected}"
        );
    }
}

#[test]
fn a_preview_moves_for_three_seconds() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=640x360:r=30:d=6 -c:v libx264 clip.mp4");
    let plan = planned(6.0);
    stage.ffmpeg(&images::overview_args(&plan, &images::sheet(&plan), ["clip.mp4"; 2]));
    let bytes = std::fs::read(stage.path().join(images::PREVIEW)).unwrap();
    assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    let frames = bytes.windows(4).filter(|name| name == b"ANMF").count();
    assert_eq!(frames, 30);
}

#[test]
fn one_frame_is_enough_for_all() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 1 -c:v libx264 clip.mp4");
    let plan = planned(1.0 / 30.0);
    let sheet = images::sheet(&plan);
    assert_eq!(sheet.tiles, 1);
    for args in [
        images::poster_args(&plan, Moment::Representative, "clip.mp4"),
        images::poster_args(&plan, Moment::First, "clip.mp4"),
        images::overview_args(&plan, &sheet, ["clip.mp4"; 2]),
    ] {
        stage.ffmpeg(&args);
    }
    for file in [
        images::POSTER_JPEG,
        images::POSTER_WEBP,
        images::STORYBOARD,
        images::PREVIEW,
    ] {
        assert!(std::fs::metadata(stage.path().join(file)).unwrap().len() > 0, "{file}");
    }
}
