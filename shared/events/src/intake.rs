//! Reads what arrives in a queue or a request body: our own CloudEvents, and S3's notifications in the shapes that
//! stores give them, wrapped as often as services on the way wrapped them.
//!
//! Lenient in what it reads of a notification, since emulators leave fields out; strict in what it makes of it.

use chrono::{DateTime, Utc};
use cloudevents::{AttributesReader, Event};
use serde_json::Value;

use crate::binding::{self, Malformed};
use crate::message::{self, InvalidMessage, Message};
use crate::payload::{InvalidPayload, OBJECT_CREATED, ObjectCreated, Payload, SQS_MESSAGE};

/// So many layers may be around a notification. An SNS topic's message in a queue that Knative reads has three.
const MAX_DEPTH: usize = 6;

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("neither a CloudEvent nor an S3 notification")]
    UnknownShape,
    #[error("wrapped too often")]
    TooDeep,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Message(#[from] InvalidMessage),
}

impl Unreadable {
    /// Whether it is a proper event, only none that anybody here knows.
    pub fn is_unknown_type(&self) -> bool {
        let Self::Message(InvalidMessage::Payload(invalid)) = self else {
            return false;
        };
        matches!(invalid, InvalidPayload::UnknownType(_))
    }
}

/// All events in a JSON document: a CloudEvent in structured form, or a notification of S3's. None for S3's test event,
/// which only says that a notification was set up, and for what happens to objects beside their creation.
pub fn parse(body: &[u8]) -> Result<Vec<Message>, Unreadable> {
    unwrap(serde_json::from_slice(body)?, MAX_DEPTH)
}

/// All events in a CloudEvent: itself where it is one of ours, else those in the notification that it carries.
pub fn messages(event: &Event) -> Result<Vec<Message>, Unreadable> {
    carried(event, MAX_DEPTH)
}

/// Takes off one layer after the other. `depth` is how many more there may be.
fn unwrap(value: Value, depth: usize) -> Result<Vec<Message>, Unreadable> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Unreadable::TooDeep);
    };
    if let Value::String(text) = &value {
        return unwrap(serde_json::from_str(text)?, depth);
    }
    if value.get("specversion").is_some() {
        return carried(&binding::from_value(value)?, depth);
    }
    if value["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    if let Some(records) = value["Records"].as_array() {
        let each: Result<Vec<_>, _> = records.iter().map(|record| of_record(record, depth)).collect();
        return Ok(each?.into_iter().flatten().collect());
    }
    if value["Type"] == "Notification" {
        return unwrap(value["Message"].clone(), depth);
    }
    if value["source"] == "aws.s3" || value["detail-type"] == "Object Created" {
        return of_event_bridge(&value);
    }
    of_record(&value, depth)
}

fn carried(event: &Event, depth: usize) -> Result<Vec<Message>, Unreadable> {
    let ty = event.ty();
    if Payload::knows(ty) {
        match Message::try_from(event) {
            // An event of S3's type may carry the whole notification as well as the record.
            Err(InvalidMessage::Payload(InvalidPayload::UnknownType(_))) => {}
            own => return Ok(vec![own?]),
        }
    }
    let data = message::data(event).map_err(Unreadable::from);
    let inside = data.and_then(|data| unwrap(data, depth));
    let inside = inside.map_err(|error| if ty == SQS_MESSAGE { error } else { unknown(ty) })?;
    // The wrapping's id is no use: a queue that delivers again gives another one. Its trace may be.
    let trace = message::trace(event);
    let traced = |message: Message| {
        let trace = message.trace.or(trace);
        message.with_trace(trace)
    };
    Ok(inside.into_iter().map(traced).collect())
}

fn unknown(ty: &str) -> Unreadable {
    InvalidMessage::from(InvalidPayload::UnknownType(ty.to_owned())).into()
}

/// One record: of S3, or of a queue or a topic that carries a notification on.
fn of_record(record: &Value, depth: usize) -> Result<Vec<Message>, Unreadable> {
    if let Some(name) = record["eventName"].as_str().filter(|_| record["s3"].is_object()) {
        // MinIO says `s3:ObjectCreated:Put`, AWS leaves out the `s3:`.
        let Some(operation) = name.trim_start_matches("s3:").strip_prefix("ObjectCreated:") else {
            return Ok(Vec::new());
        };
        let object = object_of_record(operation, record).ok_or(Unreadable::UnknownShape)?;
        return Ok(vec![notification(object, &record["eventTime"])]);
    }
    let carried = [&record["body"], &record["Sns"]["Message"]];
    match carried.into_iter().find(|inside| inside.is_string()) {
        Some(inside) => unwrap(inside.clone(), depth),
        None => Err(Unreadable::UnknownShape),
    }
}

/// The object that a CloudEvent of S3's type tells of (CloudEvents adapter for AWS S3).
pub(crate) fn object_created(ty: &str, data: &Value) -> Option<ObjectCreated> {
    let operation = ty.strip_prefix(OBJECT_CREATED)?;
    match serde_json::from_value::<ObjectCreated>(data.clone()) {
        Ok(object) => Some(ObjectCreated {
            operation: operation.to_owned(),
            ..object
        }),
        Err(_) => object_of_record(operation, data),
    }
}

fn object_of_record(operation: &str, record: &Value) -> Option<ObjectCreated> {
    let object = &record["s3"]["object"];
    Some(ObjectCreated {
        operation: checked(operation)?,
        bucket: record["s3"]["bucket"]["name"].as_str()?.to_owned(),
        key: decode_key(object["key"].as_str()?),
        size: object["size"].as_u64(),
        etag: text(&object["eTag"]),
        sequencer: text(&object["sequencer"]),
    })
}

fn of_event_bridge(event: &Value) -> Result<Vec<Message>, Unreadable> {
    if event["detail-type"] != "Object Created" {
        return Ok(Vec::new());
    }
    let object = object_of_detail(&event["detail"]).ok_or(Unreadable::UnknownShape)?;
    Ok(vec![notification(object, &event["time"])])
}

fn object_of_detail(detail: &Value) -> Option<ObjectCreated> {
    let object = &detail["object"];
    Some(ObjectCreated {
        operation: checked(detail["reason"].as_str().unwrap_or("Put"))?,
        bucket: detail["bucket"]["name"].as_str()?.to_owned(),
        // EventBridge, unlike the notifications, does not encode the key.
        key: object["key"].as_str()?.to_owned(),
        size: object["size"].as_u64(),
        etag: text(&object["etag"]),
        sequencer: text(&object["sequencer"]),
    })
}

/// What becomes part of an event's type.
fn checked(operation: &str) -> Option<String> {
    binding::is_string(operation).then(|| operation.to_owned())
}

fn notification(object: ObjectCreated, at: &Value) -> Message {
    let source = format!("aws:s3.{}", binding::encode_value(&object.bucket));
    let at = at.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let payload = Payload::ObjectCreated(object);
    Message {
        id: payload.id(),
        source,
        time: at.map_or_else(Utc::now, DateTime::<Utc>::from),
        trace: None,
        payload,
    }
}

/// Form-decodes once: stores write a space as `+` or `%20`, and some a slash as `%2F`.
fn decode_key(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
