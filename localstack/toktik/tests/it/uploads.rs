//! From the announcement of a clip to its bytes in the bucket: what is refused, what is signed, what completes it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::Function;

use crate::client::{Answer, client, send, signed};
use crate::clips::tiny_clip;
use crate::harness::{House, User};

fn wanted() -> Value {
    json!({
        "title": "A clip", "description": "Of a cat", "tags": ["#Cats", "fun"], "visibility": "unlisted",
        "filename": "cat.mov", "size": 4, "content_type": "video/quicktime"
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = wanted();
    body[field] = value;
    body
}

async fn repeatable(house: &House, user: &User, key: &str, body: &Value) -> Answer {
    let request = house.request(Method::POST, "/api/v1/videos").bearer_auth(&user.token);
    send(request.header("Idempotency-Key", key).json(body)).await
}

async fn complete(house: &House, user: &User, id: &str) -> Answer {
    house
        .post(&format!("/videos/{id}/upload/complete"), Some(user), json!({}))
        .await
}

fn id_of(created: &Value) -> String {
    created["video"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_clip_waits_for_its_bytes() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let created = house
        .post("/videos", Some(&user), wanted())
        .await
        .expect(StatusCode::CREATED);
    let video = &created["video"];
    assert_eq!(video["status"], "uploading");
    assert_eq!(video["title"], "A clip");
    assert_eq!(video["description"], "Of a cat");
    assert_eq!(video["tags"], json!(["cats", "fun"]));
    assert_eq!(video["visibility"], "unlisted");
    let at: DateTime<Utc> = video["created_at"].as_str().unwrap().parse().unwrap();
    assert!((house.now() - at).num_seconds() < 60);

    let upload = &created["upload"];
    assert_eq!(upload["kind"], "put");
    assert!(
        upload["url"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{}/toktik/uploads/", house.base))
    );
    let headers = upload["headers"].as_object().unwrap();
    let names: BTreeSet<String> = headers.keys().map(|name| name.to_lowercase()).collect();
    assert!(
        !names.contains("host") && !names.contains("content-length"),
        "{names:?}"
    );
    assert_eq!(headers["content-type"], "video/quicktime");
    assert_eq!(headers["if-none-match"], "*");

    let least = json!({"title": "t", "filename": "f", "size": 1, "content_type": "application/octet-stream"});
    let created = house
        .post("/videos", Some(&user), least)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(created["video"]["visibility"], "public");
    assert_eq!(created["video"]["tags"], json!([]));
    for field in ["description", "tags", "visibility"] {
        house
            .post("/videos", Some(&user), with(field, Value::Null))
            .await
            .expect(StatusCode::CREATED);
    }
    assert_eq!(house.objects().await, [""; 0], "the bytes have not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_nothing_is_written() {
    let house = House::with(&["--max-upload-bytes", "1000"]).await;
    let user = house.user("ada").await;
    let before = (house.stored().await, house.objects().await);
    let post = |body: Value| house.post("/videos", Some(&user), body);

    post(json!({}))
        .await
        .invalid(&["title", "filename", "size", "content_type"]);
    let everything = json!({
        "title": " ", "description": "\u{7}", "tags": ["a b"], "visibility": "secret",
        "filename": "", "size": 0, "content_type": "text/html"
    });
    let fields = [
        "title",
        "description",
        "tags",
        "visibility",
        "filename",
        "size",
        "content_type",
    ];
    post(everything).await.invalid(&fields);
    let types = json!({
        "title": 1, "description": [], "tags": "cats", "visibility": 7,
        "filename": null, "size": "4", "content_type": true
    });
    post(types).await.invalid(&fields);
    let many: Vec<String> = (0..11).map(|n| format!("tag{n}")).collect();
    let long = |length: usize| json!("x".repeat(length));
    let wrong = [
        ("title", long(101)),
        ("title", json!("two\nlines")),
        ("description", long(5001)),
        ("tags", json!(many)),
        ("tags", json!(["x".repeat(31)])),
        ("tags", json!([1])),
        ("filename", long(256)),
        ("size", json!(-1)),
        ("size", json!(1.5)),
        ("size", Value::Null),
        ("content_type", json!("video/")),
        ("content_type", json!("image/gif")),
        ("content_type", json!("video/mp4\r\nx: y")),
        ("surprise", json!(1)),
    ];
    for (field, value) in wrong {
        post(with(field, value)).await.invalid(&[field]);
    }
    post(with("size", json!(1001))).await.problem(413, "too_large");
    post(json!([1])).await.problem(422, "invalid");

    let raw = |content_type: &'static str, body: &'static str| {
        let request = house.request(Method::POST, "/api/v1/videos").bearer_auth(&user.token);
        send(request.header("content-type", content_type).body(body))
    };
    raw("application/json", "{").await.problem(400, "malformed");
    raw("application/json", "{} {}").await.problem(400, "malformed");
    raw("application/json", "").await.problem(400, "malformed");
    raw("text/plain", "{}").await.problem(415, "unsupported_media_type");
    house.post("/videos", None, wanted()).await.problem(401, "unauthorized");
    repeatable(&house, &user, &"k".repeat(256), &wanted())
        .await
        .problem(400, "malformed");

    assert_eq!((house.stored().await, house.objects().await), before);
    house
        .post("/videos", Some(&user), with("size", json!(1000)))
        .await
        .expect(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_one_clip_of_many_requests() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let body = wanted();
    let (one, two) = tokio::join!(
        repeatable(&house, &ada, "k", &body),
        repeatable(&house, &ada, "k", &body)
    );
    let (one, two) = (one.expect(StatusCode::CREATED), two.expect(StatusCode::CREATED));
    assert_eq!(id_of(&one), id_of(&two));
    let again = repeatable(&house, &ada, "k", &body).await.expect(StatusCode::CREATED);
    assert_eq!((id_of(&again), &again["upload"]["kind"]), (id_of(&one), &json!("put")));
    let own = house.get("/me/videos", Some(&ada)).await.expect(StatusCode::OK);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);

    let other = with("title", json!("Another"));
    repeatable(&house, &ada, "k", &other)
        .await
        .problem(422, "idempotency_key_reused");
    let bobs = repeatable(&house, &bob, "k", &other).await.expect(StatusCode::CREATED);
    assert_ne!(id_of(&bobs), id_of(&one));

    house
        .call(
            Method::DELETE,
            &format!("/videos/{}/upload", id_of(&bobs)),
            Some(&bob),
            None,
        )
        .await;
    repeatable(&house, &bob, "k", &other)
        .await
        .problem(409, "video_deleted");

    house.advance(TimeDelta::hours(24) - TimeDelta::minutes(1));
    let ada = house.again(&ada).await;
    let late = repeatable(&house, &ada, "k", &body).await.expect(StatusCode::CREATED);
    assert_eq!(id_of(&late), id_of(&one));
    house.advance(TimeDelta::minutes(2));
    let new = repeatable(&house, &ada, "k", &other).await.expect(StatusCode::CREATED);
    assert_ne!(id_of(&new), id_of(&one));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_its_fresh_url_keeps_the_upload_alive() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    let kept = id_of(
        &repeatable(&house, &ada, "k", &wanted())
            .await
            .expect(StatusCode::CREATED),
    );
    let dropped = id_of(&house.announce(&ada, 4).await);
    house.advance(TimeDelta::minutes(90));
    let ada = house.again(&ada).await;
    repeatable(&house, &ada, "k", &wanted())
        .await
        .expect(StatusCode::CREATED);
    house.advance(TimeDelta::minutes(40));
    house.sweep().await;
    let ada = house.again(&ada).await;
    assert_eq!(house.video(&kept, Some(&ada)).await["status"], "uploading");
    let dropped = house.video(&dropped, Some(&ada)).await;
    assert_eq!(
        (&dropped["status"], &dropped["error"]["code"]),
        (&json!("rejected"), &json!("upload_expired"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_takes_exactly_what_was_announced_once() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let upload = house.announce(&user, 4).await["upload"].take();
    let put = |bytes: &[u8]| send(signed(&upload, bytes.to_vec()));
    let refused = |answer: Answer| assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    // The store has said by now that it can tell of uploads.
    house.drain().await;
    let before = house.stored().await;

    refused(put(b"12345").await);
    refused(put(b"123").await);
    let mut other = upload.clone();
    other["headers"]["content-type"] = json!("text/html");
    refused(send(signed(&other, b"1234".to_vec())).await);
    let mut other = upload.clone();
    other["headers"].as_object_mut().unwrap().remove("if-none-match");
    refused(send(signed(&other, b"1234".to_vec())).await);
    for (part, replaced) in [("/uploads/", "/videos/"), ("X-Amz-Expires=3600", "X-Amz-Expires=9999")] {
        let mut other = upload.clone();
        other["url"] = json!(upload["url"].as_str().unwrap().replace(part, replaced));
        assert_ne!(other["url"], upload["url"], "{part}");
        refused(send(signed(&other, b"1234".to_vec())).await);
    }
    refused(send(client().get(upload["url"].as_str().unwrap())).await);
    assert_eq!(house.objects().await, [""; 0], "something refused was written");
    assert_eq!(house.messages().await, 0, "somebody was told of something refused");

    assert_eq!(put(b"1234").await.status, StatusCode::OK);
    assert_eq!(house.messages().await, 1);
    assert_eq!(put(b"abcd").await.status, StatusCode::PRECONDITION_FAILED);
    let keys = house.objects().await;
    assert_eq!(keys.len(), 1);
    assert_eq!(house.object(&keys[0]).await, b"1234");
    assert_eq!((house.stored().await, house.messages().await), (before, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_runs_out() {
    let house = House::open().await;
    // The store goes by the real time, so the URL is signed in the past.
    house.advance(TimeDelta::minutes(-61));
    let user = house.user("ada").await;
    let upload = house.announce(&user, 4).await["upload"].take();
    house.drain().await;
    let before = house.stored().await;
    assert_eq!(
        send(signed(&upload, b"1234".to_vec())).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!((house.stored().await, house.messages().await), (before, 0));
    assert_eq!(house.objects().await, [""; 0]);
    house.advance(TimeDelta::minutes(2));
    let upload = house.announce(&user, 4).await["upload"].take();
    assert_eq!(send(signed(&upload, b"1234".to_vec())).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_any_origin_may_upload() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let upload = house.announce(&user, 4).await["upload"].take();
    let preflight = client()
        .request(Method::OPTIONS, upload["url"].as_str().unwrap())
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "PUT")
        .header("Access-Control-Request-Headers", "content-type,if-none-match");
    let answer = send(preflight).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-methods").contains("PUT"));
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(
        allowed.contains("content-type") && allowed.contains("if-none-match"),
        "{allowed}"
    );
    let put = signed(&upload, b"1234".to_vec()).header("Origin", "https://app.example");
    let answer = send(put).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (StatusCode::OK, "*")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_needs_the_bytes_and_may_be_repeated() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let created = house.announce(&user, 4).await;
    let id = id_of(&created);
    let before = house.stored().await;
    complete(&house, &user, &id).await.problem(409, "upload_incomplete");
    assert_eq!(house.stored().await, before);
    assert_eq!(
        send(signed(&created["upload"], b"junk".to_vec())).await.status,
        StatusCode::OK
    );
    for _ in 0..2 {
        let accepted = complete(&house, &user, &id).await.expect(StatusCode::ACCEPTED);
        assert_eq!(
            (&accepted["video"]["id"], &accepted["video"]["status"]),
            (&json!(id), &json!("processing"))
        );
    }
    let refused = house
        .call(Method::DELETE, &format!("/videos/{id}/upload"), Some(&user), None)
        .await;
    refused.problem(409, "not_uploading");
    house.drain().await;
    let video = house.video(&id, Some(&user)).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("rejected"), &json!("not_a_video"))
    );
    complete(&house, &user, &id).await.expect(StatusCode::ACCEPTED);
    house.drain().await;
    assert_eq!(house.objects().await, [""; 0], "what was refused is still there");
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_can_be_called_off() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let created = house.announce(&user, 4).await;
    let id = id_of(&created);
    let path = format!("/videos/{id}/upload");
    let cancel = || house.call(Method::DELETE, &path, Some(&user), None);
    assert_eq!(cancel().await.status, StatusCode::NO_CONTENT);
    cancel().await.problem(404, "not_found");
    complete(&house, &user, &id).await.problem(404, "not_found");
    house
        .get(&format!("/videos/{id}"), Some(&user))
        .await
        .problem(404, "not_found");
    // The URL is still good; what comes by it is nobody's.
    assert_eq!(
        send(signed(&created["upload"], b"late".to_vec())).await.status,
        StatusCode::OK
    );
    house.drain().await;
    assert_eq!(house.objects().await, [""; 0]);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_word_alone_starts_processing_and_both_start_it_once() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let bytes = tiny_clip(house.directory());
    let told = house.upload(&user, bytes.clone()).await;
    let created = house.announce(&user, bytes.len()).await;
    let untold = id_of(&created);
    assert_eq!(
        send(signed(&created["upload"], bytes.clone())).await.status,
        StatusCode::OK
    );
    house.drain().await;
    for id in [&told, &untold] {
        assert_eq!(house.video(id, None).await["status"], "ready");
        let steps = house.context.catalog.steps(id.parse().unwrap(), 1).await.unwrap();
        assert!(steps.iter().any(|item| item.step == Function::Transcode.name()));
        assert!(steps.iter().all(|item| item.attempts == 1), "{steps:?}");
    }
    complete(&house, &user, &untold).await.expect(StatusCode::ACCEPTED);
    house.drain().await;
    assert_eq!(house.video(&untold, None).await["status"], "ready");

    // The original is gone, so the URL finds an empty place once more.
    assert_eq!(send(signed(&created["upload"], bytes)).await.status, StatusCode::OK);
    house.drain().await;
    house.sweep().await;
    let uploads = house.context.objects.list("uploads/").await.unwrap();
    assert_eq!(uploads, [""; 0], "what came late is kept for ever");
    assert_eq!(house.video(&untold, None).await["status"], "ready");
    assert_eq!(house.messages().await, 0);
}
