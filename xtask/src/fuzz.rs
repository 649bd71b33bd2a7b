//! `cargo xtask fuzz`: feeds parsers what nobody would write, for as long as one likes.
//!
//! The targets are a workspace of their own in `fuzz/`. Fuzzing needs flags that cargo-fuzz asks of a nightly compiler;
//! `RUSTC_BOOTSTRAP` lets the one that is here take them. What a target finds stays in `fuzz/artifacts`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::workspace::{self, say, shown};

/// The line of versions that is known to work.
const CARGO_FUZZ: &str = "^0.13";
/// Longer ones only make each try slower.
const LONGEST: u32 = 8192;

/// Fuzz the parsers of what comes from outside
///
/// Builds `fuzz/` and runs one target, or all after each other. Exit status 1 when one finds something; the input is then
/// in fuzz/artifacts.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The name of a file in `fuzz/fuzz_targets`; all of them without it
    target: Option<String>,
    /// How long each target runs, minutes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    let all = targets(&root.join("fuzz/fuzz_targets"))?;
    let chosen = match &args.target {
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => bail!("there is no target {target}; there are {}", all.join(", ")),
        None => all,
    };
    install::ensure_cargo_tool(&root, "fuzz", CARGO_FUZZ)?;
    let mut found = Vec::new();
    for target in chosen {
        if !fuzz(&root, &target, args.minutes)? {
            found.push(target);
        }
    }
    if found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("found something: {}", found.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// The names of the targets, in order.
fn targets(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Whether a target ran to the end of its time. What it learns stays among what is built: the corpus in the repository is
/// small on purpose.
fn fuzz(root: &Path, target: &str, minutes: u32) -> Result<bool> {
    let learnt = root.join("fuzz/target/corpus").join(target);
    fs::create_dir_all(&learnt)?;
    let mut command = workspace::cargo(root);
    command
        .current_dir(root.join("fuzz"))
        .env("RUSTC_BOOTSTRAP", "1")
        // There is no unsafe code of ours for a sanitizer to watch, and without one four times as much is tried.
        .args(["fuzz", "run", "--sanitizer", "none", target])
        .arg(&learnt)
        .arg(root.join("fuzz/corpus").join(target))
        .arg("--")
        .args([
            format!("-max_total_time={}", minutes * 60),
            format!("-max_len={LONGEST}"),
        ])
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    say(&shown(&command));
    let status = command.status().context("cannot start cargo fuzz")?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_and_has_something_to_begin_with() {
        let fuzz = workspace::root().unwrap().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let targets = targets(&fuzz.join("fuzz_targets")).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"\n")),
                "{target} is not in Cargo.toml"
            );
            let corpus = fs::read_dir(fuzz.join("corpus").join(&target)).map(Iterator::count);
            assert!(corpus.is_ok_and(|files| files > 0), "{target} has no corpus");
        }
    }
}
