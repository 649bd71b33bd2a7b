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
use toktik_media::plan::{self, Options, Plan, Unit, Work};
use toktik_media::probe::{self, Request};
use toktik_media::process::{Budget, Limits, Runner};
use toktik_media::settings;

const TIME: Duration = Duration::from_mins(1);

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The clip
    pub file: PathBuf,
    #[command(flatten)]
    pub media: settings::Settings,
}

/// Prints a list of lists of ffmpeg's arguments as JSON: each list's runs follow one another, and the lists need nothing of
/// each other. Files are written where ffmpeg is started.
pub fn main(settings: &Settings) -> anyhow::Result<()> {
    let file = std::path::absolute(&settings.file).context("finding the clip")?;
    let input = file.to_str().context("the clip's name is not UTF-8")?;
    let plan = planned(settings)?;
    let runs = |unit: &Unit| encode::unit_runs(&plan, unit, Reading::Patient, input);
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
    let mut source = probe::probe(&Runner::new(&settings.media)?, request).await?;
    // Its rungs are made of one decode, and all of them of all pictures.
    source.weight.thins = false;
    Ok(plan::plan(&source, &Options::default()))
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
