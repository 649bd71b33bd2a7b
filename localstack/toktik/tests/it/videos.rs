//! One clip as the API shows it, and what its owner and others do with it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use toktik_catalog::videos::Trouble;

use crate::client::{send, signed};
use crate::clips::tiny_clip;
use crate::harness::{House, PASSWORD, User};

/// Keys and types of `GET /videos/{id}`, exactly.
#[track_caller]
fn assert_shape(video: &Value, with_error: bool, with_audio: bool) {
    assert_keys(video, SHAPE, if with_error { &["error"] } else { &[] });
    assert_keys(&video["owner"], "id username", &[]);
    assert_keys(&video["counts"], "views likes comments", &[]);
    let audio: &[&str] = if with_audio { &["audio"] } else { &[] };
    assert_keys(&video["urls"], "playlist poster storyboard preview download", audio);
    let progress = video["progress"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&progress));
    for text in ["id", "status", "title", "description", "visibility"] {
        assert!(video[text].is_string(), "{text}: {video}");
    }
    for list in ["tags", "renditions", "warnings"] {
        assert!(video[list].is_array(), "{list}: {video}");
    }
    for count in ["views", "likes", "comments"] {
        assert!(video["counts"][count].is_u64(), "{count}: {video}");
    }
    video["created_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    if with_error {
        assert_keys(&video["error"], "code message", &[]);
    }
}

const SHAPE: &str = "id status progress title description tags visibility owner created_at duration width height \
                     renditions counts urls warnings";

#[track_caller]
fn assert_keys(value: &Value, keys: &str, more: &[&str]) {
    let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = keys.split_whitespace().chain(more.iter().copied()).collect();
    assert_eq!(found, expected, "{value}");
}

async fn delete(house: &House, id: &str, user: &User) -> crate::client::Answer {
    house
        .call(Method::DELETE, &format!("/videos/{id}"), Some(user), None)
        .await
}

async fn like(house: &House, method: Method, id: &str, user: &User) -> StatusCode {
    house
        .call(method, &format!("/videos/{id}/like"), Some(user), None)
        .await
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_has_one_shape_whatever_its_status() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let bytes = tiny_clip(house.directory());
    let created = house.announce(&user, bytes.len()).await;
    let id = created["video"]["id"].as_str().unwrap().to_owned();
    let path = format!("/videos/{id}");

    let video = house.video(&id, Some(&user)).await;
    assert_shape(&video, false, false);
    assert_eq!(
        (&video["status"], &video["progress"]),
        (&json!("uploading"), &json!(0.0))
    );
    assert_eq!(
        (&video["duration"], &video["width"], &video["height"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(video["owner"], json!({"id": user.id, "username": "ada"}));
    house.get(&path, None).await.problem(404, "not_found");

    assert_eq!(send(signed(&created["upload"], bytes)).await.status, StatusCode::OK);
    house
        .post(&format!("{path}/upload/complete"), Some(&user), json!({}))
        .await
        .expect(StatusCode::ACCEPTED);
    let video = house.video(&id, None).await;
    assert_shape(&video, false, false);
    assert_eq!(video["status"], "processing");
    assert!(video["progress"].as_f64().unwrap() > 0.0);

    house.drain().await;
    let video = house.video(&id, None).await;
    assert_shape(&video, false, true);
    assert_eq!((&video["status"], &video["progress"]), (&json!("ready"), &json!(1.0)));
    assert_eq!((&video["width"], &video["height"]), (&json!(160), &json!(120)));
    assert!((video["duration"].as_f64().unwrap() - 1.0).abs() < 0.1);
    let rendition = &video["renditions"][0];
    assert_keys(rendition, "height width bandwidth codecs", &[]);
    assert_eq!((&rendition["height"], &rendition["width"]), (&json!(120), &json!(160)));
    assert!(rendition["bandwidth"].as_u64().unwrap() > 0);
    let codecs = rendition["codecs"].as_str().unwrap();
    assert!(codecs.starts_with("avc1.") && codecs.contains("mp4a.40.2"), "{codecs}");
    for (name, file) in [
        ("playlist", "playlist.m3u8"),
        ("poster", "poster.jpg"),
        ("download", "download.mp4"),
    ] {
        assert_eq!(video["urls"][name], format!("{}/api/v1/videos/{id}/{file}", house.base));
    }

    let refused = house.publish(&user, b"no clip at all".to_vec()).await;
    let video = house.video(&refused, Some(&user)).await;
    assert_shape(&video, true, false);
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("rejected"), &json!("not_a_video"))
    );
    assert!(!video["error"]["message"].as_str().unwrap().is_empty());
    house
        .get(&format!("/videos/{refused}"), None)
        .await
        .problem(404, "not_found");
    house
        .get("/videos/nonsense", Some(&user))
        .await
        .problem(404, "not_found");
    house
        .get(&format!("/videos/{}", user.id), Some(&user))
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_changes_what_is_said_of_a_clip() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({"tags": ["cats"]})).await;
    let path = format!("/videos/{id}");
    let patch = |user, body| house.call(Method::PATCH, &path, user, Some(body));

    let before = house.stored().await;
    let wrong = json!({"title": "", "description": 1, "tags": ["a b"], "visibility": "secret"});
    let fields = ["title", "description", "tags", "visibility"];
    patch(Some(&ada), wrong).await.invalid(&fields);
    patch(Some(&ada), json!({"status": "ready"})).await.invalid(&["status"]);
    patch(Some(&bob), json!({"title": "Mine"}))
        .await
        .problem(403, "forbidden");
    patch(None, json!({"title": "Mine"})).await.problem(401, "unauthorized");
    assert_eq!(house.stored().await, before);

    let changed = patch(Some(&ada), json!({"title": " New ", "tags": ["#Dogs"]}))
        .await
        .expect(StatusCode::OK);
    assert_shape(&changed, false, false);
    assert_eq!((&changed["title"], &changed["tags"]), (&json!("New"), &json!(["dogs"])));
    assert_eq!(house.video(&id, None).await, changed);
    let same = patch(Some(&ada), json!({"title": null})).await.expect(StatusCode::OK);
    assert_eq!(same["title"], "New");

    patch(Some(&ada), json!({"visibility": "private"}))
        .await
        .expect(StatusCode::OK);
    house.get(&path, None).await.problem(404, "not_found");
    patch(Some(&bob), json!({"title": "Mine"}))
        .await
        .problem(404, "not_found");
    let refused = house.publish(&ada, b"junk".to_vec()).await;
    let path = format!("/videos/{refused}");
    let rename = house.call(Method::PATCH, &path, Some(&ada), Some(json!({"title": "x"})));
    assert_eq!(rename.await.expect(StatusCode::OK)["title"], "x");
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_clip_is_gone_at_once_and_then_altogether() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.publish(&ada, tiny_clip(house.directory())).await;
    assert_eq!(like(&house, Method::PUT, &id, &bob).await, StatusCode::NO_CONTENT);
    assert!(!house.objects().await.is_empty());
    delete(&house, &id, &bob).await.problem(403, "forbidden");
    let link = house
        .post(&format!("/videos/{id}/links"), Some(&ada), json!({}))
        .await
        .expect(StatusCode::OK);

    assert_eq!(delete(&house, &id, &ada).await.status, StatusCode::NO_CONTENT);
    for viewer in [None, Some(&ada), Some(&bob)] {
        for rest in [
            "",
            "/playlist.m3u8",
            "/playlists/audio.m3u8",
            "/poster.jpg",
            "/storyboard.vtt",
            "/download.mp4",
        ] {
            house
                .get(&format!("/videos/{id}{rest}"), viewer)
                .await
                .problem(404, "not_found");
        }
    }
    send(house.request(Method::GET, link["url"].as_str().unwrap()))
        .await
        .problem(404, "not_found");
    delete(&house, &id, &ada).await.problem(404, "not_found");
    let path = format!("/videos/{id}");
    let patch = house.call(Method::PATCH, &path, Some(&ada), Some(json!({"title": "x"})));
    patch.await.problem(404, "not_found");
    for rest in ["retry", "links", "views", "upload/complete"] {
        house
            .post(&format!("{path}/{rest}"), Some(&ada), json!({}))
            .await
            .problem(404, "not_found");
    }
    assert_eq!(like(&house, Method::DELETE, &id, &bob).await, StatusCode::NOT_FOUND);
    let own = house.get("/me/videos", Some(&ada)).await.expect(StatusCode::OK);
    assert_eq!(own, json!({"items": [], "next_cursor": null}));
    let feed = house.get("/videos", None).await.expect(StatusCode::OK);
    assert_eq!(feed, json!({"items": [], "next_cursor": null}));

    house.drain().await;
    house.sweep().await;
    assert_eq!(house.objects().await, [""; 0]);
    house.advance(TimeDelta::hours(4));
    house.sweep().await;
    assert_eq!(house.context.catalog.open_work().await.unwrap(), []);
    let stored = house.stored().await;
    let items: Vec<&str> = stored.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(items.len(), 1, "more than a tombstone: {items:#?}");
    assert!(
        items[0].contains("expires_at") && items[0].contains("META"),
        "{items:?}"
    );
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_a_crowd_is_shown_a_clip_after_it_is_deleted() {
    const CROWD: usize = 16;
    let house = House::open().await;
    let ada = house.user("ada").await;
    let id = house.publish(&ada, tiny_clip(house.directory())).await;
    let playlist = format!("/videos/{id}/playlist.m3u8");
    let (watching, deleted) = (Barrier::new(CROWD + 1), AtomicBool::new(false));
    let viewer = async || {
        assert_eq!(house.get(&playlist, None).await.status, StatusCode::OK);
        watching.wait().await;
        loop {
            let may_be_shown = !deleted.load(Ordering::SeqCst);
            let answer = house.get(&playlist, None).await;
            if answer.status != StatusCode::OK {
                return answer.problem(404, "not_found");
            }
            assert!(may_be_shown, "asked after it was deleted, and shown");
        }
    };
    let owner = async {
        watching.wait().await;
        assert_eq!(delete(&house, &id, &ada).await.status, StatusCode::NO_CONTENT);
        deleted.store(true, Ordering::SeqCst);
    };
    tokio::join!(owner, join_all((0..CROWD).map(|_| viewer())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_can_be_deleted_at_every_stage() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let announced = house.announce(&user, 4).await["video"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let uploaded = house.upload(&user, tiny_clip(house.directory())).await;
    let refused = house.publish(&user, b"junk".to_vec()).await;
    for id in [&announced, &uploaded, &refused] {
        assert_eq!(delete(&house, id, &user).await.status, StatusCode::NO_CONTENT);
        house
            .get(&format!("/videos/{id}"), Some(&user))
            .await
            .problem(404, "not_found");
    }
    house.drain().await;
    assert_eq!(house.objects().await, [""; 0]);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_failed_can_be_tried_again() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let retry = |id: &str, user| retry_of(&house, id.to_owned(), user);
    let refused = house.publish(&ada, b"junk".to_vec()).await;
    retry(&refused, Some(&ada)).await.problem(409, "not_failed");
    let ready = house.listed(&ada, json!({})).await;
    retry(&ready, Some(&ada)).await.problem(409, "not_failed");
    retry(&ready, Some(&bob)).await.problem(403, "forbidden");

    let id = house.upload(&ada, tiny_clip(house.directory())).await;
    let trouble = Trouble {
        code: "attempts_exhausted".into(),
        message: "It never came to an end.".into(),
        step: Some("transcode".into()),
    };
    assert!(
        house
            .context
            .catalog
            .fail(&house.kept(&id).await, &trouble)
            .await
            .unwrap()
    );
    house.drain().await;
    let video = house.video(&id, Some(&ada)).await;
    assert_shape(&video, true, false);
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("failed"), &json!("attempts_exhausted"))
    );
    retry(&id, Some(&bob)).await.problem(404, "not_found");
    retry(&id, None).await.problem(401, "unauthorized");

    let again = retry(&id, Some(&ada)).await.expect(StatusCode::ACCEPTED);
    assert_shape(&again, false, false);
    assert_eq!(again["status"], "processing");
    retry(&id, Some(&ada)).await.problem(409, "not_failed");
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(house.messages().await, 0);
}

async fn retry_of(house: &House, id: String, user: Option<&User>) -> crate::client::Answer {
    house.post(&format!("/videos/{id}/retry"), user, json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_counts_once_and_can_be_taken_back() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    let likes = || async { house.video(&id, None).await["counts"]["likes"].as_u64().unwrap() };
    for _ in 0..3 {
        assert_eq!(like(&house, Method::PUT, &id, &bob).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(likes().await, 1);
    assert_eq!(like(&house, Method::PUT, &id, &ada).await, StatusCode::NO_CONTENT);
    assert_eq!(likes().await, 2);
    for _ in 0..3 {
        assert_eq!(like(&house, Method::DELETE, &id, &bob).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(likes().await, 1);
    let (once, twice) = tokio::join!(
        like(&house, Method::PUT, &id, &bob),
        like(&house, Method::PUT, &id, &bob)
    );
    assert_eq!((once, twice), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    assert_eq!(likes().await, 2);

    let refused = house.publish(&ada, b"junk".to_vec()).await;
    let path = format!("/videos/{refused}/like");
    house
        .call(Method::PUT, &path, Some(&ada), None)
        .await
        .problem(409, "not_watchable");
    house
        .call(Method::PUT, &path, Some(&bob), None)
        .await
        .problem(404, "not_found");
    house
        .call(Method::PUT, &path, None, None)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_counts_once_a_viewer_and_day() {
    let house = House::open().await;
    // Noon, so that no day ends while the test runs.
    house.advance(TimeDelta::seconds(43_200 - house.now().timestamp() % 86_400));
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    let path = format!("/videos/{id}/views");
    let view = |user: Option<User>| {
        let (house, path) = (&house, &path);
        async move { house.post(path, user.as_ref(), json!({})).await.status }
    };
    let views = || async { house.video(&id, None).await["counts"]["views"].as_u64().unwrap() };
    for _ in 0..2 {
        for viewer in [Some(ada.clone()), Some(bob.clone()), None] {
            assert_eq!(view(viewer).await, StatusCode::NO_CONTENT);
        }
    }
    assert_eq!(views().await, 3);
    let browser = house
        .request(Method::POST, &format!("/api/v1{path}"))
        .header("User-Agent", "another browser");
    assert_eq!(send(browser).await.status, StatusCode::NO_CONTENT);
    assert_eq!(views().await, 4);
    house.advance(TimeDelta::days(1));
    let bob = house.again(&bob).await;
    for viewer in [Some(bob), None] {
        view(viewer.clone()).await;
        view(viewer).await;
    }
    assert_eq!(views().await, 6);

    let waiting = house.announce(&house.again(&ada).await, 4).await["video"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    house
        .post(&format!("/videos/{waiting}/views"), None, json!({}))
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clips_of_a_deleted_account_go_with_it() {
    let house = House::open().await;
    let (ada, eve) = (house.user("ada").await, house.user("eve").await);
    let clip = tiny_clip(house.directory());
    let ready = house.publish(&ada, clip.clone()).await;
    let waiting = house.announce(&ada, 1000).await["video"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = house.publish(&eve, clip).await;

    let farewell = house.call(Method::DELETE, "/me", Some(&ada), Some(json!({"password": PASSWORD})));
    farewell.await.expect(StatusCode::NO_CONTENT);
    house.drain().await;
    // Its token is still good for some minutes.
    let late = json!({"title": "Late", "filename": "a.mp4", "size": 1, "content_type": "video/mp4"});
    house
        .post("/videos", Some(&ada), late)
        .await
        .problem(401, "unauthorized");

    for id in [&ready, &waiting] {
        house
            .get(&format!("/videos/{id}"), Some(&ada))
            .await
            .problem(404, "not_found");
    }
    assert_eq!(house.video(&other, None).await["status"], "ready");
    let left = house.objects().await;
    assert!(
        !left.is_empty() && left.iter().all(|key| key.contains(&other)),
        "{left:?}"
    );
}
