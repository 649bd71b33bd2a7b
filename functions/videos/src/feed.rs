//! The feed: public clips that can be watched, latest or most popular first, of everybody or of one channel.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use toktik_catalog::text::{Visibility, parse_tag};
use toktik_catalog::videos::{Counted, Video};
use toktik_events::VideoId;
use toktik_identity::{Login, UserId};
use toktik_runtime::http::{Entity, Page, PageQuery, Parameters, Problem, ServiceAddress, Viewer};
use utoipa::{IntoParams, ToSchema};

use crate::view::Clip;
use crate::{Desk, cursor};

#[derive(Clone, Deserialize, PartialEq, Eq, Hash, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
    /// Only clips with this tag.
    tag: Option<String>,
    /// Only clips of this user, by id or name.
    channel: Option<String>,
    /// How many items, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq, Hash, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    #[default]
    Latest,
    Popular,
}

/// So many of the ranking are looked at in one go: all of it, as the janitor now makes it.
const RANKED_AT_ONCE: usize = 100;

/// The feed
#[utoipa::path(
    get,
    operation_id = "list_videos",
    path = "/api/v1/videos",
    tag = "videos",
    security((), ("bearer" = [])),
    params(FeedQuery),
    responses(
        (status = 200, body = Page<Clip>, description = "A page of clips"),
        (status = 304, description = "It is what `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`"),
    )
)]
pub(crate) async fn feed(
    State(desk): State<Arc<Desk>>,
    _: Viewer,
    Parameters(query): Parameters<FeedQuery>,
    service: ServiceAddress,
) -> Result<Entity, Problem> {
    let key = (query.clone(), service.clone());
    desk.feeds.ask(key, || desk.page(query, &service)).await
}

struct Wanted {
    tag: Option<String>,
    cursor: Option<String>,
    limit: usize,
}

type Found = (Vec<Counted>, Option<String>);

impl Wanted {
    fn shows(&self, video: &Video) -> bool {
        let tagged = |tag: &String| video.tags.as_slice().contains(tag);
        is_listed(video) && self.tag.as_ref().is_none_or(tagged)
    }
}

impl Desk {
    /// A page of the feed, which is the same for everybody.
    async fn page(&self, query: FeedQuery, service: &ServiceAddress) -> Result<Entity, Problem> {
        let limit = PageQuery {
            limit: query.limit,
            cursor: None,
        }
        .limit()?;
        let tag = tag(query.tag.as_deref())?;
        let wanted = Wanted {
            tag,
            cursor: query.cursor,
            limit,
        };
        let (clips, next_cursor) = match (query.channel, query.sort) {
            (Some(channel), Sort::Latest) => self.of_channel(&channel, &wanted).await?,
            (None, Sort::Latest) => self.latest(&wanted).await?,
            (channel, Sort::Popular) => self.popular(channel.as_deref(), &wanted).await?,
        };
        let items = self.show_all(&clips, service).await?;
        Entity::json(&Page { items, next_cursor })
    }

    async fn latest(&self, wanted: &Wanted) -> Result<Found, Problem> {
        let after = wanted.cursor.as_deref().map(position).transpose()?;
        // One more tells whether there is a next page.
        let (tag, limit) = (wanted.tag.as_deref(), wanted.limit + 1);
        let entries = self.context.catalog.latest(after.as_deref(), tag, limit).await;
        let mut entries = entries.map_err(anyhow::Error::from)?;
        let more = entries.len() > wanted.limit;
        entries.truncate(wanted.limit);
        let last = entries.last().filter(|_| more);
        let next = last.map(|entry| entry.position.clone());
        let ids: Vec<VideoId> = entries.iter().map(|entry| entry.video_id).collect();
        let clips = self
            .context
            .catalog
            .counted_many(&ids)
            .await
            .map_err(anyhow::Error::from)?;
        let shown = clips.into_iter().filter(|clip| wanted.shows(&clip.video)).collect();
        Ok((shown, next))
    }

    async fn of_channel(&self, channel: &str, wanted: &Wanted) -> Result<Found, Problem> {
        let after = wanted.cursor.as_deref().map(position).transpose()?;
        match self.channel(channel).await? {
            Some(owner) => {
                let shows = |video: &Video| wanted.shows(video);
                let (videos, next) = self.of_owner(owner, after, wanted.limit, shows).await?;
                self.counted(videos, next).await
            }
            None => Ok((Vec::new(), None)),
        }
    }

    /// A page of those of a user's clips that are to be shown, latest first.
    pub(crate) async fn of_owner(
        &self,
        owner: UserId,
        mut after: Option<String>,
        limit: usize,
        shows: impl Fn(&Video) -> bool,
    ) -> Result<(Vec<Video>, Option<String>), Problem> {
        let mut shown: Vec<Video> = Vec::new();
        loop {
            let page = self.context.catalog.videos_of(owner, after.as_deref(), limit + 1).await;
            let (videos, next) = page.map_err(anyhow::Error::from)?;
            for video in videos.into_iter().filter(&shows) {
                if shown.len() == limit {
                    let last = shown.last().map(Video::place);
                    return Ok((shown, last));
                }
                shown.push(video);
            }
            if next.is_none() {
                return Ok((shown, None));
            }
            after = next;
        }
    }

    async fn popular(&self, channel: Option<&str>, wanted: &Wanted) -> Result<Found, Problem> {
        let mut from = rank(wanted.cursor.as_deref())?;
        let owner = match channel {
            Some(channel) => match self.channel(channel).await? {
                Some(owner) => Some(owner),
                None => return Ok((Vec::new(), None)),
            },
            None => None,
        };
        let shows = |video: &Video| wanted.shows(video) && owner.is_none_or(|owner| video.owner == owner);
        let mut shown: Vec<Video> = Vec::new();
        loop {
            let ranked = self.context.catalog.popular(from, RANKED_AT_ONCE).await;
            let ids: Vec<VideoId> = ranked
                .map_err(anyhow::Error::from)?
                .iter()
                .map(|entry| entry.video_id)
                .collect();
            let videos = self.context.catalog.videos(&ids).await.map_err(anyhow::Error::from)?;
            for video in videos.into_iter().filter(shows) {
                if shown.len() == wanted.limit {
                    let index = ids.iter().position(|id| *id == video.id).unwrap_or_default();
                    return self.counted(shown, Some((from + index).to_string())).await;
                }
                shown.push(video);
            }
            if ids.len() < RANKED_AT_ONCE {
                return self.counted(shown, None).await;
            }
            from += ids.len();
        }
    }

    async fn counted(&self, videos: Vec<Video>, next: Option<String>) -> Result<Found, Problem> {
        let clips = self.context.catalog.with_counts(videos).await;
        Ok((clips.map_err(anyhow::Error::from)?, next))
    }

    /// The user whom this names, by id or by name.
    async fn channel(&self, channel: &str) -> Result<Option<UserId>, Problem> {
        if let Ok(id) = channel.parse::<UserId>() {
            return Ok(Some(id));
        }
        // By name alone: who has which e-mail address is nobody's business.
        let login = Login::Username(channel.to_ascii_lowercase());
        let user = self
            .context
            .catalog
            .user_by_login(&login)
            .await
            .map_err(anyhow::Error::from)?;
        Ok(user.map(|user| user.id))
    }
}

fn is_listed(video: &Video) -> bool {
    video.visibility == Visibility::Public && video.status.is_watchable()
}

fn tag(tag: Option<&str>) -> Result<Option<String>, Problem> {
    let parsed = tag.map(parse_tag).transpose();
    parsed.map_err(|error| Problem::invalid_field("tag", "invalid", error.to_string()))
}

/// A cursor of the lists that are sorted by time.
pub(crate) fn position(cursor: &str) -> Result<String, Problem> {
    cursor::position(cursor).ok_or_else(bad_cursor)
}

fn rank(cursor: Option<&str>) -> Result<usize, Problem> {
    cursor.map_or(Some(0), cursor::rank).ok_or_else(bad_cursor)
}

fn bad_cursor() -> Problem {
    Problem::invalid_field("cursor", "invalid", "is not a cursor of this list")
}
