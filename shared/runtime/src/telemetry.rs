//! Logs and metrics, set up once for the process.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Log, LogFormat};

const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

const UPKEEP: Duration = Duration::from_secs(5);

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Logs to stderr, so that a command's stdout stays its own.
pub fn log(settings: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("TOKTIK_LOG (--log) cannot be understood")?;
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_discreet));
    let writer = std::io::stderr;
    let colours = std::io::stderr().is_terminal();
    match settings.format() {
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(writer)
                    .with_target(false)
                    .with_ansi(colours),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(writer),
            )
            .try_init(),
    }
    .context("logging is set up already")
}

/// Whether a crate is to be heard: those of others show in detail all that passes through them, rows of the table and
/// signed addresses included, whatever filter was asked for.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let detailed = *metadata.level() > Level::INFO;
    !detailed || metadata.target().starts_with("toktik")
}

/// What has been measured so far, in Prometheus's text format.
pub fn metrics() -> String {
    let handle = recorder();
    handle.run_upkeep();
    handle.render()
}

/// Adds up what was measured. Until then every single request is remembered, whether or not anybody asks for metrics.
pub async fn keep_up() {
    let mut interval = tokio::time::interval(UPKEEP);
    loop {
        interval.tick().await;
        recorder().run_upkeep();
    }
}

/// Begins to measure.
pub fn recorder() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS);
        // The bounds are a constant list that is not empty, which is all that can be wrong with them.
        let recorder = builder.unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // Another recorder may be installed where the library is embedded: then that one measures.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
