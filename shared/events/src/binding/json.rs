//! Structured and batched mode: the JSON event format (spec repository, `cloudevents/formats/json-format.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Data, Event};
use serde_json::Value;

use super::attributes::{Attributes, Malformed, check_name, check_value};
use super::media::MediaType;

/// The event in the body of a request in structured mode.
pub fn from_structured(body: &[u8]) -> Result<Event, Malformed> {
    from_value(serde_json::from_slice(body)?)
}

/// All events of a batch, or none: one that is malformed makes the batch so.
pub fn from_batch(body: &[u8]) -> Result<Vec<Event>, Malformed> {
    match serde_json::from_slice(body)? {
        Value::Array(events) => events.into_iter().map(from_value).collect(),
        _ => Err(Malformed::Shape("an array of events")),
    }
}

/// The event that is this JSON object.
pub fn from_value(value: Value) -> Result<Event, Malformed> {
    let Value::Object(mut members) = value else {
        return Err(Malformed::Shape("a JSON object"));
    };
    let data = members.remove("data");
    let base64 = members.remove("data_base64").filter(|value| !value.is_null());
    let mut attributes = Attributes::default();
    for (name, value) in members {
        // 2.2: null is as good as absent.
        if !value.is_null() {
            attributes.add(&name, attribute(&name, value)?)?;
        }
    }
    let mut event = attributes.into_event()?;
    let data = match (data, base64) {
        (Some(_), Some(_)) => return Err(Malformed::Data("are given twice")),
        (None, Some(encoded)) => Some(Data::Binary(bytes(&encoded)?)),
        (Some(Value::String(text)), None) if !declares_json(&event) => Some(Data::String(text)),
        (Some(value), None) => Some(Data::Json(value)),
        (None, None) => None,
    };
    if let Some(data) = data {
        event.set_data_unchecked(data);
    }
    Ok(event)
}

/// The body of a request in structured mode.
pub fn to_structured(event: &Event) -> Result<String, Malformed> {
    for (name, value) in event.iter_extensions() {
        check_name(name)?;
        check_value(name, value)?;
    }
    Ok(serde_json::to_string(event)?)
}

fn attribute(name: &str, value: Value) -> Result<ExtensionValue, Malformed> {
    match value {
        Value::String(text) => Ok(ExtensionValue::String(text)),
        Value::Bool(flag) => Ok(ExtensionValue::Boolean(flag)),
        Value::Number(number) if number.is_i64() => Ok(ExtensionValue::Integer(number.as_i64().unwrap_or_default())),
        _ => Err(Malformed::Attribute {
            name: name.to_owned(),
            why: "is neither a string nor a boolean nor a whole number",
        }),
    }
}

/// 3.1.2: without a media type, `data` are JSON.
fn declares_json(event: &Event) -> bool {
    let media = event.datacontenttype().and_then(MediaType::parse);
    media.is_none_or(|media| media.is_json())
}

fn bytes(encoded: &Value) -> Result<Vec<u8>, Malformed> {
    let decoded = encoded.as_str().and_then(|text| BASE64.decode(text).ok());
    decoded.ok_or(Malformed::Data("are not base64"))
}
