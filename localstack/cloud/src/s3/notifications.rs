//! Messages about created objects, written in the transaction that links the object: neither can exist without the other.
//!
//! Only `s3:ObjectCreated:*` is announced. A rule names a queue by its ARN; the ARN of MinIO's webhook target
//! (`arn:minio:sqs::_:webhook`) names the webhook of [`crate::Cloud::secured`], which also gets what the queues get.

use chrono::{DateTime, SecondsFormat};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OptionalExtension as _, params};
use s3s::dto::{
    FilterRuleName, GetBucketNotificationConfigurationOutput, PutBucketNotificationConfigurationInput,
    QueueConfiguration,
};
use s3s::s3_error;
use serde::{Deserialize, Serialize};

use super::S3;
use super::failure::Failure;
use super::objects::NewObject;
use crate::sqs::messages::{NewMessage, enqueue};
use crate::sqs::queues;
use crate::store::Unit;
use crate::{ACCOUNT, webhook};

const MINIO_WEBHOOK: &str = "arn:minio:sqs:";

/// Which created objects are announced, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rule {
    configuration: QueueConfiguration,
    region: String,
}

impl Rule {
    fn filters(&self) -> impl Iterator<Item = (&str, &str)> {
        let key = self
            .configuration
            .filter
            .as_ref()
            .and_then(|filter| filter.key.as_ref());
        let rules = key.and_then(|key| key.filter_rules.as_ref()).into_iter().flatten();
        rules.filter_map(|rule| Some((rule.name.as_ref()?.as_str(), rule.value.as_deref()?)))
    }

    fn matches(&self, key: &str, event: &str) -> bool {
        self.configuration
            .events
            .iter()
            .any(|pattern| event_matches(pattern.as_ref(), event))
            && self.filters().all(|(name, value)| match name {
                name if name.eq_ignore_ascii_case(FilterRuleName::PREFIX) => key.starts_with(value),
                name if name.eq_ignore_ascii_case(FilterRuleName::SUFFIX) => key.ends_with(value),
                _ => false,
            })
    }

    fn queue_name(&self) -> Option<&str> {
        let arn = &self.configuration.queue_arn;
        if arn.starts_with(MINIO_WEBHOOK) {
            None
        } else {
            arn.rsplit(':').next()
        }
    }
}

/// `s3:ObjectCreated:*` or one exact event.
fn event_matches(pattern: &str, event: &str) -> bool {
    let pattern = pattern.strip_prefix("s3:").unwrap_or(pattern);
    match pattern.strip_suffix('*') {
        Some(family) => event.starts_with(family),
        None => event == pattern,
    }
}

/// The bucket's rules; it is an error if the bucket does not exist.
pub(crate) fn rules(connection: &Connection, bucket: &str) -> Result<Vec<Rule>, Failure> {
    let mut statement = connection.prepare_cached("SELECT notifications FROM bucket WHERE name = ?1")?;
    let rules: Option<String> = statement.query_row([bucket], |row| row.get(0)).optional()?;
    let rules = rules.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
    Ok(serde_json::from_str(&rules)?)
}

/// Leaves a message wherever a rule says so.
pub(crate) fn announce(unit: &mut Unit<'_>, rules: &[Rule], new: &NewObject, id: i64) -> Result<(), Failure> {
    let matching: Vec<&Rule> = rules.iter().filter(|rule| rule.matches(&new.key, new.event)).collect();
    for rule in &matching {
        let Some(name) = rule.queue_name() else { continue };
        let body = serde_json::to_string(&Notification::about(new, id, unit.now, rule))?;
        send(unit, name, body)?;
    }
    if let Some(rule) = matching.first()
        && unit.has_webhook
    {
        let body = serde_json::to_string(&MinioNotification::about(new, id, unit.now, rule))?;
        webhook::post(unit, &body)?;
    }
    Ok(())
}

/// A queue that was deleted since gets nothing, as on AWS.
fn send(unit: &mut Unit<'_>, queue: &str, body: String) -> Result<(), Failure> {
    let Some(queue) = queues::find(unit, queue)? else {
        tracing::warn!(queue, "a bucket's notifications go to a queue that does not exist");
        return Ok(());
    };
    enqueue(unit, &queue, &NewMessage::plain(body))?;
    Ok(())
}

pub(crate) async fn put(s3: &S3, input: PutBucketNotificationConfigurationInput) -> Result<(), Failure> {
    let configuration = input.notification_configuration;
    if configuration
        .topic_configurations
        .is_some_and(|topics| !topics.is_empty())
        || configuration
            .lambda_function_configurations
            .is_some_and(|functions| !functions.is_empty())
    {
        return Err(s3_error!(NotImplemented, "Only queues can be notified.").into());
    }
    let queues = configuration.queue_configurations.unwrap_or_default();
    let (bucket, region) = (input.bucket, s3.region.to_string());
    s3.store
        .write(move |unit| {
            super::buckets::check(unit, &bucket)?;
            let rules = queues
                .into_iter()
                .map(|queue| rule(unit, queue, &region))
                .collect::<Result<Vec<_>, _>>()?;
            for name in rules.iter().filter_map(Rule::queue_name) {
                send(unit, name, serde_json::to_string(&TestEvent::about(&bucket, unit.now))?)?;
            }
            let rules = serde_json::to_string(&rules)?;
            unit.execute(
                "UPDATE bucket SET notifications = ?2 WHERE name = ?1",
                params![bucket, rules],
            )?;
            Ok(())
        })
        .await
}

/// Refuses a queue that does not exist.
fn rule(unit: &Unit<'_>, mut configuration: QueueConfiguration, region: &str) -> Result<Rule, Failure> {
    configuration.id.get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
    let rule = Rule {
        configuration,
        region: region.to_owned(),
    };
    if let Some(name) = rule.queue_name()
        && queues::find(unit, name)?.is_none()
    {
        return Err(s3_error!(
            InvalidArgument,
            "Unable to validate the following destination configurations"
        )
        .into());
    }
    Ok(rule)
}

pub(crate) async fn get(s3: &S3, bucket: String) -> Result<GetBucketNotificationConfigurationOutput, Failure> {
    let rules = s3.store.read(move |connection| rules(connection, &bucket)).await?;
    let queues = rules.into_iter().map(|rule| rule.configuration).collect();
    Ok(GetBucketNotificationConfigurationOutput {
        queue_configurations: Some(queues),
        ..Default::default()
    })
}

fn rfc3339(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// As AWS does: form-encoded, but with the slashes left alone.
fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, KEPT).to_string().replace(' ', "+")
}

/// What arrives when notifications are set up, before any object.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TestEvent<'a> {
    service: &'static str,
    event: &'static str,
    time: String,
    bucket: &'a str,
    request_id: String,
    host_id: &'static str,
}

impl TestEvent<'_> {
    fn about(bucket: &str, now: i64) -> TestEvent<'_> {
        TestEvent {
            service: "Amazon S3",
            event: "s3:TestEvent",
            time: rfc3339(now),
            bucket,
            request_id: uuid::Uuid::new_v4().simple().to_string(),
            host_id: "toktik",
        }
    }
}

/// AWS's notification.
#[derive(Serialize)]
struct Notification<'a> {
    #[serde(rename = "Records")]
    records: [Record<'a>; 1],
}

impl<'a> Notification<'a> {
    fn about(new: &'a NewObject, id: i64, now: i64, rule: &'a Rule) -> Notification<'a> {
        Notification {
            records: [Record::about(new, id, now, rule)],
        }
    }
}

/// MinIO's webhook form: the same records, with the event and the path beside them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MinioNotification<'a> {
    event_name: String,
    key: String,
    records: [Record<'a>; 1],
}

impl<'a> MinioNotification<'a> {
    fn about(new: &'a NewObject, id: i64, now: i64, rule: &'a Rule) -> MinioNotification<'a> {
        let mut record = Record::about(new, id, now, rule);
        record.event_source = "minio:s3";
        record.event_name = format!("s3:{}", new.event);
        MinioNotification {
            event_name: record.event_name.clone(),
            key: format!("{}/{}", new.bucket, new.key),
            records: [record],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: String,
    user_identity: Principal,
    request_parameters: RequestParameters,
    response_elements: ResponseElements,
    s3: Entity<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Principal {
    principal_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestParameters {
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'static str,
}

#[derive(Serialize)]
struct ResponseElements {
    #[serde(rename = "x-amz-request-id")]
    request_id: String,
    #[serde(rename = "x-amz-id-2")]
    id_2: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entity<'a> {
    s3_schema_version: &'static str,
    configuration_id: &'a str,
    bucket: BucketEntity<'a>,
    object: ObjectEntity<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BucketEntity<'a> {
    name: &'a str,
    owner_identity: Principal,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectEntity<'a> {
    key: String,
    size: u64,
    e_tag: &'a str,
    /// Grows with every write of a key, so that of two events about it the later one can be told.
    sequencer: String,
}

impl<'a> Record<'a> {
    fn about(new: &'a NewObject, id: i64, now: i64, rule: &'a Rule) -> Record<'a> {
        let owner = || Principal { principal_id: ACCOUNT };
        Record {
            event_version: "2.1",
            event_source: "aws:s3",
            aws_region: &rule.region,
            event_time: rfc3339(now),
            event_name: new.event.to_owned(),
            user_identity: owner(),
            request_parameters: RequestParameters {
                source_ip_address: "127.0.0.1",
            },
            response_elements: ResponseElements {
                request_id: format!("{id:016X}"),
                id_2: "toktik",
            },
            s3: Entity {
                s3_schema_version: "1.0",
                configuration_id: rule.configuration.id.as_deref().unwrap_or_default(),
                bucket: BucketEntity {
                    name: &new.bucket,
                    owner_identity: owner(),
                    arn: format!("arn:aws:s3:::{}", new.bucket),
                },
                object: ObjectEntity {
                    key: encode_key(&new.key),
                    size: new.size(),
                    e_tag: &new.etag,
                    sequencer: format!("{id:016X}"),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_aws_does() {
        assert_eq!(encode_key("in/a b+ü~1.mp4"), "in/a+b%2B%C3%BC%7E1.mp4");
    }

    #[test]
    fn a_pattern_names_an_event_or_a_family() {
        assert!(event_matches("s3:ObjectCreated:*", "ObjectCreated:Put"));
        assert!(event_matches("s3:ObjectCreated:Put", "ObjectCreated:Put"));
        assert!(!event_matches("s3:ObjectCreated:Put", "ObjectCreated:Copy"));
        assert!(!event_matches("s3:ObjectRemoved:*", "ObjectCreated:Put"));
    }
}
