//! Functions as Lambdas: each a process of its own behind a Runtime API (cargo-lambda's), invoked in every way that AWS
//! would, over the embedded cloud. The test plays what AWS does around them: it reads the queues, and sets deadlines.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/client.rs"]
mod client;
#[allow(dead_code, reason = "the other suite needs more of them")]
#[path = "../it/clips.rs"]
mod clips;
mod deadline;
mod events;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the other suite kills")]
#[path = "../chaos/keeper.rs"]
mod keeper;
mod pipeline;
mod requests;
#[allow(dead_code, reason = "the other suite needs more of it")]
#[path = "../it/running.rs"]
mod running;
mod runtime_api;
#[path = "../it/sdk.rs"]
mod sdk;
mod site;

/// Looks until there is an answer: another process tells nobody when it gets there. Never longer than this.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    const LIMIT: std::time::Duration = std::time::Duration::from_mins(2);
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not after {LIMIT:?}: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
