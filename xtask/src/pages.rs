//! What npm sees to: the packages of the browser harness, and the web app's pages, which cargo then embeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::install::{self, Need};
use crate::workspace::{must, say};

/// Written when the pages are built, where neither git nor cargo looks.
const STAMP: &str = "node_modules/.toktik-built";

/// Builds the pages if they are older than what they are made of.
pub(crate) fn ensure(root: &Path) -> Result<()> {
    let pages = directory(root);
    if is_built(&pages)? {
        return Ok(());
    }
    install::ensure(&[Need::Node])?;
    build(&pages)
}

/// The same where the program has a use without them: on a machine that cannot have npm it does without.
pub(crate) fn try_ensure(root: &Path) -> Result<()> {
    let pages = directory(root);
    if is_built(&pages)? {
        return Ok(());
    }
    if let Err(error) = install::ensure(&[Need::Node]) {
        say(&format!(
            "{error:#}. The pages are not built; the API is there all the same"
        ));
        return Ok(());
    }
    build(&pages)
}

/// Whether they are of right types; they are built without looking at that.
pub(crate) fn check(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "check"]).current_dir(directory(root));
    command
}

/// Installs the packages that the lockfile in this directory names, if it has changed since it was done.
pub(crate) fn packages(directory: &Path, arguments: &[&str]) -> Result<()> {
    if packages_are_current(directory) {
        return Ok(());
    }
    say(&format!("installing the packages of {} with npm", directory.display()));
    let quiet = ["ci", "--no-audit", "--no-fund"];
    must(Command::new("npm").args(quiet).args(arguments).current_dir(directory))
}

fn directory(root: &Path) -> PathBuf {
    root.join("functions/web/ui")
}

fn build(pages: &Path) -> Result<()> {
    packages(pages, &[])?;
    say("building the web app's pages");
    must(
        Command::new("npm")
            .args(["run", "--silent", "build"])
            .current_dir(pages),
    )?;
    let stamp = pages.join(STAMP);
    fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
}

/// Whether nothing has changed since they were built.
fn is_built(pages: &Path) -> Result<bool> {
    let Some(built) = changed(&pages.join(STAMP)) else {
        return Ok(false);
    };
    Ok(pages.join("dist/index.html").is_file() && newest(pages)? <= built)
}

/// When the youngest source was changed.
fn newest(directory: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        let is_made = ["dist", "node_modules"].iter().any(|made| path.ends_with(made));
        if is_made {
            continue;
        }
        let time = if path.is_dir() {
            self::newest(&path)?
        } else {
            changed(&path).unwrap_or(newest)
        };
        newest = newest.max(time);
    }
    Ok(newest)
}

/// Whether npm installed after the lockfile last changed; npm writes a copy of the lockfile when it is done.
fn packages_are_current(directory: &Path) -> bool {
    let changed = |file| changed(&directory.join(file));
    match (changed("node_modules/.package-lock.json"), changed("package-lock.json")) {
        (Some(installed), Some(wanted)) => installed >= wanted,
        _ => false,
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(directory: &Path, name: &str) -> fs::File {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap()
    }

    #[test]
    fn npm_runs_again_only_after_the_lockfile_changed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "package-lock.json");
        assert!(!packages_are_current(dir.path()));
        write(dir.path(), "node_modules/.package-lock.json");
        assert!(packages_are_current(dir.path()));
    }

    #[test]
    fn pages_are_built_again_when_a_source_is_younger() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path();
        write(pages, "src/views/Feed.svelte");
        write(pages, "dist/index.html");
        assert!(!is_built(pages).unwrap(), "half of a build is none");
        write(pages, STAMP);
        assert!(is_built(pages).unwrap());
        let later = SystemTime::now() + Duration::from_mins(1);
        write(pages, "dist/assets/x.js").set_modified(later).unwrap();
        write(pages, "node_modules/x/index.js").set_modified(later).unwrap();
        assert!(is_built(pages).unwrap(), "what was made is no source");
        write(pages, "src/views/Watch.svelte").set_modified(later).unwrap();
        assert!(!is_built(pages).unwrap());
    }
}
