//! The lists of public clips: latest, and popular, as the janitor last ranked it.
//!
//! The latest are one partition, so that a page is one query whatever day it is from. That bounds how many clips a second
//! can be published (a partition takes some hundreds of writes), not how many there are or how many read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::VideoId;

use crate::Catalog;
use crate::table::{Error, Key, Query, Write};
use crate::text::Visibility;
use crate::videos::{Video, moment};

const LATEST: &str = "FEED";
/// Entries read at once when only those with a tag are wanted, which may be rare.
const SEARCHED_AT_ONCE: usize = 100;

/// A place in the list of latest clips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub video_id: VideoId,
    /// Its place in the order of all entries; the cursor.
    pub position: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ranked {
    pub video_id: VideoId,
}

fn entry_key(id: VideoId, at: DateTime<Utc>) -> Key {
    Key::new(LATEST, moment(at, id))
}

/// Lists the clip or takes it off the list, as its status and visibility now are.
pub(crate) fn relist(video: &Video) -> Result<Vec<Write>, Error> {
    let Some(at) = video.published_at else {
        return Ok(Vec::new());
    };
    if video.visibility != Visibility::Public || !video.status.is_watchable() {
        return Ok(withdraw(video));
    }
    let entry = Entry {
        video_id: video.id,
        position: moment(at, video.id),
        tags: video.tags.as_slice().to_vec(),
    };
    Ok(vec![Write::put(entry_key(video.id, at), &entry)?])
}

pub(crate) fn withdraw(video: &Video) -> Vec<Write> {
    let keys = video.published_at.map(|at| entry_key(video.id, at));
    keys.into_iter().map(Write::delete).collect()
}

impl Catalog {
    /// Public clips, latest first, behind `after`; fewer than `limit` only at the end of the list.
    pub async fn latest(&self, after: Option<&str>, tag: Option<&str>, limit: usize) -> Result<Vec<Entry>, Error> {
        let at_once = if tag.is_some() { SEARCHED_AT_ONCE } else { limit.max(1) };
        let mut query = Query::partition(LATEST).backward().limit(at_once);
        if let Some(after) = after {
            query = query.after(after);
        }
        let mut kept: Vec<Entry> = Vec::new();
        loop {
            let (entries, last): (Vec<Entry>, _) = self.table.query(query.clone()).await?;
            let wanted = |entry: &Entry| tag.is_none_or(|tag| entry.tags.iter().any(|t| t == tag));
            kept.extend(entries.into_iter().filter(wanted));
            match last {
                Some(last) if kept.len() < limit => query = query.after(&last),
                _ => break,
            }
        }
        kept.truncate(limit);
        Ok(kept)
    }

    /// The ranking as of the janitor's last round, from this rank on.
    pub async fn popular(&self, from: usize, limit: usize) -> Result<Vec<Ranked>, Error> {
        let query = Query::partition("POPULAR").limit(limit);
        let query = if from == 0 { query } else { query.after(&rank(from - 1)) };
        Ok(self.table.query(query).await?.0)
    }

    /// Replaces the ranking; what stays where it was is not written.
    pub async fn rank(&self, best_first: &[VideoId]) -> Result<(), Error> {
        let before: Vec<Ranked> = self.table.query_all(Query::partition("POPULAR")).await?;
        for (index, id) in best_first.iter().enumerate() {
            if before.get(index).is_some_and(|ranked| ranked.video_id == *id) {
                continue;
            }
            let put = Write::put(Key::new("POPULAR", rank(index)), &Ranked { video_id: *id })?;
            self.table.write(vec![put]).await?;
        }
        for index in best_first.len()..before.len() {
            self.table.delete(&Key::new("POPULAR", rank(index))).await?;
        }
        Ok(())
    }
}

fn rank(index: usize) -> String {
    format!("{index:06}")
}
