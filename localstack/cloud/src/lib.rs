//! The embedded cloud: S3, SQS and DynamoDB in this process, durable, under one data directory.
//!
//! It exists so that the functions need the AWS SDKs and nothing else, on one machine as on AWS. S3 and SQS share one
//! SQLite file, so that an object and the message about it commit together; objects' bytes are immutable files beside it;
//! DynamoDB is the crate `dynoxide-rs`. What was acknowledged survives `kill -9`. [`backup`] copies a data directory, in use
//! or at rest, as of one instant.
//!
//! Offered, and held by the tests through the AWS SDKs:
//! - **S3**, path-style: buckets with CORS rules; objects with their headers, metadata and checksums, ranges, conditional reads
//!   and writes, copies, deletions one by one and together; uploads in parts; listings of both versions; signed URLs; messages
//!   to queues or a webhook about what was created. Any key of up to 1024 bytes. Completing an upload twice is refused, where AWS
//!   repeats its answer for a while.
//! - **SQS**, standard queues in the JSON protocol: batches, delays, long polls, visibility, redrive, attributes, purging. A stale
//!   receipt handle deletes nothing.
//! - **DynamoDB**: conditional writes, transactions, batches, indexes, time to live, with the limits and number precision of AWS.
//!
//! A full disk refuses writes (S3 507, SQS 503, DynamoDB 500), changes nothing, and is over as soon as there is room. What
//! each service lacks is said in its module.
//!
//! Deliberately absent: users and permissions (one key opens everything), replication, more than one process on a data
//! directory.

pub mod backup;
mod blobs;
mod clock;
mod connector;
mod dynamodb;
mod points;
mod s3;
mod sigv4;
mod sqs;
mod store;
mod webhook;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::timeout::TimeoutConfig;
use axum::Router;
use axum::extract::Request;
use http::{HeaderMap, header};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub use crate::clock::Clock;
pub use crate::points::{WritePoint, WritePoints};
pub use crate::webhook::Webhook;

use crate::blobs::Blobs;
use crate::connector::Connector;
use crate::dynamodb::DynamoDb;
use crate::s3::S3;
use crate::sqs::Sqs;
use crate::store::Store;
use crate::webhook::Postman;

const ACCOUNT: &str = "000000000000";
const JSON_1_0: &str = "application/x-amz-json-1.0";
const S3_HOST: &str = "s3.toktik.internal";
const SQS_HOST: &str = "sqs.toktik.internal";
const DYNAMODB_HOST: &str = "dynamodb.toktik.internal";
const STORE_FILE: &str = "cloud.sqlite";
const ITEMS_FILE: &str = "dynamodb.sqlite";
const BLOBS_DIRECTORY: &str = "blobs";
/// A directory that is there for as long as a data directory is being restored.
pub const RESTORING: &str = "restoring";
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// A large part on a busy disk takes its time; a long poll takes 20 seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Clone, Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub region: String,
}

/// The three services over one data directory. Clones share it.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    clock: Clock,
    store: Store,
    blobs: Blobs,
    s3: S3,
    sqs: Sqs,
    dynamodb: DynamoDb,
    postman: OnceLock<Postman>,
    lock: File,
}

/// What one sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub blobs: usize,
    pub messages: usize,
    pub items: usize,
}

impl Cloud {
    /// Opens the data directory, creating it if need be, and removes the files that a crash has left behind. Fails if
    /// another process has it open.
    pub async fn open(options: Options) -> anyhow::Result<Cloud> {
        Cloud::open_at(options, Clock::default()).await
    }

    /// With a clock that the caller can move on.
    pub async fn open_at(options: Options, clock: Clock) -> anyhow::Result<Cloud> {
        Cloud::open_watched(options, clock, WritePoints::default()).await
    }

    /// With a hook at every place where state is written.
    pub async fn open_watched(options: Options, clock: Clock, points: WritePoints) -> anyhow::Result<Cloud> {
        let directory = options.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || Inner::open(options, clock, points)).await?;
        let inner = opened.with_context(|| format!("cannot open the data directory {}", directory.display()))?;
        let orphans = s3::sweep::orphans(&inner.store, &inner.blobs)
            .await
            .context("cannot look for orphaned blobs")?;
        if orphans > 0 {
            tracing::info!(blobs = orphans, "removed unfinished uploads");
        }
        Ok(Cloud { inner: Arc::new(inner) })
    }

    /// S3 with path-style addresses, to be used as a fallback service.
    pub fn s3(&self) -> Router {
        self.inner.s3.router(&self.inner.options)
    }

    /// SQS without a check of signatures: keep it inside, or use [`Cloud::secured`].
    pub fn sqs(&self) -> Router {
        self.inner.sqs.router()
    }

    /// DynamoDB without a check of signatures: keep it inside, or use [`Cloud::secured`].
    pub fn dynamodb(&self) -> Router {
        self.inner.dynamodb.router()
    }

    /// Hands the SDKs' requests to the services without a socket. The first label of the host chooses: `sqs`, `dynamodb`,
    /// and S3 for everything else.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Connector {
            s3: self.s3(),
            sqs: self.sqs(),
            dynamodb: self.dynamodb(),
        })
    }

    /// What the services' clients have in common. It names no endpoint, because each service has its own.
    pub fn sdk_config(&self) -> SdkConfig {
        let options = &self.inner.options;
        let credentials = Credentials::new(
            &*options.access_key_id,
            &*options.secret_access_key,
            None,
            None,
            "toktik",
        );
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(2 * ATTEMPT_TIMEOUT)
            .build();
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(options.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.http_client())
            .timeout_config(timeouts)
            .build()
    }

    pub fn s3_client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.sdk_config());
        let config = config.endpoint_url(format!("http://{S3_HOST}")).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub fn sqs_client(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::config::Builder::from(&self.sdk_config());
        aws_sdk_sqs::Client::from_conf(config.endpoint_url(format!("http://{SQS_HOST}")).build())
    }

    pub fn dynamodb_client(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk_config());
        aws_sdk_dynamodb::Client::from_conf(config.endpoint_url(format!("http://{DYNAMODB_HOST}")).build())
    }

    /// All three services on one port, told apart as LocalStack does it, for those alone who have the key. From now on
    /// what queues are told about objects also goes to the webhook, which [`Cloud::maintain`] delivers.
    pub fn secured(&self, webhook: Option<Webhook>) -> Router {
        if let Some(webhook) = webhook {
            self.inner
                .postman
                .get_or_init(|| Postman::new(self.inner.store.clone(), webhook));
        }
        let guard = |service| sigv4::guarded(service, &self.inner.options, &self.inner.clock);
        let services = Connector {
            s3: self.s3(),
            sqs: guard(self.sqs()),
            dynamodb: guard(self.dynamodb()),
        };
        let service = tower::service_fn(move |request: Request| {
            let service = services.clone();
            async move { addressed_service(service, request.headers()).oneshot(request).await }
        });
        Router::new().fallback_service(service)
    }

    /// Sweeps periodically and delivers to the webhook that [`Cloud::secured`] was given before, until stopped.
    pub fn maintain(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let cloud = self.clone();
        async move {
            let deliver = async {
                match cloud.inner.postman.get() {
                    Some(postman) => postman.run(&stop).await,
                    None => stop.cancelled().await,
                }
            };
            tokio::join!(cloud.sweep_until(&stop), deliver);
        }
    }

    async fn sweep_until(&self, stop: &CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL))
            .await
            .is_some()
        {
            match self.sweep().await {
                Ok(swept) if swept != Swept::default() => tracing::debug!(?swept, "swept"),
                Ok(_) => {}
                Err(error) => tracing::error!(error = format!("{error:#}"), "a sweep failed"),
            }
        }
    }

    /// Removes unlinked blobs, expired messages and DynamoDB items whose time to live has passed.
    pub async fn sweep(&self) -> anyhow::Result<Swept> {
        let inner = &self.inner;
        Ok(Swept {
            blobs: s3::sweep::unlinked_blobs(&inner.store, &inner.blobs)
                .await
                .context("unlinked blobs")?,
            messages: sqs::messages::sweep(&inner.sqs).await.context("expired messages")?,
            items: inner.dynamodb.sweep().await.context("DynamoDB time to live")?,
        })
    }

    /// Makes every received message visible again, for a program that knows that nobody but itself receives here and
    /// has only just started. Returns how many there were.
    pub async fn release_in_flight(&self) -> anyhow::Result<usize> {
        Ok(sqs::messages::release_in_flight(&self.inner.sqs).await?)
    }

    /// One attempt for each notification that is due at the webhook; returns how many arrived.
    pub async fn deliver(&self) -> anyhow::Result<usize> {
        match self.inner.postman.get() {
            Some(postman) => Ok(postman.deliver().await?),
            None => Ok(0),
        }
    }

    /// Folds the logs into the databases, stops the threads and gives the data directory free. What is left of this cloud
    /// answers with errors.
    pub async fn close(self) {
        let inner = &self.inner;
        if let Err(error) = inner.store.close().await {
            tracing::error!(%error, "the store did not close cleanly");
        }
        if let Err(error) = inner.dynamodb.close().await {
            tracing::error!(%error, "DynamoDB did not close cleanly");
        }
        if let Err(error) = inner.lock.unlock() {
            tracing::error!(%error, "the data directory could not be unlocked");
        }
    }
}

impl Inner {
    fn open(options: Options, clock: Clock, points: WritePoints) -> anyhow::Result<Inner> {
        let directory = &options.data_dir;
        std::fs::create_dir_all(directory)?;
        let lock = lock(directory)?;
        if directory.join(RESTORING).exists() {
            anyhow::bail!("restoring a backup into it did not come to its end; empty it and restore again");
        }
        let store = Store::open(&directory.join(STORE_FILE), clock.clone(), points.clone())?;
        let blobs = Blobs::open(directory, points.clone())?;
        Ok(Inner {
            s3: S3::new(store.clone(), blobs.clone(), &options.region),
            sqs: Sqs::new(store.clone(), &options.region),
            dynamodb: DynamoDb::open(&directory.join(ITEMS_FILE), points)?,
            postman: OnceLock::new(),
            options,
            clock,
            store,
            blobs,
            lock,
        })
    }
}

/// Held until the file is closed, by a crash too.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let file = File::create(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!("another process is using it"),
        Err(TryLockError::Error(error)) => Err(error).context("it cannot be locked"),
    }
}

/// SQS and DynamoDB name their operation in a header; who speaks their content type without one gets their error.
fn addressed_service(services: Connector, headers: &HeaderMap) -> Router {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let (target, content_type) = (text("x-amz-target"), text(header::CONTENT_TYPE.as_str()));
    match target {
        target if target.starts_with("DynamoDB") => services.dynamodb,
        target if target.starts_with("AmazonSQS") => services.sqs,
        _ if content_type.starts_with("application/x-amz-json") => services.sqs,
        _ => services.s3,
    }
}
