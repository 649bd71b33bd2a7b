//! A clip's whole way, with every function a Lambda of its own.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use toktik_events::Function;

use crate::client::{Answer, client, send};
use crate::clips::{clip, frames, play};
use crate::harness::House;
use crate::site::Site;
use crate::until;

/// What remains of a clip when all that differs from run to run is left out.
#[derive(Debug, PartialEq)]
struct Made {
    keys: BTreeSet<String>,
    playlists: Vec<String>,
    frames: Vec<u32>,
    video: Value,
}

/// One look of every mapping into its queue.
async fn run_mappings(site: &Site) {
    for function in Function::ALL.into_iter().filter(|function| function.takes_events()) {
        let deliveries = site.receive(function).await;
        if !deliveries.is_empty() {
            site.map(function, &deliveries).await;
        }
    }
}

async fn get(url: &str) -> Answer {
    let answer = send(client().get(url)).await;
    assert_eq!(answer.status, StatusCode::OK, "{url}: {answer:?}");
    answer
}

/// A playlist without signatures, hosts, ids and what was measured in bytes.
fn plain(playlist: &str, id: &str) -> String {
    let uri = |text: &str| {
        let path = text.split('?').next().unwrap();
        path.rsplit_once(id).map_or(path, |(_, rest)| rest).to_owned()
    };
    let attribute = |text: &str| match text.split_once('=') {
        Some((name, _)) if name.ends_with("BANDWIDTH") => format!("{name}=n"),
        Some((name, value)) if name.ends_with("URI") => format!("{name}={}", uri(value.trim_matches('"'))),
        _ => text.to_owned(),
    };
    let line = |line: &str| match line.split_once(':') {
        Some(("#EXT-X-BYTERANGE", _)) => "#EXT-X-BYTERANGE".to_owned(),
        _ if line.starts_with('#') => line.split(',').map(attribute).collect::<Vec<_>>().join(","),
        _ => uri(line),
    };
    playlist.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn made(keys: Vec<String>, mut video: Value) -> Made {
    let id = video["id"].as_str().unwrap().to_owned();
    let first = video["urls"]["playlist"].as_str().unwrap().to_owned();
    let base = reqwest::Url::parse(&first).unwrap();
    let text = get(&first).await.text();
    let named = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let media: Vec<String> = named.map(|name| base.join(name).unwrap().to_string()).collect();
    assert!(!media.is_empty(), "{text}");
    let mut playlists = vec![plain(&text, &id)];
    let mut counted = Vec::new();
    for url in &media {
        playlists.push(plain(&get(url).await.text(), &id));
        counted.push(frames(url).await);
    }
    for name in ["id", "created_at", "urls", "owner"] {
        video[name].take();
    }
    let renditions = video["renditions"].as_array_mut().unwrap();
    for rendition in renditions {
        rendition["bandwidth"].take();
    }
    Made {
        keys: keys.iter().map(|key| key.replace(&id, "ID")).collect(),
        playlists,
        frames: counted,
        video,
    }
}

/// By the same functions inside one process.
async fn made_in_process(bytes: Vec<u8>) -> Made {
    let house = House::open().await;
    let user = house.user("ada").await;
    let body = serde_json::json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
    let created = house
        .post("/videos", Some(&user), body)
        .await
        .expect(StatusCode::CREATED);
    let id = created["video"]["id"].as_str().unwrap().to_owned();
    send(crate::client::signed(&created["upload"], bytes))
        .await
        .expect(StatusCode::OK);
    let path = format!("/videos/{id}/upload/complete");
    let completed = house.call(Method::POST, &path, Some(&user), None).await;
    completed.expect(StatusCode::ACCEPTED);
    house.drain().await;
    let video = house.video(&id, None).await;
    made(house.objects().await, video).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_made_by_lambdas_is_the_clip_made_in_one_process() {
    let site = Site::open(&Function::ALL).await;
    let token = site.token().await;
    let bytes = clip(site.directory(), 2);
    let id = site.upload(&token, bytes.clone()).await;
    let path = format!("/videos/{id}");
    let video = until("the clip is ready", async || {
        run_mappings(&site).await;
        let video = site.call(Function::Videos, Method::GET, &path, None, None).await;
        let video = video.expect(StatusCode::OK);
        assert_ne!(video["status"], "failed", "{video}");
        (video["status"] == "ready").then_some(video)
    })
    .await;
    until("nothing is left over", async || {
        run_mappings(&site).await;
        for function in Function::ALL.into_iter().filter(|function| function.takes_events()) {
            if site.messages(function).await > 0 {
                return None;
            }
        }
        Some(())
    })
    .await;

    play(video["urls"]["playlist"].as_str().unwrap()).await;
    let keys = site.context.objects.list("").await.unwrap();
    let by_lambdas = made(keys, video).await;
    assert!(by_lambdas.keys.len() > 10 && by_lambdas.frames.iter().all(|count| *count == 60));
    assert_eq!(by_lambdas, made_in_process(bytes).await);
    site.close().await;
}
