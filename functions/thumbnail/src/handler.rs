//! One decode for the poster, one for the storyboard, one for the preview.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_catalog::results::Thumbnails;
use toktik_events::{Function, Message};
use toktik_media::images::{self, Moment};
use toktik_media::manifest::{Object, Poster, Storyboard};
use toktik_media::plan::Plan;
use toktik_media::settings::Settings as MediaSettings;
use toktik_runtime::step::{self, Gauge, Outcome};
use toktik_runtime::workshop::{LATER, SOURCE, Workshop, Workshops, corrupt, is_damage};
use toktik_runtime::{Context, Failure};

const TIME: Duration = Duration::from_mins(5);

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub(crate) media: MediaSettings,
    #[command(flatten)]
    pub(crate) pictures: Pictures,
}

#[derive(Args, Clone, Debug)]
pub struct Pictures {
    /// Which frame becomes the poster
    #[arg(long, env = "TOKTIK_POSTER", value_enum, default_value = "representative")]
    pub poster: PosterChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PosterChoice {
    /// One that looks like the others of the first seconds
    Representative,
    /// The very first
    First,
}

pub(crate) struct Handler {
    context: Context,
    workshops: Workshops,
    moment: Moment,
}

#[async_trait]
impl toktik_runtime::Handler for Handler {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(step) = step::asked(Function::Thumbnail, message) else {
            return Ok(());
        };
        let work = |lease, gauge| self.work(lease, gauge, cancel);
        self.context
            .complete_step(Function::Thumbnail, &step, cancel, work)
            .await
    }
}

/// The workshop with everything that making one picture needs to know.
struct Desk<'a> {
    context: &'a Context,
    workshop: &'a Workshop,
    plan: &'a Plan,
    /// Where this attempt's objects go.
    prefix: String,
}

impl Handler {
    pub(crate) fn new(settings: &Settings, context: &Context) -> anyhow::Result<Self> {
        let moment = match settings.pictures.poster {
            PosterChoice::Representative => Moment::Representative,
            PosterChoice::First => Moment::First,
        };
        let workshops = Workshops::new(&settings.media)?;
        Ok(Self {
            context: context.clone(),
            workshops,
            moment,
        })
    }

    async fn work(&self, lease: Lease, gauge: Gauge, cancel: &CancellationToken) -> Result<Outcome, Failure> {
        let (video, plan) = self.context.planned(&lease).await?;
        let workshop = self.workshops.open(TIME, cancel)?.behind(LATER);
        workshop.fetch_source(&self.context, &video).await?;
        let prefix = step::prefix(&lease);
        let desk = Desk {
            context: &self.context,
            workshop: &workshop,
            plan: &plan,
            prefix,
        };
        let Some(poster) = desk.poster(self.moment).await? else {
            return Ok(Outcome::Refused(corrupt()));
        };
        gauge.set(0.3);
        let mut warnings = Vec::new();
        let storyboard = optional(desk.storyboard().await, "storyboard_failed", &mut warnings)?;
        gauge.set(0.6);
        let preview = optional(desk.preview().await, "preview_failed", &mut warnings)?;
        let made = Thumbnails {
            poster,
            storyboard,
            preview,
            warnings,
        };
        Ok(Outcome::Made(
            serde_json::to_value(made).context("recording what was made")?,
        ))
    }
}

/// What cannot be made becomes a warning; what could be made another time is tried again.
fn optional<T>(made: Result<T, Failure>, warning: &str, warnings: &mut Vec<String>) -> Result<Option<T>, Failure> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(Failure::GiveUp { reason, .. }) => {
            tracing::warn!(warning, reason = format!("{reason:#}"), "going on without");
            warnings.push(warning.to_owned());
            Ok(None)
        }
        Err(retry) => Err(retry),
    }
}

impl Desk<'_> {
    /// None when not one frame can be decoded. Damage elsewhere is for transcode to judge: what was written will do.
    async fn poster(&self, moment: Moment) -> Result<Option<Poster>, Failure> {
        for moment in [moment, Moment::First] {
            let run = self
                .workshop
                .ffmpeg(images::poster_args(self.plan, moment, SOURCE), |_| ());
            match run.await {
                Err(error) if !is_damage(&error) => return Err(error.into()),
                _ if self.has(images::POSTER_JPEG) && self.has(images::POSTER_WEBP) => {
                    return self.store_poster().await.map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether ffmpeg has written this. Where no picture reaches it, it ends well and writes nothing.
    fn has(&self, name: &str) -> bool {
        std::fs::metadata(self.workshop.file(name)).is_ok_and(|file| file.len() > 0)
    }

    async fn store_poster(&self) -> Result<Poster, Failure> {
        Ok(Poster {
            jpeg: self.store(images::POSTER_JPEG, "image/jpeg").await?,
            webp: self.store(images::POSTER_WEBP, "image/webp").await?,
        })
    }

    async fn storyboard(&self) -> Result<Storyboard, Failure> {
        let sheet = images::sheet(self.plan);
        self.workshop
            .ffmpeg(images::storyboard_args(self.plan, &sheet, SOURCE), |_| ())
            .await?;
        Ok(Storyboard {
            sprite: self.store(images::STORYBOARD, "image/jpeg").await?,
            tile_width: sheet.tile_width,
            tile_height: sheet.tile_height,
            columns: sheet.columns,
            tiles: sheet.tiles,
            interval: sheet.interval,
        })
    }

    async fn preview(&self) -> Result<Object, Failure> {
        self.workshop
            .ffmpeg(images::preview_args(self.plan, SOURCE), |_| ())
            .await?;
        self.store(images::PREVIEW, "image/webp").await
    }

    async fn store(&self, name: &str, content_type: &str) -> Result<Object, Failure> {
        if !self.has(name) {
            return Err(Failure::give_up("unexpected_output", anyhow!("ffmpeg wrote no {name}")));
        }
        let key = format!("{}{name}", self.prefix);
        let file = self.workshop.file(name);
        let size = self.context.objects.upload_file(&key, &file, content_type).await;
        Ok(Object {
            key,
            size: size.map_err(anyhow::Error::from)?,
        })
    }
}
