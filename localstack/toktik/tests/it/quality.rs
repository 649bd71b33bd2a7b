//! Each rung looks as good as its bits allow: beside it stands what x264 makes of the same picture at its default preset,
//! in one pass too, of as many bits and within the same buffer. `cargo xtask bench quality` is stricter: it allows two passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use toktik_media::plan::{Plan, Rung};

use crate::clips::make;
use crate::harness::House;

const RATE: u32 = 24;
const SECONDS: u32 = 6;
/// Of the other's SSIM, at least.
const AS_GOOD: f64 = 0.997;

/// A surface as rough at every scale as nature's are, before which the camera wanders; a piece of it on a way of its own;
/// and grain. As telephones record it, with a keyframe now and then.
fn natural(directory: &Path) -> PathBuf {
    let sizes = ["50x28", "100x56", "200x112", "400x225", "800x450"];
    let octaves = sizes.iter().enumerate().map(|(seed, size)| {
        format!(
            "color=gray:s={size}:r={RATE}:d=0.04,noise=alls=100:all_seed={seed},scale=1600:900:flags=bicubic[{seed}];"
        )
    });
    let graph = format!(
        "{}[0][1][2][3][4]mix=inputs=5:weights=16 8 4 2 1,eq=contrast=2:saturation=0.5,format=yuv420p,loop=-1:1,\
         setpts=N/{RATE}/TB,split[far][near];\
         [far]crop=1280:720:x='160+150*sin(t/1.5)':y='90+80*cos(t/2)'[ground];[near]crop=240:300:x=900:y=200[thing];\
         [ground][thing]overlay=x='100+120*t':y='200+60*sin(t*3)',noise=alls=2:allf=t",
        octaves.collect::<String>()
    );
    let seconds = SECONDS.to_string();
    let picture = ["-f", "lavfi", "-i", &graph, "-t", &seconds];
    let codec = "-c:v libx264 -preset veryfast -crf 16 -g 240 -pix_fmt yuv420p -colorspace bt709";
    let arguments = [&picture[..], &codec.split(' ').collect::<Vec<_>>()].concat();
    make(directory, "natural.mp4", &arguments);
    directory.join("natural.mp4")
}

/// What ffmpeg says while it does this; its files are here.
fn ffmpeg(directory: &Path, arguments: &str) -> String {
    let output = Command::new("ffmpeg")
        .current_dir(directory)
        .args(["-hide_banner", "-nostats", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {said}");
    said
}

/// Scales the source as it is to be shown on this rung.
fn scaled(rung: &Rung) -> String {
    format!("scale={}:{}:flags=bicubic+accurate_rnd", rung.width, rung.height)
}

/// Bytes of the picture alone.
fn bytes(directory: &Path, file: &str) -> u64 {
    ffmpeg(directory, &format!("-i {file} -map 0:v -c copy -f h264 bare.h264"));
    std::fs::metadata(directory.join("bare.h264")).unwrap().len()
}

/// As many bytes, or next to: one pass over so short a clip does not make exactly what it is told to, and where the buffer is
/// small it finds no use for all of them.
fn at_leisure(directory: &Path, plan: &Plan, rung: &Rung, wanted: u64) -> u64 {
    let (gop, scaled) = (plan.gop_frames, scaled(rung));
    // With the same keyframes: one more weighs in so short a clip.
    let [half, first] = plan.first_keyframes().map(|frame| plan.seconds(frame));
    let gop = format!("-g {gop} -keyint_min 1 -force_key_frames {half},{first} -sc_threshold 0 -flags +cgop");
    let mut told = wanted;
    let mut made = 0;
    for _ in 0..4 {
        let rate = told * 8 / u64::from(SECONDS);
        let limits = format!("-b:v {rate} -maxrate {} -bufsize {}", rung.max_rate, rung.buffer);
        ffmpeg(
            directory,
            &format!("-i natural.mp4 -vf {scaled} -c:v libx264 -preset medium {limits} {gop} theirs.mp4"),
        );
        made = bytes(directory, "theirs.mp4");
        if made.abs_diff(wanted) * 100 <= wanted {
            break;
        }
        told = told * wanted / made;
    }
    made
}

/// How like the source a rung's picture is, frame by frame.
fn ssim(directory: &Path, rung: &Rung, file: &str) -> f64 {
    let counted = format!("settb=1/{RATE},setpts=N");
    let graph = format!("[0:v]{},{counted}[a];[1:v]{counted}[b];[a][b]ssim", scaled(rung));
    let said = ffmpeg(directory, &format!("-i natural.mp4 -i {file} -lavfi {graph} -f null -"));
    let (_, all) = said.rsplit_once("All:").unwrap();
    all.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rung_looks_as_good_as_its_bits_allow() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let directory = house.directory();
    let film = std::fs::read(natural(directory)).unwrap();
    let id = house.publish(&user, film).await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let plan = house
        .context
        .catalog
        .plan(id.parse().unwrap(), 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((plan.rungs.len(), &plan.copied), (4, &None), "every rung is encoded");
    let mut worse = Vec::new();
    for rung in &plan.rungs {
        let playlist = format!("{}/api/v1/videos/{id}/playlists/{}.m3u8", house.base, rung.name);
        ffmpeg(directory, &format!("-i {playlist} -c copy ours.mp4"));
        let made = bytes(directory, "ours.mp4");
        let beside = at_leisure(directory, &plan, rung, made);
        let (ours, theirs) = (ssim(directory, rung, "ours.mp4"), ssim(directory, rung, "theirs.mp4"));
        let ratio = ours / theirs;
        let name = &rung.name;
        let found = format!("{name}: SSIM {ours} of {made} bytes, x264 medium's {theirs} of {beside}: {ratio:.4}");
        println!("{found}");
        if ours < 0.5 || ratio < AS_GOOD {
            worse.push(found);
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}
