//! `toktik secrets`: the secrets of a new installation, for a host that keeps them itself. Nothing remembers them here.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Map, Value, json};

use crate::secrets::Secrets;

/// What the Secret is called, and whose it is.
const NAME: &str = "toktik";

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Print a Secret for Kubernetes instead of variables for a shell
    #[arg(long)]
    pub kubernetes: bool,
    /// Namespace of that Secret
    #[arg(long, default_value = NAME, value_name = "NAME")]
    pub namespace: String,
    /// Make the Secret in the cluster that this pod runs in, unless there is one already; prints nothing secret
    #[arg(long, conflicts_with = "kubernetes")]
    pub apply: bool,
    /// Whether to add keys of the stores, and which
    #[arg(long, value_enum, default_value = "none")]
    pub store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// None: functions reach the stores by a role, or their keys are kept elsewhere
    None,
    /// New ones, for an embedded cloud
    New,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of the environment
    Environment,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let entries = entries(settings.store)?;
    if settings.apply {
        let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
        return runtime.block_on(apply(&entries));
    }
    let text = if settings.kubernetes {
        serde_json::to_string_pretty(&manifest(&settings.namespace, &entries))? + "\n"
    } else {
        variables(&entries)
    };
    std::io::stdout().write_all(text.as_bytes()).context("writing them")
}

type Entries = Vec<(&'static str, String)>;

/// Under the names of the variables that functions read them from.
pub fn entries(store: Store) -> anyhow::Result<Entries> {
    let secrets = Secrets::generate()?;
    let mut entries = vec![
        ("TOKTIK_TOKEN_PRIVATE_KEY", one_line(&secrets.token_private_key)),
        ("TOKTIK_TOKEN_JWKS", secrets.token_jwks),
        ("TOKTIK_LINK_SECRET", secrets.link_secret),
    ];
    let given = |name: &str| std::env::var(name).with_context(|| format!("{name} is not in the environment"));
    let (id, key) = match store {
        Store::None => return Ok(entries),
        Store::New => (secrets.access_key_id, secrets.secret_access_key),
        Store::Environment => (given("AWS_ACCESS_KEY_ID")?, given("AWS_SECRET_ACCESS_KEY")?),
    };
    entries.extend([("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", key)]);
    Ok(entries)
}

/// The base64 inside of a PEM: files of variables have one line each.
fn one_line(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// As a shell and systemd read them.
fn variables(entries: &Entries) -> String {
    let line = |(name, value): &(&str, String)| format!("{name}='{}'\n", value.replace('\'', r"'\''"));
    entries.iter().map(line).collect()
}

fn manifest(namespace: &str, entries: &Entries) -> Value {
    let data: Map<String, Value> = entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": NAME}},
        "type": "Opaque",
        "stringData": data,
    })
}

/// Where a pod finds who it is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

async fn apply(entries: &Entries) -> anyhow::Result<()> {
    let cluster = Cluster::of_this_pod()?;
    if cluster.create(entries).await? {
        eprintln!("The Secret {NAME} is made.");
    } else {
        eprintln!("There is a Secret {NAME} already. It stays as it is.");
    }
    Ok(())
}

/// Kubernetes' API, as the service account of a pod reaches it.
struct Cluster {
    client: Client,
    url: String,
    token: String,
    namespace: String,
}

impl Cluster {
    fn of_this_pod() -> anyhow::Result<Self> {
        let variable =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: no pod of a cluster"));
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("https://{host}:{}", variable("KUBERNETES_SERVICE_PORT")?);
        Self::at(url, Path::new(ACCOUNT))
    }

    /// Trusts nobody but the cluster's own authority.
    fn at(url: String, account: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = account.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let authorities =
            Certificate::from_pem_bundle(read("ca.crt")?.as_bytes()).context("the cluster's authority")?;
        if authorities.is_empty() {
            bail!("the cluster's authority has no certificate");
        }
        let client = Client::builder().tls_certs_only(authorities).no_proxy().build();
        Ok(Self {
            client: client.context("setting up the connection")?,
            url,
            token: read("token")?.trim().to_owned(),
            namespace: read("namespace")?.trim().to_owned(),
        })
    }

    /// Whether there was none before. What is there is never changed: tokens and links would be void at once.
    async fn create(&self, entries: &Entries) -> anyhow::Result<bool> {
        let url = format!("{}/api/v1/namespaces/{}/secrets", self.url, self.namespace);
        let request = self.client.post(url).bearer_auth(&self.token);
        let response = request.json(&manifest(&self.namespace, entries)).send().await;
        let response = response.context("asking the cluster")?;
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            status => bail!(
                "the cluster answered {status}: {}",
                response.text().await.unwrap_or_default()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use axum::{Json, Router};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn every_installation_has_secrets_of_its_own_in_one_line_each() {
        let [one, other] = [Store::New, Store::New].map(|store| entries(store).unwrap());
        for ((name, value), (_, another)) in one.iter().zip(&other) {
            assert!(!value.contains('\n') && !value.is_empty(), "{name}");
            assert!(value != another || *name == "AWS_ACCESS_KEY_ID", "{name}");
        }
        assert_eq!(one.len(), 5);
        assert_eq!(entries(Store::None).unwrap().len(), 3);
    }

    #[test]
    fn a_shell_reads_what_was_written() {
        let tricky = vec![("A", r#"{"a": "$b"}"#.to_owned()), ("B", "it's".to_owned())];
        assert_eq!(variables(&tricky), "A='{\"a\": \"$b\"}'\nB='it'\\''s'\n");
    }

    type Taken = Arc<Mutex<Option<(String, Value)>>>;

    /// As the API server does it: what is there is a conflict.
    async fn take(State(taken): State<Taken>, headers: HeaderMap, Json(secret): Json<Value>) -> StatusCode {
        let mut taken = taken.lock().unwrap();
        if taken.is_some() {
            return StatusCode::CONFLICT;
        }
        let token = headers["authorization"].to_str().unwrap().to_owned();
        *taken = Some((token, secret));
        StatusCode::CREATED
    }

    #[tokio::test]
    async fn a_secret_is_made_once_and_never_changed() {
        let taken = Taken::default();
        let router = Router::new().route("/api/v1/namespaces/here/secrets", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router.with_state(taken.clone())).into_future());
        let cluster = |namespace: &str| Cluster {
            client: Client::new(),
            url: url.clone(),
            token: "who I am".to_owned(),
            namespace: namespace.to_owned(),
        };
        let first = entries(Store::New).unwrap();
        assert!(cluster("here").create(&first).await.unwrap());
        assert!(!cluster("here").create(&entries(Store::New).unwrap()).await.unwrap());
        let (token, secret) = taken.lock().unwrap().clone().unwrap();
        assert_eq!(token, "Bearer who I am");
        assert_eq!(secret, manifest("here", &first));
        let elsewhere = cluster("elsewhere").create(&first).await.unwrap_err();
        assert!(elsewhere.to_string().contains("404"), "{elsewhere}");
    }

    #[test]
    fn a_cluster_without_an_authority_is_not_trusted() {
        let account = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.crt", "?"), ("token", "t"), ("namespace", "n")] {
            std::fs::write(account.path().join(name), text).unwrap();
        }
        assert!(Cluster::at("https://127.0.0.1:1".to_owned(), account.path()).is_err());
    }
}
