//! How long a function takes from the start of its process to its first answer, and what memory it then holds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::dist;
use crate::install::{self, Need};
use crate::workspace::{self, pause, say};

/// What a function may take longer than the least server of the same stack.
const MORE: Duration = Duration::from_millis(15);
const MEMORY: u64 = 25_000_000;
const HELLO: &str = "toktik-hello";
const PATIENCE: Duration = Duration::from_secs(10);
/// A look costs a connection that is refused; closer ones would take the time from who is starting.
const LOOK: Duration = Duration::from_micros(200);

/// Cold start and idle memory of each function, beside the least server of the same stack
///
/// Builds what `cargo xtask dist` ships, starts each program anew in turns, and prints medians. Exit status 1 when a
/// function takes 15 ms more than the least server, or holds 25 MB when idle.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each is started
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One start.
struct Start {
    answered: Duration,
    resident: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Figure {
    program: String,
    /// Median, milliseconds.
    first_answer_ms: f64,
    /// More than the least server takes, milliseconds.
    more_ms: f64,
    /// Median, bytes.
    resident_bytes: u64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    install::ensure(&[Need::Ffmpeg])?;
    let programs = dist::built_for_here(&root, &[HELLO])?;
    let mut starts: BTreeMap<String, Vec<Start>> = BTreeMap::new();
    // The first round only brings the programs into memory. In turns, so that a noisy minute is everybody's.
    for round in 0..=args.rounds {
        for (name, path) in &programs {
            let start = start(name, path).with_context(|| format!("starting {name}"))?;
            if round > 0 {
                starts.entry(name.clone()).or_default().push(start);
            }
        }
    }
    let figures = figures(starts)?;
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_string_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!(
        "{:<22} {:>13} {:>8} {:>12}",
        "program", "first answer", "more", "resident"
    );
    for figure in &figures {
        println!("{}", line(figure));
    }
    let late: Vec<&str> = figures
        .iter()
        .filter(|figure| !keeps_the_bars(figure))
        .map(|figure| figure.program.as_str())
        .collect();
    if late.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("too slow or too large: {}", late.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn line(figure: &Figure) -> String {
    let megabytes = figure.resident_bytes / 100_000;
    let resident = format!("{}.{} MB", megabytes / 10, megabytes % 10);
    format!(
        "{:<22} {:>10.1} ms {:>+5.1} ms {:>12}",
        figure.program, figure.first_answer_ms, figure.more_ms, resident
    )
}

fn keeps_the_bars(figure: &Figure) -> bool {
    figure.more_ms <= milliseconds(MORE) && figure.resident_bytes < MEMORY
}

fn figures(starts: BTreeMap<String, Vec<Start>>) -> Result<Vec<Figure>> {
    let median = |starts: &[Start]| -> Option<(Duration, u64)> {
        let mut times: Vec<Duration> = starts.iter().map(|start| start.answered).collect();
        let mut sizes: Vec<u64> = starts.iter().map(|start| start.resident).collect();
        times.sort();
        sizes.sort_unstable();
        Some((*times.get(times.len() / 2)?, *sizes.get(sizes.len() / 2)?))
    };
    let hello = starts.get(HELLO).and_then(|starts| median(starts));
    let (least, _) = hello.context("the least server was not measured")?;
    let figure = |(program, starts): (String, Vec<Start>)| {
        let (answered, resident_bytes) = median(&starts)?;
        Some(Figure {
            program,
            first_answer_ms: milliseconds(answered),
            more_ms: milliseconds(answered) - milliseconds(least),
            resident_bytes,
        })
    };
    Ok(starts.into_iter().filter_map(figure).collect())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Starts a program, measures, and ends it.
fn start(name: &str, path: &Path) -> Result<Start> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .envs(environment(port))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    let result = first_answer(&mut child, port, started).and_then(|answered| {
        let resident = resident(&child)?;
        Ok(Start { answered, resident })
    });
    child.kill()?;
    child.wait()?;
    result.with_context(|| format!("{name} did not answer"))
}

/// As a platform that runs functions sets it; nothing at these addresses is asked.
fn environment(port: u16) -> [(&'static str, String); 9] {
    let secret = || "0123456789abcdef0123456789abcdef".to_owned();
    [
        ("PORT", port.to_string()),
        ("TOKTIK_HOST", "http".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "none".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "none".to_owned()),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned()),
        ("TOKTIK_TOKEN_SECRET", secret()),
        ("TOKTIK_LINK_SECRET", secret()),
        ("TOKTIK_EVENTS_SINK", "http://127.0.0.1:1".to_owned()),
    ]
}

fn first_answer(child: &mut Child, port: u16, started: Instant) -> Result<Duration> {
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            bail!("it ended: {status}");
        }
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            ask(stream)?;
            return Ok(started.elapsed());
        }
        pause(LOOK);
    }
    bail!("not within {PATIENCE:?}")
}

fn ask(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        bail!("it answered {}", answer.lines().next().unwrap_or_default());
    }
    Ok(())
}

fn resident(child: &Child) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("the system does not tell memory")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(milliseconds: &[u64], megabytes: u64) -> Vec<Start> {
        let start = |milliseconds: &u64| Start {
            answered: Duration::from_millis(*milliseconds),
            resident: megabytes * 1_000_000,
        };
        milliseconds.iter().map(start).collect()
    }

    #[test]
    fn functions_are_measured_against_the_least_server() {
        let measured = BTreeMap::from([
            (HELLO.to_owned(), starts(&[5, 4, 60], 4)),
            ("toktik-auth".to_owned(), starts(&[21, 20, 90], 16)),
            ("toktik-slow".to_owned(), starts(&[21, 20, 19], 26)),
        ]);
        let figures = figures(measured).unwrap();
        let auth = &figures[0];
        assert!((auth.more_ms - 16.0).abs() < 1e-9 && !keeps_the_bars(auth), "{auth:?}");
        let slow = figures.iter().find(|figure| figure.program == "toktik-slow").unwrap();
        assert!((slow.more_ms - 15.0).abs() < 1e-9 && !keeps_the_bars(slow), "{slow:?}");
        assert!(keeps_the_bars(
            figures.iter().find(|figure| figure.program == HELLO).unwrap()
        ));
    }
}
