//! Somebody who uses a running program: signs up, uploads, waits.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, PASSWORD, client, send, signed};
use crate::running::{PATIENCE, Running, until};

impl Running {
    pub(crate) async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = client().request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, None).await
    }

    /// Somebody's access token.
    pub(crate) async fn token(&self) -> String {
        let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
        let registered = self
            .call(Method::POST, "/api/v1/auth/register", None, Some(account))
            .await;
        registered.expect(StatusCode::CREATED);
        let login = json!({"username": "ada", "password": PASSWORD});
        let session = self.call(Method::POST, "/api/v1/auth/login", None, Some(login)).await;
        session.expect(StatusCode::OK)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn upload(&self, token: &str, bytes: Vec<u8>) -> String {
        let body = json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
        let created = self.call(Method::POST, "/api/v1/videos", Some(token), Some(body)).await;
        let created = created.expect(StatusCode::CREATED);
        send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
        let id = created["video"]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/videos/{id}/upload/complete");
        self.call(Method::POST, &path, Some(token), None)
            .await
            .expect(StatusCode::ACCEPTED);
        id
    }

    pub(crate) async fn until_ready(&self, id: &str) -> Value {
        until("the clip is ready", PATIENCE, async || {
            let video = self.get(&format!("/api/v1/videos/{id}")).await.expect(StatusCode::OK);
            assert_ne!(video["status"], "failed", "{video}");
            (video["status"] == "ready").then_some(video)
        })
        .await
    }
}
