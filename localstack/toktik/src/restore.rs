//! `toktik restore`: a data directory out of a backup.
//!
//! Every file is compared with its checksum while it is copied; only when all are good does any get its place. The backup
//! itself is only read, and shares no file with what is made of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use toktik_cloud::RESTORING;
use toktik_cloud::backup::sync_directories;

use crate::backup::{EmptyDirectory, Manifest, Sum, copy_hashed, create_private};

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Directory that `toktik backup` has written
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// Data directory to make; must be empty, or not there yet
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let (source, data_dir) = (&settings.source, &settings.data_dir);
    let (manifest, sums) = Manifest::read(source)?;
    let made = EmptyDirectory::claim(data_dir)?;
    restore(source, data_dir, &sums).with_context(|| format!("restoring {}", source.display()))?;
    made.keep();
    let (data_dir, taken_at) = (data_dir.display(), manifest.taken_at.format("%FT%TZ"));
    println!("{data_dir} holds {} objects as of {taken_at}.", manifest.objects);
    Ok(())
}

/// As long as there is a directory of that name, no Toktik starts here, and whoever finds it knows what became of it.
fn restore(source: &Path, data_dir: &Path, sums: &[Sum]) -> anyhow::Result<()> {
    let partial = data_dir.join(RESTORING);
    fs::create_dir(&partial)?;
    for sum in sums {
        copy(source, &partial, sum).with_context(|| sum.path.display().to_string())?;
    }
    let files: Vec<PathBuf> = sums.iter().map(|sum| sum.path.clone()).collect();
    sync_directories(&partial, &files)?;
    for entry in fs::read_dir(&partial)? {
        let name = entry?.file_name();
        fs::rename(partial.join(&name), data_dir.join(&name))?;
    }
    File::open(data_dir)?.sync_all()?;
    fs::remove_dir(&partial)?;
    Ok(())
}

fn copy(source: &Path, destination: &Path, sum: &Sum) -> anyhow::Result<()> {
    let mut from = File::open(source.join(&sum.path))?;
    let path = destination.join(&sum.path);
    fs::create_dir_all(path.parent().unwrap_or(destination))?;
    let mut to = create_private(&path)?;
    let sha256 = copy_hashed(&mut from, &mut to)?;
    ensure!(sha256 == sum.sha256, "the file is damaged");
    to.sync_all()?;
    Ok(())
}
