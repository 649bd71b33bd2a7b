//! Everything running, each function a process of its own over the embedded cloud, and a gateway in front.

use std::collections::HashMap;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;
use toktik_events::Function;

use crate::clips::make;
use crate::outcome::Outcome;
use crate::running::{Running, toktik};

/// What starts functions that take events.
#[derive(Clone, Copy)]
pub(crate) enum Host<'a> {
    /// Requests, sent by a broker at this address.
    Http {
        broker: &'a str,
    },
    Queue,
}

pub(crate) struct Stage {
    cloud: Running,
    pub(crate) functions: HashMap<Function, Running>,
    pub(crate) gateway: Running,
    pub(crate) directory: TempDir,
}

const KEY: &str = "test";
const SECRET: &str = "test-secret";

impl Stage {
    pub(crate) async fn open(host: Host<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cloud = start_cloud(host, directory.path()).await;
        provision(&cloud.base).await;
        let mut functions = HashMap::new();
        for function in Function::ALL {
            let running = start(function, host, &cloud.base, directory.path()).await;
            functions.insert(function, running);
        }
        let gateway = start_gateway(&cloud.base, &functions).await;
        Self {
            cloud,
            functions,
            gateway,
            directory,
        }
    }

    pub(crate) async fn restart(&mut self, function: Function, host: Host<'_>) {
        let running = start(function, host, &self.cloud.base, self.directory.path()).await;
        self.functions.insert(function, running);
    }

    pub(crate) fn store(&self) -> aws_sdk_s3::Client {
        store(&self.cloud.base, KEY, SECRET)
    }

    pub(crate) fn queues(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version_latest()
            .endpoint_url(&self.cloud.base);
        let credentials = aws_sdk_sqs::config::Credentials::new(KEY, SECRET, None, None, "test");
        let region = aws_sdk_sqs::config::Region::new("us-east-1");
        aws_sdk_sqs::Client::from_conf(config.credentials_provider(credentials).region(region).build())
    }

    /// Signs up, uploads a clip, waits, and looks at what it has become.
    pub(crate) async fn outcome(&self) -> Outcome {
        outcome(&self.gateway, self.store(), self.directory.path()).await
    }

    /// Everything ends when told to, and without complaint.
    pub(crate) async fn close(self) {
        for (function, running) in self.functions {
            let said = running.stop().await;
            assert!(!said.contains("panicked"), "{function}: {said}");
        }
        self.gateway.stop().await;
        self.cloud.stop().await;
    }
}

/// What becomes of the same clip where one program holds everything.
pub(crate) async fn outcome_in_one_process() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut command = toktik(&["up", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    let up = Running::start(&mut command, "Toktik is at ").await;
    let secrets = std::fs::read(data.join("secrets.json")).unwrap();
    let secrets: serde_json::Value = serde_json::from_slice(&secrets).unwrap();
    let key = |name: &str| secrets[name].as_str().unwrap();
    let store = store(&up.base, key("access_key_id"), key("secret_access_key"));
    let outcome = outcome(&up, store, directory.path()).await;
    up.stop().await;
    outcome
}

/// So easy to encode that no limit of the rate binds: where one does, x264 makes other bytes of the same frames each time.
fn calm_clip(directory: &Path) -> Vec<u8> {
    let picture = "gradients=size=320x240:rate=10:duration=2:c0=teal:c1=navy:x0=0:y0=0:x1=319:y1=239:seed=1:speed=0.02";
    let inputs = [
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=2",
    ];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    make(directory, "calm.mp4", &[&inputs[..], &codecs[..]].concat())
}

async fn outcome(front: &Running, store: aws_sdk_s3::Client, directory: &Path) -> Outcome {
    let token = front.token().await;
    let id = front.upload(&token, calm_clip(directory)).await;
    front.until_ready(&id).await;
    Outcome::of(front, &token, &store, &id).await
}

async fn start_cloud(host: Host<'_>, directory: &Path) -> Running {
    let data = directory.join("data");
    let mut command = toktik(&["cloud", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    command
        .env("TOKTIK_CLOUD_ACCESS_KEY_ID", KEY)
        .env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", SECRET);
    if let Host::Http { broker } = host {
        command.env("TOKTIK_CLOUD_WEBHOOK", format!("{broker}/webhook"));
    }
    Running::start(&mut command, "The embedded cloud is at ").await
}

async fn provision(cloud: &str) {
    let mut command = toktik(&["provision"]);
    reach(&mut command, cloud);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn start(function: Function, host: Host<'_>, cloud: &str, directory: &Path) -> Running {
    let mut command = toktik(&["run", function.name()]);
    reach(&mut command, cloud);
    command
        .env("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
        .env("TOKTIK_LINK_SECRET", "fedcba9876543210fedcba9876543210")
        .env("TOKTIK_LISTEN", "127.0.0.1:0")
        .env("TOKTIK_TRUST_PROXY", "forwarded")
        .env("TOKTIK_STORE_BESIDE_API", "true")
        .env("TOKTIK_SCRATCH_DIR", directory);
    match host {
        Host::Http { broker } => command.env("TOKTIK_HOST", "http").env("TOKTIK_EVENTS_SINK", broker),
        // The only worker of each queue; what is urgent matters to transcode alone.
        Host::Queue => command.env("TOKTIK_HOST", "queue").env("TOKTIK_EXPRESS", "1"),
    };
    let works = matches!(host, Host::Queue) && function.takes_events();
    Running::start(&mut command, if works { "metrics=" } else { "address=" }).await
}

/// Functions are at addresses of their own, and not at names: a front door finds them by their path.
async fn start_gateway(cloud: &str, functions: &HashMap<Function, Running>) -> Running {
    let doors = functions
        .iter()
        .map(|(function, running)| (function.name().to_owned(), running.base.clone()));
    let names = crate::names::names(doors.collect()).await;
    let mut command = toktik(&["run", "gateway", "--listen", "127.0.0.1:0"]);
    command.args(["--target", &format!("{names}/{{function}}"), "--store", cloud]);
    Running::start(&mut command, "address=").await
}

fn reach(command: &mut Command, cloud: &str) {
    command
        .env("AWS_ENDPOINT_URL", cloud)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
}

fn store(base: &str, key: &str, secret: &str) -> aws_sdk_s3::Client {
    let credentials = aws_sdk_s3::config::Credentials::new(key, secret, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .force_path_style(true);
    let region = aws_sdk_s3::config::Region::new("us-east-1");
    let config = config
        .region(region)
        .credentials_provider(credentials)
        .endpoint_url(base);
    aws_sdk_s3::Client::from_conf(config.build())
}
