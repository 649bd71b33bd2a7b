//! Immutable files of bytes under random names, so that no object key ever becomes a file name.
//!
//! A blob is written as a [`Draft`], which removes its file unless the transaction that refers to it commits. Blobs that
//! are being read are pinned: the sweep leaves them until the reader has finished. Whoever backs the data directory up, in
//! whatever process, keeps all of them by a lock on a file.

use std::collections::HashMap;
use std::fs::TryLockError;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter, Take};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use uuid::Uuid;

use crate::BLOBS_DIRECTORY;
use crate::points::{WritePoint, WritePoints};

/// In the data directory.
const KEEP_LOCK: &str = "backup.lock";
const WRITE_BUFFER: usize = 256 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlobId(String);

impl BlobId {
    fn random() -> BlobId {
        BlobId(Uuid::new_v4().simple().to_string())
    }

    fn shard(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

impl FromSql for BlobId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(BlobId)
    }
}

impl ToSql for BlobId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

#[derive(Clone)]
pub(crate) struct Blobs {
    root: Arc<Path>,
    keep_lock: Arc<Path>,
    points: WritePoints,
    pins: Arc<Pins>,
    lookups: Arc<RwLock<()>>,
}

/// Nothing is removed while this exists, in any process.
pub(crate) struct AllKept {
    _lock: std::fs::File,
}

/// Nobody keeps everything while this exists.
pub(crate) struct Removal {
    _lock: std::fs::File,
}

/// Waits for the removal that is under way, if any.
pub(crate) fn keep_all(data_dir: &Path) -> io::Result<AllKept> {
    let lock = std::fs::File::create(data_dir.join(KEEP_LOCK))?;
    lock.lock_shared()?;
    Ok(AllKept { _lock: lock })
}

/// Where a blob lies, seen from the data directory.
pub(crate) fn relative_path(id: &BlobId) -> PathBuf {
    [BLOBS_DIRECTORY, id.shard(), &id.0].iter().collect()
}

impl Blobs {
    pub(crate) fn open(data_dir: &Path, points: WritePoints) -> io::Result<Blobs> {
        let root = &data_dir.join(BLOBS_DIRECTORY);
        for shard in 0..=u8::MAX {
            std::fs::create_dir_all(root.join(format!("{shard:02x}")))?;
        }
        sync_directory(root)?;
        // Here already: a sweep on a full disk could not make it.
        std::fs::File::create(data_dir.join(KEEP_LOCK))?;
        Ok(Blobs {
            root: root.as_path().into(),
            keep_lock: data_dir.join(KEEP_LOCK).into(),
            points,
            pins: Arc::default(),
            lookups: Arc::default(),
        })
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.root.join(id.shard()).join(&id.0)
    }

    pub(crate) async fn create(&self) -> io::Result<Writer> {
        let id = BlobId::random();
        let path = self.path(&id);
        let mut file = File::create_new(&path).await?;
        file.set_max_buf_size(WRITE_BUFFER);
        let draft = Draft { id, path, kept: false };
        self.points.pass(WritePoint::BlobCreated)?;
        Ok(Writer {
            draft,
            points: self.points.clone(),
            file: BufWriter::with_capacity(WRITE_BUFFER, file),
        })
    }

    pub(crate) async fn read(&self, id: &BlobId, range: Range<u64>) -> io::Result<Take<File>> {
        let mut file = File::open(self.path(id)).await?;
        file.seek(io::SeekFrom::Start(range.start)).await?;
        Ok(file.take(range.end - range.start))
    }

    /// Hold it from looking an object up until its blobs are pinned.
    pub(crate) async fn looking_up(&self) -> OwnedRwLockReadGuard<()> {
        self.lookups.clone().read_owned().await
    }

    /// Returns once every look-up that began before has pinned what it found.
    pub(crate) async fn lookups_done(&self) {
        drop(self.lookups.write().await);
    }

    pub(crate) fn pin(&self, ids: Vec<BlobId>) -> Pinned {
        let mut counts = self.pins.counts();
        for id in &ids {
            *counts.entry(id.clone()).or_default() += 1;
        }
        Pinned {
            pins: self.pins.clone(),
            ids,
        }
    }

    pub(crate) fn is_pinned(&self, id: &BlobId) -> bool {
        self.pins.counts().contains_key(id)
    }

    /// The right to remove files, or none while somebody keeps all of them.
    pub(crate) fn removal(&self) -> io::Result<Option<Removal>> {
        let lock = std::fs::File::create(&self.keep_lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Removal { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes the file; that it is gone already is fine.
    pub(crate) fn remove(&self, _: &Removal, id: &BlobId) -> io::Result<()> {
        match std::fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every blob that has a file.
    pub(crate) fn all(&self) -> impl Iterator<Item = io::Result<BlobId>> {
        let root = self.root.clone();
        let shards = (0..=u8::MAX).map(move |shard| std::fs::read_dir(root.join(format!("{shard:02x}"))));
        shards.flat_map(|shard| match shard {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| BlobId(file_name(&entry))))
                .collect(),
            Err(error) => vec![Err(error)],
        })
    }
}

fn file_name(entry: &std::fs::DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// A file that nothing refers to yet; dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: BlobId,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "could not remove an unfinished blob");
        }
    }
}

pub(crate) struct Writer {
    draft: Draft,
    points: WritePoints,
    file: BufWriter<File>,
}

impl Writer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// The bytes and the file's name are on disk when this returns.
    pub(crate) async fn finish(mut self) -> io::Result<Draft> {
        self.file.flush().await?;
        self.points.pass(WritePoint::BlobWritten)?;
        self.file.get_ref().sync_all().await?;
        self.points.pass(WritePoint::BlobSynced)?;
        let shard = self.draft.path.parent().map(Path::to_owned).unwrap_or_default();
        tokio::task::spawn_blocking(move || sync_directory(&shard))
            .await
            .map_err(io::Error::other)??;
        self.points.pass(WritePoint::BlobNamed)?;
        Ok(self.draft)
    }
}

#[derive(Default)]
struct Pins(Mutex<HashMap<BlobId, usize>>);

impl Pins {
    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<BlobId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the files of these blobs until it is dropped.
pub(crate) struct Pinned {
    pins: Arc<Pins>,
    ids: Vec<BlobId>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut counts = self.pins.counts();
        for id in &self.ids {
            if let Some(count) = counts.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(id);
                }
            }
        }
    }
}
