//! Sends events on: to a Broker where there is one, else to the queue of each function that the route table names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use toktik_events::{Function, Message, routes};

use crate::trace;

const SINK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Publisher {
    sink: Option<Sink>,
    queues: Queues,
}

#[derive(Clone)]
struct Sink {
    client: reqwest::Client,
    url: String,
}

/// The queues, by function.
#[derive(Clone)]
pub struct Queues {
    pub(crate) client: aws_sdk_sqs::Client,
    prefix: String,
    urls: Arc<RwLock<HashMap<Function, String>>>,
}

impl Publisher {
    pub fn to_queues(client: aws_sdk_sqs::Client, prefix: String) -> Self {
        let queues = Queues {
            client,
            prefix,
            urls: Arc::default(),
        };
        Self { sink: None, queues }
    }

    pub fn to_sink(url: String, client: aws_sdk_sqs::Client, prefix: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(SINK_TIMEOUT).build();
        let sink = Sink {
            client: http.context("setting up the events sink")?,
            url,
        };
        Ok(Self {
            sink: Some(sink),
            ..Self::to_queues(client, prefix)
        })
    }

    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Returns when every function that the event starts is sure to hear of it.
    pub async fn publish(&self, message: &Message) -> anyhow::Result<()> {
        let traced = message.clone().with_trace(message.trace.or_else(trace::current));
        let body = traced.to_json()?;
        let ty = traced.payload.ty();
        tracing::debug!(event.id = traced.id, event.ty = ty, "publishing an event");
        match &self.sink {
            Some(sink) => sink.post(body).await,
            None => self.queues.send_to_all(routes::targets(&ty), &body).await,
        }
    }

    /// Whether events go to a broker, which has a dead letter of its own for what it is told cannot succeed.
    pub fn has_broker(&self) -> bool {
        self.sink.is_some()
    }

    /// Sends what was given up to dead-letter, with the reason.
    pub async fn dead_letter(&self, body: &str, error: &Value) -> anyhow::Result<()> {
        let event = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        let envelope = json!({ "event": event, "error": error }).to_string();
        self.queues.send_to_all(&[Function::DeadLetter], &envelope).await
    }
}

impl Sink {
    async fn post(&self, body: String) -> anyhow::Result<()> {
        let request = self.client.post(&self.url).body(body);
        let request = request.header("content-type", "application/cloudevents+json; charset=utf-8");
        let response = request.send().await.context("sending an event to the sink")?;
        if !response.status().is_success() {
            bail!("the events sink answered {}", response.status());
        }
        Ok(())
    }
}

impl Queues {
    pub fn name(&self, function: Function) -> String {
        format!("{}{function}", self.prefix)
    }

    pub async fn url(&self, function: Function) -> anyhow::Result<String> {
        if let Some(url) = self.urls.read().await.get(&function) {
            return Ok(url.clone());
        }
        let name = self.name(function);
        let output = self.client.get_queue_url().queue_name(&name).send().await;
        let output = output.with_context(|| format!("looking for the queue {name}"))?;
        let url = output
            .queue_url
            .with_context(|| format!("the queue {name} has no address"))?;
        self.urls.write().await.insert(function, url.clone());
        Ok(url)
    }

    async fn send_to_all(&self, functions: &[Function], body: &str) -> anyhow::Result<()> {
        for function in functions {
            let url = self.url(*function).await?;
            let request = self.client.send_message().queue_url(url).message_body(body);
            request
                .send()
                .await
                .with_context(|| format!("sending an event to {function}"))?;
        }
        Ok(())
    }
}
