//! Errors as `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! What went wrong inside is logged here, once, and never shown.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

const UNAVAILABLE_SECONDS: u64 = 5;

/// An error response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// HTTP status, as in the response's own.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What a program branches on; does not change between versions.
    #[schema(value_type = String)]
    code: Cow<'static, str>,
    /// What a person reads: what is wrong and what to do next.
    title: String,
    /// The fields that are wrong, with `code` = `invalid`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

/// One field of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The name in the body, `path.to.name` if nested, or the parameter's name.
    pub field: String,
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    pub message: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, title: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            title: title.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    pub fn malformed(title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", title)
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let title = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.message),
            many => format!("{} fields of the request are invalid.", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title)
        }
    }

    pub fn invalid_field(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::invalid(vec![FieldError {
            field: field.into(),
            code: code.into(),
            message: message.into(),
        }])
    }

    pub fn unauthorized(title: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title)
    }

    pub fn forbidden(title: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", title)
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing here that you may see.",
        )
    }

    pub fn conflict(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title)
    }

    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        let title = format!("Too many requests. Try again in {retry_after_seconds} s.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", title).retry_after(retry_after_seconds)
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// A store that does not do its work has a code of its own: it may be busy, full or on its way back. Anything else is
/// unforeseen: logged in full, answered in general.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a request failed");
        if error.chain().any(is_of_a_store) {
            let title = "Our storage cannot do this right now. Nothing of yours was lost; try again.";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title).retry_after(UNAVAILABLE_SECONDS);
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side. Nothing of yours was lost; try again.",
        )
    }
}

fn is_of_a_store(cause: &(dyn std::error::Error + 'static)) -> bool {
    let table = cause.downcast_ref::<toktik_catalog::Error>();
    let objects = cause.downcast_ref::<toktik_objects::Error>();
    matches!(table, Some(toktik_catalog::Error::Store(_))) || matches!(objects, Some(toktik_objects::Error::Store(_)))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
