//! What is logged: nothing that opens anything, however much is logged. The program itself runs at its most talkative
//! while somebody does all that takes a secret.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, client, send, signed};
use crate::clips::tiny_clip;
use crate::harness::PASSWORD;
use crate::processes::up;
use crate::running::{PATIENCE, Running, until};

const WRONG: &str = "a wrong password";
const NEW: &str = "another good password";
const KEY: &str = "an-idempotency-key-of-mine";

/// A visitor who remembers every secret that passed through their hands.
struct Visitor<'a> {
    running: &'a Running,
    secrets: BTreeSet<String>,
}

impl Visitor<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}/api/v1{path}", self.running.base)
        };
        client().request(method, url)
    }

    async fn post(&mut self, path: &str, token: &str, body: Value) -> Answer {
        let answer = send(self.request(Method::POST, path).bearer_auth(token).json(&body)).await;
        self.remember(&answer);
        answer
    }

    async fn get(&mut self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.request(Method::GET, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = send(request).await;
        self.remember(&answer);
        answer
    }

    /// Tokens, cookies, and what signs addresses.
    fn remember(&mut self, answer: &Answer) {
        let mut text = String::from_utf8_lossy(&answer.body).into_owned();
        for (name, value) in &answer.headers {
            if name == "location" {
                text += value.to_str().unwrap();
            }
            if name == "set-cookie" {
                let pair = value.to_str().unwrap().split(';').next().unwrap();
                self.secrets.insert(pair.split_once('=').unwrap().1.to_owned());
            }
        }
        for start in [
            "X-Amz-Signature=",
            "?token=",
            "\"access_token\":\"",
            "\"refresh_token\":\"",
        ] {
            let found = text.split(start).skip(1);
            let ends = |c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c));
            let found = found.map(|rest| rest.split(ends).next().unwrap().to_owned());
            self.secrets.extend(found);
        }
        // A signature alone is half of the way to a token.
        let halves: Vec<String> = self
            .secrets
            .iter()
            .filter_map(|secret| Some(secret.rsplit_once('.')?.1.to_owned()))
            .collect();
        self.secrets.extend(halves);
    }

    async fn sign_in(&mut self, name: &str, password: &str) -> Value {
        let login = json!({"username": name, "password": password});
        self.post("/auth/login", "", login).await.json()
    }

    /// Signs up, and in in every way, wrong ones included; returns an access token.
    async fn come(&mut self) -> String {
        let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
        for body in [account.clone(), account, json!({"username": "x", "password": WRONG})] {
            let request = self
                .request(Method::POST, "/auth/register")
                .header("idempotency-key", KEY);
            send(request.json(&body)).await;
        }
        for (name, password) in [
            ("ada", WRONG),
            ("ada@example.com", WRONG),
            ("nobody@example.com", WRONG),
        ] {
            self.sign_in(name, password).await;
        }
        let basic = self
            .request(Method::POST, "/auth/login")
            .basic_auth("ada@example.com", Some(PASSWORD));
        self.remember(&send(basic).await);
        let tokens = self.sign_in("ada@example.com", PASSWORD).await;
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        let renewed = self.post("/auth/refresh", "", refresh.clone()).await;
        // Used twice: that is worth a warning.
        self.post("/auth/refresh", "", refresh)
            .await
            .problem(401, "invalid_refresh_token");
        let cookie = format!("toktik_access={}", renewed.json()["access_token"].as_str().unwrap());
        send(self.request(Method::GET, "/me").header("cookie", cookie))
            .await
            .expect(StatusCode::OK);
        let token = self.sign_in("ada", PASSWORD).await["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let edit = json!({"email": "new@example.com", "password": NEW, "current_password": PASSWORD});
        for edit in [json!({"password": NEW, "current_password": WRONG}), edit] {
            self.remember(&send(self.request(Method::PATCH, "/me").bearer_auth(&token).json(&edit)).await);
        }
        token
    }

    /// Sends what is almost right: what is refused is what gets logged.
    async fn stumble(&mut self, token: &str) {
        let broken = format!("{}x", &token[..token.len() - 8]);
        self.secrets.insert(broken.clone());
        self.get("/me", Some(&broken)).await.problem(401, "unauthorized");
        self.get("/videos", Some(&broken)).await.problem(401, "unauthorized");
        let cookie = format!("toktik_access={broken}; toktik_refresh={broken}");
        send(self.request(Method::GET, "/me").header("cookie", cookie)).await;
        self.post("/auth/refresh", "", json!({"refresh_token": broken})).await;
        self.post("/auth/logout", "", json!({"refresh_token": broken, "password": WRONG}))
            .await;
        let raw = self
            .request(Method::POST, "/auth/login")
            .header("content-type", "application/json");
        send(raw.body(format!(
            "{{\"username\": \"ada@example.com\", \"password\": \"{WRONG}\""
        )))
        .await;
    }

    async fn upload(&mut self, token: &str, bytes: Vec<u8>) -> String {
        let body = json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
        let created = self.post("/videos", token, body).await.expect(StatusCode::CREATED);
        let path = format!("/videos/{}", created["video"]["id"].as_str().unwrap());
        let upload = if created["upload"]["kind"] == "put" {
            created["upload"].clone()
        } else {
            let parts = self
                .post(&format!("{path}/upload/parts"), token, json!({"part_numbers": [1]}))
                .await;
            parts.json()["parts"][0].clone()
        };
        // Under another length, without a signature, and as it should be; then once too often.
        send(signed(&upload, b"short".to_vec())).await;
        let bare = upload["url"]
            .as_str()
            .unwrap()
            .replace("X-Amz-Signature=", "X-Amz-Signature=0");
        send(client().put(bare).body("x")).await;
        send(signed(&upload, bytes.clone())).await.expect(StatusCode::OK);
        send(signed(&upload, bytes)).await;
        self.post(&format!("{path}/upload/complete"), token, json!({})).await;
        path
    }

    async fn until_over(&mut self, path: &str, token: &str) -> String {
        let running = self.running;
        until("the clip has ended", PATIENCE, async || {
            let path = format!("/api/v1{path}");
            let video = running
                .call(Method::GET, &path, Some(token), None)
                .await
                .expect(StatusCode::OK);
            let status = video["status"].as_str().unwrap().to_owned();
            ["ready", "rejected", "failed"]
                .contains(&status.as_str())
                .then_some(status)
        })
        .await
    }

    /// Everything that a link to a private clip leads to.
    async fn watch(&mut self, path: &str, token: &str) {
        let hidden = json!({"visibility": "private"});
        send(self.request(Method::PATCH, path).bearer_auth(token).json(&hidden))
            .await
            .expect(StatusCode::OK);
        let link = self
            .post(&format!("{path}/links"), token, json!({}))
            .await
            .expect(StatusCode::OK);
        let link = link["url"].as_str().unwrap().to_owned();
        let (folder, query) = link.split_once("/playlist.m3u8").unwrap();
        self.get(&link, None).await;
        for file in [
            "poster.jpg",
            "preview.webp",
            "audio.mp3",
            "download.mp4",
            "storyboard.vtt",
        ] {
            let answer = self.get(&format!("{folder}/{file}{query}"), None).await;
            if answer.status == StatusCode::FOUND {
                self.get(answer.header("location"), None).await;
            }
        }
        let media = self
            .get(&format!("{folder}/playlists/120p.m3u8{query}"), None)
            .await
            .text();
        let segment = media.lines().find(|line| line.starts_with("http")).unwrap().to_owned();
        self.get(&segment, None).await;
        self.get(&segment.replace(".m4s", ".mp4"), None).await;
        self.get(&format!("{link}x"), None).await.problem(404, "not_found");
    }

    async fn leave(&mut self, token: &str) {
        for password in [WRONG, NEW] {
            let farewell = json!({"password": password});
            send(self.request(Method::DELETE, "/me").bearer_auth(token).json(&farewell)).await;
        }
    }
}

/// What the installation itself keeps to itself.
fn keys(data: &Path) -> Vec<String> {
    let secrets: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json")).unwrap()).unwrap();
    let of = |name: &str| secrets[name].as_str().unwrap().to_owned();
    let pem = of("token_private_key");
    let body = pem.lines().find(|line| !line.starts_with('-')).unwrap().to_owned();
    vec![of("secret_access_key"), of("link_secret"), body]
}

/// A clip that begins well and of which the rest is zeros.
fn damaged(mut clip: Vec<u8>) -> Vec<u8> {
    let data = clip.windows(4).position(|four| four == b"mdat").unwrap() + 4;
    let index = clip.windows(4).position(|four| four == b"moov").unwrap();
    clip[data..index - 4].fill(0);
    clip
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_however_much_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = up(&data);
    command.args(["--log", "trace", "--multipart-threshold", "100000"]);
    let running = Running::start(&mut command, "Toktik is at ").await;
    let mut visitor = Visitor {
        running: &running,
        secrets: BTreeSet::new(),
    };
    let token = visitor.come().await;
    visitor.stumble(&token).await;
    let clip = tiny_clip(dir.path());
    let (good, bad) = (
        visitor.upload(&token, clip.clone()).await,
        visitor.upload(&token, damaged(clip)).await,
    );
    let junk = visitor.upload(&token, vec![b'?'; 200_000]).await;
    assert_eq!(visitor.until_over(&good, &token).await, "ready");
    for refused in [bad, junk] {
        assert_eq!(visitor.until_over(&refused, &token).await, "rejected");
    }
    visitor.watch(&good, &token).await;
    visitor.leave(&token).await;
    let mut secrets = visitor.secrets;
    let logged = running.stop().await;

    let id = good.rsplit('/').next().unwrap();
    for expected in ["somebody signed in", "DEBUG", "starting a tool", "came twice", id] {
        assert!(
            logged.contains(expected),
            "{expected} is not logged, so that nothing is shown here"
        );
    }
    assert!(secrets.len() > 15, "{secrets:#?}");
    secrets.extend(
        [
            PASSWORD,
            WRONG,
            NEW,
            KEY,
            "@example.com",
            "%40example.com",
            "$argon2",
            "X-Amz-Signature=",
            "?token=",
        ]
        .map(str::to_owned),
    );
    secrets.extend(keys(&data));
    secrets.insert(STANDARD.encode(format!("ada@example.com:{PASSWORD}")));
    secrets.retain(|secret| !secret.is_empty());
    let mut leaks = Vec::new();
    for line in logged.lines() {
        leaks.extend(
            secrets
                .iter()
                .filter(|secret| line.contains(*secret))
                .map(|secret| (secret, shortened(line))),
        );
    }
    assert!(
        leaks.is_empty(),
        "{} leaks: {:#?}",
        leaks.len(),
        &leaks[..leaks.len().min(20)]
    );
}

fn shortened(line: &str) -> String {
    line.chars().take(400).collect()
}
