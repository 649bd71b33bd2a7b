//! A clip in units, on workers of one queue that share this machine, against the same clip in one: what it costs to cut it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use super::customer::Customer;
use super::platform::{Scratch, Server};
use super::report::Figure;
use super::source::{self, LONG};
use super::usage::Spent;
use super::{Bench, median};
use crate::workspace::{must, say};

const SECTION: &str = "units";
const WORKERS: usize = 4;
/// Processor time of transcode, as often as that of a clip in one unit.
const MORE: f64 = 1.15;
const CLIPS: [&str; 2] = [LONG, "HEVC 1080p"];

/// The same clip, both ways.
struct Run {
    whole: Spent,
    cut: Spent,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let wanted = |name: &&str| bench.clip.is_none_or(|part| name.contains(part));
    let clips: Vec<(&str, PathBuf)> = CLIPS
        .into_iter()
        .filter(wanted)
        .map(|name| Ok((name, source::named(name)?.file()?)))
        .collect::<Result<_>>()?;
    let mut cluster = Cluster::open(bench.programs.toktik()?)?;
    let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for number in 1..=bench.runs {
        for (name, file) in &clips {
            say(&format!("{name} in units, run {number} of {}", bench.runs));
            let run = Run {
                whole: cluster.make(file, 1)?,
                cut: cluster.make(file, WORKERS)?,
            };
            runs.entry(name).or_default().push(run);
        }
    }
    cluster.close()?;
    let figures = clips.iter().map(|(name, _)| figures(name, &runs[name]));
    Ok(figures.collect::<Result<Vec<_>>>()?.concat())
}

fn figures(clip: &str, runs: &[Run]) -> Result<Vec<Figure>> {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let figure = |name: &str, value: f64, unit: &str| Figure::new(SECTION, clip, name, value, unit);
    Ok(vec![
        figure("complete to ready, one unit", of(|run| run.whole.wall)?, "s"),
        figure("complete to ready, four units", of(|run| run.cut.wall)?, "s"),
        figure("transcode's processor time, one unit", of(|run| run.whole.cpu)?, "s"),
        figure("transcode's processor time, four units", of(|run| run.cut.cpu)?, "s"),
        figure(
            "processor time against one unit",
            of(|run| run.cut.cpu / run.whole.cpu)?,
            "x",
        )
        .at_most(MORE),
    ])
}

/// The embedded cloud, and each function a process of its own: event functions as workers of their queues, transcode
/// several times.
struct Cluster {
    toktik: PathBuf,
    customer: Customer,
    transcoders: Vec<Server>,
    others: Vec<Server>,
    cloud: Server,
    scratch: Scratch,
}

const KEY: &str = "bench";
const SECRET: &str = "bench-secret";

impl Cluster {
    fn open(toktik: &Path) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut command = Command::new(toktik);
        command.env("TOKTIK_CLOUD_ACCESS_KEY_ID", KEY);
        command.env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", SECRET);
        let data = scratch.fresh("cloud")?;
        command.args(["cloud", "--data-dir"]).arg(&data);
        let cloud = Server::start(command, &data)?;
        let mut command = Command::new(toktik);
        must(reach(command.arg("provision"), &cloud).stdout(Stdio::null()))?;
        let start = |function: &str, name: &str| Self::start(toktik, function, name, 1, &cloud, &scratch);
        let doors = ["auth", "upload", "videos"].map(|function| start(function, function));
        let [auth, upload, videos] = doors;
        let (auth, upload, videos) = (auth?, upload?, videos?);
        let customer = Customer::through(&auth, &upload, &videos)?;
        let mut others = vec![auth, upload, videos];
        for function in ["thumbnail", "audio", "package", "dead-letter", "janitor"] {
            others.push(start(function, function)?);
        }
        let transcoders = (0..WORKERS).map(|number| start("transcode", &format!("transcode-{number}")));
        Ok(Self {
            toktik: toktik.to_owned(),
            customer,
            transcoders: transcoders.collect::<Result<_>>()?,
            others,
            cloud,
            scratch,
        })
    }

    /// One function of a platform that works on so many units at once.
    fn start(
        toktik: &Path,
        function: &str,
        name: &str,
        parallelism: usize,
        cloud: &Server,
        scratch: &Scratch,
    ) -> Result<Server> {
        let mut command = Command::new(toktik);
        reach(command.args(["run", function]), cloud)
            .env("TOKTIK_HOST", "queue")
            .env("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
            .env("TOKTIK_LINK_SECRET", "fedcba9876543210fedcba9876543210")
            .env("TOKTIK_SCRATCH_DIR", scratch.path())
            .env("TOKTIK_MULTIPART_THRESHOLD", "1073741824")
            .env("TOKTIK_TRANSCODE_PARALLELISM", parallelism.to_string());
        Server::start(command, &scratch.path().join(name)).with_context(|| format!("starting {name}"))
    }

    /// What transcode takes for a clip in so many units, and how long it is until the clip is ready.
    fn make(&mut self, clip: &Path, units: usize) -> Result<Spent> {
        // It is the one who plans, and the only one who is told.
        let probe = Self::start(&self.toktik, "probe", "probe", units, &self.cloud, &self.scratch)?;
        let id = self.customer.upload(clip)?;
        let (before, started) = (self.cpu()?, Instant::now());
        self.customer.complete(&id)?;
        self.customer.until_ready(&id)?;
        let spent = Spent {
            wall: started.elapsed().as_secs_f64(),
            cpu: self.cpu()? - before,
        };
        probe.stop()?;
        Ok(spent)
    }

    fn cpu(&self) -> Result<f64> {
        self.transcoders.iter().map(Server::cpu).sum()
    }

    fn close(self) -> Result<()> {
        let functions = self.transcoders.into_iter().chain(self.others);
        functions.chain([self.cloud]).try_for_each(Server::stop)
    }
}

/// Where the cloud is, as every program of ours is told.
fn reach<'a>(command: &'a mut Command, cloud: &Server) -> &'a mut Command {
    command
        .env("AWS_ENDPOINT_URL", cloud.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
}
