//! A Broker of the test's own: takes every event that functions publish, keeps it, and passes it on to the queues, once
//! or more often. And a look into the queues, to read, add to and lose what is in them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use aws_sdk_sqs::Client;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use toktik_events::{Function, routes};

use crate::harness::House;

/// Everything that was published, in order.
#[derive(Clone)]
pub(crate) struct Broker {
    seen: Arc<Mutex<Vec<Value>>>,
    queues: Arc<OnceLock<Client>>,
    copies: usize,
    /// Refuses each event when it first comes.
    stubborn: bool,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

/// A house whose events go through a Broker that delivers each so many times.
pub(crate) async fn brokered(copies: usize) -> (House, Broker) {
    connected(Broker {
        seen: Arc::default(),
        queues: Arc::default(),
        copies,
        stubborn: false,
        refused: Arc::default(),
    })
    .await
}

/// A house whose events go through a Broker that takes each only when it comes again.
pub(crate) async fn stubbornly_brokered() -> (House, Broker) {
    connected(Broker {
        seen: Arc::default(),
        queues: Arc::default(),
        copies: 1,
        stubborn: true,
        refused: Arc::default(),
    })
    .await
}

async fn connected(broker: Broker) -> (House, Broker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(take)).with_state(broker.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let house = House::with(&["--events-sink", &url]).await;
    broker.queues.set(house.cloud.sqs_client()).unwrap();
    (house, broker)
}

async fn take(State(broker): State<Broker>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    let event: Value = serde_json::from_str(&body).unwrap();
    let first = broker.refused.lock().unwrap().insert(event["id"].to_string());
    if broker.stubborn && first {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let targets = routes::targets(event["type"].as_str().unwrap());
    broker.seen.lock().unwrap().push(event);
    for function in targets {
        for _ in 0..broker.copies {
            put(broker.queues.get().unwrap(), *function, &body).await;
        }
    }
    StatusCode::ACCEPTED
}

impl Broker {
    pub(crate) fn events(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// The data of every event of this type.
    pub(crate) fn told(&self, ty: &str) -> Vec<Value> {
        let of_type = |event: &Value| event["type"] == ty;
        self.events()
            .into_iter()
            .filter(of_type)
            .map(|mut event| event["data"].take())
            .collect()
    }
}

fn address(function: Function) -> String {
    format!("http://sqs.toktik.internal/000000000000/toktik-{function}")
}

async fn put(sqs: &Client, function: Function, body: &str) {
    let request = sqs.send_message().queue_url(address(function)).message_body(body);
    request.send().await.unwrap();
}

impl House {
    /// Puts this into a function's queue.
    pub(crate) async fn deliver(&self, function: Function, body: &str) {
        put(&self.cloud.sqs_client(), function, body).await;
    }

    /// What waits in a function's queue. It goes on waiting.
    pub(crate) async fn waiting(&self, function: Function) -> Vec<Value> {
        let request = self.cloud.sqs_client().receive_message().queue_url(address(function));
        let request = request.max_number_of_messages(10).visibility_timeout(0);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        let bodies = messages.iter().map(|message| message.body().unwrap());
        bodies.map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    /// Loses whatever is in a function's queue.
    pub(crate) async fn lose(&self, function: Function) {
        let request = self.cloud.sqs_client().purge_queue().queue_url(address(function));
        request.send().await.unwrap();
    }
}
