//! Reads on what a client sends although it is refused already.
//!
//! Many clients send a whole body before they read the answer. If the connection ended meanwhile, they would see it break
//! instead of the reason.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::{Stream, StreamExt as _};

/// More than a part; whoever sends more than that after a refusal sees the connection end.
const MOST: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn refused(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let sent = Sent(Arc::new(Mutex::new(body.into_data_stream())));
    let response = next
        .run(Request::from_parts(parts, Body::from_stream(sent.clone())))
        .await;
    if response.status().is_client_error() {
        // Whether it came to its end changes nothing about the answer.
        let _ = tokio::time::timeout(PATIENCE, discard(sent)).await;
    }
    response
}

async fn discard(mut sent: Sent) {
    let mut left = MOST;
    while let Some(Ok(bytes)) = sent.next().await {
        let Some(rest) = left.checked_sub(bytes.len()) else {
            return;
        };
        left = rest;
    }
}

/// What the client sends, for whoever reads it next.
#[derive(Clone)]
struct Sent(Arc<Mutex<BodyDataStream>>);

impl Stream for Sent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.poll_next_unpin(context)
    }
}
