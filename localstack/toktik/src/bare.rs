//! `toktik bare FILE`: what ffmpeg alone would be told to make the renditions of a clip, for `cargo xtask bench`.
//!
//! The same encoders with the same settings as transcode's, all rungs from one decode; without the sandbox, leases, stores
//! and everything else that is ours.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use toktik_media::encode::{self, Reading};
use toktik_media::plan::{self, Options, Plan, Rung, Unit, Work};
use toktik_media::probe::{self, Request};
use toktik_media::process::{Budget, Limits, Runner};
use toktik_media::settings;
use toktik_media::source::{Fraction, Transfer};

const TIME: Duration = Duration::from_mins(1);

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The clip
    pub file: PathBuf,
    /// Scale with ffmpeg's own scaler, as anybody would write it: what is scaled by ours costs less
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub media: settings::Settings,
}

/// Prints a list of lists of ffmpeg's arguments as JSON: each list's runs follow one another, and the lists need nothing of
/// each other. Files are written where ffmpeg is started.
pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let file = std::path::absolute(&settings.file).context("finding the clip")?;
    let input = file.to_str().context("the clip's name is not UTF-8")?;
    let plan = planned(settings)?;
    let runs = |unit: &Unit| {
        let mut runs = encode::unit_runs(&plan, unit, Reading::Patient, input);
        if let Work::Video { rungs, .. } = &unit.work
            && settings.plain
        {
            for args in &mut runs {
                scale_plainly(args, &plan, rungs);
            }
        }
        runs
    };
    let lists: Vec<Vec<Vec<String>>> = at_once(&plan).iter().map(runs).collect();
    println!("{}", serde_json::to_string(&lists)?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn planned(settings: &Settings) -> anyhow::Result<Plan> {
    let dir = tempfile::tempdir().context("making a directory")?;
    let copy = dir.path().join("source");
    std::fs::copy(&settings.file, &copy).with_context(|| format!("reading {}", settings.file.display()))?;
    let request = Request {
        file: &copy,
        dir: dir.path(),
        max_duration: settings.media.max_duration,
        limits: Limits::default(),
        budget: &Budget::new(TIME),
        cancel: &CancellationToken::new(),
    };
    let source = probe::probe(&Runner::new(&settings.media)?, request).await?;
    Ok(plan::plan(&source, &Options::default()))
}

/// As every introduction to ffmpeg does it. High dynamic range has no such way: those pictures pass through what is ours.
fn scale_plainly(args: &mut [String], plan: &Plan, rungs: &[String]) {
    let is_plain = plan.source.video.transfer == Transfer::Sdr && !plan.source.video.wide_gamut;
    let graph = args.iter().position(|arg| arg == "-filter_complex").map(|at| at + 1);
    let Some(graph) = graph.and_then(|at| args.get_mut(at)).filter(|_| is_plain) else {
        return;
    };
    let Fraction { num, den } = plan.frame_rate;
    let rungs: Vec<&Rung> = rungs.iter().filter_map(|name| plan.rung(name)).collect();
    let (mut copies, mut sizes) = (String::new(), String::new());
    for Rung {
        name, width, height, ..
    } in &rungs
    {
        copies.extend(["[from-", name, "]"]);
        let scale = format!("scale={width}:{height},format=yuv420p,setsar=1");
        sizes.extend([";[from-", name, "]", &scale, "[", name, "]"]);
    }
    let stream = plan.source.video.stream;
    *graph = format!("[0:{stream}]fps={num}/{den},split={}{copies}{sizes}", rungs.len());
}

/// The plan's units, with all that encode picture made one.
fn at_once(plan: &Plan) -> Vec<Unit> {
    let (pictures, mut units): (Vec<Unit>, Vec<Unit>) = plan
        .units
        .iter()
        .cloned()
        .partition(|unit| matches!(unit.work, Work::Video { .. }));
    let mut all: Vec<String> = Vec::new();
    for unit in &pictures {
        if let Work::Video { rungs, .. } = &unit.work {
            all.extend(
                rungs
                    .iter()
                    .filter(|rung| !all.contains(rung))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
    }
    units.extend(pictures.into_iter().next().map(|unit| Unit {
        work: Work::Video {
            rungs: all,
            first_frame: 0,
            frames: plan.frames,
        },
        ..unit
    }));
    units
}
