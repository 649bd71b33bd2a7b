//! `toktik check`: whether what a player gets keeps to the specifications of HLS.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use toktik_check::Report;

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Address of the multivariant playlist, of this platform or any other
    #[arg(value_name = "PLAYLIST_URL")]
    pub url: String,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// A clause that says MUST is broken; 1 is for what could not be fetched.
const BROKEN: u8 = 2;

pub fn main(settings: &Settings) -> ExitCode {
    match print(settings) {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("toktik: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn print(settings: &Settings) -> anyhow::Result<Report> {
    let report = toktik_check::check(&settings.url).await?;
    if settings.json {
        let json = serde_json::to_string_pretty(&report).context("the report cannot be written")?;
        println!("{json}");
    } else {
        println!("{report}");
    }
    Ok(report)
}
