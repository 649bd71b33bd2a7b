//! Where the workspace is, and how its tools are started.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The workspace this xtask was started from.
///
/// Asked at run time: clones share compiled artefacts, so that a path compiled in may be another clone's.
pub(crate) fn root() -> Result<PathBuf> {
    let started_in = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(xtask) => PathBuf::from(xtask),
        None => env::current_dir().context("the current directory is gone")?,
    };
    started_in
        .ancestors()
        .find(|dir| dir.join("xtask/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is not inside Toktik's workspace", started_in.display()))
}

/// `cargo` in the workspace, as if it were called from a shell.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_cargo_run(name)) {
        command.env_remove(name);
    }
    command
}

/// Where cargo keeps what it installs; tools of ours that cargo does not know lie there too, outside any clone.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    let own = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(own);
    home.context("neither CARGO_HOME nor HOME says where tools may be kept")
}

/// Drops what another clone compiled of the workspace's own crates.
///
/// Clones share one directory of compiled artefacts, and cargo tells stale from fresh by the age of files: sources of
/// this clone that are older than another clone's build would count as built.
pub(crate) fn settle(root: &Path) -> Result<()> {
    let marker = build_directory(root)?.join("toktik-workspace");
    let here = root.to_string_lossy();
    match fs::read_to_string(&marker) {
        Ok(last) if last == here => return Ok(()),
        Ok(_) => {
            say("another clone was built last: building this one's crates anew");
            must(cargo(root).args(["clean", "--quiet", "--workspace"]))?;
        }
        Err(_) => {}
    }
    fs::create_dir_all(marker.parent().unwrap_or(root))?;
    fs::write(&marker, here.as_bytes()).with_context(|| format!("cannot write {}", marker.display()))
}

fn build_directory(root: &Path) -> Result<PathBuf> {
    let output = cargo(root)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cannot read what cargo says")?;
    let directory = metadata["build_directory"]
        .as_str()
        .or(metadata["target_directory"].as_str());
    directory
        .map(PathBuf::from)
        .context("cargo does not say where it builds")
}

/// Runs `cargo build …` and asks it where it put the programs, by their names.
pub(crate) fn built(cargo: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    // In this format cargo still shows its progress and the compiler's messages on stderr.
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut programs = Vec::new();
    for line in BufReader::new(stdout).lines() {
        programs.extend(executable(&line.context("cannot read what cargo says")?));
    }
    if !child.wait().context("cargo got lost")?.success() {
        bail!("it does not build; the compiler's messages are above");
    }
    Ok(programs)
}

/// A program's name and path, if this line of cargo's tells them.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = (message["reason"] == "compiler-artifact").then(|| message["executable"].as_str())??;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

/// What `cargo run` tells xtask about itself. Build scripts that watch these variables (ring's does) would see them change
/// between `cargo xtask` and plain `cargo`, and build again each time.
fn is_of_cargo_run(name: &OsString) -> bool {
    let Some(name) = name.to_str() else { return false };
    name.starts_with("CARGO_PKG_")
        || matches!(
            name,
            "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_CRATE_NAME" | "CARGO_BIN_NAME"
        )
}

/// One line about what is being done now.
pub(crate) fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// Runs a command that must succeed; it never reads from the terminal.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Whether a command can be started and succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Waits. Here one thread has nothing else to do until another program has moved on.
#[expect(clippy::disallowed_methods, reason = "xtask has no executor that it could block")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_run_adds_is_taken_away() {
        let kept = [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_TERM_COLOR",
            "PATH",
            "RUSTFLAGS",
        ];
        assert!(!kept.iter().any(|name| is_of_cargo_run(&OsString::from(name))));
        let taken = [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION_MAJOR",
        ];
        assert!(taken.iter().all(|name| is_of_cargo_run(&OsString::from(name))));
    }

    #[test]
    fn programs_are_found_among_cargos_messages() {
        let program =
            r#"{"reason":"compiler-artifact","target":{"name":"toktik","kind":["bin"]},"executable":"/t/toktik"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"name":"toktik","kind":["lib"]},"executable":null}"#;
        assert_eq!(
            executable(program),
            Some(("toktik".to_owned(), PathBuf::from("/t/toktik")))
        );
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("not JSON"), None);
    }

    #[test]
    fn a_command_is_shown_by_its_name() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["build", "-p", "toktik"]);
        assert_eq!(shown(&command), "cargo build -p toktik");
    }
}
