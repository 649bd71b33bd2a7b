//! How long a function takes from the start of its process to its first answer, and what memory it then holds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::programs::Programs;
use super::report::Figure;
use crate::workspace::{pause, say};

const SECTION: &str = "cold start";
/// What a function may take longer than the least server of the same stack.
const MORE_MS: f64 = 15.0;
const MEMORY_MB: f64 = 25.0;
pub(super) const HELLO: &str = "toktik-hello";
/// How often each is started: starts are quick, and differ.
const ROUNDS: u32 = 21;
const PATIENCE: Duration = Duration::from_secs(10);
/// A look costs a connection that is refused; closer ones would take the time from who is starting.
const LOOK: Duration = Duration::from_micros(200);

/// One start.
struct Start {
    answered: Duration,
    resident: u64,
}

pub(super) fn measure(programs: &Programs) -> Result<Vec<Figure>> {
    let mut starts: BTreeMap<String, Vec<Start>> = BTreeMap::new();
    say("starting each function");
    // The first round only brings the programs into memory. In turns, so that a noisy minute is everybody's.
    for round in 0..=ROUNDS {
        for (name, path) in programs.functions() {
            let start = start(name, path).with_context(|| format!("starting {name}"))?;
            if round > 0 {
                starts.entry(name.clone()).or_default().push(start);
            }
        }
    }
    figures(&starts)
}

fn figures(starts: &BTreeMap<String, Vec<Start>>) -> Result<Vec<Figure>> {
    let median = |starts: &[Start]| -> Option<(Duration, u64)> {
        let mut times: Vec<Duration> = starts.iter().map(|start| start.answered).collect();
        let mut sizes: Vec<u64> = starts.iter().map(|start| start.resident).collect();
        times.sort();
        sizes.sort_unstable();
        Some((*times.get(times.len() / 2)?, *sizes.get(sizes.len() / 2)?))
    };
    let hello = starts.get(HELLO).and_then(|starts| median(starts));
    let (least, _) = hello.context("the least server was not measured")?;
    let mut figures = Vec::new();
    for (program, starts) in starts {
        let (answered, resident) = median(starts).context("a function was not started")?;
        let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, program, name, value, unit);
        let more = milliseconds(answered) - milliseconds(least);
        figures.push(figure("first answer", milliseconds(answered), "ms"));
        figures.push(figure("more than the least server", more, "ms").at_most(MORE_MS));
        figures.push(figure("resident", megabytes(resident), "MB").at_most(MEMORY_MB));
    }
    Ok(figures)
}

#[expect(clippy::cast_precision_loss, reason = "memory of a program")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
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
        let figures = figures(&measured).unwrap();
        let of = |program: &str, name: &str| {
            let mut of_it = figures.iter().filter(|figure| figure.subject == program);
            of_it.find(|figure| figure.name == name).unwrap().value
        };
        assert!((of("toktik-auth", "more than the least server") - 16.0).abs() < 1e-9);
        assert!((of("toktik-slow", "more than the least server") - 15.0).abs() < 1e-9);
        assert!((of("toktik-slow", "resident") - 26.0).abs() < 1e-9);
        assert!(of(HELLO, "more than the least server").abs() < 1e-9);
    }
}
