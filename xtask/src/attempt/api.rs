//! Toktik's HTTP API, as much of it as one upload needs, and storage behind signed URLs.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use super::problem;
use crate::workspace::pause;

/// How often "busy, come back later" (429, 503) is heeded before it counts as an answer.
const BUSY_TRIES: u32 = 6;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So long a server that was there may be away.
const ABSENCE: Duration = Duration::from_secs(30);
/// Nobody moves for so long only if they will not move any more.
const STALL: Duration = Duration::from_mins(1);

/// A signed-in user of a server.
pub(crate) struct Api {
    http: Agent,
    server: String,
    /// Where people sign in.
    auth: String,
    account: Account,
    token: String,
}

#[derive(Clone)]
struct Account {
    username: String,
    password: String,
}

/// Any answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    request: String,
    pub(crate) status: u16,
    retry_after: Option<Duration>,
    body: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

impl Api {
    /// A new account with a random name, signed in.
    pub(crate) fn register(server: &str) -> Result<Self> {
        Self::register_as(server, Account::random()?)
    }

    /// A new account with this name, signed in.
    pub(crate) fn named(server: &str, username: &str, password: &str) -> Result<Self> {
        let account = Account {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        Self::register_as(server, account)
    }

    fn register_as(server: &str, account: Account) -> Result<Self> {
        let server = server.trim_end_matches('/').to_owned();
        if !is_absolute(&server) {
            bail!("--server {server}: an address like http://localhost:8080 is wanted");
        }
        let mut api = Self {
            http: agent(),
            auth: server.clone(),
            server,
            account,
            token: String::new(),
        };
        let new = json!({
            "username": api.account.username,
            "password": api.account.password,
            "email": format!("{}@example.com", api.account.username),
        });
        api.call("POST", "/auth/register", Some(&new))?.accept("registering")?;
        api.log_in()?;
        Ok(api)
    }

    /// The same person at another function's address, where there is no gateway.
    pub(crate) fn at(&self, server: &str) -> Self {
        Self {
            http: self.http.clone(),
            server: server.to_owned(),
            auth: self.auth.clone(),
            account: self.account.clone(),
            token: self.token.clone(),
        }
    }

    fn log_in(&mut self) -> Result<()> {
        let known = json!({ "username": self.account.username, "password": self.account.password });
        let tokens: Tokens = self.call("POST", "/auth/login", Some(&known))?.parse("logging in")?;
        self.token = tokens.access_token;
        Ok(())
    }

    /// Asks until there is an answer: a server that is restarted goes on with its clips.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        let asked = Instant::now();
        loop {
            let result = self.signed_in("GET", path, None);
            if result.as_ref().is_ok_and(|answer| answer.status < 500) || asked.elapsed() >= ABSENCE {
                return result;
            }
            pause(Duration::from_secs(1));
        }
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.signed_in("POST", path, Some(body))
    }

    pub(crate) fn put_empty(&mut self, path: &str) -> Result<Answer> {
        self.signed_in("PUT", path, None)
    }

    /// A token lives for minutes, an upload may take hours: on 401 a new one is fetched, once.
    fn signed_in(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.call(method, path, body)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.log_in()?;
        self.call(method, path, body)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        for _ in 1..BUSY_TRIES {
            let answer = self.call_once(method, path, body)?;
            if !matches!(answer.status, 429 | 503) {
                return Ok(answer);
            }
            pause(answer.retry_after.unwrap_or(Duration::from_secs(1)).min(LONGEST_WAIT));
        }
        self.call_once(method, path, body)
    }

    fn call_once(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let server = if path.starts_with("/auth/") {
            &self.auth
        } else {
            &self.server
        };
        let mut request = Request::builder().method(method).uri(format!("{server}/api/v1{path}"));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let response = match body {
            Some(json) => {
                let request = request
                    .header("content-type", "application/json")
                    .body(json.to_string())?;
                self.http.run(request)
            }
            None => self.http.run(request.body(())?),
        };
        let response = response.map_err(|error| unreachable(server, error))?;
        Answer::read(format!("{method} {path}"), response)
    }

    /// Sends bytes to storage. `headers` are part of the URL's signature and must go along as they are.
    pub(crate) fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        length: u64,
        mut bytes: impl Read,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method("PUT")
            .uri(self.absolute(url))
            .header("content-length", length);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(SendBody::from_reader(&mut bytes))
            .context("an upload URL that is none")?;
        let response = self.http.run(request).context("storage did not take it")?;
        Answer::read("PUT to storage".to_owned(), response)
    }

    /// A URL that the server gave, in full.
    pub(crate) fn absolute(&self, url: &str) -> String {
        if is_absolute(url) {
            url.to_owned()
        } else {
            format!("{}/{}", self.server, url.trim_start_matches('/'))
        }
    }
}

impl Account {
    fn random() -> Result<Self> {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers on this machine: {error}"))?;
        let (name, secret) = bytes.split_at(6);
        // Capitals, small letters, digits and a sign, for servers that count kinds of characters.
        Ok(Self {
            username: format!("try{}", hex(name)),
            password: format!("Try-{}", hex(secret)),
        })
    }
}

impl Answer {
    fn read(request: String, mut response: Response<Body>) -> Result<Self> {
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        let status = response.status().as_u16();
        let bytes = response
            .body_mut()
            .read_to_vec()
            .with_context(|| format!("the answer to {request} broke off"))?;
        Ok(Self {
            request,
            status,
            retry_after,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.body
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Too large, or something about it is invalid: nothing that another try would change.
    pub(crate) fn refuses_the_file(&self) -> bool {
        matches!(self.status, 413 | 422)
    }

    pub(crate) fn sentence(&self) -> String {
        problem::sentence(self.status, &self.body)
    }

    /// An error unless the answer is a success. `doing` says in words what was tried.
    pub(crate) fn accept(&self, doing: &str) -> Result<()> {
        if !self.is_success() {
            bail!(
                "{doing} failed: {} ({} answered {})",
                self.sentence(),
                self.request,
                self.status
            );
        }
        Ok(())
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, doing: &str) -> Result<T> {
        self.accept(doing)?;
        serde_json::from_str(&self.body).with_context(|| {
            format!(
                "{doing} failed: {} answered something that is not Toktik's",
                self.request
            )
        })
    }
}

fn agent() -> Agent {
    // The system's certificates, because a server inside a company is signed by the company.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent("toktik-xtask")
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(10)))
        // Per read and write, never for the whole: a large clip on a slow line may take an hour.
        .timeout_per_read(Some(STALL))
        .timeout_per_write(Some(STALL))
        .build()
        .new_agent()
}

fn unreachable(server: &str, error: ureq::Error) -> anyhow::Error {
    anyhow!(error).context(format!("cannot reach {server} (is `cargo xtask up` running?)"))
}

fn is_absolute(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_valid_and_differ() {
        let (one, other) = (Account::random().unwrap(), Account::random().unwrap());
        assert_ne!(one.username, other.username);
        assert_ne!(one.password, other.password);
        assert!(
            one.username.len() == 15
                && one
                    .username
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
    }

    #[test]
    fn urls_of_the_server_become_absolute() {
        let account = Account::random().unwrap();
        let api = Api {
            http: agent(),
            server: "http://here:1".to_owned(),
            auth: "http://here:1".to_owned(),
            account,
            token: String::new(),
        };
        assert_eq!(api.absolute("/api/v1/x"), "http://here:1/api/v1/x");
        assert_eq!(api.absolute("https://cdn/x"), "https://cdn/x");
    }
}
