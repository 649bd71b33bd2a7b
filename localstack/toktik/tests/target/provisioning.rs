//! `toktik provision` from nothing, a second time, and where half is there.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration,
    S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::account::{Account, on_target};

pub(crate) const MADE: &str = "created";
pub(crate) const FINE: &str = "as it should be";

/// What `toktik provision` said of each thing, in its order.
pub(crate) fn findings(said: &str) -> Vec<(String, String)> {
    let lines = said
        .lines()
        .filter(|line| !line.starts_with(' ') && line.contains("  "));
    let parts = lines.map(|line| line.split_once("  ").unwrap());
    parts
        .map(|(what, state)| (what.to_owned(), state.trim().to_owned()))
        .collect()
}

impl Account {
    /// As somebody else would have made it: with these key names and nothing further.
    pub(crate) async fn make_table(&self, keys: [&str; 2]) {
        let client = &self.clients.dynamodb;
        let mut request = client
            .create_table()
            .table_name(&self.prefix)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in keys.into_iter().zip([KeyType::Hash, KeyType::Range]) {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            request = request
                .attribute_definitions(attribute.attribute_type(ScalarAttributeType::S).build().unwrap())
                .key_schema(key.build().unwrap());
        }
        request.send().await.unwrap();
        let waiter = aws_sdk_dynamodb::client::Waiters::wait_until_table_exists(client);
        waiter
            .table_name(&self.prefix)
            .wait(crate::running::PATIENCE)
            .await
            .unwrap();
    }

    pub(crate) async fn make_bucket(&self) {
        let region = self.clients.s3.config().region().unwrap().as_ref().to_owned();
        let location =
            aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(region.as_str().into());
        let location = (region != "us-east-1").then(|| location.build());
        let request = self.clients.s3.create_bucket().bucket(&self.prefix);
        request.set_create_bucket_configuration(location).send().await.unwrap();
    }

    /// A queue that takes what this bucket tells it.
    pub(crate) async fn make_queue(&self, name: &str, attributes: &[(QueueAttributeName, String)]) -> String {
        let request = self.clients.sqs.create_queue().queue_name(self.queue(name));
        let url = request.send().await.unwrap().queue_url.unwrap();
        let arn = self.queue_arn(name).await;
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Sid": "others", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": arn.split(':').nth(4).unwrap()}},
        }] });
        let attributes = attributes
            .iter()
            .cloned()
            .chain([(QueueAttributeName::Policy, policy.to_string())]);
        let request = self.clients.sqs.set_queue_attributes().queue_url(&url);
        let attributes: HashMap<_, _> = attributes.collect();
        request.set_attributes(Some(attributes)).send().await.unwrap();
        arn
    }

    /// The bucket tells this queue of objects with this prefix, and nobody else of anything.
    pub(crate) async fn tell(&self, arn: &str, prefix: &str) {
        let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
        let filter = S3KeyFilter::builder().filter_rules(rule).build();
        let queue = QueueConfiguration::builder()
            .id("others")
            .queue_arn(arn)
            .events(Event::S3ObjectCreated)
            .filter(NotificationConfigurationFilter::builder().key(filter).build());
        let told = NotificationConfiguration::builder().queue_configurations(queue.build().unwrap());
        let request = self
            .clients
            .s3
            .put_bucket_notification_configuration()
            .bucket(&self.prefix);
        request.notification_configuration(told.build()).send().await.unwrap();
    }

    pub(crate) async fn attribute(&self, queue: &str, name: QueueAttributeName) -> String {
        let request = self
            .clients
            .sqs
            .get_queue_attributes()
            .queue_url(self.queue_url(queue).await);
        let output = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        output.attributes.unwrap_or_default().remove(&name).unwrap_or_default()
    }

    /// Whom the bucket tells of what, by prefix.
    async fn told(&self) -> Vec<(String, String)> {
        let request = self
            .clients
            .s3
            .get_bucket_notification_configuration()
            .bucket(&self.prefix);
        let told = request.send().await.unwrap();
        let prefix = |queue: &QueueConfiguration| {
            let rules = queue.filter().and_then(|filter| filter.key()).unwrap().filter_rules();
            rules[0].value().unwrap().to_owned()
        };
        let queues = told.queue_configurations().iter();
        let mut told: Vec<_> = queues
            .map(|queue| (prefix(queue), queue.queue_arn().to_owned()))
            .collect();
        told.sort();
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_twice_changes_nothing() {
    on_target("provisioning_twice_changes_nothing", async |account, _| {
        let first = account.provision(&[]).await;
        assert_eq!(first.status, Some(0), "{}", first.said);
        let made = findings(&first.said);
        assert!(made.iter().all(|(_, state)| state == MADE), "{}", first.said);
        let queue = account.queue("probe");
        for what in [&account.prefix, &queue] {
            assert!(first.said.contains(what), "{}", first.said);
        }
        let before = account.snapshot().await;
        let second = account.provision(&[]).await;
        assert_eq!(second.status, Some(0), "{}", second.said);
        let names = |findings: &[(String, String)]| findings.iter().map(|(what, _)| what.clone()).collect::<Vec<_>>();
        let found = findings(&second.said);
        assert_eq!(names(&found), names(&made));
        assert!(found.iter().all(|(_, state)| state == FINE), "{}", second.said);
        assert_eq!(account.snapshot().await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_there_is_completed_and_others_keep_what_is_theirs() {
    on_target(
        "what_is_half_there_is_completed_and_others_keep_what_is_theirs",
        async |account, _| {
            account.make_table(["pk", "sk"]).await;
            account.make_queue("probe", &[]).await;
            account.make_bucket().await;
            let others = account.make_queue("of-others", &[]).await;
            account.tell(&others, "logs/").await;

            let completed = account.provision(&[]).await;
            assert_eq!(completed.status, Some(0), "{}", completed.said);
            let states: HashMap<_, _> = findings(&completed.said).into_iter().collect();
            let (own, probe) = (&account.prefix, account.queue("probe"));
            for there in [
                format!("table {own}"),
                format!("queue {probe}"),
                format!("bucket {own}"),
            ] {
                assert_eq!(states[&there], FINE, "{}", completed.said);
            }
            let made = [
                format!("index by_owner of {own}"),
                format!("time to live of {own}"),
                format!("redrive of {probe}"),
                format!("policy of {probe}"),
                format!("queue {}", account.queue("transcode")),
                format!("CORS of {own}"),
                format!("notification of {own}"),
            ];
            for made in made {
                assert_eq!(states[&made], MADE, "{made}: {}", completed.said);
            }
            let probe = account.queue_arn("probe").await;
            let told = [("logs/".to_owned(), others), ("uploads/".to_owned(), probe)];
            assert_eq!(account.told().await, told);
            let policy = account.attribute("probe", QueueAttributeName::Policy).await;
            assert!(
                policy.contains("others") && policy.contains("aws:SourceArn"),
                "{policy}"
            );

            let again = account.provision(&[]).await;
            assert!(
                findings(&again.said).iter().all(|(_, state)| state == FINE),
                "{}",
                again.said
            );
        },
    )
    .await;
}
