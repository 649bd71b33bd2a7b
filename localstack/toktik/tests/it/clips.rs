//! Clips made by ffmpeg, and ffmpeg as a player. Small: 2 s and 360 lines unless size is the point.

use std::path::Path;
use std::process::{Command, Output};

/// A moving picture with a beep, so many seconds long.
pub(crate) fn clip(directory: &Path, seconds: u32) -> Vec<u8> {
    let picture = format!("testsrc2=size=640x360:rate=30:duration={seconds}");
    let sound = format!("sine=frequency=440:duration={seconds}");
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    make(directory, "clip.mp4", &[&inputs[..], &codecs[..]].concat())
}

/// The least that becomes a clip with everything: one rung, one segment, a beep.
pub(crate) fn tiny_clip(directory: &Path) -> Vec<u8> {
    let inputs = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x120:rate=10:duration=1",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=1",
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
    ];
    make(directory, "tiny.mp4", &[&inputs[..], &codecs[..]].concat())
}

/// The same without sound.
pub(crate) fn silent_clip(directory: &Path, seconds: u32) -> Vec<u8> {
    let picture = format!("testsrc2=size=640x360:rate=30:duration={seconds}");
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        &picture,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ];
    // Not as MP4, of which the picture could be taken as it is: its one unit is what tests are about.
    make(directory, "silent.mkv", &arguments)
}

/// One that two cores work on for a while.
pub(crate) fn long_clip(directory: &Path) -> Vec<u8> {
    let source = "testsrc2=size=1280x720:rate=30:duration=15";
    let codec = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "35",
        "-pix_fmt",
        "yuv420p",
    ];
    make(
        directory,
        "long.mp4",
        &[&["-f", "lavfi", "-i", source], &codec[..]].concat(),
    )
}

/// What ffmpeg makes of these arguments, read back.
pub(crate) fn make(directory: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let file = directory.join(name);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-nostdin"])
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).unwrap()
}

/// Plays a playlist or file to its end and asserts that ffmpeg has nothing to complain of.
pub(crate) async fn play(url: &str) {
    let output = run("ffmpeg", &["-v", "warning", "-nostdin", "-i", url, "-f", "null", "-"]).await;
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Frames of the picture, decoded and counted.
pub(crate) async fn frames(url: &str) -> u32 {
    let entries = [
        "-select_streams",
        "v:0",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
    ];
    let text = ffprobe(url, &entries).await;
    text.trim().parse().unwrap_or_else(|_| panic!("not a count: {text}"))
}

/// The values that ffprobe prints, one a line.
pub(crate) async fn ffprobe(url: &str, arguments: &[&str]) -> String {
    let format = ["-v", "error", "-of", "default=noprint_wrappers=1:nokey=1"];
    let output = run("ffprobe", &[&format[..], arguments, &[url]].concat()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Streams that belong to a program are printed twice.
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

async fn run(program: &str, arguments: &[&str]) -> Output {
    tokio::process::Command::new(program)
        .args(arguments)
        .output()
        .await
        .unwrap()
}
