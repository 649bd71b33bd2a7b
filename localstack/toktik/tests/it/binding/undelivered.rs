//! dead-letter as a broker's dead-letter sink: the event itself comes, with the broker's word on why. Backlog is no failure;
//! only what is in the ledger fails a clip.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, MAX_ATTEMPTS};
use toktik_catalog::videos::Status;
use toktik_events::payload::User;
use toktik_events::{Function, Message, Payload, binding, routes};
use toktik_runtime::server;
use tower::ServiceExt;

use crate::broker::{Broker, brokered};
use crate::clips::{clip, silent_clip};
use crate::harness::House;

/// The janitor asks again for what nobody began in five minutes, and looks every minute.
const ASKED_AGAIN: TimeDelta = TimeDelta::minutes(6);
const LEASE_OVER: TimeDelta = TimeDelta::seconds(31);
const OVERDUE: TimeDelta = TimeDelta::seconds(31);
/// What a broker has to say of a delivery: statuses, and -1 where there was no answer in time.
const BACKLOG: [&str; 5] = ["429", "503", "504", "500", "-1"];
const REFUSED: [&str; 6] = ["400", "401", "403", "404", "413", "415"];

/// Brings an event to a function over HTTP, and says what it answered.
pub(super) async fn bring(house: &House, function: Function, event: &Value, binary: bool) -> u16 {
    let handler = house.worker(function).handler.clone();
    let router = server::events(function, handler, house.context.clone(), None, CancellationToken::new());
    let mut request = axum::extract::Request::post("/")
        .body(axum::body::Body::empty())
        .unwrap();
    if binary {
        let (headers, body) = binding::to_binary(&binding::from_value(event.clone()).unwrap()).unwrap();
        *request.headers_mut() = headers;
        *request.body_mut() = body.into();
    } else {
        request
            .headers_mut()
            .insert("content-type", binding::STRUCTURED.parse().unwrap());
        *request.body_mut() = event.to_string().into();
    }
    router.oneshot(request).await.unwrap().status().as_u16()
}

/// As a broker hands it to its dead-letter sink.
pub(super) fn undelivered(event: &Value, code: &str) -> Value {
    let mut event = event.clone();
    event["knativeerrordest"] = json!("http://transcode.toktik.svc.cluster.local");
    event["knativeerrorcode"] = json!(code);
    event["knativeerrordata"] = json!("eyJjb2RlIjoicmV0cnkifQ==");
    event
}

async fn status(house: &House, id: &str) -> Status {
    house.kept(id).await.status
}

/// A clip whose steps are asked for, and a broker that has forgotten it.
async fn waiting(silent: bool) -> (House, Broker, String) {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let bytes = if silent {
        silent_clip(house.directory(), 1)
    } else {
        clip(house.directory(), 1)
    };
    let id = house.upload(&user, bytes).await;
    house
        .worker(Function::Probe)
        .drain(&CancellationToken::new())
        .await
        .unwrap();
    for function in Function::ALL.into_iter().filter(|function| function.takes_events()) {
        house.lose(function).await;
    }
    (house, broker, id)
}

fn asked(broker: &Broker, ty: &str) -> Vec<Value> {
    broker
        .events()
        .into_iter()
        .filter(|event| event["type"] == ty)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn backlog_fails_no_clip_and_is_asked_for_again_within_six_minutes() {
    let (house, broker, id) = waiting(true).await;
    let before = broker.events();
    let steps = before
        .iter()
        .filter(|event| !routes::targets(event["type"].as_str().unwrap()).is_empty());
    for event in steps {
        for (number, code) in BACKLOG.into_iter().chain(REFUSED).enumerate() {
            let taken = bring(&house, Function::DeadLetter, &undelivered(event, code), number % 2 == 0).await;
            assert_eq!(taken, 204, "{code}: {event}");
        }
    }
    assert_eq!(status(&house, &id).await, Status::Processing);
    assert_eq!(broker.told("toktik.video.failed.v1"), [] as [Value; 0]);

    // The client and the store both said that the bytes are there, so it was asked for twice.
    let requests = || {
        let asked = asked(&broker, "toktik.unit.requested.v1");
        asked
            .iter()
            .filter(|event| event["data"]["step"] == "transcode")
            .count()
    };
    let once = requests();
    house.advance(TimeDelta::minutes(4));
    house.sweep().await;
    assert_eq!(requests(), once, "whoever was asked has time left");
    house.advance(ASKED_AGAIN - TimeDelta::minutes(4));
    house.sweep().await;
    assert_eq!(requests(), once + 1);
    assert_eq!(status(&house, &id).await, Status::Ready);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_in_the_ledger_before_the_broker_hears_of_it_and_fails_the_clip() {
    let (house, broker, id) = waiting(true).await;
    let key = house.kept(&id).await.upload.key;
    house.context.objects.delete(&[key]).await.unwrap();
    let event = asked(&broker, "toktik.unit.requested.v1").remove(0);
    assert_eq!(bring(&house, Function::Transcode, &event, false).await, 422);
    assert_eq!(house.messages().await, 0, "the broker brings it to dead-letter");
    assert_eq!(status(&house, &id).await, Status::Processing);

    for binary in [false, true] {
        assert_eq!(
            bring(&house, Function::DeadLetter, &undelivered(&event, "422"), binary).await,
            204
        );
        assert_eq!(house.kept(&id).await.error.unwrap().code, "source_missing");
    }
    let told = broker.told("toktik.video.failed.v1");
    assert!(
        !told.is_empty() && told.iter().all(|data| data["code"] == "source_missing"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_mp3_a_clip_goes_on() {
    let (house, broker, id) = waiting(false).await;
    let event = asked(&broker, "toktik.video.accepted.v1").remove(0);
    let message = Message::try_from(&binding::from_value(event.clone()).unwrap()).unwrap();
    let verdict = house
        .context
        .record_verdict(Function::Audio, &message, "timed_out", "too slow");
    verdict.await.unwrap();
    assert_eq!(
        bring(&house, Function::DeadLetter, &undelivered(&event, "422"), true).await,
        204
    );
    assert_eq!(
        asked(&broker, "toktik.step.completed.v1").last().unwrap()["data"]["step"],
        "audio"
    );

    house.advance(ASKED_AGAIN);
    house.sweep().await;
    let kept = house.kept(&id).await;
    assert_eq!(
        (kept.status, kept.warnings),
        (Status::Ready, vec!["audio_failed".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_really_ran_too_often_fails_the_clip_whatever_the_broker_was_answered() {
    let (house, broker, id) = waiting(true).await;
    let event = asked(&broker, "toktik.unit.requested.v1").remove(0);
    for _ in 0..MAX_ATTEMPTS {
        let unit = event["data"]["unit"].as_str().unwrap();
        let begun = house
            .context
            .catalog
            .begin(id.parse().unwrap(), 1, "transcode", unit, house.now())
            .await;
        assert!(matches!(begun.unwrap(), Begin::Started(_)));
        assert_eq!(
            bring(&house, Function::DeadLetter, &undelivered(&event, "503"), false).await,
            204
        );
        assert_eq!(status(&house, &id).await, Status::Processing, "somebody is at it");
        house.advance(LEASE_OVER);
    }
    assert_eq!(
        bring(&house, Function::DeadLetter, &undelivered(&event, "503"), false).await,
        204
    );
    assert_eq!(house.kept(&id).await.error.unwrap().code, "attempts_exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_can_read_ends_here() {
    let (house, _, id) = waiting(true).await;
    let before = house.stored().await;
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "toktik.video.uploaded.v1", "data": {}});
    let unknown = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "com.example.x"});
    for event in [event, unknown] {
        for binary in [false, true] {
            assert_eq!(
                bring(&house, Function::DeadLetter, &undelivered(&event, "400"), binary).await,
                204
            );
        }
    }
    assert_eq!(house.stored().await, before);
    assert_eq!(status(&house, &id).await, Status::Processing);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_deleted_is_not_forgotten() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    house.drain().await;
    let gone = Payload::UserDeleted(User {
        user_id: user.id.clone(),
    });
    let event = Message::new(Function::Auth, house.now(), gone.clone())
        .to_json()
        .unwrap();
    let event = undelivered(&serde_json::from_str(&event).unwrap(), "503");
    assert_eq!(bring(&house, Function::DeadLetter, &event, false).await, 204);
    house.sweep().await;
    assert_eq!(
        broker.told(&gone.ty()),
        [] as [Value; 0],
        "the janitor was busy a moment ago"
    );
    house.advance(OVERDUE);
    house.sweep().await;
    assert_eq!(broker.told(&gone.ty()), [json!({"user_id": user.id})]);
    assert_eq!(status(&house, &id).await, Status::Deleted);
    assert_eq!(house.stored().await.matches("S(\"OUTBOX#").count(), 0);
}
