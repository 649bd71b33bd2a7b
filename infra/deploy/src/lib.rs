//! How Toktik is deployed: one table of programs and the two tables of routes, and what follows from them for Knative,
//! OpenFaaS and Docker Compose. `cargo xtask manifests` writes it down; a test fails when what is committed is something else.
//!
//! What is generated here is also read again: [`objects`] knows the fields that we allow ourselves, [`rules`] what the
//! clusters' webhooks refuse although every schema allows it, and what we want of ourselves. The same is asked of what
//! is written by hand, after `kubectl kustomize` has put it together.

pub mod compose;
pub mod kn;
pub mod knative;
pub mod objects;
pub mod openfaas;
pub mod render;
pub mod rules;
pub mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use table::DEPLOYMENTS;

/// The first line of what no person edits.
const MADE_BY: &str = "Made by `cargo xtask manifests` from infra/deploy/src/table.rs.";

/// A file that follows from the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// From the root of the workspace.
    pub path: PathBuf,
    pub text: String,
}

/// All of them, the READMEs that are generated in part included.
pub fn files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut files: Vec<File> = DEPLOYMENTS
        .iter()
        .map(|deployment| {
            file(
                format!("knative/base/{}.yaml", deployment.name),
                knative::service(deployment),
            )
        })
        .collect();
    files.push(file("knative/base/triggers.yaml", knative::triggers(knative::routes())));
    files.push(file(
        "knative/overlays/aws/triggers.yaml",
        knative::triggers(knative::aws_routes()),
    ));
    files.push(file("infra/openfaas/stack.yaml", openfaas::stack()));
    files.push(file("localstack/compose.yaml", compose::file()));
    let readme = "knative/README.md";
    let text = fs::read_to_string(root.join(readme)).with_context(|| format!("reading {readme}"))?;
    let text = between_marks(&text, "services", &kn::services())?;
    files.push(file(readme, between_marks(&text, "events", &kn::events())?));
    Ok(files)
}

fn file(path: impl Into<PathBuf>, text: String) -> File {
    File {
        path: path.into(),
        text,
    }
}

/// Puts `new` between `<!-- NAME -->` and `<!-- end of NAME -->`.
fn between_marks(text: &str, name: &str, new: &str) -> anyhow::Result<String> {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let missing = || format!("the marks {} and {end} are not there", start.trim_end());
    let (before, rest) = text.split_once(&start).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{start}{new}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        let new = "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n";
        assert_eq!(between_marks(text, "x", "new\n").unwrap(), new);
        assert!(between_marks("a\n<!-- x -->\n", "x", "new\n").is_err());
    }
}
