//! What surrounds every router of ours: tracing, metrics, limits, and errors that are problems too.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use toktik_events::TraceParent;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tracing::Instrument;

use crate::http::entity::Wishes;
use crate::http::meters::METERS;
use crate::http::{AddressBook, Gate, Problem, forwarded};
use crate::settings::Trust;
use crate::trace;

/// No request of the API needs more.
const BODY_LIMIT: usize = 256 * 1024;
/// How long a browser need not ask again what other pages may do.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// The router as a host serves it.
pub fn around(api: Router, gate: Gate, book: AddressBook) -> Router {
    let trust = book.addresses.trust_proxy;
    let api = within(api, gate, book).layer(cross_origin());
    believing(api, trust)
}

/// The same for pages: no other page has any business with them.
pub fn around_pages(pages: Router, gate: Gate, book: AddressBook) -> Router {
    let trust = book.addresses.trust_proxy;
    believing(within(pages, gate, book), trust)
}

/// The outermost layer first. All in one: each further call of `Router::layer` costs every request boxes of its own.
fn within(router: Router, gate: Gate, book: AddressBook) -> Router {
    router.method_not_allowed_fallback(method_not_allowed).layer((
        CompressionLayer::new(),
        Extension(book),
        Extension(gate),
        from_fn(observe),
        DefaultBodyLimit::max(BODY_LIMIT),
    ))
}

fn believing(router: Router, trust: Trust) -> Router {
    if trust == Trust::Forwarded {
        return router.layer(from_fn(forwarded::believe));
    }
    router
}

/// Any page may use the API and play clips, with a bearer token or as a stranger. Cookies are not for them: without
/// `Access-Control-Allow-Credentials` a browser neither sends them nor shows the answer.
fn cross_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::LOCATION,
            header::ETAG,
            HeaderName::from_static("traceparent"),
        ])
        .max_age(PREFLIGHT_AGE)
}

pub async fn not_found() -> Problem {
    Problem::not_found()
}

pub async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This address does not know that method.",
    )
}

/// Gives the request its place in a trace, measures it, and answers in the form that is wished for.
pub async fn observe(request: Request, next: Next) -> Response {
    let trace = trace_of(&request);
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("request", %method, http.route = route, trace.id = trace.trace_id());
    let personal = [header::AUTHORIZATION, header::COOKIE]
        .iter()
        .any(|name| request.headers().contains_key(name));
    let wishes = Wishes::of(&method, request.headers());
    let started = Instant::now();
    let response = trace::scope(trace, next.run(request)).instrument(span.clone()).await;
    let mut response = wishes.grant(response);
    let (status, elapsed) = (response.status(), started.elapsed());
    METERS.record(&method, route, status, elapsed);
    span.in_scope(|| tracing::debug!(status = status.as_u16(), elapsed_ms = elapsed.as_millis(), "answered"));
    let headers = response.headers_mut();
    // What is answered to somebody is theirs alone, unless the handler knows better.
    let cache = if personal { "private, no-store" } else { "no-cache" };
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(cache));
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert("traceparent", value);
    }
    response
}

fn trace_of(request: &Request) -> TraceParent {
    let header = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let parent: Option<TraceParent> = header.and_then(|text| text.parse().ok());
    parent.map_or_else(TraceParent::root, TraceParent::child)
}
