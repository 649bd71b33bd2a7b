//! The file to send: what can be said of it without understanding video.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const LONGEST_TITLE: usize = 100;

#[derive(Debug)]
pub(crate) struct Clip {
    path: PathBuf,
    pub(crate) name: String,
    pub(crate) size: u64,
}

impl Clip {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        // Opened, not only looked at: a file that may not be read is better noticed before an account is made for it.
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("cannot read {shown}"))?;
        if !metadata.is_file() {
            bail!("{shown} is not a file");
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.with_context(|| format!("{shown} has no name"))?;
        Ok(Self {
            path: path.to_owned(),
            name,
            size: metadata.len(),
        })
    }

    pub(crate) fn title(&self) -> String {
        let stem = Path::new(&self.name).file_stem().unwrap_or_default().to_string_lossy();
        let readable: String = stem.chars().filter(|c| !c.is_control()).take(LONGEST_TITLE).collect();
        let title = readable.trim();
        if title.is_empty() {
            "Untitled".to_owned()
        } else {
            title.to_owned()
        }
    }

    /// A guess, and only ever a guess: the server looks at the bytes.
    pub(crate) fn content_type(&self) -> &'static str {
        let extension = Path::new(&self.name)
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        match extension.as_str() {
            "mp4" | "m4v" => "video/mp4",
            "mov" | "qt" => "video/quicktime",
            "webm" => "video/webm",
            "mkv" => "video/x-matroska",
            "avi" => "video/x-msvideo",
            "ts" | "mts" | "m2ts" => "video/mp2t",
            "mpg" | "mpeg" => "video/mpeg",
            "flv" => "video/x-flv",
            "wmv" => "video/x-ms-wmv",
            "3gp" => "video/3gpp",
            "ogv" => "video/ogg",
            _ => "application/octet-stream",
        }
    }

    /// `length` bytes from `offset` on, read from disk as they are sent.
    pub(crate) fn range(&self, offset: u64, length: u64) -> Result<impl Read> {
        let open = || -> std::io::Result<_> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file.take(length))
        };
        open().with_context(|| format!("cannot read {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Clip {
        Clip {
            path: PathBuf::new(),
            name: name.to_owned(),
            size: 1,
        }
    }

    #[test]
    fn the_type_is_guessed_from_the_extension() {
        assert_eq!(named("a.MP4").content_type(), "video/mp4");
        assert_eq!(named("a.b.mkv").content_type(), "video/x-matroska");
        // An animated GIF is a clip to the server, but image/gif is no type that it takes.
        assert_eq!(named("a.gif").content_type(), "application/octet-stream");
        assert_eq!(named("mp4").content_type(), "application/octet-stream");
    }

    #[test]
    fn the_title_is_the_name_without_its_extension() {
        assert_eq!(named("My holiday.mp4").title(), "My holiday");
        assert_eq!(named("bell\u{7}.mp4").title(), "bell");
        assert_eq!(named(" .mp4").title(), "Untitled");
        assert_eq!(named(&"ä".repeat(300)).title().chars().count(), LONGEST_TITLE);
    }

    #[test]
    fn only_a_file_can_be_sent() {
        let dir = tempfile::tempdir().unwrap();
        let error = Clip::open(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not a file"), "{error}");
        let error = Clip::open(&dir.path().join("none.mp4")).unwrap_err();
        assert!(format!("{error:#}").contains("No such file"), "{error:#}");
    }

    #[test]
    fn a_range_is_exactly_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        std::fs::write(&path, "0123456789").unwrap();
        let mut text = String::new();
        Clip::open(&path)
            .unwrap()
            .range(3, 4)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "3456");
    }
}
