//! Conditional requests (RFC 9110 13): which object may be overwritten, and whether a reader has it already.

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, s3_error};

use super::failure::Failure;
use super::objects::Object;
use crate::clock::system_time;

/// What must hold when a key is linked; checked inside the transaction that links it.
#[derive(Clone, Default)]
pub(crate) struct WriteConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// 412 if the conditions do not hold; 404 if a match is asked of an object that does not exist.
    pub(crate) fn check(&self, current: Option<&Object>) -> Result<(), Failure> {
        if let Some(wanted) = &self.if_match {
            let current = current.ok_or_else(|| s3_error!(NoSuchKey))?;
            if !matches(wanted, current) {
                return Err(s3_error!(PreconditionFailed).into());
            }
        }
        if let (Some(unwanted), Some(current)) = (&self.if_none_match, current)
            && matches(unwanted, current)
        {
            return Err(s3_error!(PreconditionFailed).into());
        }
        Ok(())
    }
}

/// What a reader asks for before it wants the bytes.
#[expect(clippy::struct_field_names, reason = "the headers' names")]
pub(crate) struct ReadConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// In the order of RFC 9110 13.2.2: an entity tag outweighs a date.
    pub(crate) fn check(&self, object: &Object) -> Result<(), Failure> {
        let unchanged_since = |since: &Timestamp| last_modified(object) <= *since;
        let as_expected = match (&self.if_match, &self.if_unmodified_since) {
            (Some(wanted), _) => matches(wanted, object),
            (None, Some(since)) => unchanged_since(since),
            (None, None) => true,
        };
        if !as_expected {
            return Err(s3_error!(PreconditionFailed).into());
        }
        let known_already = match (&self.if_none_match, &self.if_modified_since) {
            (Some(known), _) => matches(known, object),
            (None, Some(since)) => unchanged_since(since),
            (None, None) => false,
        };
        if known_already {
            return Err(not_modified(object).into());
        }
        Ok(())
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == object.etag)
}

/// In whole seconds, which is all that a Last-Modified header can carry.
pub(crate) fn last_modified(object: &Object) -> Timestamp {
    Timestamp::from(system_time(object.modified - object.modified.rem_euclid(1000)))
}

fn not_modified(object: &Object) -> S3Error {
    let mut error = s3_error!(NotModified);
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", object.etag)) {
        headers.insert(header::ETAG, etag);
    }
    error.set_headers(headers);
    error
}
