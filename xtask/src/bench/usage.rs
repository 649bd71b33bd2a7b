//! Time that passes, time that processors work, and memory that is held, as Linux counts them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::workspace::pause;

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

/// How often memory is looked at: often enough for encoders, which hold theirs for seconds.
const LOOK: Duration = Duration::from_millis(200);

/// Somebody who watches how much memory a process and all that it runs hold at once.
pub(super) struct Peak {
    over: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl Peak {
    pub(super) fn of(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let watching = thread::spawn(move || {
            let mut most = 0;
            loop {
                most = most.max(kilobytes_of_all(process));
                if told.load(Ordering::Relaxed) {
                    return most;
                }
                pause(LOOK);
            }
        });
        Self { over, watching }
    }

    /// The most until now.
    pub(super) fn mebibytes(self) -> Result<f64> {
        self.over.store(true, Ordering::Relaxed);
        let most = self.watching.join().map_err(|_| anyhow!("a thread panicked"))?;
        #[expect(clippy::cast_precision_loss, reason = "memory of a machine")]
        Ok(most as f64 / 1024.0)
    }
}

/// What a process and all that it has started hold by now.
fn kilobytes_of_all(process: u32) -> u64 {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().parse();
        let stat = fs::read_to_string(entry.path().join("stat"));
        // Anything else is no process, or none any more.
        if let (Ok(id), Some(parent)) = (id, stat.ok().as_deref().and_then(parent)) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut family = vec![process];
    let mut total = 0;
    while let Some(member) = family.pop() {
        total += kilobytes_of(member);
        family.extend(children.remove(&member).unwrap_or_default());
    }
    total
}

/// Its share of what is resident; where the kernel tells only its owner, all that is resident of it, also what others share.
fn kilobytes_of(process: u32) -> u64 {
    let told = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
        kilobytes(&text, name)
    };
    told("smaps_rollup", "Pss:")
        .or_else(|| told("status", "VmRSS:"))
        .unwrap_or_default()
}

/// proc(5): field 4.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// proc(5): a line of either file.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
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

    #[test]
    fn memory_is_that_of_the_process_and_of_all_that_it_runs() {
        assert_eq!(parent("7 (a) name) S 1 7 7 0"), Some(1));
        assert_eq!(
            kilobytes("Name:\ta\nVmRSS:\t   1234 kB\nThreads: 1\n", "VmRSS:"),
            Some(1234)
        );
        assert_eq!(
            kilobytes("Rss:   9 kB\nPss:   7 kB\nPss_Dirty:  5 kB\n", "Pss:"),
            Some(7)
        );
        let me = std::process::id();
        let alone = kilobytes_of_all(me);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let both = kilobytes_of_all(me);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(alone > 0 && both > alone, "{alone}, with a child {both}");
        assert!(Peak::of(me).mebibytes().unwrap() > 0.0);
    }
}
