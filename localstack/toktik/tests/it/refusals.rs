//! What is refused, with which code, and what is left of it: nothing but the reason.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use toktik_events::Function;

use crate::broker::{Broker, brokered};
use crate::clips::{clip, make};
use crate::harness::{House, User};

/// One colour: quick to make and to look at.
fn picture(size: &str, rate: u32, seconds: u32) -> String {
    format!("color=c=teal:size={size}:rate={rate}:duration={seconds}")
}

fn x264<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let codec = ["-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast"];
    [&codec[..], &["-pix_fmt", "yuv420p"], more].concat()
}

/// Uploads these bytes and asserts that they are refused for this reason, and that everybody learns of it.
async fn refused(bytes: Vec<u8>, code: &str) {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.publish(&user, bytes).await;
    is_refused(&house, &broker, &user, &id, code).await;
}

async fn is_refused(house: &House, broker: &Broker, user: &User, id: &str, code: &str) {
    let video = house.video(id, Some(user)).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("rejected"), &json!(code)),
        "{video}"
    );
    let sentence = video["error"]["message"].as_str().unwrap();
    assert!(
        sentence.len() > 20 && sentence.ends_with('.'),
        "not a sentence: {sentence}"
    );
    assert_eq!(house.objects().await, [] as [String; 0]);
    assert_eq!(house.messages().await, 0);
    let told = broker.told("toktik.video.rejected.v1");
    assert!(!told.is_empty(), "nobody was told");
    assert!(
        told.iter()
            .all(|data| data["code"] == code && data["message"] == sentence),
        "{told:?}"
    );
    house
        .get(&format!("/videos/{id}"), None)
        .await
        .problem(404, "not_found");
}

/// The one upload of a clip that is refused, whatever is in the bucket under its key.
async fn refused_in_the_bucket(declared: usize, stored: Vec<u8>, code: &str) {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let created = house.announce(&user, declared).await;
    let id = created["video"]["id"].as_str().unwrap();
    put(&house, id, stored).await;
    house.drain().await;
    is_refused(&house, &broker, &user, id, code).await;
}

/// Writes to the clip's key past the signed URL, as a store could let somebody do that does not check what it signed.
async fn put(house: &House, id: &str, bytes: Vec<u8>) {
    let video = house.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap();
    let put = house.context.objects.put(&video.upload.key, bytes.into(), "video/mp4");
    put.await.unwrap();
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn text() {
    refused(b"Dear diary,\ntoday nothing moved.\n".repeat(100), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk() {
    // A linear congruential generator: the same junk every time.
    let next = |seed: &u32| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let bytes = std::iter::successors(Some(7), next).map(|seed| seed.to_be_bytes()[0]);
    refused(bytes.take(5000).collect(), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_picture() {
    let dir = directory();
    let source = picture("320x240", 1, 1);
    let bytes = make(
        dir.path(),
        "still.png",
        &["-f", "lavfi", "-i", &source, "-frames:v", "1"],
    );
    refused(bytes, "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all() {
    refused_in_the_bucket(10, Vec::new(), "empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_announced() {
    refused_in_the_bucket(10, vec![0; 11], "too_large").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_only() {
    let dir = directory();
    refused(sound(dir.path(), &[]), "no_video_stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_with_a_cover() {
    let dir = directory();
    let source = picture("64x64", 1, 1);
    make(
        dir.path(),
        "cover.png",
        &["-f", "lavfi", "-i", &source, "-frames:v", "1"],
    );
    let cover = dir.path().join("cover.png");
    let attached = ["-i", cover.to_str().unwrap(), "-map", "0", "-map", "1", "-c:v", "copy"];
    let attached = [&attached[..], &["-disposition:v:0", "attached_pic"]].concat();
    refused(sound(dir.path(), &attached), "no_video_stream").await;
}

fn sound(directory: &Path, more: &[&str]) -> Vec<u8> {
    let source = ["-f", "lavfi", "-i", "sine=duration=1"];
    make(
        directory,
        "sound.m4a",
        &[&source[..], more, &["-c:a", "aac", "-f", "mp4"]].concat(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist() {
    let playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    refused(playlist.to_vec(), "forbidden_format").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concatenation() {
    refused(b"ffconcat version 1.0\nfile /etc/passwd\n".to_vec(), "forbidden_format").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_too_long() {
    let dir = directory();
    refused(
        make(dir.path(), "long.mp4", &x264(&picture("64x64", 1, 61), &[])),
        "too_long",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_small_to_see() {
    let dir = directory();
    refused(
        make(dir.path(), "small.mp4", &x264(&picture("64x14", 10, 1), &[])),
        "dimensions_out_of_range",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted() {
    let dir = directory();
    let key = "00112233445566778899aabbccddeeff";
    let lock = [
        "-encryption_scheme",
        "cenc-aes-ctr",
        "-encryption_key",
        key,
        "-encryption_kid",
        key,
    ];
    refused(
        make(dir.path(), "locked.mp4", &x264(&picture("64x64", 10, 1), &lock)),
        "encrypted",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_before_its_index() {
    let dir = directory();
    let mut bytes = clip(dir.path(), 2);
    bytes.truncate(bytes.len() / 2);
    refused(bytes, "corrupt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_arrive_after_the_verdict_do_not_stay() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, b"not a video".to_vec()).await;
    assert_eq!(house.video(&id, Some(&user)).await["error"]["code"], "not_a_video");
    put(&house, &id, clip(house.directory(), 1)).await;
    assert_eq!(house.objects().await.len(), 1);
    house.drain().await;
    assert_eq!(house.objects().await, [] as [String; 0]);
    assert_eq!(house.video(&id, Some(&user)).await["status"], "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_arrive_after_the_clip_is_ready_do_not_stay() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let bytes = clip(house.directory(), 1);
    let id = house.publish(&user, bytes.clone()).await;
    let made = house.objects().await;
    put(&house, &id, bytes).await;
    house.drain().await;
    house.sweep().await;
    assert_eq!(house.objects().await, made);
    assert_eq!(house.video(&id, None).await["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_broke_off_is_brought_to_its_end() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.upload(&user, b"not a video".to_vec()).await;
    // As if probe had died between the verdict and everything that follows from it.
    house.lose(toktik_events::Function::Probe).await;
    let video = house.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap();
    let rejection = toktik_events::Rejection::new(
        toktik_events::RejectionCode::NotAVideo,
        "This file does not hold a video.",
    );
    assert!(house.context.catalog.reject(&video, &rejection).await.unwrap());
    house.sweep().await;
    is_refused(&house, &broker, &user, &id, "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_not_even_announced() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let body = json!({"title": "A", "filename": "a.mp4", "size": 0, "content_type": "video/mp4"});
    let answer = house.post("/videos", Some(&user), body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.invalid(&["size"]);
    let mine = house.get("/me/videos", Some(&user)).await.expect(StatusCode::OK);
    assert_eq!(mine["items"], Value::Array(Vec::new()));
}

/// Bytes of the picture and sound themselves, without the index.
fn media(clip: &[u8]) -> std::ops::Range<usize> {
    let place = |name: &[u8]| clip.windows(4).position(|four| four == name).unwrap();
    let (data, index) = (place(b"mdat") + 4, place(b"moov"));
    data..if index > data { index - 4 } else { clip.len() }
}

/// A clip with a keyframe each second and this share of its media, in percent, overwritten.
fn damaged(house: &House, percent: std::ops::Range<usize>) -> Vec<u8> {
    let source = "testsrc2=size=640x360:rate=30:duration=10";
    let mut bytes = make(house.directory(), "damaged.mp4", &x264(source, &["-g", "30"]));
    let media = media(&bytes);
    let at = |percent: usize| media.start + media.len() * percent / 100;
    bytes[at(percent.start)..at(percent.end)].fill(0);
    bytes
}

/// Probing finds a clip; whether the pictures are made first or the renditions, the verdict is the same.
async fn judged(percent: std::ops::Range<usize>, pictures_first: bool) -> (House, Broker, User, String) {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.upload(&user, damaged(&house, percent)).await;
    if pictures_first {
        let never = tokio_util::sync::CancellationToken::new();
        // dead-letter too: what the pictures gave up would have failed the clip by the time transcode looks at it.
        for function in [Function::Probe, Function::Thumbnail, Function::DeadLetter] {
            house.worker(function).drain(&never).await.unwrap();
        }
        let step = house.context.catalog.step(id.parse().unwrap(), 1, "thumbnail", "");
        assert_eq!(step.await.unwrap().unwrap().attempts, 1, "the pictures were not tried");
    }
    house.drain().await;
    (house, broker, user, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn mostly_damaged() {
    for pictures_first in [false, true] {
        let (house, broker, user, id) = judged(10..90, pictures_first).await;
        is_refused(&house, &broker, &user, &id, "corrupt").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_damage() {
    for pictures_first in [false, true] {
        let (house, broker, user, id) = judged(0..100, pictures_first).await;
        is_refused(&house, &broker, &user, &id, "corrupt").await;
    }
}

/// What can be watched is, and its poster shows something.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_at_its_beginning() {
    for pictures_first in [false, true] {
        let (house, _broker, _user, id) = judged(0..30, pictures_first).await;
        assert_eq!(house.video(&id, None).await["status"], "ready");
        let poster = house.get(&format!("/videos/{id}/poster.jpg"), None).await;
        assert_eq!(poster.status, StatusCode::FOUND);
    }
}
