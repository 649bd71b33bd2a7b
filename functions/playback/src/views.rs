//! Counts a view: once a viewer and day.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use toktik_runtime::http::{ClientAddress, Problem};

use crate::Desk;
use crate::audience::Audience;

/// Count a view
#[utoipa::path(
    post,
    operation_id = "count_view",
    path = "/api/v1/videos/{id}/views",
    tag = "playback",
    security((), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The clip"),
        ("token" = Option<String>, Query, description = "Of a playback link to a private clip"),
    ),
    responses(
        (status = 204, description = "Counted, or counted before on this day"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`, or `not_ready`"),
    )
)]
pub(crate) async fn view(
    State(desk): State<Arc<Desk>>,
    audience: Audience,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    audience.require_watchable()?;
    let now = desk.context.clock.now();
    let viewer = if let Some(viewer) = &audience.viewer.0 {
        viewer.user.to_string()
    } else {
        let browser = headers
            .get("user-agent")
            .map(|value| value.as_bytes().to_vec())
            .unwrap_or_default();
        let stranger = format!("{address:?} {}", String::from_utf8_lossy(&browser));
        desk.link_key.anonymous(&stranger, now)
    };
    desk.context
        .catalog
        .view(audience.video.id, &viewer, now)
        .await
        .map_err(anyhow::Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}
