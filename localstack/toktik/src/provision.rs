//! Everything the functions need to find in an account: bucket, queues, table. May be repeated.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    CorsConfiguration, CorsRule, Event, FilterRule, FilterRuleName, NotificationConfiguration,
    NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use toktik_events::Function;
use toktik_objects::keys;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::Stores;

/// So often a message is received before it goes to dead-letter: well above what healthy work needs, since a delivery
/// that finds the lease taken counts too.
const MAX_RECEIVES: u32 = 20;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub stores: Stores,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async { provision(&Clients::from_environment().await, &settings.stores).await })
}

/// A table on AWS takes some seconds to be there.
const TABLE_PATIENCE: Duration = Duration::from_mins(2);

pub async fn provision(clients: &Clients, stores: &Stores) -> anyhow::Result<()> {
    table(&clients.dynamodb, &stores.table)
        .await
        .context("making the table")?;
    let probe = queues(&clients.sqs, &stores.queue_prefix)
        .await
        .context("making the queues")?;
    bucket(&clients.s3, &stores.bucket, &probe)
        .await
        .context("making the bucket")
}

async fn table(client: &aws_sdk_dynamodb::Client, name: &str) -> anyhow::Result<()> {
    let attribute = |name: &str| {
        let definition = AttributeDefinition::builder().attribute_name(name);
        definition.attribute_type(ScalarAttributeType::S).build()
    };
    let part = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by_owner")
        .key_schema(part("gsi1pk", KeyType::Hash)?)
        .key_schema(part("gsi1sk", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()?;
    let created = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk")?)
        .attribute_definitions(attribute("sk")?)
        .attribute_definitions(attribute("gsi1pk")?)
        .attribute_definitions(attribute("gsi1sk")?)
        .key_schema(part("pk", KeyType::Hash)?)
        .key_schema(part("sk", KeyType::Range)?)
        .global_secondary_indexes(index)
        .send()
        .await;
    match created {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(error.into()),
    }
    client
        .wait_until_table_exists()
        .table_name(name)
        .wait(TABLE_PATIENCE)
        .await?;
    expire_items(client, name).await
}

async fn expire_items(client: &aws_sdk_dynamodb::Client, name: &str) -> anyhow::Result<()> {
    let described = client.describe_time_to_live().table_name(name).send().await?;
    let status = described
        .time_to_live_description
        .and_then(|described| described.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires_at")
        .build()?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await?;
    Ok(())
}

/// Returns the ARN of probe's queue, which hears of new objects.
async fn queues(client: &aws_sdk_sqs::Client, prefix: &str) -> anyhow::Result<String> {
    let dead_letter = queue(client, prefix, Function::DeadLetter, &HashMap::new()).await?;
    let redrive = json!({ "deadLetterTargetArn": dead_letter, "maxReceiveCount": MAX_RECEIVES.to_string() });
    let attributes = HashMap::from([(QueueAttributeName::RedrivePolicy, redrive.to_string())]);
    let mut probe = String::new();
    for function in Function::ALL {
        if function.takes_events() && function != Function::DeadLetter {
            let arn = queue(client, prefix, function, &attributes).await?;
            if function == Function::Probe {
                probe = arn;
            }
        }
    }
    Ok(probe)
}

async fn queue(
    client: &aws_sdk_sqs::Client,
    prefix: &str,
    function: Function,
    attributes: &HashMap<QueueAttributeName, String>,
) -> anyhow::Result<String> {
    let request = client.create_queue().queue_name(format!("{prefix}{function}"));
    let output = request.set_attributes(Some(attributes.clone())).send().await?;
    let url = output.queue_url.context("the queue has no address")?;
    let asked = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::QueueArn);
    let attributes = asked.send().await?.attributes.unwrap_or_default();
    attributes
        .get(&QueueAttributeName::QueueArn)
        .cloned()
        .context("the queue has no ARN")
}

async fn bucket(client: &aws_sdk_s3::Client, name: &str, probe: &str) -> anyhow::Result<()> {
    match client.create_bucket().bucket(name).send().await {
        Ok(_) => {}
        Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => {}
        Err(error) => return Err(error.into()),
    }
    let rule = CorsRule::builder()
        .allowed_origins("*")
        .allowed_headers("*")
        .allowed_methods("GET")
        .allowed_methods("HEAD")
        .allowed_methods("PUT")
        .expose_headers("ETag")
        .max_age_seconds(3000)
        .build()?;
    let cors = CorsConfiguration::builder().cors_rules(rule).build()?;
    client
        .put_bucket_cors()
        .bucket(name)
        .cors_configuration(cors)
        .send()
        .await?;
    let request = client.put_bucket_notification_configuration().bucket(name);
    request.notification_configuration(notification(probe)?).send().await?;
    Ok(())
}

/// By prefix alone: what a file is called says nothing.
fn notification(probe: &str) -> anyhow::Result<NotificationConfiguration> {
    let rule = FilterRule::builder()
        .name(FilterRuleName::Prefix)
        .value(keys::INCOMING)
        .build();
    let filter = S3KeyFilter::builder().filter_rules(rule).build();
    let queue = QueueConfiguration::builder()
        .queue_arn(probe)
        .events(Event::S3ObjectCreated)
        .filter(NotificationConfigurationFilter::builder().key(filter).build())
        .build()?;
    Ok(NotificationConfiguration::builder().queue_configurations(queue).build())
}
