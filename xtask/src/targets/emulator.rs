//! An emulator while the suite runs: its processes, their port, their directory.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Target;
use crate::workspace::{self, pause, say};

/// LocalStack takes some ten seconds, on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_mins(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// LocalStack derives the account from the key; this one is everybody's example.
const KEY: &str = "test";
const LAST_LINES: usize = 30;

pub(super) struct Emulator {
    /// LocalStack has two: its DynamoDB is a `toktik cloud`.
    processes: Vec<Process>,
    endpoint: String,
    directory: PathBuf,
}

struct Process {
    child: Child,
    log: PathBuf,
}

impl Emulator {
    pub(super) fn start(root: &Path, target: Target, python: &Path, directory: &Path) -> Result<Self> {
        if directory.exists() {
            fs::remove_dir_all(directory).with_context(|| format!("cannot empty {}", directory.display()))?;
        }
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut emulator = Self {
            processes: Vec::new(),
            endpoint,
            directory: directory.to_path_buf(),
        };
        let mut command = Command::new(python);
        if target == Target::Ministack {
            command
                .args(["-m", "ministack"])
                .env("GATEWAY_PORT", port.to_string())
                .env("BIND_HOST", "127.0.0.1");
            emulator.spawn(target.name(), &mut command)?;
            emulator.until_it_says("/_ministack/health", "")?;
        } else {
            let toktik = built(root)?;
            let dynamodb = emulator.dynamodb(&toktik)?;
            localstack(&mut command, root, port, &dynamodb);
            emulator.hook(&mut command, root, &toktik)?;
            emulator.spawn(target.name(), &mut command)?;
            // By then its hook has made bucket, queues and table under their usual names.
            emulator.until_it_says("/_localstack/init/ready", "SUCCESSFUL")?;
        }
        say(&format!("{} is at {}", target.name(), emulator.endpoint));
        Ok(emulator)
    }

    /// What any program with an AWS SDK reads.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ]
    }

    pub(super) fn stop(mut self, went_well: bool) -> Result<()> {
        for mut process in self.processes.drain(..) {
            process.end()?;
        }
        if went_well {
            fs::remove_dir_all(&self.directory)
                .with_context(|| format!("cannot remove {}", self.directory.display()))?;
        } else {
            say(&format!("what it logged is in {}", self.directory.display()));
        }
        Ok(())
    }

    /// Its output goes to a file, and whatever it writes below its own directory.
    fn spawn(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = self.directory.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let temporary = self.directory.join("tmp");
        fs::create_dir_all(&temporary)?;
        command
            .env("HOME", &self.directory)
            .env("TMPDIR", &temporary)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        self.processes.push(Process { child, log });
        Ok(())
    }

    /// Answers DynamoDB for LocalStack, whose own is a Java archive that only its image has.
    fn dynamodb(&mut self, toktik: &Path) -> Result<String> {
        let mut command = Command::new(toktik);
        command
            .args(["cloud", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.directory.join("dynamodb"))
            .env("TOKTIK_CLOUD_ACCESS_KEY_ID", KEY)
            .env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", KEY);
        self.spawn("dynamodb", &mut command)?;
        self.until("dynamodb says where it is", |process| {
            let said = BufReader::new(File::open(&process.log).ok()?).lines();
            let mut lines = said.map_while(Result::ok);
            lines.find_map(|line| Some(line.split_once(" is at ")?.1.split(' ').next()?.to_owned()))
        })
    }

    /// The hook that compose mounts into LocalStack's container, where LocalStack on a host looks for it.
    fn hook(&self, command: &mut Command, root: &Path, toktik: &Path) -> Result<()> {
        let hooks = self.directory.join("etc/localstack/init/ready.d");
        fs::create_dir_all(&hooks)?;
        let hook = root.join("localstack/init/ready.d/provision.sh");
        fs::copy(&hook, hooks.join("provision.sh")).with_context(|| format!("cannot read {}", hook.display()))?;
        let beside = toktik.parent().context("toktik lies nowhere")?.to_path_buf();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(beside).chain(env::split_paths(&path)))?;
        command
            .env("FILESYSTEM_ROOT", &self.directory)
            .env("PATH", path)
            .envs(self.environment());
        Ok(())
    }

    fn until_it_says(&mut self, path: &str, word: &str) -> Result<()> {
        let url = format!("{}{path}", self.endpoint);
        self.until(&format!("{path} says {word}"), |_| {
            let said = ureq::get(&url).call().ok()?.body_mut().read_to_string().ok()?;
            said.contains(word).then_some(())
        })
    }

    /// Looks at the process that was started last until there is an answer, or it has ended.
    fn until<T>(&mut self, what: &str, look: impl Fn(&Process) -> Option<T>) -> Result<T> {
        let process = self.processes.last_mut().context("nothing was started")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(process) {
                return Ok(found);
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("it ended ({status}) before {what}; it said:\n{}", process.last_words());
            }
            if Instant::now() > deadline {
                bail!("not after {PATIENCE:?}: {what}; it said:\n{}", process.last_words());
            }
            pause(BETWEEN_LOOKS);
        }
    }
}

/// Ends them also where something failed on the way.
impl Drop for Emulator {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself; there is nobody to tell.
            let _ = process.end();
        }
    }
}

impl Process {
    /// What it keeps is thrown away: it need not tidy up.
    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

fn built(root: &Path) -> Result<PathBuf> {
    let mut cargo = workspace::cargo(root);
    let programs = workspace::built(cargo.args(["build", "--workspace", "--bin", "toktik"]))?;
    let toktik = programs.into_iter().find(|(name, _)| name == "toktik");
    Ok(toktik.context("cargo built no toktik")?.1)
}

/// As its documentation says for a host without Docker; it asks nobody on the network.
fn localstack(command: &mut Command, root: &Path, port: u16, dynamodb: &str) {
    command
        .args(["-m", "localstack.runtime.main"])
        .env("PYTHONPATH", root.join("localstack/emulators/localstack"))
        .env("PROVIDER_OVERRIDE_DYNAMODB", "toktik")
        .env("TOKTIK_DYNAMODB_URL", dynamodb)
        .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
        .env("SERVICES", "s3,sqs,dynamodb")
        // Without it any presigned URL opens everything.
        .env("S3_SKIP_SIGNATURE_VALIDATION", "0")
        .env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .env("DISABLE_EVENTS", "1")
        .env("DNS_ADDRESS", "0")
        // It guesses, and is wrong where tests run in a container: then it would look for its hook, and write, elsewhere.
        .env("OVERRIDE_IN_DOCKER", "0");
}

/// It is free now; who is quick could still take it, and then the emulator says so and ends.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
