//! Asks a server as fast as it answers, over so many connections, and prints as JSON how long that took.
//!
//! Each connection sends its next request when the last one is answered. It speaks just enough HTTP/1.1 to take as little
//! as possible of the machine that it shares with the server. Anything but a whole 200 is an error.

mod answer;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use answer::whole;

/// Larger than any answer that is asked for.
const BUFFER: usize = 1 << 20;

/// Ask a server as fast as it answers
#[derive(Parser)]
struct Settings {
    /// How many connections there are at once
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// How long it is asked, seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long it is asked before that, uncounted, seconds
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Where it listens
    address: SocketAddr,
    /// What it is asked for, one after the other
    #[arg(required = true)]
    paths: Vec<String>,
}

#[derive(Default)]
struct Tally {
    /// Microseconds.
    latencies: Vec<u32>,
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    requests: usize,
    errors: usize,
    /// One of them, in words.
    error: Option<String>,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let requests: Vec<Vec<u8>> = settings
        .paths
        .iter()
        .map(|path| request(path, settings.address))
        .collect();
    let requests: &'static [Vec<u8>] = requests.leak();
    let begin = Instant::now() + Duration::from_secs_f64(settings.warm_up);
    let end = begin + Duration::from_secs_f64(settings.seconds);
    let mut connections = JoinSet::new();
    for number in 0..settings.connections {
        connections.spawn(ask(settings.address, requests, number, begin, end));
    }
    let mut sum = Tally::default();
    for tally in connections.join_all().await {
        sum.latencies.extend(tally.latencies);
        sum.errors.extend(tally.errors);
    }
    println!("{}", serde_json::to_string(&report(sum, settings.seconds))?);
    Ok(())
}

fn request(path: &str, address: SocketAddr) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

/// One connection's requests. One that breaks is an error, and is made anew.
async fn ask(address: SocketAddr, requests: &[Vec<u8>], number: usize, begin: Instant, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut round = requests.iter().cycle().skip(number % requests.len());
    while Instant::now() < end {
        if let Err(error) = converse(address, &mut round, begin, end, &mut tally).await {
            tally.errors.push(format!("{error:#}"));
        }
    }
    tally
}

async fn converse(
    address: SocketAddr,
    round: &mut impl Iterator<Item = &Vec<u8>>,
    begin: Instant,
    end: Instant,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 << 10);
    for request in round {
        let asked = Instant::now();
        if asked >= end {
            return Ok(());
        }
        stream.write_all(request).await.context("asking")?;
        buffer.clear();
        while !whole(&buffer)? {
            let read = stream.read_buf(&mut buffer).await.context("reading an answer")?;
            if read == 0 || buffer.len() > BUFFER {
                bail!("the answer broke off or does not end");
            }
        }
        if asked >= begin {
            tally.latencies.push(micros(asked.elapsed()));
        }
    }
    Ok(())
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a number of requests")]
fn report(mut tally: Tally, seconds: f64) -> Report {
    tally.latencies.sort_unstable();
    let count = tally.latencies.len();
    let share = |hundredths: usize| {
        let index = (count * hundredths / 100).min(count.saturating_sub(1));
        tally
            .latencies
            .get(index)
            .map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    };
    Report {
        requests: count,
        errors: tally.errors.len(),
        error: tally.errors.first().cloned(),
        per_second: count as f64 / seconds,
        p50_ms: share(50),
        p99_ms: share(99),
        max_ms: share(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_by_their_share() {
        let tally = Tally {
            latencies: (1..=1000).rev().map(|milliseconds| milliseconds * 1000).collect(),
            errors: Vec::new(),
        };
        let report = report(tally, 2.0);
        assert_eq!((report.requests, report.errors), (1000, 0));
        let told = [report.per_second, report.p50_ms, report.p99_ms, report.max_ms];
        assert_eq!(format!("{told:?}"), "[500.0, 501.0, 991.0, 1000.0]");
    }
}
