//! Takes events at `POST /`: CloudEvents in all three modes, and what stores and connectors post instead.
//!
//! The answer is what a broker goes by: 204 and the event is dealt with, 503 and it comes again, 422 and it never need.
//! Everything in a request is read before anything of it is handled, so that a bad request has no effect at all. Of a
//! batch every event is handled, whatever becomes of the others. If any of them has to come again the answer is 503, and
//! the whole batch does; those that were done are done again, which handlers survive. Else, if any was given up, it is
//! 422: its verdict is recorded by then, and the others are done.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use toktik_events::binding::{self, Mode};
use toktik_events::intake::Unreadable;
use toktik_events::{Function, Message, Payload, TraceParent};
use tracing::{Instrument, Span};

use crate::context::Context;
use crate::delivery;
use crate::function::{Failure, Handler};
use crate::http::{Problem, layers};

/// CloudEvents asks for 64 KiB; a store's notification of many objects is longer.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long a sender may take for its body.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a handler may take to give its work back once the host has to stop.
const HAND_BACK: Duration = Duration::from_millis(700);
/// When an event may come again of which nobody said when.
const SOON: Duration = Duration::from_secs(5);

/// The router of a function that events start.
pub fn events(
    function: Function,
    handler: Arc<dyn Handler>,
    context: Context,
    token: Option<String>,
    stop: CancellationToken,
) -> Router {
    let inbox = Inbox {
        function,
        handler,
        context,
        token,
        stop,
    };
    Router::new()
        .route("/", post(receive).options(validate))
        .method_not_allowed_fallback(layers::method_not_allowed)
        .with_state(Arc::new(inbox))
}

struct Inbox {
    function: Function,
    handler: Arc<dyn Handler>,
    context: Context,
    token: Option<String>,
    /// Fires when the host has to stop: what is under way is given back.
    stop: CancellationToken,
}

/// Whether events may be sent here ("HTTP 1.1 Web Hooks for Event Delivery" 4). Anybody may ask and send, as far as we are
/// concerned: the handshake spares those who expect no events, and is no authorization. That is the token's, which
/// every delivery needs and this question does not. A callback is never called: it would be an address of somebody
/// else's choice.
async fn validate(headers: HeaderMap) -> Response {
    let mut response = (StatusCode::OK, [(header::ALLOW, "OPTIONS, POST")]).into_response();
    if let Some(origin) = headers
        .get("webhook-request-origin")
        .filter(|origin| !origin.is_empty())
    {
        let allowed = response.headers_mut();
        allowed.insert("webhook-allowed-origin", origin.clone());
        allowed.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    response
}

async fn receive(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let span = call(request.headers());
    match inbox.take(request).instrument(span).await {
        // A token may be in the address, and whatever remembers addresses should not remember answers to it.
        Ok(()) => (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "private, no-store")]).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The call that `OpenFaaS`'s gateway speaks of in its own log.
fn call(headers: &HeaderMap) -> Span {
    let id = headers.get("x-call-id").and_then(|value| value.to_str().ok());
    id.map_or_else(Span::none, |id| tracing::info_span!("call", call.id = id))
}

impl Inbox {
    async fn take(&self, request: Request) -> Result<(), Problem> {
        if !self.admits(&request) {
            return Err(Problem::unauthorized("Events are taken only with the events token."));
        }
        let (head, body) = request.into_parts();
        let mode = mode(&head.headers)?;
        let body = tokio::select! {
            body = read(body, PATIENCE) => body?,
            () = self.stop.cancelled() => return Err(retry(Duration::ZERO)),
        };
        let messages = self
            .messages(mode, &head.headers, &body)
            .map_err(|error| refused(&error))?;
        let trace = trace_of(&head.headers);
        let messages: Vec<Message> = messages.into_iter().map(|message| traced(message, trace)).collect();
        self.handle_all(&messages).await
    }

    /// The two ways to bring a token that a delivery target has to take (the same 3.1 and 3.2).
    fn admits(&self, request: &Request) -> bool {
        let Some(token) = &self.token else { return true };
        let given = match request.headers().get(header::AUTHORIZATION) {
            Some(value) => bearer(value).map(str::to_owned),
            None => access_token(request.uri().query().unwrap_or_default()),
        };
        given.unwrap_or_default().as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn messages(&self, mode: Mode, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Message>, Unreadable> {
        let events = match mode {
            Mode::Plain => return self.handler.read(body),
            Mode::Structured => vec![binding::from_structured(body)?],
            Mode::Binary => vec![binding::from_binary(headers, body)?],
            Mode::Batched => binding::from_batch(body)?,
        };
        let mut messages = Vec::new();
        for event in &events {
            messages.extend(self.handler.read_event(event)?);
        }
        Ok(messages)
    }

    async fn handle_all(&self, messages: &[Message]) -> Result<(), Problem> {
        let mut again: Option<Duration> = None;
        let mut given_up = None;
        for message in messages {
            match self.handle(message).await {
                Ok(None) => {}
                Ok(Some(problem)) => given_up = given_up.or(Some(problem)),
                Err(after) => again = again.max(Some(after)),
            }
        }
        match again {
            Some(after) => Err(retry(after)),
            None => given_up.map_or(Ok(()), Err),
        }
    }

    /// None once the event is done, the problem once it is given up for good, else when it may come again.
    async fn handle(&self, message: &Message) -> Result<Option<Problem>, Duration> {
        let failure = match self.until_stopped(message).await {
            Ok(()) => return Ok(None),
            Err(failure) => failure,
        };
        match failure {
            Failure::Retry { after, reason } => {
                tracing::warn!(reason = format!("{reason:#}"), "an event has to come again");
                Err(after.unwrap_or(SOON))
            }
            Failure::GiveUp { code, reason } => {
                let why = format!("{reason:#}");
                tracing::error!(code, reason = why, "an event is given up");
                match self.give_up(message, code, &why).await {
                    Ok(()) => Ok(Some(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, why))),
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), "could not record a verdict");
                        Err(SOON)
                    }
                }
            }
        }
    }

    /// Lets the handler give its work back when the host has to stop, and drops it when it takes too long for that.
    async fn until_stopped(&self, message: &Message) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(Failure::retry_after(Duration::ZERO, anyhow!("the host is stopping")));
        }
        tokio::select! {
            result = delivery::handle_one(self.function, self.handler.as_ref(), message, &self.stop) => result,
            () = async { self.stop.cancelled().await; tokio::time::sleep(HAND_BACK).await } => {
                Err(Failure::retry_after(Duration::ZERO, anyhow!("the host could not wait any longer")))
            }
        }
    }

    /// A broker brings to dead-letter by itself what is answered with 422.
    async fn give_up(&self, message: &Message, code: &str, why: &str) -> anyhow::Result<()> {
        let (context, function) = (&self.context, self.function);
        if context.publisher.has_broker() {
            return context.record_verdict(function, message, code, why).await;
        }
        // Not the request's body: in binary mode that is only the data, and a batch holds other events too.
        context
            .give_up(function, &message.to_json()?, Some(message), code, why)
            .await
    }
}

fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let unsupported = |title| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", title);
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported("Bodies are taken as they are, not compressed.".to_owned()));
    }
    binding::mode(headers).map_err(|error| unsupported(error.to_string()))
}

/// The whole body, or nothing of it.
async fn read(body: Body, patience: Duration) -> Result<Bytes, Problem> {
    let whole = Limited::new(body, BODY_LIMIT).collect();
    let Ok(whole) = tokio::time::timeout(patience, whole).await else {
        let title = format!("The body did not come within {} s.", patience.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", title));
    };
    whole.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            let title = format!("An event may have {BODY_LIMIT} bytes.");
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title);
        }
        Problem::malformed("The body broke off.")
    })
}

fn refused(error: &Unreadable) -> Problem {
    if error.is_unknown_type() {
        return Problem::new(StatusCode::BAD_REQUEST, "unknown_type", error.to_string());
    }
    Problem::malformed(error.to_string())
}

fn retry(after: Duration) -> Problem {
    let title = "Not now. Deliver it again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "retry", title).retry_after(after.as_secs().max(1))
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn access_token(query: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(name, _)| name == "access_token")
        .map(|(_, token)| token.into_owned())
}

fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

/// The event's own trace, else the request's. The store's events are left alone: a clip has a trace, and whoever handles
/// them finds it.
fn traced(message: Message, trace: Option<TraceParent>) -> Message {
    if matches!(message.payload, Payload::ObjectCreated(_)) {
        return message;
    }
    let trace = message.trace.or(trace);
    message.with_trace(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = read(never, Duration::ZERO).await.unwrap_err();
        assert_eq!(
            (problem.status(), problem.code()),
            (StatusCode::REQUEST_TIMEOUT, "timeout")
        );
    }

    #[tokio::test]
    async fn a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not() {
        let body = |size| read(Body::from(vec![b'x'; size]), PATIENCE);
        assert_eq!(body(BODY_LIMIT).await.unwrap().len(), BODY_LIMIT);
        let problem = body(BODY_LIMIT + 1).await.unwrap_err();
        assert_eq!(
            (problem.status(), problem.code()),
            (StatusCode::PAYLOAD_TOO_LARGE, "too_large")
        );
    }
}
