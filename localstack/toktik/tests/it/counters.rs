//! Likes and views under a crowd: exact counts, whoever comes twice, at midnight, or is gone afterwards.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use toktik_events::Function;
use toktik_identity::{Identity, Role, SessionId, Signer, UserId};

use crate::broker::brokered;
use crate::client::send;
use crate::harness::{House, PASSWORD, User};

const CROWD: usize = 200;
const SECRET: [&str; 2] = ["--token-secret", "a secret that is long enough for anybody"];

/// So many people with tokens. Nobody asks for their passwords here, which would take longer than all the rest.
fn crowd(house: &House) -> Vec<User> {
    let signer = Signer::with_secret(&house.context.verifier, std::time::Duration::from_hours(1)).unwrap();
    let member = |index: usize| {
        let identity = Identity {
            user: UserId::random(),
            username: format!("user{index}"),
            role: Role::User,
            session: SessionId::random(),
            signed_in_at: house.now(),
        };
        User {
            id: identity.user.to_string(),
            token: signer.sign(&identity, house.now()).unwrap().token,
            name: identity.username,
        }
    };
    (0..CROWD).map(member).collect()
}

async fn counts(house: &House, id: &str) -> (u64, u64) {
    let counts = house.video(id, None).await["counts"].take();
    (counts["views"].as_u64().unwrap(), counts["likes"].as_u64().unwrap())
}

async fn like(house: &House, method: Method, id: &str, user: &User) {
    let path = format!("/videos/{id}/like");
    let answer = house.call(method, &path, Some(user), None).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
}

/// A view by a browser of this name, or by a user.
async fn view(house: &House, id: &str, browser: &str, user: Option<&User>) {
    let mut request = house
        .request(Method::POST, &format!("/api/v1/videos/{id}/views"))
        .header("User-Agent", browser);
    if let Some(user) = user {
        request = request.bearer_auth(&user.token);
    }
    let answer = send(request).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
}

/// Items of this clip whose sort key begins so.
async fn items(house: &House, id: &str, prefix: &str) -> usize {
    let stored = house.stored().await;
    let of_it = |line: &&str| line.contains(&format!("VIDEO#{id}")) && line.contains(&format!("sk: S(\"{prefix}"));
    stored.lines().filter(of_it).count()
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_likes_and_unlikes_at_once_is_counted_exactly() {
    let house = House::with(&SECRET).await;
    let (ada, crowd) = (house.user("ada").await, crowd(&house));
    let id = house.listed(&ada, json!({})).await;
    join_all(crowd.iter().map(|user| like(&house, Method::PUT, &id, user))).await;
    assert_eq!(counts(&house, &id).await, (0, 200));

    // Half takes it back, and everybody's finger slips; nobody waits for anybody.
    let (leave, stay) = crowd.split_at(CROWD / 2);
    let leaving = leave
        .iter()
        .flat_map(|user| [(Method::DELETE, user), (Method::DELETE, user)]);
    let staying = stay.iter().flat_map(|user| [(Method::PUT, user), (Method::PUT, user)]);
    join_all(
        leaving
            .chain(staying)
            .map(|(method, user)| like(&house, method, &id, user)),
    )
    .await;
    assert_eq!(counts(&house, &id).await, (0, 100));
    assert_eq!(items(&house, &id, "LIKE#").await, 100);
    assert_eq!(house.stored().await.matches("S(\"OUTBOX#").count(), 0);

    join_all(stay.iter().map(|user| like(&house, Method::DELETE, &id, user))).await;
    assert_eq!(
        (counts(&house, &id).await, items(&house, &id, "LIKE#").await),
        ((0, 0), 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_likes_and_unlikes_at_the_same_moment_counts_as_what_is_left() {
    let house = House::with(&SECRET).await;
    let (ada, crowd) = (house.user("ada").await, crowd(&house));
    let id = house.listed(&ada, json!({})).await;
    let both = crowd[..50]
        .iter()
        .flat_map(|user| [(Method::PUT, user), (Method::DELETE, user)]);
    join_all(both.map(|(method, user)| like(&house, method, &id, user))).await;
    let left = items(&house, &id, "LIKE#").await;
    assert_eq!(counts(&house, &id).await.1, left as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_viewers_counts_once_each_with_and_without_a_name() {
    let house = House::with(&SECRET).await;
    // Noon, so that no day ends while the test runs.
    house.advance(TimeDelta::seconds(43_200 - house.now().timestamp() % 86_400));
    let (ada, crowd) = (house.user("ada").await, crowd(&house));
    let id = house.listed(&ada, json!({})).await;
    let named = crowd[..100].iter().map(|user| (user.name.as_str(), Some(user)));
    let nameless = crowd[100..].iter().map(|user| (user.name.as_str(), None));
    let all: Vec<(&str, Option<&User>)> = named.chain(nameless).collect();
    let twice = all.iter().chain(&all);
    join_all(twice.map(|(browser, user)| view(&house, &id, browser, *user))).await;
    assert_eq!(counts(&house, &id).await, (200, 0));
    assert_eq!(items(&house, &id, "VIEW#").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn midnight_begins_a_day_for_everybody() {
    let house = House::with(&SECRET).await;
    let midnight = at(&format!(
        "{}T00:00:00Z",
        (house.now() + TimeDelta::days(1)).format("%Y-%m-%d")
    ));
    house.advance(midnight - house.now() - TimeDelta::minutes(5));
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    let both = || async {
        view(&house, &id, "a browser", None).await;
        view(&house, &id, "a browser", Some(&user)).await;
    };
    both().await;
    both().await;
    assert_eq!(counts(&house, &id).await.0, 2);
    house.advance(midnight - house.now() + TimeDelta::seconds(1));
    both().await;
    both().await;
    assert_eq!(counts(&house, &id).await.0, 4, "the day is another one");
    house.advance(TimeDelta::minutes(5));
    both().await;
    assert_eq!(counts(&house, &id).await.0, 4, "though the clock has moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_outlive_those_who_made_them() {
    let (house, broker) = brokered(2).await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.listed(&ada, json!({})).await;
    like(&house, Method::PUT, &id, &bob).await;
    like(&house, Method::PUT, &id, &ada).await;
    view(&house, &id, "a browser", Some(&bob)).await;
    assert_eq!(counts(&house, &id).await, (1, 2));
    let farewell = house.call(Method::DELETE, "/me", Some(&bob), Some(json!({"password": PASSWORD})));
    farewell.await.expect(StatusCode::NO_CONTENT);
    house.drain().await;
    assert_eq!(counts(&house, &id).await, (1, 2));
    // Everything that was ever said of it, again.
    for event in broker.events() {
        house.deliver(Function::Janitor, &event.to_string()).await;
    }
    house.drain().await;
    house.sweep().await;
    assert_eq!(counts(&house, &id).await, (1, 2));
    assert_eq!(broker.told("toktik.video.liked.v1").len(), 2);
    assert_eq!(house.messages().await, 0);
}

async fn popular(house: &House) -> Vec<String> {
    let listed = house.get("/videos?sort=popular", None).await.expect(StatusCode::OK);
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_popular_list_is_that_of_the_counts() {
    let house = House::with(&SECRET).await;
    let (ada, crowd) = (house.user("ada").await, crowd(&house));
    let mut clips = Vec::new();
    for _ in 0..3 {
        clips.push(house.listed(&ada, json!({})).await);
    }
    // 12 views weigh more than 2 likes, and 3 likes more than those.
    let viewers = crowd[..12]
        .iter()
        .map(|user| view(&house, &clips[0], "a browser", Some(user)));
    join_all(viewers).await;
    join_all(crowd[..2].iter().map(|user| like(&house, Method::PUT, &clips[1], user))).await;
    join_all(crowd[..3].iter().map(|user| like(&house, Method::PUT, &clips[2], user))).await;
    for _ in 0..2 {
        house.sweep().await;
        assert_eq!(popular(&house).await, [clips[2].as_str(), &clips[0], &clips[1]]);
    }
    join_all(
        crowd[..3]
            .iter()
            .map(|user| like(&house, Method::DELETE, &clips[2], user)),
    )
    .await;
    house.sweep().await;
    assert_eq!(popular(&house).await, [clips[0].as_str(), &clips[1], &clips[2]]);
    let path = format!("/videos/{}", clips[0]);
    let deleted = house.call(Method::DELETE, &path, Some(&ada), None).await;
    deleted.expect(StatusCode::NO_CONTENT);
    assert_eq!(popular(&house).await, [clips[1].as_str(), &clips[2]]);
    house.sweep().await;
    assert_eq!(popular(&house).await, [clips[1].as_str(), &clips[2]]);
}
