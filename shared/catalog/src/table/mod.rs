//! The one table, in the few words the catalog needs of DynamoDB: get, query, and conditional writes alone or together.

mod query;
mod write;
mod writes;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::de::DeserializeOwned;

pub(crate) use query::Query;
pub(crate) use write::Write;
use write::{Kind, non_empty};
pub use writes::{Writes, Writing};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Keys that one batch read takes.
const BATCH: usize = 100;
/// How often a transaction that met another one is tried again before the caller hears of it.
const CONFLICT_ATTEMPTS: u32 = 12;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The condition of this write (counted from 0) did not hold; nothing was written.
    #[error("the condition of write {0} did not hold")]
    Condition(usize),
    #[error("an item is not as this version writes it")]
    Unreadable(#[from] serde_dynamo::Error),
    /// The store did not do what it was asked for.
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

impl Error {
    pub fn is_condition(&self) -> bool {
        matches!(self, Self::Condition(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    fn attributes(&self) -> Item {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
    pub(crate) writes: Writes,
}

impl Table {
    pub(crate) fn new(client: Client, name: String) -> Self {
        let writes = Writes::default();
        Self { client, name, writes }
    }

    /// Consistent: what was acknowledged is seen.
    pub(crate) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()));
        let output = request.consistent_read(true).send().await.context("reading an item")?;
        output.item.map(decode).transpose()
    }

    /// In the order of the keys given, without those that do not exist.
    pub(crate) async fn get_many<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, Error> {
        let items = self.items(keys).await?;
        items.into_iter().flatten().map(decode).collect()
    }

    /// The item of each key, where there is one.
    pub(crate) async fn items(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        let batches = keys.chunks(BATCH).map(|keys| self.batch(keys));
        Ok(futures::future::try_join_all(batches).await?.concat())
    }

    async fn batch(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        let mut found: HashMap<(String, String), Item> = HashMap::new();
        let mut wanted: Vec<Item> = keys.iter().map(Key::attributes).collect();
        for attempt in 0.. {
            if wanted.is_empty() {
                break;
            }
            if attempt > 0 {
                tokio::time::sleep(backoff(attempt)).await;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build();
            let request = request.context("building a batch read")?;
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .send()
                .await;
            let output = output.context("reading items")?;
            for item in output
                .responses
                .unwrap_or_default()
                .remove(&self.name)
                .unwrap_or_default()
            {
                found.insert((text(&item, "pk"), text(&item, "sk")), item);
            }
            let rest = output.unprocessed_keys.unwrap_or_default().remove(&self.name);
            wanted = rest.map(|rest| rest.keys).unwrap_or_default();
        }
        let in_order = keys.iter().map(|key| found.remove(&(key.pk.clone(), key.sk.clone())));
        Ok(in_order.collect())
    }

    /// One page of a partition, with the sort key of its last item if there may be more.
    pub(crate) async fn query<T: DeserializeOwned>(&self, query: Query) -> Result<(Vec<T>, Option<String>), Error> {
        let (items, last) = self.page(query).await?;
        let decoded: Result<Vec<T>, Error> = items.into_iter().map(decode).collect();
        Ok((decoded?, last))
    }

    /// The same, as items of whatever kinds.
    pub(crate) async fn page(&self, query: Query) -> Result<(Vec<Item>, Option<String>), Error> {
        let (pk, sk) = if query.by_owner {
            ("gsi1pk", "gsi1sk")
        } else {
            ("pk", "sk")
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .scan_index_forward(!query.backward);
        request = if query.by_owner {
            request.index_name("by_owner")
        } else {
            request.consistent_read(true)
        };
        request = request
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
            .expression_attribute_names("#pk", pk)
            .expression_attribute_names("#sk", sk)
            .expression_attribute_values(":pk", AttributeValue::S(query.pk.clone()))
            .expression_attribute_values(":low", AttributeValue::S(query.low.clone()))
            .expression_attribute_values(":high", AttributeValue::S(query.high.clone()))
            .set_limit(query.limit.and_then(|limit| i32::try_from(limit).ok()));
        let output = request.send().await.context("querying a partition")?;
        let more = output.last_evaluated_key.is_some();
        let items = output.items.unwrap_or_default();
        let last = items.last().filter(|_| more).map(|item| text(item, sk));
        Ok((items, last))
    }

    /// All items of a range, however many pages they fill.
    pub(crate) async fn query_all<T: DeserializeOwned>(&self, query: Query) -> Result<Vec<T>, Error> {
        let mut query = query;
        let mut all = Vec::new();
        loop {
            let (items, last) = self.query(query.clone()).await?;
            all.extend(items);
            match last {
                Some(last) => query = query.after(&last),
                None => return Ok(all),
            }
        }
    }

    /// All of these writes or none.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<(), Error> {
        let _counted = self.writes.one();
        for attempt in 0..CONFLICT_ATTEMPTS {
            match self.try_write(&writes).await {
                Err(Failed::Conflict) => tokio::time::sleep(backoff(attempt)).await,
                Err(Failed::Other(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        Err(Error::Store(anyhow!("other transactions kept touching the same items")))
    }

    async fn try_write(&self, writes: &[Write]) -> Result<(), Failed> {
        if let [only] = writes {
            return self.write_one(only).await;
        }
        let items: anyhow::Result<Vec<_>> = writes.iter().map(|write| write.item(&self.name)).collect();
        let items = items.map_err(|error| Failed::Other(error.into()))?;
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Alone, a write needs no transaction, which costs twice as much and which not every store has.
    async fn write_one(&self, write: &Write) -> Result<(), Failed> {
        let (table, condition) = (self.name.as_str(), write.condition_expression());
        let (names, values) = (non_empty(write.names.clone()), non_empty(write.values.clone()));
        let key = Some(write.key.attributes());
        match &write.kind {
            Kind::Put(item) => {
                let request = self.client.put_item().table_name(table).set_item(Some(item.clone()));
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let request = request.set_expression_attribute_values(values);
                request.send().await.map(drop).map_err(failed_alone)
            }
            Kind::Update => {
                let request = self.client.update_item().table_name(table).set_key(key);
                let request = request.update_expression(write.update_expression());
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let request = request.set_expression_attribute_values(values);
                request.send().await.map(drop).map_err(failed_alone)
            }
            Kind::Delete => {
                let request = self.client.delete_item().table_name(table).set_key(key);
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let request = request.set_expression_attribute_values(values);
                request.send().await.map(drop).map_err(failed_alone)
            }
            Kind::Check => Err(Failed::Other(Error::Store(anyhow!("a check alone writes nothing")))),
        }
    }

    /// One write that tells how the item looks afterwards.
    pub(crate) async fn update<T: DeserializeOwned>(&self, write: Write) -> Result<T, Error> {
        let _counted = self.writes.one();
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(write.key.attributes()))
            .update_expression(write.update_expression())
            .set_condition_expression(write.condition_expression())
            .set_expression_attribute_names(non_empty(write.names))
            .set_expression_attribute_values(non_empty(write.values))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match request.send().await {
            Ok(output) => decode(output.attributes.unwrap_or_default()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Err(Error::Condition(0)),
            Err(error) => Err(Error::Store(anyhow::Error::from(error).context("updating an item"))),
        }
    }

    /// Removes whatever is there; a second time does nothing.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Error> {
        let _counted = self.writes.one();
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()));
        request.send().await.context("deleting an item")?;
        Ok(())
    }
}

enum Failed {
    Conflict,
    Other(Error),
}

fn failed_alone<E>(error: SdkError<E>) -> Failed
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some("ConditionalCheckFailedException") => Failed::Other(Error::Condition(0)),
        Some("TransactionConflictException") => Failed::Conflict,
        _ => Failed::Other(Error::Store(anyhow::Error::from(error).context("writing an item"))),
    }
}

fn failed(error: SdkError<aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError>) -> Failed {
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as Kind;
    let reasons = match error.as_service_error() {
        Some(Kind::TransactionCanceledException(canceled)) => canceled.cancellation_reasons(),
        Some(Kind::TransactionInProgressException(_)) => return Failed::Conflict,
        _ => &[],
    };
    let position = |code: &str| reasons.iter().position(|reason| reason.code() == Some(code));
    if let Some(index) = position("ConditionalCheckFailed") {
        return Failed::Other(Error::Condition(index));
    }
    let passing = [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ];
    if passing.iter().any(|code| position(code).is_some()) {
        return Failed::Conflict;
    }
    Failed::Other(Error::Store(anyhow::Error::from(error).context("writing items")))
}

/// Full jitter: a crowd at one item spreads out instead of meeting again.
fn backoff(attempt: u32) -> Duration {
    let ceiling = 10_u64 << attempt.min(6);
    let random = uuid::Uuid::new_v4().as_u64_pair().0;
    Duration::from_millis(random % ceiling)
}

pub(crate) fn text(item: &Item, name: &str) -> String {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .cloned()
        .unwrap_or_default()
}

pub(crate) fn decode<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    Ok(serde_dynamo::from_item(item)?)
}
