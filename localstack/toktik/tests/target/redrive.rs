//! What is received in vain too often goes to dead-letter.

use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::Value;
use toktik_catalog::ledger::Begin;
use toktik_events::Function;

use crate::account::{Account, on_target};
use crate::clips::tiny_clip;
use crate::running::{PATIENCE, until};
use crate::site::Site;

/// `maxReceiveCount` of every queue.
const RECEIVES: usize = 20;
/// Runs without an end that fail a step.
const RUNS: i64 = 5;
const UNIT: &str = "video-0";

impl Account {
    /// Receives one message, which is there again at once.
    async fn receive(&self, url: &str) -> Option<String> {
        let request = self.clients.sqs.receive_message().queue_url(url);
        let request = request.visibility_timeout(0).wait_time_seconds(1);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        messages.into_iter().next().and_then(|message| message.body)
    }

    /// Receives messages in vain until the store gives them up.
    async fn receive_in_vain(&self, url: &str) -> usize {
        let mut times = 0;
        until("the queue is empty", PATIENCE, async || match self.receive(url).await {
            Some(_) => {
                times += 1;
                None
            }
            None => Some(()),
        })
        .await;
        times
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_nobody_can_handle_ends_in_dead_letter() {
    on_target("a_message_nobody_can_handle_ends_in_dead_letter", async |account, _| {
        account.provisioned().await;
        let (queue, dead) = (
            account.queue_url("package").await,
            account.queue_url("dead-letter").await,
        );
        let request = account.clients.sqs.send_message().queue_url(&queue);
        request.message_body("a message").send().await.unwrap();
        assert_eq!(account.receive_in_vain(&queue).await, RECEIVES);
        let body = until("it is among the dead", PATIENCE, async || account.receive(&dead).await).await;
        assert_eq!(body, "a message");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_always_dies_fails_its_clip() {
    on_target("a_step_that_always_dies_fails_its_clip", async |account, _| {
        let site = Site::without(account, &[Function::Transcode]).await;
        let token = site.front.token().await;
        let id = site.front.upload(&token, tiny_clip(account.directory.path())).await;
        let path = format!("/api/v1/videos/{id}");
        let catalog = account.catalog();
        let video = id.parse().unwrap();
        until("it is planned", PATIENCE, async || {
            catalog.step(video, 1, "transcode", UNIT).await.unwrap()
        })
        .await;
        // Five that took the step and died, the last of them some minutes ago.
        for run in 0..RUNS {
            let then = Utc::now() - TimeDelta::minutes(2 * (RUNS - run));
            let begun = catalog.begin(video, 1, "transcode", UNIT, then).await.unwrap();
            assert!(matches!(begun, Begin::Started(_)), "{begun:?}");
        }
        // Nor does anybody acknowledge what asks for it.
        account.receive_in_vain(&account.queue_url("transcode").await).await;
        let failed = until("the clip has failed", PATIENCE, async || {
            let video: Value = site
                .front
                .call(reqwest::Method::GET, &path, Some(&token), None)
                .await
                .expect(StatusCode::OK);
            (video["status"] == "failed").then_some(video)
        })
        .await;
        assert_eq!(failed["error"]["code"], "attempts_exhausted", "{failed}");
        site.close().await;
    })
    .await;
}
