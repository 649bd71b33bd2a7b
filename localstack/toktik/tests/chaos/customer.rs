//! Somebody with clips, as patient as a good client: asks again when nobody answers or the answer is an apology.

use std::sync::Arc;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use toktik_events::Function;

use crate::door::House;
use crate::keeper::Part;
use crate::{kinds, until};

const PASSWORD: &str = "correct horse battery";

pub(crate) struct Customer {
    house: Arc<House>,
    client: Client,
    token: String,
    accounts: u32,
    sent: u32,
}

impl Customer {
    pub(crate) fn new(house: &Arc<House>) -> Self {
        Self {
            house: Arc::clone(house),
            client: Client::builder().pool_max_idle_per_host(0).build().unwrap(),
            token: String::new(),
            accounts: 0,
            sent: 0,
        }
    }

    /// The first answer that is none of a server's trouble.
    async fn ask(
        &self,
        function: Function,
        method: Method,
        path: &str,
        key: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let keeper = &self.house.keepers.get().unwrap()[&Part::Function(function)];
        let response = until(&format!("{function} answers"), async || {
            self.house.orders.taken_up(function);
            let url = format!("{}/api/v1{path}", keeper.base()?);
            let request = self.client.request(method.clone(), url).bearer_auth(&self.token);
            let request = request.header("idempotency-key", key);
            let request = if body.is_null() { request } else { request.json(body) };
            settled(request.send().await)
        })
        .await;
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn send(&self, target: &Value, bytes: &[u8]) {
        let response = until("the store answers", async || {
            let mut request = self.client.put(target["url"].as_str().unwrap()).body(bytes.to_vec());
            for (name, value) in target["headers"].as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            settled(request.send().await)
        })
        .await;
        // The second: it is there, and only the answer was lost.
        let status = response.status();
        assert!(
            [StatusCode::OK, StatusCode::PRECONDITION_FAILED].contains(&status),
            "{status}: {:?}",
            response.text().await
        );
    }

    /// Signs up and in as somebody new.
    pub(crate) async fn sign_in(&mut self) {
        self.token.clear();
        self.accounts += 1;
        let name = format!("ada{}", self.accounts);
        let email = format!("{name}@example.com");
        let account = json!({"username": name, "email": email, "password": PASSWORD});
        let (status, body) = self
            .ask(Function::Auth, Method::POST, "/auth/register", &name, &account)
            .await;
        assert!(
            [StatusCode::CREATED, StatusCode::CONFLICT].contains(&status),
            "{status}: {body}"
        );
        let login = json!({"username": name, "password": PASSWORD});
        let (status, body) = self
            .ask(Function::Auth, Method::POST, "/auth/login", "in", &login)
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// Uploads a clip, and returns its id.
    pub(crate) async fn upload(&mut self, bytes: &[u8]) -> String {
        self.sent += 1;
        let key = format!("clip-{}", self.sent);
        let clip = json!({"title": key, "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
        let (status, created) = self.ask(Function::Upload, Method::POST, "/videos", &key, &clip).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        let id = created["video"]["id"].as_str().unwrap().to_owned();
        match created["upload"]["kind"].as_str() {
            Some("multipart") => self.send_parts(&id, bytes).await,
            _ => self.send(&created["upload"], bytes).await,
        }
        let path = format!("/videos/{id}/upload/complete");
        let (status, body) = self.ask(Function::Upload, Method::POST, &path, "", &Value::Null).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        id
    }

    async fn send_parts(&self, id: &str, bytes: &[u8]) {
        let path = format!("/videos/{id}/upload/parts");
        let wanted = json!({"part_numbers": [1, 2]});
        let (status, body) = self.ask(Function::Upload, Method::POST, &path, "", &wanted).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let parts = body["parts"].as_array().unwrap();
        for (target, part) in parts.iter().zip(bytes.chunks(kinds::PART)) {
            self.send(target, part).await;
        }
    }

    /// Watches a clip, and likes it.
    pub(crate) async fn likes(&self, id: &str) {
        let done = |(status, body): (StatusCode, Value)| assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
        let views = format!("/videos/{id}/views");
        done(
            self.ask(Function::Playback, Method::POST, &views, "", &Value::Null)
                .await,
        );
        let like = format!("/videos/{id}/like");
        done(self.ask(Function::Videos, Method::PUT, &like, "", &Value::Null).await);
    }

    /// Asserts that people see what the table says, and that one of them has watched it once.
    pub(crate) async fn sees(&self, id: &str, status: &str) {
        let path = format!("/videos/{id}");
        let (_, video) = self.ask(Function::Videos, Method::GET, &path, "", &Value::Null).await;
        assert_eq!(video["status"], status, "{video}");
        if status == "ready" {
            assert_eq!(
                (&video["counts"]["views"], &video["counts"]["likes"]),
                (&json!(1), &json!(1)),
                "{video}"
            );
            let path = format!("/videos/{id}/playlist.m3u8");
            let (answered, body) = self.ask(Function::Playback, Method::GET, &path, "", &Value::Null).await;
            assert_eq!(answered, StatusCode::OK, "{body}");
        }
    }
}

fn settled(answered: reqwest::Result<Response>) -> Option<Response> {
    answered.ok().filter(|response| !response.status().is_server_error())
}
