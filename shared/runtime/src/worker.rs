//! The queue-worker host: long polling, bounded concurrency, a heartbeat, and messages given back on the way out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_sdk_sqs::types::{Message as Delivery, MessageSystemAttributeName};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toktik_events::{Function, Message, Payload, TraceParent};
use tracing::Instrument;

use crate::context::{Context, sign_of_life};
use crate::function::{Failure, Handler};
use crate::trace;

const LONG_POLL_SECONDS: i32 = 20;
const BATCH: usize = 10;
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// After a receive that failed.
const PAUSE: Duration = Duration::from_secs(1);

pub struct Worker {
    pub function: Function,
    pub handler: Arc<dyn Handler>,
    pub context: Context,
    /// Messages handled at once.
    pub concurrency: usize,
}

/// What could not be handled: the delivery as a whole, or this event of it.
struct Unhandled {
    failure: Failure,
    message: Option<Message>,
}

impl Worker {
    /// Works until told to stop, then gives back what it has not finished.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        let slots = Arc::new(Semaphore::new(worker.concurrency));
        let tasks = TaskTracker::new();
        while let Some(deliveries) = worker.next(&slots, &stop).await {
            for delivery in deliveries {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    break;
                };
                let (worker, stop) = (Arc::clone(&worker), stop.clone());
                tasks.spawn(async move {
                    worker.process(delivery, &stop).await;
                    drop(slot);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Handles what is in the queue right now, one after the other, and says how many messages that were.
    pub async fn drain(&self, stop: &CancellationToken) -> anyhow::Result<usize> {
        let mut handled = 0;
        loop {
            let deliveries = self.receive(1, 0).await?;
            if deliveries.is_empty() {
                return Ok(handled);
            }
            for delivery in deliveries {
                self.process(delivery, stop).await;
                handled += 1;
            }
        }
    }

    /// Messages for all free slots, as soon as there are a slot and a message; none when it is time to stop.
    async fn next(&self, slots: &Semaphore, stop: &CancellationToken) -> Option<Vec<Delivery>> {
        loop {
            tokio::select! {
                slot = slots.acquire() => drop(slot.ok()?),
                () = stop.cancelled() => return None,
            }
            let wanted = slots.available_permits().clamp(1, BATCH);
            let received = tokio::select! {
                received = self.receive(wanted, LONG_POLL_SECONDS) => received,
                () = stop.cancelled() => return None,
            };
            match received {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => return Some(deliveries),
                Err(error) => self.pause(&error, stop).await,
            }
        }
    }

    async fn pause(&self, error: &anyhow::Error, stop: &CancellationToken) {
        tracing::warn!(function = %self.function, error = format!("{error:#}"), "could not receive; trying again");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn receive(&self, max: usize, wait_seconds: i32) -> anyhow::Result<Vec<Delivery>> {
        let queues = self.context.publisher.queues();
        let url = queues.url(self.function).await?;
        let request = queues.client.receive_message().queue_url(url);
        let output = request
            .max_number_of_messages(i32::try_from(max).unwrap_or(1))
            .wait_time_seconds(wait_seconds)
            // Whatever the queue's own default is: a worker that dies is missed after this.
            .visibility_timeout(whole_seconds(self.context.lease))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await;
        Ok(output.context("receiving messages")?.messages.unwrap_or_default())
    }

    async fn process(&self, delivery: Delivery, stop: &CancellationToken) {
        let body = delivery.body().unwrap_or_default();
        let handled = tokio::select! {
            handled = self.handle(body, stop) => handled,
            never = self.heartbeat(&delivery) => match never {},
        };
        let settled = match handled {
            Ok(()) => self.acknowledge(&delivery).await,
            Err(unhandled) => self.set_aside(&delivery, body, unhandled, stop).await,
        };
        if let Err(error) = settled {
            // The message reappears when its visibility ends, and every handler survives that.
            tracing::warn!(function = %self.function, error = format!("{error:#}"), "could not settle a message");
        }
    }

    async fn handle(&self, body: &str, stop: &CancellationToken) -> Result<(), Unhandled> {
        let messages = self.handler.read(body.as_bytes()).map_err(|error| Unhandled {
            failure: Failure::give_up("unreadable", error),
            message: None,
        })?;
        for message in messages {
            if let Err(failure) = handle_one(self.function, self.handler.as_ref(), &message, stop).await {
                let message = Some(message);
                return Err(Unhandled { failure, message });
            }
        }
        Ok(())
    }

    /// Keeps the message ours while it is worked on. Should that fail, somebody else may get it too, and the ledger keeps
    /// them apart.
    async fn heartbeat(&self, delivery: &Delivery) -> Infallible {
        loop {
            tokio::time::sleep(sign_of_life(self.context.lease)).await;
            if let Err(error) = self.reappear_after(delivery, self.context.lease).await {
                tracing::warn!(function = %self.function, error = format!("{error:#}"), "a heartbeat failed");
            }
        }
    }

    async fn set_aside(
        &self,
        delivery: &Delivery,
        body: &str,
        unhandled: Unhandled,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Unhandled { failure, message } = unhandled;
        match failure {
            Failure::Retry { .. } if stop.is_cancelled() => self.reappear_after(delivery, Duration::ZERO).await,
            // Somebody chose the time: nothing is wrong.
            Failure::Retry {
                after: Some(after),
                reason,
            } => {
                tracing::debug!(function = %self.function, reason = format!("{reason:#}"), "an event has to wait");
                self.reappear_after(delivery, after).await
            }
            Failure::Retry { after: None, reason } => {
                let after = backoff(received(delivery));
                tracing::warn!(
                    function = %self.function,
                    reason = format!("{reason:#}"),
                    retry.after_seconds = after.as_secs(),
                    "an event will be tried again"
                );
                self.reappear_after(delivery, after).await
            }
            Failure::GiveUp { code, reason } => {
                let why = format!("{reason:#}");
                tracing::error!(function = %self.function, code, reason = why, "an event is given up");
                self.context
                    .give_up(self.function, body, message.as_ref(), code, &why)
                    .await?;
                self.acknowledge(delivery).await
            }
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let queues = self.context.publisher.queues();
        let url = queues.url(self.function).await?;
        let request = queues.client.delete_message().queue_url(url);
        let request = request.set_receipt_handle(delivery.receipt_handle.clone());
        request.send().await.context("acknowledging a message")?;
        Ok(())
    }

    async fn reappear_after(&self, delivery: &Delivery, after: Duration) -> anyhow::Result<()> {
        let queues = self.context.publisher.queues();
        let url = queues.url(self.function).await?;
        let request = queues.client.change_message_visibility().queue_url(url);
        let request = request.set_receipt_handle(delivery.receipt_handle.clone());
        let request = request.visibility_timeout(whole_seconds(after));
        request.send().await.context("changing when a message reappears")?;
        Ok(())
    }
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

fn received(delivery: &Delivery) -> u32 {
    let attributes = delivery.attributes.as_ref();
    let count = attributes.and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    count.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// 2, 4, 8 ... seconds by how often the message was received.
fn backoff(received: u32) -> Duration {
    Duration::from_secs(1_u64 << received.clamp(1, 9)).min(MAX_BACKOFF)
}

fn whole_seconds(duration: Duration) -> i32 {
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
