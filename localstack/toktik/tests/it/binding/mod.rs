//! CloudEvents 1.0 over HTTP, clause by clause. "binding" is the HTTP protocol binding, "JSON" the JSON event format,
//! "core" the specification itself, "webhook" HTTP 1.1 Web Hooks for Event Delivery; the numbers are those of their
//! sections.
//!
//! Requests are bytes on a socket, since no client library sends what a MUST forbids. What counts is what a function is
//! given to handle, and what is answered.

mod answers;
mod batch;
mod binary;
mod logged;
mod refused;
mod send;
mod shapes;
mod structured;
mod undelivered;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use toktik_events::binding::AttributesReader;
use toktik_events::intake::{self, Unreadable};
use toktik_events::{Event, Function, Message, Payload};
use toktik_runtime::{Failure, Handler, server};

use crate::harness::House;

/// A function over HTTP that remembers what it was given to handle.
struct Host {
    address: String,
    recorder: Arc<Recorder>,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
    house: House,
}

/// What a recorder answers to an event.
type Verdict = fn(&Message) -> Result<(), Failure>;

struct Recorder {
    verdict: Verdict,
    /// Not handled yet, by id.
    read: Mutex<HashMap<String, Event>>,
    events: Mutex<Vec<Event>>,
    messages: Mutex<Vec<Message>>,
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        self.messages.lock().unwrap().push(message.clone());
        if let Some(event) = self.read.lock().unwrap().remove(&message.id) {
            self.events.lock().unwrap().push(event);
        }
        match message.id.as_str() {
            "waits for the end" => {
                cancel.cancelled().await;
                Err(Failure::retry_after(
                    std::time::Duration::ZERO,
                    anyhow::anyhow!("stopped"),
                ))
            }
            "never ends" => std::future::pending().await,
            _ => (self.verdict)(message),
        }
    }

    /// Takes events of any type: those that are none of ours stand for themselves.
    fn read_event(&self, event: &Event) -> Result<Vec<Message>, Unreadable> {
        self.read.lock().unwrap().insert(event.id().to_owned(), event.clone());
        match intake::messages(event) {
            Err(error) if error.is_unknown_type() => {
                let tick = Message::new(Function::Janitor, chrono::Utc::now(), Payload::Tick);
                let id = event.id().to_owned();
                Ok(vec![Message { id, ..tick }])
            }
            known => known,
        }
    }
}

impl Host {
    async fn open() -> Self {
        Self::answering(|_| Ok(()), None).await
    }

    async fn answering(verdict: Verdict, token: Option<&str>) -> Self {
        Self::of(House::open().await, verdict, token).await
    }

    async fn of(house: House, verdict: Verdict, token: Option<&str>) -> Self {
        let recorder = Arc::new(Recorder {
            verdict,
            read: Mutex::default(),
            events: Mutex::default(),
            messages: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (handler, token) = (Arc::clone(&recorder), token.map(str::to_owned));
        let router = server::events(Function::Transcode, handler, house.context.clone(), token, stop.clone());
        let router = router.merge(server::operations());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(server::serve(listener, router, stop.clone()));
        Self {
            address,
            recorder,
            stop,
            served,
            house,
        }
    }

    /// Sends these bytes and reads the answer to the end.
    async fn send(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        Reply::read(&mut stream).await
    }

    async fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.send(&request("POST / HTTP/1.1", headers, body.as_ref())).await
    }

    /// In binary mode, with the required attributes unless these headers have them.
    async fn binary(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        let mut all = headers.to_vec();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ] {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                all.push((name, value));
            }
        }
        self.post(&all, body).await
    }

    async fn structured(&self, event: &Value) -> Reply {
        let headers = [("content-type", "application/cloudevents+json")];
        self.post(&headers, event.to_string()).await
    }

    async fn batch(&self, events: &Value) -> Reply {
        let headers = [("content-type", "application/cloudevents-batch+json; charset=utf-8")];
        self.post(&headers, events.to_string()).await
    }

    /// The one CloudEvent that was handled.
    #[track_caller]
    fn event(&self) -> Event {
        let events = self.recorder.events.lock().unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0].clone()
    }

    /// Everything that was handled.
    fn handled(&self) -> Vec<Message> {
        self.recorder.messages.lock().unwrap().clone()
    }

    fn ids(&self) -> Vec<String> {
        self.handled().into_iter().map(|message| message.id).collect()
    }

    #[track_caller]
    fn handled_nothing(&self) {
        assert_eq!(self.handled(), []);
    }
}

/// A request as it goes over the wire, with the length of its body.
fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{line}\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Reply {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        Self {
            status,
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Success as a broker wants it: no body that it would take for an event.
    #[track_caller]
    fn done(&self) {
        assert_eq!((self.status, self.body.as_str()), (204, ""), "{self:?}");
    }

    #[track_caller]
    fn problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&json!(code), &json!(status)),
            "{problem}"
        );
        assert!(!problem["title"].as_str().unwrap().is_empty());
    }
}

/// An event in the JSON format; `more` is added to it, null takes away.
fn event(id: &str, more: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t"});
    let (Some(members), Value::Object(more)) = (event.as_object_mut(), more) else {
        panic!("members were expected");
    };
    members.extend(more);
    members.retain(|name, value| name == "data" || !value.is_null());
    event
}
