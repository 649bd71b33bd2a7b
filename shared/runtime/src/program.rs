//! A function as a program: from its command line to a clean end.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use toktik_events::Function;
use toktik_identity::{Verifier, VerifySettings};
use toktik_media::sandbox;

use crate::context::{Clients, Context};
use crate::function::{Serverless, Service};
use crate::settings::{Common, Host, Server};
use crate::worker::Worker;
use crate::{lambda, server, telemetry};

/// The system's own costs a busy server a quarter of its time, and gives less of it back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// Not a doc comment: that would be the first line of every `--help`.
#[derive(Parser)]
#[command(version)]
struct Cli<S: Args> {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    verify: VerifySettings,
    #[command(flatten)]
    own: S,
}

/// A function's whole `main`.
pub fn main<F: Serverless>() -> ExitCode {
    if let Some(code) = toktik_media::sandbox::launcher() {
        return code;
    }
    let name = format!("toktik-{}", F::NAME);
    run_function::<F>(&name, std::env::args_os())
}

/// Runs a function as this command line says.
pub fn run_function<F: Serverless>(name: &str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command: Command = Cli::<F::Settings>::command()
        .name(name.to_owned())
        .bin_name(name.to_owned())
        // Else the first line would be what the last group of settings says of itself.
        .about(format!("Toktik's function {}, alone", F::NAME))
        .long_about(None::<&str>);
    let matches = command.get_matches_from(arguments);
    let cli = match Cli::<F::Settings>::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match serve::<F>(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve<F: Serverless>(cli: Cli<F::Settings>) -> anyhow::Result<()> {
    telemetry::log(&cli.common.log)?;
    allow_connections();
    sandbox::harden_parent().context("keeping other processes out of this one")?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let clients = Clients::from_environment().await;
        let verifier = verifier::<F>(&cli.verify)?;
        let mut context = Context::new(&cli.common, clients, Arc::new(verifier))?;
        context.streams = cli.common.server.host() != Host::Lambda;
        let service = F::start(cli.own, &context)?;
        let stop = stop_signal()?;
        match (&service.events, cli.common.server.host()) {
            (_, Host::Lambda) => {
                let concurrency = concurrency(F::NAME, &cli.common.server);
                lambda::run(F::NAME, service, context, concurrency, stop).await
            }
            (Some(_), Host::Queue) => work(F::NAME, service, context, &cli.common, stop).await,
            _ => listen(F::NAME, service, context, &cli.common, stop).await,
        }
    })
}

/// As many descriptors as the system lets a process ask for: what it starts with is often 1024, fewer than connections
/// that one server may well have. ffmpeg gets its own limit.
pub fn allow_connections() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, all)
    {
        tracing::warn!(%error, "the limit of open connections stays as it is");
    }
}

/// Only functions that answer requests need keys.
fn verifier<F: Serverless>(settings: &VerifySettings) -> anyhow::Result<Verifier> {
    if F::NAME.answers_requests() {
        Ok(settings.verifier()?)
    } else {
        Ok(Verifier::closed())
    }
}

async fn work(
    function: Function,
    service: Service,
    context: Context,
    common: &Common,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let handler = service.events.context("this function takes no events")?;
    let concurrency = concurrency(function, &common.server);
    let listener = TcpListener::bind(common.server.listen_beside_work())
        .await
        .context("binding the address of /metrics")?;
    let address = listener.local_addr()?;
    let operations = server::serve(listener, server::operations(), stop.clone());
    let express = common.server.express.map_or(0, usize::from);
    tracing::info!(%function, concurrency, express, metrics = %address, "working");
    let worker = Worker {
        function,
        handler,
        context,
        concurrency,
        express,
    };
    let ((), served) = tokio::join!(worker.run(stop), operations);
    served
}

async fn listen(
    function: Function,
    mut service: Service,
    context: Context,
    common: &Common,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = common.server.listen();
    let mut router = server::alone(&mut service, &context)?;
    if let Some(handler) = service.events {
        let token = common.events.events_token.clone();
        router = router.merge(server::events(function, handler, context, token, stop.clone()));
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    tracing::info!(%function, address = %listener.local_addr()?, "listening");
    server::serve(listener, router, stop).await
}

/// How many events a function handles at once: transcode fills its cores by itself.
pub fn concurrency(function: Function, settings: &Server) -> usize {
    let one_per_core = || std::thread::available_parallelism().map_or(1, usize::from);
    match (settings.concurrency, function) {
        (Some(told), _) => told.get(),
        (None, Function::Transcode) => 1,
        (None, _) => one_per_core(),
    }
}

/// Fires on SIGTERM and Ctrl-C; works as process 1 too.
pub fn stop_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let fired = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        fired.cancel();
    });
    Ok(stop)
}
