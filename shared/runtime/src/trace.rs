//! The trace of whatever is being done right now, so that every event and log line can carry it.

use std::future::Future;

use toktik_events::TraceParent;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// Runs `work` as part of this trace.
pub async fn scope<F: Future>(trace: TraceParent, work: F) -> F::Output {
    CURRENT.scope(trace, work).await
}

/// The trace that is being worked for, if any.
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|trace| *trace).ok()
}
