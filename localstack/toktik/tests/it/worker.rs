//! The queue-worker host itself, with handlers of these tests: what it takes, what it gives back, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use toktik_events::{Function, Message};
use toktik_runtime::worker::Worker;
use toktik_runtime::{Context, Failure, Handler, Publisher, Urgency};

use crate::harness::House;
use crate::running::{PATIENCE, until};

/// What a handler does with an event that it has told of.
enum Manner {
    Succeed,
    /// Waits for leave, or for the end.
    Wait(Semaphore),
    PanicOnce(AtomicUsize),
    AskAgainAtOnce,
}

struct Scripted {
    manner: Manner,
    begun: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(&self, message: &Message, cancel: &CancellationToken) -> Result<(), Failure> {
        self.begun.send(message.id.clone()).unwrap();
        match &self.manner {
            Manner::Wait(leave) => tokio::select! {
                leave = leave.acquire() => { leave.unwrap().forget(); Ok(()) }
                () = cancel.cancelled() => Err(Failure::retry_after(Duration::ZERO, anyhow!("the host is stopping"))),
            },
            Manner::PanicOnce(times) if times.fetch_add(1, Ordering::SeqCst) == 0 => panic!("as this test wants it"),
            Manner::Succeed | Manner::PanicOnce(_) => Ok(()),
            Manner::AskAgainAtOnce => Err(Failure::retry_after(Duration::ZERO, anyhow!("never"))),
        }
    }

    async fn urgency(&self, message: &Message) -> Urgency {
        match message.id.as_str() {
            "event-1" => Urgency::Short,
            "event-2" => Urgency::First,
            _ => Urgency::Later,
        }
    }
}

/// A worker at probe's queue, and how to watch and to end it.
struct Hired {
    handler: Arc<Scripted>,
    begun: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn hire(context: Context, concurrency: usize, manner: Manner) -> Hired {
    hire_with(context, concurrency, 0, manner)
}

fn hire_with(context: Context, concurrency: usize, express: usize, manner: Manner) -> Hired {
    let (sender, begun) = mpsc::unbounded_channel();
    let handler = Arc::new(Scripted { manner, begun: sender });
    let worker = Worker {
        function: Function::Probe,
        handler: Arc::<Scripted>::clone(&handler),
        context,
        concurrency,
        express,
    };
    let stop = CancellationToken::new();
    Hired {
        handler,
        begun,
        stop: stop.clone(),
        running: tokio::spawn(worker.run(stop)),
    }
}

impl Hired {
    async fn begins(&mut self) -> String {
        let begun = tokio::time::timeout(PATIENCE, self.begun.recv()).await;
        begun.expect("it begins nothing").unwrap()
    }

    /// Lets it be done with an event that it waits at.
    fn let_go(&self) {
        match &self.handler.manner {
            Manner::Wait(leave) => leave.add_permits(1),
            _ => unreachable!("it waits for nobody"),
        }
    }

    /// Ends it, and says how long that took.
    async fn dismiss(self) -> Duration {
        let asked = Instant::now();
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.expect("it does not end").unwrap();
        asked.elapsed()
    }
}

fn event(id: usize) -> String {
    serde_json::json!({"specversion": "1.0", "id": format!("event-{id}"), "source": "/test",
        "type": "toktik.schedule.tick.v1", "data": {}})
    .to_string()
}

/// Messages of probe's queue that are due, and those that are hidden.
async fn counts(house: &House) -> (usize, usize) {
    let url = house.context.publisher.queues().url(Function::Probe).await.unwrap();
    let sqs = house.cloud.sqs_client();
    let request = sqs.get_queue_attributes().queue_url(url);
    let output = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
    let attributes = output.attributes.unwrap();
    let count = |name| attributes[&name].parse().unwrap();
    (
        count(QueueAttributeName::ApproximateNumberOfMessages),
        count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_waits_for_nothing_that_is_not() {
    let house = House::open().await;
    let mut worker = hire_with(house.context.clone(), 1, 1, Manner::Wait(Semaphore::new(0)));
    for id in [7, 8, 9] {
        house.deliver(Function::Probe, &event(id)).await;
    }
    let first = worker.begins().await;
    assert!(["event-7", "event-8", "event-9"].contains(&first.as_str()), "{first}");
    for id in [2, 1] {
        house.deliver(Function::Probe, &event(id)).await;
    }
    let mut urgent = [worker.begins().await, worker.begins().await];
    urgent.sort();
    assert_eq!(urgent, ["event-1", "event-2"]);
    // All are held, so that none of them can be overlooked.
    assert_eq!(counts(&house).await.0, 0);
    for _ in 0..5 {
        worker.let_go();
    }
    until_empty(&house).await;
    worker.dismiss().await;
}

async fn until_empty(house: &House) {
    until("the queue is empty", PATIENCE, async || {
        (counts(house).await == (0, 0)).then_some(())
    })
    .await;
}

/// For whoever dies meanwhile is missed soon.
fn with_a_short_lease(house: &House) -> Context {
    let mut context = house.context.clone();
    context.lease = Duration::from_secs(1);
    context
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_what_it_can_do_at_once_and_gives_everything_back() {
    let house = House::open().await;
    for id in 0..5 {
        house.deliver(Function::Probe, &event(id)).await;
    }
    let mut worker = hire(house.context.clone(), 2, Manner::Wait(Semaphore::new(0)));
    worker.begins().await;
    worker.begins().await;
    assert_eq!(counts(&house).await, (3, 2));
    worker.let_go();
    worker.begins().await;
    assert_eq!(counts(&house).await, (2, 2));

    let took = worker.dismiss().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(
        counts(&house).await,
        (4, 0),
        "at once, and not when their visibility ends"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_messages_ends_at_once() {
    let house = House::open().await;
    house.deliver(Function::Probe, &event(0)).await;
    let mut worker = hire(house.context.clone(), 1, Manner::Succeed);
    worker.begins().await;
    until_empty(&house).await;
    let took = worker.dismiss().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_worked_on_stays_hidden() {
    let house = House::open().await;
    house.deliver(Function::Probe, &event(0)).await;
    let mut worker = hire(with_a_short_lease(&house), 1, Manner::Wait(Semaphore::new(0)));
    worker.begins().await;
    // Three times as long as its visibility, unless that is renewed.
    let url = house.context.publisher.queues().url(Function::Probe).await.unwrap();
    let sqs = house.cloud.sqs_client();
    let stolen = sqs
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(3)
        .send()
        .await
        .unwrap();
    assert_eq!(stolen.messages(), []);
    worker.dismiss().await;
    assert_eq!(counts(&house).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_costs_its_message_a_lease_and_nothing_else() {
    let house = House::open().await;
    house.deliver(Function::Probe, &event(0)).await;
    let mut worker = hire(with_a_short_lease(&house), 1, Manner::PanicOnce(AtomicUsize::new(0)));
    assert_eq!(worker.begins().await, "event-0");
    house.deliver(Function::Probe, &event(1)).await;
    let mut others = [worker.begins().await, worker.begins().await];
    others.sort();
    assert_eq!(others, ["event-0", "event-1"]);
    until_empty(&house).await;
    worker.dismiss().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_always_fails_ends_in_dead_letter() {
    let house = House::open().await;
    house.deliver(Function::Probe, &event(0)).await;
    let mut worker = hire(house.context.clone(), 1, Manner::AskAgainAtOnce);
    let letters = until("it is a dead letter", PATIENCE, async || {
        let letters = house.waiting(Function::DeadLetter).await;
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!(letters[0]["id"], "event-0");
    assert_eq!(counts(&house).await, (0, 0));
    let mut tries = 0;
    while worker.begun.try_recv().is_ok() {
        tries += 1;
    }
    assert_eq!(tries, 20);
    worker.dismiss().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_queue() {
    const EVENTS: usize = 20;
    let house = House::open().await;
    let waiting = || hire(house.context.clone(), 1, Manner::Wait(Semaphore::new(0)));
    let (mut one, mut other) = (waiting(), waiting());
    for id in 0..EVENTS {
        house.deliver(Function::Probe, &event(id)).await;
    }
    let mut seen = vec![one.begins().await, other.begins().await];
    one.let_go();
    other.let_go();
    while seen.len() < EVENTS {
        let (id, whose) = tokio::select! {
            id = one.begins() => (id, &one),
            id = other.begins() => (id, &other),
        };
        whose.let_go();
        seen.push(id);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), EVENTS, "each was handled once");
    until_empty(&house).await;
    one.dismiss().await;
    other.dismiss().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_there_yet_is_named_and_waited_for() {
    let house = House::open().await;
    let sqs = house.cloud.sqs_client();
    let mut context = house.context.clone();
    context.publisher = Publisher::to_queues(sqs.clone(), "later-".to_owned());
    let (begun, _) = mpsc::unbounded_channel();
    let worker = Worker {
        function: Function::Probe,
        handler: Arc::new(Scripted {
            manner: Manner::Succeed,
            begun,
        }),
        context: context.clone(),
        concurrency: 1,
        express: 0,
    };
    let error = worker.drain(&CancellationToken::new()).await.unwrap_err();
    let told = format!("{error:#}");
    assert!(
        told.contains("looking for the queue later-probe") && told.contains("does not exist"),
        "{told}"
    );

    let mut worker = hire(context, 1, Manner::Succeed);
    let created = sqs.create_queue().queue_name("later-probe").send().await.unwrap();
    let request = sqs.send_message().queue_url(created.queue_url.unwrap());
    request.message_body(event(0)).send().await.unwrap();
    assert_eq!(worker.begins().await, "event-0");
    worker.dismiss().await;
}
