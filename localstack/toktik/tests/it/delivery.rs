//! Every event at least once: twice, at once, late and in any order. The ledger, the bytes and what is said are the same.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::State;
use toktik_events::payload::TICK;
use toktik_events::{Function, routes};

use crate::broker::{Broker, brokered};
use crate::clips::{silent_clip, tiny_clip};
use crate::harness::{House, User};

/// Numbers that look as if by chance and are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// What a queue of this function delivers.
type Delivery = (Function, String);

fn deliveries(events: &[Value]) -> Vec<Delivery> {
    let of_event = |event: &Value| {
        let targets = routes::targets(event["type"].as_str().unwrap()).iter();
        let body = event.to_string();
        targets
            .map(move |function| (*function, body.clone()))
            .collect::<Vec<_>>()
    };
    events.iter().flat_map(of_event).collect()
}

/// Two workers of every function, all at once, until nothing is due.
async fn drain_by_two(house: &House) {
    loop {
        let never = CancellationToken::new();
        let functions = Function::ALL.into_iter().filter(|function| function.takes_events());
        let workers: Vec<_> = functions.map(|function| house.worker(function)).collect();
        let twice = workers.iter().chain(&workers);
        let drains = twice.map(|worker| Box::pin(worker.drain(&never)));
        let handled = futures::future::join_all(drains).await;
        if handled.into_iter().map(Result::unwrap).sum::<usize>() == 0 {
            return;
        }
    }
}

/// Also what waits for another try.
async fn settle(house: &House) {
    drain_by_two(house).await;
    while house.messages().await > 0 {
        house.cloud.release_in_flight().await.unwrap();
        drain_by_two(house).await;
    }
}

/// All there is: the table, and the bucket with its bytes.
async fn everything(house: &House) -> (String, BTreeMap<String, Vec<u8>>) {
    let mut objects = BTreeMap::new();
    for key in house.objects().await {
        let bytes = house.object(&key).await;
        objects.insert(key, bytes);
    }
    (house.stored().await, objects)
}

/// What is said under one id is one thing, however often it is said. The hours strike anew each time.
fn sayings(events: &[Value]) -> BTreeMap<String, Value> {
    let mut said: BTreeMap<String, Value> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] != TICK) {
        let saying = json!([event["type"], event["subject"], event["data"]]);
        let id = event["id"].as_str().unwrap().to_owned();
        let before = said.entry(id).or_insert_with(|| saying.clone());
        assert_eq!(*before, saying);
    }
    said
}

/// What the store says of a clip's upload.
async fn notified(house: &House, id: &str) -> Delivery {
    let video = house.kept(id).await;
    let object = json!({"key": video.upload.key, "size": video.upload.size, "eTag": video.source_etag});
    let record = json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "toktik"}, "object": object}});
    (Function::Probe, json!({ "Records": [record] }).to_string())
}

async fn commanded(house: &House, method: Method, path: &str, user: &User) {
    let answer = house.call(method, path, Some(user), None).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

/// Takes a clip's file away before it is transcoded, so that it fails; gives it back and tries again. Returns the dead
/// letter too.
async fn in_its_second_generation(house: &House, user: &User) -> (String, Vec<Delivery>) {
    let bytes = tiny_clip(house.directory());
    let id = house.upload(user, bytes.clone()).await;
    let never = CancellationToken::new();
    house.worker(Function::Probe).drain(&never).await.unwrap();
    let key = house.kept(&id).await.upload.key;
    house.context.objects.delete(std::slice::from_ref(&key)).await.unwrap();
    house.worker(Function::Transcode).drain(&never).await.unwrap();
    let letters = house.waiting(Function::DeadLetter).await;
    assert!(!letters.is_empty(), "nothing was given up");
    house.drain().await;
    assert_eq!(house.video(&id, Some(user)).await["status"], "failed");
    house
        .context
        .objects
        .put(&key, bytes.into(), "video/mp4")
        .await
        .unwrap();
    commanded(house, Method::POST, &format!("/videos/{id}/retry"), user).await;
    house.drain().await;
    let letters = letters.iter().map(|letter| (Function::DeadLetter, letter.to_string()));
    (id, letters.collect())
}

/// Clips that came to every end there is, and every delivery that this took.
async fn past(house: &House, broker: &Broker) -> Vec<Delivery> {
    let user = house.user("ada").await;
    let bytes = tiny_clip(house.directory());
    let ready = house.publish(&user, bytes.clone()).await;
    let rejected = house.publish(&user, b"junk".to_vec()).await;
    let deleted = house.publish(&user, bytes).await;
    let of_deleted = notified(house, &deleted).await;
    commanded(house, Method::DELETE, &format!("/videos/{deleted}"), &user).await;
    let (again, letters) = in_its_second_generation(house, &user).await;
    for (id, status) in [(&ready, "ready"), (&rejected, "rejected"), (&again, "ready")] {
        assert_eq!(house.video(id, Some(&user)).await["status"], status);
    }
    assert_eq!(house.kept(&again).await.generation, 2);
    let mut all = deliveries(&broker.events());
    all.extend(letters);
    all.push(of_deleted);
    for id in [&ready, &rejected, &again] {
        all.push(notified(house, id).await);
    }
    // The last sweep of all, so that what follows has nothing to do with the passing of time.
    house.advance(TimeDelta::hours(4));
    house.sweep().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_hears_everything_again_in_any_order_and_stays_as_it_is() {
    let (house, broker) = brokered(1).await;
    let mut all = past(&house, &broker).await;
    let (before, said) = (everything(&house).await, sayings(&broker.events()));
    all.extend(all.clone());
    for seed in 0..6 {
        Chance::new(seed).shuffle(&mut all);
        for (function, body) in &all {
            house.deliver(*function, body).await;
        }
        settle(&house).await;
        house.sweep().await;
        let after = everything(&house).await;
        assert_eq!(after.0, before.0, "the table, by seed {seed}");
        assert!(after.1 == before.1, "the bucket, by seed {seed}");
        assert_eq!(sayings(&broker.events()), said, "by seed {seed}");
    }
}

/// A clip made while every event comes twice, and any other that was said by then besides, two workers at each.
async fn made_in_disorder(seed: u64) {
    // The broker keeps everything to itself; the test delivers.
    let (house, broker) = brokered(0).await;
    let (mut chance, user) = (Chance::new(seed), house.user("ada").await);
    let id = house.upload(&user, silent_clip(house.directory(), 1)).await;
    let mut open = vec![notified(&house, &id).await];
    let mut heard = 0;
    house.lose(Function::Probe).await;
    loop {
        let events = broker.events();
        for delivery in deliveries(&events[heard..]) {
            open.extend([delivery.clone(), delivery]);
        }
        heard = events.len();
        if open.is_empty() {
            break;
        }
        let (function, body) = open.swap_remove(chance.below(open.len()));
        house.deliver(function, &body).await;
        let late = deliveries(&events[..heard]);
        if !late.is_empty() && heard < 40 {
            let (function, body) = &late[chance.below(late.len())];
            house.deliver(*function, body).await;
        }
        drain_by_two(&house).await;
    }
    settle(&house).await;
    assert_eq!(house.video(&id, None).await["status"], "ready", "by seed {seed}");
    let steps = house.context.catalog.steps(id.parse().unwrap(), 1).await.unwrap();
    let once =
        |step: &toktik_catalog::ledger::StepItem| step.state == State::Done && step.attempts - step.interrupted == 1;
    assert!(steps.iter().all(once), "by seed {seed}: {steps:?}");
    let said = sayings(&broker.events());
    assert_eq!(said.len(), SAID, "by seed {seed}: {said:#?}");
    house.sweep().await;
    let manifest = house
        .context
        .catalog
        .manifest(id.parse().unwrap(), 1)
        .await
        .unwrap()
        .unwrap();
    let objects = house.objects().await;
    assert!(
        objects.iter().all(|key| manifest.manifest.names(key)),
        "by seed {seed}: {objects:?}"
    );
}

/// Uploaded, a unit asked for, accepted, the unit's first segment, storyboard and preview asked for, three steps completed,
/// playable, ready.
const SAID: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_made_in_disorder_is_made_once() {
    for seed in 0..4 {
        made_in_disorder(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_deleting_and_after_a_retry_changes_nothing() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let (id, letters) = in_its_second_generation(&house, &user).await;
    let mut all = deliveries(&broker.events());
    all.extend(letters);
    all.push(notified(&house, &id).await);
    commanded(&house, Method::DELETE, &format!("/videos/{id}"), &user).await;
    let mut chance = Chance::new(7);
    // Once before the janitor has heard, then after its first round, then after its last.
    for round in 0..3 {
        chance.shuffle(&mut all);
        for (function, body) in all.iter().chain(&all) {
            house.deliver(*function, body).await;
        }
        settle(&house).await;
        house
            .get(&format!("/videos/{id}"), None)
            .await
            .problem(404, "not_found");
        let left: Vec<String> = house.objects().await;
        assert_eq!(left, [""; 0], "in round {round}");
        house.sweep().await;
        if round == 1 {
            house.advance(TimeDelta::hours(4));
            house.sweep().await;
        }
    }
    house.sweep().await;
    let stored = house.stored().await;
    assert_eq!(stored.lines().filter(|line| line.contains(&id)).count(), 1, "{stored}");
}
