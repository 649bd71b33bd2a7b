//! How much of the machine one child may use.

use std::time::Duration;

use rustix::io;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
/// Also the size of a thread's stack, which counts as memory: at 8 MiB, the threads of a large machine alone would
/// fill the allowance. Alpine builds ffmpeg for 2 MiB.
const STACK: u64 = 4 * MIB;

/// Bounds of one child. Sizes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time over all threads.
    pub cpu: Duration,
    /// Private writable memory, heap and thread stacks.
    pub memory: u64,
    /// The largest file it may write.
    pub file_size: u64,
    pub open_files: u64,
    /// Standard output; a child that prints more is ended.
    pub output: usize,
    /// How far others go before it where there is not enough CPU for all, from 0 to 19.
    pub nice: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_mins(30),
            // Measured: 8192x8192 H.264, scaled to 1080 lines and encoded, passes with 1 GiB on four threads and with
            // 1.5 GiB on eight.
            memory: 2048 * MIB,
            file_size: 2048 * MIB,
            open_files: 128,
            output: 8 << 20,
            nice: 0,
        }
    }
}

impl Limits {
    /// Binds this process. `RLIMIT_DATA` and not `RLIMIT_AS`: the latter also counts what is reserved and never
    /// touched, such as 64 MiB of address space for each thread's arena and the text of 200 libraries, so that a useful
    /// bound would depend on the number of cores. `RLIMIT_NPROC` is left out: it counts the user's other processes,
    /// does not bind root, and seccomp forbids processes anyway.
    pub(super) fn apply(&self) -> io::Result<()> {
        let cpu = self.cpu.as_secs().max(1);
        // First SIGXCPU, which tells the parent why the child ended; a second later SIGKILL for one that ignores it.
        set(Resource::Cpu, cpu, cpu + 1)?;
        set(Resource::Data, self.memory, self.memory)?;
        set(Resource::Stack, STACK, STACK)?;
        set(Resource::Fsize, self.file_size, self.file_size)?;
        set(Resource::Nofile, self.open_files, self.open_files)?;
        set(Resource::Core, 0, 0)?;
        rustix::process::nice(self.nice).map(drop)
    }
}

/// Never above what this process was given: only root may raise a hard limit.
fn set(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(soft.min(ceiling)),
        maximum: Some(hard.min(ceiling)),
    };
    setrlimit(resource, limit)
}
