//! Bodies that may be left out, and fields that were checked.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use toktik_runtime::http::{Check, Input, Problem};

pub(crate) use toktik_runtime::http::Field;

/// A JSON body, or a null or empty one.
pub(crate) struct OptionalInput<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalInput<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state)
            .await
            .map_err(|rejection| unreadable(rejection.status()))?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        let again = Request::from_parts(parts, Body::from(bytes));
        Input::from_request(again, state).await.map(|Input(input)| Self(input))
    }
}

fn unreadable(status: StatusCode) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "too_large", "The request body is too large."),
        _ => Problem::malformed("The request body could not be read."),
    }
}

/// Fields that were checked are there; this only says so to the compiler.
pub(crate) fn checked<T>(check: Check, fields: Option<T>) -> Result<T, Problem> {
    check.finish()?;
    fields.ok_or_else(|| Problem::malformed("A field is missing."))
}
