//! One run of ffmpeg, one object.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::Lease;
use toktik_catalog::results::Sound;
use toktik_events::{Function, Message};
use toktik_media::encode;
use toktik_media::manifest::Object;
use toktik_media::settings::Settings;
use toktik_runtime::step::{self, Gauge, Outcome};
use toktik_runtime::workshop::{LATER, SOURCE, Workshops};
use toktik_runtime::{Context, Failure};

const TIME: Duration = Duration::from_mins(5);

pub(crate) struct Handler {
    context: Context,
    workshops: Workshops,
}

#[async_trait]
impl toktik_runtime::Handler for Handler {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(step) = step::asked(Function::Audio, message) else {
            return Ok(());
        };
        let work = |lease, gauge| self.work(lease, gauge, cancel);
        self.context.complete_step(Function::Audio, &step, cancel, work).await
    }
}

impl Handler {
    pub(crate) fn new(settings: &Settings, context: &Context) -> anyhow::Result<Self> {
        let workshops = Workshops::new(settings)?;
        Ok(Self {
            context: context.clone(),
            workshops,
        })
    }

    async fn work(&self, lease: Lease, gauge: Gauge, cancel: &CancellationToken) -> Result<Outcome, Failure> {
        let made = match self.mp3(&lease, &gauge, cancel).await {
            Ok(mp3) => Sound {
                mp3,
                warnings: Vec::new(),
            },
            Err(Failure::GiveUp { reason, .. }) => {
                tracing::warn!(reason = format!("{reason:#}"), "going on without an MP3");
                Sound {
                    mp3: None,
                    warnings: vec!["audio_failed".to_owned()],
                }
            }
            Err(retry) => return Err(retry),
        };
        Ok(Outcome::Made(
            serde_json::to_value(made).context("recording what was made")?,
        ))
    }

    async fn mp3(&self, lease: &Lease, gauge: &Gauge, cancel: &CancellationToken) -> Result<Option<Object>, Failure> {
        let (video, plan) = self.context.planned(lease).await?;
        let channel = self
            .context
            .catalog
            .user(video.owner)
            .await?
            .map(|user| user.username.clone());
        let title = video.title.to_string();
        let runs = encode::mp3_runs(&plan, SOURCE, &title, &channel.unwrap_or_default());
        if runs.is_empty() {
            return Ok(None);
        }
        let workshop = self.workshops.open(TIME, cancel)?.behind(LATER);
        workshop.fetch_source(&self.context, &video).await?;
        let duration = plan.duration();
        workshop
            .ffmpeg_each(runs, |progress| gauge.set(progress.seconds.unwrap_or(0.0) / duration))
            .await?;
        let prefix = step::prefix(lease);
        let key = format!("{prefix}{}", encode::MP3);
        let size = self
            .context
            .objects
            .upload_file(&key, &workshop.file(encode::MP3), "audio/mpeg")
            .await;
        Ok(Some(Object {
            key,
            size: size.map_err(anyhow::Error::from)?,
        }))
    }
}
