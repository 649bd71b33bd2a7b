//! What can be set about media: the limit of a clip, the tools, the sandbox. Every flag has an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use crate::cost::Host;
use crate::sandbox::Mode;

/// Seconds by which a clip may exceed the limit: encoders round the last frame up, and people cut at "one minute".
pub const GRACE: f64 = 0.5;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Longest clip that is accepted, in seconds (with half a second of grace); 0 for no limit
    #[arg(long, env = "TOKTIK_MAX_DURATION", default_value_t = 60.0, value_parser = seconds, value_name = "SECONDS")]
    pub max_duration: f64,

    /// The ffmpeg program, a path or a name to find in PATH
    #[arg(long, env = "TOKTIK_FFMPEG", default_value = "ffmpeg", value_name = "PROGRAM")]
    pub ffmpeg: PathBuf,

    /// The ffprobe program, a path or a name to find in PATH
    #[arg(long, env = "TOKTIK_FFPROBE", default_value = "ffprobe", value_name = "PROGRAM")]
    pub ffprobe: PathBuf,

    /// Where clips are worked on; if not given, `toktik up` has a place in its data directory, and a function alone the
    /// system's directory for temporary files
    #[arg(long, env = "TOKTIK_SCRATCH_DIR", value_name = "DIRECTORY")]
    pub scratch_dir: Option<PathBuf>,

    /// Whether to work without seccomp where the system has none
    #[arg(long, env = "TOKTIK_SANDBOX", value_enum, default_value_t = Mode::Required)]
    pub sandbox: Mode,

    /// The program that enters the sandbox and becomes ffmpeg; this program itself if not given
    #[arg(long, env = "TOKTIK_SANDBOX_LAUNCHER", hide = true, value_name = "PROGRAM")]
    pub sandbox_launcher: Option<PathBuf>,

    /// Target length of a media segment, in seconds; those of a clip's first 16 s are 1 and 2 s long
    #[arg(long, env = "TOKTIK_SEGMENT_SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10), value_name = "SECONDS")]
    pub segment_seconds: u32,
}

/// What probe plans the units of a clip by, and transcode makes them within.
///
/// Where the two run on different machines, both are told what holds for transcode.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Units {
    /// Cores that a run of transcode has, fractions allowed; this machine's if not given. Probe plans by it: where the
    /// two have different shares of a CPU, set the same value, transcode's, for both
    #[arg(long, env = "TOKTIK_TRANSCODE_CPUS", value_parser = cores, value_name = "CORES")]
    pub transcode_cpus: Option<f64>,

    /// Seconds after which the host ends a run of transcode. Probe plans units that take half of it, transcode stops
    /// before it: set the same value for both
    #[arg(long, env = "TOKTIK_TRANSCODE_DEADLINE", default_value_t = DEADLINE, value_parser = clap::value_parser!(u32).range(10..=86_400), value_name = "SECONDS")]
    pub transcode_deadline: u32,

    /// How many runs of transcode work at once, on as many machines: probe cuts a clip into as many units, if it is long
    /// enough. On one machine 1 is the cheapest, and as fast
    #[arg(long, env = "TOKTIK_TRANSCODE_PARALLELISM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=90), value_name = "UNITS")]
    pub transcode_parallelism: u32,

    /// The longest unit of work, in seconds, of which it takes whole segments; planned by the two above if not given
    #[arg(long, env = "TOKTIK_UNIT_SECONDS", hide = true, value_parser = clap::value_parser!(u32).range(1..), value_name = "SECONDS")]
    pub unit_seconds: Option<u32>,
}

/// The longest that any of our hosts allows: Lambda's.
const DEADLINE: u32 = 900;

impl Units {
    pub fn host(&self) -> Host {
        let here = || std::thread::available_parallelism().map_or(1.0, |cores| count(cores.get()));
        Host {
            cpus: self.transcode_cpus.unwrap_or_else(here),
            deadline: self.transcode_deadline.into(),
        }
    }

    /// Wall-clock time for ffmpeg in a run of transcode: what is left is for storing what it made, and for saying so.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.transcode_deadline.into()).mul_f64(0.9)
    }
}

fn count(cores: usize) -> f64 {
    u32::try_from(cores).map_or(f64::MAX, f64::from)
}

impl Settings {
    /// The longest duration that is accepted, grace included; none without a limit.
    pub fn longest(&self) -> Option<f64> {
        (self.max_duration > 0.0).then_some(self.max_duration + GRACE)
    }

    /// The directory in which a step makes its own temporary directory.
    pub fn scratch(&self) -> PathBuf {
        self.scratch_dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_duration: 60.0,
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            scratch_dir: None,
            sandbox: Mode::Required,
            sandbox_launcher: None,
            segment_seconds: 4,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(format!("`{text}` is not a length of time"))
    }
}

fn cores(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(format!("`{text}` is not a number of cores"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        Program::try_parse_from([&["program"], arguments].concat()).map(|program| program.settings)
    }

    #[test]
    fn the_flags_defaults_are_the_default() {
        let parsed = parse(&[]).expect("no flag is required");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn zero_is_no_limit() {
        let settings = parse(&["--max-duration", "0"]).expect("zero is allowed");
        assert_eq!(settings.longest(), None);
        assert_eq!(Settings::default().longest(), Some(60.5));
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in ["-1", "nan", "inf", "one"] {
            assert!(parse(&[&format!("--max-duration={nonsense}")]).is_err(), "{nonsense}");
        }
        assert!(parse(&["--sandbox=off"]).is_err());
        assert!(parse(&["--segment-seconds=0"]).is_err());
    }
}
