//! The suite of `localstack/toktik/tests/target`, against each cloud that it is to hold on: which there are, how each is
//! reached, and the table of what ran where.
//!
//! The suite knows endpoints and nothing else. Emulators are installed here, started on free ports with directories of
//! their own, and ended.

mod emulator;
mod table;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::install;
use crate::workspace::{self, say};
use emulator::Emulator;

/// Says where the suite runs.
const NAMED: &str = "TOKTIK_TEST_TARGET";
/// What everything that it makes begins with.
const PREFIX: &str = "TOKTIK_TEST_PREFIX";
/// Where each test leaves what became of it.
const RECORD: &str = "TOKTIK_TEST_RECORD";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// A `toktik cloud` for each test
    Embedded,
    /// LocalStack, installed and started here
    Localstack,
    /// MiniStack, installed and started here
    Ministack,
    /// AWS, by the credentials and region in the environment; or what an endpoint there leads to
    Aws,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Embedded => "embedded",
            Target::Localstack => "localstack",
            Target::Ministack => "ministack",
            Target::Aws => "aws",
        }
    }

    /// Those that run on any machine, each beside the others.
    pub(crate) const LOCAL: [Target; 3] = [Target::Embedded, Target::Localstack, Target::Ministack];

    pub(crate) fn is_installed_here(self) -> bool {
        matches!(self, Target::Localstack | Target::Ministack)
    }
}

/// Where runs leave what they found out: below `target/`, which nobody keeps.
fn directory(root: &Path) -> PathBuf {
    root.join("target/targets")
}

fn records(root: &Path, target: Target) -> PathBuf {
    directory(root).join("records").join(target.name())
}

/// Forgets earlier runs.
pub(crate) fn begin(root: &Path, targets: &[Target]) -> Result<()> {
    let all = directory(root).join("records");
    if all.exists() {
        fs::remove_dir_all(&all).with_context(|| format!("cannot empty {}", all.display()))?;
    }
    for target in targets {
        let records = records(root, *target);
        fs::create_dir_all(&records).with_context(|| format!("cannot make {}", records.display()))?;
    }
    Ok(())
}

/// Lets a run of all tests say what became of the suite's, on the embedded cloud.
pub(crate) fn record_embedded(root: &Path, command: &mut Command) {
    command.env_remove(NAMED);
    command.env(RECORD, records(root, Target::Embedded));
}

pub(crate) fn table(root: &Path, targets: &[Target]) -> Result<String> {
    let mut columns = Vec::new();
    for target in targets {
        columns.push((target.name(), table::read(&records(root, *target))?));
    }
    Ok(table::shown(&columns))
}

/// What the suite is run with: `cargo nextest run`, and how to reach the target.
pub(crate) struct Session {
    target: Target,
    emulator: Option<Emulator>,
    environment: Vec<(&'static str, String)>,
    root: PathBuf,
}

impl Session {
    /// Installs and starts what the target needs.
    pub(crate) fn open(root: &Path, target: Target) -> Result<Self> {
        let mut session = Self {
            target,
            emulator: None,
            environment: vec![(RECORD, records(root, target).display().to_string())],
            root: root.to_path_buf(),
        };
        match target {
            Target::Embedded => {}
            Target::Aws => session.environment.extend(aws()?),
            Target::Localstack | Target::Ministack => {
                let python = installed(root, target)?;
                let emulator = Emulator::start(root, target, &python, &directory(root).join(target.name()))?;
                session.environment.extend(emulator.environment());
                session.emulator = Some(emulator);
            }
        }
        session.environment.push((NAMED, target.name().to_owned()));
        Ok(session)
    }

    fn nextest(&self, arguments: &[&str]) -> Command {
        let mut command = workspace::cargo(&self.root);
        if self.target != Target::Aws {
            for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
                command.env_remove(name);
            }
        }
        // Of the whole workspace, so that what the suite of all tests has compiled is taken as it is.
        command.args(["nextest", "run", "--workspace", "--test", "target"]);
        command.args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn suite(&self, rest: &[String]) -> Command {
        // A filter may be meant for another target, or for nothing here.
        let mut command = self.nextest(&["--no-tests", "pass"]);
        command.args(rest);
        command
    }

    /// Takes away what a run that was cut off has left in an account that outlives it.
    pub(crate) fn cleaner(&self) -> Option<Command> {
        let one = ["--run-ignored", "only", "what_a_run_left_behind_is_removed"];
        (self.target == Target::Aws).then(|| self.nextest(&one))
    }

    /// Ends what was started; what it logged stays where something went wrong.
    pub(crate) fn close(self, went_well: bool) -> Result<()> {
        match self.emulator {
            Some(emulator) => emulator.stop(went_well),
            None => Ok(()),
        }
    }
}

/// The interpreter of an environment that has this emulator.
fn installed(root: &Path, target: Target) -> Result<PathBuf> {
    let name = target.name();
    let environment = workspace::cargo_home()?.join(format!("toktik-{name}"));
    let requirements = root.join("localstack/emulators").join(name).join("requirements.txt");
    install::ensure_python_tools(&environment, &requirements)?;
    Ok(environment.join("bin/python"))
}

/// Installs the emulators among these targets.
pub(crate) fn install(root: &Path, targets: &[Target]) -> Result<()> {
    for target in targets.iter().filter(|target| target.is_installed_here()) {
        installed(root, *target)?;
    }
    Ok(())
}

/// Says what will be made, and where, before anything is.
fn aws() -> Result<Vec<(&'static str, String)>> {
    let missing: Vec<&str> = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        .into_iter()
        .filter(|name| env::var_os(name).is_none_or(|value| value.is_empty()))
        .collect();
    if !missing.is_empty() {
        bail!(
            "--target aws works in a real account, and only with what the environment says; missing: {}",
            missing.join(", ")
        );
    }
    let set = |name: &str| env::var(name).unwrap_or_default();
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let prefix = format!("toktik-test-{}", hex::encode(bytes));
    let endpoints: Vec<String> = env::vars()
        .filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL"))
        .map(|(name, url)| format!("{name}={url}"))
        .collect();
    let place = if endpoints.is_empty() {
        "AWS itself".to_owned()
    } else {
        endpoints.join(", ")
    };
    say(&format!(
        "for key {} in {} at {place}: buckets, tables and queues named {prefix}-… will be made, one bucket, one table and up to \
         nine queues at a time for each test, and removed; it costs cents",
        set("AWS_ACCESS_KEY_ID"),
        set("AWS_REGION"),
    ));
    Ok(vec![(PREFIX, prefix)])
}
