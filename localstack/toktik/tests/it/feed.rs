//! Lists of clips: the feed in its orders and filters, and one's own, page by page.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{House, User};

/// The ids of one page, and where the next begins.
async fn page(house: &House, path: &str, user: Option<&User>) -> (Vec<String>, Option<String>) {
    let page = house.get(path, user).await.expect(StatusCode::OK);
    let keys: BTreeSet<&str> = page.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["items", "next_cursor"]));
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["id"].as_str().unwrap().to_owned());
    (ids.collect(), page["next_cursor"].as_str().map(str::to_owned))
}

async fn ids(house: &House, path: &str) -> Vec<String> {
    page(house, path, None).await.0
}

/// Every page of a list, so many items each.
async fn pages(house: &House, path: &str, user: Option<&User>, limit: usize) -> Vec<Vec<String>> {
    let start = format!("{path}{}limit={limit}", if path.contains('?') { '&' } else { '?' });
    let (mut all, mut next) = (Vec::new(), start.clone());
    loop {
        let (ids, cursor) = page(house, &next, user).await;
        all.push(ids);
        let Some(cursor) = cursor else { return all };
        next = format!("{start}&cursor={}", cursor.replace('#', "%23"));
        assert!(all.len() < 50, "the list has no end");
    }
}

/// Whatever the page's size, every item is seen once and in order, and only the last page may be short.
async fn assert_paged(house: &House, path: &str, user: Option<&User>, expected: &[String]) {
    for limit in 1..=expected.len() + 1 {
        let pages = pages(house, path, user, limit).await;
        assert_eq!(pages.concat(), expected, "{path} by {limit}");
        assert_eq!(pages.len(), expected.len().div_ceil(limit).max(1), "{path} by {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_shows_public_clips_latest_first() {
    let house = House::open().await;
    house.advance(TimeDelta::days(-3));
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    assert_eq!(ids(&house, "/videos").await, [""; 0]);
    let mut listed = Vec::new();
    // Over two days, so that pages cross their border.
    for (index, user) in [&ada, &bob, &ada, &ada, &bob].into_iter().enumerate() {
        if index == 3 {
            house.advance(TimeDelta::days(1));
        }
        house.advance(TimeDelta::seconds(1));
        let tags = if index % 2 == 0 {
            json!(["even"])
        } else {
            json!(["odd"])
        };
        listed.insert(0, house.listed(&house.again(user).await, json!({"tags": tags})).await);
    }
    let ada = house.again(&ada).await;
    for visibility in ["private", "unlisted"] {
        house
            .listed(&ada, json!({"visibility": visibility, "tags": ["even"]}))
            .await;
    }
    house.announce(&ada, 1).await;

    assert_eq!(ids(&house, "/videos").await, listed);
    assert_eq!(ids(&house, "/videos?sort=latest").await, listed);
    assert_paged(&house, "/videos", None, &listed).await;
    let chosen = |indices: &[usize]| indices.iter().map(|index| listed[*index].clone()).collect::<Vec<_>>();
    assert_paged(&house, "/videos?tag=even", None, &chosen(&[0, 2, 4])).await;
    assert_paged(&house, "/videos?tag=%23Even", None, &chosen(&[0, 2, 4])).await;
    assert_paged(&house, "/videos?channel=ada", None, &chosen(&[1, 2, 4])).await;
    assert_paged(&house, &format!("/videos?channel={}", bob.id), None, &chosen(&[0, 3])).await;
    assert_paged(&house, "/videos?channel=ada&tag=odd", Some(&ada), &chosen(&[1])).await;
    assert_eq!(ids(&house, "/videos?channel=nobody").await, [""; 0]);
    assert_eq!(ids(&house, "/videos?tag=none").await, [""; 0]);

    let full = house.get("/videos", None).await.expect(StatusCode::OK);
    assert_eq!(full["items"][0], house.video(&listed[0], None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_follows_what_owners_do() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    let (one, two) = (house.listed(&ada, json!({})).await, house.listed(&ada, json!({})).await);
    let patch = |id: &str, body: Value| {
        let path = format!("/videos/{id}");
        let (house, ada) = (&house, &ada);
        async move {
            house
                .call(Method::PATCH, &path, Some(ada), Some(body))
                .await
                .expect(StatusCode::OK)
        }
    };
    patch(&two, json!({"visibility": "private"})).await;
    assert_eq!(ids(&house, "/videos").await, [one.as_str()]);
    patch(&one, json!({"tags": ["new"]})).await;
    assert_eq!(ids(&house, "/videos?tag=new").await, [one.as_str()]);
    patch(&two, json!({"visibility": "public"})).await;
    assert_eq!(ids(&house, "/videos").await, [two.as_str(), one.as_str()]);
    let deleted = house
        .call(Method::DELETE, &format!("/videos/{one}"), Some(&ada), None)
        .await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert_eq!(ids(&house, "/videos").await, [two.as_str()]);
    assert_eq!(ids(&house, "/videos?channel=ada").await, [two.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_popular_clips_are_ranked_by_the_janitor() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let mut clips = Vec::new();
    for user in [&ada, &bob, &ada] {
        clips.push(house.listed(user, json!({"tags": ["t"]})).await);
    }
    let like = |id: &str, user| {
        let path = format!("/videos/{id}/like");
        let house = &house;
        async move {
            house
                .call(Method::PUT, &path, user, None)
                .await
                .expect(StatusCode::NO_CONTENT)
        }
    };
    like(&clips[1], Some(&ada)).await;
    like(&clips[1], Some(&bob)).await;
    like(&clips[2], Some(&bob)).await;
    assert_eq!(ids(&house, "/videos?sort=popular").await, [""; 0]);
    house.sweep().await;
    let ranked = [clips[1].clone(), clips[2].clone(), clips[0].clone()];
    assert_paged(&house, "/videos?sort=popular", None, &ranked).await;
    assert_paged(&house, "/videos?sort=popular&tag=t", None, &ranked).await;
    assert_paged(&house, "/videos?sort=popular&channel=ada", None, &ranked[1..]).await;

    // Between two rounds a clip that is hidden is not shown, though it is ranked.
    let hide = json!({"visibility": "unlisted"});
    let path = format!("/videos/{}", clips[2]);
    house
        .call(Method::PATCH, &path, Some(&ada), Some(hide))
        .await
        .expect(StatusCode::OK);
    assert_paged(
        &house,
        "/videos?sort=popular",
        None,
        &[clips[1].clone(), clips[0].clone()],
    )
    .await;
    house.sweep().await;
    assert_paged(
        &house,
        "/videos?sort=popular",
        None,
        &[clips[1].clone(), clips[0].clone()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_list_has_everything() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let mut own = Vec::new();
    own.insert(0, house.listed(&ada, json!({"visibility": "private"})).await);
    own.insert(
        0,
        house.announce(&ada, 1).await["video"]["id"]
            .as_str()
            .unwrap()
            .to_owned(),
    );
    own.insert(0, house.publish(&ada, b"junk".to_vec()).await);
    let deleted = house.listed(&ada, json!({})).await;
    own.insert(0, house.listed(&ada, json!({"visibility": "unlisted"})).await);
    house.listed(&bob, json!({})).await;
    house
        .call(Method::DELETE, &format!("/videos/{deleted}"), Some(&ada), None)
        .await;
    assert_paged(&house, "/me/videos", Some(&ada), &own).await;
    house.get("/me/videos", None).await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_named() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    for list in [
        "/videos?",
        "/videos?sort=popular&",
        "/videos?channel=ada&",
        "/me/videos?",
    ] {
        for limit in ["0", "101", "-1", "x", ""] {
            let answer = house.get(&format!("{list}limit={limit}"), Some(&ada)).await;
            answer.invalid(&["limit"]);
        }
        for cursor in ["nonsense", "", "2026-01-01T00:00:00Z%23x", "-1"] {
            let answer = house.get(&format!("{list}cursor={cursor}"), Some(&ada)).await;
            answer.invalid(&["cursor"]);
        }
        house
            .get(&format!("{list}limit=100"), Some(&ada))
            .await
            .expect(StatusCode::OK);
    }
    house.get("/videos?sort=best", None).await.invalid(&["sort"]);
    house.get("/videos?tag=a%20b", None).await.invalid(&["tag"]);
}
