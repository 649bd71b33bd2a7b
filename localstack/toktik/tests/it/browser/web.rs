//! The web app in a browser, as people use it. Each test is a scenario of `localstack/browser/web`, which says what has to
//! be seen; here it gets a Toktik of its own, and clips.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::directory;
use crate::clips::{clip, make};
use crate::processes::up;
use crate::running::Running;

/// Plays a scenario and asserts that all of it held.
async fn holds(name: &str, clips: &[PathBuf], data: &TempDir) {
    let data = data.path().join("data");
    let mut command = up(&data);
    // Every person of a scenario signs up from this machine.
    command.args(["--registrations-per-hour", "0"]);
    let toktik = Running::start(&mut command, "Toktik is at ").await;
    let output = tokio::process::Command::new("node")
        .arg(directory().join(format!("web/{name}.mjs")))
        .arg(&toktik.base)
        .args(clips)
        .kill_on_drop(true)
        .output()
        .await
        .expect("node is missing: `cargo xtask test` says how to get it");
    let (seen, complaints) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let logged = toktik.stop().await;
    assert!(output.status.success(), "{complaints}{seen}\n{logged}");
    println!("{seen}");
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn written(directory: &Path, name: &str, bytes: Vec<u8>) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A few seconds with a beep, large enough for a choice of qualities.
fn film(directory: &Path) -> PathBuf {
    drawn(directory, "film.mp4", "testsrc2=size=854x480:rate=30:duration=5")
}

fn drawn(directory: &Path, name: &str, picture: &str) -> PathBuf {
    let sources = [
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=330:duration=5",
    ];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-shortest",
    ];
    make(directory, name, &[&sources[..], &codecs[..]].concat());
    directory.join(name)
}

/// A file of a video's kind that only sounds.
fn hum(directory: &Path) -> PathBuf {
    let arguments = ["-f", "lavfi", "-i", "sine=frequency=50:duration=2", "-c:a", "aac"];
    make(directory, "hum.mp4", &arguments);
    directory.join("hum.mp4")
}

/// Sent in four parts: most of it is a box that players skip (ISO/IEC 14496-12 8.1.2).
fn large(directory: &Path) -> PathBuf {
    const FREE: u32 = 26 << 20;
    let mut bytes = clip(directory, 3);
    bytes.extend(FREE.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + FREE as usize - 8, 0);
    written(directory, "large.mp4", bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_posted_watched_liked_edited_and_deleted() {
    let data = temporary();
    holds("journey", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_plays_what_is_in_view_and_only_that() {
    let data = temporary();
    let path = data.path();
    let clips = [
        film(path),
        drawn(path, "tall.mp4", "testsrc=size=360x640:rate=30:duration=5"),
        drawn(path, "other.mp4", "mandelbrot=size=640x360:rate=30"),
    ];
    holds("feed", &clips, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_likes_a_clip_is_seen_by_who_watches_it() {
    let data = temporary();
    holds("two", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_reload() {
    let data = temporary();
    holds("resume", &[large(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_reads_why_and_a_page_that_is_called_a_video_never_runs() {
    let data = temporary();
    holds("refused", &[hum(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_people_write_runs() {
    let data = temporary();
    holds("hostile", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_plays_without_scripts() {
    let data = temporary();
    holds("plain", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_grows_plays_from_its_start_and_keeps_its_place() {
    let data = temporary();
    holds("growing", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_light_and_a_clip_begins_at_once() {
    let data = temporary();
    holds("light", &[film(data.path())], &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_their_session_is_renewed() {
    holds("session", &[], &temporary()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_use_every_page() {
    let data = temporary();
    holds("axe", &[film(data.path()), hum(data.path())], &data).await;
}
