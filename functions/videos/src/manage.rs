//! What owners do with their clips: edit, delete, try again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use toktik_catalog::text::Tags;
use toktik_catalog::videos::{Edit, Status, Video};
use toktik_events::payload::{Change, Clip as ClipPayload};
use toktik_events::{Function, Message, Payload, VideoId};
use toktik_runtime::http::{Caller, Check, Field, Input, PathId, Problem, ServiceAddress};
use toktik_runtime::trace;
use utoipa::ToSchema;

use crate::Desk;
use crate::view::Clip;

/// A clip changes under an owner's hands while it is being processed: so often the change is tried on what it became.
const ROUNDS: u32 = 8;

/// What is left out or null stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$")]
    #[serde(default)]
    title: Field,
    #[schema(value_type = Option<String>, max_length = 5000)]
    #[serde(default)]
    description: Field,
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(default)]
    tags: Field,
    /// `public`, `unlisted` or `private`.
    #[schema(value_type = Option<String>, pattern = "^(public|unlisted|private)$")]
    #[serde(default)]
    visibility: Field,
}

/// Edit a clip
#[utoipa::path(
    patch,
    operation_id = "edit_video",
    path = "/api/v1/videos/{id}",
    tag = "videos",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    request_body = Changes,
    responses(
        (status = 200, body = Clip, description = "The clip as it is now"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "`malformed`"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`changed`: it changed meanwhile; try again"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "`unsupported_media_type`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`"),
    )
)]
pub(crate) async fn edit(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
    service: ServiceAddress,
    Input(request): Input<Changes>,
) -> Result<Json<Clip>, Problem> {
    let edit = check(request)?;
    for _ in 0..ROUNDS {
        let video = desk.commanded(id, &caller).await?;
        let message = desk.change(&video, Payload::Updated);
        match desk.context.catalog.edit(&video, &edit, &message).await {
            Ok(after) => {
                desk.context.publish_owed(&message).await;
                return desk.show(after, &service).await.map(Json);
            }
            Err(error) if error.is_condition() => {}
            Err(error) => return Err(anyhow::Error::from(error).into()),
        }
    }
    Err(changed())
}

fn check(request: Changes) -> Result<Edit, Problem> {
    let mut check = Check::new();
    let title = request.title.or_null().optional("title", &mut check);
    let description = request.description.or_null().optional("description", &mut check);
    let tags = request.tags.or_null();
    let tags: Option<Vec<String>> = tags.optional_as("tags", "must be a list of texts", &mut check);
    let tags = tags.and_then(|tags| check.field("tags", Tags::parse(&tags)));
    let (visibility, expected) = (request.visibility.or_null(), "must be public, unlisted or private");
    let visibility = visibility.optional_as("visibility", expected, &mut check);
    check.finish()?;
    Ok(Edit {
        title,
        description,
        tags,
        visibility,
    })
}

/// Delete a clip
///
/// Nobody sees it any more at once; its files follow.
#[utoipa::path(
    delete,
    operation_id = "delete_video",
    path = "/api/v1/videos/{id}",
    tag = "videos",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`changed`: it changed meanwhile; try again"),
    )
)]
pub(crate) async fn delete(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<StatusCode, Problem> {
    for _ in 0..ROUNDS {
        let video = desk.commanded(id, &caller).await?;
        let message = desk.change(&video, Payload::Deleted);
        match desk.context.catalog.delete(&video, &message, message.time).await {
            Ok(()) => {
                tracing::info!(video.id = %id, "a clip is deleted");
                desk.context.publish_owed(&message).await;
                return Ok(StatusCode::NO_CONTENT);
            }
            Err(error) if error.is_condition() => {}
            Err(error) => return Err(anyhow::Error::from(error).into()),
        }
    }
    Err(changed())
}

/// Try a failed clip again
#[utoipa::path(
    post,
    operation_id = "retry_video",
    path = "/api/v1/videos/{id}/retry",
    tag = "videos",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 202, body = Clip, description = "It is being processed anew"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_failed`"),
    )
)]
pub(crate) async fn retry(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
    service: ServiceAddress,
) -> Result<(StatusCode, Json<Clip>), Problem> {
    let video = desk.commanded(id, &caller).await?;
    let not_failed = || Problem::conflict("not_failed", "Only a clip that has failed can be tried again.");
    if video.status != Status::Failed {
        return Err(not_failed());
    }
    let clip = ClipPayload {
        video_id: id,
        generation: video.generation + 1,
    };
    let message = desk.message(Payload::Uploaded(clip));
    match desk.context.catalog.retry(&video, &message).await {
        Ok(()) => desk.context.publish_owed(&message).await,
        Err(error) if error.is_condition() => return Err(not_failed()),
        Err(error) => return Err(anyhow::Error::from(error).into()),
    }
    let video = desk.commanded(id, &caller).await?;
    Ok((StatusCode::ACCEPTED, Json(desk.show(video, &service).await?)))
}

impl Desk {
    fn change(&self, video: &Video, payload: fn(Change) -> Payload) -> Message {
        let change = Change {
            video_id: video.id,
            revision: video.revision + 1,
        };
        self.message(payload(change))
    }

    pub(crate) fn message(&self, payload: Payload) -> Message {
        Message::new(Function::Videos, self.context.clock.now(), payload).with_trace(trace::current())
    }
}

fn changed() -> Problem {
    Problem::conflict("changed", "The clip kept changing meanwhile. Try again.")
}
