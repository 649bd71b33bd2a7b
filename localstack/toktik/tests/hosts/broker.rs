//! A stand-in for a Knative Broker with a Trigger for each route, by the rules of Knative's data plane: what is a success,
//! what is tried again and how often, what goes to the dead-letter sink and with which attributes, and that a function
//! takes so many requests at once and holds so many more before its proxy answers 503.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use toktik_events::{Function, routes};

/// `spec.delivery.retry` of each Trigger.
const RETRIES: u32 = 10;
/// `backoffDelay`, which doubles.
const DELAY: Duration = Duration::from_millis(100);
/// Requests that a proxy holds for each that is being handled.
const HELD: usize = 10;

#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    functions: Mutex<HashMap<Function, String>>,
    /// `containerConcurrency`.
    slots: HashMap<Function, Semaphore>,
    /// What each delivery came to.
    log: Mutex<Vec<Delivery>>,
    deliveries: TaskTracker,
}

#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) function: Function,
    pub(crate) ty: String,
    /// Of each try; 0 if nobody was there.
    pub(crate) statuses: Vec<u16>,
}

impl Broker {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slots = Function::ALL.map(|function| {
            let at_once = if function == Function::Transcode { 1 } else { 4 };
            (function, Semaphore::new(at_once * (1 + HELD)))
        });
        let broker = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            inner: Arc::new(Inner {
                client: Client::new(),
                functions: Mutex::default(),
                slots: slots.into_iter().collect(),
                log: Mutex::default(),
                deliveries: TaskTracker::new(),
            }),
        };
        let router = Router::new().route("/", post(ingress)).route("/webhook", post(webhook));
        let router = router.with_state(broker.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        broker
    }

    /// Where this function is from now on.
    pub(crate) fn subscribe(&self, function: Function, base: &str) {
        self.inner.functions.lock().unwrap().insert(function, base.to_owned());
    }

    pub(crate) fn log(&self) -> Vec<Delivery> {
        self.inner.log.lock().unwrap().clone()
    }

    /// Returns when nothing is under way.
    pub(crate) async fn quiet(&self) {
        self.inner.deliveries.close();
        self.inner.deliveries.wait().await;
        self.inner.deliveries.reopen();
    }

    /// Fans an event out to the Triggers whose filter it passes.
    pub(crate) fn publish(&self, event: &Value) {
        for function in routes::targets(event["type"].as_str().unwrap()) {
            let (broker, event, function) = (self.clone(), event.clone(), *function);
            self.inner
                .deliveries
                .spawn(async move { broker.deliver(function, event).await });
        }
    }

    async fn deliver(&self, function: Function, event: Value) {
        let mut statuses = Vec::new();
        let refused = loop {
            let (status, text) = self.post(function, &event).await;
            statuses.push(status);
            let tried = u32::try_from(statuses.len()).unwrap();
            match status {
                202 | 204 if text.is_empty() => break None,
                // Neither an event nor empty: the data plane makes a 502 of it.
                200..300 => assert_eq!(text, "", "{function} answered {status}"),
                _ => {}
            }
            if !is_tried_again(status) || tried > RETRIES {
                break Some((status, text));
            }
            tokio::time::sleep(DELAY * 2_u32.pow(tried.min(6))).await;
        };
        let delivery = Delivery {
            function,
            ty: event["type"].as_str().unwrap().to_owned(),
            statuses,
        };
        self.inner.log.lock().unwrap().push(delivery);
        if let Some((status, text)) = refused.filter(|_| function != Function::DeadLetter) {
            Box::pin(self.dead_letter(function, event, status, &text)).await;
        }
    }

    async fn dead_letter(&self, function: Function, mut event: Value, status: u16, text: &str) {
        event["knativeerrordest"] = json!(format!("http://{function}.toktik.svc.cluster.local/"));
        event["knativeerrorcode"] = json!(i32::from(status));
        event["knativeerrordata"] = json!(text.chars().take(1024).collect::<String>());
        self.deliver(Function::DeadLetter, event).await;
    }

    async fn post(&self, function: Function, event: &Value) -> (u16, String) {
        let Ok(_slot) = self.inner.slots[&function].try_acquire() else {
            return (503, "pending request queue full".to_owned());
        };
        let base = self.inner.functions.lock().unwrap().get(&function).cloned();
        let Some(base) = base else { return (0, String::new()) };
        let request = self.inner.client.post(base).body(event.to_string());
        let request = request.header("content-type", "application/cloudevents+json; charset=utf-8");
        answered(request).await
    }
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, String) {
    match request.send().await {
        Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
        Err(_) => (0, String::new()),
    }
}

/// 0 stands for a connection that was refused or broke.
fn is_tried_again(status: u16) -> bool {
    matches!(status, 0 | 404 | 408 | 409 | 429 | 500..)
}

async fn ingress(State(broker): State<Broker>, headers: HeaderMap, body: String) -> StatusCode {
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/cloudevents+json")
    );
    broker.publish(&serde_json::from_str(&body).unwrap());
    StatusCode::ACCEPTED
}

/// The store's notification goes to its function past the broker, as it is.
async fn webhook(State(broker): State<Broker>, body: String) -> StatusCode {
    let base = broker.inner.functions.lock().unwrap()[&Function::Probe].clone();
    let request = broker
        .inner
        .client
        .post(base)
        .header("content-type", "application/json")
        .body(body);
    let (status, _) = answered(request).await;
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}
