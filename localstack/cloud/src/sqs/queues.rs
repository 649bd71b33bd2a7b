//! Queues and their attributes.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::{Empty, Sqs};
use crate::ACCOUNT;
use crate::store::{Bell, Unit};

pub(crate) struct Queue {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    created: i64,
    modified: i64,
}

/// As set by the client; what is not set has its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Attributes(BTreeMap<String, String>);

/// Name, default, and the allowed range.
const NUMBERS: [(&str, i64, i64, i64); 5] = [
    (VISIBILITY_TIMEOUT, 30, 0, 43_200),
    (RETENTION, 345_600, 60, 1_209_600),
    (DELAY, 0, 0, 900),
    (WAIT, 0, 0, 20),
    (MAXIMUM_SIZE, 1_048_576, 1024, 1_048_576),
];
pub(crate) const VISIBILITY_TIMEOUT: &str = "VisibilityTimeout";
pub(crate) const RETENTION: &str = "MessageRetentionPeriod";
pub(crate) const DELAY: &str = "DelaySeconds";
pub(crate) const WAIT: &str = "ReceiveMessageWaitTimeSeconds";
pub(crate) const MAXIMUM_SIZE: &str = "MaximumMessageSize";
const REDRIVE: &str = "RedrivePolicy";
/// Accepted and given back, without effect here.
const IGNORED: [&str; 5] = [
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

impl Attributes {
    pub(crate) fn number(&self, name: &str) -> i64 {
        let default = NUMBERS
            .iter()
            .find(|number| number.0 == name)
            .map_or(0, |number| number.1);
        self.0.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    pub(crate) fn redrive(&self) -> Option<Redrive> {
        serde_json::from_str(self.0.get(REDRIVE)?).ok()
    }

    fn check(&self) -> Result<(), Error> {
        for (name, value) in &self.0 {
            let valid = match NUMBERS.iter().find(|number| number.0 == name) {
                Some((_, _, least, most)) => value.parse().is_ok_and(|value: i64| (*least..=*most).contains(&value)),
                None if name == REDRIVE => value.is_empty() || self.redrive().is_some(),
                None if IGNORED.contains(&name.as_str()) => true,
                None => return Err(Error::InvalidAttributeName(name.clone())),
            };
            if !valid {
                return Err(Error::InvalidAttributeValue {
                    name: name.clone(),
                    value: value.clone(),
                });
            }
        }
        Ok(())
    }

    /// The first attribute that `others` wants to be different.
    fn difference(&self, others: &Attributes) -> Option<String> {
        let default = |name: &str| {
            NUMBERS
                .iter()
                .find(|number| number.0 == name)
                .map(|number| number.1.to_string())
        };
        let differs =
            |name: &str, value: &String| self.0.get(name).cloned().or_else(|| default(name)).as_ref() != Some(value);
        others
            .0
            .iter()
            .find(|(name, value)| differs(name, value))
            .map(|(name, _)| name.clone())
    }
}

/// Where a message goes that has been received too often.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redrive {
    dead_letter_target_arn: String,
    max_receive_count: Count,
}

/// The SDKs' users write it with and without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(i64),
    Text(String),
}

impl Redrive {
    pub(crate) fn dead_letter_queue(&self) -> &str {
        self.dead_letter_target_arn.rsplit(':').next().unwrap_or_default()
    }

    pub(crate) fn max_receives(&self) -> i64 {
        match &self.max_receive_count {
            Count::Number(number) => *number,
            Count::Text(text) => text.parse().unwrap_or(i64::MAX),
        }
    }
}

pub(crate) fn find(connection: &Connection, name: &str) -> Result<Option<Queue>, rusqlite::Error> {
    let mut statement =
        connection.prepare_cached("SELECT id, name, attributes, created, modified FROM queue WHERE name = ?1")?;
    statement
        .query_row([name], |row| {
            Ok(Queue {
                id: row.get(0)?,
                name: row.get(1)?,
                attributes: serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default(),
                created: row.get(3)?,
                modified: row.get(4)?,
            })
        })
        .optional()
}

/// The queue a URL ends in.
pub(crate) fn at(connection: &Connection, url: &str) -> Result<Queue, Error> {
    let name = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    find(connection, name)?.ok_or(Error::NonExistentQueue)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueUrl {
    queue_url: String,
}

/// Creating a queue again changes nothing, and fails if other attributes are wanted.
pub(crate) async fn create(sqs: &Sqs, request: CreateQueue) -> Result<QueueUrl, Error> {
    let (name, wanted) = (request.queue_name, request.attributes.unwrap_or_default());
    check_name(&name)?;
    wanted.check()?;
    let queue_url = sqs.url(&name);
    sqs.store
        .write(move |unit| {
            if let Some(queue) = find(unit, &name)? {
                return queue
                    .attributes
                    .difference(&wanted)
                    .map_or(Ok(()), |name| Err(Error::QueueNameExists(name)));
            }
            check_redrive(unit, &wanted)?;
            let sql = "INSERT INTO queue (name, attributes, created, modified) VALUES (?1, ?2, ?3, ?3)";
            unit.execute(sql, params![name, serde_json::to_string(&wanted)?, unit.now])?;
            Ok(())
        })
        .await?;
    Ok(QueueUrl { queue_url })
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 80 || !name.chars().all(allowed) {
        let rule = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(Error::InvalidParameterValue(rule.to_owned()));
    }
    Ok(())
}

fn check_redrive(unit: &Unit<'_>, attributes: &Attributes) -> Result<(), Error> {
    let Some(redrive) = attributes.redrive() else {
        return Ok(());
    };
    if find(unit, redrive.dead_letter_queue())?.is_none() {
        return Err(Error::InvalidParameterValue(
            "The dead-letter queue does not exist.".to_owned(),
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueUrl {
    queue_name: String,
}

pub(crate) async fn url(sqs: &Sqs, request: GetQueueUrl) -> Result<QueueUrl, Error> {
    let name = request.queue_name;
    let queue = sqs
        .store
        .read(move |connection| find(connection, &name).map_err(Error::from))
        .await?;
    let queue = queue.ok_or(Error::NonExistentQueue)?;
    Ok(QueueUrl {
        queue_url: sqs.url(&queue.name),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQueues {
    #[serde(default)]
    queue_name_prefix: Option<String>,
    #[serde(default)]
    max_results: Option<usize>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueUrls {
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The token is the last name of the page before.
pub(crate) async fn list(sqs: &Sqs, request: ListQueues) -> Result<QueueUrls, Error> {
    let limit = request.max_results.unwrap_or(1000).clamp(1, 1000);
    let (prefix, after) = (
        request.queue_name_prefix.unwrap_or_default(),
        request.next_token.unwrap_or_default(),
    );
    let names = sqs.store.read(move |connection| {
        let sql = "SELECT name FROM queue WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name LIMIT ?3";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map(params![after, prefix, limit], |row| row.get(0))?;
        Ok::<Vec<String>, Error>(rows.collect::<Result<_, _>>()?)
    });
    let names = names.await?;
    Ok(QueueUrls {
        queue_urls: names.iter().map(|name| sqs.url(name)).collect(),
        next_token: names.last().filter(|_| names.len() == limit).cloned(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneQueue {
    queue_url: String,
}

pub(crate) async fn delete(sqs: &Sqs, request: OneQueue) -> Result<Empty, Error> {
    sqs.store
        .write(move |unit| {
            let queue = at(unit, &request.queue_url)?;
            unit.execute("DELETE FROM message WHERE queue = ?1", [queue.id])?;
            unit.execute("DELETE FROM queue WHERE id = ?1", [queue.id])?;
            unit.ring(Bell::Queue(queue.id));
            Ok(Empty {})
        })
        .await
}

pub(crate) async fn purge(sqs: &Sqs, request: OneQueue) -> Result<Empty, Error> {
    sqs.store
        .write(move |unit| {
            let queue = at(unit, &request.queue_url)?;
            unit.execute("DELETE FROM message WHERE queue = ?1", [queue.id])?;
            Ok(Empty {})
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SetQueueAttributes {
    queue_url: String,
    attributes: Attributes,
}

pub(crate) async fn set_attributes(sqs: &Sqs, request: SetQueueAttributes) -> Result<Empty, Error> {
    request.attributes.check()?;
    sqs.store
        .write(move |unit| {
            let mut queue = at(unit, &request.queue_url)?;
            check_redrive(unit, &request.attributes)?;
            queue.attributes.0.extend(request.attributes.0);
            // The empty value takes the attribute away.
            queue.attributes.0.retain(|_, value| !value.is_empty());
            let attributes = serde_json::to_string(&queue.attributes)?;
            let sql = "UPDATE queue SET attributes = ?2, modified = ?3 WHERE id = ?1";
            unit.execute(sql, params![queue.id, attributes, unit.now])?;
            unit.ring(Bell::Queue(queue.id));
            Ok(Empty {})
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueAttributes {
    attributes: BTreeMap<String, String>,
}

pub(crate) async fn attributes(sqs: &Sqs, request: GetQueueAttributes) -> Result<QueueAttributes, Error> {
    let wanted = request.attribute_names.unwrap_or_default();
    let (now, url) = (sqs.store.now(), request.queue_url);
    let found = sqs.store.read(move |connection| {
        let queue = at(connection, &url)?;
        let counts = Counts::of(connection, queue.id, now)?;
        Ok::<_, Error>((queue, counts))
    });
    let (queue, counts) = found.await?;
    let mut attributes = queue.attributes.0.clone();
    for (name, ..) in NUMBERS {
        attributes.insert(name.to_owned(), queue.attributes.number(name).to_string());
    }
    attributes.extend(counts.named());
    attributes.insert("QueueArn".to_owned(), sqs.arn(&queue.name));
    attributes.insert("CreatedTimestamp".to_owned(), (queue.created / 1000).to_string());
    attributes.insert("LastModifiedTimestamp".to_owned(), (queue.modified / 1000).to_string());
    attributes.retain(|name, _| wanted.iter().any(|wanted| wanted == "All" || wanted == name));
    Ok(QueueAttributes { attributes })
}

struct Counts {
    visible: i64,
    in_flight: i64,
    delayed: i64,
}

impl Counts {
    fn of(connection: &Connection, queue: i64, now: i64) -> Result<Counts, rusqlite::Error> {
        let sql = "SELECT count(*) FILTER (WHERE visible <= ?2),
                          count(*) FILTER (WHERE visible > ?2 AND receives > 0),
                          count(*) FILTER (WHERE visible > ?2 AND receives = 0)
                   FROM message WHERE queue = ?1 AND expires > ?2";
        connection.query_row(sql, params![queue, now], |row| {
            Ok(Counts {
                visible: row.get(0)?,
                in_flight: row.get(1)?,
                delayed: row.get(2)?,
            })
        })
    }

    fn named(&self) -> [(String, String); 3] {
        [
            ("ApproximateNumberOfMessages".to_owned(), self.visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible".to_owned(),
                self.in_flight.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed".to_owned(),
                self.delayed.to_string(),
            ),
        ]
    }
}

/// What a message that was moved to a dead-letter queue remembers.
pub(crate) fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}")
}
