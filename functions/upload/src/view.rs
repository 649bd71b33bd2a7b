//! What a client is told about its upload.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::Video;
use toktik_objects::SignedRequest;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct Created {
    pub(crate) video: CreatedVideo,
    pub(crate) upload: Target,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedVideo {
    id: String,
    status: String,
    title: String,
    description: String,
    tags: Vec<String>,
    #[schema(value_type = String)]
    visibility: Visibility,
    created_at: DateTime<Utc>,
}

/// How to send the bytes.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Target {
    /// In one piece: PUT them to `url` with these headers.
    Put {
        url: String,
        headers: BTreeMap<String, String>,
        expires_at: DateTime<Utc>,
    },
    /// In parts, whose URLs `POST /videos/{id}/upload/parts` signs. All but the last are `part_size` bytes.
    Multipart { part_size: u64, part_count: u32 },
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SignedPart {
    pub(crate) part_number: u32,
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ArrivedPart {
    pub(crate) part_number: u32,
    /// Bytes.
    pub(crate) size: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Parts<T> {
    pub(crate) parts: Vec<T>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    pub(crate) video: CreatedVideo,
}

impl From<&Video> for CreatedVideo {
    fn from(video: &Video) -> Self {
        Self {
            id: video.id.to_string(),
            status: video.status.as_str().to_owned(),
            title: video.title.to_string(),
            description: video.description.to_string(),
            tags: video.tags.as_slice().to_vec(),
            visibility: video.visibility,
            created_at: video.created_at,
        }
    }
}

pub(crate) fn headers(signed: &SignedRequest) -> BTreeMap<String, String> {
    signed.headers.iter().cloned().collect()
}
