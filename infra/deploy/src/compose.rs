//! `localstack/compose.yaml`: everything as containers on one machine, over an emulator of one's choice.
//!
//! Functions are the same whatever the profile: they know three names, `store`, `queues` and `table`, which belong to whoever is
//! there. All run from the image that holds every function, since its `toktik ready` is what a health check can ask with.

use std::fmt::Write as _;

use toktik_events::Function;

use crate::MADE_BY;
use crate::knative::quoted;
use crate::table::{DEPLOYMENTS, Deployment, LINK_SECRET, STORE_KEYS, TOKEN_JWKS, TOKEN_PRIVATE_KEY};

pub const PROFILES: [&str; 3] = ["localstack", "minio", "rustfs"];

const LOCALSTACK: &str = "localstack/localstack:4.14.0";
const MINIO: &str = "minio/minio:RELEASE.2025-09-07T16-13-09Z";
const RUSTFS: &str = "rustfs/rustfs:1.0.0";
const ELASTICMQ: &str = "softwaremill/elasticmq-native:1.6.11";
const DYNAMODB: &str = "amazon/dynamodb-local:3.3.1";

/// Where whoever is there answers; the ports are those that the S3 servers, ElasticMQ and DynamoDB Local have anyway.
const STORE: &str = "http://store:9000";
const QUEUES: &str = "http://queues:9324";
const TABLE: &str = "http://table:8000";

/// What `MinIO` and `RustFS` call the webhook that they tell of uploads.
const MINIO_WEBHOOK: &str = "arn:minio:sqs::toktik:webhook";
const RUSTFS_WEBHOOK: &str = "arn:rustfs:sqs:us-east-1:toktik:webhook";

const HEAD: &str = "\
# Toktik as containers on one machine, over an emulator: localstack/README.md says how to run it.
name: toktik

x-stores: &stores
  AWS_REGION: us-east-1
";

const ANCHORS: &str = "
x-ready: &ready
  test: [CMD, /toktik, ready]
  interval: 5s
  timeout: 6s
  retries: 12
  start_period: 30s

# Bucket, queues and table are made by whoever the profile has for it.
x-provisioned: &provisioned
  localstack: { condition: service_healthy, required: false }
  provision-minio: { condition: service_completed_successfully, required: false }
  provision-rustfs: { condition: service_completed_successfully, required: false }

x-program: &program
  image: dev.local/toktik:latest
  # It was loaded, and no registry has it.
  pull_policy: never
  read_only: true
  cap_drop: [ALL]
  security_opt: [\"no-new-privileges:true\"]
  restart: unless-stopped

services:
";

pub fn file() -> String {
    let mut text = format!("# {MADE_BY}\n{HEAD}");
    for key in STORE_KEYS {
        let _ = writeln!(text, "  {key}: {}", given(key));
    }
    let endpoints = [("S3", STORE), ("SQS", QUEUES), ("DYNAMODB", TABLE)];
    for (service, url) in endpoints {
        let _ = writeln!(text, "  AWS_ENDPOINT_URL_{service}: {url}");
    }
    text.push_str(ANCHORS);
    for deployment in DEPLOYMENTS {
        text.push_str(&program(deployment));
    }
    text.push_str(&uploads());
    text.push_str(&schedule());
    text.push_str(&localstack());
    text.push_str(&stores());
    text.push_str(&provision("minio", MINIO_WEBHOOK));
    text.push_str(&provision("rustfs", RUSTFS_WEBHOOK));
    text
}

/// From the file `.env` beside this one, without which nothing starts.
fn given(key: &str) -> String {
    format!("${{{key}:?make localstack/.env first, as localstack/README.md says}}")
}

fn profiles(profiles: &[&str]) -> String {
    format!("    profiles: [{}]\n", profiles.join(", "))
}

/// A function or the gateway, with what it is granted elsewhere.
fn program(deployment: &Deployment) -> String {
    let Deployment { name, about, .. } = deployment;
    let mut text = format!(
        "  # {about}\n  {name}:\n    <<: *program\n    command: [run, {name}]\n{}",
        profiles(&PROFILES)
    );
    text.push_str("    environment:\n");
    if !deployment.is_public() {
        text.push_str("      <<: *stores\n");
    }
    for (name, value) in environment(deployment) {
        let _ = writeln!(text, "      {name}: {value}");
    }
    text.push_str("    healthcheck: *ready\n    depends_on: *provisioned\n");
    text.push_str(&granted(deployment));
    if deployment.is_public() {
        text.push_str("    ports: [\"127.0.0.1:8080:8080\"]\n");
    }
    text
}

fn environment(deployment: &Deployment) -> Vec<(&'static str, String)> {
    let mut told = vec![("TOKTIK_LISTEN", "0.0.0.0:8080".to_owned())];
    if deployment.is_public() {
        told.push(("TOKTIK_GATEWAY_TARGET", quoted("http://{function}:8080")));
        // Signed URLs name the gateway: one address is all that a browser needs.
        told.push(("TOKTIK_GATEWAY_STORE", STORE.to_owned()));
        return told;
    }
    if deployment.answers_requests() {
        told.push(("TOKTIK_TRUST_PROXY", "forwarded".to_owned()));
        told.push(("TOKTIK_STORE_BESIDE_API", quoted("true")));
    } else {
        told.push(("TOKTIK_HOST", "queue".to_owned()));
        if deployment.function() == Some(Function::Transcode) {
            // There is one of each, so that nobody else waits for what it takes.
            told.push(("TOKTIK_EXPRESS", quoted("1")));
        }
    }
    let secrets = [TOKEN_PRIVATE_KEY, TOKEN_JWKS, LINK_SECRET];
    let secrets = secrets.into_iter().filter(|key| deployment.secrets.contains(key));
    told.extend(secrets.map(|key| (key, given(key))));
    told.extend(
        deployment
            .environment_of_workers()
            .map(|(name, value)| (*name, quoted(value))),
    );
    told
}

fn granted(deployment: &Deployment) -> String {
    let [_, cpu] = deployment.cpu;
    let [_, memory] = deployment.memory;
    let memory = memory.trim_end_matches('i').to_lowercase();
    let scratch = deployment.scratch.map_or("", |_| "    volumes: [/tmp]\n");
    format!("    cpus: {cpu}\n    mem_limit: {memory}\n{scratch}")
}

/// Stores that know no queues post to probe, which then is a server too.
fn uploads() -> String {
    let probe = Deployment::named(Function::Probe.name()).map_or_else(String::new, granted);
    format!(
        "  # hears of uploads where the store posts them\n  \
           uploads:\n    <<: *program\n    command: [run, probe]\n{}    \
             environment:\n      <<: *stores\n      TOKTIK_LISTEN: 0.0.0.0:8080\n      TOKTIK_HOST: http\n    \
             healthcheck: *ready\n    depends_on: *provisioned\n{probe}",
        profiles(&["minio", "rustfs"])
    )
}

fn schedule() -> String {
    format!(
        "  # the schedule that a cluster's cron keeps elsewhere; it serves nothing that could be asked whether it is ready\n  \
           schedule:\n    <<: *program\n    command: [janitor, --every, \"60\"]\n{}    \
             environment:\n      <<: *stores\n    depends_on: *provisioned\n",
        profiles(&PROFILES)
    )
}

/// S3, SQS and DynamoDB in one; its hook provisions, with the program that `cargo xtask dist` has left.
fn localstack() -> String {
    format!(
        "  localstack:\n    image: {LOCALSTACK}\n{}    \
             environment:\n      \
               GATEWAY_LISTEN: 0.0.0.0:4566,0.0.0.0:9000,0.0.0.0:9324,0.0.0.0:8000\n      \
               SERVICES: s3,sqs,dynamodb\n      \
               # It can check URLs only where the secret key is `test`: with AWS_SECRET_ACCESS_KEY=test set this to 0.\n      \
               S3_SKIP_SIGNATURE_VALIDATION: ${{S3_SKIP_SIGNATURE_VALIDATION:-1}}\n      \
               DISABLE_EVENTS: \"1\"\n    \
             volumes:\n      \
               - ./init/ready.d:/etc/localstack/init/ready.d:ro\n      \
               - ../target/dist/bin/toktik:/usr/local/bin/toktik:ro\n    \
             healthcheck:\n      \
               # Ready once the hook has made everything.\n      \
               test: [CMD-SHELL, \"curl -sf http://localhost:4566/_localstack/init/ready | grep -q SUCCESSFUL\"]\n      \
               interval: 3s\n      timeout: 5s\n      retries: 40\n    \
             ports: [\"127.0.0.1:4566:4566\"]\n    \
             networks:\n      default:\n        aliases: [store, queues, table]\n",
        profiles(&["localstack"])
    )
}

/// S3, and the two that go with it. What they keep lives as long as their containers.
fn stores() -> String {
    let [user, password] = STORE_KEYS.map(given);
    let health = |test: &str| {
        format!("    healthcheck:\n      test: {test}\n      interval: 3s\n      timeout: 5s\n      retries: 40\n")
    };
    let alias = |name: &str| format!("    networks:\n      default:\n        aliases: [{name}]\n");
    let both = profiles(&["minio", "rustfs"]);
    format!(
        "  minio:\n    image: {MINIO}\n    command: [server, /data]\n{}    \
             environment:\n      \
               MINIO_ROOT_USER: {user}\n      MINIO_ROOT_PASSWORD: {password}\n      \
               MINIO_NOTIFY_WEBHOOK_ENABLE_toktik: \"on\"\n      \
               MINIO_NOTIFY_WEBHOOK_ENDPOINT_toktik: http://uploads:8080/\n      \
               # Without it MinIO tries once.\n      \
               MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_toktik: /tmp/events\n\
         {}{}  \
           rustfs:\n    image: {RUSTFS}\n{}    \
             environment:\n      \
               RUSTFS_VOLUMES: /data\n      RUSTFS_ADDRESS: 0.0.0.0:9000\n      \
               RUSTFS_ACCESS_KEY: {user}\n      RUSTFS_SECRET_KEY: {password}\n      \
               RUSTFS_NOTIFY_ENABLE: \"true\"\n      \
               RUSTFS_NOTIFY_WEBHOOK_ENABLE_TOKTIK: \"on\"\n      \
               RUSTFS_NOTIFY_WEBHOOK_ENDPOINT_TOKTIK: http://uploads:8080/\n      \
               RUSTFS_NOTIFY_WEBHOOK_QUEUE_DIR_TOKTIK: /tmp/events\n      \
               RUSTFS_OUTBOUND_ALLOW_ORIGINS: http://uploads:8080\n\
         {}{}  \
           elasticmq:\n    image: {ELASTICMQ}\n{both}{}{}  \
           dynamodb:\n    image: {DYNAMODB}\n    command: [-jar, DynamoDBLocal.jar, -inMemory, -sharedDb]\n{both}{}{}",
        profiles(&["minio"]),
        health("[CMD, mc, ready, local]"),
        alias("store"),
        profiles(&["rustfs"]),
        health("[CMD-SHELL, \"curl -sf http://localhost:9000/health\"]"),
        alias("store"),
        health("[CMD-SHELL, \"wget -q -O /dev/null 'http://localhost:9324/?Action=ListQueues'\"]"),
        alias("queues"),
        health("[CMD-SHELL, \"curl -s -o /dev/null http://localhost:8000\"]"),
        alias("table"),
    )
}

fn provision(store: &str, webhook: &str) -> String {
    let healthy = |name: &str| format!("      {name}: {{ condition: service_healthy }}\n");
    format!(
        "  provision-{store}:\n    <<: *program\n    restart: \"no\"\n    command: [provision, --notify, \"{webhook}\"]\n{}    \
             environment:\n      <<: *stores\n    depends_on:\n{}{}{}",
        profiles(&[store]),
        healthy(store),
        healthy("elasticmq"),
        healthy("dynamodb"),
    )
}
