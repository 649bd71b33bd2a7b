//! The reader's own clips, from when they are announced until nothing more happens to them.

use toktik_catalog::videos::{Status, Video};
use toktik_catalog::{Catalog, Error};
use toktik_events::VideoId;
use toktik_identity::UserId;

use crate::cursor::{Cursor, FOLLOWED};
use crate::shapes::Clip;

/// So many are looked through for new ones while the stream is open; who makes more within two looks hears of them from
/// the next stream.
const NEW: usize = 10;

pub(crate) struct Own {
    user: UserId,
    /// Of the latest clip that is known; what comes after it is told whatever its status.
    latest: String,
    followed: Vec<Followed>,
    /// Whose steps are looked at next: one clip a look.
    turn: usize,
    looks: usize,
}

struct Followed {
    id: VideoId,
    told: Option<Clip>,
}

/// A clip, and what the reader has heard once it is told.
pub(crate) struct Told {
    pub(crate) clip: Clip,
    pub(crate) cursor: Cursor,
}

impl Own {
    /// Finds what is under way, and what has ended since the reader last heard of it.
    pub(crate) async fn open(catalog: &Catalog, user: UserId, heard: Option<Cursor>) -> Result<Self, Error> {
        let (videos, _) = catalog.videos_of(user, None, FOLLOWED).await?;
        let mut own = Self {
            user,
            latest: String::new(),
            followed: Vec::new(),
            turn: 0,
            looks: 0,
        };
        if let Some(heard) = heard {
            own.latest = heard.latest;
            for id in heard.open {
                own.follow(id);
            }
        } else if let Some(latest) = videos.first() {
            own.latest = latest.place();
        }
        own.discover(&videos);
        Ok(own)
    }

    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            latest: self.latest.clone(),
            open: self.followed.iter().map(|followed| followed.id).collect(),
        }
    }

    /// Follows a clip that may be older than those that are looked through.
    pub(crate) fn follow(&mut self, id: VideoId) {
        let known = self.followed.iter().any(|followed| followed.id == id);
        if !known && self.followed.len() < FOLLOWED {
            self.followed.push(Followed { id, told: None });
        }
    }

    /// Of the latest clips, those that are new or not at their end.
    fn discover(&mut self, videos: &[Video]) {
        let before = self.cursor();
        for video in videos.iter().filter(|video| video.status != Status::Deleted) {
            if !video.status.is_final() || before.is_news(video) {
                self.follow(video.id);
            }
        }
        let latest = videos.iter().map(Video::place).max().unwrap_or_default();
        self.latest = before.latest.max(latest);
    }

    /// What differs from what the reader was told.
    pub(crate) async fn news(&mut self, catalog: &Catalog) -> Result<Vec<Told>, Error> {
        self.looks += 1;
        if self.looks.is_multiple_of(2) {
            let (videos, _) = catalog.videos_of(self.user, None, NEW).await?;
            self.discover(&videos);
        }
        let ids: Vec<VideoId> = self.followed.iter().map(|followed| followed.id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let videos = catalog.videos(&ids).await?;
        self.turn = (self.turn + 1) % ids.len();
        let mut news = Vec::new();
        for (index, id) in ids.into_iter().enumerate() {
            let video = videos.iter().find(|video| video.id == id);
            news.extend(self.look(catalog, id, video, index == self.turn).await?);
        }
        Ok(news)
    }

    async fn look(
        &mut self,
        catalog: &Catalog,
        id: VideoId,
        video: Option<&Video>,
        its_turn: bool,
    ) -> Result<Option<Told>, Error> {
        let Some(place) = self.followed.iter().position(|followed| followed.id == id) else {
            return Ok(None);
        };
        let told = self.followed[place].told.as_ref();
        let clip = match video {
            // An id that somebody has put into their cursor; nothing is said of it, whether it names a clip or none.
            other if other.map_or(told.is_none(), |video| video.owner != self.user) => {
                self.followed.remove(place);
                return Ok(None);
            }
            Some(video) if video.status != Status::Deleted => {
                let changed = told.is_none_or(|told| told.status != video.status);
                if !its_turn && !changed {
                    return Ok(None);
                }
                let begun = video.status != Status::Uploading;
                let steps = if begun {
                    catalog.steps(id, video.generation).await?
                } else {
                    Vec::new()
                };
                Clip::new(video, &steps)
            }
            _ => Clip::gone(id),
        };
        let unchanged = told == Some(&clip);
        if clip.status.is_final() {
            self.followed.remove(place);
        } else {
            self.followed[place].told = Some(clip.clone());
        }
        let cursor = self.cursor();
        Ok((!unchanged).then_some(Told { clip, cursor }))
    }
}
