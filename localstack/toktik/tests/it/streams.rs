//! What people are told while it happens: server-sent events.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::VideoId;

use crate::client::client;
use crate::clips::tiny_clip;
use crate::harness::{House, User};
use crate::listener::Listener;
use crate::processes::up;
use crate::running::Running;

/// A house whose streams look often.
async fn house() -> House {
    House::with(&["--stream-poll", "0.05"]).await
}

fn ask(house: &House, query: &str, user: Option<&User>) -> reqwest::RequestBuilder {
    let request = house.request(Method::GET, &format!("/api/v1/events{query}"));
    match user {
        Some(user) => request.bearer_auth(&user.token),
        None => request,
    }
}

async fn listen(house: &House, query: &str, user: Option<&User>) -> Listener {
    Listener::open(ask(house, query, user)).await
}

/// As a browser comes back.
async fn resume(house: &House, user: &User, id: &str) -> Listener {
    Listener::open(ask(house, "", Some(user)).header("last-event-id", id)).await
}

fn status(status: &'static str) -> impl Fn(&Value) -> bool {
    move |data| data["status"] == status
}

async fn delete(house: &House, user: &User, id: &str) {
    let gone = house
        .call(Method::DELETE, &format!("/videos/{id}"), Some(user), None)
        .await;
    gone.expect(StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_clip_is_told_of_from_its_announcement_to_its_end() {
    let house = house().await;
    let user = house.user("ada").await;
    let mut stream = listen(&house, "", Some(&user)).await;
    let id = house.announce(&user, 7).await["video"]["id"].take();
    let announced = stream.until("clip", status("uploading")).await;
    assert_eq!(
        announced,
        json!({"id": id, "status": "uploading", "progress": 0.0, "steps": []})
    );

    let id = house.upload(&user, tiny_clip(house.directory())).await;
    let begun = stream
        .until("clip", |clip| clip["id"] == *id && clip["status"] == "processing")
        .await;
    assert_eq!(begun["steps"], json!([{"name": "probe", "state": "pending"}]));
    house.drain().await;
    let ready = stream.until("clip", status("ready")).await;
    assert_eq!((&ready["id"], &ready["progress"]), (&json!(id), &json!(1.0)));
    let steps = ready["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["state"] == "done"), "{ready}");
    let step = |name: &str, unit: Option<&str>| {
        steps
            .iter()
            .any(|step| step["name"] == name && step["unit"].as_str() == unit)
    };
    assert!(step("transcode", Some("video-0")) && step("package", None), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_reason() {
    let house = house().await;
    let user = house.user("ada").await;
    let mut stream = listen(&house, "", Some(&user)).await;
    house.publish(&user, b"This is no film.".to_vec()).await;
    let refused = stream.until("clip", status("rejected")).await;
    let error = json!({"code": "not_a_video", "message": "This is text, not a video."});
    assert_eq!(refused["error"], error);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_ends_unheard_between_two_streams() {
    let house = house().await;
    let user = house.user("ada").await;
    house.listed(&user, json!({"title": "Long ago"})).await;
    let film = tiny_clip(house.directory());
    let id = house.upload(&user, film).await;
    let mut stream = listen(&house, "", Some(&user)).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.data["id"].as_str(), stream.retry), (Some(&*id), Some(1000)));
    let heard = stream.id.clone();
    drop(stream);

    house.drain().await;
    let other = house.publish(&user, b"no film".to_vec()).await;
    let mut stream = resume(&house, &user, &heard).await;
    let mut told = [stream.next().await.unwrap().data, stream.next().await.unwrap().data];
    told.sort_by_key(|clip| clip["status"].to_string());
    assert_eq!((&told[0]["id"], &told[0]["status"]), (&json!(id), &json!("ready")));
    assert_eq!(
        (&told[1]["id"], &told[1]["status"]),
        (&json!(other), &json!("rejected"))
    );
    let heard = stream.id.clone();
    drop(stream);

    // Of what has ended, and was told, nothing more is.
    let newest = house.announce(&user, 1).await["video"]["id"].take();
    for stream in [
        resume(&house, &user, &heard).await,
        listen(&house, "", Some(&user)).await,
    ] {
        let mut stream = stream;
        assert_eq!(stream.next().await.unwrap().data["id"], newest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_goes_is_told_to_be_gone() {
    let house = house().await;
    let user = house.user("ada").await;
    let id = house.announce(&user, 1).await["video"]["id"].take();
    let mut stream = listen(&house, "", Some(&user)).await;
    stream.until("clip", status("uploading")).await;
    let path = format!("/videos/{}/upload", id.as_str().unwrap());
    let gone = house.call(Method::DELETE, &path, Some(&user), None).await;
    gone.expect(StatusCode::NO_CONTENT);
    assert_eq!(stream.until("clip", status("deleted")).await["id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_sees_what_others_do() {
    let house = house().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    let mut stream = listen(&house, &format!("?video={id}"), None).await;
    let first = stream.until("status", |_| true).await;
    assert_eq!(first, json!({"id": id, "status": "ready"}));
    let none = stream.until("counts", |_| true).await;
    assert_eq!(none, json!({"id": id, "views": 0, "likes": 0, "comments": 0}));
    let like = format!("/videos/{id}/like");
    house
        .call(Method::PUT, &like, Some(&bob), None)
        .await
        .expect(StatusCode::NO_CONTENT);
    stream.until("counts", |counts| counts["likes"] == 1).await;
    house
        .call(Method::DELETE, &like, Some(&bob), None)
        .await
        .expect(StatusCode::NO_CONTENT);
    stream.until("counts", |counts| counts["likes"] == 0).await;
    house.post(&format!("/videos/{id}/views"), None, Value::Null).await;
    stream.until("counts", |counts| counts["views"] == 1).await;
    delete(&house, &ada, &id).await;
    let gone = stream.until("status", |_| true).await;
    assert_eq!(gone, json!({"id": id, "status": "deleted"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_is_hidden_is_gone_for_others_and_not_for_its_owner() {
    let house = house().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    let query = format!("?video={id}");
    let mut streams = [
        listen(&house, &query, None).await,
        listen(&house, &query, Some(&bob)).await,
        listen(&house, &query, Some(&ada)).await,
    ];
    for stream in &mut streams {
        stream.until("counts", |_| true).await;
    }
    let private = json!({"visibility": "private"});
    let hidden = house
        .call(Method::PATCH, &format!("/videos/{id}"), Some(&ada), Some(private))
        .await;
    hidden.expect(StatusCode::OK);
    for stream in &mut streams[..2] {
        stream.until("status", status("deleted")).await;
    }
    let like = house
        .call(Method::PUT, &format!("/videos/{id}/like"), Some(&ada), None)
        .await;
    like.expect(StatusCode::NO_CONTENT);
    streams[2].until("counts", |counts| counts["likes"] == 1).await;
    for user in [None, Some(&bob)] {
        let refused = house.get(&format!("/events{query}"), user).await;
        refused.problem(404, "not_found");
    }
}

/// The id of an event is anybody's word.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_somebody_elses_clip_by_naming_it() {
    let house = House::with(&["--stream-time", "0"]).await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let hidden = house.listed(&ada, json!({"visibility": "private"})).await;
    let under_way = house.announce(&ada, 1).await["video"]["id"].take();
    let nothing = VideoId::random();
    let forged = format!("~{hidden}.{}.{nothing}", under_way.as_str().unwrap());
    let told = resume(&house, &bob, &forged).await.rest().await;
    assert!(told.is_empty(), "{told:?}");
    for nonsense in ["", "x", "~", "\u{7f}", &"~0".repeat(5000)] {
        let request = ask(&house, "", Some(&bob)).header("last-event-id", nonsense);
        assert!(request.build().is_err() || resume(&house, &bob, nonsense).await.rest().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_by_itself_and_says_when_to_come_back() {
    let house = House::with(&["--stream-poll", "0.05", "--stream-time", "0.3"]).await;
    let user = house.user("ada").await;
    let mut stream = listen(&house, "", Some(&user)).await;
    assert!(stream.rest().await.is_empty());
    assert_eq!(stream.retry, Some(1000));
    // Where it cannot stay open it tells how things are.
    let house = House::with(&["--stream-time", "0"]).await;
    let user = house.user("ada").await;
    house.announce(&user, 1).await;
    let told = listen(&house, "", Some(&user)).await.rest().await;
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_too_many_streams_is_told_to_wait() {
    let house = house().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(listen(&house, "", Some(&ada)).await);
    }
    let refused = house.get("/events", Some(&ada)).await;
    refused.problem(429, "too_many_requests");
    assert!(!refused.header("retry-after").is_empty());
    listen(&house, "", Some(&bob)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_keeps_nobody_from_ending() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&mut up(directory.path()), "Toktik is at ").await;
    let token = running.token().await;
    let request = client().get(format!("{}/api/v1/events", running.base));
    let mut stream = Listener::open(request.bearer_auth(token)).await;
    running.stop().await;
    assert!(stream.next().await.is_none());
}
