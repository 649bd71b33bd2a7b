//! The bucket, which browsers reach with signed URLs, and which tells of uploads.

use anyhow::Context as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::CreateBucketConfiguration;

use super::queues::Told;
use super::{Difference, Visit, cors, notifications};

pub(super) async fn visit(visit: &mut Visit<'_>, told: &Told) -> anyhow::Result<()> {
    let client = visit.clients.s3.clone();
    let name = visit.stores.bucket.clone();
    let what = format!("bucket {name}");
    let there = look(&client, &name).await?;
    match there {
        Found::Ours => visit.is_as_wanted(what),
        Found::Nothing => visit.lacks(what, create(&client, &name)).await?,
        Found::SomebodyElses(status) => {
            visit.differs(what, foreign(status));
            return Ok(());
        }
    }
    let is_there = there == Found::Ours || visit.makes;
    cors::visit(visit, &client, is_there).await?;
    notifications::visit(visit, &client, is_there, told).await
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Nothing,
    Ours,
    /// The status that says so.
    SomebodyElses(u16),
}

/// An answer to HEAD has no body, and so no code.
async fn look(client: &Client, name: &str) -> anyhow::Result<Found> {
    let Err(error) = client.head_bucket().bucket(name).send().await else {
        return Ok(Found::Ours);
    };
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(404) => Ok(Found::Nothing),
        Some(status @ (301 | 307 | 400 | 403)) => Ok(Found::SomebodyElses(status)),
        _ => Err(error).with_context(|| format!("looking for bucket {name}")),
    }
}

fn foreign(status: u16) -> Difference {
    let there = match status {
        403 => "it is somebody else's, or these credentials may not see it",
        400 => "its store does not take this name, or these credentials",
        _ => "it is in another region",
    };
    Difference {
        there: there.to_owned(),
        wanted: "a bucket of this account, in the region of AWS_REGION".to_owned(),
        mend: "choose another name in TOKTIK_BUCKET, or other credentials, or another region".to_owned(),
    }
}

async fn create(client: &Client, name: &str) -> anyhow::Result<()> {
    let request = client.create_bucket().bucket(name);
    match request.set_create_bucket_configuration(location(client)).send().await {
        // Somebody else provisions at the same time.
        Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => Err(error.into()),
        _ => Ok(()),
    }
}

/// S3 wants to hear where a bucket is to be, except in its first region, of which it must not hear.
fn location(client: &Client) -> Option<CreateBucketConfiguration> {
    let region = client.config().region()?.as_ref();
    let configuration = CreateBucketConfiguration::builder().location_constraint(region.into());
    (region != "us-east-1").then(|| configuration.build())
}
