//! Likes: one a user and clip.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use toktik_events::payload::Liked;
use toktik_events::{Payload, VideoId};
use toktik_runtime::http::{Caller, PathId, Problem};

use crate::Desk;

/// Like a clip
#[utoipa::path(
    put,
    operation_id = "like_video",
    path = "/api/v1/videos/{id}/like",
    tag = "videos",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 204, description = "Liked, now or before"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_watchable`: not yet, or no longer"),
    )
)]
pub(crate) async fn like(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<StatusCode, Problem> {
    let video = desk.visible(id, Some(&caller)).await?;
    if !video.status.is_watchable() {
        return Err(Problem::conflict(
            "not_watchable",
            "This clip cannot be watched, so it cannot be liked.",
        ));
    }
    let liked = Liked {
        video_id: id,
        user_id: caller.user.to_string(),
        at: desk.context.clock.now().to_rfc3339(),
    };
    let message = desk.message(Payload::Liked(liked));
    if desk
        .context
        .catalog
        .like(id, caller.user, &message)
        .await
        .map_err(anyhow::Error::from)?
    {
        desk.context.publish_owed(&message).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Take a like back
#[utoipa::path(
    delete,
    operation_id = "unlike_video",
    path = "/api/v1/videos/{id}/like",
    tag = "videos",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 204, description = "Not liked, now or before"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
    )
)]
pub(crate) async fn unlike(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<StatusCode, Problem> {
    desk.visible(id, Some(&caller)).await?;
    desk.context
        .catalog
        .unlike(id, caller.user)
        .await
        .map_err(anyhow::Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}
