use super::*;
use crate::payload::Clip;
use crate::routes::Function;
use crate::{TraceParent, VideoId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

fn objects(body: &Value) -> Vec<ObjectCreated> {
    let object = |message: Message| match message.payload {
        Payload::ObjectCreated(object) => object,
        other => panic!("{other:?}"),
    };
    let messages = parse(body.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    messages.into_iter().map(object).collect()
}

fn only(body: &Value) -> ObjectCreated {
    let [object] = objects(body).try_into().unwrap();
    object
}

fn record(event_name: &str, key: &str) -> Value {
    json!({"eventSource": "aws:s3", "eventName": event_name, "eventTime": "2026-03-01T12:00:00.000Z",
        "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 3, "eTag": "e", "sequencer": "01"}}})
}

fn aws(event_name: &str, key: &str) -> Value {
    json!({ "Records": [record(event_name, key)] })
}

fn event_bridge(key: &str) -> Value {
    json!({"version": "0", "id": "x", "detail-type": "Object Created", "source": "aws.s3", "time": "2026-03-01T12:00:00Z",
        "detail": {"bucket": {"name": "b"}, "reason": "PutObject",
            "object": {"key": key, "size": 3, "etag": "e", "sequencer": "01"}}})
}

fn event(ty: &str, more: &Value) -> Value {
    let mut event =
        json!({"specversion": "1.0", "id": "camel-1", "source": "dev.knative.eventing.aws-sqs-source", "type": ty});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn sns(message: &Value) -> Value {
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": message.to_string(),
        "Timestamp": "2026-03-01T12:00:00.000Z", "SignatureVersion": "1"})
}

/// Everything that services on the way put around a notification.
fn wrappings(inner: &Value) -> Vec<Value> {
    let text = inner.to_string();
    let base64 = BASE64.encode(&text);
    let sqs = |more: Value| event(SQS_MESSAGE, &more);
    vec![
        inner.clone(),
        json!(text),
        sns(inner),
        sqs(json!({"data": text})),
        sqs(json!({"data": inner})),
        sqs(json!({"data_base64": base64})),
        sqs(json!({"data_base64": base64, "datacontenttype": "application/json"})),
        sqs(json!({"data": text, "datacontenttype": "text/plain"})),
        sqs(json!({"data": sns(inner).to_string()})),
        sqs(json!({"data": sns(inner)})),
        event("com.example.anything", &json!({ "data": inner })),
        json!({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": text}]}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": sns(inner).to_string()}]}),
        json!({"Records": [{"EventSource": "aws:sns", "Sns": sns(inner)}]}),
    ]
}

fn shapes(key: &str) -> Vec<Value> {
    let minio = json!({"EventName": "s3:ObjectCreated:Put", "Key": format!("b/{key}"),
        "Records": [record("s3:ObjectCreated:Put", key)]});
    vec![
        aws("ObjectCreated:Put", key),
        minio,
        event_bridge(key),
        record("ObjectCreated:Put", key),
    ]
}

#[test]
fn every_shape_is_read_in_every_wrapping() {
    for shape in shapes("uploads/k") {
        for wrapped in wrappings(&shape) {
            let object = only(&wrapped);
            assert_eq!(
                (object.bucket.as_str(), object.key.as_str()),
                ("b", "uploads/k"),
                "{wrapped}"
            );
            assert_eq!((object.size, object.etag.as_deref()), (Some(3), Some("e")), "{wrapped}");
        }
    }
}

#[test]
fn the_id_is_ours_whatever_is_wrapped_around() {
    for shape in shapes("uploads/k") {
        for wrapped in wrappings(&shape) {
            let [message] = parse(wrapped.to_string().as_bytes()).unwrap().try_into().unwrap();
            assert_eq!(message.id, "b/uploads/k.01", "{wrapped}");
            assert_eq!(message.time.to_rfc3339(), "2026-03-01T12:00:00+00:00", "{wrapped}");
        }
    }
}

#[test]
fn the_test_event_starts_nothing_in_any_wrapping() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "RequestId": "r"});
    for wrapped in wrappings(&test) {
        assert_eq!(objects(&wrapped), [], "{wrapped}");
    }
}

#[test]
fn several_records_are_several_events() {
    let body = json!({"Records": [record("ObjectCreated:Put", "a"), record("ObjectRemoved:Delete", "b"),
        record("ObjectCreated:Copy", "c")]});
    for wrapped in wrappings(&body) {
        let keys: Vec<String> = objects(&wrapped).into_iter().map(|object| object.key).collect();
        assert_eq!(keys, ["a", "c"], "{wrapped}");
    }
}

#[test]
fn the_adapter_of_cloudevents_is_read_with_its_record_or_the_whole_notification() {
    let ty = "com.amazonaws.s3.ObjectCreated:Put";
    let data = [
        record("ObjectCreated:Put", "uploads/a+b"),
        aws("ObjectCreated:Put", "uploads/a+b"),
    ];
    for data in data {
        assert_eq!(only(&event(ty, &json!({ "data": data }))).key, "uploads/a b");
    }
    let own = json!({"operation": "Put", "bucket": "b", "key": "uploads/a+b"});
    assert_eq!(only(&event(ty, &json!({ "data": own }))).key, "uploads/a+b");
}

#[test]
fn an_event_of_ours_is_itself_in_a_queue_that_knative_reads() {
    let clip = Clip {
        video_id: VideoId::derived("x"),
        generation: 1,
    };
    let message =
        Message::new(Function::Upload, Utc::now(), Payload::Uploaded(clip)).with_trace(Some(TraceParent::root()));
    let wrapped = event(SQS_MESSAGE, &json!({"data": message.to_json().unwrap()}));
    assert_eq!(parse(wrapped.to_string().as_bytes()).unwrap(), [message]);
}

#[test]
fn the_trace_of_the_wrapping_is_taken_where_there_is_no_other() {
    let trace = TraceParent::root();
    let wrapped = event(
        SQS_MESSAGE,
        &json!({"data": aws("ObjectCreated:Put", "k"), "traceparent": trace.to_string()}),
    );
    assert_eq!(parse(wrapped.to_string().as_bytes()).unwrap()[0].trace, Some(trace));
}

#[test]
fn keys_are_decoded_in_every_spelling() {
    for key in ["uploads/a+b", "uploads/a%20b", "uploads%2Fa+b"] {
        assert_eq!(only(&aws("ObjectCreated:Put", key)).key, "uploads/a b");
    }
    assert_eq!(only(&event_bridge("a+b")).key, "a+b", "EventBridge encodes nothing");
}

#[test]
fn minio_says_s3_in_front() {
    let object = only(&aws("s3:ObjectCreated:CompleteMultipartUpload", "k"));
    assert_eq!(object.operation, "CompleteMultipartUpload");
}

#[test]
fn what_else_happens_to_objects_starts_nothing() {
    let mut deleted = event_bridge("k");
    deleted["detail-type"] = json!("Object Deleted");
    for body in [
        aws("ObjectRemoved:Delete", "k"),
        aws("s3:ObjectAccessed:Get", "k"),
        deleted,
    ] {
        assert_eq!(objects(&body), [], "{body}");
    }
}

#[test]
fn anything_else_is_unreadable() {
    let bodies = [
        "",
        "[]",
        "{}",
        "null",
        "1",
        "\"\"",
        "\"text\"",
        r#"{"specversion":"1.0"}"#,
        r#"{"Records":1}"#,
        r#"{"Records":[{}]}"#,
        r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"}}}]}"#,
        r#"{"Type":"Notification"}"#,
        r#"{"Type":"SubscriptionConfirmation","Message":"You have chosen to subscribe"}"#,
        r#"{"detail-type":"Object Created","detail":{}}"#,
    ];
    for body in bodies {
        assert!(parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn what_is_wrapped_for_ever_is_not_unwrapped_for_ever() {
    let mut body = aws("ObjectCreated:Put", "k");
    for _ in 0..MAX_DEPTH {
        body = sns(&body);
    }
    assert!(parse(body.to_string().as_bytes()).is_err());
}

#[test]
fn a_type_that_nobody_knows_is_told_from_one_that_is_broken() {
    let refused = |body: Value| parse(body.to_string().as_bytes()).unwrap_err().is_unknown_type();
    assert!(refused(event("com.example.x", &json!({"data": {"a": 1}}))));
    assert!(refused(event(
        "com.example.x",
        &json!({"data": "no JSON", "datacontenttype": "text/plain"})
    )));
    assert!(refused(event("com.example.x", &json!({}))));
    assert!(!refused(event(SQS_MESSAGE, &json!({"data": {"a": 1}}))));
    assert!(!refused(event("toktik.video.uploaded.v1", &json!({"data": {}}))));
    assert!(!refused(event("", &json!({}))));
}

#[test]
fn whatever_an_object_is_called_its_event_can_be_passed_on() {
    for key in ["a\u{1}b", "Zürich €", "", "%00", "\u{ffff}"] {
        let [message] = parse(event_bridge(key).to_string().as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        let again = parse(message.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(again, [message], "{key:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}

#[test]
fn knatives_clock_calls_the_janitor() {
    let ping = json!({"specversion": "1.0", "id": "1", "source": "/apis/v1/namespaces/toktik/pingsources/janitor",
        "type": "dev.knative.sources.ping", "datacontenttype": "application/json", "data": {}});
    let messages = parse(ping.to_string().as_bytes()).unwrap();
    assert_eq!(messages[0].payload, Payload::Tick);
    assert_eq!(messages.len(), 1);
}
