//! One address for all functions that answer requests: a small reverse proxy.
//!
//! Started by HTTP. Which function a request is for says the table of routes, by method and path, which platforms'
//! own routers rarely tell apart. Bodies stream through in both directions. Where the object store is not reachable for
//! browsers by itself, requests below its bucket go to it as they are, since their signatures cover the Host.
//! What else no route names is for the pages.
//!
//! Emits nothing. Never reads a token or a body, keeps no state, and knows no store but by address.

mod description;
mod proxy;
mod sender;
mod settings;
mod table;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use clap::{CommandFactory, FromArgMatches};
use tokio::net::TcpListener;
use toktik_runtime::{server, stop_signal, telemetry};

pub use settings::Settings;

/// The whole program, as this command line says.
pub fn main(name: &str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = settings::Cli::command().name(name.to_owned()).bin_name(name.to_owned());
    let matches = command.get_matches_from(arguments);
    let result = settings::Cli::from_arg_matches(&matches)
        .map_err(anyhow::Error::from)
        .and_then(|cli| serve(&cli));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(cli: &settings::Cli) -> anyhow::Result<()> {
    telemetry::log(&cli.log)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        let address = cli.server.listen();
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listening on {address}"))?;
        let router = router(&cli.gateway)?;
        tracing::info!(address = %listener.local_addr()?, "listening");
        server::serve(listener, router, stop).await
    })
}

/// Everything that the gateway answers.
pub fn router(settings: &Settings) -> anyhow::Result<Router> {
    let proxy = proxy::Proxy::new(settings)?;
    Ok(table::routes(&proxy)
        .merge(description::routes(proxy.clone()))
        .merge(server::operations())
        .fallback(move |request| proxy.clone().rest(request)))
}
