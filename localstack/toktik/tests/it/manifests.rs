//! Manifests and programs know the same settings and secrets, and the local overlay's cloud is a whole one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use toktik::keys::{self, Store};
use toktik::provision::{Wiring, wired};
use toktik_deploy::objects::{Container, Installation};
use toktik_deploy::render::{self, OVERLAYS};
use toktik_deploy::table::GATEWAY;
use toktik_events::Function;

use crate::processes::{run, stores};
use crate::running::{Running, toktik};
use crate::sdk::clients;

fn root() -> PathBuf {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    here.ancestors().nth(2).unwrap().to_path_buf()
}

fn overlay(name: &str) -> Installation {
    let documents = render::kustomize(&root().join("knative/overlays").join(name)).unwrap();
    Installation::read(&documents).unwrap()
}

/// What a program says of itself, by the arguments that start it; in one line, since words wrap anywhere.
async fn help(arguments: &[&str]) -> String {
    let arguments = [arguments, &["--help"]].concat();
    let (output, text) = run(&arguments).await;
    assert!(output.status.success(), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is said of the setting that this variable stands for; values of secrets are not shown.
fn described<'a>(help: &'a str, variable: &str) -> Option<&'a str> {
    let shown = [format!("[env: {variable}="), format!("[env: {variable}]")];
    let (before, _) = shown.iter().find_map(|shown| help.split_once(shown.as_str()))?;
    before.rsplit(" --").next()
}

fn knows(help: &str, variable: &str) -> bool {
    described(help, variable).is_some()
}

/// Variables of ours that a container is told, its own and those of all.
fn told(installation: &Installation, container: &Container) -> BTreeSet<String> {
    let maps = container.env_from.iter();
    let shared = maps.flat_map(|from| &installation.config_map(&from.config_map_ref.name).unwrap().data);
    let own = container.env.iter().map(|env| env.name.clone());
    let all = shared.map(|(name, _)| name.clone()).chain(own);
    all.filter(|name| name.starts_with("TOKTIK_")).collect()
}

#[tokio::test]
async fn whatever_a_program_is_told_it_reads() {
    for name in OVERLAYS {
        let installation = overlay(name);
        for (program, container) in installation.containers() {
            let told = told(&installation, container);
            let function: Result<Function, _> = program.parse();
            let arguments = match &function {
                Ok(function) => vec!["run", function.name()],
                Err(_) if program == GATEWAY => vec!["run", GATEWAY],
                Err(_) => vec![container.args[0].as_str()],
            };
            let help = help(&arguments).await;
            for variable in &told {
                assert!(knows(&help, variable), "{name}: {program} is told {variable}");
            }
            let options = container.args.iter().filter(|argument| argument.starts_with("--"));
            for option in options {
                assert!(help.contains(option), "{name}: {program} is started with {option}");
            }
        }
    }
}

#[tokio::test]
async fn whatever_a_function_is_told_on_openfaas_it_reads() {
    let stack = std::fs::read_to_string(root().join("infra/openfaas/stack.yaml")).unwrap();
    let stack = render::read(&stack).unwrap();
    for (function, deployed) in stack[0]["functions"].as_object().unwrap() {
        let help = help(&["run", function]).await;
        let environment = deployed["environment"].as_object().unwrap();
        for (variable, value) in environment.iter().filter(|(name, _)| name.starts_with("TOKTIK_")) {
            assert!(knows(&help, variable), "{function} is told {variable}");
            if value.as_str().unwrap().starts_with('@') {
                let said = described(&help, variable).unwrap();
                assert!(said.contains("@FILE"), "{function} reads no file for {variable}");
            }
        }
    }
}

#[tokio::test]
async fn whatever_a_container_is_told_it_reads() {
    let compose = std::fs::read_to_string(root().join("localstack/compose.yaml")).unwrap();
    let compose = render::read(&compose).unwrap();
    let services = compose[0]["services"].as_object().unwrap();
    let ours = services
        .iter()
        .filter(|(_, service)| service["image"] == "dev.local/toktik:latest");
    for (name, service) in ours {
        let command = service["command"].as_array().unwrap().iter();
        let command: Vec<&str> = command.map(|word| word.as_str().unwrap()).collect();
        let program = if command[0] == "run" {
            &command[..2]
        } else {
            &command[..1]
        };
        let help = help(program).await;
        for option in command.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{name} is started with {option}");
        }
        let environment = service["environment"].as_object().unwrap();
        for variable in environment.keys().filter(|name| name.starts_with("TOKTIK_")) {
            assert!(knows(&help, variable), "{name} is told {variable}");
        }
        if let Some(test) = service["healthcheck"]["test"].as_array() {
            assert_eq!(test[1], "/toktik");
            assert!(!self::help(&[test[2].as_str().unwrap()]).await.is_empty());
        }
    }
}

#[test]
fn the_secrets_that_are_asked_for_are_those_that_are_made() {
    let made: BTreeSet<_> = keys::entries(Store::New)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in OVERLAYS {
        let installation = overlay(name);
        let from = installation.containers().flat_map(|(_, container)| &container.env);
        let from = from.filter_map(|env| env.value_from.as_ref());
        let asked: BTreeSet<_> = from.map(|from| from.secret_key_ref.key.clone()).collect();
        assert_eq!(asked, made, "{name}");
    }
}

#[tokio::test]
async fn secrets_are_printed_for_a_shell_and_for_a_cluster() {
    let (output, text) = run(&["secrets", "--kubernetes", "--store", "new", "--namespace", "clips"]).await;
    assert!(output.status.success(), "{text}");
    let secret: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(secret["metadata"]["namespace"], "clips");
    assert_eq!(secret["stringData"].as_object().unwrap().len(), 5);
    let (output, text) = run(&["secrets"]).await;
    assert!(output.status.success(), "{text}");
    let names: Vec<_> = text.lines().map(|line| line.split_once("='").unwrap().0).collect();
    assert_eq!(
        names,
        ["TOKTIK_TOKEN_PRIVATE_KEY", "TOKTIK_TOKEN_JWKS", "TOKTIK_LINK_SECRET"]
    );
    let (output, text) = run(&["secrets", "--apply"]).await;
    assert!(!output.status.success());
    assert!(text.contains("no pod of a cluster"), "{text}");
}

/// Everything that a webhook is sent, with what it is sent by.
async fn webhook() -> (String, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
    type Sender = mpsc::UnboundedSender<(HeaderMap, String)>;
    async fn take(State(sender): State<Sender>, headers: HeaderMap, body: String) {
        sender.send((headers, body)).unwrap();
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(take)).with_state(sender);
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, receiver)
}

/// The Deployment's own arguments and environment; only addresses and the directory are the test's.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_overlays_cloud_makes_what_it_needs_and_posts_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let (url, mut posted) = webhook().await;
    let local = overlay("local");
    let (_, container) = local.containers().find(|(name, _)| *name == "cloud").unwrap();
    let mut command = toktik(&container.args.iter().map(String::as_str).collect::<Vec<_>>());
    for env in &container.env {
        let value = match env.name.as_str() {
            "TOKTIK_CLOUD_ACCESS_KEY_ID" => "test",
            "TOKTIK_CLOUD_SECRET_ACCESS_KEY" => "test-secret",
            "TOKTIK_LISTEN" => "127.0.0.1:0",
            "TOKTIK_DATA_DIR" => dir.path().to_str().unwrap(),
            "TOKTIK_CLOUD_WEBHOOK" => &url,
            _ => env.value.as_deref().unwrap(),
        };
        command.env(&env.name, value);
    }
    let cloud = Running::start(&mut command, "The embedded cloud is at ").await;
    let clients = clients(&cloud.base);
    let put = clients.s3.put_object().bucket("toktik").key("uploads/a/b");
    put.body(ByteStream::from_static(b"bytes")).send().await.unwrap();
    let (_, body) = posted.recv().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Key"], "toktik/uploads/a/b");
    clients
        .dynamodb
        .describe_table()
        .table_name("toktik")
        .send()
        .await
        .unwrap();
    let queues = clients.sqs.list_queues().send().await.unwrap();
    assert!(queues.queue_urls().is_empty(), "{queues:?}");
    cloud.stop().await;
}

/// Nobody would read the others.
#[tokio::test(flavor = "multi_thread")]
async fn beside_a_broker_only_the_queue_of_uploads_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = toktik(&[
        "cloud",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        dir.path().to_str().unwrap(),
    ]);
    command
        .env("TOKTIK_CLOUD_ACCESS_KEY_ID", "test")
        .env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", "test-secret");
    let cloud = Running::start(&mut command, "The embedded cloud is at ").await;
    let clients = clients(&cloud.base);
    let wiring = Wiring {
        broker: true,
        ..Wiring::default()
    };
    for _ in 0..2 {
        let report = wired(&clients, &stores(), &wiring).await.unwrap();
        report.settled().unwrap();
    }
    let queues = clients.sqs.list_queues().send().await.unwrap();
    let [queue] = queues.queue_urls() else {
        panic!("{queues:?}")
    };
    assert!(queue.ends_with("/toktik-probe"), "{queue}");
    let asked = clients
        .sqs
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(QueueAttributeName::All);
    let attributes = asked.send().await.unwrap().attributes.unwrap();
    let policy = &attributes[&QueueAttributeName::Policy];
    assert!(policy.contains("arn:aws:s3:::toktik"), "{policy}");
    assert!(
        !attributes.contains_key(&QueueAttributeName::RedrivePolicy),
        "{attributes:?}"
    );
    let told = clients
        .s3
        .get_bucket_notification_configuration()
        .bucket("toktik")
        .send()
        .await
        .unwrap();
    let [told] = told.queue_configurations() else {
        panic!("{told:?}")
    };
    assert!(told.queue_arn().ends_with(":toktik-probe"), "{told:?}");
    cloud.stop().await;
}
