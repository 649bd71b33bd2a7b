//! The HTTP host: requests, events, health, metrics and the API's own description, on one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::context::Context;
use crate::function::Service;
use crate::http::{AddressBook, Gate, layers};
pub use crate::inbox::events;
use crate::telemetry;

/// How long requests that are under way may take once it is time to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Where the API's description is.
pub const DESCRIPTION: &str = "/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Toktik",
        description = "A short-video platform made of small functions. Errors are `application/problem+json` with a \
                       stable `code`; times are RFC 3339, durations seconds, sizes bytes.",
    ),
    components(schemas(crate::http::Problem, crate::http::FieldError))
)]
struct Document;

/// The API of one function or of several, with everything a host serves beside it.
pub fn router(api: OpenApiRouter, context: &Context) -> anyhow::Result<Router> {
    let (router, described) = api.split_for_parts();
    let document = document(described);
    let (gate, book) = knowledge(context);
    Ok(layers::around(router, gate, book)
        .merge(operations())
        .merge(description(&document)))
}

/// Pages that answer what no route of the API names.
pub fn pages(pages: Router, context: &Context) -> Router {
    let (gate, book) = knowledge(context);
    layers::around_pages(pages, gate, book)
}

/// What one function answers to requests, on a host of its own.
pub fn alone(service: &mut Service, context: &Context) -> anyhow::Result<Router> {
    let router = router(service.http.take().unwrap_or_default(), context)?;
    Ok(match service.pages.take() {
        Some(rest) => router.fallback_service(pages(rest, context)),
        None => router.fallback(layers::not_found),
    })
}

/// What every request is read with.
fn knowledge(context: &Context) -> (Gate, AddressBook) {
    let gate = Gate {
        verifier: Arc::clone(&context.verifier),
        clock: context.clock.clone(),
    };
    let book = AddressBook {
        addresses: Arc::new(context.addresses.clone()),
    };
    (gate, book)
}

/// `/healthz`, `/readyz` and `/metrics`, and the first two as `OpenFaaS` calls them.
pub fn operations() -> Router {
    telemetry::recorder();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/_/health", get(|| async { "ok\n" }))
        .route("/_/ready", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(layers::method_not_allowed)
}

async fn metrics() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        telemetry::metrics(),
    )
}

fn document(described: OpenApi) -> OpenApi {
    let mut document = Document::openapi();
    document.merge(described);
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", scheme);
    document
}

fn description(document: &OpenApi) -> Router {
    let json = document.clone();
    Router::new().route(DESCRIPTION, get(move || async move { Json(json) }))
}

/// The description as a page, for whoever answers for all functions: a function alone has no use for its four megabytes.
pub fn docs() -> Router {
    SwaggerUi::new("/docs")
        .config(utoipa_swagger_ui::Config::from(DESCRIPTION))
        .into()
}

/// Serves until told to stop, then lets what is under way end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    tokio::spawn(stop.clone().run_until_cancelled_owned(telemetry::keep_up()));
    let stopped = stop.clone();
    let router = router.layer(from_fn_with_state(Arc::new(stop.clone()), end_streams));
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { stopped.cancelled().await });
    tokio::select! {
        served = server => served.context("serving requests"),
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// A stream of events has no end of its own to wait for; whoever reads it opens another one.
/// A clone of a token takes a lock that all clones share, so only a stream gets one.
async fn end_streams(State(stop): State<Arc<CancellationToken>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| {
        Body::from_stream(
            body.into_data_stream()
                .take_until(CancellationToken::clone(&stop).cancelled_owned()),
        )
    })
}
