//! What is logged of an event beside the event itself.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use toktik_events::{Function, Message, Payload};
use toktik_runtime::server;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use super::undelivered::{bring, undelivered};
use crate::harness::House;

/// What is logged on this thread, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn keep(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_writer(self.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn who_did_not_take_it_and_why_is_logged() {
    let house = House::open().await;
    let log = Log::default();
    let _kept = log.keep();
    let tick = Message::new(Function::Janitor, house.now(), Payload::Tick)
        .to_json()
        .unwrap();
    let event = undelivered(&serde_json::from_str(&tick).unwrap(), "504");
    assert_eq!(bring(&house, Function::DeadLetter, &event, false).await, 204);
    let text = log.text();
    let line = text
        .lines()
        .find(|line| line.contains("could not deliver"))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains(r#"code="504""#) && line.contains("http://transcode.toktik"),
        "{line}"
    );
}

#[tokio::test]
async fn openfaas_s_call_is_named_in_every_line_of_its_event() {
    let house = House::open().await;
    let log = Log::default();
    let _kept = log.keep();
    let handler = house.worker(Function::DeadLetter).handler.clone();
    let stop = CancellationToken::new();
    let router = server::events(Function::DeadLetter, handler, house.context.clone(), None, stop);
    let deleted = json!({"video_id": "00000000000000000000000000000000", "revision": 1});
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "toktik.video.deleted.v1", "data": deleted});
    let request = axum::extract::Request::post("/").header("x-call-id", "d0f3ab");
    let request = request
        .header("content-type", "text/plain")
        .body(Body::from(event.to_string()))
        .unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 204);
    let text = log.text();
    let line = text
        .lines()
        .find(|line| line.contains("handled an event"))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains(r#"call.id="d0f3ab""#) && line.contains("toktik.video.deleted.v1"),
        "{line}"
    );
}
