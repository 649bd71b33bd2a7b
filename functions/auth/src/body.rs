//! Bodies whose wrong fields are all named at once, and bodies that may be left out.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use toktik_catalog::users::Change;
use toktik_runtime::http::{Check, Input, Problem};

/// A field of any type, or none: the check says what is wrong with it, together with what is wrong with the others.
#[derive(Default)]
pub(crate) struct Field(Option<Value>);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl Field {
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn required<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Option<T> {
        if self.0.is_none() {
            check.refuse(name, "required", "is required");
        }
        self.optional(name, check)
    }

    pub(crate) fn optional<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Option<T> {
        if let Value::String(text) = self.0? {
            return check.field(name, text.parse());
        }
        check.refuse(name, "type", "must be a string");
        None
    }

    /// A null or an empty text takes away what is there.
    pub(crate) fn change<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Change<T> {
        match &self.0 {
            Some(Value::Null) => Change::Clear,
            Some(Value::String(text)) if text.trim().is_empty() => Change::Clear,
            _ => self.optional(name, check).map_or(Change::Keep, Change::Set),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use toktik_identity::{Bio, Username};

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Form {
        name: Field,
        bio: Field,
    }

    fn form(text: &str) -> Form {
        serde_json::from_str(text).unwrap()
    }

    fn refusals(check: Check) -> serde_json::Value {
        let problem = check.finish().unwrap_err();
        serde_json::to_value(problem).unwrap()["errors"].take()
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let mut check = Check::new();
        let Form { name, bio } = form(r#"{"name": 7, "bio": "\u0000"}"#);
        assert!(name.required::<Username>("name", &mut check).is_none());
        assert_eq!(bio.change::<Bio>("bio", &mut check), Change::Keep);
        let errors = refusals(check);
        assert_eq!(
            (&errors[0]["field"], &errors[0]["code"]),
            (&"name".into(), &"type".into())
        );
        assert_eq!(
            (&errors[1]["field"], &errors[1]["code"]),
            (&"bio".into(), &"invalid".into())
        );
    }

    #[test]
    fn absent_null_and_given_differ() {
        let mut check = Check::new();
        assert_eq!(form("{}").bio.change::<Bio>("bio", &mut check), Change::Keep);
        assert_eq!(
            form(r#"{"bio": null}"#).bio.change::<Bio>("bio", &mut check),
            Change::Clear
        );
        let given = form(r#"{"bio": "x"}"#).bio.change::<Bio>("bio", &mut check);
        assert_eq!(given, Change::Set("x".parse().unwrap()));
        assert!(form("{}").name.required::<Username>("name", &mut check).is_none());
        assert!(
            form(r#"{"name": null}"#)
                .name
                .required::<Username>("name", &mut check)
                .is_none()
        );
        let errors = refusals(check);
        assert_eq!(
            (&errors[0]["code"], &errors[1]["code"]),
            (&"required".into(), &"type".into())
        );
    }
}
