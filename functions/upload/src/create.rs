//! `POST /videos`: a clip's metadata come in, the way for its bytes goes out.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use toktik_catalog::text::{Description, Tags, Title, Visibility};
use toktik_catalog::videos::{Made, Multipart, Remembered, Status, Upload, Video};
use toktik_events::VideoId;
use toktik_identity::Identity;
use toktik_objects::keys;
use toktik_runtime::http::{Caller, Check, Field, Input, Problem, StoreAddress};
use toktik_runtime::trace;
use utoipa::ToSchema;

use crate::Desk;
use crate::view::{Created, CreatedVideo, Target, headers};

const MAX_FILENAME: usize = 255;
const MAX_CONTENT_TYPE: usize = 100;
/// Two requests with one Idempotency-Key met; nobody outside sees this.
const REPEATED: &str = "repeated";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClip {
    /// One line.
    #[schema(value_type = String, required = true, min_length = 1, max_length = 100,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$")]
    #[serde(default)]
    title: Field,
    #[schema(value_type = Option<String>, max_length = 5000)]
    #[serde(default)]
    description: Field,
    /// Up to 10, each up to 30 letters, digits, `-` or `_`.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(default)]
    tags: Field,
    /// `public`, `unlisted` or `private`.
    #[schema(value_type = Option<String>, default = "public", pattern = "^(public|unlisted|private)$")]
    #[serde(default)]
    visibility: Field,
    /// As the person's file is called; kept for display only.
    #[schema(value_type = String, required = true, min_length = 1, max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$")]
    #[serde(default)]
    filename: Field,
    /// Bytes; exactly so many have to be uploaded.
    #[schema(value_type = u64, required = true, minimum = 1)]
    #[serde(default)]
    size: Field,
    /// `video/*` or `application/octet-stream`; exactly this has to be sent with the bytes.
    #[schema(value_type = String, required = true, max_length = 100, example = "video/mp4",
        pattern = "^(video/[A-Za-z0-9!#$&^_.+-]+(; *[!-~]+)?|application/octet-stream)$")]
    #[serde(default)]
    content_type: Field,
}

/// A request whose fields are right.
#[derive(Serialize)]
struct Wanted {
    title: Title,
    description: Description,
    tags: Tags,
    visibility: Visibility,
    filename: Filename,
    size: u64,
    content_type: ContentType,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Filename(String);

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ContentType(String);

/// Begin an upload
///
/// With an `Idempotency-Key`, a repeat within 24 hours gets the same clip and a fresh URL.
#[utoipa::path(
    post,
    operation_id = "create_video",
    path = "/api/v1/videos",
    tag = "upload",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "Makes a repeat harmless for 24 h")),
    request_body = NewClip,
    responses(
        (status = 201, body = Created, description = "The clip waits for its bytes"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "`malformed`"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "`unauthorized`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`video_deleted`: the clip that this Idempotency-Key made"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "`too_large`"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "`unsupported_media_type`"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "`invalid`, or `idempotency_key_reused`"),
    )
)]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    Caller(caller): Caller,
    address: StoreAddress,
    headers: HeaderMap,
    Input(request): Input<NewClip>,
) -> Result<(StatusCode, Json<Created>), Problem> {
    let key = toktik_runtime::http::idempotency_key(&headers)?;
    let wanted = request.check(desk.settings.max_upload_bytes)?;
    desk.require_account(&caller).await?;
    let video = match key {
        Some(key) => desk.create_once(&caller, wanted, &key).await?,
        None => desk.create(&caller, wanted, None).await?,
    };
    let upload = desk.target(&video, &address).await?;
    let created = Created {
        video: CreatedVideo::from(&video),
        upload,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

impl NewClip {
    fn check(self, max_bytes: u64) -> Result<Wanted, Problem> {
        let mut check = Check::new();
        let title = self.title.required("title", &mut check);
        let description = self.description.or_null().optional("description", &mut check);
        let tags = tags(self.tags, &mut check);
        let visibility = visibility(self.visibility, &mut check);
        let filename = self.filename.required("filename", &mut check);
        let size = self.size.required_as("size", "must be a number of bytes", &mut check);
        if size == Some(0) {
            check.refuse("size", "empty", "The file is empty: there is nothing in it to play.");
        }
        let content_type = self.content_type.required("content_type", &mut check);
        check.finish()?;
        let (Some(title), Some(filename), Some(size), Some(content_type)) = (title, filename, size, content_type)
        else {
            return Err(Problem::malformed("A field is missing."));
        };
        if size > max_bytes {
            let title = format!("The file has {size} bytes; at most {max_bytes} are taken.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title));
        }
        Ok(Wanted {
            title,
            description: description.unwrap_or_default(),
            tags: tags.unwrap_or_default(),
            visibility: visibility.unwrap_or_default(),
            filename,
            size,
            content_type,
        })
    }
}

fn tags(field: Field, check: &mut Check) -> Option<Tags> {
    let tags: Vec<String> = field.or_null().optional_as("tags", "must be a list of texts", check)?;
    check.field("tags", Tags::parse(&tags))
}

fn visibility(field: Field, check: &mut Check) -> Option<Visibility> {
    let expected = "must be public, unlisted or private";
    field.or_null().optional_as("visibility", expected, check)
}

impl FromStr for Filename {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_FILENAME || text.chars().any(char::is_control) {
            return Err("must be 1 to 255 printable characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ContentType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim().to_ascii_lowercase();
        let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(of_token);
        // Browsers name the codecs of what they recorded: `video/webm;codecs=vp9`.
        let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
        let printable = parameters.bytes().all(|b| (b' '..=b'~').contains(&b));
        let is_video = printable && essence.strip_prefix("video/").is_some_and(is_token);
        if text.len() <= MAX_CONTENT_TYPE && (is_video || text == "application/octet-stream") {
            return Ok(Self(text));
        }
        Err("must be video/* or application/octet-stream")
    }
}

impl Desk {
    /// A token outlives its account by minutes; a clip made with it would belong to nobody.
    async fn require_account(&self, caller: &Identity) -> Result<(), Problem> {
        let user = self
            .context
            .catalog
            .user(caller.user)
            .await
            .map_err(anyhow::Error::from)?;
        let gone = || Problem::unauthorized("This account was deleted.");
        user.map(drop).ok_or_else(gone)
    }

    /// Creates the clip, or finds the one that the same request created before.
    async fn create_once(&self, caller: &Identity, wanted: Wanted, key: &str) -> Result<Video, Problem> {
        let fingerprint = toktik_runtime::http::fingerprint(&wanted);
        if let Some(before) = self.remembered(caller, key).await? {
            return self.created_before(&before, &fingerprint).await;
        }
        match self.create(caller, wanted, Some((key, fingerprint.clone()))).await {
            Err(problem) if problem.code() == REPEATED => {}
            other => return other,
        }
        let before = self.remembered(caller, key).await?;
        let before = before.ok_or_else(|| anyhow::anyhow!("an idempotency key vanished"))?;
        self.created_before(&before, &fingerprint).await
    }

    async fn remembered(&self, caller: &Identity, key: &str) -> Result<Option<Remembered>, Problem> {
        let now = self.context.clock.now();
        let found = self.context.catalog.remembered(caller.user, key, now).await;
        Ok(found.map_err(anyhow::Error::from)?)
    }

    async fn created_before(&self, before: &Remembered, fingerprint: &str) -> Result<Video, Problem> {
        if before.fingerprint != fingerprint {
            let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
            return Err(Problem::new(
                status,
                code,
                "This Idempotency-Key was used for another request.",
            ));
        }
        let catalog = &self.context.catalog;
        let video = catalog.video(before.video_id).await.map_err(anyhow::Error::from)?;
        let video = video.filter(|video| video.status != Status::Deleted);
        let title = "The clip that this Idempotency-Key made is deleted. Use a new key for another one.";
        let video = video.ok_or_else(|| Problem::conflict("video_deleted", title))?;
        // Its URL is signed anew, so that the bytes may come as long as for a new one.
        let until = self.context.clock.now() + self.settings.upload_expiry;
        catalog
            .extend_upload(video.id, until)
            .await
            .map_err(anyhow::Error::from)?;
        Ok(video)
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
        let memory = idempotency.map(|(key, fingerprint)| (key, Remembered::new(fingerprint, id, video.created_at)));
        match self.context.catalog.create_video(&video, memory).await {
            Ok(()) => {
                tracing::info!(video.id = %id, bytes = video.upload.size, "a clip waits for its bytes");
                Ok(video)
            }
            Err(error) if error.is_condition() => {
                // Refused also when the answer to a first try was lost: then the clip is there, and waits for these parts.
                if let Some(video) = self.context.catalog.video(id).await.map_err(anyhow::Error::from)? {
                    return Ok(video);
                }
                self.context.drop_upload(&video).await?;
                Err(Problem::conflict(REPEATED, "The same request is being answered."))
            }
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }

    async fn upload(&self, id: VideoId, wanted: &Wanted) -> Result<Upload, Problem> {
        let key = keys::upload(id);
        let multipart = match self.settings.parts(wanted.size) {
            None => None,
            Some((part_size, part_count)) => {
                let created = self
                    .context
                    .objects
                    .create_multipart(&key, &wanted.content_type.0)
                    .await;
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
            filename: wanted.filename.0.clone(),
            content_type: wanted.content_type.0.clone(),
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
            made: Made::default(),
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
            "video/webm;codecs=vp9,opus",
        ] {
            assert!(good.parse::<ContentType>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "text/html",
            "video/",
            "video/mp4\r\nx: y",
            "video/mp4;\r\nx: y",
            "image/png",
        ] {
            assert!(bad.parse::<ContentType>().is_err(), "{bad}");
        }
    }
}
