//! One clip, and one's own clips.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use toktik_catalog::videos::{Status, Video};
use toktik_events::VideoId;
use toktik_runtime::access;
use toktik_runtime::http::{Caller, Entity, Page, PageQuery, Parameters, PathId, Problem, ServiceAddress, Viewer};

use crate::Desk;
use crate::view::Clip;

/// One clip
#[utoipa::path(
    get,
    operation_id = "show_video",
    path = "/api/v1/videos/{id}",
    tag = "videos",
    security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 200, body = Clip, description = "The clip"),
        (status = 304, description = "It is what `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
    )
)]
pub(crate) async fn one(
    State(desk): State<Arc<Desk>>,
    Viewer(viewer): Viewer,
    PathId(id): PathId<VideoId>,
    service: ServiceAddress,
) -> Result<Entity, Problem> {
    let clip = desk
        .clips
        .ask((id, service.clone()), || desk.shown(id, &service))
        .await?;
    let clip = clip.filter(|clip| access::sees(&clip.video, viewer.as_ref()));
    clip.map(|clip| clip.body.clone()).ok_or_else(Problem::not_found)
}

/// A clip as everybody who may see it is shown it.
pub(crate) struct Shown {
    video: Video,
    body: Entity,
}

impl Desk {
    async fn shown(&self, id: VideoId, service: &ServiceAddress) -> Result<Option<Arc<Shown>>, Problem> {
        let counted = self.context.catalog.counted(id).await.map_err(anyhow::Error::from)?;
        let Some(counted) = counted else { return Ok(None) };
        let shown = self.show_all(std::slice::from_ref(&counted), service).await?;
        let body = shown.first().map(Entity::json).transpose()?;
        let video = counted.video;
        Ok(body.map(|body| Arc::new(Shown { video, body })))
    }
}

/// One's own clips
///
/// Latest first, whatever their status and visibility.
#[utoipa::path(
    get,
    operation_id = "list_my_videos",
    path = "/api/v1/me/videos",
    tag = "videos",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, body = Page<Clip>, description = "A page of clips"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`"),
    )
)]
pub(crate) async fn own(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    Parameters(query): Parameters<PageQuery>,
    service: ServiceAddress,
) -> Result<Json<Page<Clip>>, Problem> {
    let after = query.cursor.as_deref().map(crate::feed::position).transpose()?;
    let kept = |video: &Video| video.status != Status::Deleted;
    let (videos, next_cursor) = desk.of_owner(caller.user, after, query.limit()?, kept).await?;
    let clips = desk
        .context
        .catalog
        .with_counts(videos)
        .await
        .map_err(anyhow::Error::from)?;
    let items = desk.show_all(&clips, &service).await?;
    Ok(Json(Page { items, next_cursor }))
}
