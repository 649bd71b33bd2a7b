//! How each rung looks: its SSIM against that of x264's default preset, in two passes, of as many bits and within the
//! same buffer.
//!
//! The settings are those of `toktik bare` with another preset and rate control, so that both show the same picture of the
//! same frames; and what both are held against comes from there too, without loss.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Bench;
use super::bare::{Ladder, ffmpeg};
use super::customer::Customer;
use super::platform::{Scratch, Server};
use super::report::Figure;
use super::source::SOURCES;
use crate::workspace::{must, say};

const SECTION: &str = "quality";
/// Percent of SSIM that a rung may be worse.
const WORSE: f64 = 0.3;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let toktik = bench.programs.toktik()?;
    let scratch = Scratch::new()?;
    let server = Server::up(toktik, &scratch.fresh("data")?)?;
    let mut customer = Customer::of(&server)?;
    let mut figures = Vec::new();
    for (name, film) in films(bench)? {
        say(&format!("how {name} looks"));
        let Some(rungs) = Rungs::of(toktik, &film)? else {
            bail!("nothing of {name} is encoded");
        };
        let id = customer.upload(&film)?;
        customer.complete(&id)?;
        customer.until_ready(&id)?;
        let folder = scratch.fresh("rungs")?;
        must(ffmpeg(&folder).args(rungs.without_loss()))?;
        let presentation = format!("{}/api/v1/videos/{id}/playlists", server.url());
        figures.extend(rungs.compare(&name, &presentation, &folder)?);
    }
    server.stop()?;
    Ok(figures)
}

/// A film that is given, or every clip of ours of which all rungs are encoded.
fn films(bench: &Bench<'_>) -> Result<Vec<(String, PathBuf)>> {
    if let Some(film) = bench.film {
        let film = std::path::absolute(film)?;
        let name = film.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, film)]);
    }
    let wanted = SOURCES
        .iter()
        .filter(|source| !source.compliant && bench.clip.is_none_or(|name| source.name.contains(name)));
    wanted
        .map(|source| Ok((source.name.to_owned(), source.file()?)))
        .collect()
}

/// The arguments of a run that encodes every rung: those before the outputs, and each output's, its file last.
struct Rungs {
    before: Vec<String>,
    outputs: Vec<Vec<String>>,
}

const MAP: &str = "-map";

impl Rungs {
    fn of(toktik: &Path, film: &Path) -> Result<Option<Self>> {
        Ok(Ladder::of(toktik, film)?.picture().map(Self::read))
    }

    fn read(args: &[String]) -> Self {
        let first = args.iter().position(|arg| arg == MAP).unwrap_or(args.len());
        let (before, outputs) = args.split_at(first);
        let outputs = outputs.chunk_by(|_, next| next != MAP);
        Self {
            before: before.to_vec(),
            outputs: outputs.map(<[String]>::to_vec).collect(),
        }
    }

    /// As the encoders get it.
    fn without_loss(&self) -> Vec<String> {
        let mut args = self.before.clone();
        for output in &self.outputs {
            args.extend(output.iter().take(2).cloned());
            args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"].map(str::to_owned));
            args.extend(["-fps_mode", "passthrough"].map(str::to_owned));
            args.push(format!("source-{}", file(output)));
        }
        args
    }

    fn compare(&self, film: &str, presentation: &str, folder: &Path) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for output in &self.outputs {
            let file = file(output);
            let name = file.trim_end_matches(".mp4");
            let (source, ours, theirs) = (
                format!("source-{file}"),
                format!("ours-{file}"),
                format!("theirs-{file}"),
            );
            let mut fetch = ffmpeg(folder);
            fetch.args(["-i", &format!("{presentation}/{name}.m3u8"), "-c", "copy", &ours]);
            must(&mut fetch)?;
            let rate = rate(folder, &ours)?;
            for pass in ["1", "2"] {
                must(
                    ffmpeg(folder)
                        .args(at_leisure(&source, output, rate, pass))
                        .arg(&theirs),
                )?;
            }
            let (like_ours, like_theirs) = (ssim(folder, &source, &ours)?, ssim(folder, &source, &theirs)?);
            let figure = |what: &str, value: f64, unit: &str| {
                Figure::new(SECTION, film, &format!("{name}, {what}"), value, unit)
            };
            figures.push(figure("picture", rate / 1000.0, "kbit/s"));
            figures.push(figure("SSIM", like_ours * 100.0, "%"));
            let worse = (1.0 - like_ours / like_theirs) * 100.0;
            figures.push(figure("SSIM under x264 medium's", worse, "%").at_most(WORSE));
        }
        Ok(figures)
    }
}

fn file(output: &[String]) -> &str {
    output.last().map_or("", String::as_str)
}

/// One of two passes over the same picture, within the same buffer.
fn at_leisure(source: &str, output: &[String], rate: f64, pass: &str) -> Vec<String> {
    // What is left of the settings are those of the stream: profile, level, buffer, keyframes.
    const OURS: [&str; 6] = [MAP, "-preset", "-crf", "-refs", "-subq", "-trellis"];
    let rate = format!("{rate:.0}");
    let mut args = ["-i", source].map(str::to_owned).to_vec();
    let settings = output.split_last().map_or(output, |(_, settings)| settings);
    for pair in settings.chunks(2).filter(|pair| !OURS.contains(&pair[0].as_str())) {
        args.extend_from_slice(pair);
    }
    args.extend(["-preset", "medium", "-b:v", &rate, "-pass", pass].map(str::to_owned));
    args
}

/// Bits a second of the picture alone.
fn rate(folder: &Path, file: &str) -> Result<f64> {
    const STREAM: &str = "stream.h264";
    let mut bare = ffmpeg(folder);
    must(bare.args(["-i", file, "-map", "0:v", "-c", "copy", "-f", "h264", STREAM]))?;
    let bytes = fs::metadata(folder.join(STREAM))?.len();
    let mut probe = Command::new("ffprobe");
    probe.args([
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "stream=duration",
    ]);
    probe.args(["-of", "csv=p=0", file]).current_dir(folder);
    let output = probe.output().context("cannot start ffprobe")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let seconds: f64 = said.trim().parse().context("a rung without a duration")?;
    #[expect(clippy::cast_precision_loss, reason = "bits of a clip")]
    Ok(bytes as f64 * 8.0 / seconds)
}

/// How like each other two files are, frame by frame.
fn ssim(folder: &Path, source: &str, file: &str) -> Result<f64> {
    const GRAPH: &str = "[0:v]settb=1/1000,setpts=N[a];[1:v]settb=1/1000,setpts=N[b];[a][b]ssim";
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostats", "-nostdin", "-i", source, "-i", file]);
    command.args(["-lavfi", GRAPH, "-f", "null", "-"]).current_dir(folder);
    let output = command.stdin(Stdio::null()).output().context("cannot start ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    similarity(&said).with_context(|| format!("ffmpeg compares nothing: {said}"))
}

fn similarity(said: &str) -> Option<f64> {
    let (_, all) = said.rsplit_once("All:")?;
    all.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn another_preset_gets_the_same_picture_and_the_same_buffer() {
        let rungs = Rungs::read(&words(
            "-i film -filter_complex [0:v]split=2[720p][360p] \
             -map [720p] -c:v libx264 -preset veryfast -refs 2 -crf 23 -maxrate 9 -g 60 720p.mp4 \
             -map [360p] -c:v libx264 -preset veryfast -refs 2 -crf 23 -maxrate 5 -g 60 -subq 6 360p.mp4",
        ));
        assert_eq!(rungs.outputs.len(), 2);
        assert_eq!(
            at_leisure("source", &rungs.outputs[1], 1000.4, "2").join(" "),
            "-i source -c:v libx264 -maxrate 5 -g 60 -preset medium -b:v 1000 -pass 2"
        );
        let without_loss = rungs.without_loss().join(" ");
        assert!(without_loss.starts_with("-i film -filter_complex [0:v]split=2[720p][360p] -map [720p] -c:v libx264"));
        assert!(without_loss.ends_with("-qp 0 -fps_mode passthrough source-360p.mp4"));
    }

    #[test]
    fn similarity_is_that_of_all_planes() {
        let said = "[Parsed_ssim_4] SSIM Y:0.98 (17.0) U:0.99 (20.0) V:0.99 (20.1) All:0.985 (18.2)\n";
        assert_eq!(similarity(said), Some(0.985));
        assert_eq!(similarity("nothing"), None);
    }
}
