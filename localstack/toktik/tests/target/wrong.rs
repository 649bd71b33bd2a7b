//! `toktik provision` where somebody made something otherwise: it says what, with status 2, and leaves everything as it is.

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::account::{Account, on_target};
use crate::provisioning::findings;

impl Account {
    /// Asserts that exactly this differs, that it is told with these words, and that nothing was changed.
    async fn differs(&self, what: &str, words: &[&str]) {
        let before = self.snapshot().await;
        let ended = self.provision(&[]).await;
        assert_eq!(ended.status, Some(2), "{}", ended.said);
        let different: Vec<_> = findings(&ended.said)
            .into_iter()
            .filter_map(|(what, state)| state.starts_with("differs: ").then_some(what))
            .collect();
        assert_eq!(different, [what], "{}", ended.said);
        for word in words.iter().chain(&["wanted: ", "to mend: ", "Nothing was changed."]) {
            assert!(ended.said.contains(word), "{word}: {}", ended.said);
        }
        assert_eq!(self.snapshot().await, before);
    }

    async fn mended(&self) {
        self.provisioned().await;
        self.provisioned().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_another_redrive_policy_is_left_alone() {
    on_target(
        "a_queue_with_another_redrive_policy_is_left_alone",
        async |account, _| {
            let other = account.make_queue("other-dead", &[]).await;
            let policy = json!({ "deadLetterTargetArn": other, "maxReceiveCount": "3" }).to_string();
            account
                .make_queue("audio", &[(QueueAttributeName::RedrivePolicy, policy)])
                .await;
            let what = format!("redrive of {}", account.queue("audio"));
            account.differs(&what, &["after 3 receives", &other]).await;

            // What it says mends it.
            let request = account
                .clients
                .sqs
                .set_queue_attributes()
                .queue_url(account.queue_url("audio").await);
            let request = request.attributes(QueueAttributeName::RedrivePolicy, "");
            request.send().await.unwrap();
            account.mended().await;
            let policy = account.attribute("audio", QueueAttributeName::RedrivePolicy).await;
            assert!(policy.contains(&account.queue("dead-letter")), "{policy}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_tells_others_of_uploads_is_left_alone() {
    on_target(
        "a_bucket_that_tells_others_of_uploads_is_left_alone",
        async |account, _| {
            account.make_bucket().await;
            let other = account.make_queue("other", &[]).await;
            account.tell(&other, "uploads/").await;
            let what = format!("notification of {}", account.prefix);
            account.differs(&what, &[&other, "--notify"]).await;

            // Whoever means it so says so.
            let ended = account.provision(&["--notify", &other]).await;
            assert_ne!(ended.status, Some(2), "{}", ended.said);
            assert_eq!(ended.status, Some(0), "{}", ended.said);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_lets_in_fewer_pages_is_left_alone() {
    on_target("a_bucket_that_lets_in_fewer_pages_is_left_alone", async |account, _| {
        account.make_bucket().await;
        let rule = CorsRule::builder()
            .allowed_origins("https://clips.example.com")
            .allowed_methods("GET")
            .allowed_headers("*")
            .build()
            .unwrap();
        let cors = CorsConfiguration::builder().cors_rules(rule).build().unwrap();
        let request = account.clients.s3.put_bucket_cors().bucket(&account.prefix);
        request.cors_configuration(cors).send().await.unwrap();
        let what = format!("CORS of {}", account.prefix);
        account.differs(&what, &["from https://clips.example.com: GET"]).await;

        account
            .clients
            .s3
            .delete_bucket_cors()
            .bucket(&account.prefix)
            .send()
            .await
            .unwrap();
        account.mended().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_other_keys_is_left_alone() {
    on_target("a_table_with_other_keys_is_left_alone", async |account, _| {
        account.make_table(["id", "sk"]).await;
        let what = format!("table {}", account.prefix);
        account
            .differs(&what, &["keys id (HASH, S), sk (RANGE, S)", "TOKTIK_TABLE"])
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_items_expire_otherwise_is_left_alone() {
    on_target(
        "a_table_whose_items_expire_otherwise_is_left_alone",
        async |account, _| {
            account.make_table(["pk", "sk"]).await;
            let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("then");
            let request = account
                .clients
                .dynamodb
                .update_time_to_live()
                .table_name(&account.prefix);
            let request = request.time_to_live_specification(expiry.build().unwrap());
            request.send().await.unwrap();
            let what = format!("time to live of {}", account.prefix);
            account
                .differs(&what, &["by attribute then", "by attribute expires_at"])
                .await;
        },
    )
    .await;
}
