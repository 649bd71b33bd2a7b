//! Receiving in batched mode (binding 3.3, JSON 4).

use anyhow::anyhow;
use serde_json::json;
use toktik_runtime::Failure;

use super::{Host, event};

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_3_every_event_of_a_batch_is_handled_in_order() {
    let host = Host::open().await;
    host.batch(&json!([
        event("a", json!({})),
        event("b", json!({})),
        event("c", json!({}))
    ]))
    .await
    .done();
    assert_eq!(host.ids(), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_3_the_media_type_of_a_batch_is_matched_in_any_case() {
    let host = Host::open().await;
    let headers = [("content-type", "Application/CloudEvents-Batch+JSON")];
    let batch = json!([event("a", json!({}))]).to_string();
    host.post(&headers, batch).await.done();
    assert_eq!(host.ids(), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_4_3_an_empty_batch_is_valid() {
    let host = Host::open().await;
    host.batch(&json!([])).await.done();
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_is_none_and_nothing_of_the_batch_is_done() {
    let host = Host::open().await;
    for bad in [
        event("b", json!({"id": null})),
        json!(1),
        json!([event("b", json!({}))]),
    ] {
        host.batch(&json!([event("a", json!({})), bad]))
            .await
            .problem(400, "malformed");
    }
    host.batch(&event("a", json!({}))).await.problem(400, "malformed");
    host.handled_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn if_one_has_to_come_again_the_whole_batch_does_and_the_others_are_done_meanwhile() {
    let host = Host::answering(
        |message| match message.id.as_str() {
            "b" => Err(Failure::retry_after(
                std::time::Duration::from_secs(9),
                anyhow!("not now"),
            )),
            "c" => Err(Failure::retry_after(
                std::time::Duration::from_secs(3),
                anyhow!("not now"),
            )),
            "d" => Err(Failure::give_up("bad", anyhow!("never"))),
            _ => Ok(()),
        },
        None,
    )
    .await;
    let events: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| event(id, json!({}))).into();
    let reply = host.batch(&json!(events)).await;
    reply.problem(503, "retry");
    assert_eq!(reply.header("retry-after"), "9");
    assert_eq!(host.ids(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_one_is_given_up_the_others_are_done_all_the_same() {
    let give_up_b = |message: &toktik_events::Message| match message.id.as_str() {
        "b" => Err(Failure::give_up("bad", anyhow!("never"))),
        _ => Ok(()),
    };
    let host = Host::answering(give_up_b, None).await;
    let events: Vec<_> = ["a", "b", "c"].map(|id| event(id, json!({}))).into();
    host.batch(&json!(events)).await.problem(422, "bad");
    assert_eq!(host.ids(), ["a", "b", "c"]);
    let letters = host.house.waiting(toktik_events::Function::DeadLetter).await;
    let given_up: Vec<_> = letters.iter().map(|letter| &letter["event"]["id"]).collect();
    assert_eq!(given_up, [&json!("b")]);
}
