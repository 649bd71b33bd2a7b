//! The cage around ffmpeg and ffprobe: what a decoder that a hostile clip has taken over can still do, which is to
//! compute, to read one clip, and to write into one directory.
//!
//! A program starts itself again with a private first argument. That second self (see [`launcher`]) gives up what it
//! can do, then becomes ffmpeg through `exec`. All restrictions survive `exec`, and the detour needs no `unsafe`, which
//! restricting a child between `fork` and `exec` would. So **every program that makes a [`crate::process::Runner`]
//! calls [`launcher`] first thing in `main`**, before any thread exists: seccomp and Landlock bind the calling thread.
//!
//! | what | how |
//! |---|---|
//! | CPU time, memory, size of files, descriptors, core dumps | resource limits (`limits`) |
//! | files outside the working directory and the system's libraries, `/proc`, TCP, signals to others | Landlock (`files`) |
//! | sockets, processes, tracing, mounts, keys, permissions of files, everything unheard of | seccomp (`calls`) |
//! | secrets in the environment, descriptors left open | an empty environment, close-on-exec |
//! | outliving the parent | a death signal |
//!
//! It deliberately makes no namespaces: containers and Lambda rarely grant them.

mod calls;
mod files;
mod limits;
mod report;

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use rustix::process::{DumpableBehavior, Signal};
use serde::{Deserialize, Serialize};

pub use limits::Limits;
pub use report::{Report, support};

/// First argument of a launcher. Nobody types it, and no command of ours has that name.
const WORD: &str = "__toktik_sandbox";
/// Exit status of a launcher that could not become the program; ffmpeg's own are 0, 1, 69, 123 and 255.
pub(crate) const SETUP_FAILED: i32 = 125;
/// How a failed launcher begins the one line it prints.
pub(crate) const SETUP_PREFIX: &str = "toktik-sandbox: ";

/// What to do where the system has no seccomp.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Refuse to work
    #[default]
    Required,
    /// Work with what there is
    BestEffort,
}

/// What the parent tells the launcher.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    /// Process id of the parent, to notice that it died before the death signal was set.
    parent: i32,
    mode: Mode,
    limits: Limits,
    /// Whether the program comes after a file that it may read. A path, which no JSON holds if it is not UTF-8.
    reads: bool,
}

/// A command that runs `program` in the sandbox, with `dir` as working directory and the only writable place, and
/// `reads` as the one file elsewhere that it can read. Nobody in a sandbox may be able to change what lies under that path.
///
/// `launcher` is a program whose `main` calls [`launcher`]; without it, the running program.
pub fn command(
    launcher: Option<&Path>,
    mode: Mode,
    limits: &Limits,
    program: &Path,
    dir: &Path,
    reads: Option<&Path>,
) -> Command {
    let orders = Orders {
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        mode,
        limits: *limits,
        reads: reads.is_some(),
    };
    // The link instead of the path behind it: it works even when the file has been replaced by an upgrade.
    let mut command = Command::new(launcher.unwrap_or(Path::new("/proc/self/exe")));
    command
        .arg(WORD)
        .arg(serde_json::to_string(&orders).unwrap_or_default())
        .args(reads)
        .arg(program)
        .current_dir(dir)
        .env_clear();
    command
}

/// Becomes the sandboxed program if this process was started to; otherwise does nothing.
///
/// Returns an exit code only if becoming it failed: `main` ends with that code.
pub fn launcher() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let Err(error) = enter(arguments);
    eprintln!("{SETUP_PREFIX}{error:#}");
    Some(ExitCode::from(SETUP_FAILED.unsigned_abs().to_le_bytes()[0]))
}

/// Makes this process's memory and `/proc` entries unreadable for other processes of the same user, ffmpeg included.
///
/// It is the second line of defence: Landlock keeps `/proc` out of reach, where the kernel has it. Debuggers and core
/// dumps stop working, too.
pub fn harden_parent() -> std::io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn enter(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Infallible> {
    let orders = arguments.next().context("no orders")?;
    let orders: Orders = serde_json::from_str(&orders.to_string_lossy()).context("unreadable orders")?;
    let reads = if orders.reads { arguments.next() } else { None };
    let program = arguments.next().context("no program")?;
    die_with(orders.parent)?;
    close_fds::set_fds_cloexec(3, &[]);
    orders.limits.apply().context("cannot set resource limits")?;
    rustix::thread::set_no_new_privs(true).context("cannot give up privileges")?;
    files::restrict(Path::new(&program), reads.as_deref().map(Path::new)).context("cannot restrict files")?;
    restrict_calls(orders.mode)?;
    let error = Command::new(&program).args(arguments).env_clear().exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// The signal comes when the parent's *thread* ends that started this process; a runtime's workers live as long as it.
fn die_with(parent: i32) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the parent")?;
    let current = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if current != Some(parent) {
        bail!("the parent is gone");
    }
    Ok(())
}

fn restrict_calls(mode: Mode) -> anyhow::Result<()> {
    match calls::restrict() {
        Err(error) if mode == Mode::Required => Err(error).context("cannot restrict system calls"),
        _ => Ok(()),
    }
}
