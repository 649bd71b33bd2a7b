//! `toktik cloud`: the embedded cloud alone, for functions that run elsewhere on this machine or in this cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap::builder::BoolishValueParser;
use tokio::net::TcpListener;
use toktik_cloud::{Cloud, Options, Webhook};
use toktik_identity::Secret;
use toktik_objects::CredentialsEnd;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::{Log, Stores};
use toktik_runtime::{server, stop_signal, telemetry};

use crate::provision::{self, Wiring};
use crate::secrets::Secrets;

/// What MinIO calls the target of its webhook, and the embedded cloud its own.
const WEBHOOK_ARN: &str = "arn:minio:sqs::_:webhook";

#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Address to serve on
    #[arg(long, env = "TOKTIK_LISTEN", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, env = "TOKTIK_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
    /// Access key that clients sign with. Unset: one made for the data directory, in its secrets.json
    #[arg(long, env = "TOKTIK_CLOUD_ACCESS_KEY_ID")]
    pub access_key_id: Option<String>,
    /// Secret key that clients sign with
    #[arg(
        long,
        env = "TOKTIK_CLOUD_SECRET_ACCESS_KEY",
        hide_env_values = true,
        requires = "access_key_id"
    )]
    pub secret_access_key: Option<Secret>,
    /// Post notifications of new objects to this address too, in MinIO's form
    #[arg(long, env = "TOKTIK_CLOUD_WEBHOOK")]
    pub webhook: Option<String>,
    /// Bearer token sent with them
    #[arg(
        long,
        env = "TOKTIK_CLOUD_WEBHOOK_TOKEN",
        hide_env_values = true,
        requires = "webhook"
    )]
    pub webhook_token: Option<Secret>,
    /// Make bucket and table at the start, for functions whose events a broker carries; uploads are told to the webhook
    #[arg(long, env = "TOKTIK_CLOUD_PROVISION", value_parser = BoolishValueParser::new())]
    pub provision: bool,
    #[command(flatten)]
    pub stores: Stores,
    #[command(flatten)]
    pub log: Log,
}

pub fn main(settings: Settings) -> anyhow::Result<()> {
    telemetry::log(&settings.log)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let cloud = Cloud::open(options(&settings)?).await?;
    if settings.provision {
        let notify = settings.webhook.as_ref().map(|_| WEBHOOK_ARN.to_owned());
        let wiring = Wiring {
            broker: true,
            notify,
            ..Wiring::default()
        };
        provision::wired(&clients(&cloud), &settings.stores, &wiring)
            .await?
            .settled()?;
    }
    let webhook = settings.webhook.map(|url| Webhook {
        url,
        token: settings.webhook_token.map(|token| token.expose().to_owned()),
    });
    let router = cloud.secured(webhook);
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("listening on {}", settings.listen))?;
    eprintln!(
        "The embedded cloud is at http://{} (S3, SQS, DynamoDB). Ctrl-C ends it.",
        listener.local_addr()?
    );
    let stop = stop_signal()?;
    let ((), served) = tokio::join!(cloud.maintain(stop.clone()), server::serve(listener, router, stop));
    cloud.close().await;
    served
}

/// Clients that need no socket.
pub(crate) fn clients(cloud: &Cloud) -> Clients {
    Clients {
        s3: cloud.s3_client(),
        sqs: cloud.sqs_client(),
        dynamodb: cloud.dynamodb_client(),
        credentials_end: CredentialsEnd::default(),
    }
}

fn options(settings: &Settings) -> anyhow::Result<Options> {
    let secrets = Secrets::of(&settings.data_dir)?;
    let (access_key_id, secret_access_key) = match (&settings.access_key_id, &settings.secret_access_key) {
        (Some(id), Some(secret)) => (id.clone(), secret.expose().to_owned()),
        _ => (secrets.access_key_id, secrets.secret_access_key),
    };
    Ok(Options {
        data_dir: settings.data_dir.clone(),
        access_key_id,
        secret_access_key,
        region: "us-east-1".to_owned(),
    })
}
