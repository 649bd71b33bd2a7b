//! Everything the functions need to find in an account: bucket, queues, table.
//!
//! First everything is looked at and nothing written. What somebody made otherwise than it is needed is named, with a way
//! to mend it, and then nothing is made at all: it may be there for a reason that is not known here. Only if nothing
//! differs, what is missing is made. So it may be repeated, and goes on where it was broken off.

mod bucket;
mod cors;
mod notifications;
mod queues;
mod report;
mod table;

use std::process::ExitCode;

use anyhow::Context as _;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::Stores;

pub use report::{Difference, Finding, Report, State};

/// As `toktik check` does: 1 is for what could not be found out.
const DIFFERS: u8 = 2;

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub stores: Stores,
    #[command(flatten)]
    pub wiring: Wiring,
}

/// Who carries events, who hears of uploads, and from where browsers come.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Wiring {
    /// Events go through a broker: make no queues but the one that hears of uploads
    #[arg(long)]
    pub broker: bool,
    /// Who hears of uploads, if not the queue of probe: `arn:minio:sqs::NAME:webhook` is a webhook of MinIO's
    #[arg(long, value_name = "ARN")]
    pub notify: Option<String>,
    /// Pages of this origin may upload and play; may be repeated. Unset: any page, since a signed URL is what gives access
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
}

pub fn main(settings: &Settings) -> ExitCode {
    match made(settings) {
        Ok(report) => {
            print!("{report}");
            if report.differs() {
                ExitCode::from(DIFFERS)
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("toktik: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn made(settings: &Settings) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let clients = Clients::from_environment().await;
        wired(&clients, &settings.stores, &settings.wiring).await
    })
}

/// For functions that work off queues.
pub async fn provision(clients: &Clients, stores: &Stores) -> anyhow::Result<()> {
    wired(clients, stores, &Wiring::default()).await?.settled()
}

/// No queue is made that nobody would read: messages would only pile up in it.
pub async fn wired(clients: &Clients, stores: &Stores, wiring: &Wiring) -> anyhow::Result<Report> {
    let found = visited(clients, stores, wiring, false).await?;
    if found.differs() || !found.lacks() {
        return Ok(found);
    }
    visited(clients, stores, wiring, true).await
}

async fn visited(clients: &Clients, stores: &Stores, wiring: &Wiring, makes: bool) -> anyhow::Result<Report> {
    let mut visit = Visit {
        clients,
        stores,
        wiring,
        makes,
        report: Report::default(),
    };
    table::visit(&mut visit).await?;
    let told = queues::visit(&mut visit).await?;
    bucket::visit(&mut visit, &told).await?;
    Ok(visit.report)
}

/// One look at the account; or a second one, which makes what is missing.
struct Visit<'a> {
    clients: &'a Clients,
    stores: &'a Stores,
    wiring: &'a Wiring,
    makes: bool,
    report: Report,
}

impl Visit<'_> {
    fn is_as_wanted(&mut self, what: String) {
        self.report.note(what, State::AsWanted);
    }

    fn differs(&mut self, what: String, difference: Difference) {
        self.report.note(what, State::Differs(difference));
    }

    /// Makes it, if this visit makes anything.
    async fn lacks(&mut self, what: String, make: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let state = if self.makes {
            make.await.with_context(|| format!("making the {what}"))?;
            State::Created
        } else {
            State::Missing
        };
        self.report.note(what, state);
        Ok(())
    }
}
