//! Receiving in binary mode (binding 3.1).

use toktik_events::binding::{AttributesReader, Data};

use super::Host;

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_1_content_type_is_the_datacontenttype_and_the_body_the_data() {
    for (media, data) in [
        (
            "application/json; charset=utf-8",
            Data::Json(serde_json::json!({"a": 1})),
        ),
        ("video/mp4", Data::Binary(br#"{"a": 1}"#.to_vec())),
        ("text/plain", Data::Binary(br#"{"a": 1}"#.to_vec())),
    ] {
        let host = Host::open().await;
        host.binary(&[("content-type", media)], r#"{"a": 1}"#).await.done();
        let event = host.event();
        assert_eq!(event.datacontenttype(), Some(media));
        assert_eq!(event.data(), Some(&data), "3.1.2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_1_nothing_is_assumed_of_data_without_a_media_type() {
    let host = Host::open().await;
    host.binary(&[], r#"{"a": 1}"#).await.done();
    let event = host.event();
    assert_eq!(event.datacontenttype(), None);
    assert_eq!(event.data(), Some(&Data::Binary(br#"{"a": 1}"#.to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_1_no_second_datacontenttype_beside_content_type() {
    let host = Host::open().await;
    for media in ["application/json", "text/plain"] {
        let both = [("content-type", "application/json"), ("ce-datacontenttype", media)];
        host.binary(&both, "{}").await.problem(400, "malformed");
    }
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_data_are_optional() {
    let host = Host::open().await;
    host.binary(&[], "").await.done();
    assert_eq!(host.event().data(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_all_attributes_and_extensions_come_from_headers_of_any_case() {
    let host = Host::open().await;
    let headers = [
        ("CE-SpecVersion", "1.0"),
        ("Ce-Id", "A234"),
        ("ce-SOURCE", "https://example.com/s"),
        ("cE-tYpE", "com.example.x"),
        ("CE-Subject", "s"),
        ("CE-Time", "2018-04-05T17:31:00.5+02:00"),
        ("CE-DataSchema", "https://example.com/schema"),
        ("CE-ComExampleExtension1", "value"),
        ("CE-1", "digits"),
        ("X-Other", "not an attribute"),
    ];
    host.post(&headers, "").await.done();
    let event = host.event();
    assert_eq!((event.id(), event.source().as_str()), ("A234", "https://example.com/s"));
    assert_eq!((event.ty(), event.subject()), ("com.example.x", Some("s")));
    assert_eq!(event.time().unwrap().to_rfc3339(), "2018-04-05T15:31:00.500+00:00");
    assert_eq!(event.dataschema().unwrap().as_str(), "https://example.com/schema");
    let mut extensions: Vec<_> = event
        .iter_extensions()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    extensions.sort();
    assert_eq!(extensions, ["1=digits", "comexampleextension1=value"]);
}

/// What the header `ce-subject` says when it is written so.
async fn subject(host: &Host, value: &str) -> Option<String> {
    host.recorder.events.lock().unwrap().clear();
    let reply = host.binary(&[("ce-subject", value)], "").await;
    if reply.status != 204 {
        reply.problem(400, "malformed");
        assert!(host.recorder.events.lock().unwrap().is_empty());
        return None;
    }
    host.event().subject().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_2_one_round_of_percent_decoding_in_either_case() {
    let host = Host::open().await;
    for (written, meant) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("euro%20%e2%82%ac", "euro €"),
        ("%22quoted%22", "\"quoted\""),
        ("%2520", "%20"),
    ] {
        assert_eq!(subject(&host, written).await.as_deref(), Some(meant), "{written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_2_what_was_encoded_needlessly_is_accepted() {
    let host = Host::open().await;
    assert_eq!(subject(&host, "%61%62%63%2D%7E").await.as_deref(), Some("abc-~"));
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_2_quoted_strings_are_undone_first() {
    let host = Host::open().await;
    for (written, meant) in [
        (r#""a quoted value""#, "a quoted value"),
        (r#""with \"quotes\" and \\""#, r#"with "quotes" and \"#),
        (r#""quoted%20and encoded""#, "quoted and encoded"),
        (r#""\%20""#, " "),
    ] {
        assert_eq!(subject(&host, written).await.as_deref(), Some(meant), "{written}");
    }
    assert_eq!(subject(&host, "\"without an end").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_2_bytes_that_are_no_utf_8_are_rejected() {
    let host = Host::open().await;
    for written in ["%C0%A0", "%FF", "%E2%82", "%ED%A0%80"] {
        assert_eq!(subject(&host, written).await, None, "{written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_utf_8_in_a_header_is_taken_from_senders_that_do_not_encode() {
    let host = Host::open().await;
    assert_eq!(
        subject(&host, "Zürich und 100% mehr").await.as_deref(),
        Some("Zürich und 100% mehr")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_ours_is_handled_with_its_trace() {
    let host = Host::open().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("ce-type", "toktik.video.uploaded.v1"),
        ("content-type", "application/json"),
        ("ce-traceparent", trace),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let data = r#"{"video_id":"00000000000000000000000000000000","generation":1}"#;
    host.binary(&headers, data).await.done();
    assert_eq!(
        host.handled()[0].trace.unwrap().to_string(),
        trace,
        "not that of the hop"
    );

    host.binary(&headers[..2], data).await.done();
    assert_eq!(host.handled()[1].trace, None);
    let hop = [headers[0], headers[1], headers[3]];
    host.binary(&hop, data).await.done();
    assert_eq!(host.handled()[2].trace.unwrap().to_string(), headers[3].1);
}
