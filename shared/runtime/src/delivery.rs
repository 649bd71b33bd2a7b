//! What becomes of a delivery, whichever host received it: its events are handled, and what cannot succeed goes into the
//! ledger and to dead-letter. How a delivery is acknowledged, and how it comes again, is for the host to know.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use toktik_events::{Function, Message, Payload, TraceParent};
use tracing::Instrument;

use crate::context::Context;
use crate::function::{Failure, Handler};
use crate::trace;

const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Takes deliveries for a function.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) function: Function,
    pub(crate) handler: &'a dyn Handler,
    pub(crate) context: &'a Context,
}

/// What the host is to do with a delivery.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Acknowledge it: its effects are durable, or what it asks for is given up for good.
    Done,
    /// Let it come again after this time.
    Again { after: Duration, why: String },
}

/// Why a delivery has to come again, and when, if somebody chose a time.
struct Later {
    after: Option<Duration>,
    reason: anyhow::Error,
}

impl From<anyhow::Error> for Later {
    fn from(reason: anyhow::Error) -> Self {
        Self { after: None, reason }
    }
}

impl Desk<'_> {
    /// Handles what was delivered, for the how-manieth time the host knows. Once it is time to stop nothing is begun.
    pub(crate) async fn settle(&self, body: &str, received: u32, stop: &CancellationToken) -> Settled {
        let function = self.function;
        if stop.is_cancelled() {
            return Settled::Again {
                after: Duration::ZERO,
                why: "the host is stopping".to_owned(),
            };
        }
        let Err(Later { after, reason }) = self.handle(body, stop).await else {
            return Settled::Done;
        };
        let why = format!("{reason:#}");
        let after = match after {
            _ if stop.is_cancelled() => Duration::ZERO,
            // Somebody chose the time: nothing is wrong.
            Some(after) => {
                tracing::debug!(%function, reason = why, "an event has to wait");
                after
            }
            None => {
                let after = backoff(received);
                let seconds = after.as_secs();
                tracing::warn!(%function, reason = why, retry.after_seconds = seconds, "an event will be tried again");
                after
            }
        };
        Settled::Again { after, why }
    }

    async fn handle(&self, body: &str, stop: &CancellationToken) -> Result<(), Later> {
        let messages = match self.handler.read(body.as_bytes()) {
            Ok(messages) => messages,
            Err(error) => return Ok(self.give_up(body, None, "unreadable", &error.into()).await?),
        };
        let several = messages.len() > 1;
        for message in &messages {
            match handle_one(self.function, self.handler, message, stop).await {
                Ok(()) => {}
                Err(Failure::Retry { after, reason }) => return Err(Later { after, reason }),
                Err(Failure::GiveUp { code, reason }) => {
                    // The others of a store's notification are not given up.
                    let alone = several.then(|| message.to_json()).transpose();
                    let alone = alone.context("writing an event")?;
                    let body = alone.as_deref().unwrap_or(body);
                    self.give_up(body, Some(message), code, &reason).await?;
                }
            }
        }
        Ok(())
    }

    async fn give_up(
        &self,
        body: &str,
        message: Option<&Message>,
        code: &str,
        reason: &anyhow::Error,
    ) -> anyhow::Result<()> {
        let why = format!("{reason:#}");
        tracing::error!(function = %self.function, code, reason = why, "an event is given up");
        self.context.give_up(self.function, body, message, code, &why).await
    }
}

/// Makes a message that was received from a queue come again after so long.
pub(crate) async fn reappear(
    client: &aws_sdk_sqs::Client,
    queue_url: String,
    receipt: Option<String>,
    after: Duration,
) -> anyhow::Result<()> {
    let request = client.change_message_visibility().queue_url(queue_url);
    let request = request
        .set_receipt_handle(receipt)
        .visibility_timeout(whole_seconds(after));
    request.send().await.context("changing when a message reappears")?;
    Ok(())
}

/// Runs the handler with the event's trace and a span that every log line of it carries.
pub(crate) async fn handle_one(
    function: Function,
    handler: &dyn Handler,
    message: &Message,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    // The store's own events carry no trace; whoever handles them knows which one they belong to.
    let trace = message.trace.map_or_else(TraceParent::root, TraceParent::child);
    let known = message.trace.map(TraceParent::trace_id);
    let ty = message.payload.ty();
    let video = message.payload.video_id().map(|id| id.to_string());
    let span = tracing::info_span!(
        "event",
        %function,
        event.ty = ty,
        event.id = message.id,
        video.id = video,
        trace.id = known,
    );
    let started = Instant::now();
    let result = trace::scope(trace, handler.handle(message, stop))
        .instrument(span.clone())
        .await;
    let outcome = match &result {
        Ok(()) => "ok",
        Err(Failure::Retry { .. }) => "retry",
        Err(Failure::GiveUp { .. }) => "give_up",
    };
    let elapsed = started.elapsed();
    let labels = [
        ("function", function.name().to_owned()),
        ("outcome", outcome.to_owned()),
    ];
    metrics::counter!("toktik_events_total", &labels).increment(1);
    metrics::histogram!("toktik_event_duration_seconds", &labels).record(elapsed);
    let elapsed_ms = elapsed.as_millis();
    match message.payload {
        // Once a minute, for ever.
        Payload::Tick => span.in_scope(|| tracing::debug!(outcome, elapsed_ms, "handled an event")),
        _ => span.in_scope(|| tracing::info!(outcome, elapsed_ms, "handled an event")),
    }
    result
}

/// 2, 4, 8 ... seconds by how often the message was received.
fn backoff(received: u32) -> Duration {
    Duration::from_secs(1_u64 << received.clamp(1, 9)).min(MAX_BACKOFF)
}

pub(crate) fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let waits: Vec<u64> = [0, 1, 2, 3, 9, 40].map(|n| backoff(n).as_secs()).to_vec();
        assert_eq!(waits, [2, 2, 4, 8, 300, 300]);
    }
}
