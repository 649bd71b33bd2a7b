//! What comes out of a clip: watched, decoded, measured. Each test runs ffmpeg for real.

use reqwest::StatusCode;
use serde_json::json;

use crate::clips::{clip, ffprobe, frames, play, silent_clip};
use crate::harness::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_goes_from_upload_to_playback() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 5)).await;

    let video = house.video(&id, None).await;
    assert_eq!(video["status"], "ready");
    assert_eq!(video["progress"], 1.0);
    assert_eq!(video["warnings"], json!([]));
    assert_eq!((&video["width"], &video["height"]), (&json!(640), &json!(360)));
    assert!((video["duration"].as_f64().unwrap() - 5.0).abs() < 0.04);
    let heights: Vec<_> = video["renditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["height"].clone())
        .collect();
    assert_eq!(heights, [360, 240]);

    let playlist = video["urls"]["playlist"].as_str().unwrap();
    play(playlist).await;
    assert_eq!(frames(playlist).await, 150);
    assert_eq!(house.messages().await, 0, "a queue is not empty");
    assert!(
        !house.objects().await.iter().any(|key| key.starts_with("uploads/")),
        "the original is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_files_are_there() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 3)).await;
    let size = [
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=codec_name,width,height",
    ];

    for (name, codec) in [("poster.jpg", "mjpeg"), ("poster.webp", "webp")] {
        let answer = house.get(&format!("/videos/{id}/{name}"), None).await;
        assert_eq!(answer.status, StatusCode::FOUND);
        assert_eq!(ffprobe(answer.header("location"), &size).await, codec);
    }
    let preview = house.get(&format!("/videos/{id}/preview.webp"), None).await;
    let preview = house
        .request(reqwest::Method::GET, preview.header("location"))
        .send()
        .await
        .unwrap();
    let preview = preview.bytes().await.unwrap();
    assert!(
        preview.starts_with(b"RIFF") && preview.windows(4).any(|four| four == b"ANIM"),
        "not animated"
    );

    let cues = house.get(&format!("/videos/{id}/storyboard.vtt"), None).await;
    assert_eq!(cues.header("content-type"), "text/vtt; charset=utf-8");
    assert!(cues.text().starts_with("WEBVTT\n"));
    assert_eq!(cues.text().matches("#xywh=").count(), 3);

    let mp3 = house.get(&format!("/videos/{id}/audio.mp3"), None).await;
    assert_eq!(
        ffprobe(mp3.header("location"), &["-show_entries", "format_tags=title"]).await,
        "A clip"
    );
    let download = house.get(&format!("/videos/{id}/download.mp4"), None).await;
    assert!(download.header("location").contains("attachment"));
    play(download.header("location")).await;
    assert_eq!(frames(download.header("location")).await, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_clip_has_no_sound() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, silent_clip(house.directory(), 2)).await;
    let video = house.video(&id, None).await;
    assert_eq!(video["status"], "ready");
    assert!(video["urls"].get("audio").is_none());
    house
        .get(&format!("/videos/{id}/audio.mp3"), None)
        .await
        .problem(404, "not_found");
    let playlist = house.get(&format!("/videos/{id}/playlist.m3u8"), None).await.text();
    assert!(
        !playlist.contains("TYPE=AUDIO") && !playlist.contains("mp4a"),
        "{playlist}"
    );
    play(video["urls"]["playlist"].as_str().unwrap()).await;
}
