//! `cargo xtask dist`: what is shipped. Programs, what Lambda is given, and images.
//!
//! Programs are linked statically, C library included: they run on any Linux of their architecture, and their image needs
//! nothing beside them. ffmpeg is the exception; images that need it hold this machine's, with the libraries it loads.

mod image;
mod lambda;
mod programs;
mod root;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::install::{self, Need};
use crate::pages;
use crate::workspace::{self, say};

/// Build what is shipped: programs, Lambda zips, images
///
/// Leaves the stripped release programs in target/dist/bin and a zip of each function for Lambda in target/dist/lambda;
/// with --images also target/dist/images.tar, which `docker load`, `podman load`, `kind load image-archive` and
/// `ctr images import` take: dev.local/toktik-FUNCTION, dev.local/toktik-gateway and dev.local/toktik, the program that holds everything.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build images too; those of functions that need ffmpeg hold this machine's
    #[arg(long)]
    images: bool,
    /// Build for another architecture, such as aarch64-unknown-linux-gnu; programs and zips only
    #[arg(long, conflicts_with = "images")]
    target: Option<String>,
}

/// Something built.
struct Program {
    name: String,
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace::root()?;
    let host = programs::host(&root)?;
    let target = args.target.clone().unwrap_or_else(|| host.clone());
    if !target.contains("-linux-") {
        bail!("what is shipped runs on Linux; say for which architecture: --target x86_64-unknown-linux-gnu");
    }
    programs::check_target(&root, &target)?;
    pages::ensure(&root)?;
    install::ensure(&[Need::Make])?;
    let dist = root.join("target/dist");
    let programs = programs::build(&root, &target, &dist.join("bin"))?;
    let zips = dist.join("lambda");
    fs::create_dir_all(&zips)?;
    for program in programs.iter().filter(|program| is_function(program)) {
        lambda::zip(program, &zips.join(format!("{}.zip", program.name)))?;
    }
    if args.images {
        install::ensure(&[Need::Ffmpeg])?;
        let archive = dist.join("images.tar");
        image::archive(&programs, &archive).context("making images")?;
        say(&format!("images: {} ({})", shown(&root, &archive), size(&archive)?));
    }
    for program in &programs {
        say(&format!("{:<20} {:>10}", program.name, size(&program.path)?));
    }
    say(&format!(
        "programs: {}; for Lambda: {}",
        shown(&root, &dist.join("bin")),
        shown(&root, &zips)
    ));
    if target == host {
        say(&programs::cross_building(&host));
    }
    Ok(ExitCode::SUCCESS)
}

/// These packages' programs as they are shipped, by name.
pub(crate) fn built_for_here(root: &Path, packages: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    programs::compile(root, &programs::host(root)?, packages)
}

/// The packages of functions.
pub(crate) fn functions(root: &Path) -> Result<Vec<String>> {
    let mut names = programs::names(root)?;
    names.retain(|name| name != "toktik");
    Ok(names)
}

/// Lambda has its own front door, and no use for the program that holds everything.
fn is_function(program: &Program) -> bool {
    !["toktik", "toktik-gateway"].contains(&program.name.as_str())
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn size(file: &Path) -> Result<String> {
    let bytes = fs::metadata(file)
        .with_context(|| format!("cannot read {}", file.display()))?
        .len();
    Ok(format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000))
}
