//! What is known about users and clips: one DynamoDB table, and the rules that keep it true.
//!
//! State is a ledger: what remains to be done for a clip is a set of step items, each run under a lease. A status
//! changes only together with what it rests on, in one transaction. No request scans. Every call takes the time as a
//! parameter; nothing here reads a clock.

pub mod counters;
pub mod feed;
pub mod ledger;
pub mod limits;
pub mod outbox;
mod progress;
pub mod results;
pub mod sessions;
mod table;
pub mod text;
pub mod users;
pub mod videos;

use aws_sdk_dynamodb::Client;
use chrono::Duration;
use table::Table;

pub use progress::progress;
pub use table::{Error, Writes, Writing};

/// The table, for everybody who has business with it.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) table: Table,
    pub(crate) lease: Duration,
}

impl Catalog {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(client, table.into()),
            lease: ledger::LEASE,
        }
    }

    /// How often this process has written, through this catalog or a clone of it.
    pub fn writes(&self) -> Writes {
        self.table.writes.clone()
    }

    /// With another term for the leases that are taken from here.
    #[must_use]
    pub fn leasing_for(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }
}
