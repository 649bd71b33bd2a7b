//! Likes and views: exact counts, spread over shards so that a crowd at one clip does not queue up.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::{Message, VideoId};
use toktik_identity::UserId;

use crate::Catalog;
use crate::outbox;
use crate::table::{Error, Key, Query, Write};
use crate::videos::{done_unless_condition, moment, partition};

const SHARDS: u128 = 8;

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

fn add(id: VideoId, kind: &str, amount: i64) -> Write {
    let shard = uuid::Uuid::new_v4().as_u128() % SHARDS;
    Write::update(Key::new(partition(id), format!("COUNT#{kind}#{shard}"))).add("count", amount)
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
        #[derive(Deserialize)]
        struct Shard {
            sk: String,
            #[serde(default)]
            count: i64,
        }
        let query = Query::partition(partition(id)).prefix("COUNT#");
        let shards: Vec<Shard> = self.table.query_all(query).await?;
        let total = |kind: &str| {
            let of_kind = shards.iter().filter(|shard| shard.sk.split('#').nth(1) == Some(kind));
            // A shard may be below zero, where likes were taken back that another shard counted.
            u64::try_from(of_kind.map(|shard| shard.count).sum::<i64>()).unwrap_or(0)
        };
        Ok(Counts {
            views: total("views"),
            likes: total("likes"),
            comments: total("comments"),
        })
    }
}
