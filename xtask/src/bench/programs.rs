//! The programs that are measured, and those that measure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cold_start;
use crate::dist;
use crate::workspace;

const TOKTIK: &str = "toktik";
const LOAD: &str = "toktik-load";
const REFERENCE: &str = "toktik-reference";

pub(super) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// As they are shipped, unless another profile is asked for.
    pub(super) fn build(root: &Path, profile: Option<&str>, functions: bool) -> Result<Self> {
        let mut packages = [TOKTIK, LOAD, REFERENCE].map(str::to_owned).to_vec();
        if functions {
            packages.extend(dist::functions(root)?);
            packages.push(cold_start::HELLO.to_owned());
        }
        match profile {
            None => Ok(Self(dist::built_for_here(root, &packages)?)),
            Some(profile) => {
                let mut cargo = workspace::cargo(root);
                cargo.args(["build", "--bins", "--profile", profile]);
                for package in packages {
                    cargo.args(["--package", &package]);
                }
                Ok(Self(workspace::built(&mut cargo)?.into_iter().collect()))
            }
        }
    }

    pub(super) fn toktik(&self) -> Result<&Path> {
        self.named(TOKTIK)
    }

    pub(super) fn load(&self) -> Result<&Path> {
        self.named(LOAD)
    }

    pub(super) fn reference(&self) -> Result<&Path> {
        self.named(REFERENCE)
    }

    /// Each function alone, and the least server.
    pub(super) fn functions(&self) -> impl Iterator<Item = (&String, &PathBuf)> {
        let others = [TOKTIK, LOAD, REFERENCE];
        self.0.iter().filter(move |(name, _)| !others.contains(&name.as_str()))
    }

    fn named(&self, name: &str) -> Result<&Path> {
        let path = self.0.get(name);
        path.map(PathBuf::as_path)
            .with_context(|| format!("cargo built no program called {name}"))
    }
}
