//! The end of an upload: complete, or called off.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use toktik_catalog::videos::{Multipart, Status, Video};
use toktik_events::payload::Change;
use toktik_events::{Function, Message, Payload, VideoId};
use toktik_objects::Part;
use toktik_runtime::http::{Caller, PathId, Problem};
use toktik_runtime::trace;

use crate::Desk;
use crate::view::{Accepted, CreatedVideo};

/// Finish an upload
///
/// May be repeated. Processing begins; `GET /videos/{id}` tells how far it is.
#[utoipa::path(
    post,
    operation_id = "complete_upload",
    path = "/api/v1/videos/{id}/upload/complete",
    tag = "upload",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 202, body = Accepted, description = "All bytes are there"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`upload_incomplete`: send what is missing, then try again"),
    )
)]
pub(crate) async fn complete(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let mut video = desk.own(id, &caller).await?;
    if video.status == Status::Uploading {
        desk.finish(&video).await?;
        video = desk.own(id, &caller).await?;
    }
    let accepted = Accepted {
        video: CreatedVideo::from(&video),
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Call an upload off
#[utoipa::path(
    delete,
    operation_id = "cancel_upload",
    path = "/api/v1/videos/{id}/upload",
    tag = "upload",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 204, description = "The clip and what was sent of it are gone"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_uploading`: delete the clip itself"),
    )
)]
pub(crate) async fn cancel(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<StatusCode, Problem> {
    let video = desk.own_upload(id, &caller).await?;
    let change = Change {
        video_id: id,
        revision: video.revision + 1,
    };
    let now = desk.context.clock.now();
    let message = Message::new(Function::Upload, now, Payload::Deleted(change)).with_trace(trace::current());
    match desk.context.catalog.delete(&video, &message, now).await {
        Ok(()) => desk.context.publish_owed(&message).await,
        Err(error) if error.is_condition() => {
            return Err(Problem::conflict("not_uploading", "This clip's upload is over."));
        }
        Err(error) => return Err(anyhow::Error::from(error).into()),
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    async fn finish(&self, video: &Video) -> Result<(), Problem> {
        if let Some(multipart) = &video.upload.multipart {
            self.join(video, multipart).await?;
        }
        let head = self
            .context
            .objects
            .head(&video.upload.key)
            .await
            .map_err(anyhow::Error::from)?;
        let Some(head) = head else {
            return Err(incomplete("No bytes have arrived yet."));
        };
        let now = self.context.clock.now();
        let message = Message::new(Function::Upload, now, Payload::Uploaded(video.clip()));
        // One trace from the request that created the clip to the last step.
        let message = message.with_trace(video.trace.or_else(trace::current));
        let began = self
            .context
            .catalog
            .begin_processing(video, &head.etag, Some(&message), now)
            .await;
        if began.map_err(anyhow::Error::from)? {
            self.context.publish_owed(&message).await;
        }
        Ok(())
    }

    async fn join(&self, video: &Video, multipart: &Multipart) -> Result<(), Problem> {
        let (key, upload_id) = (&video.upload.key, &multipart.upload_id);
        let parts = match self.context.objects.list_parts(key, upload_id).await {
            Ok(parts) => parts,
            // Joined before, by a request like this one; or called off, which the look at the object shows.
            Err(toktik_objects::Error::Missing(_)) => return Ok(()),
            Err(error) => return Err(anyhow::Error::from(error).into()),
        };
        check_parts(&parts, multipart, video.upload.size)?;
        match self.context.objects.complete_multipart(key, upload_id, &parts).await {
            Ok(()) | Err(toktik_objects::Error::Missing(_)) => Ok(()),
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }
}

fn check_parts(parts: &[Part], multipart: &Multipart, total: u64) -> Result<(), Problem> {
    let arrived = |number: u32| {
        let expected = multipart.size_of(number, total);
        parts
            .iter()
            .any(|part| part.number == number && Some(part.size) == expected)
    };
    let missing: Vec<u32> = (1..=multipart.part_count).filter(|number| !arrived(*number)).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(incomplete(&format!(
            "{} parts are missing, from part {first} on.",
            missing.len()
        ))),
    }
}

fn incomplete(what: &str) -> Problem {
    Problem::conflict(
        "upload_incomplete",
        format!("{what} Send what is missing, then try again."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_to_be_there_in_its_size() {
        let multipart = Multipart {
            upload_id: "u".into(),
            part_size: 8,
            part_count: 2,
        };
        let part = |number, size| Part {
            number,
            size,
            etag: "e".into(),
        };
        assert!(check_parts(&[part(1, 8), part(2, 3)], &multipart, 11).is_ok());
        for wrong in [vec![part(1, 8)], vec![part(1, 8), part(2, 4)], vec![part(2, 3)], vec![]] {
            let problem = check_parts(&wrong, &multipart, 11).unwrap_err();
            assert_eq!(problem.code(), "upload_incomplete");
        }
    }
}
