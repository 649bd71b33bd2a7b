//! The least server of the stack that functions are made of: what a cold start of theirs is measured against.

use std::env;
use std::io;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let port: u16 = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    axum::serve(listener, Router::new().route("/healthz", get(|| async { "ok\n" }))).await
}
