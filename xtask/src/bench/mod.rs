//! `cargo xtask bench`: figures as ratios and differences within one run, since machines differ and are noisy.
//!
//! What is measured runs as users run it: the programs that are shipped, over HTTP, from outside. What it is measured
//! against runs in turns with it. Each section is a module; all of them end in [`report::Figure`]s.

mod api;
mod bare;
mod burst;
mod chart;
mod clips;
mod cold_start;
mod customer;
mod platform;
mod programs;
mod quality;
mod report;
mod source;
mod units;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::install::{self, Need};
use crate::workspace::{self, say};
use programs::Programs;
use report::Report;

/// Measure speed and cost, as ratios within one run
///
/// Builds what is shipped and measures it from outside. Takes about an hour on two cores that have nothing else to
/// do; figures from a busy machine mean nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; everything if none is named
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// How often each thing is measured; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Only clips whose name contains this
    #[arg(long, value_name = "NAME")]
    clip: Option<String>,
    /// For `quality`: look at this film instead of clips that are made
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a chart of the figures to this file, as Mermaid in Markdown
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Measure nothing; show the figures of this JSON file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sections", "json"])]
    from: Option<PathBuf>,
    /// Exit with 1 if a figure misses its bar
    #[arg(long)]
    check: bool,
    /// Measure a build of this profile of cargo's instead: `dev` while working on the bench itself
    #[arg(long, hide = true)]
    profile: Option<String>,
    /// Build nothing; measure the programs in this directory
    #[arg(long, hide = true, value_name = "DIRECTORY", conflicts_with = "profile")]
    programs: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// From a complete upload to playable and ready, against ffmpeg alone and the classic chain
    Clips,
    /// Requests a second, against handlers that do one call of the SDK and nothing else
    Api,
    /// Twenty uploads at once, and a short clip behind long ones
    Burst,
    /// A clip in units on four workers, against the same clip in one
    Units,
    /// How each rung looks, against what x264 makes of as many bits at its default preset
    Quality,
    /// First answer and memory of each function, against the least server of the same stack
    ColdStart,
}

/// What every section is measured with.
struct Bench<'a> {
    programs: Programs,
    runs: u32,
    clip: Option<&'a str>,
    film: Option<&'a Path>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let report = match &args.from {
        Some(file) => Report::read(file)?,
        None => measure(args)?,
    };
    print!("{report}");
    if let Some(file) = &args.json {
        report.write(file)?;
    }
    if let Some(file) = &args.chart {
        chart::write(&report, file)?;
    }
    let missed = report.missed();
    if missed > 0 {
        say(&format!("{missed} of the figures miss their bar"));
    }
    Ok(if args.check && missed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn measure(args: &Args) -> Result<Report> {
    let wanted = |section: &Section| args.sections.is_empty() || args.sections.contains(section);
    let sections: Vec<Section> = Section::value_variants()
        .iter()
        .filter(|s| wanted(s))
        .copied()
        .collect();
    install::ensure(&[Need::Make, Need::Ffmpeg])?;
    let root = workspace::root()?;
    let functions = sections.contains(&Section::ColdStart);
    let (programs, built) = if let Some(folder) = &args.programs {
        (Programs::lying_in(folder)?, Some("built before"))
    } else {
        let profile = args.profile.as_deref();
        (Programs::build(&root, profile, functions)?, profile)
    };
    let bench = Bench {
        programs,
        runs: args.runs,
        clip: args.clip.as_deref(),
        film: args.film.as_deref(),
    };
    let mut report = Report::of_this_machine(built, args.runs)?;
    for section in sections {
        let figures = match section {
            Section::Clips => clips::measure(&bench)?,
            Section::Api => api::measure(&bench)?,
            Section::Burst => burst::measure(&bench)?,
            Section::Units => units::measure(&bench)?,
            Section::Quality => quality::measure(&bench)?,
            Section::ColdStart => cold_start::measure(&bench.programs)?,
        };
        // What is measured is said at once, since what comes next may fail.
        for figure in &figures {
            say(&figure.to_string());
        }
        report.figures.extend(figures);
    }
    Ok(report)
}

/// The middle one.
fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    match values.get(values.len() / 2) {
        Some(middle) => Ok(*middle),
        None => bail!("nothing was measured"),
    }
}
