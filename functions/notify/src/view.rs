//! The clip that somebody looks at: its counts and its status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use toktik_catalog::counters::Counts;
use toktik_catalog::videos::{Status, Video};
use toktik_catalog::{Catalog, Error};
use toktik_events::VideoId;
use toktik_identity::Identity;
use toktik_runtime::access;

use crate::shapes::{Standing, Tally};
use crate::stream::News;

/// Clips in view of this process. A crowd at one clip looks once for all.
#[derive(Default)]
pub(crate) struct Windows {
    open: Mutex<HashMap<VideoId, Weak<Window>>>,
}

/// What was last seen of a clip, and when.
pub(crate) struct Window {
    id: VideoId,
    last: tokio::sync::Mutex<Option<(Instant, Seen)>>,
}

#[derive(Clone)]
struct Seen {
    video: Option<Video>,
    counts: Counts,
}

impl Windows {
    fn at(&self, id: VideoId) -> Arc<Window> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = open.get(&id).and_then(Weak::upgrade) {
            return window;
        }
        open.retain(|_, window| window.strong_count() > 0);
        let window = Arc::new(Window {
            id,
            last: tokio::sync::Mutex::default(),
        });
        open.insert(id, Arc::downgrade(&window));
        window
    }
}

impl Window {
    /// Looks again, unless somebody has just done so.
    async fn look(&self, catalog: &Catalog, fresh: Duration) -> Result<Seen, Error> {
        let mut last = self.last.lock().await;
        if let Some((at, seen)) = &*last
            && at.elapsed() < fresh
        {
            return Ok(seen.clone());
        }
        let now = Instant::now();
        let (video, counts) = tokio::try_join!(catalog.video(self.id), catalog.counts(self.id))?;
        let seen = Seen { video, counts };
        *last = Some((now, seen.clone()));
        Ok(seen)
    }
}

/// One reader's view of a clip.
pub(crate) struct View {
    window: Arc<Window>,
    viewer: Option<Identity>,
    counts: Option<Counts>,
    status: Option<Status>,
    gone: bool,
}

impl View {
    pub(crate) fn new(windows: &Windows, id: VideoId, viewer: Option<Identity>) -> Self {
        Self {
            window: windows.at(id),
            viewer,
            counts: None,
            status: None,
            gone: false,
        }
    }

    /// What differs from what the reader was told.
    pub(crate) async fn news(&mut self, catalog: &Catalog, poll: Duration) -> Result<Vec<News>, Error> {
        if self.gone {
            return Ok(Vec::new());
        }
        let seen = self.window.look(catalog, poll / 2).await?;
        let visible = seen.video.filter(|video| access::sees(video, self.viewer.as_ref()));
        self.gone = visible.is_none();
        let status = visible.map_or(Status::Deleted, |video| video.status);
        let id = self.window.id;
        let mut news = Vec::new();
        if self.status.replace(status) != Some(status) {
            news.push(News::Status(Standing { id, status }));
        }
        if !self.gone && self.counts.replace(seen.counts) != Some(seen.counts) {
            news.push(News::Counts(Tally::new(id, seen.counts)));
        }
        Ok(news)
    }
}
