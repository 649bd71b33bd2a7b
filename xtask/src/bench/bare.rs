//! What ffmpeg alone does with a clip: the measure of everything that is ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::platform::Scratch;
use super::usage::{Spent, spent};
use crate::workspace::must;

/// Runs that follow one another, each the arguments of one ffmpeg.
type Runs = Vec<Vec<String>>;

/// The same renditions by the same encoders with the same settings, as fast as ffmpeg itself is.
pub(super) struct Ladder(Vec<Runs>);

impl Ladder {
    /// Asks our own program for the settings.
    pub(super) fn of(toktik: &Path, clip: &Path) -> Result<Self> {
        let output = Command::new(toktik)
            .arg("bare")
            .arg(clip)
            .output()
            .context("cannot start toktik")?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).map(Self).with_context(said)
    }

    /// The run that encodes the picture: one, from one decode. None where the source's own picture is all there is.
    pub(super) fn picture(&self) -> Option<&[String]> {
        let mut runs = self.0.iter().flatten();
        let run = runs.find(|run| run.iter().any(|arg| arg == "libx264"));
        run.map(Vec::as_slice)
    }

    /// What needs nothing of each other runs at once.
    pub(super) fn make(&self, scratch: &Scratch) -> Result<Spent> {
        let folders: Result<Vec<PathBuf>> = (0..self.0.len())
            .map(|at| scratch.fresh(&format!("bare-{at}")))
            .collect();
        let folders = folders?;
        spent(|| {
            thread::scope(|scope| {
                let lists = self.0.iter().zip(&folders);
                let threads: Vec<_> = lists
                    .map(|(runs, folder)| scope.spawn(|| one_by_one(runs, folder)))
                    .collect();
                let mut ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
                ended.try_for_each(|result| result.map_err(|_| anyhow!("a thread panicked"))?)
            })
        })
    }
}

fn one_by_one(runs: &Runs, folder: &Path) -> Result<()> {
    runs.iter().try_for_each(|args| must(ffmpeg(folder).args(args)))
}

pub(super) fn ffmpeg(folder: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).current_dir(folder);
    command
}

/// The least that anybody can do before a clip of another container can be watched: look at it, and put it into boxes.
pub(super) fn remux(clip: &Path, scratch: &Scratch) -> Result<Spent> {
    let folder = scratch.fresh("remux")?;
    let listing = folder.join("packets.json");
    spent(|| {
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-show_streams", "-show_packets", "-of", "json", "-o"]);
        must(probe.arg(&listing).arg(clip))?;
        let mut boxes = ffmpeg(&folder);
        boxes
            .arg("-i")
            .arg(clip)
            .args(["-c", "copy", "-f", "hls", "-hls_time", "4"]);
        must(boxes.args(["-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "remuxed.m3u8"]))
    })
}

/// No side above 1080 where that is the short one, and never larger than the source.
const SCALE: &str = "scale='if(gt(iw,ih),-2,min(1080,iw))':'if(gt(iw,ih),min(1080,ih),-2)',format=yuv420p";

/// The classic chain, one after the other: one rendition at the default preset, a thumbnail, segments.
pub(super) fn classic(clip: &Path, scratch: &Scratch) -> Result<Spent> {
    let folder = scratch.fresh("classic")?;
    spent(|| {
        let mut rendition = ffmpeg(&folder);
        rendition
            .arg("-i")
            .arg(clip)
            .args(["-vf", SCALE, "-c:v", "libx264", "-c:a", "aac", "rendition.mp4"]);
        must(&mut rendition)?;
        must(ffmpeg(&folder).args(["-ss", "1", "-i", "rendition.mp4", "-frames:v", "1", "thumbnail.jpg"]))?;
        let mut chunks = ffmpeg(&folder);
        chunks.args(["-i", "rendition.mp4", "-c", "copy", "-f", "hls", "-hls_time", "10"]);
        must(chunks.args(["-hls_playlist_type", "vod", "chunks.m3u8"]))
    })
}
