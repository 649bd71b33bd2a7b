//! A clip as the API shows it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use serde::Serialize;
use toktik_catalog::ledger::StepItem;
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::{Status, Video};
use toktik_catalog::{counters, progress};
use toktik_identity::UserId;
use toktik_media::manifest::Manifest;
use toktik_runtime::http::{Problem, ServiceAddress};
use utoipa::ToSchema;

use crate::Desk;

/// A clip.
#[derive(Serialize, ToSchema)]
pub(crate) struct Clip {
    id: String,
    /// `uploading`, `processing`, `playable`, `ready`, `rejected` or `failed`.
    status: String,
    /// 0 to 1.
    progress: f64,
    title: String,
    description: String,
    tags: Vec<String>,
    /// `public`, `unlisted` or `private`.
    #[schema(value_type = String)]
    visibility: Visibility,
    owner: Owner,
    created_at: DateTime<Utc>,
    /// Seconds; null until it is known.
    duration: Option<f64>,
    /// Pixels, as displayed; null until they are known.
    width: Option<u32>,
    height: Option<u32>,
    /// Highest first.
    renditions: Vec<Rendition>,
    counts: Counts,
    urls: Urls,
    /// What could not be made, such as `preview_failed`; the clip plays all the same.
    warnings: Vec<String>,
    /// Why it was refused or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

#[derive(Serialize, ToSchema)]
struct Owner {
    id: String,
    username: String,
}

#[derive(Serialize, ToSchema)]
struct Rendition {
    height: u32,
    width: u32,
    /// Peak with sound, bit/s: planned while the clip is being made, then measured.
    bandwidth: u64,
    /// RFC 6381.
    codecs: String,
}

#[derive(Serialize, ToSchema)]
struct Counts {
    views: u64,
    likes: u64,
    comments: u64,
}

/// What is not made yet answers 404 `not_ready`.
#[derive(Serialize, ToSchema)]
struct Urls {
    playlist: String,
    poster: String,
    storyboard: String,
    preview: String,
    /// Missing for a silent clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<String>,
    download: String,
}

#[derive(Serialize, ToSchema)]
struct Trouble {
    code: String,
    message: String,
}

/// What a clip's view is made of, beside the clip itself.
struct Material {
    manifest: Manifest,
    steps: Vec<StepItem>,
    counts: counters::Counts,
}

impl Desk {
    pub(crate) async fn show(&self, video: &Video, service: &ServiceAddress) -> Result<Clip, Problem> {
        let mut shown = self.show_all(std::slice::from_ref(video), service).await?;
        shown.pop().ok_or_else(Problem::not_found)
    }

    pub(crate) async fn show_all(&self, videos: &[Video], service: &ServiceAddress) -> Result<Vec<Clip>, Problem> {
        let owners: Vec<UserId> = videos.iter().map(|video| video.owner).collect();
        let names = self
            .context
            .catalog
            .usernames(&owners)
            .await
            .map_err(anyhow::Error::from)?;
        let materials = try_join_all(videos.iter().map(|video| self.material(video))).await?;
        let pairs = videos.iter().zip(materials);
        Ok(pairs
            .map(|(video, material)| clip(video, material, &names, service))
            .collect())
    }

    async fn material(&self, video: &Video) -> Result<Material, Problem> {
        let catalog = &self.context.catalog;
        let found = async {
            let item = catalog.manifest(video.id, video.generation).await?.unwrap_or_default();
            let under_way = matches!(video.status, Status::Processing | Status::Playable);
            let steps = if under_way {
                catalog.steps(video.id, video.generation).await?
            } else {
                Vec::new()
            };
            let counts = catalog.counts(video.id).await?;
            Ok::<_, toktik_catalog::Error>(Material {
                manifest: item.manifest,
                steps,
                counts,
            })
        };
        Ok(found.await.map_err(anyhow::Error::from)?)
    }
}

fn clip(video: &Video, material: Material, names: &HashMap<UserId, String>, service: &ServiceAddress) -> Clip {
    let Material {
        manifest,
        steps,
        counts,
    } = material;
    let manifest = if video.status.is_watchable() {
        manifest
    } else {
        Manifest::default()
    };
    Clip {
        id: video.id.to_string(),
        status: video.status.as_str().to_owned(),
        progress: progress(video.status, &steps),
        title: video.title.to_string(),
        description: video.description.to_string(),
        tags: video.tags.as_slice().to_vec(),
        visibility: video.visibility,
        owner: Owner {
            id: video.owner.to_string(),
            username: names.get(&video.owner).cloned().unwrap_or_default(),
        },
        created_at: video.created_at,
        duration: video.duration,
        width: video.width,
        height: video.height,
        renditions: renditions(&manifest),
        counts: Counts {
            views: counts.views,
            likes: counts.likes,
            comments: counts.comments,
        },
        urls: urls(video, &manifest, service),
        warnings: video.warnings.clone(),
        error: video.error.as_ref().map(|error| Trouble {
            code: error.code.clone(),
            message: error.message.clone(),
        }),
    }
}

fn renditions(manifest: &Manifest) -> Vec<Rendition> {
    let rendition = |variant: &toktik_media::manifest::Variant| {
        let sound = manifest.sound_of(variant).map(|sound| sound.rendition.codecs.as_str());
        let picture = variant.rendition.codecs.as_str();
        let codecs: Vec<&str> = std::iter::once(picture).chain(sound).collect();
        Rendition {
            height: variant.height,
            width: variant.width,
            bandwidth: manifest.bandwidth(variant),
            codecs: codecs.join(","),
        }
    };
    manifest.variants.iter().map(rendition).collect()
}

fn urls(video: &Video, manifest: &Manifest, service: &ServiceAddress) -> Urls {
    let url = |name: &str| format!("{}/api/v1/videos/{}/{name}", service.0, video.id);
    Urls {
        playlist: url("playlist.m3u8"),
        poster: url("poster.jpg"),
        storyboard: url("storyboard.vtt"),
        preview: url("preview.webp"),
        audio: manifest.mp3.as_ref().map(|_| url("audio.mp3")),
        download: url("download.mp4"),
    }
}
