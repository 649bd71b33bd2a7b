//! What a function is given to work with: the stores, the way to publish, the clock.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aws_config::{BehaviorVersion, SdkConfig};
use chrono::TimeDelta;
use toktik_catalog::Catalog;
use toktik_catalog::ledger::Lease;
use toktik_catalog::videos::Video;
use toktik_events::{Function, Message, Payload};
use toktik_identity::Verifier;
use toktik_media::plan::Plan;
use toktik_objects::{CredentialsEnd, Objects, Watched, keys};

use crate::clock::Clock;
use crate::function::Failure;
use crate::publish::{Overrides, Publisher};
use crate::settings::{Addresses, Common, Stores};
use crate::workshop::Sources;

#[derive(Clone)]
pub struct Context {
    pub catalog: Catalog,
    pub objects: Objects,
    /// Uploads that steps of this process work on right now.
    pub sources: Sources,
    pub publisher: Publisher,
    pub clock: Clock,
    /// Checks access tokens.
    pub verifier: Arc<Verifier>,
    pub addresses: Addresses,
    /// How long a step or a delivery is somebody's without a sign of life.
    pub lease: Duration,
    pub lease_check: Duration,
    /// An answer reaches whoever asked while it is still being written. Lambda keeps it until it is whole.
    pub streams: bool,
}

/// SDK clients for the three stores.
#[derive(Clone, Debug)]
pub struct Clients {
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Of those that S3's client signs with.
    pub credentials_end: CredentialsEnd,
}

impl Clients {
    /// As the environment says: region, credentials, `AWS_ENDPOINT_URL_S3` and its like.
    pub async fn from_environment() -> Self {
        let config: SdkConfig = aws_config::defaults(BehaviorVersion::latest()).load().await;
        // Stores that stand in for S3 are reached by path: they have no wildcard name.
        let own_endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        let mut s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(own_endpoint);
        let credentials_end = CredentialsEnd::default();
        if let Some(provider) = config.credentials_provider() {
            s3 = s3.credentials_provider(Watched::new(provider, credentials_end.clone()));
        }
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            credentials_end,
        }
    }
}

/// Two may be lost before the third comes too late.
pub(crate) fn sign_of_life(lease: Duration) -> Duration {
    lease / 3
}

impl Context {
    pub fn new(common: &Common, clients: Clients, verifier: Arc<Verifier>) -> anyhow::Result<Self> {
        let Stores {
            bucket,
            table,
            queue_prefix,
            lease_check,
        } = common.stores.clone();
        let publisher = match common.events.sink() {
            Some(sink) => Publisher::to_sink(sink, Overrides::from_environment()?, clients.sqs, queue_prefix)?,
            None => Publisher::to_queues(clients.sqs, queue_prefix),
        };
        let lease = common.terms.lease;
        let term = TimeDelta::from_std(lease).context("TOKTIK_LEASE")?;
        Ok(Self {
            catalog: Catalog::new(clients.dynamodb, table).leasing_for(term),
            objects: Objects::new(clients.s3, bucket, clients.credentials_end),
            sources: Sources::default(),
            publisher,
            clock: Clock::system(),
            verifier,
            addresses: common.addresses.clone(),
            lease,
            lease_check: lease_check.min(sign_of_life(lease)),
            streams: true,
        })
    }

    /// Says what has just happened.
    pub async fn publish(&self, from: Function, payload: Payload) -> anyhow::Result<()> {
        let message = Message::new(from, self.clock.now(), payload);
        self.publisher.publish(&message).await
    }

    /// Publishes an event that a transaction wrote into the outbox, and takes it out. A failure is logged and no more:
    /// the janitor publishes what stays behind.
    pub async fn publish_owed(&self, message: &Message) {
        let result = async {
            self.publisher.publish(message).await?;
            self.catalog.published(message).await.context("clearing the outbox")
        };
        if let Err(error) = result.await {
            tracing::warn!(
                event.id = message.id,
                error = format!("{error:#}"),
                "an event stays in the outbox; the janitor will publish it"
            );
        }
    }

    /// The clip and the plan that a step works by.
    pub async fn planned(&self, lease: &Lease) -> Result<(Video, Plan), Failure> {
        let video = self.catalog.video(lease.video_id).await?;
        let plan = self.catalog.plan(lease.video_id, lease.generation).await?;
        let lost = || Failure::give_up("no_plan", anyhow!("the clip or its plan is gone"));
        Ok((video.ok_or_else(lost)?, plan.ok_or_else(lost)?))
    }

    /// Removes what was uploaded and made for a clip that nobody will ask for again. Steps that do not know yet may
    /// still write; the janitor comes back when they are done.
    pub async fn drop_objects(&self, video: &Video) -> anyhow::Result<()> {
        self.drop_upload(video).await?;
        self.objects.delete_prefix(&keys::media_of(video.id)).await?;
        Ok(())
    }

    /// Removes what was uploaded for a clip, whole or in parts.
    pub async fn drop_upload(&self, video: &Video) -> anyhow::Result<()> {
        if let Some(multipart) = &video.upload.multipart {
            self.objects
                .abort_multipart(&video.upload.key, &multipart.upload_id)
                .await?;
        }
        self.objects.delete_prefix(&keys::uploads_of(video.id)).await?;
        Ok(())
    }
}
