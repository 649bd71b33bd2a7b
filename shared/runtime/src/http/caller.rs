//! Who is calling: a bearer token, or the session cookie of a browser on our own pages.
//!
//! A token is checked by its signature alone, without a look into the database.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use toktik_identity::{Identity, Verifier};

use crate::clock::Clock;
use crate::http::Problem;

/// The cookie that carries the access token of a browser session.
pub const ACCESS_COOKIE: &str = "toktik_access";

/// Checks tokens. The host puts it into every request.
#[derive(Clone)]
pub struct Gate {
    pub verifier: Arc<Verifier>,
    pub clock: Clock,
}

/// Somebody signed in; 401 for all others.
#[derive(Clone, Debug)]
pub struct Caller(pub Identity);

/// Somebody signed in, or a stranger; 401 only for a token that is not valid.
#[derive(Clone, Debug)]
pub struct Viewer(pub Option<Identity>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let sign_in = || Problem::unauthorized("Sign in first: this needs an access token.");
        identify(parts)?.map(Self).ok_or_else(sign_in)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(identify(parts)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Gate {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(gate(parts).clone())
    }
}

fn gate(parts: &Parts) -> &Gate {
    // Every router is wrapped by the host before it serves anything; a router without one is a defect of ours.
    #[allow(clippy::expect_used)]
    parts.extensions.get::<Gate>().expect("the host adds a gate")
}

fn identify(parts: &Parts) -> Result<Option<Identity>, Problem> {
    let Some(token) = token(parts)? else {
        return Ok(None);
    };
    let gate = gate(parts);
    let invalid = |_| Problem::unauthorized("The access token is not valid or has expired. Sign in again.");
    gate.verifier
        .verify(&token, gate.clock.now())
        .map(Some)
        .map_err(invalid)
}

fn token(parts: &Parts) -> Result<Option<String>, Problem> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let bearer = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let wrong = || Problem::unauthorized("Send the access token as `Authorization: Bearer <token>`.");
        return bearer.map(|(_, token)| Some(token.trim().to_owned())).ok_or_else(wrong);
    }
    let Some(token) = cookie(&parts.headers, ACCESS_COOKIE) else {
        return Ok(None);
    };
    if !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        require_same_origin(&parts.headers)?;
    }
    Ok(Some(token))
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = pairs
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Refuses a request that another site's page makes with our cookies: the browser itself says where it comes from.
pub fn require_same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        _ => false,
    };
    let refusal = || {
        Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "cross_site",
            "A session cookie is only taken from pages of this site. Use a bearer token.",
        )
    };
    if same { Ok(()) } else { Err(refusal()) }
}
