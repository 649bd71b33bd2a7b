//! Programs that a fresh machine lacks, from the system's own package manager.
//!
//! What is there already is never touched, and nothing is downloaded by other means than a package manager.

use std::env;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, must, say, succeeds};

/// A program that the house needs and does not build.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Need {
    /// Builds the allocator, beside a C compiler.
    Make,
    Ffmpeg,
    Chromium,
    Node,
    /// With what makes virtual environments, which Debian keeps apart.
    Python,
    /// Renders manifests; no cluster is ever asked.
    Kubectl,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Apk,
    Brew,
}

/// Encoders that some distributions leave out of their ffmpeg.
const ENCODERS: [&str; 4] = ["libx264", "aac", "libmp3lame", "libwebp"];

/// The first kubectl whose kustomize knows components and replacements as manifests use them is 1.27.
const KUSTOMIZE: u32 = 5;

/// Where Chromium may be; `localstack/browser/chromium.mjs` looks at the same places.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC_BROWSER: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Installs those of `needs` that are missing; says so, and fails with what a person can do about it.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_present()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if needs.contains(&Need::Ffmpeg) {
        check_encoders()?;
    }
    Ok(())
}

fn install(missing: &[Need]) -> Result<()> {
    let names = missing.iter().map(|need| need.name()).collect::<Vec<_>>().join(", ");
    let Some(manager) = Manager::detect(|program| which(program).is_some()) else {
        bail!("missing: {names}, and no package manager that xtask knows is here: install {names} and run this again");
    };
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages(manager))
        .copied()
        .collect();
    let prefix = privilege(manager).with_context(|| {
        let by_hand = manager.install_command(&packages).join(" ");
        format!("missing: {names}, and installing takes root: run `{by_hand}` as root, then this again")
    })?;
    say(&format!(
        "installing {} with {}",
        packages.join(", "),
        manager.program()
    ));
    if let Some(refresh) = manager.refresh_command()
        && let Err(error) = run_as(&prefix, &refresh)
    {
        // One source of several may be unreachable, and the package in another.
        say(&format!("{error:#}; going on with the package lists that are here"));
    }
    run_as(&prefix, &manager.install_command(&packages)).with_context(|| hint(manager).to_string())?;
    match missing.iter().find(|need| !need.is_present()) {
        Some(Need::Kubectl) => bail!(
            "this system's package has an older kubectl than 1.27, which renders no manifests: \
             https://kubernetes.io/docs/tasks/tools/ has newer ones"
        ),
        Some(need) => bail!("{} is still not on PATH after its package was installed", need.name()),
        None => Ok(()),
    }
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Make => "make",
            Need::Ffmpeg => "ffmpeg",
            Need::Chromium => "Chromium",
            Need::Node => "node and npm",
            Need::Python => "python3 and its venv",
            Need::Kubectl => "kubectl, 1.27 or later",
        }
    }

    fn is_present(self) -> bool {
        let on_path = |program: &&str| which(program).is_some();
        match self {
            Need::Make => on_path(&"make"),
            Need::Ffmpeg => ["ffmpeg", "ffprobe"].iter().all(on_path),
            Need::Chromium => {
                env::var_os("CHROMIUM").is_some()
                    || BROWSERS.iter().any(on_path)
                    || PathBuf::from(MAC_BROWSER).is_file()
            }
            Need::Node => ["node", "npm"].iter().all(on_path),
            Need::Python => succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
            Need::Kubectl => kubectl_version().is_some_and(|said| kustomize_of(&said) >= Some(KUSTOMIZE)),
        }
    }

    fn packages(self, manager: Manager) -> &'static [&'static str] {
        match (self, manager) {
            (Need::Make, _) => &["make"],
            (Need::Ffmpeg, _) => &["ffmpeg"],
            // Homebrew's build of Chromium is not signed, and macOS refuses to start it.
            (Need::Chromium, Manager::Brew) => &["google-chrome"],
            (Need::Chromium, _) => &["chromium"],
            (Need::Node, Manager::Brew) => &["node"],
            (Need::Node, Manager::Dnf) => &["nodejs", "nodejs-npm"],
            (Need::Node, _) => &["nodejs", "npm"],
            (Need::Python, Manager::Apt) => &["python3", "python3-venv"],
            (Need::Python, Manager::Pacman) => &["python"],
            (Need::Python, _) => &["python3"],
            (Need::Kubectl, Manager::Apt | Manager::Dnf) => &["kubernetes-client"],
            (Need::Kubectl, Manager::Brew) => &["kubernetes-cli"],
            (Need::Kubectl, _) => &["kubectl"],
        }
    }
}

impl Manager {
    /// Homebrew last: on Linux it stands beside the system's own.
    const ALL: [Manager; 5] = [Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Apk, Manager::Brew];

    fn detect(on_path: impl Fn(&str) -> bool) -> Option<Manager> {
        Self::ALL.into_iter().find(|manager| on_path(manager.program()))
    }

    fn program(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            Manager::Dnf => "dnf",
            Manager::Pacman => "pacman",
            Manager::Apk => "apk",
            Manager::Brew => "brew",
        }
    }

    /// apt knows no package before its lists were fetched once; the others fetch them by themselves.
    fn refresh_command(self) -> Option<Vec<&'static str>> {
        (self == Manager::Apt).then(|| vec!["apt-get", "update", "-q"])
    }

    fn install_command<'a>(self, packages: &[&'a str]) -> Vec<&'a str> {
        let start: &[&str] = match self {
            // `env`, because sudo clears the environment; without it a package may stop to ask a question.
            Manager::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "-q",
                "--no-install-recommends",
            ],
            Manager::Dnf => &["dnf", "install", "-y"],
            Manager::Pacman => &["pacman", "-Sy", "--noconfirm", "--needed"],
            Manager::Apk => &["apk", "add", "--no-cache"],
            Manager::Brew => &["brew", "install"],
        };
        start.iter().chain(packages).copied().collect()
    }
}

/// What stands before a command so that it may install: nothing, or `sudo`.
fn privilege(manager: Manager) -> Result<Vec<&'static str>> {
    // Homebrew refuses to run as root.
    if manager == Manager::Brew || is_root() {
        return Ok(vec![]);
    }
    if which("sudo").is_none() {
        bail!("you are not root, and there is no sudo");
    }
    let can_ask = std::io::stdin().is_terminal() && env::var_os("CI").is_none();
    Ok(if can_ask { vec!["sudo"] } else { vec!["sudo", "-n"] })
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn run_as(prefix: &[&str], command: &[&str]) -> Result<()> {
    let words: Vec<&str> = prefix.iter().chain(command).copied().collect();
    let (program, arguments) = words.split_first().context("an empty command")?;
    must(Command::new(program).args(arguments))
}

fn hint(manager: Manager) -> &'static str {
    match manager {
        Manager::Dnf => "Fedora has ffmpeg with H.264 in RPM Fusion only: https://rpmfusion.org/Configuration",
        _ => "the package manager could not install it",
    }
}

/// Some distributions' ffmpeg has no H.264 or MP3 encoder; better said now than by the first clip.
fn check_encoders() -> Result<()> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-encoders"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start ffmpeg")?;
    let lacking = lacking(&String::from_utf8_lossy(&output.stdout));
    if !lacking.is_empty() {
        bail!(
            "the ffmpeg on PATH lacks {}: install a complete build of it",
            lacking.join(", ")
        );
    }
    Ok(())
}

fn kubectl_version() -> Option<String> {
    let output = Command::new("kubectl")
        .args(["version", "--client"])
        .stdin(Stdio::null())
        .output();
    Some(String::from_utf8_lossy(&output.ok()?.stdout).into_owned())
}

/// The line of versions in `Kustomize Version: v5.5.0`; a kubectl that says nothing of it is older.
fn kustomize_of(said: &str) -> Option<u32> {
    let version = said
        .lines()
        .find_map(|line| line.strip_prefix("Kustomize Version: v"))?;
    version.split('.').next()?.parse().ok()
}

fn lacking(encoders: &str) -> Vec<&'static str> {
    let known = |name: &str| {
        encoders
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(name))
    };
    ENCODERS.into_iter().filter(|name| !known(name)).collect()
}

/// The program's place on PATH.
fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path)
        .map(|dir| dir.join(&file))
        .find(|candidate| candidate.is_file())
}

/// `cargo NAME`, of a known line of versions, built from crates.io when it is missing.
pub(crate) fn ensure_cargo_tool(root: &Path, name: &str, version: &str) -> Result<()> {
    if succeeds(workspace::cargo(root).args([name, "--version"])) {
        return Ok(());
    }
    let package = format!("cargo-{name}");
    say(&format!("installing {package} with cargo (takes several minutes)"));
    must(workspace::cargo(root).args(["install", "--locked", &package, "--version", version]))
        .with_context(|| format!("{package} is missing and could not be built"))
}

/// The Python programs that `requirements` names, and nothing that they ask for besides, in an environment of their own
/// that nothing else sees.
pub(crate) fn ensure_python_tools(environment: &Path, requirements: &Path) -> Result<()> {
    // A copy of what was installed, written when all of it was.
    let installed = environment.join("requirements.txt");
    let wanted = fs::read_to_string(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    say(&format!("installing {} with pip", requirements.display()));
    must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--requirement",
    ];
    must(Command::new(environment.join("bin/python")).args(pip).arg(requirements))?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_manager_comes_before_homebrew() {
        let found = |there: &'static [&str]| Manager::detect(|program| there.contains(&program));
        assert_eq!(found(&["brew", "apt-get"]), Some(Manager::Apt));
        assert_eq!(found(&["brew"]), Some(Manager::Brew));
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn apt_asks_no_questions() {
        assert_eq!(
            Manager::Apt.install_command(&["ffmpeg"]).join(" "),
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ffmpeg"
        );
        assert_eq!(
            Manager::Apk.install_command(&["ffmpeg"]).join(" "),
            "apk add --no-cache ffmpeg"
        );
        assert!(Manager::Brew.refresh_command().is_none());
    }

    #[test]
    fn packages_have_each_managers_names() {
        assert_eq!(Need::Chromium.packages(Manager::Brew), ["google-chrome"]);
        assert_eq!(Need::Chromium.packages(Manager::Apt), ["chromium"]);
        assert_eq!(Need::Node.packages(Manager::Pacman), ["nodejs", "npm"]);
        assert_eq!(Need::Python.packages(Manager::Apt), ["python3", "python3-venv"]);
    }

    #[test]
    fn an_old_kubectl_is_as_good_as_none() {
        assert_eq!(
            kustomize_of("Client Version: v1.32.4\nKustomize Version: v5.5.0\n"),
            Some(5)
        );
        assert_eq!(kustomize_of("Client Version: v1.20.2\n"), None);
        assert_eq!(Need::Kubectl.packages(Manager::Apt), ["kubernetes-client"]);
    }

    #[test]
    fn an_ffmpeg_without_its_encoders_is_noticed() {
        let listed = " V....D libx264   H.264\n A....D aac  AAC\n A....D libmp3lame  MP3\n V....D libwebp_anim  WebP\n";
        assert_eq!(lacking(listed), ["libwebp"]);
        assert_eq!(lacking(""), ENCODERS);
    }
}
