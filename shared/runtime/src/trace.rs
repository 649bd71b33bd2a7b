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

/// Runs `work` as part of a trace that the event itself did not know, and tells the event's span.
pub async fn join<F: Future>(trace: TraceParent, work: F) -> F::Output {
    tracing::Span::current().record("trace.id", trace.trace_id());
    CURRENT.scope(trace, work).await
}

/// The trace that is being worked for, if any.
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|trace| *trace).ok()
}
