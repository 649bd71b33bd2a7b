//! What `kubectl apply -k` would send: an overlay, put together by `kubectl kustomize`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Every one renders by itself.
pub const OVERLAYS: [&str; 5] = ["aws", "kafka", "local", "minio", "rabbitmq"];

const NO_KUBECTL: &str = "kubectl is not on PATH: it renders the manifests (`cargo xtask test` installs it where it can; \
                          https://kubernetes.io/docs/tasks/tools/ says how to by hand)";

/// All objects of a directory with a `kustomization.yaml`. Needs no cluster.
pub fn kustomize(directory: &Path) -> anyhow::Result<Vec<Value>> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .context(NO_KUBECTL)?;
    if !output.status.success() {
        bail!(
            "kubectl kustomize {}: {}",
            directory.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    read(&String::from_utf8(output.stdout).context("not UTF-8")?)
}

/// The documents of a YAML file. One that has only comments is none.
pub fn read(yaml: &str) -> anyhow::Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
