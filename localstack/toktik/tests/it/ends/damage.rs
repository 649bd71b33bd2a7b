//! Clips that were cut short or have turned in storage. What at least half of decodes is ready, the rest is `corrupt`;
//! none is left undecided, and none costs more than a verdict may.

use std::ops::Range;

use super::forge::{body, flip, overwrite_with_noise, percent, place};
use super::settle::settle;
use super::{Ended, made};
use crate::clips::{frames, play};

const FRAMES: u32 = 100;
/// Every frame about as large as the next, and a keyframe each fifth of a second, so that a share of the bytes is a
/// share of the frames.
const PICTURE: &str = "-f lavfi -i testsrc2=s=320x240:r=25:d=4 -pix_fmt yuv420p";
const H264: &str = "-c:v libx264 -preset ultrafast -qp 20 -g 5";
const MPEG4: &str = "-c:v mpeg4 -q:v 3 -g 5";
const FRAGMENTED: &str = "-movflags +frag_keyframe+empty_moov+default_base_moof";

fn whole(name: &str, codec: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    made(directory.path(), name, &format!("{PICTURE} {codec}"))
}

fn front() -> Vec<u8> {
    whole("clip.mp4", &format!("{H264} -movflags +faststart"))
}

fn at_the_end() -> Vec<u8> {
    whole("clip.mp4", H264)
}

fn fragmented() -> Vec<u8> {
    whole("clip.mp4", &format!("{H264} {FRAGMENTED}"))
}

fn matroska() -> Vec<u8> {
    whole("clip.mkv", H264)
}

fn avi() -> Vec<u8> {
    whole("clip.avi", MPEG4)
}

fn transport() -> Vec<u8> {
    whole("clip.ts", H264)
}

fn flash() -> Vec<u8> {
    whole("clip.flv", H264)
}

/// The first so many hundredths of the bytes.
async fn cut(mut bytes: Vec<u8>, share: usize) -> Ended {
    bytes.truncate(bytes.len() * share / 100);
    settle(bytes).await
}

async fn is_corrupt(bytes: Vec<u8>, share: usize) {
    cut(bytes, share).await.refused("corrupt");
}

/// Asserts that about that share of the clip is there, and plays.
async fn is_ready(bytes: Vec<u8>, share: u32) {
    let ended = cut(bytes, usize::try_from(share).unwrap()).await;
    assert_eq!(ended.video["status"], "ready", "{}", ended.video);
    play(ended.playlist()).await;
    let (there, expected) = (frames(ended.playlist()).await, FRAMES * share / 100);
    assert!(there.abs_diff(expected) <= 8, "{there} frames of {expected}");
}

macro_rules! cuts {
    ($($name:ident: $outcome:ident($clip:ident, $share:literal);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $outcome($clip(), $share).await;
        }
    )*};
}

cuts! {
    a_tenth_of_an_mp4_is_corrupt: is_corrupt(front, 10);
    two_fifths_of_an_mp4_are_corrupt: is_corrupt(front, 40);
    three_fifths_of_an_mp4_are_ready: is_ready(front, 60);
    nine_tenths_of_an_mp4_are_ready: is_ready(front, 90);

    an_mp4_that_ends_before_its_index_is_corrupt_at_a_tenth: is_corrupt(at_the_end, 10);
    an_mp4_that_ends_before_its_index_is_corrupt_at_half: is_corrupt(at_the_end, 50);
    an_mp4_that_ends_before_its_index_is_corrupt_at_nine_tenths: is_corrupt(at_the_end, 90);

    a_tenth_of_a_matroska_file_is_corrupt: is_corrupt(matroska, 10);
    two_fifths_of_a_matroska_file_are_corrupt: is_corrupt(matroska, 40);
    three_fifths_of_a_matroska_file_are_ready: is_ready(matroska, 60);
    nine_tenths_of_a_matroska_file_are_ready: is_ready(matroska, 90);

    a_tenth_of_an_avi_is_corrupt: is_corrupt(avi, 10);
    two_fifths_of_an_avi_are_corrupt: is_corrupt(avi, 40);
    three_fifths_of_an_avi_are_ready: is_ready(avi, 60);
    nine_tenths_of_an_avi_are_ready: is_ready(avi, 90);

    // Nothing says how long these were: what is there is the clip.
    a_tenth_of_a_fragmented_mp4_is_a_clip: is_ready(fragmented, 10);
    half_of_a_fragmented_mp4_is_a_clip: is_ready(fragmented, 50);
    nine_tenths_of_a_fragmented_mp4_are_a_clip: is_ready(fragmented, 90);
    a_tenth_of_a_transport_stream_is_a_clip: is_ready(transport, 10);
    half_of_a_transport_stream_is_a_clip: is_ready(transport, 50);
    nine_tenths_of_a_transport_stream_are_a_clip: is_ready(transport, 90);
}

/// Within its last frame.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_without_its_last_bytes_is_ready() {
    let mut bytes = front();
    bytes.truncate(bytes.len() - 100);
    let ended = settle(bytes).await;
    assert_eq!(ended.video["status"], "ready", "{}", ended.video);
    play(ended.playlist()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_that_ends_within_its_index_is_corrupt() {
    let mut bytes = at_the_end();
    bytes.truncate(bytes.len() - 100);
    settle(bytes).await.refused("corrupt");
}

/// Nothing but the boxes before the film.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_of_nothing_but_an_index_is_corrupt() {
    let mut bytes = front();
    bytes.truncate(body(&bytes, b"mdat").start);
    settle(bytes).await.refused("corrupt");
}

/// Where a clip's header is, and everything else that says what the rest means.
type Header = fn(&[u8]) -> Range<usize>;

fn index(bytes: &[u8]) -> Range<usize> {
    body(bytes, b"moov")
}

fn up_to_the_first_cluster(bytes: &[u8]) -> Range<usize> {
    0..place(bytes, b"\x1f\x43\xb6\x75")
}

fn up_to_the_frames(bytes: &[u8]) -> Range<usize> {
    0..place(bytes, b"movi")
}

fn first_packets(_: &[u8]) -> Range<usize> {
    0..4 * 188
}

fn first_tags(_: &[u8]) -> Range<usize> {
    0..500
}

/// Any end will do that is one: ready, and then it plays, or refused for a reason that the table has.
async fn has_an_end(clip: fn() -> Vec<u8>, header: Header, seeds: Range<u32>) {
    let whole = clip();
    for seed in seeds {
        let mut bytes = whole.clone();
        flip(&mut bytes, &header(&whole), 4, seed);
        println!("seed {seed}");
        settle(bytes).await.plays_if_ready().await;
    }
}

macro_rules! headers {
    ($($name:ident: $clip:ident, $header:ident, $seeds:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            has_an_end($clip, $header, $seeds).await;
        }
    )*};
}

headers! {
    flipped_bits_in_an_mp4s_index_have_an_end: front, index, 0..4;
    other_flipped_bits_in_an_mp4s_index_have_an_end: front, index, 4..8;
    flipped_bits_in_an_index_at_the_end_have_an_end: at_the_end, index, 8..12;
    flipped_bits_in_a_fragmented_mp4s_header_have_an_end: fragmented, index, 12..16;
    flipped_bits_in_a_matroska_header_have_an_end: matroska, up_to_the_first_cluster, 16..20;
    flipped_bits_in_an_avi_header_have_an_end: avi, up_to_the_frames, 20..24;
    flipped_bits_in_a_transport_streams_tables_have_an_end: transport, first_packets, 24..28;
    flipped_bits_in_an_flv_header_have_an_end: flash, first_tags, 28..32;
}

/// Everything but the header.
type Data = fn(&[u8]) -> Range<usize>;

fn media(bytes: &[u8]) -> Range<usize> {
    body(bytes, b"mdat")
}

fn clusters(bytes: &[u8]) -> Range<usize> {
    up_to_the_first_cluster(bytes).end + 64..bytes.len()
}

fn frames_of_an_avi(bytes: &[u8]) -> Range<usize> {
    up_to_the_frames(bytes).end + 64..place(bytes, b"idx1")
}

fn packets(bytes: &[u8]) -> Range<usize> {
    10 * 188..bytes.len()
}

async fn survives_a_few_flips(clip: fn() -> Vec<u8>, data: Data) {
    let mut bytes = clip();
    let range = data(&bytes);
    flip(&mut bytes, &range, 8, 7);
    let ended = settle(bytes).await;
    assert_eq!(ended.video["status"], "ready", "{}", ended.video);
    play(ended.playlist()).await;
}

/// Noise from an eighth of the way on, so that there is a beginning.
async fn does_not_survive_noise(clip: fn() -> Vec<u8>, data: Data) {
    let mut bytes = clip();
    let range = data(&bytes);
    let noise = percent(&range, 12)..percent(&range, 85);
    overwrite_with_noise(&mut bytes, noise);
    settle(bytes).await.refused("corrupt");
}

macro_rules! data {
    ($($name:ident: $outcome:ident, $clip:ident, $data:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $outcome($clip, $data).await;
        }
    )*};
}

data! {
    a_few_flipped_bits_in_an_mp4_are_survived: survives_a_few_flips, front, media;
    a_few_flipped_bits_in_a_matroska_file_are_survived: survives_a_few_flips, matroska, clusters;
    a_few_flipped_bits_in_an_avi_are_survived: survives_a_few_flips, avi, frames_of_an_avi;
    a_few_flipped_bits_in_a_transport_stream_are_survived: survives_a_few_flips, transport, packets;
    an_mp4_that_is_mostly_noise_is_corrupt: does_not_survive_noise, front, media;
    a_matroska_file_that_is_mostly_noise_is_corrupt: does_not_survive_noise, matroska, clusters;
    an_avi_that_is_mostly_noise_is_corrupt: does_not_survive_noise, avi, frames_of_an_avi;
}

/// Of a transport stream that is mostly noise nothing says how much there was: packets that are none are skipped, as a
/// receiver does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_transport_stream_is_a_clip_or_corrupt() {
    let mut bytes = transport();
    let range = packets(&bytes);
    let noise = percent(&range, 12)..percent(&range, 85);
    overwrite_with_noise(&mut bytes, noise);
    settle(bytes).await.plays_if_ready().await;
}

/// One bit of the first picture's time, by which it comes 50 minutes after the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_clock_of_a_program_stream_has_an_end() {
    let mut bytes = whole("clip.mpg", "-c:v mpeg1video");
    // ISO/IEC 11172-1 2.4.3.3: after the packet's start and length, both times, four bits into the first byte.
    let times = place(&bytes, b"\0\0\x01\xe0") + 6;
    assert_eq!(bytes[times] >> 4, 0b0011, "the first picture has no times");
    bytes[times + 1] ^= 0x40;
    settle(bytes).await.plays_if_ready().await;
}
