//! The wire between the real code and the explorer: every request of the AWS SDKs stops here until it is answered.
//!
//! One process is polled at a time, and it has one request under way, or two while it works under a lease: its work, and
//! the renewal of the lease.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::store::{Ask, Reply, ordered};

/// How a piece of work, which ffmpeg does elsewhere, comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Luck {
    Made,
    /// It shows that the clip cannot be played.
    Refused,
    /// It cannot succeed.
    Hopeless,
    /// It could another time.
    Later,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Store(Ask),
    Work,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Store(Reply),
    Work(Luck),
}

type Slot = Arc<Mutex<Option<Answer>>>;

/// A question on its way; given up by whoever asked as soon as nobody else holds the slot.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) question: Question,
    slot: Slot,
}

impl Open {
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.slot) > 1
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.slot.lock().unwrap() = Some(answer);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<Vec<Open>>>);

impl Wire {
    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Open> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn ask(&self, question: Question) -> Waiting {
        let slot = Slot::default();
        let open = Open {
            question,
            slot: Arc::clone(&slot),
        };
        self.0.lock().unwrap().push(open);
        Waiting(slot)
    }

    pub(crate) async fn work(&self) -> Luck {
        match self.ask(Question::Work).await {
            Answer::Work(luck) => luck,
            Answer::Store(reply) => panic!("{reply:?}"),
        }
    }
}

struct Waiting(Slot);

impl Future for Waiting {
    type Output = Answer;

    /// The explorer polls after it has answered; nobody has to be woken.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        self.0.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match question(&request) {
            Some(ask) => {
                let waiting = self.ask(Question::Store(ask));
                HttpConnectorFuture::new(async move {
                    match waiting.await {
                        Answer::Store(reply) => Ok(response(&reply)),
                        Answer::Work(luck) => panic!("{luck:?}"),
                    }
                })
            }
            None => HttpConnectorFuture::ready(Ok(response(&address(&request)))),
        }
    }
}

fn response(reply: &Reply) -> HttpResponse {
    let status = StatusCode::try_from(reply.status).unwrap();
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body.as_str()));
    if let Some(etag) = reply.etag {
        response.headers_mut().insert("etag", etag);
        response.headers_mut().insert("content-length", "4");
    }
    response
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(request.body().bytes().unwrap()).unwrap()
}

/// Where a queue is; nobody waits for that.
fn address(request: &HttpRequest) -> Reply {
    let name = body(request)["QueueName"].as_str().unwrap().to_owned();
    Reply {
        status: 200,
        body: json!({"QueueUrl": format!("http://sqs.model/{name}")}).to_string(),
        etag: None,
    }
}

/// None where the address of a queue is asked for.
fn question(request: &HttpRequest) -> Option<Ask> {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    match target.split_once('.') {
        Some(("AmazonSQS", "GetQueueUrl")) => None,
        Some(("AmazonSQS", _)) => Some(sent(&body(request))),
        Some((_, operation)) => Some(Ask::Table(operation.to_owned(), plain(body(request)))),
        None => Some(of_bucket(request)),
    }
}

/// Without what differs from run to run and says nothing.
fn plain(mut input: Value) -> String {
    if let Some(input) = input.as_object_mut() {
        input.remove("ClientRequestToken");
    }
    ordered(input).to_string()
}

fn sent(input: &Value) -> Ask {
    let queue = input["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
    let mut body: Value = serde_json::from_str(input["MessageBody"].as_str().unwrap()).unwrap();
    let event = if body.get("event").is_some() {
        &mut body["event"]
    } else {
        &mut body
    };
    let event = event.as_object_mut().unwrap();
    event.remove("traceparent");
    event.insert("time".to_owned(), json!("2026-01-01T00:00:00Z"));
    if queue == "toktik-package" {
        // All that package wants to know is the clip and its generation.
        event.insert("id".to_owned(), json!("completed"));
        event["data"]["step"] = json!("any");
        event["data"]["unit"] = json!("");
    }
    Ask::Send(queue.to_owned(), ordered(body).to_string())
}

fn of_bucket(request: &HttpRequest) -> Ask {
    let uri = request.uri();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = path
        .split_once("//")
        .map_or(path, |(_, rest)| rest.split_once('/').unwrap().1);
    let key = path
        .trim_start_matches('/')
        .trim_start_matches("toktik")
        .trim_start_matches('/')
        .to_owned();
    match request.method() {
        "HEAD" => Ask::Head(key),
        "PUT" => Ask::Put(key),
        "GET" => {
            let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap();
            Ask::List(prefix.replace("%2F", "/"))
        }
        "POST" => {
            let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
            let keys = body
                .split("<Key>")
                .skip(1)
                .map(|rest| rest.split('<').next().unwrap().to_owned());
            Ask::Remove(keys.collect())
        }
        other => panic!("{other} {uri}"),
    }
}
