//! One decode for the poster, one for storyboard and preview.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Lease, OVERVIEW};
use toktik_catalog::results::{self, Overview, Still};
use toktik_events::payload::Step;
use toktik_events::{Function, Message};
use toktik_media::images::{self, Moment};
use toktik_media::manifest::{Object, Poster, Rendition, Storyboard};
use toktik_media::plan::{Plan, Rung};
use toktik_media::settings::Settings as MediaSettings;
use toktik_runtime::step::{self, Gauge, Outcome};
use toktik_runtime::workshop::{LATER, SOURCE, Workshop, Workshops, corrupt, is_damage};
use toktik_runtime::{Context, Failure};

const TIME: Duration = Duration::from_mins(5);
/// The rungs that storyboard and preview are made of, in the workshop.
const RUNGS: [&str; 2] = ["storyboard.mp4", "preview.mp4"];

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
        if step.unit == OVERVIEW {
            self.overview(&step, cancel).await
        } else {
            self.poster(&step, cancel).await
        }
    }
}

/// The workshop with everything that making a picture needs to know.
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

    /// Of the source, as soon as it is accepted.
    async fn poster(&self, step: &Step, cancel: &CancellationToken) -> Result<(), Failure> {
        let work = |lease: Lease, _: Gauge| async move {
            let (video, plan) = self.context.planned(&lease).await?;
            let workshop = self.workshops.open(TIME, cancel)?.behind(LATER);
            workshop.fetch_source(&self.context, &video).await?;
            let desk = Desk::new(&self.context, &workshop, &plan, &lease);
            match desk.poster(self.moment).await? {
                Some(poster) => made(&Still { poster }),
                None => Ok(Outcome::Refused(corrupt())),
            }
        };
        self.context
            .complete_step(Function::Thumbnail, step, cancel, work)
            .await
    }

    /// Of two rungs, as soon as they are whole: package looks then, and asks. Whoever asks earlier asks in vain.
    async fn overview(&self, step: &Step, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(rungs) = self.rungs(step).await? else {
            return Ok(());
        };
        let rungs = &rungs;
        let work = |lease: Lease, _: Gauge| async move {
            let (_, plan) = self.context.planned(&lease).await?;
            let workshop = self.workshops.open(TIME, cancel)?.behind(LATER);
            let desk = Desk::new(&self.context, &workshop, &plan, &lease);
            made(&optional(desk.overview(rungs).await)?)
        };
        self.context
            .complete_step(Function::Thumbnail, step, cancel, work)
            .await
    }

    async fn rungs(&self, step: &Step) -> Result<Option<[Rendition; 2]>, Failure> {
        let (id, generation) = (step.video_id, step.generation);
        let Some(plan) = self.context.catalog.plan(id, generation).await? else {
            return Ok(None);
        };
        let steps = self.context.catalog.steps(id, generation).await?;
        let whole = |rung: &Rung| results::made(&plan, &steps, &rung.name).filter(|made| made.is_whole);
        let rungs = plan.small_rungs().map(|rungs| rungs.map(whole));
        let Some([Some(lowest), Some(good)]) = rungs else {
            return Ok(None);
        };
        Ok(Some([lowest.rendition, good.rendition]))
    }
}

fn made(result: &impl Serialize) -> Result<Outcome, Failure> {
    Ok(Outcome::Made(
        serde_json::to_value(result).context("recording what was made")?,
    ))
}

/// What cannot be made becomes a warning; what could be made another time is tried again.
fn optional(made: Result<Overview, Failure>) -> Result<Overview, Failure> {
    match made {
        Err(Failure::GiveUp { reason, .. }) => {
            tracing::warn!(
                reason = format!("{reason:#}"),
                "going on without storyboard and preview"
            );
            Ok(Overview {
                storyboard: None,
                preview: None,
                warnings: vec!["storyboard_failed".to_owned(), "preview_failed".to_owned()],
            })
        }
        made => made,
    }
}

impl<'a> Desk<'a> {
    fn new(context: &'a Context, workshop: &'a Workshop, plan: &'a Plan, lease: &Lease) -> Self {
        Self {
            context,
            workshop,
            plan,
            prefix: step::prefix(lease),
        }
    }

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

    async fn overview(&self, rungs: &[Rendition; 2]) -> Result<Overview, Failure> {
        let sheet = images::sheet(self.plan);
        let objects = &self.context.objects;
        for (rung, name) in rungs.iter().zip(RUNGS) {
            self.workshop.fetch_rendition(objects, rung, name).await?;
        }
        self.workshop
            .ffmpeg(images::overview_args(self.plan, &sheet, RUNGS), |_| ())
            .await?;
        let storyboard = Storyboard {
            sprite: self.store(images::STORYBOARD, "image/jpeg").await?,
            tile_width: sheet.tile_width,
            tile_height: sheet.tile_height,
            columns: sheet.columns,
            tiles: sheet.tiles,
            interval: sheet.interval,
        };
        Ok(Overview {
            storyboard: Some(storyboard),
            preview: Some(self.store(images::PREVIEW, "image/webp").await?),
            warnings: Vec::new(),
        })
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
