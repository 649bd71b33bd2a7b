//! The Lambda host: one invocation at a time, from whatever calls it.
//!
//! Requests come from function URLs, API Gateway and load balancers (`request`). Events come in batches from SQS, whose
//! failures are answered message by message (`batch`), or alone: from S3, from EventBridge, or from whoever invokes the
//! function with a CloudEvent. Of those Lambda itself sees to it that they come again when the invocation fails.
//!
//! Before Lambda kills an invocation that takes too long, its work is told to stop, so that leases and messages are given
//! back. No extension is registered: between invocations there is nothing that a shutdown could interrupt.

mod batch;
mod request;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use aws_lambda_events::sqs::SqsEvent;
use axum::Router;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{BoxFuture, Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toktik_events::{Function, Message, Payload};
use tower::util::MapFutureLayer;

use crate::context::Context;
use crate::delivery::{Desk, Settled};
use crate::function::{Handler, Service};
use crate::server;
use crate::settings::RUNTIME_API;

/// What `lambda_runtime` takes for granted.
const GIVEN: [&str; 4] = [
    RUNTIME_API,
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
];

/// A function as Lambda runs it.
struct Lambda {
    function: Function,
    router: Option<Router>,
    handler: Option<Arc<dyn Handler>>,
    context: Context,
    /// Messages of a batch handled at once.
    concurrency: usize,
}

/// Who invokes the function, by what they send.
enum Invocation {
    Request,
    Batch(SqsEvent),
    /// A rule of EventBridge; its schedules can also send a CloudEvent.
    Schedule,
    /// An S3 notification, an event of S3 by EventBridge, a CloudEvent.
    Event,
}

impl Invocation {
    fn of(text: &str) -> Result<Self, Diagnostic> {
        let event: Value = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        if event.get("requestContext").is_some() {
            return Ok(Self::Request);
        }
        if event["Records"][0]["eventSource"] == "aws:sqs" {
            let batch = serde_json::from_value(event).map_err(|error| unreadable(&error))?;
            return Ok(Self::Batch(batch));
        }
        if event["source"] == "aws.events" && event["detail-type"] == "Scheduled Event" {
            return Ok(Self::Schedule);
        }
        Ok(Self::Event)
    }
}

/// Serves invocations until told to stop, then lets the one that is under way be answered.
pub(crate) async fn run(
    function: Function,
    mut service: Service,
    context: Context,
    concurrency: usize,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    check_environment()?;
    let router = if service.answers_requests() {
        Some(server::alone(&mut service, &context)?)
    } else {
        None
    };
    let lambda = Arc::new(Lambda {
        function,
        router,
        handler: service.events,
        context,
        concurrency,
    });
    let stopped = stop.clone();
    let invoked = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let (lambda, stop) = (Arc::clone(&lambda), stop.clone());
        // Boxed: its type would go through all layers, deeper than the compiler looks.
        let invocation: BoxFuture<_> = Box::pin(async move { lambda.invoke(event, &stop).await });
        invocation
    });
    // An invocation is over when its answer is sent.
    let under_way = TaskTracker::new();
    let tracker = under_way.clone();
    let runtime = Runtime::new(invoked)
        .layer(TracingLayer::new())
        .layer(MapFutureLayer::new(move |invocation| tracker.track_future(invocation)));
    tracing::info!(%function, concurrency, "waiting for invocations");
    tokio::select! {
        ended = runtime.run() => ended.map_err(|error| anyhow!(error)).context("talking to Lambda's runtime API"),
        () = async {
            stopped.cancelled().await;
            under_way.close();
            under_way.wait().await;
        } => Ok(()),
    }
}

fn check_environment() -> anyhow::Result<()> {
    for name in GIVEN {
        if std::env::var_os(name).is_none() {
            bail!("{name} is not set, as Lambda sets it: this is not Lambda; choose another --host (TOKTIK_HOST)");
        }
    }
    let memory = std::env::var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").unwrap_or_default();
    if memory.parse::<i32>().is_err() {
        bail!("AWS_LAMBDA_FUNCTION_MEMORY_SIZE is not a number: {memory}");
    }
    Ok(())
}

impl Lambda {
    async fn invoke(
        self: Arc<Self>,
        event: LambdaEvent<Box<RawValue>>,
        stop: &CancellationToken,
    ) -> Result<Value, Diagnostic> {
        let text = event.payload.get();
        let deadline = event.context.deadline();
        match Invocation::of(text)? {
            Invocation::Request => {
                let router = self.router.clone().ok_or_else(|| self.cannot("answer requests"))?;
                request::answer(router, text, event.context).await
            }
            Invocation::Batch(event) => {
                let cancel = stop.child_token();
                let answer = batch::answer(Arc::clone(&self), self.handler()?, event, &cancel);
                let answer = in_time(deadline, &cancel, answer).await;
                serde_json::to_value(answer).map_err(|error| unreadable(&error))
            }
            Invocation::Schedule => {
                let tick = Message::new(self.function, self.context.clock.now(), Payload::Tick);
                let tick = tick.to_json().map_err(|error| unreadable(&error))?;
                self.event(&tick, deadline, stop).await
            }
            Invocation::Event => self.event(text, deadline, stop).await,
        }
    }

    async fn event(&self, text: &str, deadline: SystemTime, stop: &CancellationToken) -> Result<Value, Diagnostic> {
        let handler = self.handler()?;
        // Whoever sent it is told; in a queue nobody would be.
        handler.read(text.as_bytes()).map_err(|error| unreadable(&error))?;
        let cancel = stop.child_token();
        let desk = self.desk(handler.as_ref());
        match in_time(deadline, &cancel, desk.settle(text, 1, &cancel)).await {
            Settled::Done => Ok(Value::Null),
            Settled::Again { why, .. } => Err(refusal("Retry", why)),
        }
    }

    fn handler(&self) -> Result<Arc<dyn Handler>, Diagnostic> {
        self.handler.clone().ok_or_else(|| self.cannot("take events"))
    }

    fn desk<'a>(&'a self, handler: &'a dyn Handler) -> Desk<'a> {
        Desk {
            function: self.function,
            handler,
            context: &self.context,
        }
    }

    fn cannot(&self, what: &str) -> Diagnostic {
        let why = format!(
            "the function {} does not {what}; is its trigger another's?",
            self.function
        );
        refusal("WrongTrigger", why)
    }
}

/// Does the work, and tells it to stop shortly before Lambda would end it.
async fn in_time<T>(deadline: SystemTime, cancel: &CancellationToken, work: impl Future<Output = T>) -> T {
    let alarm = async {
        let Some(left) = time_to_work(deadline, SystemTime::now()) else {
            return std::future::pending::<Infallible>().await;
        };
        tokio::time::sleep(left).await;
        tracing::warn!("the function's time is running out; its work is given back");
        cancel.cancel();
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = alarm => match never {},
    }
}

/// All but what it takes to end ffmpeg, give back leases and messages, and answer. None where the deadline means nothing:
/// emulators say 1970.
fn time_to_work(deadline: SystemTime, now: SystemTime) -> Option<Duration> {
    let left = deadline.duration_since(now).ok()?;
    let margin = (left / 10).clamp(Duration::from_secs(2), Duration::from_secs(5));
    Some(left.saturating_sub(margin))
}

fn unreadable(error: &dyn std::fmt::Display) -> Diagnostic {
    let known = "a request, a batch of SQS, an S3 notification, an event of EventBridge's, or a CloudEvent";
    refusal(
        "Unreadable",
        format!("not what invokes this function, which is {known}: {error}"),
    )
}

fn refusal(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic {
        error_type: error_type.to_owned(),
        error_message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn time_to_give_back_is_kept_for_short_and_long_functions() {
        let now = SystemTime::now();
        let left = |seconds| time_to_work(now + Duration::from_secs(seconds), now).map(|left| left.as_secs());
        assert_eq!([1, 5, 30, 900].map(left), [Some(0), Some(3), Some(27), Some(895)]);
        assert_eq!(time_to_work(SystemTime::UNIX_EPOCH, now), None);
    }

    #[test]
    fn invocations_are_told_apart() {
        let kind = |event: serde_json::Value| match Invocation::of(&event.to_string()).unwrap() {
            Invocation::Request => "request",
            Invocation::Batch(batch) => ["batch", "batches"][batch.records.len() - 1],
            Invocation::Schedule => "schedule",
            Invocation::Event => "event",
        };
        let message = json!({"messageId": "1", "body": "{}", "eventSource": "aws:sqs"});
        assert_eq!(kind(json!({"requestContext": {"elb": {}}, "path": "/"})), "request");
        assert_eq!(kind(json!({ "Records": [message] })), "batch");
        assert_eq!(kind(json!({"Records": [{"eventSource": "aws:s3"}]})), "event");
        assert_eq!(
            kind(json!({"source": "aws.events", "detail-type": "Scheduled Event"})),
            "schedule"
        );
        assert_eq!(
            kind(json!({"source": "aws.s3", "detail-type": "Object Created"})),
            "event"
        );
        assert_eq!(kind(json!([])), "event");
        assert!(Invocation::of("nonsense").is_err());
        let broken = json!({"Records": [{"eventSource": "aws:sqs"}, 1]});
        assert!(Invocation::of(&broken.to_string()).is_err());
    }
}
