//! Functions as HTTP servers behind a broker, as Knative runs them.

use reqwest::{Method, StatusCode};
use serde_json::json;
use toktik_events::Function;

use crate::broker::Broker;
use crate::clips::long_clip;
use crate::running::{PATIENCE, Running, until};
use crate::stage::{Host, Stage, outcome_in_one_process};

async fn open() -> (Stage, Broker) {
    let broker = Broker::open().await;
    let stage = Stage::open(Host::Http { broker: &broker.url }).await;
    for (function, running) in &stage.functions {
        broker.subscribe(*function, &running.base);
    }
    (stage, broker)
}

impl Running {
    /// Whether a tool works for it.
    fn has_tools(&self) -> bool {
        let children = format!("/proc/{0}/task", self.pid());
        let threads = std::fs::read_dir(children).into_iter().flatten().filter_map(Result::ok);
        let mut lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        lists.any(|list| !list.trim().is_empty())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_broker_the_same_clip_becomes_the_same_objects() {
    let (stage, broker) = open().await;
    let outcome = stage.outcome().await;
    broker.quiet().await;
    for delivery in broker.log() {
        assert_eq!(delivery.statuses.last(), Some(&204), "{delivery:?}");
        assert_ne!(delivery.function, Function::DeadLetter, "{delivery:?}");
    }
    assert_eq!(outcome, outcome_in_one_process().await);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_stopped_answers_503_and_its_successor_does_the_work() {
    let (mut stage, broker) = open().await;
    let token = stage.gateway.token().await;
    let id = stage.gateway.upload(&token, long_clip(stage.directory.path())).await;
    let transcode = stage.functions.remove(&Function::Transcode).unwrap();
    until("it encodes", PATIENCE, async || transcode.has_tools().then_some(())).await;
    transcode.stop().await;
    stage
        .restart(Function::Transcode, Host::Http { broker: &broker.url })
        .await;
    broker.subscribe(Function::Transcode, &stage.functions[&Function::Transcode].base);
    stage.gateway.until_ready(&id).await;
    broker.quiet().await;
    let of_transcode = |delivery: &&crate::broker::Delivery| delivery.function == Function::Transcode;
    let log = broker.log();
    let statuses: Vec<u16> = log
        .iter()
        .filter(of_transcode)
        .flat_map(|delivery| delivery.statuses.clone())
        .collect();
    assert!(statuses.contains(&503), "{statuses:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_ends_the_clip() {
    let (stage, broker) = open().await;
    let token = stage.gateway.token().await;
    let text = b"This is not a video.\n".repeat(20);
    let id = stage.gateway.upload(&token, text).await;
    let path = format!("/api/v1/videos/{id}");
    let video = until("it is refused", PATIENCE, async || {
        let video = stage
            .gateway
            .call(Method::GET, &path, Some(&token), None)
            .await
            .expect(StatusCode::OK);
        (video["status"] == "rejected").then_some(video)
    })
    .await;
    assert_eq!(video["error"]["code"], "not_a_video");
    // Nobody's clip, and an event that no function can do anything about: it ends at dead-letter.
    let event = json!({"specversion": "1.0", "id": "1", "source": "/toktik/probe", "type": "toktik.unit.requested.v1",
        "data": {"video_id": "nonsense"}});
    broker.publish(&event);
    broker.quiet().await;
    // What was said twice of the clip may come once more meanwhile.
    let mut log = broker.log();
    log.retain(|delivery| delivery.ty == "toktik.unit.requested.v1");
    let last = log.pop().unwrap();
    assert_eq!((last.function, last.statuses), (Function::DeadLetter, vec![204]));
    stage.close().await;
}
