//! The API's description: what each function says of itself, as one document.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::try_join_all;
use http_body_util::{BodyExt, Limited};
use toktik_events::{Function, routes};
use toktik_runtime::http::Problem;
use toktik_runtime::server;
use utoipa::openapi::OpenApi;

use crate::proxy::Proxy;

/// Some twenty times what all functions together say.
const LONGEST: usize = 4 << 20;

pub(crate) fn routes(proxy: Proxy) -> Router {
    Router::new()
        .route(server::DESCRIPTION, get(document))
        .with_state(proxy)
        .merge(server::docs())
}

async fn document(State(proxy): State<Proxy>) -> Response {
    let functions: BTreeSet<Function> = routes::HTTP.iter().map(|route| route.function).collect();
    let documents = try_join_all(functions.into_iter().map(|function| said_by(&proxy, function)));
    match documents.await {
        Ok(documents) => Json(documents.into_iter().reduce(OpenApi::merge_from)).into_response(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the description is not complete");
            let title = "Not every function could be asked for its description. Try again.";
            Problem::new(StatusCode::BAD_GATEWAY, "bad_gateway", title)
                .retry_after(5)
                .into_response()
        }
    }
}

async fn said_by(proxy: &Proxy, function: Function) -> anyhow::Result<OpenApi> {
    let request = Request::builder()
        .uri(server::DESCRIPTION)
        .body(Body::empty())
        .context("asking for a description")?;
    let answer = proxy.function(function, request).await;
    if answer.status() != StatusCode::OK {
        bail!("{function} answered {}", answer.status());
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body
        .map_err(anyhow::Error::from_boxed)
        .with_context(|| format!("reading what {function} says"))?;
    serde_json::from_slice(&body.to_bytes()).with_context(|| format!("{function} says no OpenAPI document"))
}
