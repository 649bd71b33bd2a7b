//! DynamoDB: the crate `dynoxide-rs` behind a thread of its own, called directly instead of over its HTTP server, which
//! would need a socket that checks no signatures.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use dynoxide::{Database, DynoxideError};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::JSON_1_0;
use crate::points::{WritePoint, WritePoints};

/// As on AWS.
const LARGEST_REQUEST: usize = 16 << 20;
/// Requests in line for the thread; the next one waits before it gets in line.
const LINE: usize = 64;
const UNKNOWN_OPERATION: &str = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
const CLOSED: &str = r#"{"__type":"com.amazon.coral.service#InternalFailure","message":"The store is closed."}"#;

/// An operation by its name, its input as JSON, and where the answer goes.
struct Call {
    operation: String,
    input: Bytes,
    answer: oneshot::Sender<Answer>,
}

struct Answer {
    status: u16,
    body: String,
}

#[derive(Clone)]
pub(crate) struct DynamoDb {
    line: mpsc::Sender<Call>,
    thread: Arc<Mutex<Option<Running>>>,
}

struct Running {
    database: Database,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl DynamoDb {
    pub(crate) fn open(path: &Path, points: WritePoints) -> anyhow::Result<DynamoDb> {
        let path = path.to_str().context("the data directory's name is not UTF-8")?;
        let database = Database::new(path).with_context(|| format!("cannot open {path}"))?;
        let (line, calls) = mpsc::channel(LINE);
        let (stop, stopped) = oneshot::channel();
        let (runtime, served) = (tokio::runtime::Builder::new_current_thread().build()?, database.clone());
        let serve = move || runtime.block_on(serve(served, points, calls, stopped));
        let thread = std::thread::Builder::new().name("dynamodb".to_owned()).spawn(serve)?;
        Ok(DynamoDb {
            line,
            thread: Arc::new(Mutex::new(Some(Running { database, stop, thread }))),
        })
    }

    pub(crate) fn router(&self) -> Router {
        let limit = DefaultBodyLimit::max(LARGEST_REQUEST);
        Router::new()
            .fallback(post(handle))
            .layer(limit)
            .with_state(self.clone())
    }

    /// Deletes the items whose time to live has passed; returns how many.
    pub(crate) async fn sweep(&self) -> anyhow::Result<usize> {
        let Some(database) = self.database() else {
            return Ok(0);
        };
        Ok(tokio::task::spawn_blocking(move || database.sweep_ttl()).await??)
    }

    /// Finishes the call at work, if any, and closes the database.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let running = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else {
            return Ok(());
        };
        let Running { database, stop, thread } = running;
        drop(stop);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        drop(database);
        joined.map_err(|_| anyhow::anyhow!("the DynamoDB thread panicked"))
    }

    fn database(&self) -> Option<Database> {
        let running = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|running| running.database.clone())
    }

    async fn call(&self, operation: &str, input: Bytes) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            operation: operation.to_owned(),
            input,
            answer,
        };
        self.line.send(call).await.ok()?;
        answered.await.ok()
    }
}

async fn serve(
    database: Database,
    points: WritePoints,
    mut calls: mpsc::Receiver<Call>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let call = tokio::select! {
            biased;
            _ = &mut stopped => return,
            call = calls.recv() => call,
        };
        let Some(Call {
            operation,
            input,
            answer,
        }) = call
        else {
            return;
        };
        let answered = watched_answer(&database, &points, &operation, &input);
        // A client that has gone away does not matter: the operation is done all the same.
        let _ = answer.send(answered.unwrap_or_else(|error| failed(&error)));
    }
}

async fn handle(State(dynamodb): State<DynamoDb>, headers: HeaderMap, input: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let operation = target.split_once('.').map_or("", |(_service, operation)| operation);
    let answer = dynamodb.call(operation, input).await;
    let answer = answer.unwrap_or_else(|| Answer {
        status: 503,
        body: CLOSED.to_owned(),
    });
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, JSON_1_0)], answer.body).into_response()
}

fn watched_answer(database: &Database, points: &WritePoints, operation: &str, input: &[u8]) -> std::io::Result<Answer> {
    points.pass(WritePoint::ItemsAsked)?;
    let answer = answer_to(database, operation, input);
    points.pass(WritePoint::ItemsDone)?;
    Ok(answer)
}

/// As when dynoxide cannot write.
fn failed(error: &std::io::Error) -> Answer {
    let error = DynoxideError::InternalServerError(error.to_string());
    Answer {
        status: error.status_code(),
        body: error.to_json(),
    }
}

fn answer_to(database: &Database, operation: &str, input: &[u8]) -> Answer {
    match perform(database, operation, input) {
        Some(Ok(body)) => Answer { status: 200, body },
        Some(Err(error)) => Answer {
            status: error.status_code(),
            body: error.to_json(),
        },
        None => Answer {
            status: 400,
            body: UNKNOWN_OPERATION.to_owned(),
        },
    }
}

/// None if there is no such operation.
fn perform(database: &Database, operation: &str, input: &[u8]) -> Option<Result<String, DynoxideError>> {
    Some(match operation {
        "CreateTable" => run(input, |input| database.create_table(input)),
        "DeleteTable" => run(input, |input| database.delete_table(input)),
        "DescribeTable" => run(input, |input| database.describe_table(input)),
        "UpdateTable" => run(input, |input| database.update_table(input)),
        "ListTables" => run(input, |input| database.list_tables(input)),
        "TagResource" => run(input, |input| database.tag_resource(input)),
        "UntagResource" => run(input, |input| database.untag_resource(input)),
        "ListTagsOfResource" => run(input, |input| database.list_tags_of_resource(input)),
        "PutItem" => run(input, |input| database.put_item(input)),
        "GetItem" => run(input, |input| database.get_item(input)),
        "DeleteItem" => run(input, |input| database.delete_item(input)),
        "UpdateItem" => run(input, |input| database.update_item(input)),
        "BatchGetItem" => run(input, |input| database.batch_get_item(input)),
        "BatchWriteItem" => run(input, |input| database.batch_write_item(input)),
        "Query" => run(input, |input| database.query(input)),
        "Scan" => run(input, |input| database.scan(input)),
        "TransactWriteItems" => run(input, |input| database.transact_write_items(input)),
        "TransactGetItems" => run(input, |input| database.transact_get_items(input)),
        "UpdateTimeToLive" => run(input, |input| database.update_time_to_live(input)),
        "DescribeTimeToLive" => run(input, |input| database.describe_time_to_live(input)),
        "ListStreams" => run(input, |input| database.list_streams(input)),
        "DescribeStream" => run(input, |input| database.describe_stream(input)),
        "GetShardIterator" => run(input, |input| database.get_shard_iterator(input)),
        "GetRecords" => run(input, |input| database.get_records(input)),
        "ExecuteStatement" => run(input, |input| database.execute_statement(input)),
        "ExecuteTransaction" => run(input, |input| database.execute_transaction(input)),
        "BatchExecuteStatement" => run(input, |input| database.batch_execute_statement(input)),
        _ => return None,
    })
}

fn run<I: DeserializeOwned, O: Serialize>(
    input: &[u8],
    operation: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<String, DynoxideError> {
    let input = serde_json::from_slice(input).map_err(|error| unreadable(&error))?;
    let output = operation(input)?;
    serde_json::to_string(&output).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// dynoxide marks the errors of its own deserialisers with their kind and a colon.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    match message.split_once(':') {
        Some((kind, message)) if kind.starts_with("VALIDATION") => {
            DynoxideError::ValidationException(message.to_owned())
        }
        Some((kind, message)) if kind.starts_with("SERIALIZATION") => {
            DynoxideError::SerializationException(message.to_owned())
        }
        _ if error.is_syntax() || error.is_eof() => DynoxideError::SerializationException(String::new()),
        _ => DynoxideError::ValidationException(message),
    }
}
