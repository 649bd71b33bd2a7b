//! What stores, queues and connectors post that is no CloudEvent, or is in one.

use serde_json::{Value, json};
use toktik_events::Payload;
use toktik_events::payload::SQS_MESSAGE;

use super::{Host, event};

fn notification() -> Value {
    json!({"EventName": "s3:ObjectCreated:Put", "Key": "b/uploads/x", "Records": [
        {"eventSource": "minio:s3", "awsRegion": "", "eventName": "s3:ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "uploads%2Fx+y", "sequencer": "01"}}},
        {"eventSource": "aws:s3", "eventName": "ObjectCreated:Copy",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "uploads/z", "sequencer": "02"}}}]})
}

#[track_caller]
fn handled_both(host: &Host) {
    let keys: Vec<String> = host
        .handled()
        .into_iter()
        .map(|message| match message.payload {
            Payload::ObjectCreated(object) => object.key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["uploads/x y", "uploads/z"]);
    assert_eq!(host.ids(), ["b/uploads/x%20y.01", "b/uploads/z.02"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_taken_as_json_as_text_and_as_nothing_in_particular() {
    for headers in [
        &[("content-type", "application/json")][..],
        &[("content-type", "text/plain")],
        &[("content-type", "text/plain; charset=UTF-8")],
        &[("content-type", "")],
        &[],
    ] {
        let host = Host::open().await;
        host.post(headers, notification().to_string()).await.done();
        handled_both(&host);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_knative_read_from_sqs_is_unwrapped_in_either_mode() {
    let text = notification().to_string();
    for media in ["application/json", "text/plain", "application/octet-stream"] {
        let host = Host::open().await;
        host.binary(&[("ce-type", SQS_MESSAGE), ("content-type", media)], &text)
            .await
            .done();
        handled_both(&host);
    }
    for data in [
        json!(text),
        notification(),
        json!({"Type": "Notification", "Message": text}),
    ] {
        let host = Host::open().await;
        host.structured(&event("camel-1", json!({"type": SQS_MESSAGE, "data": data})))
            .await
            .done();
        handled_both(&host);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_posts_its_notification_as_text() {
    let host = Host::open().await;
    let body = json!({"Type": "Notification", "Message": notification().to_string()});
    let headers = [
        ("content-type", "text/plain; charset=UTF-8"),
        ("x-amz-sns-message-type", "Notification"),
    ];
    host.post(&headers, body.to_string()).await.done();
    handled_both(&host);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_bridge_is_taken_bare_and_as_the_data_of_an_event() {
    let bare = json!({"detail-type": "Object Created", "source": "aws.s3", "detail": {"reason": "PutObject",
        "bucket": {"name": "b"}, "object": {"key": "uploads/x", "sequencer": "01"}}});
    let host = Host::open().await;
    host.post(&[("content-type", "application/json")], bare.to_string())
        .await
        .done();
    host.structured(&event("1", json!({"type": "aws.s3.object", "data": bare})))
        .await
        .done();
    assert_eq!(host.ids(), ["b/uploads/x.01", "b/uploads/x.01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_for_s3_gives_the_record() {
    let host = Host::open().await;
    let record = notification()["Records"][1].take();
    let more =
        json!({"type": "com.amazonaws.s3.ObjectCreated:Copy", "source": "aws:s3.eu-central-1.b", "data": record});
    host.structured(&event("request.id", more)).await.done();
    assert_eq!(host.ids(), ["request.id"]);
    assert_eq!(host.handled()[0].payload.ty(), "com.amazonaws.s3.ObjectCreated:Copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_event_is_acknowledged_and_starts_nothing() {
    let host = Host::open().await;
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"});
    host.post(&[("content-type", "application/json")], test.to_string())
        .await
        .done();
    host.structured(&event("1", json!({"type": SQS_MESSAGE, "data": test.to_string()})))
        .await
        .done();
    let sns = json!({"Type": "Notification", "Message": test.to_string()});
    host.post(&[("content-type", "text/plain")], sns.to_string())
        .await
        .done();
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_names_no_object_is_refused_with_all_others() {
    let host = Host::open().await;
    let mut body = notification();
    body["Records"][1]["s3"]["object"]["key"] = Value::Null;
    host.post(&[("content-type", "application/json")], body.to_string())
        .await
        .problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structured_event_is_one_under_any_json_media_type() {
    let host = Host::open().await;
    let data = json!({"video_id": "00000000000000000000000000000000", "generation": 1});
    let event = event("1", json!({"type": "toktik.video.uploaded.v1", "data": data}));
    for media in ["application/json", "text/plain"] {
        host.post(&[("content-type", media)], event.to_string()).await.done();
    }
    assert_eq!(host.ids(), ["1", "1"]);
}
