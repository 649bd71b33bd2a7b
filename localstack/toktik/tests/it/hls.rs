//! What players get keeps to the HLS specifications. The witness is `toktik-check`, which shares no code with what makes
//! the playlists and segments; that it would speak up is shown by a server that damages them on the way.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use toktik_check::{Report, check};
use toktik_events::Function;
use tower_http::compression::CompressionLayer;

use crate::client::client;
use crate::clips::{clip, make, silent_clip, tiny_clip};
use crate::harness::{House, User};
use crate::running::program;

/// Asserts that the presentation breaks no clause, and follows every recommendation too.
pub(crate) async fn assert_clean(playlist_url: &str) {
    let report = check(playlist_url).await.unwrap();
    assert!(report.findings.is_empty(), "{report}");
}

/// Asserts that this clip becomes a clean presentation with so many variants, and returns what was found of it.
async fn clean(bytes: impl FnOnce(&Path) -> Vec<u8>, variants: usize) -> Report {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, bytes(house.directory())).await;
    let report = check(&playlist(&house, &id).await).await.unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!(report.variants.len(), variants, "{report}");
    report
}

async fn playlist(house: &House, id: &str) -> String {
    let video = house.video(id, None).await;
    video["urls"]["playlist"].as_str().unwrap().to_owned()
}

/// A moving picture as ffmpeg's source of this name, with a beep.
fn filmed(directory: &Path, picture: &str, format: &str) -> Vec<u8> {
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440"];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        format,
        "-c:a",
        "aac",
        "-shortest",
    ];
    make(directory, "filmed.mp4", &[&inputs[..], &codecs].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_several_segments_is_clean() {
    let report = clean(|directory| clip(directory, 9), 2).await;
    let variant = &report.variants[0];
    assert_eq!(
        (variant.width, variant.height, variant.segments, variant.frames),
        (640, 360, 6, 270)
    );
    assert_eq!(report.sounds.len(), 2, "{report}");
    assert!(!report.growing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portrait_of_odd_size_is_clean() {
    let film = |directory: &Path| filmed(directory, "testsrc2=size=361x643:rate=25:duration=5", "yuv444p");
    clean(film, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_clip_is_clean() {
    let report = clean(|directory| silent_clip(directory, 5), 2).await;
    assert_eq!(report.sounds, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_shorter_than_a_second_is_clean() {
    let film = |directory: &Path| filmed(directory, "testsrc2=size=320x240:rate=30:duration=0.4", "yuv420p");
    let report = clean(film, 1).await;
    assert_eq!(report.variants[0].frames, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_sixty_frames_a_second_is_clean() {
    let film = |directory: &Path| filmed(directory, "testsrc2=size=640x360:rate=60:duration=5", "yuv420p");
    let report = clean(film, 2).await;
    assert_eq!(report.variants[0].frames, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_broken_frame_rate_is_clean() {
    let film = |directory: &Path| filmed(directory, "testsrc2=size=320x240:rate=30000/1001:duration=9", "yuv420p");
    clean(film, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_clip_is_clean_for_whoever_has_a_link() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let hidden = json!({"visibility": "private"});
    house
        .call(Method::PATCH, &format!("/videos/{id}"), Some(&user), Some(hidden))
        .await
        .expect(StatusCode::OK);
    let bare = format!("{}/api/v1/videos/{id}/playlist.m3u8", house.base);
    assert!(check(&bare).await.is_err(), "anybody may watch");
    let link = house.post(&format!("/videos/{id}/links"), Some(&user), json!({})).await;
    let link = link.expect(StatusCode::OK)["url"].take();
    assert_clean(link.as_str().unwrap()).await;
    let report = check(link.as_str().unwrap()).await.unwrap();
    assert!(!report.to_string().contains("token"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_grows_is_clean() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 5)).await;
    let never = tokio_util::sync::CancellationToken::new();
    for function in [Function::Probe, Function::Transcode, Function::Package] {
        house.worker(function).drain(&never).await.unwrap();
    }
    let report = check(&playlist(&house, &id).await).await.unwrap();
    assert!(report.growing, "{report}");
    assert!(report.findings.is_empty(), "{report}");
}

/// What a path answers is not what is sent on.
type Damage = fn(path: &str, body: &mut Vec<u8>);

struct Liar {
    house: String,
    own: String,
    damage: Damage,
}

/// The address of a playlist that is damaged on the way.
async fn damaged(playlist: &str, damage: Damage) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let path = playlist.splitn(4, '/').nth(3).unwrap();
    let house = playlist.strip_suffix(&format!("/{path}")).unwrap().to_owned();
    let url = format!("{own}/{path}");
    let liar = Arc::new(Liar { house, own, damage });
    let router = Router::new()
        .fallback(lie)
        .layer(CompressionLayer::new())
        .with_state(liar);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn lie(State(liar): State<Arc<Liar>>, request: Request) -> Response {
    let rest = request.uri().path_and_query().unwrap().to_string();
    let answer = client().get(format!("{}{rest}", liar.house)).send().await.unwrap();
    let (status, kind) = (answer.status(), answer.headers()[header::CONTENT_TYPE].clone());
    let mut body = answer.bytes().await.unwrap().to_vec();
    if let Ok(text) = String::from_utf8(body.clone()) {
        body = text.replace(&liar.house, &liar.own).into_bytes();
    }
    (liar.damage)(request.uri().path(), &mut body);
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let Some(range) = request.headers().get(header::RANGE) else {
        return response.status(status).body(Body::from(body)).unwrap();
    };
    let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let part = body[first.parse().unwrap()..=last.parse().unwrap()].to_vec();
    let response = response.header(header::CONTENT_RANGE, format!("bytes {range}/{}", body.len()));
    response
        .status(StatusCode::PARTIAL_CONTENT)
        .body(Body::from(part))
        .unwrap()
}

fn edit(body: &mut Vec<u8>, change: impl FnOnce(String) -> String) {
    *body = change(String::from_utf8(std::mem::take(body)).unwrap()).into_bytes();
}

fn swap_segments(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("/360p.m3u8") {
        edit(body, |text| {
            let segments: Vec<&str> = text.lines().filter(|line| line.contains(".m4s")).collect();
            let swapped = text.replace(segments[0], "first").replace(segments[1], segments[0]);
            swapped.replace("\nfirst\n", &format!("\n{}\n", segments[1]))
        });
    }
}

/// The first IDR of a segment becomes another picture.
#[expect(clippy::ptr_arg, reason = "all damages are called alike")]
fn drop_idr(path: &str, body: &mut Vec<u8>) {
    if !path.ends_with("360p/00001.m4s") {
        return;
    }
    let mut at = body.windows(4).position(|four| four == b"mdat").unwrap() + 4;
    while body[at + 4] & 0x1f != 5 {
        at += 4 + u32::from_be_bytes(body[at..at + 4].try_into().unwrap()) as usize;
    }
    body[at + 4] = body[at + 4] & 0xe0 | 1;
}

fn lie_about_bandwidth(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("/playlist.m3u8") {
        edit(body, |text| {
            text.replacen("STREAM-INF:BANDWIDTH=", "STREAM-INF:BANDWIDTH=1", 1)
        });
    }
}

fn lie_about_size(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("/playlist.m3u8") {
        edit(body, |text| text.replace("640x360", "1280x720"));
    }
}

/// Time stands still for a frame.
#[expect(clippy::ptr_arg, reason = "all damages are called alike")]
fn shift_time(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("00001.m4s") && path.contains("audio") {
        let at = body.windows(4).position(|four| four == b"tfdt").unwrap() + 8;
        let wide = body[at - 4] == 1;
        body[if wide { at + 7 } else { at + 3 }] ^= 1;
    }
}

fn cut_a_segment(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("240p/00001.m4s") {
        body.pop();
    }
}

fn forget_the_end(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("/audio.m3u8") {
        edit(body, |text| text.replace("#EXT-X-ENDLIST\n", ""));
    }
}

fn shorten_a_range(path: &str, body: &mut Vec<u8>) {
    if path.ends_with("-iframes.m3u8") {
        edit(body, |text| text.replacen("#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:1", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 9)).await;
    let playlist = playlist(&house, &id).await;
    assert_clean(&damaged(&playlist, |_, _| {}).await).await;
    let damages: [(Damage, &str); 8] = [
        (swap_segments, "Apple 7.3"),
        (drop_idr, "Apple 7.4"),
        (lie_about_bandwidth, "Apple 1.26-1.27"),
        (lie_about_size, "RFC 8216 4.3.4.2"),
        (shift_time, "Apple 7.3"),
        (cut_a_segment, "ISO 14496-12 8.8"),
        (forget_the_end, "Apple 8.6"),
        (shorten_a_range, "Apple 6.1"),
    ];
    for (damage, clause) in damages {
        let report = check(&damaged(&playlist, damage).await).await.unwrap();
        assert!(
            report.findings.iter().any(|finding| finding.clause == clause),
            "not {clause}:\n{report}"
        );
        assert!(!report.is_clean(), "{report}");
    }
}

async fn command(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(program());
    command.arg("check").args(arguments).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_by_its_status_what_it_found() {
    let house = House::open().await;
    let user: User = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let playlist = playlist(&house, &id).await;

    let output = command(&[&playlist]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("160x120 at 10.000 fps"), "{text}");
    assert!(text.ends_with("0 broken, 0 recommended and not met\n"), "{text}");

    let output = command(&["--json", &damaged(&playlist, forget_the_end_of_all).await]).await;
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["clause"], "Apple 8.6", "{report}");
    assert_eq!(report["findings"][0]["severity"], "broken");
    assert!(
        report["findings"][0]["where"]
            .as_str()
            .unwrap()
            .starts_with("/api/v1/videos/")
    );

    let output = command(&[&playlist.replace("playlist.m3u8", "nothing.m3u8")]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("answers 404"));
}

fn forget_the_end_of_all(path: &str, body: &mut Vec<u8>) {
    if path.contains("/playlists/") {
        edit(body, |text| text.replace("#EXT-X-ENDLIST\n", ""));
    }
}
