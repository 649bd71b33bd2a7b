//! Reads what arrives in a queue or a request body: our own CloudEvents, and S3's notifications in the shapes that
//! stores give them.
//!
//! Lenient in what it reads of a notification, since emulators leave fields out; strict in what it makes of it.

use chrono::Utc;
use cloudevents::Event;
use serde_json::Value;

use crate::message::{InvalidMessage, Message};
use crate::payload::{OBJECT_CREATED, ObjectCreated, Payload};

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("neither a CloudEvent nor an S3 notification")]
    UnknownShape,
    #[error(transparent)]
    Message(#[from] InvalidMessage),
}

/// All events in a JSON document. None for S3's test event, which only says that a notification was set up.
pub fn parse(body: &[u8]) -> Result<Vec<Message>, Unreadable> {
    let value: Value = serde_json::from_slice(body)?;
    if value.get("specversion").is_some() {
        let event: Event = serde_json::from_value(value)?;
        return Ok(vec![Message::try_from(event)?]);
    }
    if value["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    if let Some(records) = value["Records"].as_array() {
        return Ok(records.iter().filter_map(record).map(notification).collect());
    }
    if value["detail-type"] == "Object Created" {
        let object = event_bridge(&value["detail"]).ok_or(Unreadable::UnknownShape)?;
        return Ok(vec![notification(object)]);
    }
    Err(Unreadable::UnknownShape)
}

/// The object that a CloudEvent of S3's type tells of (CloudEvents adapter for AWS S3).
pub(crate) fn object_created(ty: &str, data: &Value) -> Option<ObjectCreated> {
    let operation = ty.strip_prefix(OBJECT_CREATED)?;
    match serde_json::from_value(data.clone()) {
        Ok(object) => Some(object),
        Err(_) => object_of_record(operation, data),
    }
}

fn record(record: &Value) -> Option<ObjectCreated> {
    // MinIO says `s3:ObjectCreated:Put`, AWS leaves out the `s3:`.
    let name = record["eventName"].as_str()?;
    let operation = name.trim_start_matches("s3:").strip_prefix("ObjectCreated:")?;
    object_of_record(operation, record)
}

fn object_of_record(operation: &str, record: &Value) -> Option<ObjectCreated> {
    let object = &record["s3"]["object"];
    Some(ObjectCreated {
        operation: operation.to_owned(),
        bucket: record["s3"]["bucket"]["name"].as_str()?.to_owned(),
        key: decode_key(object["key"].as_str()?),
        size: object["size"].as_u64(),
        etag: text(&object["eTag"]),
        sequencer: text(&object["sequencer"]),
    })
}

fn event_bridge(detail: &Value) -> Option<ObjectCreated> {
    let object = &detail["object"];
    Some(ObjectCreated {
        operation: detail["reason"].as_str().unwrap_or("Put").to_owned(),
        bucket: detail["bucket"]["name"].as_str()?.to_owned(),
        // EventBridge, unlike the notifications, does not encode the key.
        key: object["key"].as_str()?.to_owned(),
        size: object["size"].as_u64(),
        etag: text(&object["etag"]),
        sequencer: text(&object["sequencer"]),
    })
}

fn notification(object: ObjectCreated) -> Message {
    let source = format!("aws:s3.{}", object.bucket);
    let payload = Payload::ObjectCreated(object);
    Message {
        id: payload.id(),
        source,
        time: Utc::now(),
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
mod tests {
    use super::*;
    use serde_json::json;

    fn only(body: &Value) -> ObjectCreated {
        let mut messages = parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(messages.len(), 1);
        match messages.remove(0).payload {
            Payload::ObjectCreated(object) => object,
            other => panic!("{other:?}"),
        }
    }

    fn aws(event_name: &str, key: &str) -> Value {
        json!({"Records": [{"eventSource": "aws:s3", "eventName": event_name,
            "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 3, "eTag": "e", "sequencer": "01"}}}]})
    }

    #[test]
    fn keys_are_decoded_in_every_spelling() {
        for key in ["uploads/a+b", "uploads/a%20b", "uploads%2Fa+b"] {
            assert_eq!(only(&aws("ObjectCreated:Put", key)).key, "uploads/a b");
        }
    }

    #[test]
    fn minio_says_s3_in_front() {
        let object = only(&aws("s3:ObjectCreated:CompleteMultipartUpload", "k"));
        assert_eq!(object.operation, "CompleteMultipartUpload");
    }

    #[test]
    fn event_bridge_is_read() {
        let body = json!({"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "reason": "PutObject",
            "object": {"key": "a+b", "size": 1, "etag": "e"}}});
        assert_eq!(only(&body).key, "a+b");
    }

    #[test]
    fn removals_and_the_test_event_start_nothing() {
        assert_eq!(parse(br#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#).unwrap(), []);
        assert_eq!(
            parse(aws("ObjectRemoved:Delete", "k").to_string().as_bytes()).unwrap(),
            []
        );
    }

    #[test]
    fn anything_else_is_unreadable() {
        for body in ["", "[]", "{}", "null", "{\"specversion\":\"1.0\"}", "{\"Records\":1}"] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
