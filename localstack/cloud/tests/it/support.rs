//! A cloud of its own for each test.

use std::path::{Path, PathBuf};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::ByteStream;
use axum::Router;
use tempfile::TempDir;
use tokio::net::TcpListener;
use toktik_cloud::{Clock, Cloud, Options, WritePoints};

pub(crate) const BUCKET: &str = "clips";

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) clock: Clock,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    path: PathBuf,
    /// None if somebody else removes it.
    directory: Option<TempDir>,
}

impl World {
    /// With one bucket.
    pub(crate) async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let world = World::over(directory, WritePoints::default()).await;
        world.s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        world
    }

    pub(crate) async fn over(directory: TempDir, points: WritePoints) -> World {
        let world = World::at(directory.path(), points).await;
        World {
            directory: Some(directory),
            ..world
        }
    }

    pub(crate) async fn at(path: &Path, points: WritePoints) -> World {
        let clock = Clock::default();
        let cloud = Cloud::open_watched(options(path), clock.clone(), points).await.unwrap();
        World {
            s3: cloud.s3_client(),
            sqs: cloud.sqs_client(),
            dynamodb: cloud.dynamodb_client(),
            cloud,
            clock,
            path: path.to_owned(),
            directory: None,
        }
    }

    /// Whose clients say at once what they were told.
    pub(crate) fn without_retries(self) -> World {
        let config = self.cloud.sdk_config().into_builder();
        let config = config.retry_config(RetryConfig::disabled()).build();
        let sqs = aws_sdk_sqs::config::Builder::from(&config).endpoint_url("http://sqs.test");
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url("http://dynamodb.test");
        let s3 = aws_sdk_s3::config::Builder::from(&config).endpoint_url("http://s3.test");
        World {
            s3: aws_sdk_s3::Client::from_conf(s3.force_path_style(true).build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            ..self
        }
    }

    pub(crate) async fn reopened(self) -> World {
        self.cloud.close().await;
        World::over(self.directory.unwrap(), WritePoints::default()).await
    }

    /// As if the process had been killed: nothing is closed, another cloud finds the directory as it is.
    pub(crate) async fn copied_while_running(&self) -> World {
        let directory = tempfile::tempdir().unwrap();
        copy(&self.path, directory.path());
        World::over(directory, WritePoints::default()).await
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.path
    }

    /// How many blob files there are.
    pub(crate) fn blobs(&self) -> usize {
        self.blob_files().len()
    }

    pub(crate) fn blob_files(&self) -> Vec<PathBuf> {
        let shards = std::fs::read_dir(self.directory().join("blobs")).unwrap();
        let files = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<ByteStream>) -> String {
        let put = self
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(body.into())
            .send()
            .await
            .unwrap();
        put.e_tag.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.s3.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn exists(&self, key: &str) -> bool {
        match self.s3.head_object().bucket(BUCKET).key(key).send().await {
            Ok(_) => true,
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(crate) async fn queue(&self, name: &str) -> String {
        self.sqs
            .create_queue()
            .queue_name(name)
            .send()
            .await
            .unwrap()
            .queue_url
            .unwrap()
    }

    /// What a receiver gets at once, which becomes invisible for others.
    pub(crate) async fn receive(&self, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let received = self.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        received.send().await.unwrap().messages.unwrap_or_default()
    }

    /// The S3 client of somebody who reaches the cloud under `base`.
    pub(crate) fn s3_at(&self, base: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.cloud.sdk_config()).endpoint_url(base);
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }
}

pub(crate) fn options(directory: &Path) -> Options {
    Options {
        data_dir: directory.to_owned(),
        access_key_id: "toktik".to_owned(),
        secret_access_key: "a secret of this test".to_owned(),
        region: "us-east-1".to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Serves on a free port until the test ends; returns the address as a URL.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// The error code a service answered with.
pub(crate) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    error.code().unwrap_or("none").to_owned()
}

pub(crate) fn status<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}
