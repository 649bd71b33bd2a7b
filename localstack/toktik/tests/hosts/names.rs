//! Addresses of functions behind one address, by their names: what a gateway is put in front of.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;

use crate::client::client;

/// A platform that finds functions by the first part of a path, as OpenFaaS does.
pub(crate) async fn names(doors: HashMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let route = any(move |Path(path): Path<String>, request: Request| {
        let (function, rest) = path.split_once('/').unwrap_or((&path, ""));
        let url = format!("{}/{rest}", doors[function]);
        async move { pass(&url, request).await }
    });
    let router = Router::new().route("/{*path}", route);
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

async fn pass(url: &str, request: Request) -> Response {
    let query = request
        .uri()
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let passed = client()
        .request(parts.method, format!("{url}{query}"))
        .headers(parts.headers)
        .body(body);
    let answer = passed.send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("transfer-encoding");
    // A stream of events has to pass while it is open.
    (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
}
