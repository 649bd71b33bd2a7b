//! `cargo xtask test`: everything that must hold before a change lands. CI runs this and nothing else.
//!
//! A stage that fails does not stop the later ones: one run shows everything that is wrong. The cheap stages come first,
//! so that a person who watches sees a formatting slip within seconds.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::install::{self, Need};
use crate::pages;
use crate::targets::{self, Session, Target};
use crate::workspace::{self, pause, say, shown};

/// The lines of versions whose configuration files are ours; a later one may read them differently.
pub(crate) const NEXTEST: &str = "^0.9";
const DENY: &str = "^0.20";

/// A database that cannot be reached often hangs instead of failing.
const DATABASE_PATIENCE: Duration = Duration::from_mins(1);

/// Install what is missing and run every check: format, lints, licences, tests
///
/// Installs ffmpeg, Chromium, node, Python, kubectl, cargo-nextest, cargo-deny, schemathesis, cargo-lambda, LocalStack,
/// MiniStack and npm's packages where they are missing, builds the web app's pages, then runs: format, licences and
/// sources, security advisories (where their database can be reached), lints, the pages' types, all tests, and those of
/// them that hold on any cloud also against LocalStack and MiniStack. Asks nothing and needs no terminal. Exit status 1
/// when any of them fails.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the suite that holds on any cloud, against this one; may be repeated
    #[arg(long = "target", value_enum, value_name = "TARGET")]
    targets: Vec<Target>,
    /// Handed to `cargo nextest run --workspace`, for example a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

struct Stage {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Passed,
    Failed,
    /// Why it could not run. Not a failure: it says nothing about the code.
    Skipped(String),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    let targets = places(args);
    targets::begin(&root, &targets)?;
    let mut stages = if args.targets.is_empty() {
        everything(&root, args, &targets)?
    } else {
        suite_only(&root, args)?
    };
    let elsewhere = targets
        .iter()
        .filter(|target| args.targets.contains(target) || **target != Target::Embedded);
    for target in elsewhere {
        stages.push(stage(target.name(), || on_target(&root, *target, &args.rest))?);
    }
    eprint!("{}", targets::table(&root, &targets)?);
    eprint!("{}", summary(&stages));
    let failed = stages.iter().any(|stage| stage.verdict == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where the suite runs: where it was told to; everywhere; or, with a filter, only where the tests are that it is for.
fn places(args: &Args) -> Vec<Target> {
    match (args.targets.is_empty(), args.rest.is_empty()) {
        (false, _) => args.targets.clone(),
        (true, true) => Target::LOCAL.to_vec(),
        (true, false) => vec![Target::Embedded],
    }
}

/// The suite against one cloud. An emulator that cannot be had is a failure of this stage and of no other.
fn on_target(root: &Path, target: Target, rest: &[String]) -> Result<Verdict> {
    let session = match Session::open(root, target) {
        Ok(session) => session,
        Err(error) => {
            say(&format!("{}: {error:#}", target.name()));
            return Ok(Verdict::Failed);
        }
    };
    let verdict = check(&mut session.suite(rest));
    let cleaned = session
        .cleaner()
        .map_or(Ok(Verdict::Passed), |mut cleaner| check(&mut cleaner));
    let went_well = [&verdict, &cleaned]
        .iter()
        .all(|result| matches!(result, Ok(Verdict::Passed)));
    session.close(went_well)?;
    match verdict? {
        Verdict::Passed => cleaned,
        other => Ok(other),
    }
}

/// What the suite alone needs.
fn suite_only(root: &Path, args: &Args) -> Result<Vec<Stage>> {
    let prepared = stage("prepare", || {
        install::ensure(&[Need::Make, Need::Ffmpeg])?;
        if args.targets.iter().any(|target| target.is_installed_here()) {
            install::ensure(&[Need::Python])?;
        }
        install::ensure_cargo_tool(root, "nextest", NEXTEST)?;
        workspace::settle(root)?;
        Ok(Verdict::Passed)
    })?;
    Ok(vec![prepared])
}

fn everything(root: &Path, args: &Args, targets: &[Target]) -> Result<Vec<Stage>> {
    let started = Instant::now();
    prepare(root)?;
    if let Err(error) = targets::install(root, targets) {
        say(&format!("{error:#}. The suite will fail there."));
    }
    workspace::settle(root)?;
    let mut stages = vec![Stage {
        name: "prepare",
        verdict: Verdict::Passed,
        took: started.elapsed(),
    }];

    stages.push(stage("format", || {
        check(workspace::cargo(root).args(["fmt", "--all", "--check"]))
    })?);
    let deny = [
        "deny",
        "--workspace",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    stages.push(stage("licences", || check(workspace::cargo(root).args(deny)))?);
    stages.push(stage("advisories", || advisories(root))?);
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    stages.push(stage("lints", || check(workspace::cargo(root).args(clippy)))?);
    stages.push(stage("pages", || check(&mut pages::check(root)))?);
    stages.push(stage("tests", || {
        let mut tests = workspace::cargo(root);
        targets::record_embedded(root, &mut tests);
        check(tests.args(["nextest", "run", "--workspace"]).args(&args.rest))
    })?);
    Ok(stages)
}

fn prepare(root: &Path) -> Result<()> {
    install::ensure(&[Need::Make, Need::Ffmpeg, Need::Chromium, Need::Node, Need::Python])?;
    // Not every system has a package of it that is new enough, and all else can be tested without.
    if let Err(error) = install::ensure(&[Need::Kubectl]) {
        say(&format!("{error:#}. Tests of manifests will fail."));
    }
    install::ensure_cargo_tool(root, "nextest", NEXTEST)?;
    install::ensure_cargo_tool(root, "deny", DENY)?;
    for tools in ["contract", "lambda"] {
        let environment = workspace::cargo_home()?.join(format!("toktik-{tools}"));
        let requirements = root.join("localstack").join(tools).join("requirements.txt");
        install::ensure_python_tools(&environment, &requirements)?;
    }
    // Nothing optional of it is needed, and it would be a browser.
    pages::packages(&root.join("localstack/browser"), &["--omit=optional"])?;
    pages::ensure(root)
}

fn stage(name: &'static str, work: impl FnOnce() -> Result<Verdict>) -> Result<Stage> {
    let started = Instant::now();
    let verdict = work()?;
    Ok(Stage {
        name,
        verdict,
        took: started.elapsed(),
    })
}

fn check(command: &mut Command) -> Result<Verdict> {
    let shown = shown(command);
    say(&shown);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    Ok(if status.success() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Known vulnerabilities. Their database is a git repository, which a closed network does not reach.
fn advisories(root: &Path) -> Result<Verdict> {
    let mut fetch = workspace::cargo(root);
    say("cargo deny fetch db");
    // Its own words for a closed network look like a failed check.
    let child = fetch
        .args(["deny", "fetch", "db"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = child.context("cannot start cargo deny")?;
    if !ends_well(child, DATABASE_PATIENCE)? {
        return Ok(Verdict::Skipped(
            "their database cannot be reached from here".to_owned(),
        ));
    }
    check(workspace::cargo(root).args(["deny", "--workspace", "--offline", "check", "advisories"]))
}

/// Whether the child succeeds in time; it is killed if it takes longer.
fn ends_well(mut child: Child, patience: Duration) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        pause(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

fn summary(stages: &[Stage]) -> String {
    let mut text = String::new();
    for Stage { name, verdict, took } in stages {
        let verdict = match verdict {
            Verdict::Passed => "ok".to_owned(),
            Verdict::Failed => "FAILED".to_owned(),
            Verdict::Skipped(why) => format!("not run: {why}"),
        };
        let _ = writeln!(text, "xtask: {name:<10} {:>7.1} s  {verdict}", took.as_secs_f64());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_ran_and_what_did_not() {
        let seconds = Duration::from_secs_f64;
        let stages = [
            Stage {
                name: "format",
                verdict: Verdict::Passed,
                took: seconds(0.52),
            },
            Stage {
                name: "advisories",
                verdict: Verdict::Skipped("no network".to_owned()),
                took: seconds(60.0),
            },
            Stage {
                name: "tests",
                verdict: Verdict::Failed,
                took: seconds(1234.5),
            },
        ];
        assert_eq!(
            summary(&stages),
            "xtask: format         0.5 s  ok\n\
             xtask: advisories    60.0 s  not run: no network\n\
             xtask: tests       1234.5 s  FAILED\n"
        );
    }

    #[test]
    fn the_suite_runs_where_it_is_told_to_or_everywhere_that_is_free() {
        let places = |targets: &[Target], rest: &[&str]| {
            let rest = rest.iter().map(|word| (*word).to_owned()).collect();
            places(&Args {
                targets: targets.to_vec(),
                rest,
            })
        };
        assert_eq!(places(&[], &[]), Target::LOCAL);
        assert_eq!(places(&[], &["a_name"]), [Target::Embedded]);
        assert_eq!(places(&[Target::Aws], &["a_name"]), [Target::Aws]);
        assert!(
            !Target::LOCAL.contains(&Target::Aws),
            "nobody pays who has not asked for it"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_hangs_is_killed() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(!ends_well(child, Duration::from_millis(50)).unwrap());
        let child = Command::new("true").spawn().unwrap();
        assert!(ends_well(child, Duration::from_secs(10)).unwrap());
    }
}
