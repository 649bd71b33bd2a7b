//! `toktik backup`: a copy of the data directory as of one instant, taken while `toktik up` or `toktik cloud` works in it, or
//! at rest.
//!
//! The running process is not asked: databases and blobs are made to be copied from outside (`toktik_cloud::backup`).
//! `backup.json` is written last, so that a copy that broke off is known by its absence.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The layout that is written and read.
const FORMAT: u32 = 1;
const MANIFEST: &str = "backup.json";
/// As `sha256sum --check` reads it.
const SUMS: &str = "SHA256SUMS";
pub(crate) const SECRETS: &str = "secrets.json";
const BUFFER: usize = 256 << 10;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Directory to write the backup to; must be empty, or not there yet
    #[arg(value_name = "DESTINATION")]
    pub destination: PathBuf,
    /// Data directory to back up, in use or not
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
}

/// What says that a backup is whole.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    toktik: String,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) objects: u64,
    files: usize,
    sums_sha256: String,
}

/// A file of a backup, by its path within, and the hash of its bytes.
pub(crate) struct Sum {
    pub(crate) sha256: String,
    pub(crate) path: PathBuf,
}

pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let manifest = take(&settings.data_dir, &settings.destination)?;
    let (destination, taken_at) = (settings.destination.display(), manifest.taken_at.format("%FT%TZ"));
    println!("{destination} holds {} objects as of {taken_at}.", manifest.objects);
    Ok(())
}

fn take(data_dir: &Path, destination: &Path) -> anyhow::Result<Manifest> {
    ensure!(data_dir.is_dir(), "there is no data directory {}", data_dir.display());
    let made = EmptyDirectory::claim(destination)?;
    let (inside, data) = (destination.canonicalize()?, data_dir.canonicalize()?);
    ensure!(
        !inside.starts_with(data),
        "the backup would lie in the data directory itself"
    );
    let manifest = write(data_dir, destination).with_context(|| format!("backing up to {}", destination.display()))?;
    made.keep();
    Ok(manifest)
}

fn write(data_dir: &Path, destination: &Path) -> anyhow::Result<Manifest> {
    let taken_at = Utc::now();
    let copied = toktik_cloud::backup::copy(data_dir, destination)?;
    let mut files = copied.files;
    // Secrets are made before there is anything to back up, and never change.
    let secrets = fs::read(data_dir.join(SECRETS)).context("reading the secrets")?;
    write_file(&destination.join(SECRETS), &secrets)?;
    files.push(SECRETS.into());
    let sums = sums(destination, &files)?;
    write_file(&destination.join(SUMS), sums.as_bytes())?;
    let manifest = Manifest {
        format: FORMAT,
        toktik: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        objects: copied.objects,
        files: files.len(),
        sums_sha256: hex::encode(Sha256::digest(&sums)),
    };
    // Whoever finds the manifest finds everything else.
    toktik_cloud::backup::sync_directories(destination, &files)?;
    write_file(&destination.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    toktik_cloud::backup::sync_directories(destination, &[MANIFEST.into()])?;
    Ok(manifest)
}

fn sums(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let line = |path: &PathBuf| {
        let mut file = File::open(root.join(path))?;
        let sha256 = copy_hashed(&mut file, &mut std::io::sink())?;
        Ok(format!("{sha256}  {}\n", path.display()))
    };
    files.iter().map(line).collect()
}

/// For the owner alone, and on disk when this returns.
fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

pub(crate) fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Returns the SHA-256 of what went through.
pub(crate) fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; BUFFER]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

impl Manifest {
    /// What a whole backup says of itself and its files.
    pub(crate) fn read(source: &Path) -> anyhow::Result<(Self, Vec<Sum>)> {
        let name = source.display();
        let bytes = match fs::read(source.join(MANIFEST)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{name} is not a backup, or one that was not finished: it has no {MANIFEST}")
            }
            Err(error) => return Err(error).with_context(|| format!("reading {MANIFEST}")),
        };
        let manifest: Self = serde_json::from_slice(&bytes).with_context(|| format!("{MANIFEST} is damaged"))?;
        ensure!(
            manifest.format == FORMAT,
            "{name} has format {}, and this program reads format {FORMAT}",
            manifest.format
        );
        let text = fs::read(source.join(SUMS)).with_context(|| format!("reading {SUMS}"))?;
        ensure!(
            hex::encode(Sha256::digest(&text)) == manifest.sums_sha256,
            "{SUMS} is damaged"
        );
        let sums: Vec<Sum> = String::from_utf8(text)?
            .lines()
            .map(Sum::parse)
            .collect::<Result<_, _>>()?;
        ensure!(sums.len() == manifest.files, "{SUMS} is damaged");
        Ok((manifest, sums))
    }
}

impl Sum {
    /// A path that leads out of the backup is refused.
    fn parse(line: &str) -> anyhow::Result<Self> {
        let (sha256, path) = line.split_once("  ").with_context(|| format!("{SUMS} is damaged"))?;
        let path = PathBuf::from(path);
        let within = path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(within, "{SUMS} names {}, which leads out of the backup", path.display());
        Ok(Self {
            sha256: sha256.to_owned(),
            path,
        })
    }
}

/// A directory that only its owner sees, with nothing in it but what we put there; dropping it empties it again.
pub(crate) struct EmptyDirectory {
    path: PathBuf,
    is_new: bool,
    kept: bool,
}

impl EmptyDirectory {
    pub(crate) fn claim(path: &Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("making {}", path.display()))?;
        let mut entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(entries.next().is_none(), "{} is not empty", path.display());
        Ok(Self {
            path: path.to_owned(),
            is_new,
            kept: false,
        })
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }

    fn empty(&self) -> std::io::Result<()> {
        if self.is_new {
            return fs::remove_dir_all(&self.path);
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for EmptyDirectory {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = self.empty() {
            eprintln!("toktik: {} could not be emptied again: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_of_the_backup_is_refused() {
        assert_eq!(Sum::parse("ab  blobs/00/x").unwrap().path, Path::new("blobs/00/x"));
        for path in ["../x", "/etc/x", "blobs/../../x", "./x"] {
            assert!(Sum::parse(&format!("ab  {path}")).is_err(), "{path}");
        }
        assert!(Sum::parse("ab blobs/00/x").is_err());
    }

    #[test]
    fn a_claimed_directory_is_as_it_was_unless_it_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let (new, old) = (root.path().join("new/deep"), root.path().join("old"));
        fs::create_dir(&old).unwrap();
        for directory in [&new, &old] {
            let claimed = EmptyDirectory::claim(directory).unwrap();
            fs::create_dir(directory.join("a")).unwrap();
            fs::write(directory.join("a/b"), "c").unwrap();
            assert!(EmptyDirectory::claim(directory).is_err());
            drop(claimed);
        }
        assert!(!new.exists());
        assert_eq!(fs::read_dir(&old).unwrap().count(), 0);
        EmptyDirectory::claim(&new).unwrap().keep();
        assert!(new.exists());
    }
}
