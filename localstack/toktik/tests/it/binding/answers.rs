//! What a broker is answered, also by a host that has to stop, and what OpenFaaS asks.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use toktik_events::Function;
use toktik_runtime::Failure;

use super::{Host, Reply, Verdict, event, request};

/// So soon an event under way is answered once the host has to stop.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn success_has_no_body_that_a_broker_would_take_for_an_event() {
    let host = Host::open().await;
    let reply = host.structured(&event("1", json!({}))).await;
    reply.done();
    assert!(!reply.headers.contains_key("content-type"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_come_again_is_503_and_says_when() {
    let cases: [(Verdict, &str); 3] = [
        (|_| Err(anyhow!("a store is away").into()), "5"),
        (
            |_| Err(Failure::retry_after(Duration::from_secs(40), anyhow!("busy"))),
            "40",
        ),
        (
            |_| Err(Failure::retry_after(Duration::from_millis(1), anyhow!("busy"))),
            "1",
        ),
    ];
    for (verdict, after) in cases {
        let host = Host::answering(verdict, None).await;
        let reply = host.structured(&event("1", json!({}))).await;
        reply.problem(503, "retry");
        assert_eq!(reply.header("retry-after"), after);
        assert_eq!(host.house.waiting(Function::DeadLetter).await.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_succeed_is_422_and_with_dead_letter_by_then() {
    let host = Host::answering(|_| Err(Failure::give_up("bad", anyhow!("for good"))), None).await;
    host.structured(&event("1", json!({}))).await.problem(422, "bad");
    let letters = host.house.waiting(Function::DeadLetter).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0]["error"],
        json!({"function": "transcode", "code": "bad", "message": "for good"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_cannot_be_recorded_is_asked_for_again() {
    let host = Host::answering(|_| Err(Failure::give_up("bad", anyhow!("for good"))), None).await;
    let queues = host.house.context.publisher.queues();
    let url = queues.url(Function::DeadLetter).await.unwrap();
    let sqs = host.house.cloud.sqs_client();
    sqs.delete_queue().queue_url(url).send().await.unwrap();
    host.structured(&event("1", json!({}))).await.problem(503, "retry");
}

/// Sends an event and returns once it is being handled, with what will read the answer.
async fn under_way(host: &Host, id: &str) -> tokio::task::JoinHandle<Reply> {
    let body = event(id, json!({})).to_string();
    let bytes = request(
        "POST / HTTP/1.1",
        &[("content-type", "application/cloudevents+json")],
        body.as_bytes(),
    );
    let mut stream = TcpStream::connect(&host.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let reply = tokio::spawn(async move { Reply::read(&mut stream).await });
    while host.handled().is_empty() {
        tokio::task::yield_now().await;
    }
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_under_way_when_the_host_stops_is_503_within_a_second() {
    for id in ["waits for the end", "never ends"] {
        let host = Host::open().await;
        let reply = under_way(&host, id).await;
        let stopped = Instant::now();
        host.stop.cancel();
        reply.await.unwrap().problem(503, "retry");
        host.served.await.unwrap().unwrap();
        assert!(stopped.elapsed() < AT_ONCE, "{id}: {:?}", stopped.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_of_a_batch_is_begun_when_the_host_stops() {
    let host = Host::open().await;
    let batch = json!([event("waits for the end", json!({})), event("b", json!({}))]).to_string();
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let mut stream = TcpStream::connect(&host.address).await.unwrap();
    stream
        .write_all(&request("POST / HTTP/1.1", &headers, batch.as_bytes()))
        .await
        .unwrap();
    while host.handled().is_empty() {
        tokio::task::yield_now().await;
    }
    host.stop.cancel();
    Reply::read(&mut stream).await.problem(503, "retry");
    assert_eq!(host.ids(), ["waits for the end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_half_way_in_when_the_host_stops_is_503_and_handled_nowhere() {
    let host = Host::open().await;
    let body = event("1", json!({})).to_string();
    let mut bytes = request(
        "POST / HTTP/1.1",
        &[("content-type", "application/cloudevents+json")],
        body.as_bytes(),
    );
    bytes.truncate(bytes.len() - 1);
    let mut stream = TcpStream::connect(&host.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    // A second request on another connection is answered after the first was taken up.
    host.structured(&event("2", json!({}))).await.done();
    let stopped = Instant::now();
    host.stop.cancel();
    Reply::read(&mut stream).await.problem(503, "retry");
    assert_eq!(host.ids(), ["2"]);
    host.served.await.unwrap().unwrap();
    assert!(stopped.elapsed() < AT_ONCE, "{:?}", stopped.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_ends_at_once_though_connections_are_open() {
    let host = Host::open().await;
    let silent = TcpStream::connect(&host.address).await.unwrap();
    let client = reqwest::Client::new();
    let health = client
        .get(format!("http://{}/healthz", host.address))
        .send()
        .await
        .unwrap();
    assert_eq!(health.text().await.unwrap(), "ok\n");
    let stopped = Instant::now();
    host.stop.cancel();
    host.served.await.unwrap().unwrap();
    assert!(stopped.elapsed() < AT_ONCE, "{:?}", stopped.elapsed());
    drop((silent, client));
}

#[tokio::test(flavor = "multi_thread")]
async fn openfaas_finds_health_and_readiness() {
    let host = Host::open().await;
    for path in ["/_/health", "/_/ready", "/healthz", "/readyz"] {
        let reply = host.send(&request(&format!("GET {path} HTTP/1.1"), &[], b"")).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"), "{path}");
    }
}
