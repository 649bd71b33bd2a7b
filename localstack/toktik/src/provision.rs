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
    CorsConfiguration, CorsRule, CreateBucketConfiguration, Event, FilterRule, FilterRuleName,
    NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
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
    #[command(flatten)]
    pub wiring: Wiring,
}

/// Who carries events, and who hears of uploads.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Wiring {
    /// Events go through a broker: make no queues but the one that hears of uploads
    #[arg(long)]
    pub broker: bool,
    /// Who hears of uploads, if not the queue of probe: `arn:minio:sqs::NAME:webhook` is a webhook of MinIO's
    #[arg(long, value_name = "ARN")]
    pub notify: Option<String>,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let clients = Clients::from_environment().await;
        wired(&clients, &settings.stores, &settings.wiring).await
    })
}

/// A table on AWS takes some seconds to be there.
const TABLE_PATIENCE: Duration = Duration::from_mins(2);

/// For functions that work off queues.
pub async fn provision(clients: &Clients, stores: &Stores) -> anyhow::Result<()> {
    wired(clients, stores, &Wiring::default()).await
}

/// No queue is made that nobody would read: messages would only pile up in it.
pub async fn wired(clients: &Clients, stores: &Stores, wiring: &Wiring) -> anyhow::Result<()> {
    table(&clients.dynamodb, &stores.table)
        .await
        .context("making the table")?;
    let told = told(&clients.sqs, stores, wiring).await.context("making the queues")?;
    bucket(&clients.s3, &stores.bucket, &told)
        .await
        .context("making the bucket")
}

/// Makes the queues, and returns the ARN of who hears of uploads.
async fn told(client: &aws_sdk_sqs::Client, stores: &Stores, wiring: &Wiring) -> anyhow::Result<String> {
    let prefix = &stores.queue_prefix;
    let probe = match (wiring.broker, &wiring.notify) {
        (true, Some(arn)) => return Ok(arn.clone()),
        (true, None) => queue(client, prefix, Function::Probe, &HashMap::new()).await?,
        (false, _) => queues(client, prefix).await?,
    };
    if let Some(arn) = &wiring.notify {
        return Ok(arn.clone());
    }
    admit_bucket(client, &probe, &stores.bucket).await?;
    Ok(probe.arn)
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

struct Queue {
    url: String,
    arn: String,
}

/// Returns the queue of probe, which hears of new objects.
async fn queues(client: &aws_sdk_sqs::Client, prefix: &str) -> anyhow::Result<Queue> {
    let dead_letter = queue(client, prefix, Function::DeadLetter, &HashMap::new()).await?;
    let redrive = json!({ "deadLetterTargetArn": dead_letter.arn, "maxReceiveCount": MAX_RECEIVES.to_string() });
    let attributes = HashMap::from([(QueueAttributeName::RedrivePolicy, redrive.to_string())]);
    for function in Function::ALL {
        let apart = [Function::DeadLetter, Function::Probe].contains(&function);
        if function.takes_events() && !apart {
            queue(client, prefix, function, &attributes).await?;
        }
    }
    queue(client, prefix, Function::Probe, &attributes).await
}

async fn queue(
    client: &aws_sdk_sqs::Client,
    prefix: &str,
    function: Function,
    attributes: &HashMap<QueueAttributeName, String>,
) -> anyhow::Result<Queue> {
    let request = client.create_queue().queue_name(format!("{prefix}{function}"));
    let output = request.set_attributes(Some(attributes.clone())).send().await?;
    let url = output.queue_url.context("the queue has no address")?;
    let asked = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn);
    let attributes = asked.send().await?.attributes.unwrap_or_default();
    let arn = attributes.get(&QueueAttributeName::QueueArn).cloned();
    let arn = arn.context("the queue has no ARN")?;
    Ok(Queue { url, arn })
}

/// AWS refuses notifications to a queue that does not let S3 send.
async fn admit_bucket(client: &aws_sdk_sqs::Client, queue: &Queue, bucket: &str) -> anyhow::Result<()> {
    let partition = queue.arn.split(':').nth(1).unwrap_or("aws");
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": format!("arn:{partition}:s3:::{bucket}")}},
        }],
    });
    let request = client.set_queue_attributes().queue_url(&queue.url);
    let request = request.attributes(QueueAttributeName::Policy, policy.to_string());
    request.send().await.context("letting S3 send")?;
    Ok(())
}

async fn bucket(client: &aws_sdk_s3::Client, name: &str, told: &str) -> anyhow::Result<()> {
    let request = client.create_bucket().bucket(name);
    match request.set_create_bucket_configuration(location(client)).send().await {
        Ok(_) => {}
        Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => {}
        Err(error) => return Err(error.into()),
    }
    allow_browsers(client, name).await?;
    let request = client.put_bucket_notification_configuration().bucket(name);
    request.notification_configuration(notification(told)?).send().await?;
    Ok(())
}

/// S3 wants to hear where a bucket is to be, except in its first region, of which it must not hear.
fn location(client: &aws_sdk_s3::Client) -> Option<CreateBucketConfiguration> {
    let region = client.config().region()?.as_ref();
    let configuration = CreateBucketConfiguration::builder().location_constraint(region.into());
    (region != "us-east-1").then(|| configuration.build())
}

async fn allow_browsers(client: &aws_sdk_s3::Client, name: &str) -> anyhow::Result<()> {
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
    let request = client.put_bucket_cors().bucket(name).cors_configuration(cors);
    match request.send().await {
        // MinIO lets all origins in, for the whole server, and knows no other rule.
        Err(error) if error.code() != Some("NotImplemented") => Err(error.into()),
        _ => Ok(()),
    }
}

/// By prefix alone: what a file is called says nothing.
fn notification(told: &str) -> anyhow::Result<NotificationConfiguration> {
    let rule = FilterRule::builder()
        .name(FilterRuleName::Prefix)
        .value(keys::INCOMING)
        .build();
    let filter = S3KeyFilter::builder().filter_rules(rule).build();
    let queue = QueueConfiguration::builder()
        .queue_arn(told)
        .events(Event::S3ObjectCreated)
        .filter(NotificationConfigurationFilter::builder().key(filter).build())
        .build()?;
    Ok(NotificationConfiguration::builder().queue_configurations(queue).build())
}
