//! A server of its own: `toktik up` over a fresh directory, or what it is measured against.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::usage::{self, Peak};
use crate::workspace::{must, pause};

const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// A directory that goes with its owner.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers on this machine: {error}"))?;
        let path = std::env::temp_dir().join(format!("toktik-bench-{}", hex::encode(bytes)));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// An empty directory in it.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now lies in the system's directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that serves.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// `toktik up` over this directory, with uploads of any size in one request.
    pub(super) fn up(toktik: &Path, data: &Path) -> Result<Self> {
        let mut command = Command::new(toktik);
        command
            .args(["up", "--multipart-threshold", "1073741824", "--data-dir"])
            .arg(data);
        Self::start(command, data)
    }

    /// Another program that knows `--listen`. What it says goes to a file beside its data.
    pub(super) fn start(mut command: Command, data: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = data.with_extension("log");
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.args(["--listen", &address.to_string()]);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().context("cannot start a server")?;
        let mut server = Self { child, address };
        server.wait_until_it_serves(&log)?;
        Ok(server)
    }

    fn wait_until_it_serves(&mut self, log: &Path) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "a server ended ({status}):\n{}",
                    fs::read_to_string(log).unwrap_or_default()
                );
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            pause(LOOK);
        }
        bail!("a server does not listen within {PATIENCE:?}")
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Seconds of processor time so far, of all that it ran included.
    pub(super) fn cpu(&self) -> Result<f64> {
        usage::cpu_of(&self.child.id().to_string())
    }

    /// Watches its memory, and that of all that it runs.
    pub(super) fn memory(&self) -> Peak {
        Peak::of(self.child.id())
    }

    /// Ends it as an operator would.
    pub(super) fn stop(mut self) -> Result<()> {
        must(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        self.child.wait()?;
        Ok(())
    }
}

/// Where something went wrong before the end, nothing stays behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a directory that nobody is at.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    must(Command::new("cp").arg("-r").arg(from).arg(to))
}
