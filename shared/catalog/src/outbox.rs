//! Events that a change owes: written with the change in one transaction, deleted once published.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::Message;

use crate::Catalog;
use crate::table::{Error, Key, Query, Write};

const SHARDS: u64 = 4;
/// After this, whoever wrote it has had its chance to publish it.
const OVERDUE: Duration = Duration::seconds(30);

/// An event that may not have been published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Owed {
    pub id: String,
    pub at: DateTime<Utc>,
    /// The CloudEvent as JSON.
    pub event: String,
}

fn key(id: &str, at: DateTime<Utc>) -> Key {
    let shard = id.bytes().map(u64::from).sum::<u64>() % SHARDS;
    Key::new(format!("OUTBOX#{shard}"), format!("{}#{id}", at.timestamp_millis()))
}

pub(crate) fn remember(message: &Message) -> Result<Write, Error> {
    let event = message.to_json().map_err(anyhow::Error::from)?;
    let owed = Owed {
        id: message.id.clone(),
        at: message.time,
        event,
    };
    Write::put(key(&owed.id, owed.at), &owed)
}

impl Catalog {
    /// Has the janitor publish the event, half a minute after its time.
    pub async fn owe(&self, message: &Message) -> Result<(), Error> {
        self.table.write(vec![remember(message)?]).await
    }

    /// The event is out.
    pub async fn published(&self, message: &Message) -> Result<(), Error> {
        self.table.delete(&key(&message.id, message.time)).await
    }

    pub async fn settle_owed(&self, owed: &Owed) -> Result<(), Error> {
        self.table.delete(&key(&owed.id, owed.at)).await
    }

    /// What should have been published by now.
    pub async fn overdue(&self, now: DateTime<Utc>) -> Result<Vec<Owed>, Error> {
        let limit = (now - OVERDUE).timestamp_millis().to_string();
        let mut overdue = Vec::new();
        for shard in 0..SHARDS {
            let query = Query::partition(format!("OUTBOX#{shard}")).up_to(&limit);
            overdue.extend(self.table.query_all::<Owed>(query).await?);
        }
        Ok(overdue)
    }
}
