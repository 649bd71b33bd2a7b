//! What Lambda's `provided` runtimes are given: a zip with the program as `bootstrap`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::Program;

pub(super) fn zip(program: &Program, archive: &Path) -> Result<()> {
    let file = File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?;
    let mut zip = ZipWriter::new(file);
    // Without a time, the same program gives the same zip.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    let mut program = fs::File::open(&program.path)?;
    io::copy(&mut program, &mut zip)?;
    zip.finish()
        .with_context(|| format!("cannot write {}", archive.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_program_can_be_started_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("toktik-x");
        fs::write(&path, "a program").unwrap();
        let archive = dir.path().join("x.zip");
        let name = "toktik-x".to_owned();
        super::zip(&Program { name, path }, &archive).unwrap();
        let mut zip = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
        assert_eq!(zip.len(), 1);
        let mut bootstrap = zip.by_name("bootstrap").unwrap();
        assert_eq!(bootstrap.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut text = String::new();
        bootstrap.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a program");
    }
}
