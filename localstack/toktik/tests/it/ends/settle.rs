//! What a verdict may cost, whatever the file is: ten seconds and half a gigabyte.

use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use toktik_events::RejectionCode;

use super::{Ended, end};
use crate::clips::play;

/// Of the processors, which is what a verdict costs; on a clock it takes no longer, unless others keep the machine busy.
const WORK: Duration = Duration::from_secs(10);
/// On a clock, so that nothing waits for what never comes.
const TIME: Duration = Duration::from_secs(40);
const MEBIBYTE: i64 = 1 << 20;
/// Mebibytes.
const MEMORY: i64 = 512;

/// Takes these bytes through the house, and asserts that there is a verdict, that it costs no more than one may, and that
/// a reason is one that the table has.
pub(crate) async fn settle(bytes: Vec<u8>) -> Ended {
    settle_within(bytes, MEMORY).await
}

/// The same with other bounds of memory, in mebibytes.
pub(crate) async fn settle_within(bytes: Vec<u8>, most: i64) -> Ended {
    let (begun, worked) = (Instant::now(), work());
    let ended = end(bytes).await;
    let (time, work, memory) = (begun.elapsed(), work().abs_diff(worked), most_memory());
    let cost = format!("{time:.1?}, {work:.1?} of work, {} MiB", memory / MEBIBYTE);
    println!("{cost}: {} {}", ended.video["status"], ended.video["error"]);
    assert!(work < WORK && time < TIME, "{cost}: {}", ended.video);
    assert!(memory < most * MEBIBYTE, "{cost}: {}", ended.video);
    if ended.video["status"] == "rejected" {
        let code = ended.video["error"]["code"].as_str().unwrap();
        assert!(RejectionCode::ALL.iter().any(|known| known.as_str() == code), "{code}");
    }
    ended
}

/// What this process and its children have worked until now.
fn work() -> Duration {
    let spent = |usage: Usage| seconds(usage.user_time()) + seconds(usage.system_time());
    spent(getrusage(UsageWho::RUSAGE_SELF).unwrap()) + spent(getrusage(UsageWho::RUSAGE_CHILDREN).unwrap())
}

fn seconds(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(micros.unsigned_abs())
}

/// The most that any single child of this process has had in memory at once: ffmpeg, or the program that becomes it.
fn most_memory() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() * 1024
}

impl Ended {
    /// Asserts that whatever can be watched plays to its end, as far as there is something to watch.
    pub(crate) async fn plays_if_ready(self) -> Self {
        if self.video["status"] == "ready" {
            play(self.playlist()).await;
        }
        self
    }
}
