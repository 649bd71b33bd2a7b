//! What is refused, with which code, and what is left of it: nothing but the reason.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use toktik_events::Function;

use crate::broker::{Broker, brokered};
use crate::clips::{clip, make};
use crate::harness::{House, User};
use crate::running::program;

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

/// What ffmpeg makes of one picture or of a sound, in the format that the name says.
fn made(name: &str, arguments: &str) -> Vec<u8> {
    let dir = directory();
    make(dir.path(), name, &arguments.split_whitespace().collect::<Vec<_>>())
}

fn still(name: &str) -> Vec<u8> {
    made(name, "-f lavfi -i testsrc2=s=320x240 -frames:v 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_png() {
    refused(still("still.png"), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_jpeg() {
    refused(still("still.jpg"), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_webp() {
    refused(still("still.webp"), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_gif() {
    refused(still("still.gif"), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_animated_png_of_one_frame() {
    refused(still("still.apng"), "not_a_video").await;
}

/// Two JPEGs of which the first says that there is a second (CIPA DC-007), as cameras with two lenses write.
#[tokio::test(flavor = "multi_thread")]
async fn a_stereo_picture() {
    let picture = still("still.jpg");
    let (start, rest) = picture.split_at(2);
    let says = b"\xff\xe2\x00\x0eMPF\0MM\0*\0\0\0\x08";
    refused([start, says, rest, &picture].concat(), "not_a_video").await;
}

/// A telephone's still picture has a film's boxes.
#[tokio::test(flavor = "multi_thread")]
async fn a_heic_picture() {
    let boxes = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x0cmeta\0\0\0\0\0\0\0\x08mdat";
    refused(boxes.to_vec(), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page() {
    refused(
        b"<!DOCTYPE html>\n<html><head><title>Clip</title></head></html>\n".to_vec(),
        "not_a_video",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document() {
    let text = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF\n";
    refused(text.to_vec(), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive() {
    let entry = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\x08\0\0\0\x08\0\0\0clip.mp4filmfilm";
    refused(entry.to_vec(), "not_a_video").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program() {
    let program = std::fs::read(program()).unwrap();
    refused(program[..100_000].to_vec(), "not_a_video").await;
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
async fn an_mp3() {
    refused(made("sound.mp3", "-f lavfi -i sine=d=1"), "no_video_stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp3_with_a_cover() {
    let inputs = "-f lavfi -i sine=d=1 -f lavfi -i testsrc2=s=64x64:r=1:d=1 -map 0 -map 1 -c:v png";
    let bytes = made("sound.mp3", &format!("{inputs} -disposition:v attached_pic"));
    assert!(bytes.windows(4).any(|four| four == b"APIC"), "there is no cover");
    refused(bytes, "no_video_stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wav() {
    refused(made("sound.wav", "-f lavfi -i sine=d=1"), "no_video_stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_in_a_films_container() {
    for name in ["sound.mkv", "sound.ts", "sound.avi"] {
        refused(made(name, "-f lavfi -i sine=d=1"), "no_video_stream").await;
    }
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
async fn too_small_to_see() {
    let dir = directory();
    refused(
        make(dir.path(), "small.mp4", &x264(&picture("64x14", 10, 1), &[])),
        "dimensions_out_of_range",
    )
    .await;
}

async fn of_size(size: &str) {
    let source = format!("-f lavfi -i color=c=teal:s={size}:r=10 -frames:v 2 -c:v ffv1");
    refused(made("clip.mkv", &source), "dimensions_out_of_range").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_narrow_to_see() {
    of_size("14x64").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_wide() {
    of_size("8194x64").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_tall() {
    of_size("64x8194").await;
}

const KEY: &str = "00112233445566778899aabbccddeeff";

async fn encrypted(flags: &str) {
    let clip = "-f lavfi -i color=c=teal:s=64x64:r=10:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let lock = format!("-encryption_scheme cenc-aes-ctr -encryption_key {KEY} -encryption_kid {KEY}");
    refused(made("locked.mp4", &format!("{clip} {lock} {flags}")), "encrypted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_with_the_index_at_the_end() {
    encrypted("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_with_the_index_at_the_front() {
    encrypted("-movflags +faststart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_in_fragments() {
    encrypted("-movflags +frag_keyframe+empty_moov").await;
}

/// Its index lies behind what is looked at first.
#[tokio::test(flavor = "multi_thread")]
async fn encrypted_and_large() {
    encrypted("-qp 0 -vf noise=alls=100:allf=t").await;
}

/// Names of a codec, and others of the same length.
type Names<'a> = &'a [(&'a [u8], &'a [u8])];

/// A clip that is in order, but says that it is of another codec.
async fn of_codec(name: &str, codec: &str, names: Names<'_>) {
    let clip = format!("-f lavfi -i color=c=teal:s=64x64:r=10:d=1 -pix_fmt yuv420p -c:v {codec}");
    let mut bytes = made(name, &clip);
    for (known, other) in names {
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(known)).collect();
        assert!(!places.is_empty(), "{name} does not say what it is");
        for at in places {
            bytes[at..at + known.len()].copy_from_slice(other);
        }
    }
    refused(bytes, "unsupported_codec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_of_an_unknown_codec() {
    of_codec("clip.mp4", "libx264", &[(b"avc1\0", b"ZZZZ\0")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matroska_file_of_an_unknown_codec() {
    of_codec("clip.mkv", "libx264", &[(b"V_MPEG4/ISO/AVC", b"V_ZZZZZ/ZZZ/ZZZ")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avi_of_an_unknown_codec() {
    of_codec("clip.avi", "mpeg4", &[(b"FMP4", b"ZZZZ")]).await;
}

/// One that ffmpeg knows, from a game, and that we do not decode.
#[tokio::test(flavor = "multi_thread")]
async fn an_avi_of_a_forgotten_codec() {
    of_codec("clip.avi", "mpeg4", &[(b"FMP4", b"KMVC")]).await;
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
