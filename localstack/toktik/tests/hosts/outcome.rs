//! What a clip has become, without what differs from one time to the next: its id, times, and the numbers of attempts.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::client;
use crate::running::Running;

#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    video: Value,
    /// Each playlist without the addresses in it.
    playlists: BTreeMap<String, String>,
    /// By key, without id and attempt.
    objects: BTreeMap<String, String>,
}

impl Outcome {
    /// Of this clip, as its owner and the store see it.
    pub(crate) async fn of(front: &Running, token: &str, store: &Client, id: &str) -> Self {
        let path = format!("/api/v1/videos/{id}");
        let mut video = front
            .call(Method::GET, &path, Some(token), None)
            .await
            .expect(StatusCode::OK);
        let mut playlists = BTreeMap::new();
        let master = video["urls"]["playlist"].as_str().unwrap().to_owned();
        for url in media_playlists(&master).await {
            let name = url.rsplit('/').next().unwrap().to_owned();
            playlists.insert(name, without_addresses(&text(&url).await));
        }
        for name in ["id", "created_at", "published_at", "owner", "urls"] {
            video.as_object_mut().unwrap().remove(name);
        }
        Self {
            video,
            playlists,
            objects: objects(store, id).await,
        }
    }
}

async fn text(url: &str) -> String {
    let response = client().get(url).send().await.unwrap().error_for_status().unwrap();
    response.text().await.unwrap()
}

async fn media_playlists(master: &str) -> Vec<String> {
    let base: reqwest::Url = master.parse().unwrap();
    let listed = text(master).await;
    let named = listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let in_attributes = listed.split("URI=\"").skip(1).filter_map(|rest| rest.split('"').next());
    named
        .chain(in_attributes)
        .map(|uri| base.join(uri).unwrap().to_string())
        .collect()
}

/// What a player does: when, how long, which bytes; not from where.
fn without_addresses(playlist: &str) -> String {
    let line = |line: &str| match line.split_once("URI=\"") {
        Some((tag, rest)) => format!("{tag}{}", rest.split_once('"').unwrap().1),
        None if line.starts_with('#') => line.to_owned(),
        None => "segment".to_owned(),
    };
    playlist.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn objects(store: &Client, id: &str) -> BTreeMap<String, String> {
    let listed = store
        .list_objects_v2()
        .bucket("toktik")
        .prefix(format!("videos/{id}/"))
        .send();
    let mut objects = BTreeMap::new();
    for object in listed.await.unwrap().contents() {
        let key = object.key().unwrap();
        let got = store.get_object().bucket("toktik").key(key).send().await.unwrap();
        let bytes = got.body.collect().await.unwrap().into_bytes();
        objects.insert(without_attempt(key), hex::encode(Sha256::digest(&bytes)));
    }
    objects
}

/// `videos/ID/1/transcode/video-0/2/120p/init.mp4` as `transcode/video-0/120p/init.mp4`.
fn without_attempt(key: &str) -> String {
    let places: Vec<&str> = key.split('/').skip(3).collect();
    let attempt = places.iter().position(|place| place.parse::<u32>().is_ok());
    let kept = places.iter().enumerate().filter(|(place, _)| Some(*place) != attempt);
    kept.map(|(_, place)| *place).collect::<Vec<_>>().join("/")
}
