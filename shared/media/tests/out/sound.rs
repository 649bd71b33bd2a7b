//! Sound against picture: a white flash and a beep that happen together at one second.

use toktik_media::encode;
use toktik_media::plan::{Options, plan};
use toktik_media::source::{Audio, Fraction, Source};

use crate::clip;
use crate::stage::Stage;

const FLASH: &str = "-f lavfi -i color=black:s=320x240:r=30:d=3,drawbox=c=white:t=fill:enable='between(t,1,1.09)'";
const BEEP: &str = "-f lavfi -i aevalsrc=exprs=if(between(t\\,1\\,1.1)\\,sin(6283*t)\\,0):d=3:s=44100";

fn source(demuxer: &str, start: f64) -> Source {
    let mut source = clip::source(320, 240, 3.0);
    demuxer.clone_into(&mut source.demuxer);
    source.video.start = start;
    source
}

/// Seconds at which the beep begins.
fn onset(samples: &[i16]) -> f64 {
    let first = samples
        .iter()
        .position(|sample| sample.unsigned_abs() > 3000)
        .expect("there is a beep");
    #[expect(clippy::cast_precision_loss)]
    let first = first as f64;
    first / 48_000.0
}

fn flash(luma: &[u8], fps: f64) -> f64 {
    let first = luma.iter().position(|luma| *luma > 128).expect("there is a flash");
    #[expect(clippy::cast_precision_loss)]
    let first = first as f64;
    first / fps
}

fn check(stage: &Stage, source: &Source, clip: &str, expected: f64) {
    stage.produce(source, clip);
    let seen = flash(&stage.luma("240p.m3u8", "iw:ih:0:0"), 30.0);
    assert!((seen - expected).abs() < 0.001, "flash at {seen}");
    let heard = onset(&stage.samples("audio-low.m3u8"));
    assert!((heard - expected).abs() < 0.010, "beep at {heard}");
}

#[test]
fn together() {
    let stage = Stage::new();
    stage.generate(&format!("{FLASH} {BEEP} -c:v libx264 -c:a aac clip.mp4"));
    check(&stage, &source("mov", 0.0), "clip.mp4", 1.0);
}

#[test]
fn sound_that_begins_late_stays_late() {
    let stage = Stage::new();
    // The beep is at 0.5 s of the sound, which starts 0.5 s into the clip.
    let late = BEEP.replace("between(t\\,1\\,1.1)", "between(t\\,0.5\\,0.6)");
    stage.generate(&format!(
        "{FLASH} -itsoffset 0.5 {late} -map 0 -map 1 -c:v libx264 -c:a pcm_s16le -t 3 clip.mkv"
    ));
    check(&stage, &source("matroska", 0.0), "clip.mkv", 1.0);
}

#[test]
fn sound_before_the_first_picture_is_left_out() {
    let stage = Stage::new();
    stage.generate(&format!(
        "-itsoffset 0.5 {FLASH} {BEEP} -map 0 -map 1 -c:v libx264 -c:a pcm_s16le clip.mkv"
    ));
    stage.produce(&source("matroska", 0.5), "clip.mkv");
    assert!((flash(&stage.luma("240p.m3u8", "iw:ih:0:0"), 30.0) - 1.0).abs() < 0.001);
    // The beep at 1 s of the file is 0.5 s after the first picture.
    assert!((onset(&stage.samples("audio-low.m3u8")) - 0.5).abs() < 0.010);
}

#[test]
fn a_transport_stream_that_starts_anywhere() {
    let stage = Stage::new();
    stage.generate(&format!(
        "{FLASH} {BEEP} -c:v libx264 -bf 2 -c:a aac -output_ts_offset 100 clip.ts"
    ));
    let starts = stage.lines("ffprobe", "-show_entries stream=start_time -of csv=p=0 clip.ts");
    let mut starts = starts
        .iter()
        .map(|line| line.trim_end_matches(',').parse::<f64>().unwrap());
    let (picture, sound) = (starts.next().unwrap(), starts.next_back().unwrap());
    assert!(picture > 100.0 && sound < picture);
    check(&stage, &source("mpegts", picture - sound), "clip.ts", 1.0);
}

#[test]
fn surround_becomes_stereo() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=2 -f lavfi -i sine=d=2 -af aformat=channel_layouts=5.1 -c:v libx264 clip.mp4",
    );
    let mut source = clip::source(320, 240, 2.0);
    source.audio = Some(Audio {
        stream: 1,
        codec: "aac".to_owned(),
        channels: 6,
        sample_rate: 44_100,
    });
    stage.produce(&source, "clip.mp4");
    let streams = stage.lines(
        "ffprobe",
        "-show_entries stream=codec_name,profile,channels,sample_rate -of csv=p=0 -i audio-low.m3u8",
    );
    assert_eq!(streams[0], "aac,LC,48000,2");
}

#[test]
fn sound_that_ends_early_is_filled_with_silence() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30:d=3 -f lavfi -i sine=d=1 -c:v libx264 clip.mp4");
    let made = stage.produce(&clip::source(320, 240, 3.0), "clip.mp4");
    let duration = made.manifest.sounds[0].rendition.duration();
    assert!((duration - 3.0).abs() < 0.022, "{duration}");
}

#[test]
fn a_silent_clip_has_no_sound_to_make() {
    let stage = Stage::new();
    stage.generate("-f lavfi -i testsrc2=s=320x240:r=30:d=1 -c:v libx264 clip.mp4");
    let made = stage.produce(&clip::silent(320, 240, 1.0, Fraction::new(30, 1)), "clip.mp4");
    assert_eq!(made.plan.units.len(), 1);
    assert!(made.manifest.sounds.is_empty());
    let text = std::fs::read_to_string(stage.path().join("playlist.m3u8")).unwrap();
    assert!(!text.contains("AUDIO"), "{text}");
    assert!(encode::mp3_runs(&made.plan, "clip.mp4", "", "").is_empty());
}

#[test]
fn the_mp3_is_tagged_with_title_and_channel_alone() {
    let stage = Stage::new();
    stage.generate(&format!(
        "{FLASH} {BEEP} -c:v libx264 -c:a aac -metadata comment=secret -metadata title=other clip.mp4"
    ));
    let plan = plan(&source("mov", 0.0), &Options::default());
    stage.ffmpeg(&encode::mp3_runs(&plan, "clip.mp4", "A = b; \"c\"", "Some Ünïcode")[0]);
    let tags = stage.lines(
        "ffprobe",
        &format!("-show_entries format_tags:stream_tags -of csv {}", encode::MP3),
    );
    assert_eq!(tags, ["stream,Lavf lame", "format,\"A = b; \"\"c\"\"\",Some Ünïcode"]);
    assert!((onset(&stage.pcm(&format!("-i {}", encode::MP3))) - 1.0).abs() < 0.010);
    let text = String::from_utf8_lossy(&std::fs::read(stage.path().join(encode::MP3)).unwrap()).into_owned();
    assert!(!text.contains("secret"));
}
