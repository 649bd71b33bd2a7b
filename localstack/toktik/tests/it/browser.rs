//! A real browser plays what comes out: headless Chromium, from a page of another origin, both with hls.js and with the
//! player for HLS that Chromium itself has.

mod web;

use std::path::PathBuf;
use std::process::Stdio;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::clips::{clip, make, silent_clip};
use crate::harness::House;
use crate::processes::up;
use crate::running::{PATIENCE, Running, until};

#[derive(Clone, Copy, Debug)]
enum Player {
    HlsJs,
    Native,
}

/// What has to be seen of a clip.
struct Expected {
    seconds: f64,
    frames: u32,
    width: u32,
    height: u32,
}

/// Known only when the tests run: compiled tests are shared between clones.
fn directory() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("../browser")
}

/// What plays the playlist of this address; `-`, if it is told the address later.
fn player(address: &str) -> Command {
    let directory = directory();
    let packages = directory.join("node_modules");
    assert!(
        packages.is_dir(),
        "{} is missing: `cargo xtask test` installs it",
        packages.display()
    );
    let mut node = Command::new("node");
    // As fast as people watch: faster, a busy machine would show as stalls that no viewer has.
    node.arg(directory.join("play.mjs"))
        .args([address, "--rate", "1"])
        .kill_on_drop(true);
    node
}

/// Plays it to its end and tells what was played.
async fn watch(url: &str, with: Player) -> Value {
    let mut node = player(url);
    if matches!(with, Player::Native) {
        node.arg("--native");
    }
    let output = node
        .output()
        .await
        .expect("node is missing: `cargo xtask test` says how to get it");
    let (played, complaints) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let played = String::from_utf8_lossy(played);
    assert!(output.status.success(), "{with:?}: {complaints}{played}");
    serde_json::from_str(&played).unwrap()
}

/// Takes the clip through the house and asserts that both players show all of it.
async fn plays(bytes: Vec<u8>, expected: &Expected) {
    plays_in(&House::open().await, bytes, expected).await;
}

async fn plays_in(house: &House, bytes: Vec<u8>, expected: &Expected) {
    let user = house.user("ada").await;
    let id = house.publish(&user, bytes).await;
    let video = house.video(&id, None).await;
    assert_eq!(video["status"], "ready", "{video}");
    for player in [Player::HlsJs, Player::Native] {
        let played = watch(video["urls"]["playlist"].as_str().unwrap(), player).await;
        println!("{player:?}: {played}");
        assert_all_was_seen(&played, expected);
    }
}

fn assert_all_was_seen(played: &Value, expected: &Expected) {
    let number = |name: &str| played[name].as_f64().unwrap();
    assert_eq!(
        (&played["ended"], &played["stalls"], &played["holes"]),
        (&true.into(), &0.into(), &0.into()),
        "{played}"
    );
    let frames = f64::from(expected.frames);
    // A clip of a few frames has none to spare.
    let spare = f64::min(3.0, (frames - 1.0) / 2.0);
    assert!((number("decodedFrames") - frames).abs() <= spare, "{played}");
    assert!((number("duration") - expected.seconds).abs() < 0.1, "{played}");
    assert!(number("currentTime") >= number("duration") - 0.1, "{played}");
    // Any rung may be shown: all have the one shape.
    let shape = |width: f64, height: f64| width / height;
    let (shown, wanted) = (
        shape(number("width"), number("height")),
        shape(expected.width.into(), expected.height.into()),
    );
    assert!((shown / wanted - 1.0).abs() < 0.02, "{played}");
}

/// So many seconds at a rate, 640x360 and upright.
fn landscape(seconds: u32, rate: u32) -> Expected {
    Expected {
        seconds: seconds.into(),
        frames: seconds * rate,
        width: 640,
        height: 360,
    }
}

fn made(arguments: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    make(
        directory.path(),
        "clip.mp4",
        &arguments.split_whitespace().collect::<Vec<_>>(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_plays_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    plays(clip(directory.path(), 5), &landscape(5, 30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_in_units_plays_across_their_seams() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::with(&["--unit-seconds", "4"]).await;
    plays_in(&house, clip(directory.path(), 9), &landscape(9, 30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_clip_plays_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    plays(silent_clip(directory.path(), 3), &landscape(3, 30)).await;
}

/// Held upright, a telephone writes the picture lying on its side and says how to turn it.
#[tokio::test(flavor = "multi_thread")]
async fn a_turned_clip_plays_upright() {
    let directory = tempfile::tempdir().unwrap();
    let expected = Expected {
        width: 360,
        height: 640,
        ..landscape(3, 30)
    };
    plays(turned(clip(directory.path(), 3)), &expected).await;
}

/// The matrix of the first track (ISO/IEC 14496-12 8.3.2): a quarter turn.
fn turned(mut film: Vec<u8>) -> Vec<u8> {
    const ONE: i32 = 1 << 16;
    let matrix = [0, ONE, 0, -ONE, 0, 0, 360 * ONE, 0, 1 << 30];
    let bytes: Vec<u8> = matrix.into_iter().flat_map(i32::to_be_bytes).collect();
    let track = film.windows(4).position(|four| four == b"tkhd").unwrap() + 44;
    film[track..track + bytes.len()].copy_from_slice(&bytes);
    film
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_frames_a_second_play_to_their_end() {
    let picture = "-f lavfi -i testsrc2=s=640x360:r=60:d=3 -f lavfi -i sine=d=3 -pix_fmt yuv420p";
    let bytes = made(&format!("{picture} -c:v libx264 -preset ultrafast"));
    plays(bytes, &landscape(3, 60)).await;
}

/// Ten bits and a light that Chromium would have to be able to show.
#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_high_dynamic_range_plays_to_its_end() {
    let picture = "-f lavfi -i testsrc2=s=640x360:r=30:d=2 -f lavfi -i sine=d=2 -pix_fmt yuv420p10le";
    let light = "-color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc";
    let bytes = made(&format!("{picture} -c:v libx264 -preset ultrafast {light}"));
    plays(bytes, &landscape(2, 30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_shorter_than_a_second_plays_to_its_end() {
    let bytes =
        made("-f lavfi -i testsrc2=s=640x360:r=25 -frames:v 15 -pix_fmt yuv420p -c:v libx264 -preset ultrafast");
    let expected = Expected {
        seconds: 0.6,
        frames: 15,
        ..landscape(1, 25)
    };
    plays(bytes, &expected).await;
}

/// As slide shows are.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_a_second_plays_to_its_end() {
    let picture = "-f lavfi -i testsrc2=s=640x360:r=1:d=5 -f lavfi -i sine=d=5 -pix_fmt yuv420p";
    let bytes = made(&format!("{picture} -c:v libx264 -preset ultrafast"));
    plays(bytes, &landscape(5, 1)).await;
}

/// The last segment is all but nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_a_segment_and_a_frame_plays_to_its_end() {
    let picture = "-f lavfi -i testsrc2=s=640x360:r=25 -f lavfi -i sine -t 4.04 -pix_fmt yuv420p";
    let bytes = made(&format!("{picture} -c:v libx264 -preset ultrafast"));
    let expected = Expected {
        seconds: 4.04,
        frames: 101,
        ..landscape(4, 25)
    };
    plays(bytes, &expected).await;
}

/// A viewer whose page is open already.
struct Viewer {
    node: tokio::process::Child,
    says: BufReader<tokio::process::ChildStdout>,
}

impl Viewer {
    async fn sits_down() -> Self {
        let mut node = player("-");
        let node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut node = node.expect("node is missing: `cargo xtask test` says how to get it");
        let mut says = BufReader::new(node.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).await.unwrap();
        assert_eq!(line, "open\n");
        Self { node, says }
    }

    /// To the end; what was played.
    async fn watches(mut self, url: &str) -> Value {
        let told = format!("{url}\n");
        self.node
            .stdin
            .take()
            .unwrap()
            .write_all(told.as_bytes())
            .await
            .unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).await.unwrap();
        let status = self.node.wait().await.unwrap();
        assert!(status.success(), "{line}");
        serde_json::from_str(&line).unwrap()
    }
}

/// All of it has to be encoded, and more than one rung of it.
fn recorded(seconds: u32) -> Vec<u8> {
    let picture = format!("-f lavfi -i testsrc2=s=1280x720:r=24:d={seconds} -f lavfi -i sine=d={seconds}");
    made(&format!(
        "{picture} -pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1"
    ))
}

/// Whoever begins with the first seconds never waits for the next ones, though all of them are still to be made. A decoder
/// that is slow, since the machine is busy, counts for nothing here.
#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_watch_while_a_clip_is_made_never_waits_for_data() {
    const SECONDS: u32 = 24;
    let directory = tempfile::tempdir().unwrap();
    let toktik = Running::start(&mut up(&directory.path().join("data")), "Toktik is at ").await;
    let (token, film) = (toktik.token().await, recorded(SECONDS));
    let viewer = Viewer::sits_down().await;
    let id = toktik.upload(&token, film).await;
    let path = format!("/api/v1/videos/{id}");
    let video = until("the clip is playable", PATIENCE, async || {
        let video = toktik.get(&path).await.expect(StatusCode::OK);
        (video["status"] != "processing").then_some(video)
    })
    .await;
    assert_eq!(video["status"], "playable", "{video}");
    let played = viewer.watches(video["urls"]["playlist"].as_str().unwrap()).await;
    println!("{played}");
    assert_eq!(played["growing"], true, "it was whole when it began to play: {played}");
    assert_eq!(
        (&played["ended"], &played["holes"]),
        (&true.into(), &0.into()),
        "{played}"
    );
    let number = |value: &Value| value.as_f64().unwrap();
    let whole = f64::from(SECONDS);
    // Whoever has seen everything learns that it was everything when the last rung is made.
    let mut dry = played["dry"].as_array().unwrap().iter().map(number);
    assert!(dry.all(|at| at > whole - 0.5), "nothing had arrived: {played}");
    let [once] = &played["played"].as_array().unwrap()[..] else {
        panic!("some of it was left out: {played}");
    };
    assert!(
        number(&once[0]) < 0.1 && (number(&once[1]) - whole).abs() < 0.1,
        "{played}"
    );
    assert!((number(&played["duration"]) - whole).abs() < 0.1, "{played}");
    assert!(
        number(&played["seconds"]) > whole - 0.5,
        "it was not watched as people do: {played}"
    );
    toktik.until_ready(&id).await;
    toktik.stop().await;
}
