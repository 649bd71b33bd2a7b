//! `toktik janitor`: a word to the running `toktik up` through a socket in its data directory, which only its
//! owner can open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use toktik_identity::Verifier;
use toktik_janitor::Sweeper;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::{Common, seconds};
use toktik_runtime::{Context, stop_signal, telemetry};

use crate::up;

const SOCKET: &str = "control.sock";

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// One round now
    #[arg(long, required_unless_present = "every", conflicts_with = "every")]
    pub once: bool,
    /// A round now, and again after each so many seconds, until told to stop
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub every: Option<Duration>,
    /// Data directory of the `toktik up` that is meant; without one running there, the stores of the environment are swept
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub janitor: toktik_janitor::Settings,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    telemetry::log(&settings.common.log)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let Some(every) = settings.every else {
            return round(settings).await;
        };
        let stop = stop_signal()?;
        let mut interval = tokio::time::interval(every.max(Duration::from_secs(1)));
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(round(settings)).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a round of the janitor failed; the next one will come"
                );
            }
        }
        Ok(())
    })
}

async fn round(settings: &Settings) -> anyhow::Result<()> {
    if let Ok(stream) = UnixStream::connect(settings.data_dir.join(SOCKET)).await {
        return ask(stream).await;
    }
    let elsewhere = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"];
    let elsewhere = elsewhere.iter().any(|name| std::env::var_os(name).is_some());
    if !elsewhere {
        let dir = settings.data_dir.display();
        bail!("no `toktik up` is running on {dir}, and no AWS_… variable says where else the stores are");
    }
    let clients = Clients::from_environment().await;
    let context = Context::new(&settings.common, clients, Verifier::closed().into())?;
    Sweeper::new(&context, settings.janitor.originals.keep_source)
        .round()
        .await
}

async fn ask(mut stream: UnixStream) -> anyhow::Result<()> {
    stream.write_all(b"sweep\n").await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    match answer.trim() {
        "done" => Ok(()),
        other => bail!("sweeping failed: {other}"),
    }
}

/// Listens until told to stop. Without the socket everything works but this command, so trouble is only logged.
pub async fn serve(settings: up::Settings, context: Context, stop: CancellationToken) {
    let path = settings.data_dir.join(SOCKET);
    let sweeper = Sweeper::new(&context, settings.janitor.originals.keep_source);
    match listen(&path) {
        Ok(listener) => {
            stop.run_until_cancelled(answer_all(listener, &sweeper)).await;
            let _ = std::fs::remove_file(&path);
        }
        Err(error) => {
            tracing::warn!(error = %error, path = %path.display(), "`toktik janitor --once` will not find this process");
            stop.cancelled().await;
        }
    }
}

/// The data directory's lock is ours, so that a socket that lies there is a dead one.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

async fn answer_all(listener: UnixListener, sweeper: &Sweeper) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, sweeper).await {
                    tracing::debug!(error = format!("{error:#}"), "a command broke off");
                }
            }
            Err(error) => tracing::warn!(error = %error, "could not take a command"),
        }
    }
}

async fn answer(stream: UnixStream, sweeper: &Sweeper) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    stream.read_line(&mut command).await?;
    let answer = match command.trim() {
        "sweep" => match sweeper.round().await {
            Ok(()) => "done\n".to_owned(),
            Err(error) => format!("{error:#}\n"),
        },
        _ => "unknown command\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}
