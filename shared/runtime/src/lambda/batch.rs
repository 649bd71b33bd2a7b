//! A batch of messages from SQS: each is handled by itself, and the answer names those that are to come again.

use std::sync::Arc;

use anyhow::Context as _;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Lambda;
use crate::delivery::{self, Settled};
use crate::function::Handler;

/// Handles all messages, as many at once as the function may.
pub(super) async fn answer(
    lambda: Arc<Lambda>,
    handler: Arc<dyn Handler>,
    event: SqsEvent,
    cancel: &CancellationToken,
) -> SqsBatchResponse {
    let slots = Arc::new(Semaphore::new(lambda.concurrency));
    let mut tasks = Vec::new();
    for record in event.records {
        // An id that is empty makes Lambda bring the whole batch again.
        let id = record.message_id.clone().unwrap_or_default();
        let (lambda, handler) = (Arc::clone(&lambda), Arc::clone(&handler));
        let (slots, cancel) = (Arc::clone(&slots), cancel.clone());
        let handled = async move {
            let _slot = slots.acquire().await;
            lambda.is_done_with(&record, handler.as_ref(), &cancel).await
        };
        tasks.push((id, tokio::spawn(handled.in_current_span())));
    }
    let mut response = SqsBatchResponse::default();
    for (id, task) in tasks {
        // A handler that panicked has not handled its message, and the others have theirs.
        if !task.await.unwrap_or(false) {
            response.add_failure(id);
        }
    }
    response
}

impl Lambda {
    async fn is_done_with(&self, record: &SqsMessage, handler: &dyn Handler, cancel: &CancellationToken) -> bool {
        let body = record.body.as_deref().unwrap_or_default();
        let after = match self.desk(handler).settle(body, received(record), cancel).await {
            Settled::Done => return true,
            Settled::Again { after, .. } => after,
        };
        // Else it would come again only when the queue's visibility ends, which is six times the function's timeout.
        let postponed = async {
            let url = self.queue_url(record).await?;
            let client = &self.context.publisher.queues().client;
            delivery::reappear(client, url, record.receipt_handle.clone(), after).await
        };
        if let Err(error) = postponed.await {
            tracing::warn!(
                error = format!("{error:#}"),
                "a message comes again when its visibility ends"
            );
        }
        false
    }

    /// Where the message lies: a queue of the function's own, or another that the mapping reads.
    async fn queue_url(&self, record: &SqsMessage) -> anyhow::Result<String> {
        let queues = self.context.publisher.queues();
        let own = queues.name(self.function);
        match record.event_source_arn.as_deref().and_then(queue_of) {
            Some(name) if name != own => {
                let found = queues.client.get_queue_url().queue_name(name).send().await;
                let found = found.with_context(|| format!("looking for the queue {name}"))?;
                found.queue_url.context("the queue has no address")
            }
            _ => queues.url(self.function).await,
        }
    }
}

fn received(record: &SqsMessage) -> u32 {
    let count = record.attributes.get("ApproximateReceiveCount");
    count.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// `arn:aws:sqs:region:account:name`
fn queue_of(arn: &str) -> Option<&str> {
    arn.splitn(6, ':').nth(5).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_the_last_part_of_its_name() {
        assert_eq!(queue_of("arn:aws:sqs:eu-west-1:123:toktik-probe"), Some("toktik-probe"));
        assert_eq!(queue_of("arn:aws:sqs:eu-west-1:123:"), None);
        assert_eq!(queue_of("toktik-probe"), None);
    }
}
