//! `toktik ready`: whether the function beside it takes requests. What a container's health check runs, where there is no
//! other program to ask with.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

/// Whoever asks does so again soon.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// What to ask
    #[arg(default_value = "http://127.0.0.1:8080/readyz")]
    pub url: String,
}

pub fn main(settings: &Settings) -> ExitCode {
    match asked(&settings.url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toktik: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn asked(url: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime")?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let answer = client.get(url).send().await?;
        if !answer.status().is_success() {
            bail!("{url} answers {}", answer.status());
        }
        Ok(())
    })
}
