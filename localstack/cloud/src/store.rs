//! The one SQLite file that holds the S3 index and the SQS messages, so that an object and the message about it commit
//! together.
//!
//! One connection writes, a few read: in WAL mode a reader never waits for a writer's fsync. What must happen only if a
//! transaction commits (keeping a blob file, waking a long poll) is recorded on its [`Unit`] and done right after.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Notify, Semaphore};

use crate::blobs::Draft;
use crate::clock::Clock;
use crate::points::{WritePoint, WritePoints};

const READERS: usize = 2;
/// Negative: kibibytes instead of pages.
const WRITER_CACHE: i64 = -2048;
const READER_CACHE: i64 = -1024;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY, created INTEGER NOT NULL, notifications TEXT NOT NULL DEFAULT '[]', cors TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified INTEGER NOT NULL, description TEXT NOT NULL, checksums TEXT NOT NULL,
    UNIQUE (bucket, key)
);
CREATE TABLE IF NOT EXISTS piece (
    object INTEGER NOT NULL, ordinal INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (object, ordinal)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS piece_blob ON piece (blob);
CREATE TABLE IF NOT EXISTS upload (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, created INTEGER NOT NULL,
    description TEXT NOT NULL, algorithm TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS upload_key ON upload (bucket, key, id);
CREATE TABLE IF NOT EXISTS part (
    upload TEXT NOT NULL, number INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_blob ON part (blob);
CREATE TABLE IF NOT EXISTS unlinked (blob TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL,
    attributes TEXT NOT NULL, trace TEXT, sent INTEGER NOT NULL, visible INTEGER NOT NULL, expires INTEGER NOT NULL,
    receives INTEGER NOT NULL DEFAULT 0, first_received INTEGER, source TEXT
);
CREATE INDEX IF NOT EXISTS message_visible ON message (queue, visible);
CREATE INDEX IF NOT EXISTS message_expires ON message (expires);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due);
";

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store is closed")]
    Closed,
    #[error("the log cannot be written: {0}")]
    File(#[from] io::Error),
    #[error("the work on the store was cut off: {0}")]
    CutOff(#[from] tokio::task::JoinError),
}

impl Error {
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Error::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Error::File(error) => is_disk_full(error),
            Error::Closed | Error::CutOff(_) => false,
        }
    }

    /// Whether the same may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Error::Closed) || self.is_disk_full()
    }
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[derive(Clone)]
pub(crate) struct Store {
    clock: Clock,
    points: WritePoints,
    writer: Arc<tokio::sync::Mutex<Option<Connection>>>,
    readers: Arc<Readers>,
    bells: Arc<Bells>,
    has_webhook: Arc<AtomicBool>,
}

impl Store {
    pub(crate) fn open(path: &Path, clock: Clock, points: WritePoints) -> Result<Store, rusqlite::Error> {
        let writer = connect(path, WRITER_CACHE)?;
        writer.execute_batch(SCHEMA)?;
        Ok(Store {
            clock,
            points,
            writer: Arc::new(tokio::sync::Mutex::new(Some(writer))),
            readers: Arc::new(Readers::new(path)),
            bells: Arc::default(),
            has_webhook: Arc::default(),
        })
    }

    /// From now on, what the queues are told goes to the outbox too.
    pub(crate) fn open_outbox(&self) {
        self.has_webhook.store(true, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(crate) fn points(&self) -> &WritePoints {
        &self.points
    }

    pub(crate) fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Runs `work` in one transaction, which is durable when this returns. An error rolls it back.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let mut writer = self.writer.clone().lock_owned().await;
        let (now, bells, webhook) = (self.now(), self.bells.clone(), self.has_webhook.load(Ordering::SeqCst));
        let points = self.points.clone();
        let transaction = move || {
            let connection = writer.as_mut().ok_or(Error::Closed)?;
            let mut unit = Unit::begin(connection, now, webhook)?;
            let outcome = work(&mut unit)?;
            unit.commit(&points, &bells)?;
            Ok(outcome)
        };
        tokio::task::spawn_blocking(transaction).await.map_err(Error::from)?
    }

    /// Runs `work` on a connection that cannot write, without waiting for the writer.
    pub(crate) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let turn = self
            .readers
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let readers = self.readers.clone();
        let query = move || {
            let connection = readers.take().map_err(Error::from)?;
            let outcome = work(&connection);
            readers.put_back(connection);
            drop(turn);
            outcome
        };
        tokio::task::spawn_blocking(query).await.map_err(Error::from)?
    }

    /// Folds the log into the database and closes the connections; whoever still holds a clone gets [`Error::Closed`].
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.readers.close();
        self.bells.ring_all();
        let Some(connection) = self.writer.lock().await.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .await?
            .map_err(Error::from)
    }
}

fn connect(path: &Path, cache: i64) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", cache)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn new(path: &Path) -> Readers {
        Readers {
            path: path.to_owned(),
            turns: Arc::new(Semaphore::new(READERS)),
            idle: Mutex::default(),
        }
    }

    fn take(&self) -> Result<Connection, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let connection = connect(&self.path, READER_CACHE)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    fn put_back(&self, connection: Connection) {
        if !self.turns.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }

    fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A write transaction and what follows from its success.
pub(crate) struct Unit<'c> {
    transaction: Transaction<'c>,
    /// One time for everything the transaction writes, in milliseconds.
    pub(crate) now: i64,
    pub(crate) has_webhook: bool,
    drafts: Vec<Draft>,
    bells: Vec<Bell>,
}

impl<'c> Unit<'c> {
    fn begin(connection: &'c mut Connection, now: i64, has_webhook: bool) -> Result<Unit<'c>, Error> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Unit {
            transaction,
            now,
            has_webhook,
            drafts: Vec::new(),
            bells: Vec::new(),
        })
    }

    /// The blob file stays if the transaction commits, and goes if it does not.
    pub(crate) fn keep(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    pub(crate) fn ring(&mut self, bell: Bell) {
        self.bells.push(bell);
    }

    fn commit(self, points: &WritePoints, bells: &Bells) -> Result<(), Error> {
        points.pass(WritePoint::Prepared)?;
        let committed = self.transaction.commit().map_err(Error::from);
        // A commit that fails for another reason than a full disk may still have reached it. Then the files have to stay:
        // the next start removes them if nothing refers to them.
        if !committed.as_ref().is_err_and(Error::is_disk_full) {
            self.drafts.into_iter().for_each(Draft::keep);
        }
        committed?;
        points.pass(WritePoint::Committed)?;
        self.bells.into_iter().for_each(|bell| bells.ring(bell));
        Ok(())
    }
}

impl Deref for Unit<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

/// What somebody may be waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Bell {
    Queue(i64),
    Outbox,
}

#[derive(Default)]
pub(crate) struct Bells(Mutex<HashMap<Bell, Arc<Notify>>>);

impl Bells {
    /// To miss nothing, enable the wait before looking for what it announces.
    pub(crate) fn of(&self, bell: Bell) -> Arc<Notify> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(bell)
            .or_default()
            .clone()
    }

    fn ring(&self, bell: Bell) {
        self.of(bell).notify_waiters();
    }

    fn ring_all(&self) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.values().for_each(|bell| bell.notify_waiters());
    }
}
