//! Reads on what a client sends although it is refused already.
//!
//! Many clients send a whole body before they read the answer. If the connection ended meanwhile, they would see it break
//! instead of the reason.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt as _;
use http_body::{Frame, SizeHint};

/// More than a part; whoever sends more than that after a refusal sees the connection end.
const MOST: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn refused(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let sent = Sent(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(sent.clone()))).await;
    if response.status().is_client_error() {
        // Whether it came to its end changes nothing about the answer.
        let _ = tokio::time::timeout(PATIENCE, discard(sent)).await;
    }
    response
}

async fn discard(sent: Sent) {
    let mut stream = Body::new(sent).into_data_stream();
    let mut left = MOST;
    while let Some(Ok(bytes)) = stream.next().await {
        let Some(rest) = left.checked_sub(bytes.len()) else {
            return;
        };
        left = rest;
    }
}

/// What the client sends, for whoever reads it next.
#[derive(Clone)]
struct Sent(Arc<Mutex<Body>>);

impl Sent {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    /// That there is none at all, which no header says of a GET, is known from here alone. A signature wants to know.
    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
