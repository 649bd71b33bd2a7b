//! `cargo xtask bench`: figures as ratios and differences within one run, since machines differ and are noisy.

mod cold_start;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Measure
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

// Each one's help text stands on its arguments.
#[derive(Subcommand)]
enum What {
    ColdStart(cold_start::Args),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::ColdStart(args) => cold_start::run(args),
    }
}
