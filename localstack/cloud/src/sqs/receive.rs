//! Receiving: long polls, visibility, and moving to the dead-letter queue what was received too often.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Sqs;
use super::error::Error;
use super::messages::{MessageAttributes, ReceiptHandle, TRACE_HEADER, check_range, md5};
use super::queues::{self, Queue, VISIBILITY_TIMEOUT, WAIT};
use crate::ACCOUNT;
use crate::clock::millis;
use crate::store::{Bell, Unit};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReceiveMessage {
    queue_url: String,
    #[serde(default)]
    max_number_of_messages: Option<i64>,
    #[serde(default)]
    visibility_timeout: Option<i64>,
    #[serde(default)]
    wait_time_seconds: Option<i64>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// What to tell about a message beside its body.
#[expect(clippy::struct_field_names, reason = "the protocol's names")]
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wanted {
    /// The older name of the next.
    #[serde(default)]
    attribute_names: Option<Vec<String>>,
    #[serde(default)]
    message_system_attribute_names: Option<Vec<String>>,
    #[serde(default)]
    message_attribute_names: Option<Vec<String>>,
}

impl Wanted {
    fn includes(&self, system_attribute: &str) -> bool {
        let names = self
            .attribute_names
            .iter()
            .chain(&self.message_system_attribute_names)
            .flatten();
        names.into_iter().any(|name| name == "All" || name == system_attribute)
    }

    fn includes_attribute(&self, attribute: &str) -> bool {
        let matches = |name: &String| match name.strip_suffix(".*") {
            Some(prefix) => attribute.starts_with(prefix),
            None => name == "All" || name == attribute,
        };
        self.message_attribute_names.iter().flatten().any(matches)
    }
}

impl ReceiveMessage {
    fn check(&self) -> Result<(), Error> {
        check_range("MaxNumberOfMessages", self.max_number_of_messages, 1..=10)?;
        check_range("VisibilityTimeout", self.visibility_timeout, 0..=43_200)?;
        check_range("WaitTimeSeconds", self.wait_time_seconds, 0..=20)
    }
}

#[derive(Serialize)]
pub(crate) struct Received {
    #[serde(rename = "Messages", skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
}

#[expect(clippy::struct_field_names, reason = "the protocol's names")]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: MessageAttributes,
}

/// Waits for messages without holding anything: it looks with a reader, and takes a write transaction only when there is
/// something to take.
pub(crate) async fn receive(sqs: &Sqs, request: ReceiveMessage) -> Result<Received, Error> {
    request.check()?;
    let began = Instant::now();
    let mut outlook = Outlook::of(sqs, &request).await?;
    let deadline = began + outlook.wait(&request);
    let bell = sqs.store.bells().of(Bell::Queue(outlook.queue.id));
    loop {
        let rung = bell.notified();
        tokio::pin!(rung);
        // Before looking, so that a message sent in between is not slept over.
        rung.as_mut().enable();
        outlook = Outlook::of(sqs, &request).await?;
        if outlook.has_message() {
            let received = take(sqs, &request).await?;
            if !received.messages.is_empty() {
                return Ok(received);
            }
        }
        if Instant::now() >= deadline {
            return Ok(Received { messages: Vec::new() });
        }
        let _ = tokio::time::timeout_at(outlook.next_look().min(deadline), rung).await;
    }
}

/// When the queue will have a message if nothing else happens.
struct Outlook {
    queue: Queue,
    now: i64,
    next: Option<i64>,
}

impl Outlook {
    async fn of(sqs: &Sqs, request: &ReceiveMessage) -> Result<Outlook, Error> {
        let (now, url) = (sqs.store.now(), request.queue_url.clone());
        sqs.store
            .read(move |connection| {
                let queue = queues::at(connection, &url)?;
                let next = next_visible(connection, queue.id, now)?;
                Ok(Outlook { queue, now, next })
            })
            .await
    }

    fn wait(&self, request: &ReceiveMessage) -> Duration {
        let seconds = request
            .wait_time_seconds
            .unwrap_or_else(|| self.queue.attributes.number(WAIT));
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    fn has_message(&self) -> bool {
        self.next.is_some_and(|next| next <= self.now)
    }

    /// At least a moment away: a message that another receiver has just taken is not looked for in a circle.
    fn next_look(&self) -> Instant {
        let rest = self
            .next
            .map_or(i64::MAX, |next| next - self.now)
            .clamp(1, millis(Duration::from_mins(1)));
        Instant::now() + Duration::from_millis(u64::try_from(rest).unwrap_or_default())
    }
}

fn next_visible(connection: &Connection, queue: i64, now: i64) -> Result<Option<i64>, rusqlite::Error> {
    let sql = "SELECT visible FROM message WHERE queue = ?1 AND expires > ?2 ORDER BY visible LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![queue, now])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

/// One transaction: moves what was received too often to the dead-letter queue and hands out the rest.
async fn take(sqs: &Sqs, request: &ReceiveMessage) -> Result<Received, Error> {
    let (url, wanted, region) = (request.queue_url.clone(), request.wanted.clone(), sqs.region.clone());
    let (limit, timeout) = (request.max_number_of_messages.unwrap_or(1), request.visibility_timeout);
    sqs.store
        .write(move |unit| {
            let queue = queues::at(unit, &url)?;
            redrive(unit, &queue, &region)?;
            let timeout = timeout.unwrap_or_else(|| queue.attributes.number(VISIBILITY_TIMEOUT));
            hand_out(unit, &queue, limit, timeout, &wanted)
        })
        .await
}

fn redrive(unit: &mut Unit<'_>, queue: &Queue, region: &str) -> Result<(), Error> {
    let Some(policy) = queue.attributes.redrive() else {
        return Ok(());
    };
    let Some(dead_letters) = queues::find(unit, policy.dead_letter_queue())? else {
        return Ok(());
    };
    let sql = "UPDATE message SET queue = ?2, visible = ?3, receives = 0, first_received = NULL, source = ?5
               WHERE queue = ?1 AND visible <= ?3 AND receives >= ?4";
    let source = queues::arn(region, &queue.name);
    let moved = unit.prepare_cached(sql)?.execute(params![
        queue.id,
        dead_letters.id,
        unit.now,
        policy.max_receives(),
        source
    ])?;
    if moved > 0 {
        unit.ring(Bell::Queue(dead_letters.id));
    }
    Ok(())
}

fn hand_out(unit: &Unit<'_>, queue: &Queue, limit: i64, timeout: i64, wanted: &Wanted) -> Result<Received, Error> {
    let sql = "UPDATE message SET visible = ?3, receives = receives + 1, first_received = coalesce(first_received, ?2)
               WHERE id IN (SELECT id FROM message WHERE queue = ?1 AND visible <= ?2 AND expires > ?2
                            ORDER BY visible, id LIMIT ?4)
               RETURNING id, message_id, body, attributes, trace, sent, receives, first_received, source";
    let mut statement = unit.prepare_cached(sql)?;
    let mut rows = statement.query(params![queue.id, unit.now, unit.now + timeout * 1000, limit])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(message(row, wanted)?);
    }
    Ok(Received { messages })
}

fn message(row: &Row<'_>, wanted: &Wanted) -> Result<Message, Error> {
    let receives: i64 = row.get("receives")?;
    let body: String = row.get("body")?;
    let mut message_attributes: MessageAttributes = serde_json::from_str(&row.get::<_, String>("attributes")?)?;
    message_attributes.retain(|name, _| wanted.includes_attribute(name));
    let known = [
        ("SenderId", Some(ACCOUNT.to_owned())),
        ("SentTimestamp", Some(row.get::<_, i64>("sent")?.to_string())),
        ("ApproximateReceiveCount", Some(receives.to_string())),
        (
            "ApproximateFirstReceiveTimestamp",
            row.get::<_, Option<i64>>("first_received")?.map(|at| at.to_string()),
        ),
        (TRACE_HEADER, row.get("trace")?),
        ("DeadLetterQueueSourceArn", row.get("source")?),
    ];
    let attributes = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(Message {
        message_id: row.get("message_id")?,
        receipt_handle: ReceiptHandle {
            id: row.get("id")?,
            receives,
        }
        .to_string(),
        md5: md5(&body),
        body,
        attributes: attributes.filter(|(name, _)| wanted.includes(name)).collect(),
        message_attributes,
    })
}
