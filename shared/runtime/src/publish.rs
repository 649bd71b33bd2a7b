//! Sends events on: to a Broker where there is one, else to the queue of each function that the route table names.

use std::collections::{BTreeMap, HashMap};
use std::env::VarError;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use toktik_events::{Event, Function, Message, binding, routes};

use crate::trace;

const SINK_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a refusal that are worth telling.
const SAID: usize = 300;

#[derive(Clone)]
pub struct Publisher {
    sink: Option<Sink>,
    queues: Queues,
}

#[derive(Clone)]
struct Sink {
    client: reqwest::Client,
    url: String,
    overrides: Overrides,
}

/// Extensions that every event on its way to a sink gets, as a Knative `SinkBinding` has them in `K_CE_OVERRIDES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    extensions: Option<BTreeMap<String, String>>,
}

impl Overrides {
    pub fn from_environment() -> anyhow::Result<Self> {
        match std::env::var("K_CE_OVERRIDES") {
            Ok(text) => text.parse().context("K_CE_OVERRIDES"),
            Err(VarError::NotPresent) => Ok(Self::default()),
            Err(error) => Err(error).context("K_CE_OVERRIDES"),
        }
    }

    fn apply(&self, event: &mut Event) {
        for (name, value) in self.extensions.iter().flatten() {
            event.set_extension(name, value.as_str());
        }
    }
}

impl FromStr for Overrides {
    type Err = anyhow::Error;

    /// A `SinkBinding` without overrides leaves the variable empty.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let overrides: Self = serde_json::from_str(text).context("not `{\"extensions\": {\"name\": \"value\"}}`")?;
        for (name, value) in overrides.extensions.iter().flatten() {
            binding::check_extension(name, &value.as_str().into())?;
        }
        Ok(overrides)
    }
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

    pub fn to_sink(
        url: String,
        overrides: Overrides,
        client: aws_sdk_sqs::Client,
        prefix: String,
    ) -> anyhow::Result<Self> {
        // A sink that has moved is not followed ("HTTP 1.1 Web Hooks for Event Delivery" 2.2).
        let http = reqwest::Client::builder()
            .timeout(SINK_TIMEOUT)
            .redirect(Policy::none());
        let sink = Sink {
            client: http.build().context("setting up the events sink")?,
            url,
            overrides,
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
        let ty = traced.payload.ty();
        tracing::debug!(event.id = traced.id, event.ty = ty, "publishing an event");
        match &self.sink {
            Some(sink) => sink.post(&traced).await,
            None => self.queues.send_to_all(routes::targets(&ty), &traced.to_json()?).await,
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
    async fn post(&self, message: &Message) -> anyhow::Result<()> {
        let mut event = message.to_event()?;
        self.overrides.apply(&mut event);
        let request = self.client.post(&self.url).body(binding::to_structured(&event)?);
        let mut request = request.header("content-type", binding::STRUCTURED);
        if let Some(trace) = message.trace {
            request = request.header("traceparent", trace.to_string());
        }
        let response = request.send().await.context("sending an event to the sink")?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        bail!("the events sink answered {status}: {}", beginning(response).await);
    }
}

/// What a sink says about its refusal, as much of it as a line of log bears.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut said = Vec::new();
    while said.len() < SAID {
        match response.chunk().await {
            Ok(Some(chunk)) => said.extend_from_slice(&chunk),
            _ => break,
        }
    }
    said.truncate(SAID);
    String::from_utf8_lossy(&said).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_extensions_by_name() {
        let parse = |text: &str| text.parse::<Overrides>().unwrap().extensions.unwrap_or_default();
        for none in ["", " ", "{}", r#"{"extensions":null}"#, r#"{"extensions":{}}"#] {
            assert!(parse(none).is_empty(), "{none}");
        }
        let two = parse(r#"{"extensions":{"team":"video","stage":""}}"#);
        assert_eq!(
            two.into_iter().collect::<Vec<_>>(),
            [("stage".into(), String::new()), ("team".into(), "video".into())]
        );
    }

    #[test]
    fn overrides_that_are_none_are_refused() {
        for bad in [
            "null",
            "team=video",
            "[]",
            r#"{"extensions":[]}"#,
            r#"{"extension":{"team":"video"}}"#,
            r#"{"extensions":{"team":1}}"#,
            r#"{"extensions":{"Team":"video"}}"#,
            r#"{"extensions":{"my-team":"video"}}"#,
            r#"{"extensions":{"":"video"}}"#,
            r#"{"extensions":{"data":"video"}}"#,
            r#"{"extensions":{"source":"/mine"}}"#,
            "{\"extensions\":{\"team\":\"a\\u0000b\"}}",
        ] {
            assert!(bad.parse::<Overrides>().is_err(), "{bad}");
        }
    }
}
