//! `cargo xtask chaos`: kills the processes of the product again and again, and looks whether anything came of it.
//!
//! The harness is a test (`localstack/toktik/tests/chaos`), which `cargo xtask test` runs with sixty kills. This runs the
//! part of it that draws its kills from a seed, with more of them.

use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::install::{self, Need};
use crate::test::NEXTEST;
use crate::workspace::{self, say, shown};

/// What the harness's last line begins with.
const SUMMARY: &str = "chaos: ";

/// Kill the processes of a running Toktik at random, and see that no clip is lost and nothing is left behind
///
/// Runs the embedded cloud and each function as a process of its own, sends clips, and kills with SIGKILL. Exit status 1
/// when a clip became something else than without kills, or anything stayed behind; the same seed gives the same schedule.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many
    #[arg(long, default_value_t = 500)]
    kills: u32,
    /// What the schedule is drawn from. Unset: another one each time
    #[arg(long, env = "TOKTIK_CHAOS_SEED")]
    seed: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    install::ensure(&[Need::Make, Need::Ffmpeg])?;
    install::ensure_cargo_tool(&root, "nextest", NEXTEST)?;
    workspace::settle(&root)?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    say(&format!("{} kills, seed {seed}", args.kills));
    let mut command = workspace::cargo(&root);
    command.args([
        "nextest",
        "run",
        "--profile",
        "chaos",
        "--no-capture",
        "--package",
        "toktik",
    ]);
    command.args(["--test", "chaos", "random::sixty_kills_change_nothing"]);
    command.env("TOKTIK_CHAOS_SEED", seed.to_string());
    command.env("TOKTIK_CHAOS_KILLS", args.kills.to_string());
    let shown = shown(&command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start `{shown}`"))?;
    let mut summary = None;
    for line in BufReader::new(child.stdout.take().context("cargo has no stdout")?).lines() {
        let line = line.context("cannot read what the harness says")?;
        if line.starts_with(SUMMARY) {
            summary = Some(line);
        } else {
            eprintln!("{line}");
        }
    }
    let succeeded = child.wait().context("cargo got lost")?.success();
    match summary.filter(|_| succeeded) {
        Some(summary) => println!("{summary}"),
        None => say(&format!(
            "failed; again: cargo xtask chaos --kills {} --seed {seed}",
            args.kills
        )),
    }
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Another one each time, and short enough to be typed again.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_micros())
}
