//! Time that passes and time that processors work, as Linux counts it.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

/// The kernel counts in these for everybody who reads `/proc`, whatever it does inside.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    pub(super) wall: f64,
    pub(super) cpu: f64,
}

/// Runs something that leaves no process behind, and tells what this process and those that it started took for it.
pub(super) fn spent(work: impl FnOnce() -> Result<()>) -> Result<Spent> {
    let (started, before) = (Instant::now(), cpu_of("self")?);
    work()?;
    let wall = started.elapsed().as_secs_f64();
    let cpu = cpu_of("self")? - before;
    Ok(Spent { wall, cpu })
}

/// Seconds of processor time of a process and of all its children that have ended.
pub(super) fn cpu_of(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    seconds(&stat).with_context(|| format!("{path} is not as Linux writes it"))
}

/// proc(5): fields 14 to 17, counted behind the name, which may contain anything.
fn seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>);
    Some(ticks.sum::<Result<f64, _>>().ok()? / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_the_process_and_its_children() {
        let stat = "7 (a) name) S 1 7 7 0 -1 4194560 1 2 3 4 100 50 25 25 20 0 1 0 9 9 9";
        assert_eq!(seconds(stat), Some(2.0));
        assert_eq!(seconds("nonsense"), None);
        assert!(cpu_of("self").unwrap() >= 0.0);
    }
}
