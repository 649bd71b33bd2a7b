//! Messages: sending, deleting, and changing their visibility.
//!
//! A receipt handle is the message's row and how often it had been received: once somebody else has received it, the
//! handle deletes nothing.

use std::collections::{BTreeMap, HashSet};

use rusqlite::params;
use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::Error;
use super::queues::{self, Attributes, DELAY, MAXIMUM_SIZE, Queue, RETENTION};
use super::{Empty, Sqs};
use crate::store::{Bell, Unit};

const LARGEST_BATCH: usize = 10;
const LARGEST_BATCH_BYTES: usize = 1 << 20;
pub(super) const TRACE_HEADER: &str = "AWSTraceHeader";

/// A message attribute, kept as the client wrote it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MessageAttribute {
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

pub(super) type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// What goes into a queue.
#[derive(Default)]
pub(crate) struct NewMessage {
    body: String,
    attributes: MessageAttributes,
    trace: Option<String>,
    /// In seconds; the queue's own delay if not given.
    delay: Option<i64>,
}

impl NewMessage {
    pub(crate) fn plain(body: String) -> NewMessage {
        NewMessage {
            body,
            ..Default::default()
        }
    }

    fn size(&self) -> usize {
        let attribute = |(name, value): (&String, &MessageAttribute)| {
            let text = value
                .string_value
                .as_ref()
                .or(value.binary_value.as_ref())
                .map_or(0, String::len);
            name.len() + value.data_type.len() + text
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    fn check(&self, queue: &Attributes) -> Result<(), Error> {
        let most = queue.number(MAXIMUM_SIZE);
        if i64::try_from(self.size()).unwrap_or(i64::MAX) > most {
            return Err(Error::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            )));
        }
        if self.body.is_empty() {
            return Err(Error::InvalidParameterValue(
                "The message body must not be empty.".to_owned(),
            ));
        }
        check_range("DelaySeconds", self.delay, 0..=900)
    }
}

pub(super) fn check_range(name: &str, value: Option<i64>, range: std::ops::RangeInclusive<i64>) -> Result<(), Error> {
    match value {
        Some(value) if !range.contains(&value) => {
            let (least, most) = (range.start(), range.end());
            let message =
                format!("Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}.");
            Err(Error::InvalidParameterValue(message))
        }
        _ => Ok(()),
    }
}

/// Adds the message as part of a greater transaction; returns its id.
pub(crate) fn enqueue(unit: &mut Unit<'_>, queue: &Queue, message: &NewMessage) -> Result<String, rusqlite::Error> {
    let id = Uuid::new_v4().to_string();
    let delay = message.delay.unwrap_or_else(|| queue.attributes.number(DELAY));
    let expires = unit.now + queue.attributes.number(RETENTION) * 1000;
    let attributes = serde_json::to_string(&message.attributes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let sql = "INSERT INTO message (queue, message_id, body, attributes, trace, sent, visible, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let visible = unit.now + delay * 1000;
    unit.prepare_cached(sql)?.execute(params![
        queue.id,
        id,
        message.body,
        attributes,
        message.trace,
        unit.now,
        visible,
        expires
    ])?;
    unit.ring(Bell::Queue(queue.id));
    Ok(id)
}

/// A message in a request of its own or in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    message_body: String,
    #[serde(default)]
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: Option<MessageAttributes>,
    #[serde(default)]
    message_system_attributes: Option<MessageAttributes>,
}

impl From<Entry> for NewMessage {
    fn from(entry: Entry) -> Self {
        let trace = entry.message_system_attributes.unwrap_or_default().remove(TRACE_HEADER);
        NewMessage {
            body: entry.message_body,
            attributes: entry.message_attributes.unwrap_or_default(),
            trace: trace.and_then(|trace| trace.string_value),
            delay: entry.delay_seconds,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Serialize)]
pub(crate) struct Sent {
    #[serde(rename = "MessageId")]
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5: String,
}

pub(crate) async fn send(sqs: &Sqs, request: SendMessage) -> Result<Sent, Error> {
    sqs.store
        .write(move |unit| {
            let queue = queues::at(unit, &request.queue_url)?;
            send_one(unit, &queue, &request.entry.into())
        })
        .await
}

fn send_one(unit: &mut Unit<'_>, queue: &Queue, message: &NewMessage) -> Result<Sent, Error> {
    message.check(&queue.attributes)?;
    let md5 = md5(&message.body);
    Ok(Sent {
        message_id: enqueue(unit, queue, message)?,
        md5,
    })
}

pub(super) fn md5(body: &str) -> String {
    hex::encode(Md5::checksum(body.as_bytes()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Batch<T> {
    queue_url: String,
    entries: Vec<Identified<T>>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Identified<T> {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchResult<T> {
    successful: Vec<Identified<T>>,
    failed: Vec<Identified<EntryFailure>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EntryFailure {
    sender_fault: bool,
    code: &'static str,
    message: String,
}

impl<T> Batch<T> {
    fn check(&self) -> Result<(), Error> {
        let distinct: HashSet<&str> = self.entries.iter().map(|entry| entry.id.as_str()).collect();
        match self.entries.len() {
            0 => Err(Error::EmptyBatchRequest),
            count if count > LARGEST_BATCH => Err(Error::TooManyEntriesInBatchRequest),
            count if count > distinct.len() => Err(Error::BatchEntryIdsNotDistinct),
            _ => Ok(()),
        }
    }

    /// Each entry succeeds or fails for itself, but what succeeds becomes durable together. A failure of the store fails
    /// the batch.
    async fn run<R: Send + 'static>(
        self,
        sqs: &Sqs,
        one: impl Fn(&mut Unit<'_>, &Queue, T) -> Result<R, Error> + Send + 'static,
    ) -> Result<BatchResult<R>, Error>
    where
        T: Send + 'static,
    {
        self.check()?;
        sqs.store
            .write(move |unit| {
                let queue = queues::at(unit, &self.queue_url)?;
                let mut result = BatchResult {
                    successful: Vec::new(),
                    failed: Vec::new(),
                };
                for Identified { id, what } in self.entries {
                    match one(unit, &queue, what) {
                        Ok(what) => result.successful.push(Identified { id, what }),
                        Err(error) if error.is_senders_fault() => result.failed.push(entry_failure(id, &error)),
                        Err(error) => return Err(error),
                    }
                }
                Ok(result)
            })
            .await
    }
}

fn entry_failure(id: String, error: &Error) -> Identified<EntryFailure> {
    let what = EntryFailure {
        sender_fault: true,
        code: error.query_code(),
        message: error.public_message(),
    };
    Identified { id, what }
}

pub(crate) async fn send_batch(sqs: &Sqs, batch: Batch<Entry>) -> Result<BatchResult<Sent>, Error> {
    let size: usize = batch.entries.iter().map(|entry| entry.what.message_body.len()).sum();
    if size > LARGEST_BATCH_BYTES {
        return Err(Error::BatchRequestTooLong(LARGEST_BATCH_BYTES));
    }
    batch
        .run(sqs, |unit, queue, entry| send_one(unit, queue, &entry.into()))
        .await
}

pub(super) struct ReceiptHandle {
    pub(super) id: i64,
    pub(super) receives: i64,
}

impl std::fmt::Display for ReceiptHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.id, self.receives)
    }
}

impl std::str::FromStr for ReceiptHandle {
    type Err = Error;

    fn from_str(handle: &str) -> Result<Self, Error> {
        let parse = |(id, receives): (&str, &str)| Some((id.parse().ok()?, receives.parse().ok()?));
        let parsed = handle.split_once('-').and_then(parse);
        parsed
            .map(|(id, receives)| ReceiptHandle { id, receives })
            .ok_or(Error::ReceiptHandleIsInvalid)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Receipt {
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteMessage {
    queue_url: String,
    #[serde(flatten)]
    receipt: Receipt,
}

pub(crate) async fn delete(sqs: &Sqs, request: DeleteMessage) -> Result<Empty, Error> {
    sqs.store
        .write(move |unit| {
            let queue = queues::at(unit, &request.queue_url)?;
            delete_one(unit, &queue, &request.receipt)
        })
        .await
}

pub(crate) async fn delete_batch(sqs: &Sqs, batch: Batch<Receipt>) -> Result<BatchResult<Empty>, Error> {
    batch
        .run(sqs, |unit, queue, receipt| delete_one(unit, queue, &receipt))
        .await
}

/// That nothing is left to delete is a success, as on AWS.
fn delete_one(unit: &Unit<'_>, queue: &Queue, receipt: &Receipt) -> Result<Empty, Error> {
    let handle: ReceiptHandle = receipt.receipt_handle.parse()?;
    unit.prepare_cached("DELETE FROM message WHERE id = ?1 AND queue = ?2 AND receives = ?3")?
        .execute(params![handle.id, queue.id, handle.receives])?;
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Visibility {
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeVisibility {
    queue_url: String,
    #[serde(flatten)]
    visibility: Visibility,
}

pub(crate) async fn change_visibility(sqs: &Sqs, request: ChangeVisibility) -> Result<Empty, Error> {
    sqs.store
        .write(move |unit| {
            let queue = queues::at(unit, &request.queue_url)?;
            change_one(unit, &queue, &request.visibility)
        })
        .await
}

pub(crate) async fn change_visibility_batch(sqs: &Sqs, batch: Batch<Visibility>) -> Result<BatchResult<Empty>, Error> {
    batch
        .run(sqs, |unit, queue, visibility| change_one(unit, queue, &visibility))
        .await
}

fn change_one(unit: &mut Unit<'_>, queue: &Queue, visibility: &Visibility) -> Result<Empty, Error> {
    check_range("VisibilityTimeout", Some(visibility.visibility_timeout), 0..=43_200)?;
    let handle: ReceiptHandle = visibility.receipt_handle.parse()?;
    let visible = unit.now + visibility.visibility_timeout * 1000;
    let sql = "UPDATE message SET visible = ?4 WHERE id = ?1 AND queue = ?2 AND receives = ?3 AND visible > ?5";
    let changed =
        unit.prepare_cached(sql)?
            .execute(params![handle.id, queue.id, handle.receives, visible, unit.now])?;
    if changed == 0 {
        return Err(Error::MessageNotInflight);
    }
    unit.ring(Bell::Queue(queue.id));
    Ok(Empty {})
}

/// Ends the visibility timeout of every message that was received: whoever received it is known to be gone.
pub(crate) async fn release_in_flight(sqs: &Sqs) -> Result<usize, Error> {
    let sql = "UPDATE message SET visible = ?1 WHERE visible > ?1 AND receives > 0";
    sqs.store.write(|unit| Ok(unit.execute(sql, [unit.now])?)).await
}

/// Removes what its queue has kept long enough; returns how many messages are gone.
pub(crate) async fn sweep(sqs: &Sqs) -> Result<usize, Error> {
    let now = sqs.store.now();
    let expired = sqs.store.read(move |connection| {
        let mut statement = connection.prepare_cached("SELECT 1 FROM message WHERE expires <= ?1 LIMIT 1")?;
        Ok::<_, Error>(statement.exists([now])?)
    });
    if !expired.await? {
        return Ok(0);
    }
    sqs.store
        .write(|unit| Ok(unit.execute("DELETE FROM message WHERE expires <= ?1", [unit.now])?))
        .await
}
