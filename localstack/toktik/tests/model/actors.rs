//! Who acts on a clip: the functions as a queue worker runs them, and the clip's owner.
//!
//! Everything here is the real code but for what ffmpeg does: looking at the bytes, making a unit, a picture or a sound,
//! joining the download. Instead of ffmpeg the wire is asked how the work came out.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_s3::config::{RequestChecksumCalculation, StalledStreamProtectionConfig};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Lease, OVERVIEW};
use toktik_catalog::text::Visibility;
use toktik_catalog::videos::{Made, Status, Upload, Video};
use toktik_dead_letter::DeadLetter;
use toktik_events::payload::{Change, Clip};
use toktik_events::{Function, Message, Payload, Rejection, RejectionCode, TraceParent, VideoId};
use toktik_identity::{UserId, Verifier};
use toktik_media::manifest::{Manifest, Object};
use toktik_media::plan::{self, Options, Plan, Work};
use toktik_media::source::{Audio, Fraction, Source, Transfer};
use toktik_objects::CredentialsEnd;
use toktik_probe::{Examiner, Finding};
use toktik_runtime::context::Clients;
use toktik_runtime::settings::{Common, Keep};
use toktik_runtime::step::{self, Outcome};
use toktik_runtime::{Clock, Context, Failure, Handler, Serverless};

use crate::wire::{Luck, Wire};

pub(crate) const VIDEO: &str = "00000000000040008000000000000001";
/// Leases are over and steps count as stuck after one of these.
pub(crate) const HOUR_HAND: TimeDelta = TimeDelta::minutes(6);
/// A renewal falls due when the explorer lets time pass; otherwise never.
const SOON: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::from_hours(24);

/// Something that happens once it is begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    /// A function handles what its queue delivered.
    Worker(Function, String),
    /// The clip arrives, and its owner says so.
    Uploads,
    Deletes,
    Retries,
    /// The janitor looks after the clip outside its rounds.
    Looks,
    /// A round of the janitor.
    Sweeps,
}

/// What becomes of the message that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Acknowledged,
    Again,
}

/// What the clip is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) sound: bool,
    /// Units of the picture.
    pub(crate) units: u32,
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    common: Common,
}

pub(crate) struct Troupe {
    pub(crate) wire: Wire,
    now: Arc<AtomicI64>,
    calm: Stage,
    beating: Stage,
}

struct Stage {
    context: Context,
    handlers: HashMap<Function, Arc<dyn Handler>>,
}

impl Troupe {
    pub(crate) fn new(cut: Cut) -> Self {
        let (wire, now) = (Wire::default(), Arc::new(AtomicI64::new(0)));
        let stage = |beat: Duration| {
            let hand = Arc::clone(&now);
            let clock = Clock::from_fn(move || start() + TimeDelta::seconds(hand.load(Ordering::Relaxed)));
            Stage::new(&wire, clock, beat, cut)
        };
        Self {
            calm: stage(NEVER),
            beating: stage(SOON),
            wire: wire.clone(),
            now,
        }
    }

    pub(crate) fn set_time(&self, time: u16) {
        let seconds = HOUR_HAND.num_seconds() * i64::from(time);
        self.now.store(seconds, Ordering::Relaxed);
    }

    /// With a heart that beats, a lease is renewed as soon as time passes.
    pub(crate) fn begin(&self, actor: &Actor, beating: bool) -> Pin<Box<dyn Future<Output = Verdict>>> {
        let stage = if beating { &self.beating } else { &self.calm };
        let context = stage.context.clone();
        match actor.clone() {
            Actor::Worker(function, body) => {
                let handler = Arc::clone(&stage.handlers[&function]);
                Box::pin(async move { works(&context, handler.as_ref(), function, &body).await })
            }
            Actor::Looks => {
                let handler = Arc::clone(&stage.handlers[&Function::Janitor]);
                let change = Change {
                    video_id: id(),
                    revision: 0,
                };
                Box::pin(async move { handles(handler.as_ref(), Payload::Deleted(change)).await })
            }
            Actor::Sweeps => {
                let handler = Arc::clone(&stage.handlers[&Function::Janitor]);
                Box::pin(async move { handles(handler.as_ref(), Payload::Tick).await })
            }
            Actor::Uploads => Box::pin(async move { done(uploads(&context).await) }),
            Actor::Deletes => Box::pin(async move { done(deletes(&context).await) }),
            Actor::Retries => Box::pin(async move { done(retries(&context).await) }),
        }
    }
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-01-01T08:00:00Z".parse().unwrap()
}

fn id() -> VideoId {
    VIDEO.parse().unwrap()
}

fn done(result: anyhow::Result<()>) -> Verdict {
    result.unwrap();
    Verdict::Acknowledged
}

impl Stage {
    fn new(wire: &Wire, clock: Clock, beat: Duration, cut: Cut) -> Self {
        let common = Program::try_parse_from(["model"]).unwrap().common;
        let mut context = Context::new(&common, clients(wire), Arc::new(Verifier::closed())).unwrap();
        context.clock = clock;
        context.lease_check = beat;
        let (settings, fake) = (toktik_dead_letter::Settings {}, || Ffmpeg {
            context: context.clone(),
            wire: wire.clone(),
            cut,
        });
        let dead_letter = DeadLetter::start(settings, &context).unwrap().events.unwrap();
        let step = |function| {
            let ffmpeg = fake();
            (function, Arc::new(Maker { function, ffmpeg }) as Arc<dyn Handler>)
        };
        let handlers = HashMap::from([
            (
                Function::Probe,
                Arc::new(toktik_probe::Handler::new(&context, fake())) as Arc<dyn Handler>,
            ),
            step(Function::Transcode),
            step(Function::Thumbnail),
            step(Function::Audio),
            (
                Function::Package,
                Arc::new(toktik_package::Handler::new(&context, fake(), Keep::UntilReady)),
            ),
            (Function::DeadLetter, dead_letter),
            (
                Function::Janitor,
                Arc::new(toktik_janitor::Sweeper::new(&context, Keep::UntilReady)),
            ),
        ]);
        Self { context, handlers }
    }
}

fn clients(wire: &Wire) -> Clients {
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("model"))
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(
            aws_sdk_s3::config::Credentials::new("model", "model", None, None, "model"),
        ))
        .http_client(wire.clone())
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let s3 = aws_sdk_s3::config::Builder::from(&config)
        .endpoint_url("http://s3.model")
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .force_path_style(true);
    let sqs = aws_sdk_sqs::config::Builder::from(&config).endpoint_url("http://sqs.model");
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url("http://dynamodb.model");
    Clients {
        s3: aws_sdk_s3::Client::from_conf(s3.build()),
        sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
        dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
        credentials_end: CredentialsEnd::default(),
    }
}

/// As the queue worker does it: a verdict is written down before the message is acknowledged.
async fn works(context: &Context, handler: &dyn Handler, function: Function, body: &str) -> Verdict {
    for message in handler.read(body.as_bytes()).unwrap() {
        match handler.handle(&message, &CancellationToken::new()).await {
            Ok(()) => {}
            Err(Failure::Retry { .. }) => return Verdict::Again,
            Err(Failure::GiveUp { code, reason }) => {
                let why = format!("{reason:#}");
                context
                    .give_up(function, body, Some(&message), code, &why)
                    .await
                    .unwrap();
                return Verdict::Acknowledged;
            }
        }
    }
    Verdict::Acknowledged
}

async fn handles(handler: &dyn Handler, payload: Payload) -> Verdict {
    let message = Message::new(Function::Janitor, start(), payload);
    handler.handle(&message, &CancellationToken::new()).await.unwrap();
    Verdict::Acknowledged
}

async fn uploads(context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
    let video = Video {
        id: id(),
        owner: VIDEO.parse::<UserId>()?,
        status: Status::Uploading,
        generation: 1,
        revision: 1,
        title: "A clip".parse()?,
        description: "".parse()?,
        tags: toktik_catalog::text::Tags::default(),
        visibility: Visibility::Public,
        created_at: now,
        published_at: None,
        upload: Upload {
            key: format!("uploads/{VIDEO}/original"),
            filename: "clip.mp4".to_owned(),
            content_type: "video/mp4".to_owned(),
            size: 1,
            multipart: None,
        },
        upload_until: now,
        source_etag: None,
        duration: None,
        width: None,
        height: None,
        warnings: Vec::new(),
        error: None,
        made: Made::default(),
        trace: Some(trace),
        deleted_at: None,
    };
    context.catalog.create_video(&video, None).await?;
    context
        .objects
        .put(&video.upload.key, b"clip".to_vec().into(), "video/mp4")
        .await?;
    let message = Message::new(Function::Upload, now, Payload::Uploaded(video.clip()));
    context
        .catalog
        .begin_processing(&video, "etag", Some(&message), now)
        .await?;
    context.publish_owed(&message).await;
    Ok(())
}

/// As `DELETE /videos/{id}` does it.
async fn deletes(context: &Context) -> anyhow::Result<()> {
    loop {
        let video = context.catalog.video(id()).await?.unwrap();
        let change = Change {
            video_id: id(),
            revision: video.revision + 1,
        };
        let message = Message::new(Function::Videos, context.clock.now(), Payload::Deleted(change));
        match context.catalog.delete(&video, &message, message.time).await {
            Ok(()) => {
                context.publish_owed(&message).await;
                return Ok(());
            }
            Err(error) if error.is_condition() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// As `POST /videos/{id}/retry` does it.
async fn retries(context: &Context) -> anyhow::Result<()> {
    let video = context.catalog.video(id()).await?.unwrap();
    if video.status != Status::Failed {
        return Ok(());
    }
    let clip = Clip {
        video_id: id(),
        generation: video.generation + 1,
    };
    let message = Message::new(Function::Videos, context.clock.now(), Payload::Uploaded(clip));
    match context.catalog.retry(&video, &message).await {
        Ok(()) => {
            context.publish_owed(&message).await;
            Ok(())
        }
        Err(error) if error.is_condition() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Stands in for ffmpeg, and for nothing else.
struct Ffmpeg {
    context: Context,
    wire: Wire,
    cut: Cut,
}

impl Ffmpeg {
    async fn is_made(&self) -> Result<bool, Failure> {
        match self.wire.work().await {
            Luck::Made => Ok(true),
            Luck::Refused => Ok(false),
            Luck::Hopeless => Err(Failure::give_up("timed_out", anyhow!("out of time"))),
            Luck::Later => Err(anyhow!("a store is out of reach").into()),
        }
    }

    async fn write(&self, lease: &Lease, name: &str) -> Result<Value, Failure> {
        let key = format!("{}{name}", step::prefix(lease));
        let put = self
            .context
            .objects
            .put(&key, b"made".to_vec().into(), "video/mp4")
            .await;
        put.map_err(anyhow::Error::from)?;
        Ok(json!({"key": key, "size": 4}))
    }

    async fn make(&self, function: Function, lease: Lease) -> Result<Outcome, Failure> {
        let is_made = self.is_made().await?;
        let made = match function {
            Function::Thumbnail if lease.unit == OVERVIEW && !is_made => {
                json!({"storyboard": null, "preview": null, "warnings": ["preview_failed"]})
            }
            _ if !is_made => return Ok(Outcome::Refused(corrupt())),
            Function::Transcode => self.unit(&lease).await?,
            Function::Thumbnail if lease.unit == OVERVIEW => {
                let preview = self.write(&lease, "preview.webp").await?;
                json!({"storyboard": null, "preview": preview, "warnings": []})
            }
            Function::Thumbnail => {
                let poster = self.write(&lease, "poster.jpg").await?;
                json!({"poster": {"jpeg": poster, "webp": poster}})
            }
            _ => json!({"mp3": self.write(&lease, "audio.mp3").await?, "warnings": []}),
        };
        Ok(Outcome::Made(made))
    }

    /// Sound of a clip of several units is published once it is enough to play, and whoever comes next goes on from there.
    async fn unit(&self, lease: &Lease) -> Result<Value, Failure> {
        let plan = cut(self.cut);
        let unit = plan.units.iter().find(|unit| unit.id == lease.unit).unwrap();
        let names: Vec<&str> = match &unit.work {
            Work::Video { rungs, .. } => rungs.iter().map(String::as_str).collect(),
            Work::Copy { rung } => vec![rung.as_str()],
            Work::Audio => plan.sounds.iter().map(|sound| sound.name.as_str()).collect(),
        };
        let grows = !matches!(unit.work, Work::Video { .. }) && self.cut.units > 1;
        let ends = plan.ends();
        let segments = match &unit.work {
            Work::Video {
                first_frame, frames, ..
            } => {
                let range = *first_frame + 1..=first_frame + frames;
                ends.iter().filter(|end| range.contains(end)).count()
            }
            Work::Copy { .. } | Work::Audio => ends.len(),
        };
        let unit = |parts: &[Value]| {
            let track = |name: &&str| json!({"name": name, "codecs": "c", "parts": parts});
            json!({ "tracks": names.iter().map(track).collect::<Vec<Value>>() })
        };
        let part = |segments: usize| {
            let segments = vec![json!({"duration": 4.0, "size": 4}); segments];
            json!({"prefix": step::prefix(lease), "init_size": 1, "init_hash": 2, "segments": segments})
        };
        let published = if grows {
            self.context.published(lease).await?
        } else {
            None
        };
        let before = published.map(|before| before["tracks"][0]["parts"].clone());
        let mut parts: Vec<Value> = before.and_then(|parts| parts.as_array().cloned()).unwrap_or_default();
        self.write(lease, "init.mp4").await?;
        let enough = 2;
        if grows && parts.is_empty() {
            let begun = unit(&[part(enough)]);
            let context = &self.context;
            context.step_progressed(Function::Transcode, lease, &begun, 1).await?;
        }
        let left = if parts.is_empty() { segments } else { segments - enough };
        parts.push(part(left));
        Ok(unit(&parts))
    }
}

fn corrupt() -> Rejection {
    Rejection::new(RejectionCode::Corrupt, "It does not decode.")
}

#[async_trait]
impl Examiner for Ffmpeg {
    async fn examine(&self, video: &Video, _: &CancellationToken) -> Result<Finding, Failure> {
        let objects = &self.context.objects;
        objects.head(&video.upload.key).await.map_err(anyhow::Error::from)?;
        let is_clip = self.is_made().await?;
        Ok(if is_clip {
            Finding::Playable(Box::new(cut(self.cut)))
        } else {
            Finding::Refused(corrupt())
        })
    }
}

#[async_trait]
impl toktik_package::Joiner for Ffmpeg {
    async fn join(&self, _: &Manifest, lease: &Lease, _: &CancellationToken) -> Result<Object, Failure> {
        if !self.is_made().await? {
            return Err(Failure::give_up("unexpected_output", anyhow!("it cannot be joined")));
        }
        let made = self.write(lease, "download.mp4").await?;
        Ok(serde_json::from_value(made).unwrap())
    }
}

/// Transcode, thumbnail or audio.
struct Maker {
    function: Function,
    ffmpeg: Ffmpeg,
}

#[async_trait]
impl Handler for Maker {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        let Some(step) = step::asked(self.function, message) else {
            return Ok(());
        };
        let work = |lease, _| self.ffmpeg.make(self.function, lease);
        self.ffmpeg
            .context
            .complete_step(self.function, &step, cancel, work)
            .await
    }
}

/// The plan of a small clip.
fn cut(cut: Cut) -> Plan {
    let video = toktik_media::source::Video {
        stream: 0,
        codec: "h264".into(),
        width: 320,
        height: 240,
        start: 0.0,
        frame_rate: Fraction::new(30, 1),
        variable_frame_rate: false,
        interlaced: false,
        transfer: Transfer::Sdr,
        pixel_format: "yuv420p".into(),
        color_range: None,
        color_space: None,
        wide_gamut: false,
    };
    let audio = Audio {
        stream: 1,
        codec: "aac".into(),
        channels: 2,
        sample_rate: 48_000,
    };
    let source = Source {
        demuxer: "mov".into(),
        duration: f64::from(4 * cut.units),
        video,
        audio: cut.sound.then_some(audio),
        weight: toktik_media::source::Weight::default(),
        gops: Vec::new(),
    };
    let options = Options {
        unit_seconds: Some(4),
        ..Options::default()
    };
    plan::plan(&source, &options)
}
