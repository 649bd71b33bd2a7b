//! Request bodies, parameters and ids, read into types; what does not fit is named, field by field.

use std::borrow::Cow;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::http::{FieldError, Problem};

/// A JSON body. 400 when it is not JSON, 422 with the field's name when it does not fit.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(&request)?;
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    "The request body is too large.",
                );
            }
            Problem::malformed("The request body could not be read.")
        })?;
        parse(&body).map(Self)
    }
}

fn require_json(request: &Request) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE);
    let media_type = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let title = "Send the body as JSON, with `Content-Type: application/json`.";
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        title,
    ))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    require_object(body)?;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(misfit)?;
    deserializer
        .end()
        .map_err(|_| Problem::malformed("There is something behind the end of the JSON body."))?;
    Ok(value)
}

/// A list would be taken for the fields in the order in which we happen to declare them.
fn require_object(body: &[u8]) -> Result<(), Problem> {
    let text = body.trim_ascii();
    let other = !text.is_empty() && !text.starts_with(b"{") && text != b"null";
    if other && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() {
        return Err(Problem::invalid_field("body", "type", "must be a JSON object"));
    }
    Ok(())
}

/// What serde says, in words for whoever wrote the request.
fn plain(message: &str) -> String {
    let Some((_, expected)) = message
        .split_once(", expected ")
        .filter(|_| message.starts_with("invalid type"))
    else {
        return match message {
            "invalid digit found in string" => "must be a whole number".to_owned(),
            other => other.to_owned(),
        };
    };
    let expected = match expected {
        number if number.starts_with(['u', 'i']) && number.ends_with(|c: char| c.is_ascii_digit()) => "a whole number",
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "a JSON object",
        other => other,
    };
    format!("must be {expected}")
}

fn misfit(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if !inner.is_data() {
        return Problem::malformed(format!("The body is not valid JSON: {inner}."));
    }
    let message = inner.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let quoted = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
        rest.split('`').next().map(str::to_owned)
    };
    if let Some(name) = quoted("missing field ") {
        return Problem::invalid_field(join(&path, &name), "required", "is required");
    }
    if let Some(name) = quoted("unknown field ") {
        return Problem::invalid_field(join_sibling(&path, &name), "unknown", "is not a field of this request");
    }
    Problem::invalid_field(if path == "." { "body".into() } else { path }, "type", plain(message))
}

fn join(path: &str, name: &str) -> String {
    if path == "." {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// An unknown field's path already ends with its name.
fn join_sibling(path: &str, name: &str) -> String {
    if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        join(path, name)
    }
}

/// The query parameters. 422 with the parameter's name when one does not fit.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let deserializer = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        match serde_path_to_error::deserialize(deserializer) {
            Ok(value) => Ok(Self(value)),
            Err(error) => {
                let (path, message) = (error.path().to_string(), error.inner().to_string());
                let twice = message
                    .strip_prefix("duplicate field `")
                    .and_then(|rest| rest.strip_suffix('`'));
                Err(match twice {
                    Some(name) => Problem::invalid_field(name, "duplicate", "must be given once"),
                    None => Problem::invalid_field(path, "type", plain(&message)),
                })
            }
        }
    }
}

/// The `{id}` of the path. What cannot be an id names nothing: 404.
pub struct PathId<T>(pub T);

/// The `{name}` of the path.
pub struct PathName(pub String);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let id = captured(parts, "id", |text| text.parse().ok()).await;
        id.map(Self).ok_or_else(Problem::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let name = captured(parts, "name", |text| Some(text.to_owned())).await;
        name.map(Self).ok_or_else(Problem::not_found)
    }
}

/// What the path has in the place of this name, read.
async fn captured<T>(parts: &mut Parts, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let captures = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, text) = captures.iter().find(|(key, _)| *key == name)?;
    read(text)
}

/// Collects what is wrong with several fields, so that a person can mend all at once.
#[derive(Default)]
pub struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    pub fn new() -> Self {
        Self::default()
    }

    /// The value, or a note of what is wrong with the field.
    pub fn field<T, E: std::fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(field, "invalid", error.to_string());
                None
            }
        }
    }

    pub fn refuse(&mut self, field: &str, code: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            code: code.into(),
            message: message.into(),
        });
    }

    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}
