//! The HTTP protocol binding of CloudEvents 1.0 (spec repository, `cloudevents/bindings/http-protocol-binding.md`): what a
//! request carries, and the headers and bodies that carry an event.
//!
//! Pure: headers and bytes in, events out, and back. `cloudevents-sdk` gives the event's type and writes its JSON; what it
//! takes and makes of headers, media types and names is not what the specification says, so that is done here.
//!
//! Strict where the specification says MUST, with one exception: whether `source` is a URI-reference is not looked at.
//! Senders that do not percent-encode would be refused for a `%20` in it, which reads as a space here.

mod attributes;
mod headers;
mod json;
mod media;

pub use attributes::{Malformed, check_extension};
pub use cloudevents::event::ExtensionValue;
pub use cloudevents::{AttributesReader, Data, Event};
pub use headers::{encode_value, from_binary, to_binary};
pub use json::{from_batch, from_structured, from_value, to_structured};

pub(crate) use attributes::is_string;

use http::{HeaderMap, header};
use media::MediaType;

/// The media type of one event in structured mode (JSON format 3).
pub const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// How a request carries its events (binding 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Structured,
    Batched,
    Binary,
    /// No CloudEvent by its headers, and a body that may be JSON: what a store or a connector posts.
    Plain,
}

/// A media type that nobody here reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not taken here, only CloudEvents and JSON")]
pub struct Unsupported(String);

/// How these headers say that the body is to be read.
pub fn mode(headers: &HeaderMap) -> Result<Mode, Unsupported> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes().trim_ascii());
    let given = given.filter(|value| !value.is_empty()).map(String::from_utf8_lossy);
    let media = given.as_deref().and_then(MediaType::parse);
    let essence = media.as_ref().map_or("", MediaType::essence);
    match essence {
        "application/cloudevents+json" => return Ok(Mode::Structured),
        "application/cloudevents-batch+json" => return Ok(Mode::Batched),
        _ => {}
    }
    if !essence.starts_with("application/cloudevents") && is_binary(headers) {
        return Ok(Mode::Binary);
    }
    let plain = match &media {
        Some(media) => media.is_json() || media.essence() == "text/plain",
        None => given.is_none(),
    };
    if plain && !essence.starts_with("application/cloudevents") {
        return Ok(Mode::Plain);
    }
    Err(Unsupported(given.unwrap_or_default().into_owned()))
}

/// Whoever sends one of the required attributes as a header means a CloudEvent.
fn is_binary(headers: &HeaderMap) -> bool {
    ["ce-specversion", "ce-id", "ce-source", "ce-type"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests;
