//! The programs that are measured, and those that measure.

use std::collections::BTreeMap;
use std::fs;
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

    /// As somebody has built them before.
    pub(super) fn lying_in(folder: &Path) -> Result<Self> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut programs = BTreeMap::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Beside them lies what cargo notes of them, and that has an extension.
            if name.starts_with(TOKTIK) && path.is_file() && path.extension().is_none() {
                programs.insert(name, path);
            }
        }
        Ok(Self(programs))
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
            .with_context(|| format!("there is no program called {name}"))
    }
}
