//! A clip as the API shows it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use serde::Serialize;
use toktik_catalog::ledger::StepItem;
use toktik_catalog::progress;
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::{self, Counted, Made, Status, Video};
use toktik_events::VideoId;
use toktik_identity::UserId;
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

impl Desk {
    /// One clip in the state in which somebody else left it.
    pub(crate) async fn show(&self, video: Video, service: &ServiceAddress) -> Result<Clip, Problem> {
        let counts = self
            .context
            .catalog
            .counts(video.id)
            .await
            .map_err(anyhow::Error::from)?;
        let mut shown = self.show_all(&[Counted { video, counts }], service).await?;
        shown.pop().ok_or_else(Problem::not_found)
    }

    /// What is ready takes no further reads, as long as its owner's name is remembered.
    pub(crate) async fn show_all(&self, clips: &[Counted], service: &ServiceAddress) -> Result<Vec<Clip>, Problem> {
        let (catalog, now) = (&self.context.catalog, self.context.clock.now());
        let owners: Vec<UserId> = clips.iter().map(|clip| clip.video.owner).collect();
        let names = self
            .names
            .of(&owners, catalog, now)
            .await
            .map_err(anyhow::Error::from)?;
        // Asked for these alone: a read takes kilobytes before it has begun, and most clips need none.
        let under_way = clips.iter().filter(|clip| is_under_way(&clip.video));
        let steps = try_join_all(under_way.map(|clip| self.steps(&clip.video))).await;
        let steps: Steps = steps.map_err(anyhow::Error::from)?.into_iter().collect();
        Ok(clips.iter().map(|clip| show(clip, &steps, &names, service)).collect())
    }

    async fn steps(&self, video: &Video) -> Result<(VideoId, Vec<StepItem>), toktik_catalog::Error> {
        let steps = self.context.catalog.steps(video.id, video.generation).await?;
        Ok((video.id, steps))
    }
}

/// What is being done, by clip.
type Steps = HashMap<VideoId, Vec<StepItem>>;

/// Once its fate is decided, nobody could see any more what was being done.
fn is_under_way(video: &Video) -> bool {
    matches!(video.status, Status::Processing | Status::Playable)
}

fn show(clip: &Counted, steps: &Steps, names: &HashMap<UserId, String>, service: &ServiceAddress) -> Clip {
    let Counted { video, counts } = clip;
    let steps = steps.get(&video.id).map_or(&[][..], Vec::as_slice);
    let nothing = Made::default();
    let made = if video.status.is_watchable() {
        &video.made
    } else {
        &nothing
    };
    Clip {
        id: video.id.to_string(),
        status: video.status.as_str().to_owned(),
        progress: progress(video.status, steps),
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
        renditions: made.renditions.iter().map(Rendition::from).collect(),
        counts: Counts {
            views: counts.views,
            likes: counts.likes,
            comments: counts.comments,
        },
        urls: urls(video, made, service),
        warnings: video.warnings.clone(),
        error: video.error.as_ref().map(|error| Trouble {
            code: error.code.clone(),
            message: error.message.clone(),
        }),
    }
}

impl From<&videos::Rendition> for Rendition {
    fn from(made: &videos::Rendition) -> Self {
        Self {
            height: made.height,
            width: made.width,
            bandwidth: made.bandwidth,
            codecs: made.codecs.clone(),
        }
    }
}

fn urls(video: &Video, made: &Made, service: &ServiceAddress) -> Urls {
    let url = |name: &str| format!("{}/api/v1/videos/{}/{name}", service.0, video.id);
    Urls {
        playlist: url("playlist.m3u8"),
        poster: url("poster.jpg"),
        storyboard: url("storyboard.vtt"),
        preview: url("preview.webp"),
        audio: made.mp3.then(|| url("audio.mp3")),
        download: url("download.mp4"),
    }
}
