//! The places where state is written, so that a test can end the process, or let the disk be full, at exactly one of them.
//!
//! The hook is handed in like the clock, and nobody but a test has one: no variable and no flag leads here. Without it,
//! passing a point is one look at an empty option, beside a write to disk.

use std::io;
use std::sync::Arc;

/// Named by what has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WritePoint {
    /// A blob has a file without bytes.
    BlobCreated,
    /// The bytes are with the system, and not yet on disk.
    BlobWritten,
    /// The bytes are on disk, the file's name perhaps not.
    BlobSynced,
    /// Bytes and name are on disk, and nothing refers to them.
    BlobNamed,
    /// A transaction on objects or messages has done everything but commit.
    Prepared,
    /// It is on disk, and nobody has been told.
    Committed,
    /// A sweep has removed a blob's file, and not yet forgotten the blob.
    BlobRemoved,
    /// A start has removed a file that nothing refers to.
    OrphanRemoved,
    /// A request for DynamoDB is next in line.
    ItemsAsked,
    /// It has been carried out, and nobody has been told.
    ItemsDone,
}

impl WritePoint {
    pub const ALL: [WritePoint; 10] = [
        WritePoint::BlobCreated,
        WritePoint::BlobWritten,
        WritePoint::BlobSynced,
        WritePoint::BlobNamed,
        WritePoint::Prepared,
        WritePoint::Committed,
        WritePoint::BlobRemoved,
        WritePoint::OrphanRemoved,
        WritePoint::ItemsAsked,
        WritePoint::ItemsDone,
    ];
}

type Hook = dyn Fn(WritePoint) -> io::Result<()> + Send + Sync;

/// Who is told of every write point, and may fail the write there.
#[derive(Clone, Default)]
pub struct WritePoints(Option<Arc<Hook>>);

impl WritePoints {
    pub fn watched(hook: impl Fn(WritePoint) -> io::Result<()> + Send + Sync + 'static) -> WritePoints {
        WritePoints(Some(Arc::new(hook)))
    }

    pub(crate) fn pass(&self, point: WritePoint) -> io::Result<()> {
        match &self.0 {
            Some(hook) => hook(point),
            None => Ok(()),
        }
    }
}
