//! SQS: standard queues in SQLite, spoken as awsJson1.0.
//!
//! Deliberately absent: FIFO queues, permissions, tags, and the older query protocol.

mod error;
pub(crate) mod messages;
pub(crate) mod queues;
mod receive;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::error::Error;
use crate::store::Store;
use crate::{ACCOUNT, JSON_1_0, SQS_HOST};

/// A batch of the largest messages, each character escaped at worst.
const LARGEST_REQUEST: usize = 8 << 20;

#[derive(Clone)]
pub(crate) struct Sqs {
    store: Store,
    region: Arc<str>,
    /// Where the client found this service; queue URLs begin with it.
    base: Arc<str>,
}

#[derive(Serialize)]
pub(crate) struct Empty {}

#[derive(Serialize)]
struct Fault<'a> {
    #[serde(rename = "__type")]
    shape: &'a str,
    message: String,
}

impl Sqs {
    pub(crate) fn new(store: Store, region: &str) -> Sqs {
        Sqs {
            store,
            region: region.into(),
            base: format!("http://{SQS_HOST}").into(),
        }
    }

    pub(crate) fn router(&self) -> Router {
        let limit = DefaultBodyLimit::max(LARGEST_REQUEST);
        Router::new()
            .fallback(post(handle))
            .layer(limit)
            .with_state(self.clone())
    }

    fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.base)
    }

    fn arn(&self, queue: &str) -> String {
        queues::arn(&self.region, queue)
    }

    async fn perform(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        match operation {
            "CreateQueue" => write(&queues::create(self, read(body)?).await?),
            "GetQueueUrl" => write(&queues::url(self, read(body)?).await?),
            "ListQueues" => write(&queues::list(self, read(body)?).await?),
            "DeleteQueue" => write(&queues::delete(self, read(body)?).await?),
            "PurgeQueue" => write(&queues::purge(self, read(body)?).await?),
            "SetQueueAttributes" => write(&queues::set_attributes(self, read(body)?).await?),
            "GetQueueAttributes" => write(&queues::attributes(self, read(body)?).await?),
            "SendMessage" => write(&messages::send(self, read(body)?).await?),
            "SendMessageBatch" => write(&messages::send_batch(self, read(body)?).await?),
            "ReceiveMessage" => write(&receive::receive(self, read(body)?).await?),
            "DeleteMessage" => write(&messages::delete(self, read(body)?).await?),
            "DeleteMessageBatch" => write(&messages::delete_batch(self, read(body)?).await?),
            "ChangeMessageVisibility" => write(&messages::change_visibility(self, read(body)?).await?),
            "ChangeMessageVisibilityBatch" => write(&messages::change_visibility_batch(self, read(body)?).await?),
            other => Err(Error::UnsupportedOperation(other.to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(Error::Unreadable)
}

fn write<T: Serialize>(output: &T) -> Result<Vec<u8>, Error> {
    Ok(serde_json::to_vec(output)?)
}

async fn handle(State(sqs): State<Sqs>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let operation = text("x-amz-target").and_then(|target| target.strip_prefix("AmazonSQS."));
    let base = text("host").map_or(sqs.base.clone(), |host| format!("http://{host}").into());
    let sqs = Sqs { base, ..sqs };
    match sqs.perform(operation.unwrap_or_default(), &body).await {
        Ok(body) => ([(header::CONTENT_TYPE, JSON_1_0)], body).into_response(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> Response {
    let fault = if error.is_senders_fault() { "Sender" } else { "Receiver" };
    let headers = [
        ("content-type", JSON_1_0.to_owned()),
        ("x-amzn-query-error", format!("{};{fault}", error.query_code())),
    ];
    let shape = format!("com.amazonaws.sqs#{}", error.shape());
    let body = axum::Json(Fault {
        shape: &shape,
        message: error.public_message(),
    });
    (error.status(), headers, body).into_response()
}
