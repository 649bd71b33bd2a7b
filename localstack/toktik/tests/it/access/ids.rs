//! Ids that name nothing, or something of somebody else's: in paths, bodies, links and signed URLs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::VideoId;

use super::{Row, answer, operations, published, request};
use crate::client::{Answer, send};
use crate::harness::{House, User};

/// What stands where an id should, and is none.
fn malformed(good: &str) -> Vec<String> {
    let mut malformed = vec![
        good.to_uppercase(),
        format!("{good}0"),
        format!("{good}%20"),
        format!("{good}%00"),
        format!("{}-{}", &good[..8], &good[8..]),
        "0".repeat(10_000),
    ];
    malformed.extend(
        [
            "x",
            "0",
            "-1",
            "me",
            "%2e%2e%2f%2e%2e",
            "..%2Fme",
            "%ff",
            "%F0%9F%8E%AC",
            "*",
        ]
        .map(str::to_owned),
    );
    malformed
}

async fn asked(house: &House, row: &Row, id: &str, caller: Option<&User>) -> Answer {
    let request = request(house, row, id);
    send(match caller {
        Some(user) => request.bearer_auth(&user.token),
        None => request,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_names_nothing_is_not_found_by_any_endpoint() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let (there, deleted) = (
        house.listed(&user, json!({})).await,
        house.listed(&user, json!({})).await,
    );
    let path = format!("/videos/{deleted}");
    let gone = house.call(Method::DELETE, &path, Some(&user), None).await;
    gone.expect(StatusCode::NO_CONTENT);
    let mut nothing = malformed(&there);
    nothing.extend([VideoId::random().to_string(), deleted.clone(), user.id.clone()]);
    let mut asked_for = 0;
    for operation in operations(&house).await.iter().filter(|one| one.has_parameter("id")) {
        let row = operation.row();
        for id in &nothing {
            let answer = asked(&house, &row, id, Some(&user)).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{} of {id}: {answer:?}",
                operation.name()
            );
            answer.problem(404, "not_found");
            asked_for += 1;
        }
    }
    assert!(asked_for > 300, "{asked_for}");
    house.drain().await;
    house.video(&there, Some(&user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_one_may_not_see_looks_like_none() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let hidden = house.listed(&ada, json!({"visibility": "private"})).await;
    let unsent = house.announce(&ada, 1).await["video"]["id"].take();
    let nothing = VideoId::random().to_string();
    for operation in operations(&house).await.iter().filter(|one| one.has_parameter("id")) {
        let row = operation.row();
        for caller in [None, Some(&bob)] {
            let expected = looks(&asked(&house, &row, &nothing, caller).await);
            for id in [&hidden, unsent.as_str().unwrap()] {
                let seen = looks(&asked(&house, &row, id, caller).await);
                assert_eq!(seen, expected, "{} by {caller:?}", operation.name());
            }
        }
    }
}

/// Everything of an answer by which two could be told apart, but for when they were given.
fn looks(answer: &Answer) -> String {
    let mut headers = answer.headers.clone();
    for changing in ["date", "traceparent"] {
        headers.remove(changing);
    }
    format!("{} {headers:?} {}", answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_names_an_owner_an_id_or_a_role() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    let before = house.stored().await;
    let mut tried = 0;
    for operation in operations(&house).await.iter().filter(|one| one.has_body()) {
        let foreign: [(&str, Value); 5] = [
            ("id", json!(bob.id)),
            ("owner", json!(bob.id)),
            ("user_id", json!(bob.id)),
            ("role", json!("admin")),
            ("status", json!("ready")),
        ];
        for (field, value) in foreign {
            let mut row = operation.row();
            row.body.get_or_insert_with(|| json!({}))[field] = value;
            let answer = asked(&house, &row, &id, Some(&ada)).await;
            assert_eq!(
                answer.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{} {field}",
                operation.name()
            );
            answer.invalid(&[field]);
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
    assert_eq!(house.stored().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_its_own_clip_for_watching_and_nothing_else() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    let (shown, hidden) = (published(&house, &ada, true).await, published(&house, &ada, true).await);
    let link = house
        .post(&format!("/videos/{shown}/links"), Some(&ada), json!({}))
        .await;
    let link = link.expect(StatusCode::OK)["url"].as_str().unwrap().to_owned();
    let token = link.split_once("?token=").unwrap().1;
    let mut opened = 0;
    for operation in operations(&house).await.iter().filter(|one| one.has_parameter("id")) {
        let mut row = operation.row();
        let [stranger, _, owner] = row.on_private;
        let path = format!("{}?token={token}", row.path);
        row.path = path.leak();
        let watches = operation.has_parameter("token");
        let expected = if watches { owner } else { stranger };
        assert_eq!(
            answer(&house, &row, &shown, None).await,
            expected,
            "{}",
            operation.name()
        );
        assert_eq!(
            answer(&house, &row, &hidden, None).await,
            stranger,
            "{}",
            operation.name()
        );
        opened += u32::from(watches);
    }
    assert_eq!(opened, 9);
    let gone = house
        .call(Method::DELETE, &format!("/videos/{shown}"), Some(&ada), None)
        .await;
    gone.expect(StatusCode::NO_CONTENT);
    send(house.request(Method::GET, &link)).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlists_name_leads_nowhere_else() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    let id = published(&house, &ada, false).await;
    let names = [
        "..%2fplaylist.m3u8",
        "..%2f..%2f..%2fme",
        ".m3u8",
        "-iframes.m3u8",
        "120p",
        "audio",
        "120p.m3u8%00",
        "120p-iframes-iframes.m3u8",
        "1080p.m3u8",
        "init.mp4",
        "%2e%2e%2f120p.m3u8",
        "120P.M3U8",
    ];
    for name in names {
        let answer = house.get(&format!("/videos/{id}/playlists/{name}"), None).await;
        answer.problem(404, "not_found");
    }
}

/// Addresses of the bucket that a user got, turned to something else than they were signed for.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_is_for_one_object_and_one_method() {
    let house = House::with(&["--multipart-threshold", "6000000"]).await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let (mine, yours) = (house.announce(&bob, 4).await, house.announce(&ada, 4).await);
    let url = |created: &Value| created["upload"]["url"].as_str().unwrap().to_owned();
    let (mine, yours) = (url(&mine), url(&yours));
    let query = |url: &str| url.split_once('?').unwrap().1.to_owned();
    let bare = |url: &str| url.split_once('?').unwrap().0.to_owned();
    let (large, other) = (
        house.announce(&bob, 20_000_000).await,
        house.announce(&ada, 20_000_000).await,
    );
    let part = async |created: &Value, user: &User| {
        let path = format!("/videos/{}/upload/parts", created["video"]["id"].as_str().unwrap());
        let signed = house.post(&path, Some(user), json!({"part_numbers": [1]})).await;
        signed.expect(StatusCode::OK)["parts"][0]["url"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (part, other) = (part(&large, &bob).await, part(&other, &ada).await);
    let put = |url: String| house.request(Method::PUT, &url).body("clip");
    let turned = [
        put(format!("{}?{}", bare(&yours), query(&mine))),
        put(bare(&mine)),
        put(format!("{}?{}", bare(&other), query(&part))),
        put(part.replace("partNumber=1", "partNumber=2")),
        house.request(Method::GET, &mine),
        house.request(Method::DELETE, &mine),
        house.request(Method::GET, &format!("{}/toktik?list-type=2", house.base)),
    ];
    for request in turned {
        let answer = send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
    }
    assert_eq!(house.objects().await, [""; 0]);
}

/// Parts of an upload that has not ended are as hidden as the clip.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_under_way_is_its_owners_alone() {
    let house = House::with(&["--multipart-threshold", "6000000"]).await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    for size in [4, 20_000_000] {
        let created = house.announce(&ada, size).await;
        let id = created["video"]["id"].as_str().unwrap();
        let operations = operations(&house).await;
        for operation in operations.iter().filter(|one| one.path.contains("/upload")) {
            let row = operation.row();
            assert_eq!(answer(&house, &row, id, None).await, 401, "{}", operation.name());
            assert_eq!(answer(&house, &row, id, Some(&bob)).await, 404, "{}", operation.name());
        }
        let own = house.get(&format!("/videos/{id}"), Some(&ada)).await;
        assert_eq!(own.expect(StatusCode::OK)["status"], "uploading");
    }
}
