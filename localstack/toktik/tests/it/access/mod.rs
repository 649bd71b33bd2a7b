//! Who may do what: every endpoint of the API's description, by every kind of caller, on a public and on a private clip.
//!
//! What is tested comes from `/openapi.json`, so that an endpoint without an expectation fails here. The expectations are
//! `rows`; refusals of bad tokens and of ids that name nothing need none.

mod events;
mod ids;
mod tokens;
mod told;

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use toktik_catalog::users::Changes;
use toktik_identity::Role;

use crate::clips::tiny_clip;
use crate::harness::{House, User};

/// An endpoint, as the API's description has it.
struct Operation {
    method: String,
    path: String,
    described: Value,
}

/// Every endpoint there is.
async fn operations(house: &House) -> Vec<Operation> {
    let answer = house.request(Method::GET, "/openapi.json").send().await.unwrap();
    let document: Value = answer.json().await.unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                described: described.clone(),
            });
        }
    }
    assert!(found.len() > 20, "the description has been read");
    found
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it looks at an access token.
    fn knows_callers(&self) -> bool {
        let ways = self.described["security"].as_array().into_iter().flatten();
        ways.into_iter().any(|way| way.get("bearer").is_some())
    }

    fn has_parameter(&self, name: &str) -> bool {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        parameters.into_iter().any(|parameter| parameter["name"] == name)
    }

    fn has_body(&self) -> bool {
        self.described["requestBody"].is_object()
    }

    /// What is expected of it; an endpoint without an expectation fails.
    fn row(&self) -> Row {
        let own = |row: &Row| row.method == self.method && row.path == self.path;
        let row = rows().into_iter().find(own);
        row.unwrap_or_else(|| panic!("{} has no row: say who may use it", self.name()))
    }
}

/// What a stranger, another user and the owner are answered. An administrator is answered as the owner: clips are theirs
/// to command, and of accounts they have but their own.
type Answers = [u16; 3];

struct Row {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
    on_public: Answers,
    on_private: Answers,
    /// Reads the caller's account, so that a token that outlives it is refused.
    needs_account: bool,
}

/// About a clip.
fn clip(method: &'static str, path: &'static str, on_public: Answers, on_private: Answers) -> Row {
    Row {
        method,
        path,
        body: None,
        on_public,
        on_private,
        needs_account: false,
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

    fn of_account(self) -> Self {
        Self {
            needs_account: true,
            ..self
        }
    }

    fn on(&self, private: bool) -> Answers {
        if private { self.on_private } else { self.on_public }
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
        plain("GET", "/api/v1/me", [401, 200, 200]).of_account(),
        plain("PATCH", "/api/v1/me", [401, 200, 200])
            .of_account()
            .with(json!({"bio": "x"})),
        plain("GET", "/.well-known/jwks.json", [200; 3]),
        plain("POST", "/api/v1/videos", [401, 201, 201]).of_account().with(new),
        plain("GET", "/api/v1/videos", [200; 3]),
        plain("GET", "/api/v1/me/videos", [401, 200, 200]),
        plain("GET", "/api/v1/events", [401, 200, 200]),
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
        plain("DELETE", "/api/v1/me", [401, 204, 204]).of_account(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_has_its_row_and_every_row_its_endpoint() {
    let house = House::open().await;
    let described = operations(&house).await;
    let described: BTreeSet<_> = described.iter().map(Operation::name).collect();
    let rows = rows();
    let expected: BTreeSet<_> = rows.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(described, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_what_is_theirs_and_no_more() {
    let house = House::open().await;
    let mut wrong = Vec::new();
    for private in [false, true] {
        let owner = house.user(&format!("owner-{private}")).await;
        let other = house.user(&format!("other-{private}")).await;
        let id = published(&house, &owner, private).await;
        for row in rows() {
            for (caller, expected) in [None, Some(&other), Some(&owner)].into_iter().zip(row.on(private)) {
                wrong.extend(surprise(&house, &row, &id, caller, expected).await);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_commands_every_clip_and_no_account_but_their_own() {
    let house = House::open().await;
    let mut wrong = Vec::new();
    let owner = house.user("ada").await;
    for private in [false, true] {
        let id = published(&house, &owner, private).await;
        let admin = administrator(&house, &format!("chief-{private}")).await;
        for row in rows() {
            let [.., expected] = row.on(private);
            wrong.extend(surprise(&house, &row, &id, Some(&admin), expected).await);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.get("/me", Some(&owner)).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_themselves_an_administrator() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let role = json!({"role": "admin"});
    let edit = house.call(Method::PATCH, "/me", Some(&user), Some(role)).await;
    edit.invalid(&["role"]);
    let account =
        json!({"username": "bob", "email": "bob@example.com", "password": "a long password", "role": "admin"});
    house.post("/auth/register", None, account).await.invalid(&["role"]);
    let me = house.get("/me", Some(&house.again(&user).await)).await;
    assert_eq!(me.expect(StatusCode::OK)["role"], "user");
}

/// A clip that has everything there can be of one.
async fn published(house: &House, owner: &User, private: bool) -> String {
    let id = house.publish(owner, tiny_clip(house.directory())).await;
    let (path, visibility) = (format!("/videos/{id}"), if private { "private" } else { "public" });
    let change = json!({"visibility": visibility});
    let changed = house.call(Method::PATCH, &path, Some(owner), Some(change)).await;
    changed.expect(StatusCode::OK);
    id
}

/// No request makes one: an operator does.
async fn administrator(house: &House, name: &str) -> User {
    let user = house.user(name).await;
    let changes = Changes {
        role: Some(Role::Admin),
        ..Changes::default()
    };
    let id = user.id.parse().unwrap();
    house.context.catalog.update_user(id, &changes).await.unwrap();
    house.again(&user).await
}

/// A request that a row describes, about this clip, by nobody yet.
fn request(house: &House, row: &Row, id: &str) -> RequestBuilder {
    let path = row.path.replace("{id}", id).replace("{name}", "120p.m3u8");
    let request = house.request(row.method.parse().unwrap(), &path);
    match &row.body {
        Some(body) => request.json(body),
        None => request,
    }
}

async fn answer(house: &House, row: &Row, id: &str, caller: Option<&User>) -> u16 {
    let mut request = request(house, row, id);
    if let Some(user) = caller {
        request = request.bearer_auth(&user.token);
    }
    request.send().await.unwrap().status().as_u16()
}

/// What is wrong with an answer, if something is.
async fn surprise(house: &House, row: &Row, id: &str, caller: Option<&User>, expected: u16) -> Option<String> {
    let status = answer(house, row, id, caller).await;
    let who = caller.map_or("a stranger", |user| &user.name);
    let told = format!("{} {} by {who}: {status}, not {expected}", row.method, row.path);
    (status != expected).then_some(told)
}
