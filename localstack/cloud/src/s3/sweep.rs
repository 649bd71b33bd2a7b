//! Removing the files of blobs that nothing refers to any more.

use rusqlite::Connection;

use super::failure::Failure;
use crate::blobs::{BlobId, Blobs};
use crate::points::WritePoint;
use crate::store::Store;

const AT_ONCE: usize = 500;

/// What no object and no part needs. A blob in this state is never linked again: copies refer to blobs of objects.
const UNREFERENCED: &str = "SELECT blob FROM unlinked
    WHERE NOT EXISTS (SELECT 1 FROM piece WHERE piece.blob = unlinked.blob)
      AND NOT EXISTS (SELECT 1 FROM part WHERE part.blob = unlinked.blob)";

/// Removes unlinked blobs except those being read, and none during a backup; returns how many files are gone.
pub(crate) async fn unlinked_blobs(store: &Store, blobs: &Blobs) -> Result<usize, Failure> {
    let mut total = 0;
    loop {
        match some_unlinked_blobs(store, blobs).await? {
            0 => return Ok(total),
            removed => total += removed,
        }
    }
}

/// Few enough that writers do not wait long.
async fn some_unlinked_blobs(store: &Store, blobs: &Blobs) -> Result<usize, Failure> {
    let Some(removal) = blobs.removal()? else {
        return Ok(0);
    };
    let candidates = store.read(unreferenced).await?;
    if candidates.is_empty() {
        return Ok(0);
    }
    // Who looked an object up before it was unlinked has pinned its blobs after this.
    blobs.lookups_done().await;
    let (files, points) = (blobs.clone(), store.points().clone());
    store
        .write(move |unit| {
            let mut forget = unit.prepare_cached("DELETE FROM unlinked WHERE blob = ?1")?;
            let mut removed = 0;
            for blob in candidates.iter().filter(|blob| !files.is_pinned(blob)) {
                files.remove(&removal, blob)?;
                points.pass(WritePoint::BlobRemoved)?;
                forget.execute([blob])?;
                removed += 1;
            }
            drop(forget);
            // What is referred to after all must not be looked at again with every sweep.
            unit.execute(&format!("DELETE FROM unlinked WHERE blob NOT IN ({UNREFERENCED})"), [])?;
            Ok(removed)
        })
        .await
}

fn unreferenced(connection: &Connection) -> Result<Vec<BlobId>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{UNREFERENCED} LIMIT {AT_ONCE}"))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Removes files that a crash has left between writing and linking. Only before any request is served.
pub(crate) async fn orphans(store: &Store, blobs: &Blobs) -> Result<usize, Failure> {
    // To a backup that is under way they may be objects.
    let Some(removal) = blobs.removal()? else {
        return Ok(0);
    };
    let (files, points) = (blobs.clone(), store.points().clone());
    store
        .read(move |connection| {
            let sql = "SELECT 1 FROM piece WHERE blob = ?1 UNION ALL SELECT 1 FROM part WHERE blob = ?1";
            let mut known = connection.prepare_cached(sql)?;
            let mut removed = 0;
            for blob in files.all() {
                let blob = blob?;
                if !known.exists([&blob])? {
                    files.remove(&removal, &blob)?;
                    points.pass(WritePoint::OrphanRemoved)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
}
