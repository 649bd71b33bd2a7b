//! The files of an image: what a static program needs to speak TLS, and for some of them ffmpeg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A file of an image and where it comes from.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Without the slash in front.
    pub(super) name: String,
    pub(super) content: Content,
    pub(super) mode: u32,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content {
    Directory,
    Text(&'static str),
    File(PathBuf),
}

/// Where systems keep the certificates of public authorities.
const CERTIFICATES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Nobody in particular; the same number as in other images without a system.
pub(super) const USER: &str = "65532:65532";
const PASSWD: &str = "nonroot:x:65532:65532::/tmp:/sbin/nologin\n";

/// In every image.
pub(super) fn base() -> Result<Vec<Entry>> {
    let certificates = CERTIFICATES.iter().map(Path::new).find(|path| path.is_file());
    let certificates =
        certificates.context("this machine has no certificates of public authorities: install ca-certificates")?;
    Ok(vec![
        directory("etc"),
        text("etc/passwd", PASSWD),
        directory("etc/ssl"),
        directory("etc/ssl/certs"),
        file("etc/ssl/certs/ca-certificates.crt", certificates, 0o644),
        Entry {
            mode: 0o1777,
            ..directory("tmp")
        },
    ])
}

/// ffmpeg and ffprobe with everything that they load, where their loader looks without being told.
pub(super) fn ffmpeg() -> Result<Vec<Entry>> {
    let mut entries = vec![directory("usr"), directory("usr/bin")];
    let mut libraries: Vec<Library> = Vec::new();
    for name in ["ffmpeg", "ffprobe"] {
        let program = which(name)?;
        libraries.extend(loaded(&program)?);
        entries.push(file(&format!("usr/bin/{name}"), &program, 0o755));
    }
    libraries.sort();
    libraries.dedup();
    let mut directories: Vec<String> = libraries.iter().flat_map(Library::directories).collect();
    directories.sort();
    directories.dedup();
    directories.retain(|name| name != "usr");
    entries.extend(directories.iter().map(|name| directory(name)));
    entries.extend(
        libraries
            .iter()
            .map(|library| file(&library.name, &library.path, 0o755)),
    );
    Ok(entries)
}

/// A shared library, or the loader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Library {
    /// In the image.
    name: String,
    path: PathBuf,
}

impl Library {
    fn directories(&self) -> Vec<String> {
        let places: Vec<&str> = self.name.split('/').collect();
        (1..places.len()).map(|end| places[..end].join("/")).collect()
    }
}

/// As the loader itself says.
fn loaded(program: &Path) -> Result<Vec<Library>> {
    let output = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("not found") {
        bail!("{} lacks libraries:\n{text}", program.display());
    }
    // A static ffmpeg loads nothing, and ldd says so by failing.
    Ok(text.lines().filter_map(library).collect())
}

/// One line of ldd: `libx.so.1 => /usr/lib/…/libx.so.1 (0x…)`, or the loader's own path.
///
/// All lie in the multiarch directory, where the loader looks by itself: libraries that a configuration or a link of
/// alternatives would lead to are found there as well.
fn library(line: &str) -> Option<Library> {
    let line = line.trim();
    let (name, path) = match line.split_once(" => ") {
        Some((name, rest)) => (
            format!("usr/lib/{}-linux-gnu/{name}", std::env::consts::ARCH),
            rest.split(" (").next()?,
        ),
        None if line.starts_with('/') => {
            let path = line.split(" (").next()?;
            (path.trim_start_matches('/').to_owned(), path)
        }
        None => return None,
    };
    let path = PathBuf::from(path);
    Some(Library { name, path })
}

fn which(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(program));
    let found = places.find(|place| place.is_file());
    let found = found.with_context(|| format!("{program} is not on PATH"))?;
    fs::canonicalize(&found).with_context(|| format!("cannot read {}", found.display()))
}

fn directory(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        content: Content::Directory,
        mode: 0o755,
    }
}

fn text(name: &str, text: &'static str) -> Entry {
    Entry {
        name: name.to_owned(),
        content: Content::Text(text),
        mode: 0o644,
    }
}

pub(super) fn file(name: &str, path: &Path, mode: u32) -> Entry {
    Entry {
        name: name.to_owned(),
        content: Content::File(path.to_owned()),
        mode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_go_where_the_loader_looks() {
        let place = |line: &str| library(line).map(|library| (library.name, library.path.display().to_string()));
        let arch = std::env::consts::ARCH;
        assert_eq!(
            place("\tlibblas.so.3 => /lib/x/blas/libblas.so.3 (0x00007f)"),
            Some((
                format!("usr/lib/{arch}-linux-gnu/libblas.so.3"),
                "/lib/x/blas/libblas.so.3".to_owned()
            ))
        );
        let loader = "/lib64/ld-linux-x86-64.so.2";
        assert_eq!(
            place(&format!("\t{loader} (0x00007f)")),
            Some((loader[1..].to_owned(), loader.to_owned()))
        );
        assert_eq!(place("\tlinux-vdso.so.1 (0x00007ffc)"), None);
        assert_eq!(place("\tnot a dynamic executable"), None);
    }

    #[test]
    fn an_image_has_no_shell_and_a_place_for_temporary_files() {
        let base = base().unwrap();
        assert!(base.iter().any(|entry| entry.name == "tmp" && entry.mode == 0o1777));
        let all: Vec<_> = base.into_iter().chain(ffmpeg().unwrap()).collect();
        assert!(
            all.iter()
                .all(|entry| !entry.name.ends_with("/sh") && !entry.name.ends_with("/bash"))
        );
        assert!(all.iter().any(|entry| entry.name == "usr/bin/ffprobe"));
    }
}
