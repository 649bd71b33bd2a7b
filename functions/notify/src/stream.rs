//! One stream: looks at a steady pace, and tells what differs from what it told before.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout_at};
use toktik_catalog::Error;

use crate::Desk;
use crate::own::Own;
use crate::seats::Seat;
use crate::shapes::{Clip, Standing, Tally};
use crate::view::View;

/// After so long a browser opens the next stream.
const RETRY: Duration = Duration::from_secs(1);
/// The same where streams end at once: each is a run of the function.
const RETRY_AT_REST: Duration = Duration::from_secs(3);

/// Something to tell.
pub(crate) enum News {
    Clip(Clip),
    Counts(Tally),
    Status(Standing),
}

pub(crate) struct Watch {
    desk: Arc<Desk>,
    own: Option<Own>,
    view: Option<View>,
    waiting: VecDeque<Event>,
    /// The id of the last event.
    id: String,
    pace: Interval,
    until: Instant,
    _seat: Seat,
}

impl Watch {
    /// Begins with how things are.
    pub(crate) async fn open(desk: Arc<Desk>, own: Option<Own>, view: Option<View>, seat: Seat) -> Result<Self, Error> {
        let (now, poll) = (Instant::now(), desk.settings.stream_poll);
        let mut pace = interval_at(now + poll, poll);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lasts = if desk.context.streams {
            desk.settings.stream_time
        } else {
            Duration::ZERO
        };
        let mut watch = Self {
            desk,
            own,
            view,
            waiting: VecDeque::new(),
            id: String::new(),
            pace,
            until: now + lasts,
            _seat: seat,
        };
        let retry = if lasts.is_zero() { RETRY_AT_REST } else { RETRY };
        watch.begin(retry);
        watch.look().await?;
        Ok(watch)
    }

    /// A browser keeps an id also from an event without data, which it tells nobody of.
    fn begin(&mut self, retry: Duration) {
        let mut event = Event::default().retry(retry);
        if let Some(own) = &self.own {
            self.id = own.cursor().to_string();
            event = event.id(&self.id);
        }
        self.waiting.push_back(event);
    }

    async fn look(&mut self) -> Result<(), Error> {
        let desk = Arc::clone(&self.desk);
        let catalog = &desk.context.catalog;
        if let Some(own) = &mut self.own {
            for told in own.news(catalog).await? {
                self.tell(&News::Clip(told.clip), Some(told.cursor.to_string()));
            }
        }
        if let Some(view) = &mut self.view {
            for news in view.news(catalog, desk.settings.stream_poll).await? {
                self.tell(&news, None);
            }
        }
        Ok(())
    }

    fn tell(&mut self, news: &News, id: Option<String>) {
        let event = match news {
            News::Clip(clip) => event("clip", clip),
            News::Counts(tally) => event("counts", tally),
            News::Status(standing) => event("status", standing),
        };
        let id = id.filter(|id| *id != self.id);
        let event = match &id {
            Some(id) => event.id(id),
            None => event,
        };
        self.id = id.unwrap_or_else(|| std::mem::take(&mut self.id));
        self.waiting.push_back(event);
    }

    /// None when the stream is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            timeout_at(self.until, self.pace.tick()).await.ok()?;
            // The reader keeps the stream: the store may be back by the next look.
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "a stream could not look for news"
                );
            }
        }
    }

    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut watch| {
            watch.next().await.map(|event| (Ok(event), watch))
        })
    }
}

/// Our own types, which always can be written.
fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    event.json_data(data).unwrap_or_else(|_| Event::default().comment(name))
}
