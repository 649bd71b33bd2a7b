//! `cargo xtask up`: from a fresh clone to a running Toktik.
//!
//! xtask only prepares. It becomes `toktik up` by `exec`, so that Ctrl-C and SIGTERM reach the server and nothing between.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::install::{self, Need};
use crate::pages;
use crate::workspace::{self, say};

/// Run all of Toktik on this machine, at localhost:8080
///
/// Installs ffmpeg and node if they are missing, builds pages and program, and starts `toktik up`: storage, queues and
/// database in one process, kept under ./data, every function, and the web app. Ctrl-C ends it; the next start goes on where this one stopped.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed to `toktik up`, for example --listen 0.0.0.0:8080 or --data-dir DIR; `up -- --help` lists them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    install::ensure(&[Need::Make, Need::Ffmpeg])?;
    pages::try_ensure(&root)?;
    workspace::settle(&root)?;
    say("building toktik (the first time takes several minutes)");
    let toktik = build()?;
    say("starting toktik");
    become_(Command::new(toktik).arg("up").args(&args.rest))
}

/// Builds the all-in-one program and asks cargo where it put it.
pub(crate) fn build() -> Result<PathBuf> {
    let mut cargo = workspace::cargo(&workspace::root()?);
    // Of the whole workspace, since features are united over what is built: what tests have compiled is taken as it is.
    cargo.args(["build", "--workspace", "--bin", "toktik"]);
    let mut built = workspace::built(&mut cargo)?.into_iter();
    let found = built.find(|(name, _)| name == "toktik");
    found
        .map(|(_, path)| path)
        .context("cargo built no program called toktik")
}

#[cfg(unix)]
fn become_(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))
}

#[cfg(not(unix))]
fn become_(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().context("cannot start toktik")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
