//! The queue-worker host: long polling, bounded concurrency, a heartbeat, and messages given back on the way out.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sqs::types::{Message as Delivery, MessageSystemAttributeName};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toktik_events::Function;

use crate::context::{Context, sign_of_life};
use crate::delivery::{self, Desk, Settled, whole_seconds};
use crate::function::{Handler, Urgency};

const LONG_POLL_SECONDS: i32 = 20;
const BATCH: usize = 10;
/// After a receive that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take that was on its way when it became time to stop.
const LAST_ANSWER: Duration = Duration::from_millis(250);

pub struct Worker {
    pub function: Function,
    pub handler: Arc<dyn Handler>,
    pub context: Context,
    /// Messages handled at once.
    pub concurrency: usize,
    /// Messages of either more urgent kind handled at once beside those, so that they need not wait for what is less
    /// urgent. To find them this worker takes all that its queue has: not for several workers of one queue, of which others
    /// may be idle. None: whatever comes first.
    pub express: usize,
}

/// Messages that wait in a worker which takes all.
const HELD: usize = 100;

/// Who may go on, by how urgent it is.
struct Lanes {
    short: Semaphore,
    first: Semaphore,
    later: Semaphore,
}

impl Lanes {
    fn of(&self, urgency: Urgency) -> &Semaphore {
        match urgency {
            Urgency::Short => &self.short,
            Urgency::First => &self.first,
            Urgency::Later => &self.later,
        }
    }
}

impl Worker {
    /// Works until told to stop, then gives back what it has not finished.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        let lanes = (worker.express > 0).then(|| Lanes {
            short: Semaphore::new(worker.express),
            first: Semaphore::new(worker.express),
            later: Semaphore::new(worker.concurrency),
        });
        let lanes = Arc::new(lanes);
        let slots = Arc::new(Semaphore::new(if lanes.is_some() { HELD } else { worker.concurrency }));
        let tasks = TaskTracker::new();
        while let Some(deliveries) = worker.next(&slots, &stop).await {
            for delivery in deliveries {
                // Free at once: no more was asked for than slots are free, and only this loop takes any.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let (worker, lanes, stop) = (Arc::clone(&worker), Arc::clone(&lanes), stop.clone());
                tasks.spawn(async move {
                    worker.process(delivery, lanes.as_ref().as_ref(), &stop).await;
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
        while !stop.is_cancelled() {
            let deliveries = self.receive(1, 0).await?;
            if deliveries.is_empty() {
                break;
            }
            for delivery in deliveries {
                self.process(delivery, None, stop).await;
                handled += 1;
            }
        }
        Ok(handled)
    }

    /// Messages for all free slots, as soon as there are a slot and a message; none when it is time to stop.
    async fn next(&self, slots: &Semaphore, stop: &CancellationToken) -> Option<Vec<Delivery>> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                slot = slots.acquire() => drop(slot.ok()?),
            }
            let wanted = slots.available_permits().clamp(1, BATCH);
            match self.poll(wanted, stop).await? {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => return Some(deliveries),
                Err(error) => self.pause(&error, stop).await,
            }
        }
    }

    /// Waits for messages. None when it is time to stop and no answer was on its way: messages in one that nobody reads
    /// would be nobody's until their visibility ends.
    async fn poll(&self, wanted: usize, stop: &CancellationToken) -> Option<anyhow::Result<Vec<Delivery>>> {
        let mut receiving = pin!(self.receive(wanted, LONG_POLL_SECONDS));
        tokio::select! {
            received = &mut receiving => Some(received),
            () = stop.cancelled() => tokio::time::timeout(LAST_ANSWER, receiving).await.ok(),
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

    async fn process(&self, delivery: Delivery, lanes: Option<&Lanes>, stop: &CancellationToken) {
        let desk = Desk {
            function: self.function,
            handler: self.handler.as_ref(),
            context: &self.context,
        };
        let body = delivery.body().unwrap_or_default();
        let settled = tokio::select! {
            settled = async {
                let _lane = self.admitted(body, lanes, stop).await;
                desk.settle(body, received(&delivery), stop).await
            } => settled,
            never = self.heartbeat(&delivery) => match never {},
        };
        let told = match settled {
            Settled::Done => self.acknowledge(&delivery).await,
            Settled::Again { after, .. } => self.reappear_after(&delivery, after).await,
        };
        if let Err(error) = told {
            // The message reappears when its visibility ends, and every handler survives that.
            tracing::warn!(function = %self.function, error = format!("{error:#}"), "could not settle a message");
        }
    }

    /// Waits until a message's turn has come, or until it is time to stop.
    async fn admitted<'a>(
        &self,
        body: &str,
        lanes: Option<&'a Lanes>,
        stop: &CancellationToken,
    ) -> Option<SemaphorePermit<'a>> {
        let lanes = lanes?;
        let urgency = match self.handler.read(body.as_bytes()).as_deref() {
            Ok([message, ..]) => self.handler.urgency(message).await,
            _ => Urgency::default(),
        };
        stop.run_until_cancelled(lanes.of(urgency).acquire()).await?.ok()
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
        delivery::reappear(&queues.client, url, delivery.receipt_handle.clone(), after).await
    }
}

fn received(delivery: &Delivery) -> u32 {
    let attributes = delivery.attributes.as_ref();
    let count = attributes.and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    count.and_then(|text| text.parse().ok()).unwrap_or(1)
}
