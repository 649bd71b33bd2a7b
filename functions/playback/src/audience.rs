//! Finds the clip a request is about, for somebody who may watch it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::{Status, Video};
use toktik_events::VideoId;
use toktik_runtime::access;
use toktik_runtime::http::{Parameters, PathId, Problem, Viewer};

use crate::Desk;

/// A clip that the caller may watch, by what they are or by a link they were given.
pub(crate) struct Audience {
    pub(crate) video: Arc<Video>,
    pub(crate) viewer: Viewer,
    /// The link's token; what is rendered for its bearer passes it on.
    pub(crate) token: Option<String>,
}

#[derive(Deserialize)]
struct Query {
    token: Option<String>,
}

impl FromRequestParts<Arc<Desk>> for Audience {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let PathId(id) = PathId::<VideoId>::from_request_parts(parts, desk).await?;
        let viewer = Viewer::from_request_parts(parts, desk).await?;
        let Parameters(query) = Parameters::<Query>::from_request_parts(parts, desk).await?;
        let video = desk.videos.ask(id, || desk.video(id)).await?;
        let video = video.ok_or_else(Problem::not_found)?;
        let now = desk.context.clock.now();
        let linked = query
            .token
            .as_deref()
            .is_some_and(|token| desk.link_key.admits(token, id, now));
        let invited = linked && video.status != Status::Deleted;
        if !invited && !access::sees(&video, viewer.0.as_ref()) {
            return Err(Problem::not_found());
        }
        Ok(Self {
            video,
            viewer,
            token: query.token.filter(|_| linked),
        })
    }
}

impl Audience {
    /// How long others may keep what is rendered for this request.
    pub(crate) fn cache_control(&self, complete: bool) -> &'static str {
        match (self.video.visibility, complete) {
            (Visibility::Private, _) => "private, no-store",
            (_, true) => "public, max-age=60",
            (_, false) => "no-cache",
        }
    }

    /// Status says whether there is anything to watch, whatever a manifest of before may hold. Nobody is told to come
    /// again for a clip of which nothing more will be made.
    pub(crate) fn require_watchable(&self) -> Result<(), Problem> {
        let status = self.video.status;
        if status.is_watchable() {
            Ok(())
        } else if status.is_final() {
            Err(Problem::not_found())
        } else {
            Err(crate::not_ready())
        }
    }
}
