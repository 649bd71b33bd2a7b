//! HTTP 1.1 Web Hooks for Event Delivery: the handshake and the token.

use serde_json::json;

use super::{Host, Reply, event, request};

const TOKEN: &str = "the token of this test";

async fn ask(host: &Host, headers: &[(&str, &str)]) -> Reply {
    host.send(&request("OPTIONS / HTTP/1.1", headers, b"")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_4_2_permission_is_given_to_the_origin_that_asks() {
    let host = Host::open().await;
    let reply = ask(&host, &[("WebHook-Request-Origin", "eventemitter.example.com")]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("webhook-allowed-origin"), "eventemitter.example.com");
    assert_eq!(reply.header("webhook-allowed-rate"), "*");
    assert!(reply.header("allow").contains("POST"));
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_4_2_2_a_rate_that_is_asked_for_is_answered() {
    let host = Host::open().await;
    let asked = [("WebHook-Request-Origin", "x.example"), ("WebHook-Request-Rate", "120")];
    assert_eq!(ask(&host, &asked).await.header("webhook-allowed-rate"), "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_4_1_2_a_question_without_an_origin_is_no_handshake() {
    let host = Host::open().await;
    for headers in [&[][..], &[("WebHook-Request-Origin", "")]] {
        let reply = ask(&host, headers).await;
        assert!(reply.header("allow").contains("POST"), "{reply:?}");
        assert!(
            !reply.headers.keys().any(|name| name.starts_with("webhook-")),
            "{reply:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_4_1_3_no_callback_is_called() {
    let host = Host::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback = format!("http://{}/confirm", listener.local_addr().unwrap());
    let asked = [
        ("WebHook-Request-Origin", "x.example"),
        ("WebHook-Request-Callback", callback.as_str()),
    ];
    assert_eq!(ask(&host, &asked).await.header("webhook-allowed-origin"), "x.example");
    let called = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(called.is_err(), "somebody called back");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_4_the_handshake_is_no_authorization() {
    let host = Host::answering(|_| Ok(()), Some(TOKEN)).await;
    let origin = ("WebHook-Request-Origin", "x.example");
    assert_eq!(
        ask(&host, &[origin]).await.header("webhook-allowed-origin"),
        "x.example"
    );
    let headers = [("content-type", "application/cloudevents+json"), origin];
    let reply = host.post(&headers, event("1", json!({})).to_string()).await;
    reply.problem(401, "unauthorized");
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_3_1_the_token_comes_in_the_header() {
    let host = Host::answering(|_| Ok(()), Some(TOKEN)).await;
    let body = event("1", json!({})).to_string();
    let post = async |authorization: &str| {
        let headers = [
            ("content-type", "application/cloudevents+json"),
            ("authorization", authorization),
        ];
        host.post(&headers, &body).await
    };
    for bad in [
        "",
        TOKEN,
        "Bearer",
        "Bearer the token",
        "Basic dGhlIHRva2Vu",
        "Bearer the token of this test2",
    ] {
        post(bad).await.problem(401, "unauthorized");
    }
    host.handled_nothing();
    for good in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}")] {
        post(&good).await.done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_3_2_or_in_the_address_and_the_answer_is_private() {
    let host = Host::answering(|_| Ok(()), Some(TOKEN)).await;
    let body = event("1", json!({})).to_string();
    let post = async |query: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("content-type", "application/cloudevents+json")];
        headers.extend(more);
        let line = format!("POST /?{query} HTTP/1.1");
        host.send(&request(&line, &headers, body.as_bytes())).await
    };
    for bad in [
        "",
        "access_token=",
        "access_token=the%20token",
        "token=the%20token%20of%20this%20test",
    ] {
        post(bad, &[]).await.problem(401, "unauthorized");
    }
    let good = "p=q&access_token=the%20token%20of%20this+test";
    post(good, &[("authorization", "Bearer another")])
        .await
        .problem(401, "unauthorized");
    host.handled_nothing();
    let reply = post(good, &[]).await;
    reply.done();
    assert!(reply.header("cache-control").contains("private"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_of_a_request_is_read() {
    let host = Host::answering(|_| Ok(()), Some(TOKEN)).await;
    for headers in [
        [("content-type", "video/mp4")],
        [("content-type", "application/cloudevents+json")],
    ] {
        host.post(&headers, "rubbish").await.problem(401, "unauthorized");
    }
}
