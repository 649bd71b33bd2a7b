//! The steps and the events between them: repeated, reordered, raced, traced, given up and tried again.

use axum::body::Body;
use axum::extract::Request;
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, Lease, MAX_ATTEMPTS, MAX_POSTPONED, ManifestItem, OVERVIEW};
use toktik_catalog::videos::{Status, Trouble, Video};
use toktik_events::payload::{Clip, Step};
use toktik_events::{Function, Message, Payload, VideoId, intake, routes};
use toktik_objects::keys;
use toktik_runtime::server;
use tower::ServiceExt;

use crate::broker::{brokered, stubbornly_brokered};
use crate::client::{send, signed};
use crate::clips::{clip, silent_clip};
use crate::harness::{House, User};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The one unit of a short clip's picture.
const UNIT: &str = "video-0";
/// After this the janitor asks again for a step.
const STUCK: TimeDelta = TimeDelta::minutes(6);
const LEASE_OVER: TimeDelta = TimeDelta::seconds(31);

/// All that a viewer could notice of a clip.
type State = (Value, Option<ManifestItem>, Vec<String>);

async fn state(house: &House, id: &str) -> State {
    let manifest = house.context.catalog.manifest(id.parse().unwrap(), 1).await.unwrap();
    (house.video(id, None).await, manifest, house.objects().await)
}

async fn known(house: &House, id: &str) -> Video {
    house.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap()
}

async fn attempts(house: &House, id: &str, step: &str, unit: &str) -> u32 {
    let generation = known(house, id).await.generation;
    let item = house.context.catalog.step(id.parse().unwrap(), generation, step, unit);
    item.await.unwrap().unwrap().attempts
}

async fn begin(house: &House, id: &str) -> Begin {
    let catalog = &house.context.catalog;
    let now = house.now();
    catalog
        .begin(id.parse().unwrap(), 1, "transcode", UNIT, now)
        .await
        .unwrap()
}

async fn lease(house: &House, id: &str) -> Lease {
    match begin(house, id).await {
        Begin::Started(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn drain(house: &House, functions: &[Function]) {
    for function in functions {
        house.worker(*function).drain(&CancellationToken::new()).await.unwrap();
    }
}

/// A silent clip whose unit is asked for and not yet made.
async fn probed(house: &House) -> (User, String) {
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    drain(house, &[Function::Probe]).await;
    // Both the client and the store said that the bytes are there, and both were passed on.
    let request = house.waiting(Function::Transcode).await[0].to_string();
    house.lose(Function::Transcode).await;
    house.deliver(Function::Transcode, &request).await;
    (user, id)
}

async fn retry(house: &House, user: &User, id: &str) -> reqwest::StatusCode {
    let path = format!("/videos/{id}/retry");
    house.call(Method::POST, &path, Some(user), None).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_clip_is_deaf_to_every_event_it_ever_saw() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 2)).await;
    let before = state(&house, &id).await;
    assert_eq!(before.0["status"], "ready");

    let all = broker.events();
    for event in all.iter().rev().chain(&all) {
        for message in intake::parse(event.to_string().as_bytes()).unwrap() {
            house.context.publisher.publish(&message).await.unwrap();
        }
    }
    house.deliver(Function::Probe, &notification(&house, &id).await).await;
    house.drain().await;

    assert_eq!(state(&house, &id).await, before);
    assert_eq!(house.messages().await, 0);
}

/// What the store says of the upload, in its own words.
async fn notification(house: &House, id: &str) -> String {
    let video = known(house, id).await;
    let object = json!({"key": video.upload.key, "size": video.upload.size, "eTag": video.source_etag});
    json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "toktik"}, "object": object}}]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_all_come_twice_make_everything_once() {
    let (house, _) = brokered(2).await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 2)).await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let generation = known(&house, &id).await.generation;
    let steps = house
        .context
        .catalog
        .steps(id.parse().unwrap(), generation)
        .await
        .unwrap();
    assert_eq!(steps.len(), 7, "{steps:?}");
    assert!(steps.iter().all(|step| step.attempts == 1), "{steps:?}");
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_sent_at_first_are_sent_in_the_end() {
    let (house, broker) = stubbornly_brokered().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, silent_clip(house.directory(), 1)).await;
    // Each round brings back what waits for its next try; probe, steps and package are three, and each sends several.
    for _ in 0..12 {
        house.cloud.release_in_flight().await.unwrap();
        house.drain().await;
    }
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(house.messages().await, 0);
    assert!(!broker.told("toktik.video.ready.v1").is_empty());
    let steps = [
        ("probe", ""),
        ("transcode", UNIT),
        ("thumbnail", ""),
        ("thumbnail", OVERVIEW),
        ("package", ""),
    ];
    for (step, unit) in steps {
        assert_eq!(attempts(&house, &id, step, unit).await, 1, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_before_their_time_do_no_harm() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    for payload in everything_asked(id.parse().unwrap(), 1) {
        let early = Message::new(Function::Probe, house.now(), payload);
        house.context.publisher.publish(&early).await.unwrap();
    }
    let backward = [
        Function::Package,
        Function::Audio,
        Function::Thumbnail,
        Function::Transcode,
    ];
    drain(&house, &backward).await;
    assert_eq!(house.video(&id, None).await["status"], "processing");
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(house.messages().await, 0);
}

/// Every event that could start a step of this clip.
fn everything_asked(video_id: VideoId, generation: u32) -> Vec<Payload> {
    let step = |step: &str, unit: &str| Step {
        video_id,
        generation,
        step: step.to_owned(),
        unit: unit.to_owned(),
    };
    vec![
        Payload::StepCompleted(step("transcode", UNIT)),
        Payload::StepCompleted(step("package", "")),
        Payload::UnitRequested(step("transcode", UNIT)),
        Payload::UnitRequested(step("transcode", "no-such-unit")),
        Payload::UnitRequested(step("thumbnail", OVERVIEW)),
        Payload::Accepted(Clip { video_id, generation }),
        Payload::Uploaded(Clip { video_id, generation }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_the_same_event_do_it_once() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let request = house.waiting(Function::Transcode).await[0].to_string();
    house.deliver(Function::Transcode, &request).await;

    let (worker, never) = (house.worker(Function::Transcode), CancellationToken::new());
    let (one, other) = tokio::join!(worker.drain(&never), worker.drain(&never));
    assert_eq!(one.unwrap() + other.unwrap(), 2);
    house.cloud.release_in_flight().await.unwrap();
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(attempts(&house, &id, "transcode", UNIT).await, 1);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_request_to_ready() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let bytes = clip(house.directory(), 2);
    let body = json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
    let request = house.request(Method::POST, "/api/v1/videos").bearer_auth(&user.token);
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let created = send(request.json(&body)).await.expect(StatusCode::CREATED);
    let id = created["video"]["id"].as_str().unwrap();
    // Nobody says that the upload is complete: the store's own event, which carries no trace, starts everything.
    send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
    house.drain().await;
    assert_eq!(house.video(id, None).await["status"], "ready");

    let types = [
        "unit.requested",
        "video.accepted",
        "step.completed",
        "video.playable",
        "video.ready",
    ];
    for ty in types {
        assert!(!broker.told(&format!("toktik.{ty}.v1")).is_empty(), "{ty}");
    }
    broker
        .events()
        .iter()
        .for_each(|event| is_as_the_contract_says(event, id));
}

fn is_as_the_contract_says(event: &Value, id: &str) {
    assert_eq!(event["specversion"], "1.0", "{event}");
    assert_eq!(event["datacontenttype"], "application/json", "{event}");
    assert_eq!(
        (&event["subject"], &event["data"]["video_id"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(
        event["traceparent"].as_str().unwrap().split('-').nth(1),
        Some(TRACE),
        "{event}"
    );
    assert!(
        event["id"].as_str().unwrap().starts_with(&format!("{id}.1.")),
        "{event}"
    );
    let route = routes::EVENTS.iter().find(|route| event["type"] == route.ty).unwrap();
    let sources: Vec<String> = route.from.iter().map(|from| format!("/toktik/{from}")).collect();
    assert!(sources.iter().any(|source| event["source"] == *source), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_ends_in_dead_letter() {
    let house = House::open().await;
    let unknown = json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "toktik.unheard.of.v1", "data": {}});
    house.deliver(Function::Transcode, "not even JSON").await;
    house.deliver(Function::Package, &unknown.to_string()).await;
    drain(&house, &[Function::Transcode, Function::Package]).await;

    let letters = house.waiting(Function::DeadLetter).await;
    let of = |function: &str| {
        letters
            .iter()
            .find(|letter| letter["error"]["function"] == function)
            .unwrap()
    };
    assert_eq!(of("transcode")["event"], "not even JSON");
    assert_eq!(of("package")["event"], unknown);
    assert!(letters.iter().all(|letter| letter["error"]["code"] == "unreadable"));

    house.drain().await;
    assert_eq!(house.messages().await, 0);
}

/// Takes the uploaded file away before it is transcoded, so that the clip fails; returns where it lay and what it was.
async fn failed(house: &House) -> (User, String, Vec<u8>) {
    let user = house.user("ada").await;
    let bytes = clip(house.directory(), 2);
    let id = house.upload(&user, bytes.clone()).await;
    drain(house, &[Function::Probe]).await;
    let key = known(house, &id).await.upload.key;
    house.context.objects.delete(&[key]).await.unwrap();
    house.drain().await;
    (user, id, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_gives_up_fails_the_clip() {
    let (house, broker) = brokered(1).await;
    let (user, id, _) = failed(&house).await;
    let video = house.video(&id, Some(&user)).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("failed"), &json!("source_missing"))
    );
    assert!(
        video["error"]["message"]
            .as_str()
            .unwrap()
            .ends_with("You can try again.")
    );
    house
        .get(&format!("/videos/{id}"), None)
        .await
        .problem(404, "not_found");

    let told = broker.told("toktik.video.failed.v1");
    assert!(!told.is_empty() && told.iter().all(|data| *data == told[0]), "{told:?}");
    assert_eq!(
        (&told[0]["step"], &told[0]["code"]),
        (&json!("transcode"), &json!("source_missing"))
    );
    let trace = known(&house, &id).await.trace.unwrap().trace_id();
    let events = broker.events();
    let traced = |event: &Value| event["traceparent"].as_str().is_some_and(|text| text.contains(&trace));
    assert!(events.iter().all(traced), "{events:?}");
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_clip_begins_anew_and_forgets_its_past() {
    let (house, broker) = brokered(1).await;
    let (user, id, bytes) = failed(&house).await;
    let past = broker.events();
    let key = known(&house, &id).await.upload.key;
    house
        .context
        .objects
        .put(&key, bytes.into(), "video/mp4")
        .await
        .unwrap();

    assert_eq!(retry(&house, &user, &id).await, StatusCode::ACCEPTED);
    assert_eq!(retry(&house, &user, &id).await, StatusCode::CONFLICT);
    replay(&house, &past).await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(known(&house, &id).await.generation, 2);

    let before = state(&house, &id).await;
    replay(&house, &past).await;
    assert_eq!(state(&house, &id).await, before);
    let second = keys::generation(id.parse().unwrap(), 2);
    let objects = house.objects().await;
    assert!(objects.iter().all(|key| key.starts_with(&second)), "{objects:?}");
    assert_eq!(house.messages().await, 0);
}

async fn replay(house: &House, events: &[Value]) {
    for event in events {
        for function in routes::targets(event["type"].as_str().unwrap()) {
            house.deliver(*function, &event.to_string()).await;
        }
    }
    house.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_ready_without_its_mp3() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe, Function::Transcode, Function::Thumbnail]).await;
    let key = known(&house, &id).await.upload.key;
    house.context.objects.delete(&[key]).await.unwrap();
    house.drain().await;
    let video = house.video(&id, None).await;
    assert_eq!(
        (&video["status"], &video["warnings"]),
        (&json!("ready"), &json!(["audio_failed"]))
    );
    assert!(video["urls"].get("audio").is_none());
    house
        .get(&format!("/videos/{id}/audio.mp3"), None)
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn storyboard_and_preview_need_a_rung_and_not_the_source() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe, Function::Thumbnail, Function::Transcode]).await;
    assert_eq!(
        attempts(&house, &id, "thumbnail", OVERVIEW).await,
        0,
        "it waits for its rung"
    );
    let key = known(&house, &id).await.upload.key;
    house.context.objects.delete(&[key]).await.unwrap();
    house.drain().await;
    let video = house.video(&id, None).await;
    assert_eq!((&video["status"], &video["warnings"]), (&json!("ready"), &json!([])));
    for picture in ["storyboard.vtt", "preview.webp"] {
        let answer = house.get(&format!("/videos/{id}/{picture}"), None).await;
        assert!(
            answer.status.is_success() || answer.status.is_redirection(),
            "{picture}: {}",
            answer.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_ready_without_storyboard_and_preview() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe]).await;
    let overview = Step {
        video_id: id.parse().unwrap(),
        generation: 1,
        step: "thumbnail".to_owned(),
        unit: OVERVIEW.to_owned(),
    };
    let asked = Message::new(Function::Package, house.now(), Payload::UnitRequested(overview));
    let body = asked.to_json().unwrap();
    let verdict = house
        .context
        .give_up(Function::Thumbnail, &body, Some(&asked), "timed_out", "too slow");
    verdict.await.unwrap();
    house.drain().await;
    let video = house.video(&id, None).await;
    assert_eq!(
        (&video["status"], &video["warnings"]),
        (&json!("ready"), &json!(["storyboard_failed", "preview_failed"]))
    );
    for picture in ["storyboard.vtt", "preview.webp"] {
        let answer = house.get(&format!("/videos/{id}/{picture}"), None).await;
        answer.problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mp3_that_is_given_up_from_outside_is_a_warning_too() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe]).await;
    let asked = Message::new(Function::Probe, house.now(), Payload::Accepted(first(&id)));
    let body = asked.to_json().unwrap();
    let verdict = house
        .context
        .give_up(Function::Audio, &body, Some(&asked), "timed_out", "too slow");
    verdict.await.unwrap();
    house.drain().await;
    let video = house.video(&id, None).await;
    assert_eq!(
        (&video["status"], &video["warnings"]),
        (&json!("ready"), &json!(["audio_failed"]))
    );
    assert_eq!(broker.told("toktik.video.failed.v1"), [] as [Value; 0]);
}

fn first(id: &str) -> Clip {
    Clip {
        video_id: id.parse().unwrap(),
        generation: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_never_comes_to_an_end_fails_the_clip() {
    let (house, broker) = brokered(1).await;
    let (_, id) = probed(&house).await;
    house.lose(Function::Transcode).await;
    for _ in 0..MAX_ATTEMPTS {
        lease(&house, &id).await;
        house.advance(LEASE_OVER);
    }
    house.advance(STUCK);
    house.sweep().await;
    let video = known(&house, &id).await;
    let error = video.error.unwrap();
    assert_eq!(
        (video.status, error.code.as_str()),
        (Status::Failed, "attempts_exhausted")
    );
    assert_eq!(error.step.as_deref(), Some("transcode"));
    assert_eq!(broker.told("toktik.video.failed.v1").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_the_host_broke_off_do_not_count() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    house.lose(Function::Transcode).await;
    for _ in 0..MAX_ATTEMPTS {
        let lease = lease(&house, &id).await;
        house.context.catalog.interrupt(&lease).await.unwrap();
    }
    house.advance(STUCK);
    house.sweep().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_reach_for_a_while_fails_nothing() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let scratch = house.directory().join("scratch");
    std::fs::rename(&scratch, house.directory().join("elsewhere")).unwrap();
    for attempt in 1..=MAX_ATTEMPTS + 1 {
        house.cloud.release_in_flight().await.unwrap();
        drain(&house, &[Function::Transcode]).await;
        assert_eq!(attempts(&house, &id, "transcode", UNIT).await, attempt);
        house.advance(STUCK);
    }
    std::fs::rename(house.directory().join("elsewhere"), &scratch).unwrap();
    house.cloud.release_in_flight().await.unwrap();
    house.drain().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_into_reach_fails_the_clip_in_the_end() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    for _ in 0..MAX_POSTPONED {
        let lease = lease(&house, &id).await;
        house.context.catalog.postpone(&lease).await.unwrap();
    }
    house.drain().await;
    let error = known(&house, &id).await.error.unwrap();
    assert_eq!(error.code, "attempts_exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_gives_its_step_back() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let stopping = CancellationToken::new();
    stopping.cancel();
    let request = house.waiting(Function::Transcode).await[0].clone();
    let message = intake::parse(request.to_string().as_bytes()).unwrap().remove(0);
    let handled = house
        .worker(Function::Transcode)
        .handler
        .handle(&message, &stopping)
        .await;
    assert!(
        matches!(handled, Err(toktik_runtime::Failure::Retry { .. })),
        "{handled:?}"
    );
    // Nobody has to wait for the lease to run out.
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let item = house
        .context
        .catalog
        .step(id.parse().unwrap(), 1, "transcode", UNIT)
        .await;
    let item = item.unwrap().unwrap();
    assert_eq!((item.attempts, item.interrupted), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_whose_dead_letter_was_lost_is_found() {
    let (house, broker) = brokered(1).await;
    let (_, id) = probed(&house).await;
    house.lose(Function::Transcode).await;
    let trouble = Trouble {
        code: "timed_out".into(),
        message: "out of time".into(),
        step: Some("transcode".into()),
    };
    let catalog = &house.context.catalog;
    assert!(
        catalog
            .give_up(id.parse().unwrap(), 1, "transcode", UNIT, &trouble, house.now())
            .await
            .unwrap()
    );
    house.drain().await;
    assert_eq!(known(&house, &id).await.status, Status::Processing);

    house.advance(STUCK);
    house.sweep().await;
    let video = known(&house, &id).await;
    assert_eq!(
        (video.status, video.error.unwrap().code.as_str()),
        (Status::Failed, "timed_out")
    );
    assert_eq!(broker.told("toktik.video.failed.v1").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_keeps_others_away_until_it_runs_out() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let old = lease(&house, &id).await;
    let left = keys::attempt(old.video_id, 1, "transcode", UNIT, old.attempt) + "00000.m4s";
    house
        .context
        .objects
        .put(&left, b"half of it".to_vec().into(), "video/iso.segment")
        .await
        .unwrap();
    house.drain().await;
    assert!(matches!(begin(&house, &id).await, Begin::Busy));
    assert_eq!(house.messages().await, 1, "the event waits for its turn");

    house.advance(LEASE_OVER);
    house.cloud.release_in_flight().await.unwrap();
    drain(&house, &[Function::Transcode]).await;
    assert_eq!(attempts(&house, &id, "transcode", UNIT).await, 2);
    is_fenced_off(&house, &old).await;
    house.drain().await;
    house.sweep().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    is_fenced_off(&house, &old).await;
    assert!(
        !house.objects().await.contains(&left),
        "what the loser made is still there"
    );
}

/// Whoever holds this lease can write nothing any more.
async fn is_fenced_off(house: &House, lease: &Lease) {
    let catalog = &house.context.catalog;
    assert!(!catalog.finish(lease, &json!({"tracks": []})).await.unwrap());
    assert!(!catalog.renew(lease, 0.5, house.now()).await.unwrap());
    catalog.release(lease).await.unwrap();
    let item = catalog
        .step(lease.video_id, 1, "transcode", UNIT)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((item.state, item.attempts), (toktik_catalog::ledger::State::Done, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_taken_over_while_its_holder_slept_is_lost() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let old = lease(&house, &id).await;
    house.advance(LEASE_OVER);
    let new = lease(&house, &id).await;
    assert_eq!(new.attempt, old.attempt + 1);
    let catalog = &house.context.catalog;
    assert!(!catalog.finish(&old, &Value::Null).await.unwrap(), "two holders");
    assert!(catalog.renew(&new, 0.5, house.now()).await.unwrap());
    assert!(catalog.finish(&new, &json!({"tracks": []})).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_records_in_one_message_the_one_that_cannot_succeed_fails_its_own_clip() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let good = house.upload(&user, silent_clip(house.directory(), 1)).await;
    let bad = house.upload(&user, b"gone before anybody looks".to_vec()).await;
    house.lose(Function::Probe).await;
    let gone = known(&house, &bad).await.upload.key;
    house.context.objects.delete(&[gone]).await.unwrap();
    let mut records = Vec::new();
    for id in [&good, &bad] {
        let mut told: Value = serde_json::from_str(&notification(&house, id).await).unwrap();
        records.push(told["Records"][0].take());
    }
    house
        .deliver(Function::Probe, &json!({ "Records": records }).to_string())
        .await;
    house.drain().await;
    assert_eq!(known(&house, &good).await.status, Status::Ready);
    assert_eq!(known(&house, &bad).await.error.unwrap().code, "source_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_word_of_other_bytes_does_not_cost_the_accepted_ones() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 1)).await;
    let mut told: Value = serde_json::from_str(&notification(&house, &id).await).unwrap();
    told["Records"][0]["s3"]["object"]["eTag"] = json!("0123456789abcdef0123456789abcdef");
    house.lose(Function::Probe).await;
    house.deliver(Function::Probe, &told.to_string()).await;
    house.drain().await;
    assert_eq!(house.objects().await, [known(&house, &id).await.upload.key]);
}

/// What a function that is started over HTTP answers to this event.
async fn answer(house: &House, function: Function, event: &str) -> StatusCode {
    let handler = house.worker(function).handler.clone();
    let router = server::events(function, handler, house.context.clone(), None, CancellationToken::new());
    // An envelope of dead-letter's is no CloudEvent, and an event is one as plain JSON too.
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(Body::from(event.to_owned())).unwrap();
    router.oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_verdict_is_the_status() {
    let house = House::open().await;
    let (_, id) = probed(&house).await;
    let event = house.waiting(Function::Transcode).await[0].to_string();
    house.lose(Function::Transcode).await;
    assert_eq!(
        answer(&house, Function::Transcode, "not even JSON").await,
        StatusCode::BAD_REQUEST
    );

    let held = lease(&house, &id).await;
    assert_eq!(
        answer(&house, Function::Transcode, &event).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    house.context.catalog.release(&held).await.unwrap();
    let key = known(&house, &id).await.upload.key;
    house.context.objects.delete(&[key]).await.unwrap();
    assert_eq!(
        answer(&house, Function::Transcode, &event).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );

    let letter = house.waiting(Function::DeadLetter).await[0].to_string();
    assert_eq!(
        answer(&house, Function::DeadLetter, &letter).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(known(&house, &id).await.error.unwrap().code, "source_missing");
    assert_eq!(
        answer(&house, Function::Transcode, &event).await,
        StatusCode::NO_CONTENT,
        "it is decided"
    );
}
