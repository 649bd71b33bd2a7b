//! The product as AWS would run it: the embedded cloud, and each function as a process behind the Runtime API.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_sqs::types::{Message as Delivery, MessageSystemAttributeName, QueueAttributeName};
use clap::Parser;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use toktik_catalog::videos::Video;
use toktik_events::Function;
use toktik_identity::Verifier;
use toktik_runtime::Context;
use toktik_runtime::context::Clients;
use toktik_runtime::settings::Common;

use crate::client::{Answer, PASSWORD, client, send, signed};
use crate::keeper::{Keeper, Part};
use crate::runtime_api::{Door, RuntimeApi};
use crate::sdk;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    common: Common,
}

pub(crate) struct Site {
    pub(crate) context: Context,
    pub(crate) clients: Clients,
    cloud: Arc<Keeper>,
    functions: HashMap<Function, (Arc<Keeper>, Door)>,
    api: RuntimeApi,
    client: Client,
    directory: TempDir,
}

/// Why an invocation failed, as Lambda tells whoever invoked.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl Site {
    pub(crate) async fn open(functions: &[Function]) -> Self {
        Self::with(functions, &[]).await
    }

    /// With these settings for all functions.
    pub(crate) async fn with(functions: &[Function], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cloud = start_cloud(directory.path());
        let api = RuntimeApi::start(directory.path(), functions).await;
        cloud.ready().await;
        let store = cloud.base().unwrap();
        let clients = sdk::clients(&store);
        let common = Program::try_parse_from(["lambda"]).unwrap().common;
        toktik::provision::provision(&clients, &common.stores).await.unwrap();
        let context = Context::new(&common, clients.clone(), Arc::new(Verifier::closed())).unwrap();
        // The store's word that it will tell probe of objects.
        let heard = context.publisher.queues().url(Function::Probe).await.unwrap();
        clients.sqs.purge_queue().queue_url(heard).send().await.unwrap();
        std::fs::create_dir(directory.path().join("scratch")).unwrap();
        let mut site = Self {
            context,
            clients,
            cloud,
            functions: HashMap::new(),
            api,
            client: client(),
            directory,
        };
        for function in functions {
            let started = site.start(*function, &store, settings).await;
            site.functions.insert(*function, started);
        }
        for (keeper, _) in site.functions.values() {
            keeper.ready().await;
        }
        site
    }

    async fn start(&self, function: Function, store: &str, settings: &[(&str, &str)]) -> (Arc<Keeper>, Door) {
        let door = self.api.door(function).await;
        let scratch = self.directory().join("scratch");
        let playback = self.url(Function::Playback);
        let environment = [
            ("AWS_LAMBDA_RUNTIME_API", door.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.name()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_ENDPOINT_URL", store),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test-secret"),
            ("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
            ("TOKTIK_LINK_SECRET", "0123456789abcdef0123456789abcdef"),
            ("TOKTIK_SCRATCH_DIR", scratch.to_str().unwrap()),
            ("TOKTIK_PUBLIC_URL", &playback),
            ("TOKTIK_LEASE", "3"),
        ];
        let environment = environment.iter().chain(settings);
        let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let arguments = vec!["run".to_owned(), function.name().to_owned()];
        let part = Part::Function(function);
        let keeper = Keeper::start(part, arguments, environment.collect(), "waiting for invocations");
        (keeper, door)
    }

    /// Where clips may be made for the test.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn door(&self, function: Function) -> &Door {
        &self.functions[&function].1
    }

    /// The function's own address, as function URLs give each one.
    pub(crate) fn url(&self, function: Function) -> String {
        format!("{}/lambda-url/{function}", self.api.base)
    }

    /// Invokes a function with this event, and returns its answer.
    pub(crate) async fn invoke(&self, function: Function, event: &Value) -> Result<Value, Refused> {
        self.invoke_with(function, event.to_string()).await
    }

    pub(crate) async fn invoke_with(&self, function: Function, payload: String) -> Result<Value, Refused> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.api.base);
        let answer = send(self.client.post(url).body(payload)).await;
        if answer.status == StatusCode::OK {
            return Ok(answer.json());
        }
        let error = answer.json();
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{error}")).to_owned();
        Err(Refused {
            kind: text("errorType"),
            message: text("errorMessage"),
        })
    }

    /// A request to a function's own address.
    pub(crate) async fn call(
        &self,
        function: Function,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}/api/v1{path}", self.url(function)));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        send(request).await
    }

    /// Signs somebody up and in.
    pub(crate) async fn token(&self) -> String {
        let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
        let registered = self.call(Function::Auth, Method::POST, "/auth/register", None, Some(account));
        registered.await.expect(StatusCode::CREATED);
        let login = json!({"username": "ada", "password": PASSWORD});
        let session = self.call(Function::Auth, Method::POST, "/auth/login", None, Some(login));
        let session = session.await.expect(StatusCode::OK);
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// Announces a clip and sends its bytes. Nobody but the store says that it is there.
    pub(crate) async fn arrived(&self, token: &str, bytes: Vec<u8>) -> String {
        let body = json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
        let created = self.call(Function::Upload, Method::POST, "/videos", Some(token), Some(body));
        let created = created.await.expect(StatusCode::CREATED);
        send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
        created["video"]["id"].as_str().unwrap().to_owned()
    }

    /// The same, and says so.
    pub(crate) async fn upload(&self, token: &str, bytes: Vec<u8>) -> String {
        let id = self.arrived(token, bytes).await;
        let path = format!("/videos/{id}/upload/complete");
        let completed = self.call(Function::Upload, Method::POST, &path, Some(token), None);
        completed.await.expect(StatusCode::ACCEPTED);
        id
    }

    pub(crate) async fn video(&self, id: &str) -> Video {
        self.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap()
    }

    pub(crate) async fn queue(&self, function: Function) -> String {
        self.context.publisher.queues().url(function).await.unwrap()
    }

    /// What is due in a function's queue. It stays hidden for longer than any test takes, as behind a mapping.
    pub(crate) async fn receive(&self, function: Function) -> Vec<Delivery> {
        let request = self.clients.sqs.receive_message().queue_url(self.queue(function).await);
        let request = request
            .max_number_of_messages(10)
            .visibility_timeout(900)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        request.send().await.unwrap().messages.unwrap_or_default()
    }

    pub(crate) async fn put(&self, function: Function, body: &str) {
        let request = self.clients.sqs.send_message().queue_url(self.queue(function).await);
        request.message_body(body).send().await.unwrap();
    }

    /// Messages that are due, hidden or delayed.
    pub(crate) async fn messages(&self, function: Function) -> usize {
        let request = self.clients.sqs.get_queue_attributes();
        let request = request.queue_url(self.queue(function).await);
        let output = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let attributes = output.attributes.unwrap();
        let counts = attributes
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"));
        counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum()
    }

    /// Hands these messages to the function as an event source mapping does, and deletes those that it did not name.
    /// Returns how many it named.
    pub(crate) async fn map(&self, function: Function, deliveries: &[Delivery]) -> usize {
        let answer = self.invoke(function, &batch(function, deliveries)).await.unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        let failed = |delivery: &&Delivery| {
            failures
                .iter()
                .any(|failure| failure["itemIdentifier"] == *delivery.message_id().unwrap())
        };
        for delivery in deliveries.iter().filter(|delivery| !failed(delivery)) {
            let request = self.clients.sqs.delete_message().queue_url(self.queue(function).await);
            let request = request.set_receipt_handle(delivery.receipt_handle.clone());
            request.send().await.unwrap();
        }
        failures.len()
    }

    /// The last lines of a function's log.
    pub(crate) fn log(&self, function: Function) -> Vec<Value> {
        let told = self.functions[&function].0.told();
        let line = |line: &str| serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
        told.lines().map(line).collect()
    }

    /// Ends everything, and asserts that nobody panicked, nor had to be waited for.
    pub(crate) async fn close(self) {
        let functions = self.functions.values().map(|(keeper, _)| keeper);
        let mut trouble = Vec::new();
        for keeper in functions.chain([&self.cloud]) {
            keeper.stop().await;
            trouble.extend(keeper.trouble());
        }
        assert_eq!(trouble, [] as [String; 0]);
    }
}

/// Tells what the functions said last.
impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (keeper, _) in self.functions.values() {
                eprintln!("{:?}\n{}", keeper.trouble(), keeper.told());
            }
        }
    }
}

/// What a mapping sends for these messages.
pub(crate) fn batch(function: Function, deliveries: &[Delivery]) -> Value {
    let record = |delivery: &Delivery| {
        let attributes = delivery.attributes.iter().flatten();
        let attributes: HashMap<_, _> = attributes.map(|(name, value)| (name.as_str(), value)).collect();
        json!({
            "messageId": delivery.message_id,
            "receiptHandle": delivery.receipt_handle,
            "body": delivery.body,
            "attributes": attributes,
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:toktik-{function}"),
            "awsRegion": "us-east-1",
        })
    };
    json!({"Records": deliveries.iter().map(record).collect::<Vec<_>>()})
}

fn start_cloud(directory: &Path) -> Arc<Keeper> {
    let data = directory.join("data");
    let arguments = ["cloud", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let environment = [
        ("TOKTIK_CLOUD_ACCESS_KEY_ID", "test"),
        ("TOKTIK_CLOUD_SECRET_ACCESS_KEY", "test-secret"),
    ];
    Keeper::start(
        Part::Cloud,
        arguments.map(str::to_owned).to_vec(),
        environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        "The embedded cloud is at ",
    )
}
