//! How often this process has written to the table, for those who keep what they read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that rises when a write ends, before whoever wrote hears of it.
#[derive(Clone, Debug, Default)]
pub struct Writes(Arc<AtomicU64>);

impl Writes {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts when it goes away, however the write ended: one that failed may have been done all the same.
    pub fn one(&self) -> Writing<'_> {
        Writing(self)
    }
}

/// A write that is under way.
pub struct Writing<'a>(&'a Writes);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
