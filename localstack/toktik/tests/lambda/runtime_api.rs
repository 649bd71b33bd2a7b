//! The Runtime API that functions are started under: cargo-lambda's, one for all functions, and before it for each a door
//! that sets the deadline. The emulator itself says 1970.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use reqwest::Client;
use tokio::process::{Child, Command};
use toktik_events::Function;

use crate::until;

const DEADLINE: &str = "lambda-runtime-deadline-ms";
const USUAL_SECONDS: u64 = 900;

pub(crate) struct RuntimeApi {
    pub(crate) base: String,
    client: Client,
    _emulator: Child,
}

/// Where one function finds its Runtime API.
pub(crate) struct Door {
    /// Host and port.
    pub(crate) address: String,
    timeout_seconds: Arc<AtomicU64>,
}

impl Door {
    /// What the function's configuration would say, from the next invocation on.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout_seconds.store(timeout.as_secs(), Ordering::SeqCst);
    }
}

/// Where `cargo xtask test` installs it.
fn cargo_lambda() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    let program = cargo.join("toktik-lambda/bin/cargo-lambda");
    assert!(
        program.is_file(),
        "{} is missing: `cargo xtask test` installs it",
        program.display()
    );
    program
}

impl RuntimeApi {
    pub(crate) async fn start(directory: &Path, functions: &[Function]) -> Self {
        let project = directory.join("functions");
        let own = format!("of-{}", std::process::id());
        describe(&project, functions, &own);
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        loop {
            let port = free_port();
            let base = format!("http://127.0.0.1:{port}");
            let mut emulator = start(&project, port);
            if answers(&client, &base, &own, &mut emulator).await {
                return Self {
                    base,
                    client,
                    _emulator: emulator,
                };
            }
        }
    }

    pub(crate) async fn door(&self, function: Function) -> Door {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let timeout_seconds = Arc::new(AtomicU64::new(USUAL_SECONDS));
        let way = Way {
            client: self.client.clone(),
            base: format!("{}/.rt/{function}", self.base),
            timeout_seconds: Arc::clone(&timeout_seconds),
        };
        let router = Router::new().fallback(pass).with_state(way);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Door {
            address,
            timeout_seconds,
        }
    }
}

/// A project whose programs have the functions' names: the emulator serves no others.
fn describe(project: &Path, functions: &[Function], own: &str) {
    let mut manifest = "[package]\nname = \"functions\"\nversion = \"0.0.0\"\n\n[workspace]\n".to_owned();
    for name in functions.iter().map(|function| function.name()).chain([own]) {
        write!(manifest, "\n[[bin]]\nname = \"{name}\"\npath = \"main.rs\"\n").unwrap();
    }
    std::fs::create_dir(project).unwrap();
    std::fs::write(project.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(project.join("main.rs"), "fn main() {}\n").unwrap();
}

/// Another process may take it before the emulator does, which then ends.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(project: &Path, port: u16) -> Child {
    Command::new(cargo_lambda())
        .args(["lambda", "watch", "--only-lambda-apis", "-A", "127.0.0.1", "-P"])
        .arg(port.to_string())
        .current_dir(project)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Whether it is this emulator that serves there, and not another test's.
async fn answers(client: &Client, base: &str, own: &str, emulator: &mut Child) -> bool {
    let url = format!("{base}/2015-03-31/functions/nobody/invocations");
    until("the Runtime API answers", async || {
        if emulator.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let answer = client.post(&url).send().await.ok()?.text().await.ok()?;
        answer.contains(own).then_some(true)
    })
    .await
}

#[derive(Clone)]
struct Way {
    client: Client,
    base: String,
    timeout_seconds: Arc<AtomicU64>,
}

async fn pass(State(way): State<Way>, request: Request) -> Response {
    match way.forward(request).await {
        Ok(response) => response,
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

impl Way {
    async fn forward(&self, request: Request) -> reqwest::Result<Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let url = format!("{}{}", self.base, parts.uri);
        let answer = self.client.request(parts.method, url).headers(parts.headers).body(body);
        let answer = answer.send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        if headers.contains_key(DEADLINE) {
            let timeout = TimeDelta::seconds(self.timeout_seconds.load(Ordering::SeqCst).cast_signed());
            let deadline = (Utc::now() + timeout).timestamp_millis();
            headers.insert(DEADLINE, HeaderValue::from(deadline));
        }
        let mut response = Response::new(Body::from(answer.bytes().await?));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
