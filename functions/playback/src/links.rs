//! Playback links: for showing a private clip to somebody without an account.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use toktik_events::VideoId;
use toktik_runtime::access;
use toktik_runtime::http::{Caller, PathId, Problem, ServiceAddress};
use utoipa::ToSchema;

use crate::Desk;

#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    /// Plays the clip for whoever has it.
    url: String,
    expires_at: DateTime<Utc>,
}

/// Sign a playback link
///
/// Whoever has the link may watch the clip until it expires, also when it is private.
#[utoipa::path(
    post,
    operation_id = "sign_link",
    path = "/api/v1/videos/{id}/links",
    tag = "playback",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 200, body = Link, description = "The link"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
    )
)]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
    service: ServiceAddress,
) -> Result<Json<Link>, Problem> {
    let video = desk.context.catalog.video(id).await.map_err(anyhow::Error::from)?;
    let video = video.ok_or_else(Problem::not_found)?;
    access::require_command(&video, &caller)?;
    let expires_at = desk.context.clock.now() + desk.settings.link_ttl;
    let token = desk.link_key.sign(id, expires_at);
    let url = format!("{}/api/v1/videos/{id}/playlist.m3u8?token={token}", service.0);
    Ok(Json(Link { url, expires_at }))
}
