//! The parts of a large upload: URLs to send them to, and which have arrived. An upload resumes from the latter.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use toktik_catalog::videos::{Multipart, Video};
use toktik_events::VideoId;
use toktik_runtime::http::{Caller, Input, PathId, Problem, StoreAddress};
use utoipa::ToSchema;

use crate::Desk;
use crate::view::{ArrivedPart, Parts, SignedPart, headers};

/// So many URLs are signed at once.
const MAX_AT_ONCE: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedParts {
    /// Counted from 1; up to 100 at once.
    #[schema(min_items = 1, max_items = 100)]
    part_numbers: Vec<u32>,
}

/// Sign parts
#[utoipa::path(
    post,
    operation_id = "sign_parts",
    path = "/api/v1/videos/{id}/upload/parts",
    tag = "upload",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    request_body = WantedParts,
    responses(
        (status = 200, body = Parts<SignedPart>, description = "A URL and headers for each part"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "`malformed`"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_multipart`, `not_uploading`"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "`unsupported_media_type`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`"),
    )
)]
pub(crate) async fn sign(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
    address: StoreAddress,
    Input(request): Input<WantedParts>,
) -> Result<Json<Parts<SignedPart>>, Problem> {
    let video = desk.own_upload(id, &caller).await?;
    let multipart = multipart(&video)?;
    check(&request, multipart)?;
    let signer = desk.signer(&address);
    let (now, valid) = (desk.context.clock.now(), desk.settings.upload_expiry);
    // Whoever still asks for URLs is still at it: the upload is not abandoned before they run out.
    desk.context
        .catalog
        .extend_upload(id, now + valid)
        .await
        .map_err(anyhow::Error::from)?;
    let mut parts = Vec::with_capacity(request.part_numbers.len());
    for part_number in request.part_numbers {
        let size = multipart.size_of(part_number, video.upload.size).unwrap_or(0);
        let signed = signer
            .part(&video.upload.key, &multipart.upload_id, part_number, size, now, valid)
            .await
            .map_err(anyhow::Error::from)?;
        parts.push(SignedPart {
            part_number,
            headers: headers(&signed),
            url: signed.url,
        });
    }
    Ok(Json(Parts { parts }))
}

fn check(request: &WantedParts, multipart: &Multipart) -> Result<(), Problem> {
    let refuse = |message: String| Err(Problem::invalid_field("part_numbers", "range", message));
    if request.part_numbers.is_empty() || request.part_numbers.len() > MAX_AT_ONCE {
        return refuse(format!("must name 1 to {MAX_AT_ONCE} parts"));
    }
    let last = multipart.part_count;
    match request.part_numbers.iter().find(|number| !(1..=last).contains(*number)) {
        Some(wrong) => refuse(format!("there is no part {wrong}; they are numbered 1 to {last}")),
        None => Ok(()),
    }
}

/// Which parts have arrived
#[utoipa::path(
    get,
    operation_id = "list_parts",
    path = "/api/v1/videos/{id}/upload/parts",
    tag = "upload",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The clip")),
    responses(
        (status = 200, body = Parts<ArrivedPart>, description = "In order"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "`forbidden`: somebody else's clip"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_multipart`, `not_uploading`"),
    )
)]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    PathId(id): PathId<VideoId>,
) -> Result<Json<Parts<ArrivedPart>>, Problem> {
    let video = desk.own_upload(id, &caller).await?;
    let upload_id = &multipart(&video)?.upload_id;
    let parts = match desk.context.objects.list_parts(&video.upload.key, upload_id).await {
        Ok(parts) => parts,
        Err(toktik_objects::Error::Missing(_)) => Vec::new(),
        Err(error) => return Err(anyhow::Error::from(error).into()),
    };
    let parts = parts.into_iter().map(|part| ArrivedPart {
        part_number: part.number,
        size: part.size,
    });
    Ok(Json(Parts { parts: parts.collect() }))
}

pub(crate) fn multipart(video: &Video) -> Result<&Multipart, Problem> {
    let title = "This upload goes in one piece: PUT it to the URL that came with the clip.";
    let refusal = || Problem::conflict("not_multipart", title);
    video.upload.multipart.as_ref().ok_or_else(refusal)
}
