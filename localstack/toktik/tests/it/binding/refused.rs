//! What is no event is refused, and nothing of it is done.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Host, Reply, event, request};

const LIMIT: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn core_required_attributes_are_there_and_not_empty() {
    let host = Host::open().await;
    for name in ["id", "source", "specversion", "type"] {
        for value in [Value::Null, json!("")] {
            host.structured(&event("1", json!({ name: value })))
                .await
                .problem(400, "malformed");
        }
        host.binary(&[(&format!("ce-{name}"), "")], "")
            .await
            .problem(400, "malformed");
        let all = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ];
        let without: Vec<_> = all
            .into_iter()
            .filter(|(given, _)| *given != format!("ce-{name}"))
            .collect();
        host.post(&without, "").await.problem(400, "malformed");
    }
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_the_version_is_1_0() {
    let host = Host::open().await;
    for version in ["0.3", "1.1", "1", "1.0 ", "2.0"] {
        host.structured(&event("1", json!({"specversion": version})))
            .await
            .problem(400, "malformed");
    }
    for version in ["0.3", "1.1", "1", "2.0"] {
        host.binary(&[("ce-specversion", version)], "")
            .await
            .problem(400, "malformed");
    }
    host.structured(&event("1", json!({"specversion": 1.0})))
        .await
        .problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_names_are_of_small_letters_and_digits() {
    let host = Host::open().await;
    for name in ["with-dash", "with_underscore", "with.dot", "data"] {
        host.binary(&[(&format!("ce-{name}"), "x")], "")
            .await
            .problem(400, "malformed");
    }
    for name in ["with-dash", "with_underscore", "Capital", "", "ümlaut", "with space"] {
        host.structured(&event("1", json!({ name: "x" })))
            .await
            .problem(400, "malformed");
    }
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_optional_attributes_are_not_empty_and_of_their_type() {
    let host = Host::open().await;
    let bad = [
        ("subject", ""),
        ("time", "yesterday"),
        ("time", "2018-04-05"),
        ("time", "2018-04-05T17:31:00"),
        ("time", ""),
        ("dataschema", ""),
        ("dataschema", "no-uri"),
        ("datacontenttype", ""),
        ("datacontenttype", "json"),
        ("datacontenttype", "a b/c"),
    ];
    for (name, value) in bad {
        host.structured(&event("1", json!({ name: value })))
            .await
            .problem(400, "malformed");
        if name != "datacontenttype" {
            host.binary(&[(&format!("ce-{name}"), value)], "")
                .await
                .problem(400, "malformed");
        }
    }
    host.binary(&[("content-type", "json")], "")
        .await
        .problem(400, "malformed");
    host.structured(&event("1", json!({"subject": 5})))
        .await
        .problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_values_have_no_control_characters_and_whole_numbers_have_32_bits() {
    let host = Host::open().await;
    for value in ["a\u{0}b", "a\nb", "\u{7f}", "\u{85}", "\u{fdd0}", "\u{1ffff}"] {
        host.structured(&event("1", json!({ "extension": value })))
            .await
            .problem(400, "malformed");
    }
    host.binary(&[("ce-extension", "a%0Ab")], "")
        .await
        .problem(400, "malformed");
    for value in [json!(2_147_483_648_i64), json!(1.5), json!(1e3), json!([]), json!({})] {
        host.structured(&event("1", json!({ "extension": value })))
            .await
            .problem(400, "malformed");
    }
    host.handled_nothing();
    host.structured(&event("1", json!({"extension": 2_147_483_647})))
        .await
        .done();
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_1_3_an_attribute_is_one_header() {
    let host = Host::open().await;
    let twice = [("ce-subject", "a"), ("ce-subject", "b")];
    host.binary(&twice, "").await.problem(400, "malformed");
    host.binary(&[("ce-id", "1"), ("CE-ID", "1")], "")
        .await
        .problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_1_data_are_there_once_and_as_they_say() {
    let host = Host::open().await;
    host.structured(&event("1", json!({"data": 1, "data_base64": "MQ=="})))
        .await
        .problem(400, "malformed");
    host.structured(&event("1", json!({"data_base64": "not base64!"})))
        .await
        .problem(400, "malformed");
    host.structured(&event("1", json!({"data_base64": 1})))
        .await
        .problem(400, "malformed");
    let json = [("content-type", "application/json")];
    host.binary(&json, "I'm just a string").await.problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_event_is_malformed() {
    let host = Host::open().await;
    for body in ["", "{", "[]", "null", "1", "\"event\"", "{} {}", "\u{feff}{}"] {
        let structured = [("content-type", "application/cloudevents+json")];
        host.post(&structured, body).await.problem(400, "malformed");
    }
    for body in ["", "{", "{}", "no JSON at all"] {
        for media in ["application/json", "text/plain"] {
            host.post(&[("content-type", media)], body)
                .await
                .problem(400, "malformed");
        }
        host.post(&[], body).await.problem(400, "malformed");
    }
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_ours_has_our_data() {
    let host = Host::open().await;
    let uploaded = |data: Value| event("1", json!({"type": "toktik.video.uploaded.v1", "data": data}));
    host.structured(&uploaded(json!({}))).await.problem(400, "malformed");
    host.structured(&uploaded(json!({"video_id": "../x", "generation": 1})))
        .await
        .problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_nobody_knows_has_a_code_of_its_own() {
    let house = crate::harness::House::open().await;
    let handler = house.worker(toktik_events::Function::Probe).handler.clone();
    let context = house.context.clone();
    let stop = tokio_util::sync::CancellationToken::new();
    let router = toktik_runtime::server::events(toktik_events::Function::Probe, handler, context, None, stop);
    let request = axum::extract::Request::post("/").header("content-type", "application/cloudevents+json");
    let request = request
        .body(axum::body::Body::from(event("1", json!({})).to_string()))
        .unwrap();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = axum::body::to_bytes(response.into_body(), LIMIT).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "unknown_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_2_2_a_format_that_is_not_understood_is_415() {
    let host = Host::open().await;
    let body = event("1", json!({})).to_string();
    for media in [
        "application/cloudevents+avro",
        "application/cloudevents-batch+avro",
        "application/cloudevents",
        "video/mp4",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "rubbish",
    ] {
        host.post(&[("content-type", media)], &body)
            .await
            .problem(415, "unsupported_media_type");
    }
    let packed = [
        ("content-type", "application/cloudevents+json"),
        ("content-encoding", "gzip"),
    ];
    host.post(&packed, &body).await.problem(415, "unsupported_media_type");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_405_and_told_which_there_are() {
    let host = Host::open().await;
    let body = event("1", json!({})).to_string();
    for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let headers = [("content-type", "application/cloudevents+json")];
        let reply = host
            .send(&request(&format!("{method} / HTTP/1.1"), &headers, body.as_bytes()))
            .await;
        reply.problem(405, "method_not_allowed");
        assert!(
            reply.header("allow").split([',', ' ']).any(|allowed| allowed == "POST"),
            "{reply:?}"
        );
    }
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn core_consumers_accept_64_kib_and_this_one_a_mebibyte() {
    let host = Host::open().await;
    let empty = event("1", json!({"data": ""})).to_string().len();
    let of = |size: usize| event("1", json!({"data": "x".repeat(size - empty)}));
    for size in [64 * 1024, LIMIT] {
        host.structured(&of(size)).await.done();
    }
    host.structured(&of(LIMIT + 1)).await.problem(413, "too_large");
    assert_eq!(host.handled().len(), 2);
}

/// An event in one chunk and the first bytes of another.
fn chunked(body: &str) -> Vec<u8> {
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/cloudevents+json\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{body}\r\n5\r\nab", body.len()).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_handled_nowhere() {
    let host = Host::open().await;
    let body = event("1", json!({})).to_string();
    let mut cut = request(
        "POST / HTTP/1.1",
        &[("content-type", "application/cloudevents+json")],
        body.as_bytes(),
    );
    cut.truncate(cut.len() - 1);
    for bytes in [cut, chunked(&body)] {
        let mut stream = TcpStream::connect(&host.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        Reply::read(&mut stream).await.problem(400, "malformed");
    }
    host.handled_nothing();
}
