//! `cargo xtask manifests`: how functions are deployed, written down again from the tables.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::{self, must};

/// Write what follows from the tables into knative/, infra/openfaas/ and localstack/compose.yaml
///
/// Prints the files that change. `cargo xtask test` fails while one differs from what this would write.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    workspace::settle(&root)?;
    let mut command = workspace::cargo(&root);
    must(
        command
            .args(["run", "--quiet", "--package", "toktik-deploy", "--"])
            .arg(&root),
    )?;
    Ok(ExitCode::SUCCESS)
}
