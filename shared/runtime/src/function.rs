//! What a function is to a host: a name, its settings, and the router or the handler it starts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio_util::sync::CancellationToken;
use toktik_events::intake::{self, Unreadable};
use toktik_events::{Event, Function, Message};
use utoipa_axum::router::OpenApiRouter;

use crate::context::Context;

/// A function crate implements this once; every host runs it through this.
pub trait Serverless: 'static {
    const NAME: Function;
    type Settings: clap::Args + Clone + Send + Sync + 'static;

    /// Builds what the host serves. Connects to nothing that a cold start would have to wait for.
    fn start(settings: Self::Settings, context: &Context) -> anyhow::Result<Service>;
}

/// What a started function answers to: requests, events, or both.
#[derive(Default)]
pub struct Service {
    pub http: Option<OpenApiRouter>,
    /// Answers requests that no route of the API names.
    pub pages: Option<Router>,
    pub events: Option<Arc<dyn Handler>>,
}

impl Service {
    pub fn http(router: OpenApiRouter) -> Self {
        Self {
            http: Some(router),
            ..Self::default()
        }
    }

    pub fn pages(router: Router) -> Self {
        Self {
            pages: Some(router),
            ..Self::default()
        }
    }

    pub fn answers_requests(&self) -> bool {
        self.http.is_some() || self.pages.is_some()
    }

    pub fn events(handler: impl Handler) -> Self {
        Self {
            events: Some(Arc::new(handler)),
            ..Self::default()
        }
    }
}

/// What is done first where not everything can be done at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for it, and it is soon done.
    Short,
    /// Somebody waits for it.
    First,
    /// It completes what can be used already.
    #[default]
    Later,
}

/// Handles one event. May be called again with the same event at any time, also while it still runs.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Returns when the effects are durable. `cancel` fires when the host has to stop: the work is given back.
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure>;

    /// Who waits for what an event asks for.
    async fn urgency(&self, _message: &Message) -> Urgency {
        Urgency::default()
    }

    /// The events in what was delivered; dead-letter alone is sent them in an envelope.
    fn read(&self, body: &[u8]) -> Result<Vec<Message>, Unreadable> {
        intake::parse(body)
    }

    /// The same where it was delivered as a CloudEvent.
    fn read_event(&self, event: &Event) -> Result<Vec<Message>, Unreadable> {
        intake::messages(event)
    }
}

/// Why an event was not handled, and what the host is to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Deliver it again later: a store is out of reach, or someone else is at it.
    #[error("retry: {reason:#}")]
    Retry {
        after: Option<Duration>,
        reason: anyhow::Error,
    },
    /// Never deliver it again: it cannot succeed.
    #[error("give up ({code}): {reason:#}")]
    GiveUp { code: &'static str, reason: anyhow::Error },
}

impl Failure {
    pub fn give_up(code: &'static str, reason: impl Into<anyhow::Error>) -> Self {
        Self::GiveUp {
            code,
            reason: reason.into(),
        }
    }

    pub fn retry_after(after: Duration, reason: impl Into<anyhow::Error>) -> Self {
        Self::Retry {
            after: Some(after),
            reason: reason.into(),
        }
    }
}

/// What nobody decided otherwise is tried again: most failures are somebody else's and pass.
impl From<anyhow::Error> for Failure {
    fn from(reason: anyhow::Error) -> Self {
        Self::Retry { after: None, reason }
    }
}

impl From<toktik_catalog::Error> for Failure {
    fn from(error: toktik_catalog::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}
