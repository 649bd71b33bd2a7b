//! Where a test works: the target, and a prefix that nobody else uses.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use aws_sdk_sqs::types::QueueAttributeName;
use futures::FutureExt as _;
use tempfile::TempDir;
use tokio::process::Command;
use toktik_catalog::Catalog;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::Stores;

use crate::quirks::Target;
use crate::record::Record;
use crate::running::{PATIENCE, Running, toktik};
use crate::sdk;

/// What everything that tests make begins with; `cargo xtask test` adds a part of its own.
const PREFIX: &str = "toktik-test";

pub(crate) struct Account {
    pub(crate) target: Target,
    pub(crate) clients: Clients,
    /// Bucket, table and queues begin with it.
    pub(crate) prefix: String,
    pub(crate) directory: TempDir,
    /// Of this test alone, where no other is named.
    cloud: Option<Running>,
}

/// What a program ended with, and said.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) said: String,
}

/// Runs a test, and removes what it made whatever becomes of it.
pub(crate) async fn on_target(test: &str, body: impl AsyncFnOnce(&Account, &mut Record)) {
    let account = Account::open().await;
    let mut record = Record::begin(test);
    let outcome = AssertUnwindSafe(body(&account, &mut record)).catch_unwind().await;
    let removed = AssertUnwindSafe(account.close()).catch_unwind().await;
    if let Err(panic) = outcome.and(removed) {
        record.failed();
        std::panic::resume_unwind(panic);
    }
    record.passed();
}

impl Account {
    async fn open() -> Self {
        let target = Target::named();
        let directory = tempfile::tempdir().unwrap();
        let (cloud, clients) = match target {
            Target::Embedded => {
                let cloud = start_cloud(directory.path()).await;
                let clients = sdk::clients(&cloud.base);
                (Some(cloud), clients)
            }
            _ => (None, Clients::from_environment().await),
        };
        let run = std::env::var("TOKTIK_TEST_PREFIX").unwrap_or_else(|_| PREFIX.to_owned());
        let own = &uuid::Uuid::new_v4().simple().to_string()[..10];
        Self {
            target,
            clients,
            prefix: format!("{run}-{own}"),
            directory,
            cloud,
        }
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores {
            bucket: self.prefix.clone(),
            table: self.prefix.clone(),
            queue_prefix: format!("{}-", self.prefix),
            lease_check: std::time::Duration::from_secs(1),
        }
    }

    /// Where the store is; none where S3 has an address of its own for each bucket.
    pub(crate) fn store(&self) -> Option<String> {
        let told = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let told = || told.iter().find_map(|name| std::env::var(name).ok());
        self.cloud.as_ref().map(|cloud| cloud.base.clone()).or_else(told)
    }

    /// As functions on the target have it.
    pub(crate) fn catalog(&self) -> Catalog {
        Catalog::new(self.clients.dynamodb.clone(), self.prefix.clone())
    }

    /// The program, told of the target as its user would tell it.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = toktik(arguments);
        match &self.cloud {
            Some(cloud) => command
                .env("AWS_ENDPOINT_URL", &cloud.base)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test-secret"),
            None => command.envs(std::env::vars().filter(|(name, _)| name.starts_with("AWS_"))),
        };
        let stores = self.stores();
        command
            .env("TOKTIK_BUCKET", stores.bucket)
            .env("TOKTIK_TABLE", stores.table)
            .env("TOKTIK_QUEUE_PREFIX", stores.queue_prefix);
        command
    }

    /// `toktik provision`, as a person calls it.
    pub(crate) async fn provision(&self, arguments: &[&str]) -> Ended {
        let mut command = self.program(&[&["provision"], arguments].concat());
        let output = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .expect("it does not end")
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ended {
            status: output.status.code(),
            said: String::from_utf8(said).unwrap(),
        }
    }

    /// Makes everything, and says so.
    pub(crate) async fn provisioned(&self) {
        let ended = self.provision(&[]).await;
        assert_eq!(ended.status, Some(0), "{}", ended.said);
    }

    pub(crate) fn queue(&self, function: &str) -> String {
        format!("{}-{function}", self.prefix)
    }

    pub(crate) async fn queue_url(&self, function: &str) -> String {
        let request = self.clients.sqs.get_queue_url().queue_name(self.queue(function));
        request.send().await.unwrap().queue_url.unwrap()
    }

    pub(crate) async fn queue_arn(&self, function: &str) -> String {
        let request = self
            .clients
            .sqs
            .get_queue_attributes()
            .queue_url(self.queue_url(function).await);
        let output = request
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        output.attributes.unwrap()[&QueueAttributeName::QueueArn].clone()
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.clients.s3.list_objects_v2().bucket(&self.prefix).prefix(prefix);
        let listed = listed.send().await.unwrap();
        listed
            .contents()
            .iter()
            .map(|object| object.key().unwrap().to_owned())
            .collect()
    }

    async fn close(self) {
        match self.cloud {
            // All of it lies in the test's directory.
            Some(cloud) => drop(cloud.stop().await),
            None => crate::sweep::remove(&self.clients, &self.prefix).await,
        }
    }
}

async fn start_cloud(directory: &Path) -> Running {
    let data = directory.join("cloud");
    let mut command = toktik(&["cloud", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    command
        .env("TOKTIK_CLOUD_ACCESS_KEY_ID", "test")
        .env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", "test-secret");
    Running::start(&mut command, "The embedded cloud is at ").await
}
