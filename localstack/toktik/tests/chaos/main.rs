//! The crash harness: the product as separate processes, the embedded cloud and each function, killed with SIGKILL at the
//! boundaries of every step and at moments drawn from a seed. What clips become, and what is left in the stores, has to
//! be what it is without kills.
//!
//! Everything that a function says to the cloud goes through a door of its own (`door`), which sees each effect as it
//! becomes durable. A kill there falls between two effects exactly: the first is durable, its answer never arrives. The
//! schedule is replayable; what the kernel runs when is not, so that a seed finds its trouble again often, not always.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod boundaries;
#[allow(dead_code, reason = "the other suite needs more of them")]
#[path = "../it/clips.rs"]
mod clips;
mod customer;
mod door;
mod keeper;
mod kinds;
mod orders;
mod random;
#[path = "../it/sdk.rs"]
mod sdk;
mod storm;
mod weather;
mod world;

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
