//! Clips, made by ffmpeg in a directory of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const PICTURE: &str = "testsrc=s=192x108:r=25:d=2";
pub(crate) const SOUND: &str = "sine=d=2";

/// A directory in which files come and go with the test.
pub(crate) struct Clips(tempfile::TempDir);

impl Clips {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("the directory is ours");
        self.path(name)
    }

    /// Runs ffmpeg with these words as arguments, outside any sandbox.
    pub(crate) fn ffmpeg(&self, arguments: &str) {
        let status = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error", "-y"])
            .args(arguments.split_whitespace())
            .current_dir(self.dir())
            .status()
            .expect("ffmpeg is installed");
        assert!(status.success(), "ffmpeg {arguments}");
    }

    /// A picture of two seconds with sound, coded as told.
    pub(crate) fn clip(&self, name: &str, options: &str) -> PathBuf {
        self.ffmpeg(&format!(
            "-f lavfi -i {PICTURE} -f lavfi -i {SOUND} -pix_fmt yuv420p {options} {name}"
        ));
        self.path(name)
    }

    /// The same without sound.
    pub(crate) fn silent(&self, name: &str, options: &str) -> PathBuf {
        self.ffmpeg(&format!("-f lavfi -i {PICTURE} -pix_fmt yuv420p {options} {name}"));
        self.path(name)
    }
}
