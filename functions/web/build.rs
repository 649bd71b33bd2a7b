//! Embeds what `npm run build` made in `ui/dist`, bytes and all, so that a program needs no file beside it. Without it
//! there is nothing to embed, and the pages say how to build them.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("ui");
    let dist = root.join("dist");
    // Cargo would build again each time for a directory that is not there.
    let watched = if dist.is_dir() { &dist } else { &root };
    println!("cargo::rerun-if-changed={}", watched.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let name = file
            .strip_prefix(&dist)
            .unwrap_or(&file)
            .to_string_lossy()
            .replace('\\', "/");
        let path = file.to_string_lossy();
        let tag = tag(&fs::read(&file)?);
        let _ = writeln!(
            table,
            "    File {{ name: {name:?}, bytes: include_bytes!({path:?}), tag: {tag:?} }},"
        );
    }
    table.push(']');
    fs::write(PathBuf::from(variable("OUT_DIR")).join("files.rs"), table)
}

/// Cargo sets them.
fn variable(name: &str) -> std::ffi::OsString {
    std::env::var_os(name).unwrap_or_default()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// An `ETag`: it only has to differ where the bytes do.
fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}
