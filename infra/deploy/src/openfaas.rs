//! `stack.yaml` of OpenFaaS: every function, without a broker.

use std::fmt::Write as _;

use crate::MADE_BY;
use crate::knative::quoted;
use crate::table::{DEPLOYMENTS, Deployment, TOKEN_JWKS, TOKEN_PRIVATE_KEY};

/// Where OpenFaaS puts the files of secrets.
const SECRETS: &str = "/var/openfaas/secrets";
/// The stores' keys, as a file of AWS's own tools.
const CREDENTIALS: &str = "toktik-aws";
/// The Community Edition runs no more replicas of one function.
const MOST_REPLICAS: u32 = 5;

pub fn stack() -> String {
    let mut text = format!(
        "# {MADE_BY}\n\
         # `${{NAME:-default}}` is filled in from the environment of faas-cli. README.md beside this says what to set.\n\
         version: 1.0\n\
         provider:\n  \
           name: openfaas\n  \
           gateway: http://127.0.0.1:8080\n\
         \n\
         functions:\n"
    );
    for deployment in DEPLOYMENTS.iter().filter(|deployment| !deployment.is_public()) {
        text.push_str(&function(deployment));
    }
    text
}

fn function(deployment: &Deployment) -> String {
    let Deployment { name, about, .. } = deployment;
    let [cpu, most_cpu] = deployment.cpu.map(quoted);
    let [memory, most_memory] = deployment.memory;
    let mut text = format!(
        "  # {about}\n  \
           {name}:\n    \
             skip_build: true\n    \
             image: ${{TOKTIK_REGISTRY:-dev.local}}/toktik-{name}:${{TOKTIK_TAG:-latest}}\n    \
             labels:\n      \
               com.openfaas.scale.min: \"1\"\n      \
               com.openfaas.scale.max: \"{}\"\n    \
             annotations:\n      \
               com.openfaas.health.http.path: /healthz\n      \
               com.openfaas.ready.http.path: /readyz\n    \
             readonly_root_filesystem: true\n    \
             requests:\n      \
               cpu: {cpu}\n      \
               memory: {memory}\n    \
             limits:\n      \
               cpu: {most_cpu}\n      \
               memory: {most_memory}\n    \
             environment:\n",
        deployment.max_scale.min(MOST_REPLICAS),
    );
    for (name, value) in environment(deployment) {
        let _ = writeln!(text, "      {name}: {}", quoted(&value));
    }
    text.push_str("    secrets:\n");
    for secret in secrets(deployment) {
        let _ = writeln!(text, "      - {secret}");
    }
    text
}

fn environment(deployment: &Deployment) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("PORT", "8080".to_owned()),
        ("AWS_REGION", "${AWS_REGION:-us-east-1}".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", format!("{SECRETS}/{CREDENTIALS}")),
        ("TOKTIK_LOG_FORMAT", "json".to_owned()),
    ];
    if deployment.answers_requests() {
        told.push(("TOKTIK_TRUST_PROXY", "forwarded".to_owned()));
    } else {
        // Nobody brings events here, so that a function that is started by them fetches its own.
        told.push(("TOKTIK_HOST", "queue".to_owned()));
    }
    for key in deployment.secrets {
        told.push((key, secret_value(key)));
    }
    told.extend(
        deployment
            .environment_of_workers()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    told
}

/// A file where the function reads one, else what faas-cli is told.
fn secret_value(key: &str) -> String {
    match secret_file(key) {
        Some(file) => format!("@{SECRETS}/{file}"),
        None => format!("${{{key}}}"),
    }
}

fn secret_file(key: &str) -> Option<&'static str> {
    match key {
        TOKEN_PRIVATE_KEY => Some("toktik-token-private-key"),
        TOKEN_JWKS => Some("toktik-token-jwks"),
        _ => None,
    }
}

fn secrets(deployment: &Deployment) -> Vec<&'static str> {
    let own = deployment.secrets.iter().filter_map(|key| secret_file(key));
    std::iter::once(CREDENTIALS).chain(own).collect()
}
