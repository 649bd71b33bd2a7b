//! Everything that is set up under a test's prefix, as text that is the same while nobody changes anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::account::Account;

impl Account {
    pub(crate) async fn snapshot(&self) -> String {
        let mut text = String::new();
        self.tables(&mut text).await;
        self.queues(&mut text).await;
        self.buckets(&mut text).await;
        text
    }

    async fn tables(&self, text: &mut String) {
        let client = &self.clients.dynamodb;
        let Ok(described) = client.describe_table().table_name(&self.prefix).send().await else {
            return;
        };
        let table = described.table.unwrap();
        let mut indexes: Vec<_> = table.global_secondary_indexes().iter().collect();
        indexes.sort_by_key(|index| index.index_name());
        writeln!(text, "{:?} {:?}", table.creation_date_time(), table.key_schema()).unwrap();
        for index in indexes {
            writeln!(
                text,
                "{:?} {:?} {:?}",
                index.index_name(),
                index.key_schema(),
                index.projection()
            )
            .unwrap();
        }
        let expiry = client
            .describe_time_to_live()
            .table_name(&self.prefix)
            .send()
            .await
            .unwrap();
        writeln!(text, "{:?}", expiry.time_to_live_description()).unwrap();
    }

    async fn queues(&self, text: &mut String) {
        let listed = self
            .clients
            .sqs
            .list_queues()
            .queue_name_prefix(&self.prefix)
            .send()
            .await
            .unwrap();
        let mut urls = listed.queue_urls.unwrap_or_default();
        urls.sort();
        for url in urls {
            let request = self.clients.sqs.get_queue_attributes().queue_url(&url);
            let output = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
            let attributes = output.attributes.unwrap_or_default();
            let set_up = attributes
                .iter()
                .filter(|(name, _)| !name.as_str().starts_with("Approximate"));
            let set_up: BTreeMap<_, _> = set_up.map(|(name, value)| (name.as_str(), value)).collect();
            writeln!(text, "{url} {set_up:?}").unwrap();
        }
    }

    async fn buckets(&self, text: &mut String) {
        let client = &self.clients.s3;
        match client.get_bucket_cors().bucket(&self.prefix).send().await {
            Ok(cors) => writeln!(text, "{:?}", cors.cors_rules()).unwrap(),
            Err(error) => writeln!(text, "{:?}", error.code()).unwrap(),
        }
        if let Ok(told) = client
            .get_bucket_notification_configuration()
            .bucket(&self.prefix)
            .send()
            .await
        {
            let mut queues: Vec<_> = told
                .queue_configurations()
                .iter()
                .map(|queue| format!("{queue:?}"))
                .collect();
            queues.sort();
            writeln!(text, "{}", queues.join("\n")).unwrap();
        }
    }
}
