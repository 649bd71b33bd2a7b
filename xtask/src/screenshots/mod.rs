//! `cargo xtask screenshots`: what the web app looks like, each view on a phone and on a desk, by day and by night.
//!
//! A Toktik of its own is filled with clips that ffmpeg draws, and with people who watch and like them.

mod seeds;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::install::{self, Need};
use crate::workspace::{self, must, say};
use crate::{pages, up};

/// Take pictures of every view of the web app, phone and desktop, light and dark
///
/// Starts a Toktik with a temporary directory, fills it with clips that ffmpeg draws, and has Chromium take the pictures.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the pictures go
    #[arg(long, value_name = "DIR", default_value = "target/screenshots")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    install::ensure(&[Need::Make, Need::Ffmpeg, Need::Chromium, Need::Node])?;
    let browser = root.join("localstack/browser");
    pages::packages(&browser, &["--omit=optional"])?;
    pages::ensure(&root)?;
    workspace::settle(&root)?;
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let toktik = Toktik::start(&up::build()?, directory.path())?;
    let author = seeds::sow(&toktik.address, directory.path())?;
    let out = std::path::absolute(&args.out).context("finding the directory for the pictures")?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    say(&format!("taking pictures into {}", out.display()));
    let script = browser.join("web/screenshots.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(&toktik.address).arg(&out);
    must(node.args([author, seeds::PASSWORD]))?;
    Ok(ExitCode::SUCCESS)
}

/// A running one, until it is dropped.
struct Toktik {
    process: Child,
    address: String,
}

impl Toktik {
    fn start(program: &Path, directory: &Path) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.join("data"))
            // Everybody signs up within a minute, and what is popular is told soon.
            .args(["--registrations-per-hour", "0", "--janitor-interval", "2"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start toktik")?;
        let stderr = process.stderr.take().context("toktik has no stderr")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines.by_ref().find_map(|line| address(&line));
        // A full pipe would hold it up.
        thread::spawn(move || lines.for_each(drop));
        let mut toktik = Self {
            process,
            address: String::new(),
        };
        match address {
            Some(address) => toktik.address = address,
            None => bail!("toktik ended before it served anything"),
        }
        Ok(toktik)
    }
}

impl Drop for Toktik {
    fn drop(&mut self) {
        // Its directory goes with it: there is nothing that it could leave in order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the line says that tells where it is.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("Toktik is at ")?;
    Some(rest.split([' ', ')']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read() {
        let line = "Toktik is at http://localhost:4711 (API: http://localhost:4711/docs). Ctrl-C ends it.";
        assert_eq!(address(line).as_deref(), Some("http://localhost:4711"));
        assert_eq!(address("listening"), None);
    }
}
