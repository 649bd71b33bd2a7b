//! Who may do what: every route, for a stranger, another user and the owner, on a public and on a private clip.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::routes;

use crate::clips::tiny_clip;
use crate::harness::{House, User};

/// What a stranger, another user and the owner are answered.
type Answers = [u16; 3];

struct Row {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
    on_public: Answers,
    on_private: Answers,
}

/// About a clip.
fn clip(method: &'static str, path: &'static str, on_public: Answers, on_private: Answers) -> Row {
    Row {
        method,
        path,
        body: None,
        on_public,
        on_private,
    }
}

/// Not about a clip, so that its visibility makes no difference.
fn plain(method: &'static str, path: &'static str, answers: Answers) -> Row {
    clip(method, path, answers, answers)
}

impl Row {
    fn with(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }
}

/// What deletes stands last, the account after the clip.
fn rows() -> Vec<Row> {
    let new = json!({"title": "A clip", "filename": "a", "size": 1, "content_type": "video/mp4"});
    let watched = |path, status| clip("GET", path, [status; 3], [404, 404, status]);
    let commanded = |method, path, status| clip(method, path, [401, 403, status], [401, 404, status]);
    vec![
        plain("POST", "/api/v1/auth/register", [422; 3]).with(json!({})),
        plain("POST", "/api/v1/auth/login", [422; 3]).with(json!({})),
        plain("POST", "/api/v1/auth/refresh", [401; 3]).with(json!({"refresh_token": "x"})),
        plain("POST", "/api/v1/auth/logout", [204; 3]).with(json!({"refresh_token": "x"})),
        plain("GET", "/api/v1/me", [401, 200, 200]),
        plain("PATCH", "/api/v1/me", [401, 200, 200]).with(json!({"bio": "x"})),
        plain("GET", "/.well-known/jwks.json", [200; 3]),
        plain("POST", "/api/v1/videos", [401, 201, 201]).with(new),
        plain("GET", "/api/v1/videos", [200; 3]),
        plain("GET", "/api/v1/me/videos", [401, 200, 200]),
        commanded("GET", "/api/v1/videos/{id}/upload/parts", 409),
        commanded("POST", "/api/v1/videos/{id}/upload/parts", 409).with(json!({"part_numbers": [1]})),
        commanded("POST", "/api/v1/videos/{id}/upload/complete", 202).with(json!({})),
        commanded("DELETE", "/api/v1/videos/{id}/upload", 409),
        watched("/api/v1/videos/{id}", 200),
        commanded("PATCH", "/api/v1/videos/{id}", 200).with(json!({"title": "New"})),
        commanded("POST", "/api/v1/videos/{id}/retry", 409),
        clip("PUT", "/api/v1/videos/{id}/like", [401, 204, 204], [401, 404, 204]),
        clip("DELETE", "/api/v1/videos/{id}/like", [401, 204, 204], [401, 404, 204]),
        watched("/api/v1/videos/{id}/playlist.m3u8", 200),
        watched("/api/v1/videos/{id}/playlists/{name}", 200),
        watched("/api/v1/videos/{id}/poster.jpg", 302),
        watched("/api/v1/videos/{id}/poster.webp", 302),
        watched("/api/v1/videos/{id}/storyboard.vtt", 200),
        watched("/api/v1/videos/{id}/preview.webp", 302),
        watched("/api/v1/videos/{id}/audio.mp3", 302),
        watched("/api/v1/videos/{id}/download.mp4", 302),
        clip("POST", "/api/v1/videos/{id}/views", [204; 3], [404, 404, 204]),
        commanded("POST", "/api/v1/videos/{id}/links", 200),
        commanded("DELETE", "/api/v1/videos/{id}", 204),
        plain("DELETE", "/api/v1/me", [401, 204, 204]),
    ]
}

#[test]
fn every_route_has_its_row() {
    let rows = rows();
    let tested: BTreeSet<_> = rows.iter().map(|row| (row.method, row.path)).collect();
    let routes: BTreeSet<_> = routes::HTTP.iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(tested, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_what_is_theirs_and_no_more() {
    let house = House::open().await;
    let mut wrong = Vec::new();
    for (visibility, private) in [("public", false), ("private", true)] {
        let owner = house.user(&format!("owner-{visibility}")).await;
        let other = house.user(&format!("other-{visibility}")).await;
        let id = house.publish(&owner, tiny_clip(house.directory())).await;
        let (path, body) = (format!("/videos/{id}"), json!({"visibility": visibility}));
        house
            .call(Method::PATCH, &path, Some(&owner), Some(body))
            .await
            .expect(StatusCode::OK);
        for row in rows() {
            let expected = if private { row.on_private } else { row.on_public };
            for (caller, expected) in [None, Some(&other), Some(&owner)].into_iter().zip(expected) {
                let status = answer(&house, &row, &id, caller).await;
                if status != expected {
                    let who = caller.map_or("a stranger", |user| &user.name);
                    wrong.push(format!(
                        "{} {} by {who}: {status}, not {expected}",
                        row.method, row.path
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn answer(house: &House, row: &Row, id: &str, caller: Option<&User>) -> u16 {
    let path = row.path.replace("{id}", id).replace("{name}", "120p.m3u8");
    let mut request = house.request(row.method.parse().unwrap(), &path);
    if let Some(user) = caller {
        request = request.bearer_auth(&user.token);
    }
    if let Some(body) = &row.body {
        request = request.json(body);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_on_every_route_that_looks_at_it() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    let mut nobody = user.clone();
    nobody.token.insert(nobody.token.len() - 4, 'x');
    let signed_in = |row: &Row| !row.path.starts_with("/api/v1/auth/") && !row.path.starts_with("/.well-known/");
    for row in rows().iter().filter(|row| signed_in(row)) {
        assert_eq!(
            answer(&house, row, &id, Some(&nobody)).await,
            401,
            "{} {}",
            row.method,
            row.path
        );
    }
}
