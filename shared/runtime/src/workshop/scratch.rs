//! Directories that are gone with whoever holds them, or with the next start.
//!
//! A process that is killed leaves its directories behind. Whoever lives holds a lock on each of its own, which ends with
//! the process whatever ends it; a function that starts removes those that nobody holds. Numbers of processes would not
//! do: containers that share a place for temporary files count for themselves.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// What their names begin with. Whatever else lies beside them is not ours to remove.
const PREFIX: &str = "toktik-workshop-";

/// A directory that others can see is in use.
#[derive(Debug)]
pub(super) struct Held {
    // Fields go in this order: nobody is to find the directory unheld while it is being removed.
    dir: TempDir,
    _lock: File,
}

impl Held {
    pub(super) fn new(scratch: &Path) -> io::Result<Self> {
        loop {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(scratch)?;
            // Somebody who sweeps right now may have been faster: then this one is theirs to remove.
            if let Some(lock) = lock(dir.path())? {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// None for a directory that somebody else holds, or that is gone. Names are never used twice, so that one which still
/// lies there once we have the lock is the one we locked.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let file = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => Ok(dir.exists().then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the workshops of processes that are no more.
pub(super) fn sweep(scratch: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        match remove_if_abandoned(&path) {
            Ok(true) => tracing::info!(path = %path.display(), "removed what a killed process left"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove what a killed process left"),
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> io::Result<bool> {
    let Some(_lock) = lock(path)? else {
        return Ok(false);
    };
    std::fs::remove_dir_all(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(scratch: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(scratch).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_workshops_that_nobody_holds_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let held = Held::new(scratch.path()).unwrap();
        let abandoned = scratch.path().join(format!("{PREFIX}dead"));
        std::fs::create_dir_all(abandoned.join("720p")).unwrap();
        std::fs::write(abandoned.join("720p/init.mp4"), "x").unwrap();
        std::fs::create_dir(scratch.path().join("toktik-main")).unwrap();

        sweep(scratch.path()).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(left(scratch.path()), ["toktik-main".to_owned(), name(held.path())]);
        drop(held);
        assert_eq!(left(scratch.path()), ["toktik-main"]);
    }

    #[test]
    fn a_directory_that_was_swept_while_it_was_made_is_not_used() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join(format!("{PREFIX}new"));
        std::fs::create_dir(&dir).unwrap();
        let sweeping = lock(&dir).unwrap();
        assert!(sweeping.is_some() && lock(&dir).unwrap().is_none());
        std::fs::remove_dir(&dir).unwrap();
        drop(sweeping);
        assert!(lock(&dir).unwrap().is_none());
    }
}
