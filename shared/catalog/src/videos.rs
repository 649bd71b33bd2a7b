//! Clips: their one `META` item, and every change of status.

use chrono::serde::ts_seconds;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::payload::Clip;
use toktik_events::{Message, Rejection, TraceParent, VideoId};
use toktik_identity::UserId;
use toktik_media::manifest::Variant;

use crate::Catalog;
use crate::counters::{self, Counts};
use crate::feed;
use crate::ledger::{self, ManifestItem, StepItem};
use crate::outbox;
use crate::table::{Error, Key, Query, Write, decode, text};
use crate::text::{Description, Tags, Title, Visibility};

/// How far a clip has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Uploading,
    Processing,
    /// Can be watched; rungs or pictures are still missing.
    Playable,
    Ready,
    Rejected,
    Failed,
    Deleted,
}

impl Status {
    /// Nothing more happens to the clip unless a person asks for it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Rejected | Self::Failed | Self::Deleted)
    }

    pub fn is_watchable(self) -> bool {
        matches!(self, Self::Playable | Self::Ready)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Processing => "processing",
            Self::Playable => "playable",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Video {
    pub id: VideoId,
    pub owner: UserId,
    pub status: Status,
    /// Starts at 1; each retry begins a new one.
    pub generation: u32,
    /// Rises with each change by the owner.
    pub revision: u64,
    pub title: Title,
    pub description: Description,
    pub tags: Tags,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
    /// When it first could be watched.
    pub published_at: Option<DateTime<Utc>>,
    pub upload: Upload,
    /// The last moment at which a URL that we signed for uploading is good.
    pub upload_until: DateTime<Utc>,
    /// The exact bytes that were accepted.
    pub source_etag: Option<String>,
    pub duration: Option<f64>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    #[serde(default)]
    pub warnings: Vec<String>,
    pub error: Option<Trouble>,
    #[serde(default)]
    pub made: Made,
    /// The trace of the request that created it, for steps that the store starts.
    pub trace: Option<TraceParent>,
    #[serde(default)]
    pub deleted_at: Option<DateTime<Utc>>,
}

/// What has been made of a clip, in short: as much as lists show, and which manifest has the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The manifest's.
    pub revision: u64,
    /// Highest first.
    pub renditions: Vec<Rendition>,
    pub mp3: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    pub width: u32,
    pub height: u32,
    /// Bit/s, with sound.
    pub bandwidth: u64,
    /// RFC 6381, with sound.
    pub codecs: String,
}

impl Made {
    pub fn of(item: &ManifestItem) -> Self {
        let manifest = &item.manifest;
        let rendition = |variant: &Variant| {
            let sound = manifest.sound_of(variant).map(|sound| sound.rendition.codecs.as_str());
            let codecs: Vec<&str> = std::iter::once(variant.rendition.codecs.as_str())
                .chain(sound)
                .collect();
            Rendition {
                width: variant.width,
                height: variant.height,
                bandwidth: manifest.bandwidth(variant),
                codecs: codecs.join(","),
            }
        };
        Self {
            revision: item.revision,
            renditions: manifest.variants.iter().map(rendition).collect(),
            mp3: manifest.mp3.is_some(),
        }
    }
}

/// A clip with how often it was watched and liked.
#[derive(Clone, Debug)]
pub struct Counted {
    pub video: Video,
    pub counts: Counts,
}

/// Where and how the bytes come in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    pub key: String,
    pub filename: String,
    pub content_type: String,
    /// Bytes, as declared and enforced by the store.
    pub size: u64,
    pub multipart: Option<Multipart>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Multipart {
    pub upload_id: String,
    /// Bytes of each part but the last.
    pub part_size: u64,
    pub part_count: u32,
}

impl Multipart {
    /// Bytes of the part with this number, counted from 1; none beyond the last.
    pub fn size_of(&self, part_number: u32, total: u64) -> Option<u64> {
        if part_number == 0 || part_number > self.part_count {
            return None;
        }
        let start = u64::from(part_number - 1) * self.part_size;
        Some(self.part_size.min(total.saturating_sub(start)))
    }
}

/// Why a clip was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub code: String,
    pub message: String,
    /// The step that failed; none for a refusal.
    pub step: Option<String>,
}

impl From<Rejection> for Trouble {
    fn from(rejection: Rejection) -> Self {
        Self {
            code: rejection.code.as_str().to_owned(),
            message: rejection.message,
            step: None,
        }
    }
}

impl Video {
    /// The clip as events name it.
    pub fn clip(&self) -> Clip {
        Clip {
            video_id: self.id,
            generation: self.generation,
        }
    }

    /// Its place in the list of its owner's clips; the cursor.
    pub fn place(&self) -> String {
        moment(self.created_at, self.id)
    }

    /// Why it was refused, if it was.
    pub fn rejection(&self) -> Option<Rejection> {
        let trouble = self.error.as_ref().filter(|_| self.status == Status::Rejected)?;
        let code = serde_json::from_value(serde_json::Value::String(trouble.code.clone())).ok()?;
        Some(Rejection::new(code, trouble.message.clone()))
    }
}

/// What an owner may change.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    pub title: Option<Title>,
    pub description: Option<Description>,
    pub tags: Option<Tags>,
    pub visibility: Option<Visibility>,
}

/// The memory of a creating request that carried an `Idempotency-Key`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// SHA-256 of the request's body.
    pub fingerprint: String,
    pub video_id: VideoId,
    /// The store removes it some time after this moment.
    #[serde(with = "ts_seconds")]
    pub expires_at: DateTime<Utc>,
}

impl Remembered {
    pub fn new(fingerprint: String, video_id: VideoId, now: DateTime<Utc>) -> Self {
        Self {
            fingerprint,
            video_id,
            expires_at: now + REMEMBERED_FOR,
        }
    }
}

const REMEMBERED_FOR: Duration = Duration::hours(24);
const META: &str = "META";
const WORK_SHARDS: u128 = 8;

pub(crate) fn partition(id: VideoId) -> String {
    format!("VIDEO#{id}")
}

pub(crate) fn meta(id: VideoId) -> Key {
    Key::new(partition(id), META)
}

fn owner_partition(owner: UserId) -> String {
    format!("OWNER#{owner}")
}

fn remembered(user: UserId, key: &str) -> Key {
    Key::new(format!("IDEMPOTENCY#{user}"), format!("videos#{key}"))
}

/// A clip that somebody still has to look after; the janitor goes through these instead of scanning.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Work {
    pub video_id: VideoId,
}

pub(crate) fn work(id: VideoId) -> Key {
    Key::new(format!("WORK#{}", id.as_u128() % WORK_SHARDS), id.to_string())
}

pub(crate) fn open_work(id: VideoId) -> Result<Write, Error> {
    Write::put(work(id), &Work { video_id: id })
}

/// Sorts by time, then by id.
pub(crate) fn moment(at: DateTime<Utc>, id: VideoId) -> String {
    format!("{}_{id}", at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

impl Catalog {
    /// Writes a new clip. With a key that was used before: `Condition`, and nothing is written.
    pub async fn create_video(&self, video: &Video, idempotency: Option<(&str, Remembered)>) -> Result<(), Error> {
        let put = Write::put(meta(video.id), video)?
            .owned_by(&owner_partition(video.owner), &video.place())
            .if_absent();
        let mut writes = vec![put, open_work(video.id)?];
        if let Some((key, memory)) = idempotency {
            // Writes over one that has run out and that the store has not removed yet.
            let put = Write::put(remembered(video.owner, key), &memory)?;
            writes.push(put.unless_above("expires_at", &video.created_at.timestamp())?);
        }
        self.table.write(writes).await
    }

    pub async fn remembered(&self, user: UserId, key: &str, now: DateTime<Utc>) -> Result<Option<Remembered>, Error> {
        let found: Option<Remembered> = self.table.get(&remembered(user, key)).await?;
        Ok(found.filter(|memory| memory.expires_at.timestamp() > now.timestamp()))
    }

    /// The clip, whatever its status; also what is left of a deleted one.
    pub async fn video(&self, id: VideoId) -> Result<Option<Video>, Error> {
        self.table.get(&meta(id)).await
    }

    pub async fn videos(&self, ids: &[VideoId]) -> Result<Vec<Video>, Error> {
        let keys: Vec<Key> = ids.iter().map(|id| meta(*id)).collect();
        self.table.get_many(&keys).await
    }

    /// The clip and its counts, in one read.
    pub async fn counted(&self, id: VideoId) -> Result<Option<Counted>, Error> {
        let query = Query::partition(partition(id)).span(META, counters::PREFIX);
        let (items, _) = self.table.page(query).await?;
        let mut items = items.into_iter();
        // A shard that came late may outlive the clip.
        let video = items.next().filter(|item| text(item, "sk") == META);
        let Some(video) = video else { return Ok(None) };
        let (video, counts) = (decode(video)?, counters::sum(items)?);
        Ok(Some(Counted { video, counts }))
    }

    /// The same of several clips, without those that do not exist. Twenty are one read.
    pub async fn counted_many(&self, ids: &[VideoId]) -> Result<Vec<Counted>, Error> {
        let keys: Vec<Key> = ids
            .iter()
            .flat_map(|id| std::iter::once(meta(*id)).chain(counters::shards(*id)))
            .collect();
        let mut items = self.table.items(&keys).await?.into_iter();
        let mut found = Vec::with_capacity(ids.len());
        while let Some(video) = items.next() {
            let counts = counters::sum(items.by_ref().take(counters::SHARDS).flatten())?;
            if let Some(video) = video {
                let video = decode(video)?;
                found.push(Counted { video, counts });
            }
        }
        Ok(found)
    }

    /// These clips with their counts.
    pub async fn with_counts(&self, videos: Vec<Video>) -> Result<Vec<Counted>, Error> {
        let keys: Vec<Key> = videos.iter().flat_map(|video| counters::shards(video.id)).collect();
        let mut items = self.table.items(&keys).await?.into_iter();
        let counted = |video| {
            let counts = counters::sum(items.by_ref().take(counters::SHARDS).flatten())?;
            Ok(Counted { video, counts })
        };
        videos.into_iter().map(counted).collect()
    }

    /// A user's clips, latest first, with the place to go on from.
    pub async fn videos_of(
        &self,
        owner: UserId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Video>, Option<String>), Error> {
        let mut query = Query::partition(owner_partition(owner))
            .by_owner()
            .backward()
            .limit(limit);
        if let Some(after) = after {
            query = query.after(after);
        }
        self.table.query(query).await
    }

    /// The bytes are there: probing may begin. False when that was known.
    ///
    /// The event is owed where nothing else would start probing.
    pub async fn begin_processing(
        &self,
        video: &Video,
        etag: &str,
        message: Option<&Message>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let update = Write::update(meta(video.id))
            .set("status", &Status::Processing)?
            .set("source_etag", &etag)?
            .if_equal("status", &Status::Uploading)?;
        let probe = ledger::pending(video.id, video.generation, "probe", "", now)?;
        let mut writes = vec![update, probe];
        writes.extend(message.map(outbox::remember).transpose()?);
        done_unless_condition(self.table.write(writes).await)
    }

    /// Somebody is still uploading. Does nothing once that is over.
    pub async fn extend_upload(&self, id: VideoId, until: DateTime<Utc>) -> Result<(), Error> {
        let extend = Write::update(meta(id))
            .set("upload_until", &until)?
            .if_equal("status", &Status::Uploading)?;
        done_unless_condition(self.table.write(vec![extend]).await).map(|_| ())
    }

    /// Refuses a clip whose bytes are there. False when its fate was decided already.
    pub async fn reject(&self, video: &Video, rejection: &Rejection) -> Result<bool, Error> {
        let trouble = Trouble::from(rejection.clone());
        let from = [Status::Processing, Status::Playable];
        self.end(video, Status::Rejected, &trouble, &from).await
    }

    /// Refuses a clip whose bytes never came. False when they did meanwhile.
    pub async fn expire(&self, video: &Video, rejection: &Rejection) -> Result<bool, Error> {
        let trouble = Trouble::from(rejection.clone());
        self.end(video, Status::Rejected, &trouble, &[Status::Uploading]).await
    }

    /// Gives the clip up; also after it could be watched. False when its fate was decided already.
    pub async fn fail(&self, video: &Video, trouble: &Trouble) -> Result<bool, Error> {
        let from = [Status::Processing, Status::Playable];
        self.end(video, Status::Failed, trouble, &from).await
    }

    /// What is written rests on what the clip is at this moment: whether it stands in the feed above all.
    async fn end(&self, video: &Video, status: Status, trouble: &Trouble, from: &[Status]) -> Result<bool, Error> {
        loop {
            let now = self.video(video.id).await?;
            let undecided = |now: &Video| now.generation == video.generation && from.contains(&now.status);
            let Some(now) = now.filter(undecided) else {
                return Ok(false);
            };
            let update = Write::update(meta(now.id))
                .set("status", &status)?
                .set("error", trouble)?
                .if_equal("generation", &now.generation)?
                .if_equal("revision", &now.revision)?
                .if_equal("status", &now.status)?;
            let mut writes = vec![update, open_work(now.id)?];
            writes.extend(feed::withdraw(&now));
            if done_unless_condition(self.table.write(writes).await)? {
                return Ok(true);
            }
        }
    }

    /// Starts a failed clip anew. `Condition` when it has not failed.
    pub async fn retry(&self, video: &Video, message: &Message) -> Result<(), Error> {
        let generation = video.generation + 1;
        let update = Write::update(meta(video.id))
            .set("status", &Status::Processing)?
            .set("generation", &generation)?
            .remove("error")
            .remove("warnings")
            .if_equal("status", &Status::Failed)?
            .if_equal("generation", &video.generation)?;
        let probe = ledger::pending(video.id, generation, "probe", "", message.time)?;
        let writes = vec![update, probe, open_work(video.id)?, outbox::remember(message)?];
        self.table.write(writes).await
    }

    /// Changes what the owner may change. `Condition` when somebody else did so first, or the clip is deleted.
    pub async fn edit(&self, video: &Video, edit: &Edit, message: &Message) -> Result<Video, Error> {
        let after = edited(video, edit);
        let update = Write::update(meta(video.id))
            .set("title", &after.title)?
            .set("description", &after.description)?
            .set("tags", &after.tags)?
            .set("visibility", &after.visibility)?
            .set("revision", &after.revision)?
            .if_equal("revision", &video.revision)?
            .if_equal("status", &video.status)?;
        let mut writes = vec![update, outbox::remember(message)?];
        writes.extend(feed::relist(&after)?);
        self.table.write(writes).await?;
        Ok(after)
    }

    /// Hides the clip from everybody at once; the janitor removes the rest. `Condition` when it changed meanwhile.
    pub async fn delete(&self, video: &Video, message: &Message, now: DateTime<Utc>) -> Result<(), Error> {
        let update = Write::update(meta(video.id))
            .set("status", &Status::Deleted)?
            .set("deleted_at", &now)?
            .set("revision", &(video.revision + 1))?
            .if_equal("revision", &video.revision)?
            .if_equal("status", &video.status)?;
        let mut writes = vec![update, open_work(video.id)?, outbox::remember(message)?];
        writes.extend(feed::withdraw(video));
        self.table.write(writes).await
    }

    /// Removes all that is known of a deleted clip but a tombstone, which the store drops at `forget_at`.
    pub async fn bury(&self, video: &Video, forget_at: DateTime<Utc>) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Sk {
            sk: String,
        }
        let items: Vec<Sk> = self.table.query_all(Query::partition(partition(video.id))).await?;
        for item in items.iter().filter(|item| item.sk != META) {
            self.table.delete(&Key::new(partition(video.id), &item.sk)).await?;
        }
        let tombstone = Write::update(meta(video.id))
            .set("expires_at", &forget_at.timestamp())?
            .remove("gsi1pk")
            .remove("gsi1sk")
            .if_equal("status", &Status::Deleted)?;
        done_unless_condition(self.table.write(vec![tombstone]).await).map(|_| ())
    }

    /// All clips that somebody still has to look after.
    pub async fn open_work(&self) -> Result<Vec<VideoId>, Error> {
        let mut ids = Vec::new();
        for shard in 0..WORK_SHARDS {
            let items: Vec<Work> = self.table.query_all(Query::partition(format!("WORK#{shard}"))).await?;
            ids.extend(items.into_iter().map(|item| item.video_id));
        }
        Ok(ids)
    }

    /// Nobody has to look after this clip any more, unless it has changed since.
    pub async fn close_work(&self, video: &Video) -> Result<(), Error> {
        let unchanged = Write::check(meta(video.id))
            .if_equal("status", &video.status)?
            .if_equal("generation", &video.generation)?;
        let close = Write::delete(work(video.id));
        done_unless_condition(self.table.write(vec![unchanged, close]).await).map(|_| ())
    }

    /// Nothing is left of this clip.
    pub async fn forget_work(&self, id: VideoId) -> Result<(), Error> {
        self.table.delete(&work(id)).await
    }

    /// Every step of a generation.
    pub async fn steps(&self, id: VideoId, generation: u32) -> Result<Vec<StepItem>, Error> {
        self.table
            .query_all(Query::partition(partition(id)).prefix(&ledger::prefix(generation)))
            .await
    }
}

fn edited(video: &Video, edit: &Edit) -> Video {
    let mut after = video.clone();
    after.revision += 1;
    if let Some(title) = &edit.title {
        after.title = title.clone();
    }
    if let Some(description) = &edit.description {
        after.description = description.clone();
    }
    if let Some(tags) = &edit.tags {
        after.tags = tags.clone();
    }
    if let Some(visibility) = edit.visibility {
        after.visibility = visibility;
    }
    after
}

/// A condition that did not hold means that the change was made before, or is no longer wanted.
pub(crate) fn done_unless_condition(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Condition(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_sizes_add_up_to_the_whole() {
        let multipart = Multipart {
            upload_id: "u".into(),
            part_size: 8,
            part_count: 3,
        };
        let sizes: Vec<_> = (0..=4).map(|n| multipart.size_of(n, 20)).collect();
        assert_eq!(sizes, [None, Some(8), Some(8), Some(4), None]);
    }
}
