//! The one place that starts ffmpeg and ffprobe.
//!
//! A [`Runner`] runs a [`Job`]: in the sandbox, within limits, within the wall-clock [`Budget`] that all children of a
//! step share, until it ends or is cancelled. The child is always a single process (the sandbox forbids more), so
//! killing it kills everything. Nothing here knows what the arguments mean.

mod follow;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{self, Mode};
use crate::settings::Settings;

pub use crate::sandbox::Limits;
pub use follow::Progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Ffmpeg,
    Ffprobe,
}

impl Tool {
    /// What every call begins with. Statistics are what progress is read from; ffmpeg prints them at this level only
    /// if told to. ffprobe never reads standard input and does not know the option.
    fn first_args(self) -> &'static [&'static str] {
        match self {
            Self::Ffmpeg => &[
                "-hide_banner",
                "-nostdin",
                "-loglevel",
                "warning",
                "-stats",
                "-stats_period",
                "0.5",
            ],
            Self::Ffprobe => &["-hide_banner", "-loglevel", "warning"],
        }
    }
}

/// One call of a tool.
pub struct Job<'a> {
    pub tool: Tool,
    pub args: Vec<String>,
    /// Working directory and the only place that the tool can write to.
    pub dir: &'a Path,
    /// The one file elsewhere that it can read.
    pub reads: Option<&'a Path>,
    pub limits: Limits,
    /// Shared by all jobs of one step.
    pub budget: &'a Budget,
    pub cancel: &'a CancellationToken,
}

/// Wall-clock time for all children of a step.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    deadline: Instant,
}

impl Budget {
    pub fn new(time: Duration) -> Self {
        Self {
            deadline: Instant::now() + time,
        }
    }

    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// What a successful child printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: Vec<u8>,
    /// The end of its messages, statistics left out.
    pub stderr_tail: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cancelled")]
    Cancelled,
    #[error("out of time")]
    TimedOut,
    #[error("out of memory: {stderr_tail}")]
    OutOfMemory { stderr_tail: String },
    #[error("printed more than {limit} bytes")]
    OutputTooLarge { limit: usize },
    #[error("killed by signal {signal}: {stderr_tail}")]
    Killed { signal: i32, stderr_tail: String },
    #[error("failed with status {code}: {stderr_tail}")]
    Failed { code: i32, stderr_tail: String },
    #[error("the sandbox could not be entered: {0}")]
    Sandbox(String),
    #[error("cannot be started: {0}")]
    Spawn(#[from] io::Error),
}

/// Why no [`Runner`] could be made: something about this machine has to be changed first.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`{}` was not found; install ffmpeg or set TOKTIK_FFMPEG and TOKTIK_FFPROBE", .0.display())]
    ToolMissing(PathBuf),
    #[error("this system has no seccomp; TOKTIK_SANDBOX=best-effort runs ffmpeg without")]
    NoSeccomp,
}

/// ffmpeg's exit status after it was asked to end. It catches SIGXCPU, too, and nothing else asks it: it is in a process
/// group of its own.
const INTERRUPTED: i32 = 255;

/// Runs jobs. A clone is cheap and the same.
#[derive(Clone, Debug)]
pub struct Runner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    launcher: Option<PathBuf>,
    mode: Mode,
}

impl Runner {
    /// Finds the tools now, since the sandboxed process has no `PATH` to find them by.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        if settings.sandbox == Mode::Required && !sandbox::support().seccomp {
            return Err(SetupError::NoSeccomp);
        }
        let shared = Shared {
            ffmpeg: find(&settings.ffmpeg)?,
            ffprobe: find(&settings.ffprobe)?,
            launcher: settings.sandbox_launcher.clone(),
            mode: settings.sandbox,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Runs a job to its end and tells `progress` how far ffmpeg has got, about twice a second.
    ///
    /// Dropping the future kills the child.
    pub async fn run(&self, job: Job<'_>, progress: impl FnMut(Progress) + Send) -> Result<Output, RunError> {
        if job.cancel.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let mut child = self.spawn(&job)?;
        let outcome = tokio::select! {
            biased;
            () = job.cancel.cancelled() => Err(RunError::Cancelled),
            () = tokio::time::sleep_until(job.budget.deadline) => Err(RunError::TimedOut),
            outcome = attend(&mut child, job.limits.output, progress) => outcome,
        };
        if outcome.is_err() {
            // An error means that it has ended already, which is as good.
            child.kill().await.ok();
        }
        outcome
    }

    fn spawn(&self, job: &Job<'_>) -> io::Result<Child> {
        let program = self.program(job.tool);
        let args = || {
            job.tool
                .first_args()
                .iter()
                .copied()
                .chain(job.args.iter().map(String::as_str))
        };
        tracing::debug!(command = %shell_line(job.dir, program, args()), "starting a tool");
        let launcher = self.shared.launcher.as_deref();
        let mut command = Command::from(sandbox::command(
            launcher,
            self.shared.mode,
            &job.limits,
            program,
            job.dir,
            job.reads,
        ));
        command
            .args(args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches a terminal's whole foreground group; a child of ours ends when we say so.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn program(&self, tool: Tool) -> &Path {
        match tool {
            Tool::Ffmpeg => &self.shared.ffmpeg,
            Tool::Ffprobe => &self.shared.ffprobe,
        }
    }
}

/// Reads both outputs until they close, then the exit status.
async fn attend(child: &mut Child, limit: usize, progress: impl FnMut(Progress) + Send) -> Result<Output, RunError> {
    let stdout = read_bounded(child.stdout.take(), limit);
    let stderr = follow::messages(child.stderr.take(), progress);
    let (stdout, stderr_tail) = tokio::try_join!(stdout, async { Ok(stderr.await?) })?;
    let status = child.wait().await?;
    if status.success() {
        return Ok(Output { stdout, stderr_tail });
    }
    Err(failure(status, stderr_tail))
}

async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, RunError> {
    let mut kept = Vec::new();
    let Some(pipe) = pipe else { return Ok(kept) };
    pipe.take(limit as u64 + 1).read_to_end(&mut kept).await?;
    if kept.len() > limit {
        return Err(RunError::OutputTooLarge { limit });
    }
    Ok(kept)
}

fn failure(status: ExitStatus, stderr_tail: String) -> RunError {
    if let Some(signal) = status.signal() {
        return killed(signal, stderr_tail);
    }
    let code = status.code().unwrap_or(-1);
    if code == sandbox::SETUP_FAILED
        && let Some(message) = stderr_tail.strip_prefix(sandbox::SETUP_PREFIX)
    {
        return RunError::Sandbox(message.trim_end().to_owned());
    }
    if code == INTERRUPTED {
        return RunError::TimedOut;
    }
    if stderr_tail.contains("Cannot allocate memory") {
        return RunError::OutOfMemory { stderr_tail };
    }
    RunError::Failed { code, stderr_tail }
}

/// Nothing of ours has sent the signal: what we kill we do not ask for its status.
fn killed(signal: i32, stderr_tail: String) -> RunError {
    if signal == Signal::XCPU.as_raw() {
        return RunError::TimedOut;
    }
    // The kernel, or the container's supervisor, when the machine runs out of memory.
    if signal == Signal::KILL.as_raw() {
        return RunError::OutOfMemory { stderr_tail };
    }
    RunError::Killed { signal, stderr_tail }
}

fn find(program: &Path) -> Result<PathBuf, SetupError> {
    let missing = || SetupError::ToolMissing(program.to_owned());
    if program.components().count() > 1 {
        return std::path::absolute(program)
            .ok()
            .filter(|path| path.is_file())
            .ok_or_else(missing);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_absolute() && path.is_file())
        .ok_or_else(missing)
}

/// The command as one can paste it, without the sandbox around it.
fn shell_line<'a>(dir: &Path, program: &Path, args: impl Iterator<Item = &'a str>) -> String {
    let mut line = format!(
        "cd {} && {}",
        quoted(&dir.to_string_lossy()),
        quoted(&program.to_string_lossy())
    );
    for arg in args {
        line.push(' ');
        line.push_str(&quoted(arg));
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_command_can_be_pasted() {
        let line = shell_line(
            Path::new("/tmp/a b"),
            Path::new("/usr/bin/ffmpeg"),
            ["-vf", "scale=w='min(2,3)'", "", "out.mp4"].into_iter(),
        );
        assert_eq!(
            line,
            r"cd '/tmp/a b' && /usr/bin/ffmpeg -vf 'scale=w='\''min(2,3)'\''' '' out.mp4"
        );
    }

    #[test]
    fn endings_are_told_apart() {
        let end = |raw, text: &str| failure(ExitStatus::from_raw(raw), text.to_owned());
        assert!(matches!(end(1 << 8, "bad"), RunError::Failed { code: 1, .. }));
        assert!(matches!(end(11, ""), RunError::Killed { signal: 11, .. }));
        assert!(matches!(end(24, ""), RunError::TimedOut));
        assert!(matches!(end(255 << 8, ""), RunError::TimedOut));
        assert!(matches!(end(9, ""), RunError::OutOfMemory { .. }));
        assert!(matches!(
            end(1 << 8, "x: Cannot allocate memory"),
            RunError::OutOfMemory { .. }
        ));
        assert!(matches!(end(125 << 8, "toktik-sandbox: no\n"), RunError::Sandbox(text) if text == "no"));
        assert!(matches!(end(125 << 8, "else"), RunError::Failed { code: 125, .. }));
    }

    #[test]
    fn a_missing_tool_is_named() {
        let settings = Settings {
            ffprobe: "no-such-ffprobe".into(),
            ..Settings::default()
        };
        let error = Runner::new(&settings).expect_err("it does not exist").to_string();
        assert!(error.starts_with("`no-such-ffprobe` was not found"), "{error}");
    }
}
