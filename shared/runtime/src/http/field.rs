//! Fields of a request's body, each of any type until it is checked, so that all that are wrong are named at once.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use toktik_catalog::users::Change;

use crate::http::Check;

/// A field of any type, or none: the check says what is wrong with it, together with what is wrong with the others.
#[derive(Default)]
pub struct Field(Option<Value>);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl Field {
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// A null is as good as nothing.
    #[must_use]
    pub fn or_null(self) -> Self {
        Self(self.0.filter(|value| !value.is_null()))
    }

    /// A text.
    pub fn required<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Option<T> {
        self.require(name, check);
        self.optional(name, check)
    }

    /// A text, or nothing.
    pub fn optional<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Option<T> {
        if let Value::String(text) = self.0? {
            return check.field(name, text.parse());
        }
        check.refuse(name, "type", "must be a string");
        None
    }

    /// Something else than a text; `expected` says what.
    pub fn required_as<T: DeserializeOwned>(self, name: &str, expected: &str, check: &mut Check) -> Option<T> {
        self.require(name, check);
        self.optional_as(name, expected, check)
    }

    /// Something else than a text, or nothing.
    pub fn optional_as<T: DeserializeOwned>(self, name: &str, expected: &str, check: &mut Check) -> Option<T> {
        let read = serde_json::from_value(self.0?).ok();
        if read.is_none() {
            check.refuse(name, "type", expected);
        }
        read
    }

    /// A null or an empty text takes away what is there.
    pub fn change<T: FromStr<Err: Display>>(self, name: &str, check: &mut Check) -> Change<T> {
        match &self.0 {
            Some(Value::Null) => Change::Clear,
            Some(Value::String(text)) if text.trim().is_empty() => Change::Clear,
            _ => self.optional(name, check).map_or(Change::Keep, Change::Set),
        }
    }

    fn require(&self, name: &str, check: &mut Check) {
        if self.0.is_none() {
            check.refuse(name, "required", "is required");
        }
    }
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
        size: Field,
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
        let Form { name, bio, size } = form(r#"{"name": 7, "bio": "\u0000", "size": -1}"#);
        assert!(name.required::<Username>("name", &mut check).is_none());
        assert_eq!(bio.change::<Bio>("bio", &mut check), Change::Keep);
        assert!(size.required_as::<u64>("size", "must be bytes", &mut check).is_none());
        let errors = refusals(check);
        for (index, (field, code)) in [("name", "type"), ("bio", "invalid"), ("size", "type")]
            .iter()
            .enumerate()
        {
            assert_eq!(
                (&errors[index]["field"], &errors[index]["code"]),
                (&(*field).into(), &(*code).into())
            );
        }
    }

    #[test]
    fn absent_null_and_given_differ() {
        let mut check = Check::new();
        assert_eq!(form("{}").bio.change::<Bio>("bio", &mut check), Change::Keep);
        let cleared = form(r#"{"bio": null}"#).bio.change::<Bio>("bio", &mut check);
        assert_eq!(cleared, Change::Clear);
        let given = form(r#"{"bio": "x"}"#).bio.change::<Bio>("bio", &mut check);
        assert_eq!(given, Change::Set("x".parse().unwrap()));
        let left_out = form(r#"{"size": null}"#).size.or_null();
        assert_eq!(left_out.optional_as::<u64>("size", "must be bytes", &mut check), None);
        assert!(form("{}").name.required::<Username>("name", &mut check).is_none());
        let null = form(r#"{"name": null}"#).name;
        assert!(null.required::<Username>("name", &mut check).is_none());
        let errors = refusals(check);
        assert_eq!(
            (&errors[0]["code"], &errors[1]["code"]),
            (&"required".into(), &"type".into())
        );
        assert_eq!(errors.as_array().unwrap().len(), 2);
    }
}
