//! Takes away what tests have made.

use toktik_runtime::context::Clients;

use crate::quirks::Target;

/// Everything whose name begins so. Each kind is tried even if another could not be removed.
pub(crate) async fn remove(clients: &Clients, prefix: &str) {
    let (queues, tables, buckets) = tokio::join!(
        queues(&clients.sqs, prefix),
        tables(&clients.dynamodb, prefix),
        buckets(&clients.s3, prefix)
    );
    for removed in [queues, tables, buckets] {
        removed.unwrap_or_else(|error| panic!("something of {prefix} may be left: {error:#}"));
    }
}

async fn queues(client: &aws_sdk_sqs::Client, prefix: &str) -> anyhow::Result<()> {
    let mut pages = client
        .list_queues()
        .queue_name_prefix(prefix)
        .max_results(1000)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for url in page?.queue_urls() {
            client.delete_queue().queue_url(url).send().await?;
        }
    }
    Ok(())
}

async fn tables(client: &aws_sdk_dynamodb::Client, prefix: &str) -> anyhow::Result<()> {
    let mut pages = client.list_tables().into_paginator().send();
    while let Some(page) = pages.next().await {
        for name in page?.table_names().iter().filter(|name| name.starts_with(prefix)) {
            client.delete_table().table_name(name).send().await?;
        }
    }
    Ok(())
}

async fn buckets(client: &aws_sdk_s3::Client, prefix: &str) -> anyhow::Result<()> {
    let listed = client.list_buckets().send().await?;
    let names = listed.buckets().iter().filter_map(|bucket| bucket.name());
    for name in names.filter(|name| name.starts_with(prefix)) {
        empty(client, name).await?;
        client.delete_bucket().bucket(name).send().await?;
    }
    Ok(())
}

async fn empty(client: &aws_sdk_s3::Client, bucket: &str) -> anyhow::Result<()> {
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
    while let Some(page) = pages.next().await {
        for key in page?.contents().iter().filter_map(|object| object.key()) {
            client.delete_object().bucket(bucket).key(key).send().await?;
        }
    }
    let uploads = client.list_multipart_uploads().bucket(bucket).send().await?;
    for upload in uploads.uploads() {
        let request = client.abort_multipart_upload().bucket(bucket);
        let request = request
            .set_key(upload.key.clone())
            .set_upload_id(upload.upload_id.clone());
        request.send().await?;
    }
    Ok(())
}

/// For a run that was cut off: `cargo xtask test --target aws` calls it at its end, with the prefix of that run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "removes what other tests may be using"]
async fn what_a_run_left_behind_is_removed() {
    let prefix = std::env::var("TOKTIK_TEST_PREFIX").expect("TOKTIK_TEST_PREFIX says what to remove");
    assert_ne!(
        Target::named(),
        Target::Embedded,
        "there it lies in the tests' directories"
    );
    remove(&Clients::from_environment().await, &prefix).await;
}
