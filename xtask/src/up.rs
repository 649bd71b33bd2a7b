//! `cargo xtask up`: from a fresh clone to a running Toktik.
//!
//! xtask only prepares. It becomes `toktik up` by `exec`, so that Ctrl-C and SIGTERM reach the server and nothing between.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::install::{self, Need};
use crate::workspace::{self, say};

/// Run all of Toktik on this machine, at localhost:8080
///
/// Installs ffmpeg if it is missing, builds, and starts `toktik up`: storage, queues and database in one process, kept
/// under ./data, and every function. Ctrl-C ends it; the next start goes on where this one stopped.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed to `toktik up`, for example --listen 0.0.0.0:8080 or --data-dir DIR; `up -- --help` lists them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    install::ensure(&[Need::Ffmpeg])?;
    workspace::settle(&workspace::root()?)?;
    say("building toktik (the first time takes several minutes)");
    let toktik = build()?;
    say("starting toktik");
    become_(Command::new(toktik).arg("up").args(&args.rest))
}

/// Builds the all-in-one program and asks cargo where it put it.
fn build() -> Result<PathBuf> {
    let mut cargo = workspace::cargo(&workspace::root()?);
    // In this format cargo still shows its progress and the compiler's messages on stderr.
    cargo.args([
        "build",
        "--package",
        "toktik",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut built = None;
    for line in BufReader::new(stdout).lines() {
        built = executable(&line.context("cannot read what cargo says")?).or(built);
    }
    if !child.wait().context("cargo got lost")?.success() {
        bail!("toktik does not build; the compiler's messages are above");
    }
    built.context("cargo built no program called toktik")
}

/// The program's path, if this line of cargo's tells it.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_ours = message["reason"] == "compiler-artifact" && message["target"]["name"] == "toktik";
    is_ours
        .then(|| message["executable"].as_str().map(PathBuf::from))
        .flatten()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let program =
            r#"{"reason":"compiler-artifact","target":{"name":"toktik","kind":["bin"]},"executable":"/t/toktik"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"name":"toktik","kind":["lib"]},"executable":null}"#;
        assert_eq!(executable(program), Some(PathBuf::from("/t/toktik")));
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("not JSON"), None);
    }
}
