//! Reads server-sent events as a browser does (WHATWG HTML 9.2).

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// An open stream.
pub(crate) struct Listener {
    response: Response,
    buffer: String,
    /// Of the last event; goes along with the next request.
    pub(crate) id: String,
    /// Milliseconds, as the server asks for.
    pub(crate) retry: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) data: Value,
}

impl Listener {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("content-encoding"));
        Self {
            response,
            buffer: String::new(),
            id: String::new(),
            retry: None,
        }
    }

    /// The next event that says something; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(told) = self.read(&block) {
                    return Some(told);
                }
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn read(&mut self, block: &str) -> Option<Told> {
        let (mut event, mut data) = (String::new(), String::new());
        for line in block.lines() {
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            match field {
                "event" => value.clone_into(&mut event),
                "data" => data.push_str(value),
                "id" => value.clone_into(&mut self.id),
                "retry" => self.retry = value.parse().ok(),
                // A comment: a sign of life.
                "" => {}
                other => panic!("no field of a stream: {other}"),
            }
        }
        (!data.is_empty()).then(|| Told {
            event,
            data: serde_json::from_str(&data).unwrap(),
        })
    }

    /// The first event of this kind that is so.
    pub(crate) async fn until(&mut self, event: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let told = self.next().await.expect("the stream ended");
            if told.event == event && is_so(&told.data) {
                return told.data;
            }
        }
    }

    /// All that is told until the stream ends.
    pub(crate) async fn rest(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(told) = self.next().await {
            all.push(told);
        }
        all
    }
}
