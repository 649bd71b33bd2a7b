//! Receiving in structured mode (binding 3.2, JSON 2 and 3).

use serde_json::{Value, json};
use toktik_events::binding::{AttributesReader, Data};

use super::{Host, event};

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_the_media_type_is_matched_in_any_case_and_with_any_parameters() {
    let host = Host::open().await;
    let spellings = [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON;Charset=\"UTF-8\"",
        "APPLICATION/CLOUDEVENTS+JSON ; x=y",
    ];
    for (number, media) in spellings.iter().enumerate() {
        let event = event(&number.to_string(), json!({}));
        host.post(&[("content-type", media)], event.to_string()).await.done();
    }
    assert_eq!(host.ids(), ["0", "1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_all_attributes_and_extensions_are_members() {
    let host = Host::open().await;
    let more = json!({"subject": "Zürich €", "time": "2018-04-05T17:31:00Z", "dataschema": "https://example.com/x",
        "datacontenttype": "application/json", "text": "t", "flag": true, "number": -5, "data": {"a": [1, null]}});
    host.structured(&event("A234", more)).await.done();
    let event = host.event();
    assert_eq!((event.id(), event.subject()), ("A234", Some("Zürich €")));
    assert_eq!(event.time().unwrap().to_rfc3339(), "2018-04-05T17:31:00+00:00");
    let extension = |name| event.extension(name).unwrap().to_string();
    assert_eq!(
        (extension("text"), extension("flag"), extension("number")),
        ("t".into(), "true".into(), "-5".into())
    );
    assert_eq!(event.data(), Some(&Data::Json(json!({"a": [1, null]}))));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_2_2_null_is_as_good_as_absent() {
    let host = Host::open().await;
    let mut given = event("1", json!({}));
    for name in ["subject", "time", "dataschema", "datacontenttype", "extension"] {
        given[name] = Value::Null;
    }
    host.structured(&given).await.done();
    let event = host.event();
    assert_eq!(
        (event.subject(), event.time(), event.datacontenttype()),
        (None, None, None)
    );
    assert_eq!(event.iter_extensions().count(), 0);
}

/// The data of an event that was sent with these members.
async fn data(more: Value) -> Option<Data> {
    let host = Host::open().await;
    host.structured(&event("1", more)).await.done();
    host.event().data().cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_1_2_a_json_string_is_a_string_and_not_parsed_again() {
    assert_eq!(
        data(json!({"data": "{}"})).await,
        Some(Data::Json(json!("{}"))),
        "without a media type"
    );
    let declared = json!({"data": "{}", "datacontenttype": "application/vnd.x+json; charset=utf-8"});
    assert_eq!(data(declared).await, Some(Data::Json(json!("{}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn core_the_media_type_of_data_is_read_in_any_case() {
    let shouted = json!({"data": {"a": 1}, "datacontenttype": "APPLICATION/JSON; CHARSET=UTF-8"});
    assert_eq!(data(shouted).await, Some(Data::Json(json!({"a": 1}))));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_1_2_data_base64_are_bytes_and_no_assumption_is_made_of_them() {
    let bytes = Some(Data::Binary(b"{ \"xyz\": 123 }".to_vec()));
    assert_eq!(data(json!({"data_base64": "eyAieHl6IjogMTIzIH0="})).await, bytes);
    let declared = json!({"data_base64": "eyAieHl6IjogMTIzIH0=", "datacontenttype": "image/png"});
    assert_eq!(data(declared).await, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_1_1_a_null_payload_is_no_absent_payload() {
    assert_eq!(data(json!({"data": null})).await, Some(Data::Json(Value::Null)));
    assert_eq!(data(json!({})).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_1_other_data_are_strings() {
    let xml = json!({"data": "<much wow=\"xml\"/>", "datacontenttype": "application/xml"});
    assert_eq!(data(xml).await, Some(Data::String("<much wow=\"xml\"/>".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_2_3_the_payload_counts_where_headers_repeat_it() {
    let host = Host::open().await;
    let headers = [
        ("content-type", "application/cloudevents+json"),
        ("ce-id", "another"),
        ("ce-specversion", "1.0"),
        ("ce-other", "x"),
    ];
    host.post(&headers, event("1", json!({})).to_string()).await.done();
    assert_eq!(host.event().id(), "1");
    assert_eq!(host.event().extension("other"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_ours_in_base64_is_handled() {
    let host = Host::open().await;
    let base64 = "eyJ2aWRlb19pZCI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIiwiZ2VuZXJhdGlvbiI6MX0=";
    let more =
        json!({"type": "toktik.video.uploaded.v1", "datacontenttype": "application/json", "data_base64": base64});
    host.structured(&event("1", more)).await.done();
    assert_eq!(host.handled()[0].payload.ty(), "toktik.video.uploaded.v1");
}
