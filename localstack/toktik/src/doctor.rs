//! `toktik doctor`: what is missing or wrong on this machine, and what to do about it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use toktik_media::sandbox;
use toktik_media::settings::Settings as Media;

use crate::up;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Data directory that `toktik up` is to use
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub media: Media,
}

/// What every clip needs of ffmpeg.
const ENCODERS: [&str; 4] = ["libx264", "aac", "libmp3lame", "libwebp"];
const FILTERS: [&str; 4] = ["zscale", "tonemap", "thumbnail", "tpad"];

/// The outcome of one check.
enum Finding {
    Good(String),
    /// Works, but not as it should.
    Warning(String),
    Bad(String),
}

pub fn main(settings: &Settings) -> ExitCode {
    let mut findings = vec![program(&settings.media.ffprobe)];
    findings.push(program(&settings.media.ffmpeg));
    findings.push(features(&settings.media.ffmpeg, "-encoders", &ENCODERS));
    findings.push(features(&settings.media.ffmpeg, "-filters", &FILTERS));
    findings.push(kernel());
    findings.push(writable("data directory", &settings.data_dir));
    let beside_data = || settings.data_dir.join(up::SCRATCH);
    let scratch = settings.media.scratch_dir.clone().unwrap_or_else(beside_data);
    findings.push(writable("scratch directory", &scratch));
    let mut bad = 0;
    for finding in findings {
        match finding {
            Finding::Good(text) => println!("ok       {text}"),
            Finding::Warning(text) => println!("warning  {text}"),
            Finding::Bad(text) => {
                bad += 1;
                println!("wrong    {text}");
            }
        }
    }
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn output(program: &Path, arguments: &[&str]) -> std::io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn program(program: &Path) -> Finding {
    match output(program, &["-version"]) {
        Ok(text) => Finding::Good(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Finding::Bad(format!(
            "{}: {error}. Install ffmpeg (`apt-get install ffmpeg`), or say where it is with TOKTIK_FFMPEG and \
             TOKTIK_FFPROBE",
            program.display()
        )),
    }
}

fn features(ffmpeg: &Path, list: &str, wanted: &[&str]) -> Finding {
    let Ok(text) = output(ffmpeg, &["-hide_banner", list]) else {
        return Finding::Bad(format!("ffmpeg {list} cannot be run"));
    };
    let has = |name: &&&str| text.lines().any(|line| line.split_whitespace().nth(1) == Some(**name));
    let missing: Vec<&&str> = wanted.iter().filter(|name| !has(name)).collect();
    let kind = list.trim_start_matches('-');
    if missing.is_empty() {
        return Finding::Good(format!("ffmpeg {kind}: {}", wanted.join(", ")));
    }
    Finding::Bad(format!(
        "ffmpeg {kind} missing: {missing:?}. Use a build of ffmpeg that has them"
    ))
}

fn kernel() -> Finding {
    let report = sandbox::support();
    let text = report.to_string().trim().replace('\n', "; ");
    match (report.seccomp, report.complete()) {
        (true, true) => Finding::Good(text),
        (true, false) => Finding::Warning(text),
        (false, _) => Finding::Bad(text),
    }
}

fn writable(what: &str, dir: &Path) -> Finding {
    let existing = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("."));
    match tempfile::tempfile_in(existing) {
        Ok(_) => Finding::Good(format!("{what} {} can be written", dir.display())),
        Err(error) => Finding::Bad(format!("{what} {}: {error}", dir.display())),
    }
}
