//! Likes and views: exact counts, spread over shards so that a crowd at one clip does not queue up.
//!
//! The shards lie right behind the clip's own item, so that one query reads a clip with its counts, and there are so few
//! that one batch read takes a page of twenty clips with theirs.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::{Message, VideoId};
use toktik_identity::UserId;

use crate::Catalog;
use crate::outbox;
use crate::table::{Error, Item, Key, Query, Write, decode};
use crate::videos::{done_unless_condition, moment, partition};

pub(crate) const SHARDS: usize = 4;
/// What the sort keys of shards begin with.
pub(crate) const PREFIX: &str = "META#COUNT#";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub views: u64,
    pub likes: u64,
    pub comments: u64,
}

#[derive(Serialize, Deserialize)]
struct Like {
    video_id: VideoId,
    user_id: UserId,
    at: DateTime<Utc>,
}

#[derive(Serialize)]
struct View {
    at: DateTime<Utc>,
}

fn like_key(id: VideoId, user: UserId) -> Key {
    Key::new(partition(id), format!("LIKE#{user}"))
}

fn shard(id: VideoId, shard: usize) -> Key {
    Key::new(partition(id), format!("{PREFIX}{shard}"))
}

/// The keys of all shards of a clip.
pub(crate) fn shards(id: VideoId) -> impl Iterator<Item = Key> {
    (0..SHARDS).map(move |index| shard(id, index))
}

fn add(id: VideoId, kind: &str, amount: i64) -> Write {
    let any = usize::from(uuid::Uuid::new_v4().into_bytes()[0]) % SHARDS;
    Write::update(shard(id, any)).add(kind, amount)
}

/// One shard. It may be below zero, where likes were taken back that another shard counted.
#[derive(Default, Deserialize)]
struct Shard {
    #[serde(default)]
    views: i64,
    #[serde(default)]
    likes: i64,
    #[serde(default)]
    comments: i64,
}

/// What these shards of one clip add up to.
pub(crate) fn sum(shards: impl IntoIterator<Item = Item>) -> Result<Counts, Error> {
    let mut sum = Shard::default();
    for shard in shards {
        let shard: Shard = decode(shard)?;
        sum.views += shard.views;
        sum.likes += shard.likes;
        sum.comments += shard.comments;
    }
    let total = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(Counts {
        views: total(sum.views),
        likes: total(sum.likes),
        comments: total(sum.comments),
    })
}

/// None of these looks at the clip itself within the transaction: everybody who watches a clip would wait for one another
/// there. What a race with deletion leaves behind goes with the janitor's last sweep.
impl Catalog {
    /// True when the user did not like it before. The event is owed only then.
    pub async fn like(&self, id: VideoId, user: UserId, message: &Message) -> Result<bool, Error> {
        let like = Like {
            video_id: id,
            user_id: user,
            at: message.time,
        };
        let put = Write::put(like_key(id, user), &like)?
            .owned_by(&format!("LIKES#{user}"), &moment(like.at, id))
            .if_absent();
        let writes = vec![put, add(id, "likes", 1), outbox::remember(message)?];
        done_unless_condition(self.table.write(writes).await)
    }

    /// True when the user liked it before.
    pub async fn unlike(&self, id: VideoId, user: UserId) -> Result<bool, Error> {
        let delete = Write::delete(like_key(id, user)).if_exists();
        done_unless_condition(self.table.write(vec![delete, add(id, "likes", -1)]).await)
    }

    /// True when this viewer had not been counted on this day.
    pub async fn view(&self, id: VideoId, viewer: &str, now: DateTime<Utc>) -> Result<bool, Error> {
        let key = Key::new(partition(id), format!("VIEW#{}#{viewer}", now.format("%Y-%m-%d")));
        let put = Write::put(key, &View { at: now })?
            .expires_at(now + Duration::days(2))
            .if_absent();
        done_unless_condition(self.table.write(vec![put, add(id, "views", 1)]).await)
    }

    pub async fn counts(&self, id: VideoId) -> Result<Counts, Error> {
        let (shards, _) = self.table.page(Query::partition(partition(id)).prefix(PREFIX)).await?;
        sum(shards)
    }
}
