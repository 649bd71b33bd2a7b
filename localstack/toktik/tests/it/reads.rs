//! What requests cost: how often they ask the table, and what they need not be answered again.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use toktik_catalog::Catalog;
use toktik_identity::Secret;
use toktik_playback::Playback;
use toktik_runtime::{Context, Serverless, server};
use toktik_videos::Videos;

use crate::client::{Answer, client, send};
use crate::clips::tiny_clip;
use crate::harness::{House, User};

/// Notes each operation that is sent to the table.
#[derive(Clone, Debug, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Intercept for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        self.0.lock().unwrap().push(operation.to_owned());
        Ok(())
    }
}

/// The functions that people read from, anew over a house's stores: with nothing remembered, and watched.
struct Watched {
    base: String,
    ledger: Ledger,
}

impl Watched {
    async fn over(house: &House) -> Self {
        let ledger = Ledger::default();
        let config = house.cloud.dynamodb_client().config().to_builder();
        let client = aws_sdk_dynamodb::Client::from_conf(config.interceptor(ledger.clone()).build());
        let context = Context {
            catalog: Catalog::new(client, "toktik"),
            ..house.context.clone()
        };
        let secret: Secret = "a secret that is long enough for anybody".parse().unwrap();
        let playback = toktik_playback::Settings {
            playback_url_ttl: std::time::Duration::from_hours(4),
            cdn_url: None,
            link_secret: Some(secret),
            link_ttl: std::time::Duration::from_hours(24),
        };
        let videos = Videos::start(toktik_videos::Settings {}, &context).unwrap();
        let playback = Playback::start(playback, &context).unwrap();
        let api = videos.http.unwrap().merge(playback.http.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = server::router(api, &context).unwrap();
        tokio::spawn(server::serve(listener, router, CancellationToken::new()));
        Self { base, ledger }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = client().get(format!("{}/api/v1{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    }

    /// Asserts that this path is answered with these operations.
    #[track_caller]
    fn asserts(&self, what: &str, operations: &[&str]) {
        let sent = std::mem::take(&mut *self.ledger.0.lock().unwrap());
        assert_eq!(sent, operations, "{what}");
    }

    async fn costs(&self, path: &str, operations: &[&str]) {
        let answer = self.get(path, &[]).await;
        assert!(
            matches!(answer.status, StatusCode::OK | StatusCode::FOUND),
            "{path}: {answer:?}"
        );
        self.asserts(path, operations);
    }
}

async fn patch(house: &House, id: &str, user: &User, body: serde_json::Value) {
    let path = format!("/videos/{id}");
    let answer = house.call(Method::PATCH, &path, Some(user), Some(body)).await;
    answer.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_one_read() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let watched = Watched::over(&house).await;
    let path = format!("/videos/{id}");
    // Who its owner is has to be asked once in a while.
    watched.costs(&path, &["Query", "BatchGetItem"]).await;
    for _ in 0..3 {
        watched.costs(&path, &["Query"]).await;
    }
    let like = format!("{path}/like");
    let liked = house.call(Method::PUT, &like, Some(&user), None).await;
    liked.expect(StatusCode::NO_CONTENT);
    let shown = watched.get(&path, &[]).await.json();
    assert_eq!(shown["counts"]["likes"], 1);
    assert_eq!(shown, rebased(&house, &watched, &house.video(&id, None).await));
    watched.asserts("a liked clip", &["Query"]);
}

/// What another address of the same service would have shown.
fn rebased(house: &House, watched: &Watched, shown: &serde_json::Value) -> serde_json::Value {
    serde_json::from_str(&shown.to_string().replace(&house.base, &watched.base)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_is_shown_after_ten_seconds() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    let owner = || async { house.video(&id, None).await["owner"]["username"].take() };
    assert_eq!(owner().await, "ada");
    let renamed = house.call(Method::PATCH, "/me", Some(&user), Some(json!({"username": "eve"})));
    renamed.await.expect(StatusCode::OK);
    house.advance(TimeDelta::seconds(10));
    assert_eq!(owner().await, "eve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_feed_is_two_reads() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    house.advance(TimeDelta::days(-2));
    for index in 0..21 {
        house.advance(TimeDelta::hours(2));
        let user = house.again(if index % 2 == 0 { &ada } else { &bob }).await;
        house.listed(&user, json!({})).await;
    }
    let watched = Watched::over(&house).await;
    watched
        .costs("/videos", &["Query", "BatchGetItem", "BatchGetItem"])
        .await;
    let page = watched.get("/videos", &[]).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 20);
    watched.asserts("a page", &["Query", "BatchGetItem"]);
    let next = format!("/videos?cursor={}", page["next_cursor"].as_str().unwrap());
    watched.costs(&next, &["Query", "BatchGetItem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_is_one_read_and_signed_once_an_hour() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    house.advance(TimeDelta::seconds(3600 - house.now().timestamp() % 3600));
    let watched = Watched::over(&house).await;
    let path = |rest: &str| format!("/videos/{id}/{rest}");
    watched.costs(&path("playlist.m3u8"), &["GetItem", "GetItem"]).await;
    for rest in [
        "playlist.m3u8",
        "playlists/120p.m3u8",
        "playlists/120p-iframes.m3u8",
        "poster.jpg",
        "storyboard.vtt",
    ] {
        watched.costs(&path(rest), &["GetItem"]).await;
        watched.costs(&path(rest), &["GetItem"]).await;
    }
    let media = || async { watched.get(&path("playlists/120p.m3u8"), &[]).await.text() };
    let poster = || async {
        watched
            .get(&path("poster.jpg"), &[])
            .await
            .header("location")
            .to_owned()
    };
    let first = (media().await, poster().await);
    house.advance(TimeDelta::minutes(59));
    assert_eq!((media().await, poster().await), first);
    house.advance(TimeDelta::minutes(1));
    let second = (media().await, poster().await);
    assert!(second.0 != first.0 && second.1 != first.1, "{second:?}");

    // What anybody remembers never says who may watch, nor for how long others may keep it.
    patch(&house, &id, &house.again(&user).await, json!({"visibility": "private"})).await;
    for rest in ["playlist.m3u8", "playlists/120p.m3u8", "poster.jpg"] {
        watched.get(&path(rest), &[]).await.problem(404, "not_found");
        let token = format!("Bearer {}", house.again(&user).await.token);
        let own = watched.get(&path(rest), &[("Authorization", &token)]).await;
        assert_eq!(own.header("cache-control"), "private, no-store", "{rest}");
    }
    patch(&house, &id, &house.again(&user).await, json!({"visibility": "public"})).await;
    assert_eq!((media().await, poster().await), second);
    let path = format!("/videos/{id}");
    let deleted = house
        .call(Method::DELETE, &path, Some(&house.again(&user).await), None)
        .await;
    deleted.expect(StatusCode::NO_CONTENT);
    watched
        .get(&format!("{path}/playlist.m3u8"), &[])
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_again_what_they_have() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let watched = Watched::over(&house).await;
    let clip = format!("/videos/{id}");
    let read = [
        clip.clone(),
        "/videos".to_owned(),
        format!("{clip}/playlist.m3u8"),
        format!("{clip}/playlists/120p.m3u8"),
    ];
    for path in read.iter().chain([&format!("{clip}/storyboard.vtt")]) {
        let whole = watched.get(path, &[]).await;
        let etag = whole.header("etag").to_owned();
        assert!(etag.starts_with("W/\""), "{path}: {etag:?}");
        let again = watched.get(path, &[("If-None-Match", &etag)]).await;
        assert_eq!(
            (again.status, again.body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{path}"
        );
        assert_eq!(again.header("etag"), etag);
        assert_eq!(again.header("cache-control"), whole.header("cache-control"), "{path}");
        let packed = watched.get(path, &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(
            (packed.header("content-encoding"), packed.header("etag")),
            ("gzip", &*etag),
            "{path}"
        );
        assert!(packed.header("vary").contains("accept-encoding"), "{path}");
        assert_eq!(unpacked(&packed.body), whole.body, "{path}");
    }
    let etag = watched.get(&clip, &[]).await.header("etag").to_owned();
    patch(&house, &id, &user, json!({"title": "Another"})).await;
    let changed = watched.get(&clip, &[("If-None-Match", &etag)]).await;
    assert_eq!(changed.expect(StatusCode::OK)["title"], "Another");
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut bytes).unwrap();
    bytes
}
