//! Bad weather between the functions and the stores: what a network and a busy store do to requests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use tokio::sync::watch;

use crate::keeper::hold;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weather {
    Calm,
    /// 500 to everything; nothing reaches the store.
    Failing,
    /// "Slow down", as each store says it; nothing reaches the store.
    Throttling,
    /// No answer until the weather changes, and then none either.
    Hanging,
    /// What is asked for happens, and the connection breaks in the middle of the answer.
    Resetting,
    /// Answers come in drops.
    Slow,
}

impl Weather {
    pub(crate) const BAD: [Self; 5] = [
        Self::Failing,
        Self::Hanging,
        Self::Throttling,
        Self::Resetting,
        Self::Slow,
    ];
}

pub(crate) struct Sky {
    weather: watch::Sender<Weather>,
    /// Requests that were out in it.
    met: Mutex<BTreeMap<Weather, usize>>,
}

impl Default for Sky {
    fn default() -> Self {
        Self {
            weather: watch::Sender::new(Weather::Calm),
            met: Mutex::default(),
        }
    }
}

impl Sky {
    pub(crate) fn change(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many requests each kind of weather has met.
    pub(crate) fn met(&self) -> BTreeMap<Weather, usize> {
        hold(&self.met).clone()
    }

    fn now(&self) -> Weather {
        *self.weather.borrow()
    }

    /// An answer in place of the store's, if the weather is so.
    pub(crate) async fn instead(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let weather = self.now();
        *hold(&self.met).entry(weather).or_default() += 1;
        match weather {
            Weather::Calm | Weather::Resetting | Weather::Slow => None,
            Weather::Failing => Some((StatusCode::INTERNAL_SERVER_ERROR, "it rains").into_response()),
            Weather::Throttling => Some(slow_down(headers)),
            Weather::Hanging => {
                // An error means that the test is over.
                self.weather.subscribe().wait_for(|now| *now != weather).await.ok();
                Some(broken(method, &Bytes::new()))
            }
        }
    }

    /// What becomes of the store's answer on its way.
    pub(crate) fn passed(&self, method: &Method, answer: Response, body: &Bytes) -> Response {
        match self.now() {
            Weather::Resetting => broken(method, body),
            Weather::Slow => in_drops(answer, body),
            _ => answer,
        }
    }
}

/// S3 says it in XML, the others in the JSON of their protocol.
fn slow_down(headers: &HeaderMap) -> Response {
    if headers.contains_key("x-amz-target") {
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#;
        return (
            StatusCode::BAD_REQUEST,
            [(header::CONTENT_TYPE, "application/x-amz-json-1.0")],
            body,
        )
            .into_response();
    }
    let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::CONTENT_TYPE, "application/xml")],
        body,
    )
        .into_response()
}

/// Half of the answer, and then the connection is gone. HEAD's answer has no half: its head alone would be a whole one,
/// and say what no store has said.
fn broken(method: &Method, body: &Bytes) -> Response {
    if method == Method::HEAD {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let half = body.slice(..body.len() / 2);
    let parts = stream::iter([Ok(half), Err(std::io::Error::other("the connection broke"))]);
    let length = (body.len() + 1).to_string();
    ([(header::CONTENT_LENGTH, length)], Body::from_stream(parts)).into_response()
}

/// All of the answer, one piece after the other.
fn in_drops(mut answer: Response, body: &Bytes) -> Response {
    const PIECES: usize = 8;
    const BETWEEN: Duration = Duration::from_millis(100);
    let size = body.len().div_ceil(PIECES).max(1);
    let pieces: Vec<Bytes> = (0..body.len())
        .step_by(size)
        .map(|at| body.slice(at..body.len().min(at + size)))
        .collect();
    let drops = stream::iter(pieces).then(async |piece| {
        tokio::time::sleep(BETWEEN).await;
        Ok::<_, std::io::Error>(piece)
    });
    *answer.body_mut() = Body::from_stream(drops);
    answer
}
