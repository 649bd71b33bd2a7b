//! A house of its own for each test: everything composed as in `toktik up`, on port 0 and a fresh directory, with two
//! differences. Time is moved by hand, and events are handled only when the test drains the queues, so that nothing is
//! waited for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use toktik::up::{Assembly, Settings};
use toktik_catalog::ledger::Progress;
use toktik_catalog::videos::{Status, Video};
use toktik_cloud::Cloud;
use toktik_events::{Function, Message, Payload};
use toktik_media::manifest::Manifest;
use toktik_runtime::worker::Worker;
use toktik_runtime::{Clock, Context, server};

pub(crate) use crate::client::PASSWORD;
use crate::client::{Answer, client, send, signed};
use crate::running::program;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) struct House {
    pub(crate) base: String,
    pub(crate) context: Context,
    pub(crate) cloud: Cloud,
    workers: Vec<Worker>,
    ahead: Arc<Mutex<TimeDelta>>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
    arguments: Vec<String>,
    directory: TempDir,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) token: String,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// With these flags of `toktik up`.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        Self::over(tempfile::tempdir().unwrap(), arguments, Arc::default()).await
    }

    pub(crate) async fn over(directory: TempDir, arguments: Vec<String>, ahead: Arc<Mutex<TimeDelta>>) -> Self {
        let (data, scratch) = (directory.path().join("data"), directory.path().join("scratch"));
        std::fs::create_dir_all(&scratch).unwrap();
        let launcher = program();
        let own = [
            "up",
            "--data-dir",
            data.to_str().unwrap(),
            "--scratch-dir",
            scratch.to_str().unwrap(),
            "--sandbox-launcher",
            launcher.to_str().unwrap(),
        ];
        let all = own.iter().map(|text| (*text).to_owned()).chain(arguments.clone());
        let settings = Program::try_parse_from(all).unwrap().settings;
        let hand = Arc::clone(&ahead);
        let clock = Clock::from_fn(move || Utc::now() + *hand.lock().unwrap());
        let assembly = Assembly::new(&settings, clock).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let served = tokio::spawn(server::serve(listener, assembly.router, stop.clone()));
        Self {
            base,
            context: assembly.context,
            cloud: assembly.cloud,
            workers: assembly.workers,
            ahead,
            stop,
            served,
            arguments,
            directory,
        }
    }

    /// Ends this process's part and begins again over the same directory.
    pub(crate) async fn restarted(self) -> Self {
        let Self {
            cloud,
            stop,
            served,
            arguments,
            directory,
            ahead,
            ..
        } = self;
        stop.cancel();
        served.await.unwrap().unwrap();
        cloud.close().await;
        Self::over(directory, arguments, ahead).await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.context.clock.now()
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        *self.ahead.lock().unwrap() += by;
    }

    /// Where clips may be made and kept for the test.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn worker(&self, function: Function) -> &Worker {
        self.workers.iter().find(|worker| worker.function == function).unwrap()
    }

    /// Handles events, and the events that follow from them, until no queue has one that is due.
    pub(crate) async fn drain(&self) {
        let never = CancellationToken::new();
        loop {
            let mut handled = 0;
            for worker in &self.workers {
                handled += worker.drain(&never).await.unwrap();
            }
            if handled == 0 {
                return;
            }
        }
    }

    /// One round of the janitor, and what follows from it.
    pub(crate) async fn sweep(&self) {
        let tick = Message::new(Function::Janitor, self.now(), Payload::Tick);
        self.context.publisher.publish(&tick).await.unwrap();
        self.drain().await;
    }

    /// Messages in all queues, those that are being handled or wait for another try included.
    pub(crate) async fn messages(&self) -> usize {
        use aws_sdk_sqs::types::QueueAttributeName::All;
        let sqs = self.cloud.sqs_client();
        let mut total = 0;
        for function in Function::ALL.into_iter().filter(|function| function.takes_events()) {
            let url = self.context.publisher.queues().url(function).await.unwrap();
            let output = sqs
                .get_queue_attributes()
                .queue_url(url)
                .attribute_names(All)
                .send()
                .await
                .unwrap();
            let attributes = output.attributes.unwrap();
            let counts = attributes
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"));
            total += counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum::<usize>();
        }
        total
    }

    /// Every key in the bucket.
    pub(crate) async fn objects(&self) -> Vec<String> {
        self.context.objects.list("").await.unwrap()
    }

    /// Everything in the table, as text that is the same while nothing changes.
    pub(crate) async fn stored(&self) -> String {
        let scanned = self
            .cloud
            .dynamodb_client()
            .scan()
            .table_name("toktik")
            .send()
            .await
            .unwrap();
        let mut items: Vec<String> = scanned.items().iter().map(ordered).collect();
        items.sort();
        items.join("\n")
    }

    /// The bytes of an object.
    pub(crate) async fn object(&self, key: &str) -> Vec<u8> {
        let request = self
            .cloud
            .s3_client()
            .get_object()
            .bucket(self.context.objects.bucket())
            .key(key);
        request.send().await.unwrap().body.collect().await.unwrap().to_vec()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, self.url(path))
    }

    /// A request to the API, by a user or a stranger.
    pub(crate) async fn call(&self, method: Method, path: &str, user: Option<&User>, body: Option<Value>) -> Answer {
        let mut request = self.request(method, &format!("/api/v1{path}"));
        if let Some(user) = user {
            request = request.bearer_auth(&user.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        send(request).await
    }

    pub(crate) async fn get(&self, path: &str, user: Option<&User>) -> Answer {
        self.call(Method::GET, path, user, None).await
    }

    pub(crate) async fn post(&self, path: &str, user: Option<&User>, body: Value) -> Answer {
        self.call(Method::POST, path, user, Some(body)).await
    }

    /// Signs somebody up and in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let account = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
        let id = self
            .post("/auth/register", None, account)
            .await
            .expect(StatusCode::CREATED)["user"]["id"]
            .take();
        let user = User {
            id: id.as_str().unwrap().to_owned(),
            name: name.to_owned(),
            token: String::new(),
        };
        self.again(&user).await
    }

    /// Signs somebody in again: tokens last for 15 minutes.
    pub(crate) async fn again(&self, user: &User) -> User {
        let login = json!({"username": user.name, "password": PASSWORD});
        let token = self.post("/auth/login", None, login).await.expect(StatusCode::OK)["access_token"].take();
        User {
            token: token.as_str().unwrap().to_owned(),
            ..user.clone()
        }
    }

    /// Announces a clip of so many bytes.
    pub(crate) async fn announce(&self, user: &User, size: usize) -> Value {
        let body = json!({"title": "A clip", "filename": "clip.mp4", "size": size, "content_type": "video/mp4"});
        self.post("/videos", Some(user), body).await.expect(StatusCode::CREATED)
    }

    /// Uploads these bytes whole, completes, and returns the clip's id. Nothing is processed yet.
    pub(crate) async fn upload(&self, user: &User, bytes: Vec<u8>) -> String {
        let created = self.announce(user, bytes.len()).await;
        let id = created["video"]["id"].as_str().unwrap().to_owned();
        let sent = send(signed(&created["upload"], bytes)).await;
        assert_eq!(sent.status, StatusCode::OK, "{sent:?}");
        let done = self
            .call(Method::POST, &format!("/videos/{id}/upload/complete"), Some(user), None)
            .await;
        done.expect(StatusCode::ACCEPTED);
        id
    }

    /// A clip that counts as ready though nothing was made of it: enough for lists, likes and rights. The fields are
    /// those of a new clip that are to differ.
    pub(crate) async fn listed(&self, user: &User, fields: Value) -> String {
        let mut body = json!({"title": "A clip", "filename": "clip.mp4", "size": 1, "content_type": "video/mp4"});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let created = self.post("/videos", Some(user), body).await.expect(StatusCode::CREATED);
        let id = created["video"]["id"].as_str().unwrap().to_owned();
        let catalog = &self.context.catalog;
        let video = self.kept(&id).await;
        assert!(
            catalog
                .begin_processing(&video, "etag", None, self.now())
                .await
                .unwrap()
        );
        let progress = Progress {
            manifest: Manifest::default(),
            status: Status::Ready,
            warnings: Vec::new(),
        };
        let video = self.kept(&id).await;
        assert!(catalog.advance(&video, 0, &progress, self.now()).await.unwrap());
        id
    }

    /// The clip as the table has it.
    pub(crate) async fn kept(&self, id: &str) -> Video {
        self.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap()
    }

    /// Uploads a clip and processes it to the end.
    pub(crate) async fn publish(&self, user: &User, bytes: Vec<u8>) -> String {
        let id = self.upload(user, bytes).await;
        self.drain().await;
        id
    }

    pub(crate) async fn video(&self, id: &str, user: Option<&User>) -> Value {
        self.get(&format!("/videos/{id}"), user).await.expect(StatusCode::OK)
    }
}

/// An item as text; maps have no order of their own.
fn ordered(item: &HashMap<String, AttributeValue>) -> String {
    let mut attributes: Vec<String> = item
        .iter()
        .map(|(name, value)| format!("{name}: {}", ordered_value(value)))
        .collect();
    attributes.sort();
    attributes.join(", ")
}

fn ordered_value(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => format!("{{{}}}", ordered(map)),
        AttributeValue::L(list) => format!("[{}]", list.iter().map(ordered_value).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}
