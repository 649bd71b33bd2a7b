//! `POST /videos`: a clip's metadata come in, the way for its bytes goes out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use toktik_catalog::text::{Description, Tags, Title, Visibility};
use toktik_catalog::videos::{Multipart, Remembered, Status, Upload, Video};
use toktik_events::VideoId;
use toktik_identity::Identity;
use toktik_objects::keys;
use toktik_runtime::http::{Caller, Check, Input, Problem, StoreAddress};
use toktik_runtime::trace;
use utoipa::ToSchema;

use crate::Desk;
use crate::view::{Created, CreatedVideo, Target, headers};

const MAX_FILENAME: usize = 255;
const MAX_CONTENT_TYPE: usize = 100;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// One line, 1 to 100 characters.
    title: String,
    /// Up to 5000 characters.
    #[serde(default)]
    description: String,
    /// Up to 10, each up to 30 letters, digits, `-` or `_`.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    #[schema(value_type = String, default = "public")]
    visibility: Visibility,
    /// As the person's file is called; kept for display only.
    filename: String,
    /// Bytes; exactly so many have to be uploaded.
    size: u64,
    /// `video/*` or `application/octet-stream`; exactly this has to be sent with the bytes.
    content_type: String,
}

/// A request whose fields are right.
struct Wanted {
    title: Title,
    description: Description,
    tags: Tags,
    visibility: Visibility,
    filename: String,
    size: u64,
    content_type: String,
}

/// Begin an upload
///
/// With an `Idempotency-Key`, a repeat within 24 hours gets the same clip and a fresh URL.
#[utoipa::path(
    post,
    path = "/api/v1/videos",
    tag = "upload",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless for 24 h")),
    request_body = Request,
    responses(
        (status = 201, body = Created, description = "The clip waits for its bytes"),
        (status = 400, body = Problem, description = "`malformed`"),
        (status = 401, body = Problem, description = "`unauthorized`"),
        (status = 413, body = Problem, description = "`too_large`"),
        (status = 415, body = Problem, description = "`unsupported_media_type`"),
        (status = 422, body = Problem, description = "`invalid`, or `idempotency_key_reused`"),
    )
)]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    address: StoreAddress,
    headers: HeaderMap,
    Input(request): Input<Request>,
) -> Result<(StatusCode, Json<Created>), Problem> {
    let key = toktik_runtime::http::idempotency_key(&headers)?;
    let fingerprint = toktik_runtime::http::fingerprint(&request);
    let wanted = check(request, desk.settings.max_upload_bytes)?;
    let video = match key {
        Some(key) => desk.create_once(&caller, wanted, &key, fingerprint).await?,
        None => desk.create(&caller, wanted, None).await?,
    };
    let upload = desk.target(&video, &address).await?;
    let created = Created {
        video: CreatedVideo::from(&video),
        upload,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

fn check(request: Request, max_bytes: u64) -> Result<Wanted, Problem> {
    let mut check = Check::new();
    let title = check.field("title", request.title.parse::<Title>());
    let description = check.field("description", request.description.parse::<Description>());
    let tags = check.field("tags", Tags::parse(&request.tags));
    let filename = check.field("filename", filename(&request.filename));
    let content_type = check.field("content_type", content_type(&request.content_type));
    if request.size == 0 {
        check.refuse("size", "empty", "The file is empty: there is nothing in it to play.");
    }
    check.finish()?;
    if request.size > max_bytes {
        let title = format!("The file has {} bytes; at most {max_bytes} are taken.", request.size);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title));
    }
    let (Some(title), Some(description), Some(tags), Some(filename), Some(content_type)) =
        (title, description, tags, filename, content_type)
    else {
        return Err(Problem::malformed("The request could not be understood."));
    };
    Ok(Wanted {
        title,
        description,
        tags,
        visibility: request.visibility,
        filename,
        size: request.size,
        content_type,
    })
}

fn filename(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_FILENAME || text.chars().any(char::is_control) {
        return Err("must be 1 to 255 printable characters");
    }
    Ok(text.to_owned())
}

fn content_type(text: &str) -> Result<String, &'static str> {
    let text = text.trim().to_ascii_lowercase();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let is_video = text.strip_prefix("video/").is_some_and(token);
    if text.len() <= MAX_CONTENT_TYPE && (is_video || text == "application/octet-stream") {
        return Ok(text);
    }
    Err("must be video/* or application/octet-stream")
}

impl Desk {
    /// Creates the clip, or finds the one that the same request created before.
    async fn create_once(
        &self,
        caller: &Identity,
        wanted: Wanted,
        key: &str,
        fingerprint: String,
    ) -> Result<Video, Problem> {
        if let Some(before) = self
            .context
            .catalog
            .remembered(caller.user, key)
            .await
            .map_err(anyhow::Error::from)?
        {
            return self.created_before(&before, &fingerprint).await;
        }
        match self.create(caller, wanted, Some((key, fingerprint.clone()))).await {
            Err(problem) if problem.code() == "repeated" => {}
            other => return other,
        }
        let before = self
            .context
            .catalog
            .remembered(caller.user, key)
            .await
            .map_err(anyhow::Error::from)?;
        let before = before.ok_or_else(|| anyhow::anyhow!("an idempotency key vanished"))?;
        self.created_before(&before, &fingerprint).await
    }

    async fn created_before(&self, before: &Remembered, fingerprint: &str) -> Result<Video, Problem> {
        if before.fingerprint != fingerprint {
            let title = "This Idempotency-Key was used for another request.";
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                title,
            ));
        }
        let video = self
            .context
            .catalog
            .video(before.video_id)
            .await
            .map_err(anyhow::Error::from)?;
        video.ok_or_else(Problem::not_found)
    }

    async fn create(
        &self,
        caller: &Identity,
        wanted: Wanted,
        idempotency: Option<(&str, String)>,
    ) -> Result<Video, Problem> {
        let id = VideoId::random();
        let upload = self.upload(id, &wanted).await?;
        let video = self.video(id, caller, wanted, upload);
        let memory = idempotency.map(|(key, fingerprint)| {
            (
                key,
                Remembered {
                    fingerprint,
                    video_id: id,
                },
            )
        });
        match self.context.catalog.create_video(&video, memory).await {
            Ok(()) => {
                tracing::info!(video.id = %id, bytes = video.upload.size, "a clip waits for its bytes");
                Ok(video)
            }
            Err(error) if error.is_condition() => {
                self.context.drop_upload(&video).await?;
                Err(Problem::conflict("repeated", "The same request is being answered."))
            }
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }

    async fn upload(&self, id: VideoId, wanted: &Wanted) -> Result<Upload, Problem> {
        let key = keys::upload(id);
        let multipart = match self.settings.parts(wanted.size) {
            None => None,
            Some((part_size, part_count)) => {
                let created = self.context.objects.create_multipart(&key, &wanted.content_type).await;
                let upload_id = created.map_err(anyhow::Error::from)?;
                Some(Multipart {
                    upload_id,
                    part_size,
                    part_count,
                })
            }
        };
        Ok(Upload {
            key,
            filename: wanted.filename.clone(),
            content_type: wanted.content_type.clone(),
            size: wanted.size,
            multipart,
        })
    }

    fn video(&self, id: VideoId, caller: &Identity, wanted: Wanted, upload: Upload) -> Video {
        let now = self.context.clock.now();
        Video {
            id,
            owner: caller.user,
            status: Status::Uploading,
            generation: 1,
            revision: 1,
            title: wanted.title,
            description: wanted.description,
            tags: wanted.tags,
            visibility: wanted.visibility,
            created_at: now,
            published_at: None,
            upload,
            upload_until: now + self.settings.upload_expiry,
            source_etag: None,
            duration: None,
            width: None,
            height: None,
            warnings: Vec::new(),
            error: None,
            trace: trace::current(),
            deleted_at: None,
        }
    }

    async fn target(&self, video: &Video, address: &StoreAddress) -> Result<Target, Problem> {
        let upload = &video.upload;
        if let Some(multipart) = &upload.multipart {
            let Multipart {
                part_size, part_count, ..
            } = *multipart;
            return Ok(Target::Multipart { part_size, part_count });
        }
        let (now, valid) = (self.context.clock.now(), self.settings.upload_expiry);
        let signer = self.signer(address);
        let signed = signer
            .put(&upload.key, upload.size, &upload.content_type, now, valid)
            .await;
        let signed = signed.map_err(anyhow::Error::from)?;
        Ok(Target::Put {
            headers: headers(&signed),
            url: signed.url,
            expires_at: now + valid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_videos_and_unnamed_bytes_are_taken() {
        for good in [
            "video/mp4",
            "VIDEO/QuickTime",
            "application/octet-stream",
            "video/x-matroska",
        ] {
            assert!(content_type(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "text/html",
            "video/",
            "video/mp4; codecs=x",
            "video/mp4\r\nx: y",
            "image/png",
        ] {
            assert!(content_type(bad).is_err(), "{bad}");
        }
    }
}
