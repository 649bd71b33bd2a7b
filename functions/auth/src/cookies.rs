//! The cookies of a browser's session. No script can read its two tokens.
//!
//! The access token goes with every request of our own pages and with a link that leads to them. The refresh token goes
//! to the endpoints that trade or end it, and nowhere else. A third cookie is for scripts and holds no secret: it says
//! when the tokens beside it were given out, so that a page knows whether those that another one asked for have arrived.
//! A refresh token that is traded twice ends the session.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};
use toktik_runtime::http::{ACCESS_COOKIE, Problem, cookie, require_same_origin};

const REFRESH_COOKIE: &str = "toktik_refresh";
const REFRESH_PATH: &str = "/api/v1/auth";
const RENEWED_COOKIE: &str = "toktik_renewed";

/// A token, and how long it is good for.
type Token<'a> = (&'a str, Duration);

/// Adds the cookies of a session to an answer.
pub(crate) fn set(headers: &mut HeaderMap, secure: bool, access: Token, refresh: Token, now: DateTime<Utc>) {
    append(headers, &access_cookie(access.0, access.1.as_secs()), secure);
    append(headers, &refresh_cookie(refresh.0, refresh.1.as_secs()), secure);
    let millis = now.timestamp_millis().to_string();
    append(headers, &renewed_cookie(&millis, refresh.1.as_secs()), secure);
}

/// Takes the cookies away.
pub(crate) fn clear(headers: &mut HeaderMap, secure: bool) {
    append(headers, &access_cookie("", 0), secure);
    append(headers, &refresh_cookie("", 0), secure);
    append(headers, &renewed_cookie("", 0), secure);
}

fn access_cookie(value: &str, seconds: u64) -> String {
    format!("{ACCESS_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax")
}

fn refresh_cookie(value: &str, seconds: u64) -> String {
    format!("{REFRESH_COOKIE}={value}; Path={REFRESH_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}

fn renewed_cookie(value: &str, seconds: u64) -> String {
    format!("{RENEWED_COOKIE}={value}; Path=/; Max-Age={seconds}; SameSite=Strict")
}

fn append(headers: &mut HeaderMap, cookie: &str, secure: bool) {
    let text = format!("{cookie}{}", if secure { "; Secure" } else { "" });
    // Tokens are base64url and dots: always a legal header.
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Whether a browser of ours asks, rather than a program.
pub(crate) fn are_sent(headers: &HeaderMap) -> bool {
    cookie(headers, REFRESH_COOKIE).is_some() || cookie(headers, ACCESS_COOKIE).is_some()
}

/// The refresh token of the browser's session; a page of another site may not use it.
pub(crate) fn refresh_token(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let token = cookie(headers, REFRESH_COOKIE);
    if token.is_some() {
        require_same_origin(headers)?;
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &HeaderMap) -> Vec<&str> {
        headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    #[test]
    fn tokens_are_out_of_reach_of_scripts_and_other_sites() {
        let mut headers = HeaderMap::new();
        set(
            &mut headers,
            true,
            ("a.b.c", Duration::from_mins(15)),
            ("tkr_x", Duration::from_hours(1)),
            DateTime::UNIX_EPOCH + Duration::from_secs(7),
        );
        let expected = [
            "toktik_access=a.b.c; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure",
            "toktik_refresh=tkr_x; Path=/api/v1/auth; Max-Age=3600; HttpOnly; SameSite=Strict; Secure",
            "toktik_renewed=7000; Path=/; Max-Age=3600; SameSite=Strict; Secure",
        ];
        assert_eq!(written(&headers), expected);
    }

    #[test]
    fn clearing_leaves_nothing_behind() {
        let mut headers = HeaderMap::new();
        clear(&mut headers, false);
        let expected = [
            "toktik_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
            "toktik_refresh=; Path=/api/v1/auth; Max-Age=0; HttpOnly; SameSite=Strict",
            "toktik_renewed=; Path=/; Max-Age=0; SameSite=Strict",
        ];
        assert_eq!(written(&headers), expected);
    }

    #[test]
    fn the_refresh_cookie_needs_a_page_of_ours() {
        let mut headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("toktik_refresh=tkr_x"))]);
        assert!(refresh_token(&headers).is_err());
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(refresh_token(&headers).is_err());
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        assert_eq!(refresh_token(&headers).unwrap().as_deref(), Some("tkr_x"));
        assert_eq!(refresh_token(&HeaderMap::new()).unwrap(), None);
    }
}
