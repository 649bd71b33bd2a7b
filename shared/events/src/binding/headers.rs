//! Binary mode: attributes are headers, the body is the data (binding 3.1).

use std::borrow::Cow;

use cloudevents::event::{AttributeValue, ExtensionValue};
use cloudevents::{AttributesReader, Data, Event};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS};

use super::attributes::{Attributes, Malformed, check_name};
use super::media::MediaType;

const PREFIX: &str = "ce-";
/// What never stands in a header as it is (3.1.3.2). Beyond ASCII everything is encoded anyway.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The event in a request in binary mode. Data of a JSON type have to be JSON; no data and an empty body are the same.
pub fn from_binary(headers: &HeaderMap, body: &[u8]) -> Result<Event, Malformed> {
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        // 3.1.1: Content-Type alone says what the data are.
        if name == "datacontenttype" {
            return Err(Malformed::Shape("the media type of the data as Content-Type"));
        }
        attributes.add(name, ExtensionValue::String(decode_value(name, value)?))?;
    }
    let content_type = headers.get_all(header::CONTENT_TYPE).iter();
    for value in content_type.filter(|value| !value.is_empty()) {
        let text = value
            .to_str()
            .map_err(|_| Malformed::Shape("a Content-Type of ASCII"))?;
        attributes.add("datacontenttype", ExtensionValue::from(text))?;
    }
    let mut event = attributes.into_event()?;
    if !body.is_empty() {
        let media = event.datacontenttype().and_then(MediaType::parse);
        let data = match media {
            Some(media) if media.is_json() => Data::Json(serde_json::from_slice(body)?),
            _ => Data::Binary(body.to_vec()),
        };
        event.set_data_unchecked(data);
    }
    Ok(event)
}

/// Headers and body of a request in binary mode.
pub fn to_binary(event: &Event) -> Result<(HeaderMap, Vec<u8>), Malformed> {
    let mut headers = HeaderMap::new();
    for (name, value) in event.iter().filter(|(name, _)| *name != "datacontenttype") {
        check_name(name)?;
        let header = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes());
        let header = header.map_err(|_| Malformed::Name(name.to_owned()))?;
        headers.insert(header, encoded(&value)?);
    }
    let (implied, body) = match event.data() {
        None => (None, Vec::new()),
        // JSON format 3.1.2: what was implied there is said here.
        Some(Data::Json(value)) => (Some("application/json"), serde_json::to_vec(value)?),
        Some(Data::String(text)) => (None, text.clone().into_bytes()),
        Some(Data::Binary(bytes)) => (None, bytes.clone()),
    };
    if let Some(content_type) = event.datacontenttype().or(implied) {
        let value = HeaderValue::from_str(content_type).map_err(|_| Malformed::Shape("a media type"))?;
        headers.insert(header::CONTENT_TYPE, value);
    }
    Ok((headers, body))
}

fn encoded(value: &AttributeValue<'_>) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_str(&encode_value(&value.to_string())).map_err(|_| Malformed::Shape("a value for a header"))
}

/// An attribute's value as it stands in a header: printable ASCII, whatever it is.
pub fn encode_value(value: &str) -> Cow<'_, str> {
    percent_encoding::utf8_percent_encode(value, ENCODED).into()
}

/// First quoted strings are undone, then one round of percent-encoding. A `%` that encodes nothing stands for itself:
/// older senders encode nothing at all. Raw UTF-8 is taken.
fn decode_value(name: &str, value: &HeaderValue) -> Result<String, Malformed> {
    let invalid = |why| Malformed::Attribute {
        name: name.to_owned(),
        why,
    };
    let bytes = unquote(value.as_bytes()).ok_or_else(|| invalid("begins a quoted string that does not end"))?;
    let decoded: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
    String::from_utf8(decoded).map_err(|_| invalid("is not UTF-8"))
}

/// RFC 7230 3.2.6. None where a quoted string does not end.
fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(value.len());
    let mut quoted = false;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => plain.push(bytes.next()?),
            other => plain.push(other),
        }
    }
    (!quoted).then_some(plain)
}
