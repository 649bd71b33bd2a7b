//! One process of the product, and who starts it again at once when it was killed.

use std::collections::VecDeque;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use toktik_events::Function;

const SIGKILL: i32 = 9;
const SOON: Duration = Duration::from_secs(20);
const LINES_KEPT: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Cloud,
    Function(Function),
}

impl Part {
    pub(crate) fn function(self) -> Option<Function> {
        match self {
            Self::Cloud => None,
            Self::Function(function) => Some(function),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud => f.write_str("cloud"),
            Self::Function(function) => write!(f, "{function}"),
        }
    }
}

pub(crate) struct Keeper {
    pub(crate) part: Part,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Stand before the address in the line that says where it serves.
    words: &'static str,
    child: tokio::sync::Mutex<Option<Child>>,
    said: Arc<Said>,
    lives: AtomicU64,
}

/// What the process tells on stderr.
struct Said {
    base: watch::Sender<Option<String>>,
    last: Mutex<VecDeque<String>>,
    trouble: Mutex<Vec<String>>,
}

impl Keeper {
    pub(crate) fn start(
        part: Part,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        words: &'static str,
    ) -> Arc<Self> {
        let said = Said {
            base: watch::Sender::new(None),
            last: Mutex::default(),
            trouble: Mutex::default(),
        };
        let mut keeper = Self {
            part,
            arguments,
            environment,
            words,
            child: tokio::sync::Mutex::default(),
            said: Arc::new(said),
            lives: AtomicU64::new(1),
        };
        *keeper.child.get_mut() = Some(keeper.spawn());
        Arc::new(keeper)
    }

    fn spawn(&self) -> Child {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| is_foreign(name)) {
            command.env_remove(name);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        tokio::spawn(listen(lines, self.words, Arc::clone(&self.said)));
        child
    }

    /// The process as it is now, in the count of all that there were.
    pub(crate) fn life(&self) -> u64 {
        self.lives.load(Ordering::SeqCst)
    }

    /// Kills it, and starts it again once it is dead.
    pub(crate) async fn kill(&self) {
        let mut child = self.child.lock().await;
        let mut dying = child.take().expect("it was stopped");
        self.said.base.send_replace(None);
        dying.start_kill().unwrap();
        let status = dying.wait().await.unwrap();
        if status.signal() != Some(SIGKILL) {
            self.said.complain(format!("ended by itself: {status}"));
        }
        self.lives.fetch_add(1, Ordering::SeqCst);
        *child = Some(self.spawn());
    }

    /// Where it serves; nothing while it starts.
    pub(crate) fn base(&self) -> Option<String> {
        self.said.base.borrow().clone()
    }

    /// Returns once it serves.
    pub(crate) async fn ready(&self) {
        let mut base = self.said.base.subscribe();
        let found = tokio::time::timeout(SOON, base.wait_for(Option::is_some)).await;
        assert!(
            matches!(found, Ok(Ok(_))),
            "{} does not start:\n{}",
            self.part,
            self.told()
        );
    }

    /// Asks it to end, and complains if it does not do so cleanly.
    pub(crate) async fn stop(&self) {
        let mut child = self.child.lock().await.take().expect("it was stopped");
        if let Some(pid) = child.id() {
            let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
            assert!(sent.unwrap().success());
        }
        match tokio::time::timeout(SOON, child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => {}
            ended => self.said.complain(format!("did not end cleanly: {ended:?}")),
        }
    }

    /// What it did that no process may do: end by itself, panic, hang when it has to stop.
    pub(crate) fn trouble(&self) -> Vec<String> {
        let trouble = hold(&self.said.trouble);
        trouble.iter().map(|what| format!("{}: {what}", self.part)).collect()
    }

    /// The last lines of its log.
    pub(crate) fn told(&self) -> String {
        let last = hold(&self.said.last);
        let lines: Vec<String> = last.iter().map(|line| format!("  [{}] {line}", self.part)).collect();
        lines.join("\n")
    }
}

async fn listen(mut lines: Lines<BufReader<ChildStderr>>, words: &str, said: Arc<Said>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, rest)) = line.split_once(words) {
            let address = rest.trim_start_matches("http://").split([' ', ')']).next();
            said.base
                .send_replace(address.map(|address| format!("http://{address}")));
        }
        if line.contains("panicked") {
            said.complain(line.clone());
        }
        said.keep(line);
    }
}

impl Said {
    fn keep(&self, line: String) {
        let mut last = hold(&self.last);
        last.push_back(line);
        if last.len() > LINES_KEPT {
            last.pop_front();
        }
    }

    fn complain(&self, what: String) {
        hold(&self.trouble).push(what);
    }
}

/// Also while the test unwinds: what is known then is told.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_foreign(name: &str) -> bool {
    let ours = ["TOKTIK_", "AWS_", "PORT", "K_SINK"];
    ours.iter().any(|start| name.starts_with(start))
}

/// Where the program lies is known only when the tests run: compiled tests are shared between clones.
fn program() -> PathBuf {
    let names = ["NEXTEST_BIN_EXE_toktik", "CARGO_BIN_EXE_toktik"];
    let told = names.iter().find_map(std::env::var_os);
    told.map_or_else(|| env!("CARGO_BIN_EXE_toktik").into(), PathBuf::from)
}
