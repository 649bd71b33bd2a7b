//! A clip in units against the same clip as one: of every sort of file, the same pictures at the same times.
//!
//! Each picture carries its number as eight columns, light or dark, so that no lost, doubled or misplaced one escapes.

use std::fs;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use toktik_media::cost::Host;
use toktik_media::plan::{Options, Plan, plan};
use toktik_media::probe::{Request, probe};
use toktik_media::process::{Budget, Limits, Runner};
use toktik_media::settings::Settings;
use toktik_media::source::Source;

use crate::stage::{Made, Stage};

/// So many numbered pictures as an input of ffmpeg.
fn numbered(rate: &str, frames: u32) -> String {
    format!(
        "-f lavfi -i color=gray:s=320x240:r={rate}:d=60,format=yuv420p,\
         geq=lum='if(mod(floor(N/pow(2,floor(X/40))),2),200,40)':cb=128:cr=128,trim=end_frame={frames}"
    )
}

/// What the house finds the file to be.
pub(crate) async fn examined(stage: &Stage, clip: &str) -> Source {
    let settings = Settings {
        sandbox_launcher: Some(env!("CARGO_BIN_EXE_toktik-sandbox").into()),
        ..Settings::default()
    };
    let request = Request {
        file: &stage.path().join(clip),
        dir: stage.path(),
        max_duration: 60.0,
        limits: Limits::default(),
        budget: &Budget::new(Duration::from_mins(1)),
        cancel: &CancellationToken::new(),
    };
    probe(&Runner::new(&settings).unwrap(), request).await.unwrap()
}

/// The plan with as many units as there are segments, of two seconds each, or with one.
fn planned(source: &Source, unit_seconds: Option<u32>) -> Plan {
    let options = Options {
        segment_seconds: 2,
        unit_seconds,
        ..Options::default()
    };
    plan(source, &options)
}

/// The number that each picture shows.
fn numbers(stage: &Stage, playlist: &str) -> Vec<u32> {
    let filter = "scale=8:1:flags=area,format=yuv420p,extractplanes=y";
    let luma = stage.ask(
        "ffmpeg",
        &format!("-i {playlist} -map 0:v:0 -vf {filter} -fps_mode passthrough -f rawvideo -"),
    );
    let number = |luma: &[u8]| {
        let middle = luma.iter().copied().min().unwrap() / 2 + luma.iter().copied().max().unwrap() / 2;
        let middle = if (60..=180).contains(&middle) { middle } else { 110 };
        let bits = luma.iter().enumerate();
        bits.map(|(place, luma)| u32::from(*luma > middle) << place).sum()
    };
    luma.chunks_exact(8).map(number).collect()
}

/// One rung is enough, and the same in both.
fn lowest(made: &Made) -> String {
    format!("{}.m3u8", made.manifest.variants.last().unwrap().name)
}

/// Makes the clip both ways and asserts that nothing tells them apart. Returns the numbers of its pictures.
async fn alike(clip: &str, stage: Stage) -> Vec<u32> {
    alike_but_for(0, clip, stage).await
}

/// The same where so many of a number's lowest bits cannot be read for sure.
async fn alike_but_for(bits: u32, clip: &str, stage: Stage) -> Vec<u32> {
    let readable = |numbers: &[u32]| numbers.iter().map(|number| number >> bits).collect::<Vec<_>>();
    let mut source = examined(&stage, clip).await;
    // What is taken as it is has no units.
    source.gops.clear();
    let bytes = fs::read(stage.path().join(clip)).unwrap();
    let (one, many) = (planned(&source, None), planned(&source, Some(2)));
    assert!(many.units.len() > one.units.len() + 1, "{:?}", many.units);

    let made = stage.produce_plan(one, clip);
    let expected = numbers(&stage, &lowest(&made));
    let split = Stage::new();
    fs::write(split.path().join(clip), bytes).unwrap();
    let made = split.produce_plan(many, clip);
    let found = numbers(&split, &lowest(&made));
    assert_eq!(readable(&found), readable(&expected), "{source:?}");
    assert_eq!(found.len() as u64, made.plan.frames);

    let times = split.frame_times(&lowest(&made));
    for (number, time) in times.iter().enumerate() {
        assert!(
            (time - made.plan.seconds(number as u64)).abs() < 0.001,
            "{number}: {time}"
        );
    }
    for variant in &made.manifest.variants {
        let mut inits = variant.rendition.parts.iter().map(|part| part.init_hash);
        let first = inits.next().unwrap();
        assert!(
            inits.all(|init| init == first),
            "a unit of {} has an init segment of its own",
            variant.name
        );
    }
    found
}

/// A clip that ffmpeg makes of numbered pictures, all of which are to be seen in order, and none twice.
async fn complete(clip: &str, rate: &str, frames: u32, args: &str) {
    let stage = Stage::new();
    stage.generate(&format!("{} {args} {clip}", numbered(rate, frames)));
    let numbers = alike(clip, stage).await;
    let expected: Vec<u32> = (0..frames).map(|number| number % 256).collect();
    assert_eq!(numbers, expected);
}

macro_rules! complete {
    ($($name:ident: $clip:expr, $rate:expr, $frames:expr, $args:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            complete($clip, $rate, $frames, $args).await;
        }
    )*};
}

complete! {
    an_mp4_of_open_gops: "clip.mp4", "30", 150, "-c:v libx264 -x264-params open-gop=1:keyint=50:bframes=5:b-pyramid=2";
    an_mp4_with_one_keyframe: "clip.mp4", "30", 150, "-c:v libx264 -g 1000 -sc_threshold 0";
    an_mp4_that_refreshes_by_and_by: "clip.mp4", "30", 150, "-c:v libx264 -x264-params intra-refresh=1:keyint=40";
    a_fragmented_mp4: "clip.mp4", "30", 150, "-c:v libx264 -g 40 -movflags +frag_keyframe+empty_moov";
    an_mp4_that_starts_late: "clip.mp4", "30", 150, "-c:v libx264 -g 40 -output_ts_offset 5000";
    hevc: "clip.mp4", "30", 150, "-c:v libx265 -x265-params log-level=0:keyint=45:open-gop=1";
    prores: "clip.mov", "30", 150, "-c:v prores_ks -profile:v 0";
    a_slow_mp4: "clip.mp4", "2", 13, "-c:v libx264 -g 5 -bf 2";
    matroska: "clip.mkv", "30000/1001", 150, "-c:v libx264 -g 40";
    matroska_without_an_index: "clip.mkv", "30", 150, "-c:v libx264 -g 40 -f matroska -live 1";
    matroska_that_starts_late: "clip.mkv", "24000/1001", 120, "-c:v libx264 -g 30 -output_ts_offset 100000";
    vp9: "clip.webm", "30", 150, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 -g 50";
    av1: "clip.mkv", "30", 150, "-c:v libsvtav1 -preset 12 -g 50";
    broadcast: "clip.ts", "30", 150, "-c:v libx264 -g 40";
    broadcast_that_starts_late: "clip.ts", "25", 125, "-c:v mpeg2video -bf 2 -g 12 -output_ts_offset 80000";
    a_program_stream: "clip.mpg", "25", 125, "-c:v mpeg2video -bf 2 -g 15";
    flash: "clip.flv", "30", 150, "-c:v libx264 -g 40";
    avi: "clip.avi", "25", 125, "-c:v mpeg4 -g 40 -q:v 3";
    ogg: "clip.ogv", "25", 125, "-c:v libtheora -q:v 8 -g 40";
    gif: "clip.gif", "20", 100, "";
    a_bare_stream: "clip.h264", "25", 125, "-c:v libx264 -g 40 -bf 0";
    nut: "clip.nut", "25", 125, "-c:v mpeg4 -g 40 -q:v 3";
    sixty_frames_a_second: "clip.mp4", "60", 300, "-c:v libx264 -g 100";
}

const THINS: &str = "log-level=0:keyint=45:bframes=3:b-adapt=0:b-pyramid=1";

/// On a host that needs all it has to keep ahead of who watches, the lowest rungs show every second picture twice; in many
/// units as in one, and the others show all.
#[tokio::test]
async fn every_second_picture_of_what_is_too_much() {
    let stage = Stage::new();
    let tall = "-vf scale=640:480:flags=neighbor";
    stage.generate(&format!(
        "{} {tall} -c:v libx265 -x265-params {THINS} clip.mp4",
        numbered("60", 300)
    ));
    let source = examined(&stage, "clip.mp4").await;
    assert!(source.weight.thins);
    let host = Host {
        cpus: 0.01,
        deadline: 1e6,
    };
    let planned = |unit_seconds| {
        let options = Options {
            segment_seconds: 2,
            unit_seconds,
            host,
            ..Options::default()
        };
        plan(&source, &options)
    };
    let bytes = fs::read(stage.path().join("clip.mp4")).unwrap();
    let mut shown = Vec::new();
    for unit_seconds in [None, Some(2)] {
        let stage = Stage::new();
        fs::write(stage.path().join("clip.mp4"), &bytes).unwrap();
        stage.produce_plan(planned(unit_seconds), "clip.mp4");
        assert_eq!(
            numbers(&stage, "480p.m3u8"),
            (0..300).map(|number| number % 256).collect::<Vec<_>>()
        );
        shown.extend(["240p", "360p"].map(|rung| numbers(&stage, &format!("{rung}.m3u8"))));
    }
    // Its own picture or the one before it: where a group is of an odd length, two that are referred to follow each other.
    let late = |(place, number): (u32, &u32)| (place + 256 - number) % 256;
    let late: Vec<u32> = (0..).zip(&shown[0]).map(late).collect();
    assert!(
        late.len() == 300 && late.iter().all(|late| *late <= 1),
        "{:?}",
        shown[0]
    );
    let doubled = late.iter().filter(|late| **late == 1).count();
    assert!((140..=150).contains(&doubled), "{doubled}: {:?}", shown[0]);
    assert!(shown.iter().all(|other| *other == shown[0]), "{shown:?}");
}

#[tokio::test]
async fn pictures_that_thin_and_others() {
    let thins = async |rate: &str, args: &str| {
        let stage = Stage::new();
        stage.generate(&format!("{} {args} clip.mp4", numbered(rate, 30)));
        examined(&stage, "clip.mp4").await.weight.thins
    };
    let hevc = |coded: &str| format!("-c:v libx265 -x265-params log-level=0:b-adapt=0:{coded}");
    assert!(thins("60", &hevc("bframes=3:b-pyramid=1")).await);
    assert!(thins("60", &hevc("bframes=1 -tag:v hvc1 -movflags +faststart")).await);
    assert!(thins("50", &hevc("bframes=1:temporal-layers=1 -pix_fmt yuv420p10le")).await);
    assert!(!thins("60", &hevc("bframes=0")).await, "all are referred to");
    assert!(
        !thins("60", &hevc("bframes=4:b-pyramid=0")).await,
        "four at a time would be missing"
    );
    assert!(
        !thins("30", &hevc("bframes=3:b-pyramid=1")).await,
        "15 a second are few"
    );
    assert!(!thins("60", "-c:v libx264 -bf 1").await, "only HEVC is looked at");
}

/// Cut out of a longer recording without encoding: what lies before the cut is there, decoded and not shown.
#[tokio::test]
async fn an_edit_list() {
    let stage = Stage::new();
    stage.generate(&format!("{} -c:v libx264 -g 70 long.mp4", numbered("30", 210)));
    stage.generate("-ss 1.5 -i long.mp4 -c copy clip.mp4");
    let numbers = alike("clip.mp4", stage).await;
    assert_eq!(numbers, (45..210).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_turned_picture() {
    let stage = Stage::new();
    stage.generate(&format!("{} -c:v libx264 -g 40 upright.mp4", numbered("30", 150)));
    stage.generate("-i upright.mp4 -c copy -metadata:s:v rotate=180 clip.mp4");
    let numbers = alike("clip.mp4", stage).await;
    // Upside down, the columns come in the other order.
    let expected: Vec<u32> = (0..150_u32).map(|number| number.reverse_bits() >> 24).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn high_dynamic_range() {
    let light = "-pix_fmt yuv420p10le -x265-params \
                 log-level=0:keyint=45:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    complete("clip.mp4", "30", 150, &format!("-c:v libx265 {light}")).await;
}

/// Pictures come when they will, some after a pause that is longer than a unit.
#[tokio::test]
async fn a_variable_rate() {
    for clip in ["clip.mp4", "clip.mkv"] {
        let stage = Stage::new();
        let times = "setpts='(N+floor(N/7)*3+gte(N,60)*85)/30/TB'";
        stage.generate(&format!(
            "{} -vf {times} -fps_mode passthrough -enc_time_base 1/1000 -c:v libx264 -g 25 {clip}",
            numbered("30", 100)
        ));
        let mut numbers = alike(clip, stage).await;
        numbers.dedup();
        assert_eq!(numbers[..99], (0..99).collect::<Vec<_>>(), "{clip}");
    }
}

/// Two fields of different moments a frame; each is woven with its neighbours.
#[tokio::test]
async fn fields() {
    for (clip, codec) in [
        ("clip.mp4", "libx264 -g 40 -flags +ildct+ilme"),
        ("clip.ts", "mpeg2video -flags +ildct+ilme -g 12"),
    ] {
        let stage = Stage::new();
        stage.generate(&format!(
            "{} -vf setpts=N/(50*TB),interlace=lowpass=0,fps=25 -c:v {codec} {clip}",
            numbered("50", 250)
        ));
        // Two fields of a frame show two numbers, which differ in the lowest bit.
        alike_but_for(1, clip, stage).await;
    }
}

/// The clock begins again where the second recording does, in the middle of a unit.
#[tokio::test]
async fn a_clock_that_jumps() {
    let stage = Stage::new();
    for (name, offset) in [("one.ts", 40), ("two.ts", 9000)] {
        stage.generate(&format!(
            "{} -c:v libx264 -g 40 -output_ts_offset {offset} {name}",
            numbered("30", 90)
        ));
    }
    let joined = ["one.ts", "two.ts"].map(|name| fs::read(stage.path().join(name)).unwrap());
    fs::write(stage.path().join("clip.ts"), joined.concat()).unwrap();
    alike("clip.ts", stage).await;
}

/// Bytes of each picture of a rung as they follow one another, in order of decoding.
fn sizes(stage: &Stage, playlist: &str) -> Vec<u64> {
    let args = format!("-select_streams v:0 -show_entries packet=size -of csv=p=0 -i {playlist}");
    let lines = stage.lines("ffprobe", &args);
    lines
        .iter()
        .map(|line| line.trim_end_matches(',').parse().unwrap())
        .collect()
}

/// The least that a decoder's buffer ever holds, as a part of it, when it is filled at the rung's peak.
#[expect(clippy::cast_precision_loss, reason = "sizes of pictures")]
fn lowest_level(sizes: &[u64], rate: u32, buffer: u32, frame_rate: f64) -> f64 {
    let (mut level, mut lowest) = (f64::from(buffer) * 0.9, f64::INFINITY);
    for size in sizes {
        level -= *size as f64 * 8.0;
        lowest = f64::min(lowest, level);
        level = f64::min(level + f64::from(rate) / frame_rate, buffer.into());
    }
    lowest / f64::from(buffer)
}

/// How alike each picture of a playlist is to the clip's.
fn likeness(stage: &Stage, playlist: &str, clip: &str) -> Vec<f64> {
    let clock = "settb=1/30,setpts=N";
    let graph = format!("[0:v]{clock}[x];[1:v]{clock}[y];[x][y]scale2ref[a][b];[a][b]ssim=f=likeness.txt");
    stage.ask(
        "ffmpeg",
        &format!("-i {playlist} -i {clip} -filter_complex {graph} -f null -"),
    );
    let text = fs::read_to_string(stage.path().join("likeness.txt")).unwrap();
    let all = |line: &str| line.split("All:").nth(1)?.split(' ').next()?.parse().ok();
    text.lines().filter_map(all).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
}

/// Of a picture that asks for more than every cap: no seam shows, and no buffer runs dry where units meet.
#[tokio::test]
async fn a_seam_is_as_good_as_any_other_place() {
    let stage = Stage::new();
    stage.generate(
        "-f lavfi -i testsrc2=s=640x360:r=30:d=10,noise=alls=25:allf=t -c:v libx264 -preset ultrafast -crf 20 \
         -pix_fmt yuv420p clip.mp4",
    );
    let source = examined(&stage, "clip.mp4").await;
    let one = stage.produce_plan(planned(&source, None), "clip.mp4");
    let rungs = one.plan.rungs.clone();
    let before: Vec<Vec<f64>> = rungs
        .iter()
        .map(|rung| likeness(&stage, &format!("{}.m3u8", rung.name), "clip.mp4"))
        .collect();
    let many = stage.produce_plan(planned(&source, Some(2)), "clip.mp4");
    assert_eq!(many.plan.units.len(), 5);
    for (rung, before) in rungs.iter().zip(before) {
        let playlist = format!("{}.m3u8", rung.name);
        let after = likeness(&stage, &playlist, "clip.mp4");
        assert_eq!((after.len(), before.len()), (300, 300));
        for seam in [60, 120, 180, 240] {
            let around = seam - 5..seam + 15;
            let (single, split) = (mean(&before[around.clone()]), mean(&after[around]));
            println!("{} at {seam}: {single:.4} in one, {split:.4} in units", rung.name);
            assert!(
                split > single - 0.02,
                "{} at {seam}: {split} instead of {single}",
                rung.name
            );
        }
        let level = lowest_level(&sizes(&stage, &playlist), rung.max_rate, rung.buffer, 30.0);
        println!("{}: the buffer's lowest level is {level:.3}", rung.name);
        assert!(level > -0.05, "{}: {level}", rung.name);
    }
}
