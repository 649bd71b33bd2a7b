//! A copy of a data directory as of one instant, whether a process works in it or not.
//!
//! What is copied is what a `kill -9` at that instant would have left, so that nothing needs to be put right afterwards but
//! what every start puts right. For that instant nobody can write objects or messages; meanwhile a snapshot of each
//! database begins, which for the two is therefore the same. Then their owner goes on, and both are copied out of their
//! snapshots. The blobs that the snapshot names are immutable; a lock, taken before it and held to the end, keeps every
//! process from removing them. If this process dies, the system drops the lock.
//!
//! Deliberately absent: secrets, and a list of what is there with checksums. The program adds both.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::blobs::{self, BlobId};
use crate::{ITEMS_FILE, STORE_FILE};

/// Longer than any transaction of ours.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has been copied: files as seen from the destination, all of them on disk.
#[derive(Debug, Default)]
pub struct Copied {
    pub files: Vec<PathBuf>,
    pub objects: u64,
}

/// Copies databases and blobs into an empty directory. Blobs are linked where the file system can.
pub fn copy(data_dir: &Path, destination: &Path) -> anyhow::Result<Copied> {
    if !data_dir.join(STORE_FILE).is_file() {
        bail!("there is nothing of Toktik in {}", data_dir.display());
    }
    let _kept = blobs::keep_all(data_dir).context("keeping the objects")?;
    let snapshot = Snapshot::of_this_instant(data_dir).context("looking at the databases")?;
    let mut copied = Copied {
        objects: snapshot.objects()?,
        ..Copied::default()
    };
    for (database, name) in [(&snapshot.store, STORE_FILE), (&snapshot.items, ITEMS_FILE)] {
        copy_database(database, &destination.join(name)).with_context(|| format!("copying {name}"))?;
        copied.files.push(name.into());
    }
    for (blob, size) in snapshot.blobs()? {
        let path = blobs::relative_path(&blob);
        copy_blob(&data_dir.join(&path), &destination.join(&path), size)
            .with_context(|| format!("copying {}", path.display()))?;
        copied.files.push(path);
    }
    sync_directories(destination, &copied.files)?;
    Ok(copied)
}

/// Both databases at one and the same point between two writes.
struct Snapshot {
    store: Connection,
    items: Connection,
}

impl Snapshot {
    fn of_this_instant(data_dir: &Path) -> rusqlite::Result<Snapshot> {
        let gate = open(&data_dir.join(STORE_FILE))?;
        let store = open(&data_dir.join(STORE_FILE))?;
        let items = open(&data_dir.join(ITEMS_FILE))?;
        // As long as the gate is shut, the store stays as it is: whenever the other snapshot begins, it is at the same
        // instant. Nothing but the two beginnings happens in between.
        gate.execute_batch("BEGIN IMMEDIATE")?;
        begin_reading(&store)?;
        begin_reading(&items)?;
        gate.execute_batch("ROLLBACK")?;
        Ok(Snapshot { store, items })
    }

    fn objects(&self) -> rusqlite::Result<u64> {
        self.store
            .query_row("SELECT count(*) FROM object", [], |row| row.get(0))
    }

    /// Those of objects, and those of parts whose upload is not complete, with their sizes.
    fn blobs(&self) -> rusqlite::Result<Vec<(BlobId, u64)>> {
        let sql = "SELECT blob, size FROM piece UNION SELECT blob, size FROM part ORDER BY blob";
        let mut statement = self.store.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }
}

/// As the owner opens it, so that a log that a crash has left behind is read too.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// A snapshot begins with the first look.
fn begin_reading(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "query_only", true)?;
    connection.execute_batch("BEGIN")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// A file that is whole by itself, without a log beside it and without remains of what was deleted; it is on disk when this
/// returns.
fn copy_database(snapshot: &Connection, to: &Path) -> anyhow::Result<()> {
    let mut copy = Connection::open(to)?;
    let finished = Backup::new(snapshot, &mut copy)?.step(-1)?;
    if finished != StepResult::Done {
        bail!("the database stayed locked");
    }
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.execute_batch("VACUUM")?;
    let health: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if health != "ok" {
        bail!("the database is damaged: {health}");
    }
    drop(copy);
    Ok(std::fs::File::open(to)?.sync_all()?)
}

fn copy_blob(from: &Path, to: &Path, size: u64) -> anyhow::Result<()> {
    let found = std::fs::metadata(from)?.len();
    if found != size {
        bail!("it has {found} bytes instead of {size}: the data directory is damaged");
    }
    if let Some(shard) = to.parent() {
        std::fs::create_dir_all(shard)?;
    }
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to)?;
        std::fs::File::open(to)?.sync_all()?;
    }
    Ok(())
}

/// The names of these files, and those of the directories that they lie in.
pub fn sync_directories(root: &Path, files: &[PathBuf]) -> io::Result<()> {
    let mut directories: Vec<&Path> = files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
    directories.sort_unstable();
    directories.dedup();
    for directory in directories {
        blobs::sync_directory(&root.join(directory))?;
    }
    Ok(())
}
