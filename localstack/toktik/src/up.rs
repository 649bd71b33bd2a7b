//! `toktik up`: the embedded cloud and every function in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toktik_cloud::{Cloud, Options};
use toktik_events::{Function, Message, Payload};
use toktik_identity::VerifySettings;
use toktik_media::sandbox;
use toktik_media::settings::{Settings as Media, Units};
use toktik_runtime::settings::{Common, Server};
use toktik_runtime::worker::Worker;
use toktik_runtime::{
    Clock, Context, Serverless, Service, allow_connections, concurrency, server, stop_signal, telemetry,
};
use utoipa_axum::router::OpenApiRouter;

use crate::cloud::clients;
use crate::secrets::Secrets;
use crate::{api, control, provision};

/// Deletes are noticed within two seconds where everything is one process.
const LEASE_CHECK: Duration = Duration::from_secs(1);
/// Sound and picture of a clip that somebody waits for are made side by side.
const EXPRESS: usize = 2;
fn express(function: Function, server: &Server) -> usize {
    match function {
        Function::Transcode => server.express.map_or(EXPRESS, usize::from),
        _ => 0,
    }
}

/// In the data directory.
pub(crate) const SCRATCH: &str = "scratch";

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where everything is kept
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub verify: VerifySettings,
    #[command(flatten)]
    pub auth: toktik_auth::Settings,
    #[command(flatten)]
    pub upload: toktik_upload::Settings,
    #[command(flatten)]
    pub playback: toktik_playback::Settings,
    #[command(flatten)]
    pub notify: toktik_notify::Settings,
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub units: Units,
    #[command(flatten)]
    pub pictures: toktik_thumbnail::Pictures,
    #[command(flatten)]
    pub janitor: toktik_janitor::Settings,
}

/// The running whole.
pub struct Up {
    pub address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
    tasks: TaskTracker,
    cloud: Cloud,
}

/// Everything composed, nothing running yet.
pub struct Assembly {
    pub context: Context,
    pub cloud: Cloud,
    /// API, buckets and pages.
    pub router: Router,
    /// One for each function that events start.
    pub workers: Vec<Worker>,
}

pub fn main(settings: Settings) -> anyhow::Result<()> {
    telemetry::log(&settings.common.log)?;
    allow_connections();
    sandbox::harden_parent().context("keeping other processes out of this one")?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        let up = Up::start(settings).await?;
        let port = up.address.port();
        eprintln!("Toktik is at http://localhost:{port} (API: http://localhost:{port}/docs). Ctrl-C ends it.");
        stop.cancelled().await;
        up.stop().await
    })
}

impl Up {
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let address = settings.common.server.listen();
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listening on {address}; is something else there?"))?;
        let assembly = Assembly::new(&settings, Clock::system()).await?;
        let Assembly {
            context,
            cloud,
            router,
            workers,
        } = assembly;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(cloud.maintain(stop.clone()));
        for worker in workers {
            tasks.spawn(worker.run(stop.clone()));
        }
        tasks.spawn(tick(context.clone(), settings.janitor.janitor_interval, stop.clone()));
        tasks.spawn(control::serve(settings, context, stop.clone()));
        tasks.close();
        let address = listener.local_addr()?;
        let served = tokio::spawn(server::serve(listener, router, stop.clone()));
        tracing::info!(%address, "listening");
        Ok(Self {
            address,
            stop,
            served,
            tasks,
            cloud,
        })
    }

    /// Ends cleanly: what is under way is given back and found again by the next start.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.wait().await;
        let served = self.served.await.context("serving requests")?;
        self.cloud.close().await;
        served
    }
}

impl Assembly {
    pub async fn new(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let secrets = Secrets::of(&settings.data_dir)?;
        let cloud = open_cloud(settings, &secrets).await?;
        let settings = &with_scratch(settings)?;
        let clients = clients(&cloud);
        provision::provision(&clients, &settings.common.stores).await?;
        let (verify, auth) = keys(settings, &secrets);
        let mut context = Context::new(&settings.common, clients, Arc::new(verify.verifier()?))?;
        context.clock = clock;
        context.lease_check = LEASE_CHECK.min(settings.common.stores.lease_check);
        context.addresses.store_beside_api = true;
        take_over(&context, &cloud).await?;
        let (mut api, mut pages) = (OpenApiRouter::new(), Router::new());
        let mut workers = Vec::new();
        for (function, service) in services(settings, &secrets, auth, &context)? {
            if let Some(router) = service.http {
                api = api.merge(router);
            }
            if let Some(router) = service.pages {
                pages = router;
            }
            if let Some(handler) = service.events {
                workers.push(Worker {
                    function,
                    handler,
                    context: context.clone(),
                    concurrency: concurrency(function, &settings.common.server),
                    express: express(function, &settings.common.server),
                });
            }
        }
        let router = api::router(api, pages, &context, cloud.s3(), context.objects.bucket())?;
        Ok(Self {
            context,
            cloud,
            router,
            workers,
        })
    }
}

async fn open_cloud(settings: &Settings, secrets: &Secrets) -> anyhow::Result<Cloud> {
    let options = Options {
        data_dir: settings.data_dir.clone(),
        access_key_id: secrets.access_key_id.clone(),
        secret_access_key: secrets.secret_access_key.clone(),
        region: "us-east-1".to_owned(),
    };
    Cloud::open(options).await
}

/// Clips are worked on beside the data unless told otherwise. The directory is ours alone, as the data are by now, so
/// that what a crash left there can go.
fn with_scratch(settings: &Settings) -> anyhow::Result<Settings> {
    let mut settings = settings.clone();
    if settings.media.scratch_dir.is_none() {
        let dir = std::path::absolute(settings.data_dir.join(SCRATCH)).context("finding the scratch directory")?;
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        settings.media.scratch_dir = Some(dir);
    }
    Ok(settings)
}

/// The installation's own keys, unless others are given.
fn keys(settings: &Settings, secrets: &Secrets) -> (VerifySettings, toktik_auth::Settings) {
    let (mut verify, mut auth) = (settings.verify.clone(), settings.auth.clone());
    if verify.token_jwks.is_none() && verify.token_secret.is_none() {
        verify.token_jwks = Some(secrets.token_jwks.clone());
        auth.sign.token_private_key = Some(secrets.private_key());
    }
    (verify, auth)
}

fn services(
    settings: &Settings,
    secrets: &Secrets,
    auth: toktik_auth::Settings,
    context: &Context,
) -> anyhow::Result<Vec<(Function, Service)>> {
    let web = toktik_web::Settings {
        cdn_url: settings.playback.cdn_url.clone(),
        max_duration: settings.media.max_duration,
        max_upload_bytes: settings.upload.max_upload_bytes,
    };
    let mut playback = settings.playback.clone();
    playback.link_secret = playback.link_secret.or_else(|| Some(secrets.link_secret()));
    let media = || settings.media.clone();
    let thumbnail = toktik_thumbnail::Settings::new(media(), settings.pictures.clone());
    let package = toktik_package::Settings {
        media: media(),
        originals: settings.janitor.originals.clone(),
    };
    let probe = toktik_probe::Settings {
        media: media(),
        units: settings.units.clone(),
    };
    let transcode = toktik_transcode::Settings {
        media: media(),
        units: settings.units.clone(),
    };
    Ok(vec![
        started::<toktik_auth::Auth>(auth, context)?,
        started::<toktik_upload::Upload>(settings.upload.clone(), context)?,
        started::<toktik_videos::Videos>(toktik_videos::Settings {}, context)?,
        started::<toktik_playback::Playback>(playback, context)?,
        started::<toktik_notify::Notify>(settings.notify.clone(), context)?,
        started::<toktik_web::Web>(web, context)?,
        started::<toktik_probe::Probe>(probe, context)?,
        started::<toktik_transcode::Transcode>(transcode, context)?,
        started::<toktik_thumbnail::Thumbnail>(thumbnail, context)?,
        started::<toktik_audio::Audio>(media(), context)?,
        started::<toktik_package::Package>(package, context)?,
        started::<toktik_dead_letter::DeadLetter>(toktik_dead_letter::Settings {}, context)?,
        started::<toktik_janitor::Janitor>(settings.janitor.clone(), context)?,
    ])
}

fn started<F: Serverless>(settings: F::Settings, context: &Context) -> anyhow::Result<(Function, Service)> {
    let service = F::start(settings, context).with_context(|| format!("starting {}", F::NAME))?;
    Ok((F::NAME, service))
}

/// This process is the only one that works here: whatever was under way ended with the one before.
async fn take_over(context: &Context, cloud: &Cloud) -> anyhow::Result<()> {
    cloud
        .release_in_flight()
        .await
        .context("giving back messages that were under way")?;
    for id in context.catalog.open_work().await? {
        if let Some(video) = context.catalog.video(id).await? {
            context.catalog.clear_leases(&video).await?;
        }
    }
    Ok(())
}

/// The schedule that a cluster's cron or an EventBridge rule keeps elsewhere.
async fn tick(context: Context, interval: Duration, stop: CancellationToken) {
    let mut interval = tokio::time::interval(interval.max(Duration::from_secs(1)));
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let message = Message::new(Function::Janitor, context.clock.now(), Payload::Tick);
        if let Err(error) = context.publisher.publish(&message).await {
            tracing::warn!(error = format!("{error:#}"), "could not call the janitor");
        }
    }
}
