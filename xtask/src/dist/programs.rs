//! Builds every program statically, stripped, and tells where it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Program;
use crate::workspace::{self, say, shown};

/// The architecture of this machine, as the compiler calls it.
pub(super) fn host(root: &Path) -> Result<String> {
    let output = rustc(root).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say for what it compiles")?.to_owned())
}

fn rustc(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root);
    command
}

/// Fails with what to do where the standard library for the target is missing.
pub(super) fn check_target(root: &Path, target: &str) -> Result<()> {
    let output = rustc(root)
        .args(["--print", "target-libdir", "--target", target])
        .output();
    let output = output.context("cannot start rustc")?;
    let directory = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("rustc knows no target {target}");
    }
    if !Path::new(directory.trim()).is_dir() {
        bail!("Rust's standard library for {target} is missing: rustup target add {target}");
    }
    Ok(())
}

/// What a machine needs to build for the other architecture.
pub(super) fn cross_building(host: &str) -> String {
    let (other, debian) = if host.starts_with("aarch64") {
        ("x86_64-unknown-linux-gnu", "x86-64-linux-gnu")
    } else {
        ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu")
    };
    let variable = other.to_uppercase().replace('-', "_");
    let gcc = other.replace("-unknown", "");
    format!(
        "for {other}: rustup target add {other}; install a C compiler for it (Debian: gcc-{debian}); then \
         CARGO_TARGET_{variable}_LINKER={gcc}-gcc cargo xtask dist --target {other}"
    )
}

/// Builds, and copies what was built to `bin`.
pub(super) fn build(root: &Path, target: &str, bin: &Path) -> Result<Vec<Program>> {
    let names = names(root)?;
    let built = compile(root, target, &names)?;
    fs::create_dir_all(bin)?;
    let copy = |name: String| {
        let from = built
            .get(&name)
            .with_context(|| format!("cargo built no program called {name}"))?;
        let path = bin.join(&name);
        fs::copy(from, &path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Program { name, path })
    };
    names.into_iter().map(copy).collect()
}

/// Builds these packages' programs and tells where they are.
pub(super) fn compile(root: &Path, target: &str, packages: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = workspace::cargo(root);
    cargo.args(["build", "--profile", "dist", "--bins", "--target", target]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    // For the target alone: build scripts and macros cannot be linked so.
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    cargo.env(variable, "-C target-feature=+crt-static");
    say(&format!(
        "{} (the first time takes a quarter of an hour)",
        shown(&cargo)
    ));
    Ok(workspace::built(&mut cargo)?.into_iter().collect())
}

/// Every function by its folder, and the program that holds them all.
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    let mut names = vec!["toktik".to_owned()];
    for folder in fs::read_dir(root.join("functions")).context("cannot list functions/")? {
        let folder = folder?.file_name();
        names.push(format!("toktik-{}", folder.to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_the_workspace_is_shipped() {
        let names = names(&workspace::root().unwrap()).unwrap();
        for name in ["toktik", "toktik-auth", "toktik-dead-letter", "toktik-gateway"] {
            assert!(names.iter().any(|other| other == name), "{name}");
        }
    }

    #[test]
    fn the_other_architecture_is_told_as_commands() {
        let told = cross_building("x86_64-unknown-linux-gnu");
        assert!(told.contains("gcc-aarch64-linux-gnu)"), "{told}");
        assert!(
            told.contains("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc"),
            "{told}"
        );
    }
}
