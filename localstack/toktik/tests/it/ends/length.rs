//! How long a clip may be, and that the packets say so and not the header.

use std::path::Path;

use super::forge::{places, put};
use super::{end, made};
use crate::clips::{ffprobe, frames, play};

const RATE: u32 = 10;
const FRAME: f64 = 0.1;
const HOUR: u32 = 3600;

/// So many frames of a tiny picture.
fn film(directory: &Path, name: &str, frames: u32, codec: &str) -> Vec<u8> {
    let picture = format!("-f lavfi -i testsrc2=s=32x32:r={RATE} -frames:v {frames} -pix_fmt yuv420p");
    made(directory, name, &format!("{picture} {codec}"))
}

const H264: &str = "-c:v libx264 -preset ultrafast";
const MPEG4: &str = "-c:v mpeg4";

/// Asserts that a clip of so many frames is ready, lasts as long as they do, and plays them all.
async fn is_ready(bytes: Vec<u8>, count: u32) {
    let ended = end(bytes).await.ready();
    let duration = ended.video["duration"].as_f64().unwrap();
    let expected = f64::from(count) * FRAME;
    assert!((duration - expected).abs() < FRAME, "{duration} instead of {expected}");
    play(ended.playlist()).await;
    assert_eq!(frames(ended.playlist()).await, count);
}

async fn lasts(count: u32) {
    let directory = tempfile::tempdir().unwrap();
    is_ready(film(directory.path(), "clip.mp4", count, H264), count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_under_a_minute_is_ready() {
    lasts(599).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_half_a_second_over_a_minute_is_ready() {
    lasts(604).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_half_a_second_over_a_minute_is_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = film(directory.path(), "clip.mp4", 606, H264);
    end(bytes).await.refused("too_long");
}

/// What a header declares instead of the truth.
type Lie = fn(&mut [u8], u32);

/// A clip whose header says so many seconds, and proof that a player would believe it.
async fn declaring(name: &str, codec: &str, count: u32, seconds: u32, lie: Lie) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = film(directory.path(), name, count, codec);
    lie(&mut bytes, seconds);
    let file = directory.path().join(name);
    std::fs::write(&file, &bytes).unwrap();
    let believed = ffprobe(file.to_str().unwrap(), &["-show_entries", "format=duration"]).await;
    let believed: f64 = believed.parse().unwrap();
    assert!(
        (believed - f64::from(seconds)).abs() < 1.0,
        "the lie is not told: {believed}"
    );
    bytes
}

/// Five minutes that claim to be ten seconds.
async fn is_found_too_long(name: &str, codec: &str, lie: Lie) {
    let bytes = declaring(name, codec, 3000, 10, lie).await;
    end(bytes).await.refused("too_long");
}

/// Five seconds that claim to be an hour.
async fn is_found_short(name: &str, codec: &str, lie: Lie) {
    let bytes = declaring(name, codec, 50, HOUR, lie).await;
    is_ready(bytes, 50).await;
}

/// `mvhd`, `tkhd`, `mdhd` and, if there is one, the edit list (ISO/IEC 14496-12, version 0 of each).
fn in_mp4(bytes: &mut [u8], seconds: u32) {
    let scale = |kind: &[u8]| {
        let at = places(bytes, kind)[0] + 16;
        u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
    };
    let (film, media) = (scale(b"mvhd") * seconds, scale(b"mdhd") * seconds);
    let rows: [(&[u8], usize, u32); 4] = [
        (b"mvhd", 20, film),
        (b"tkhd", 24, film),
        (b"mdhd", 20, media),
        (b"elst", 12, film),
    ];
    for (kind, offset, duration) in rows {
        for at in places(bytes, kind) {
            put(bytes, at + offset, &duration.to_be_bytes());
        }
    }
}

/// `Info\Duration` in milliseconds, and the tag that each track has.
fn in_matroska(bytes: &mut [u8], seconds: u32) {
    let info = places(bytes, b"\x44\x89\x88")[0] + 3;
    put(bytes, info, &(f64::from(seconds) * 1000.0).to_be_bytes());
    let tag = places(bytes, b"DURATION")[0];
    let value = tag + places(&bytes[tag..], b"00:")[0];
    let text = format!("{:02}:{:02}:{:02}.", seconds / 3600, seconds / 60 % 60, seconds % 60);
    put(bytes, value, text.as_bytes());
}

/// The count of frames in `avih` and `strh`.
fn in_avi(bytes: &mut [u8], seconds: u32) {
    let count = (seconds * RATE).to_le_bytes();
    for (kind, offset) in [(b"avih", 24), (b"strh", 40)] {
        let at = places(bytes, kind)[0] + offset;
        put(bytes, at, &count);
    }
}

/// `onMetaData`.
fn in_flv(bytes: &mut [u8], seconds: u32) {
    let at = places(bytes, b"duration\0")[0] + 9;
    put(bytes, at, &f64::from(seconds).to_be_bytes());
}

/// Without an edit list, which a header may shorten a film by, and rightly.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_less_than_it_has_is_too_long() {
    is_found_too_long("clip.mp4", &format!("{H264} -bf 0 -use_editlist 0"), in_mp4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_declares_more_than_it_has_is_as_long_as_it_is() {
    is_found_short("clip.mp4", H264, in_mp4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_that_declares_less_than_it_has_is_too_long() {
    is_found_too_long("clip.mkv", H264, in_matroska).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_that_declares_more_than_it_has_is_as_long_as_it_is() {
    is_found_short("clip.mkv", H264, in_matroska).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avi_that_declares_less_than_it_has_is_too_long() {
    is_found_too_long("clip.avi", MPEG4, in_avi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avi_that_declares_more_than_it_has_is_as_long_as_it_is() {
    is_found_short("clip.avi", MPEG4, in_avi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_flv_that_declares_less_than_it_has_is_too_long() {
    is_found_too_long("clip.flv", "-c:v flv", in_flv).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_flv_that_declares_more_than_it_has_is_as_long_as_it_is() {
    is_found_short("clip.flv", "-c:v flv", in_flv).await;
}

/// No length is declared anywhere in a transport stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_over_a_minute_is_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = film(directory.path(), "clip.ts", 620, H264);
    end(bytes).await.refused("too_long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gif_that_shows_each_frame_for_minutes_is_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = film(directory.path(), "clip.gif", 3, "-pix_fmt rgb8");
    // The delay of each frame, in hundredths of a second.
    for at in places(&bytes, b"\x21\xf9\x04") {
        put(&mut bytes, at + 4, &6000u16.to_le_bytes());
    }
    end(bytes).await.refused("too_long");
}
