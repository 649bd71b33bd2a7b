//! The pages that are the same for everybody, and what is none.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use toktik_events::routes;
use toktik_runtime::http::{Problem, layers};

use crate::page::{Page, Visit};
use crate::{Desk, files};

/// What it is, for whoever finds it.
const ABOUT: &str = "<meta name=\"description\" content=\"Short videos, up to a minute each: watch, post, share.\">\
    <meta property=\"og:site_name\" content=\"Toktik\"><meta property=\"og:title\" content=\"Toktik\">\
    <meta property=\"og:description\" content=\"Short videos, up to a minute each: watch, post, share.\">";

pub(crate) async fn front(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    let mut page = Page::titled("Toktik");
    page.head.push_str(ABOUT);
    desk.send(page, &visit).await
}

pub(crate) async fn browse(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("Browse · Toktik"), &visit).await
}

pub(crate) async fn upload(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("Upload · Toktik").unlisted(), &visit).await
}

pub(crate) async fn my(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("My clips · Toktik").unlisted(), &visit).await
}

pub(crate) async fn me(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("Profile · Toktik").unlisted(), &visit).await
}

pub(crate) async fn sign_in(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("Sign in · Toktik").unlisted(), &visit).await
}

pub(crate) async fn sign_up(State(desk): State<Arc<Desk>>, visit: Visit) -> Response {
    desk.send(Page::titled("Sign up · Toktik").unlisted(), &visit).await
}

pub(crate) async fn tag(State(desk): State<Arc<Desk>>, Path(name): Path<String>, visit: Visit) -> Response {
    desk.send(Page::titled(&format!("#{name} · Toktik")), &visit).await
}

pub(crate) async fn channel(State(desk): State<Arc<Desk>>, Path(name): Path<String>, visit: Visit) -> Response {
    desk.send(Page::titled(&format!("{name} · Toktik")), &visit).await
}

/// Clips are to be found; pages that only mean something to who is signed in are not.
pub(crate) async fn robots() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    let pages = ["my", "me", "upload", "signin", "signup"].map(|page| format!("Disallow: /{page}$\n"));
    (headers, format!("User-agent: *\n{}", pages.concat()))
}

/// A file of what was built, or nothing: told as a page to people and as a problem to programs.
pub(crate) async fn rest(
    State(desk): State<Arc<Desk>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    visit: Result<Visit, Problem>,
) -> Response {
    let path = uri.path();
    let asks = [Method::GET, Method::HEAD].contains(&method);
    if routes::is_api(path) || !asks {
        return layers::not_found().await.into_response();
    }
    if let Some(file) = files::answer(path, &headers) {
        return file;
    }
    // A page in place of a script would be read as one.
    if path.starts_with("/assets/") {
        return gone().into_response();
    }
    match visit {
        Ok(visit) => desk.send(Page::missing(), &visit).await,
        Err(problem) => problem.into_response(),
    }
}

fn gone() -> Problem {
    let title = "This file belongs to another version of these pages. Load the page again.";
    Problem::new(StatusCode::NOT_FOUND, "not_found", title)
}
