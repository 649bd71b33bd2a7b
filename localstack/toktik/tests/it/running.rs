//! Programs of ours, each a process. Whoever waits for one looks again and again until something is so, since another
//! process tells nobody when it gets there; never longer than a deadline.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const SOON: Duration = Duration::from_secs(2);
/// Building and playing clips on a machine that others use too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Looks until there is an answer.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not after {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A program of ours that runs until the test is over.
pub(crate) struct Running {
    child: Child,
    /// What its first line on stderr that has an address says.
    pub(crate) base: String,
    /// Reads what it says on stderr, to the end.
    said: JoinHandle<String>,
}

impl Running {
    /// `words` come before the address in the line that says where it serves.
    pub(crate) async fn start(command: &mut Command, words: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let base = loop {
            let Some(line) = lines.next_line().await.unwrap() else {
                panic!("it ended: {said}");
            };
            said.extend([&line, "\n"]);
            if let Some((_, rest)) = line.split_once(words) {
                let rest = rest.trim_start_matches("http://");
                let address = rest.split([' ', ')']).next().unwrap();
                break format!("http://{address}");
            }
        };
        // A full pipe would hold it up.
        let said = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                said.extend([&line, "\n"]);
            }
            said
        });
        Self { child, base, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args([name, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Asks it to end, asserts that it does so at once and without complaint, and returns all that it has logged.
    pub(crate) async fn stop(mut self) -> String {
        self.signal("-TERM");
        let ended = tokio::time::timeout(SOON, self.child.wait()).await;
        let status = ended.expect("it does not end").unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
        self.said.await.unwrap()
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Our program without any settings from outside.
pub(crate) fn toktik(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    let foreign = |name: &str| {
        ["TOKTIK_", "AWS_", "PORT", "K_"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The all-in-one program, also the sandbox's launcher. Where it lies is known only when the tests run: compiled tests
/// are shared between clones.
pub(crate) fn program() -> PathBuf {
    let names = ["NEXTEST_BIN_EXE_toktik", "CARGO_BIN_EXE_toktik"];
    let told = names.iter().find_map(std::env::var_os);
    told.map_or_else(|| env!("CARGO_BIN_EXE_toktik").into(), PathBuf::from)
}
