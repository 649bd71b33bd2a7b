//! One function, started by everything that AWS knows to start it with.

use std::collections::HashMap;

use aws_sdk_sqs::types::{Message as Delivery, MessageSystemAttributeName};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use toktik_catalog::videos::{Status, Trouble};
use toktik_events::payload::{Clip, TICK};
use toktik_events::{Function, Message, Payload};

use crate::site::{Site, batch};
use crate::until;

const JUNK: &[u8] = b"This is not a video.";

/// A clip whose bytes lie in the store; probe's queue has heard of it, the table has not.
async fn arrived(site: &Site, token: &str) -> (String, Delivery) {
    let id = site.arrived(token, JUNK.to_vec()).await;
    let mut told = site.receive(Function::Probe).await;
    assert_eq!(told.len(), 1, "{told:?}");
    (id, told.remove(0))
}

/// As upload does it, or probe when the store tells it.
async fn is_accepted(site: &Site, id: &str) {
    let video = site.video(id).await;
    let head = site.context.objects.head(&video.upload.key).await.unwrap().unwrap();
    let begun = site
        .context
        .catalog
        .begin_processing(&video, &head.etag, None, Utc::now());
    assert!(begun.await.unwrap());
}

async fn is_refused(site: &Site, id: &str) {
    let video = site.video(id).await;
    let code = video.error.map(|trouble| trouble.code);
    assert_eq!((video.status, code.as_deref()), (Status::Rejected, Some("not_a_video")));
}

fn record(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["Records"][0].clone()
}

async fn letters(site: &Site) -> Vec<Value> {
    let letters = site.receive(Function::DeadLetter).await;
    let letter = |delivery: &Delivery| serde_json::from_str(delivery.body().unwrap()).unwrap();
    letters.iter().map(letter).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_is_started_from_every_source() {
    let site = Site::open(&[Function::Auth, Function::Upload, Function::Probe]).await;
    let token = site.token().await;

    // By the store's message in a queue.
    let (id, told) = arrived(&site, &token).await;
    assert_eq!(site.map(Function::Probe, &[told]).await, 0);
    is_refused(&site, &id).await;
    assert_eq!(site.messages(Function::Probe).await, 0);

    // By the store itself.
    let (id, told) = arrived(&site, &token).await;
    let notification = json!({"Records": [record(told.body().unwrap())]});
    assert_eq!(site.invoke(Function::Probe, &notification).await.unwrap(), Value::Null);
    is_refused(&site, &id).await;

    // By the store through EventBridge.
    let (id, told) = arrived(&site, &token).await;
    let s3 = record(told.body().unwrap())["s3"].take();
    let object = json!({"key": site.video(&id).await.upload.key, "size": s3["object"]["size"]});
    let event = json!({"version": "0", "id": "1", "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": s3["bucket"], "object": object, "reason": "PutObject"}});
    assert_eq!(site.invoke(Function::Probe, &event).await.unwrap(), Value::Null);
    is_refused(&site, &id).await;

    // By upload's own event: through a queue elsewhere, here from whoever invokes with it.
    let (id, _) = arrived(&site, &token).await;
    let clip = Clip {
        video_id: id.parse().unwrap(),
        generation: 1,
    };
    let event = Message::new(Function::Upload, Utc::now(), Payload::Uploaded(clip));
    is_accepted(&site, &id).await;
    let answer = site
        .invoke_with(Function::Probe, event.to_json().unwrap())
        .await
        .unwrap();
    assert_eq!(answer, Value::Null);
    is_refused(&site, &id).await;
    assert_eq!(letters(&site).await, [] as [Value; 0]);
    site.close().await;
}

/// The step is somebody else's, for longer than this test takes.
async fn is_taken(site: &Site, id: &str) {
    is_accepted(site, id).await;
    let begun = site
        .context
        .catalog
        .begin(id.parse().unwrap(), 1, "probe", "", Utc::now());
    begun.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_only_what_has_to_come_again_is_named() {
    let site = Site::open(&[Function::Auth, Function::Upload, Function::Probe]).await;
    let token = site.token().await;
    let (good, told_good) = arrived(&site, &token).await;
    let (taken, told_taken) = arrived(&site, &token).await;
    is_taken(&site, &taken).await;
    let (failed, told_failed) = arrived(&site, &token).await;
    is_accepted(&site, &failed).await;
    let trouble = Trouble {
        code: "given_up".to_owned(),
        message: "by this test".to_owned(),
        step: Some("probe".to_owned()),
    };
    let catalog = &site.context.catalog;
    assert!(
        catalog
            .give_up(failed.parse().unwrap(), 1, "probe", "", &trouble, Utc::now())
            .await
            .unwrap()
    );
    site.put(Function::Probe, "?").await;
    site.put(Function::Probe, r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#)
        .await;
    let mut deliveries = site.receive(Function::Probe).await;
    assert_eq!(deliveries.len(), 2);
    deliveries.extend([told_taken.clone(), told_good, told_failed]);

    let answer = site
        .invoke(Function::Probe, &batch(Function::Probe, &deliveries))
        .await
        .unwrap();
    let named = json!([{"itemIdentifier": told_taken.message_id().unwrap()}]);
    assert_eq!(answer, json!({ "batchItemFailures": named }));
    is_refused(&site, &good).await;
    assert_eq!(site.video(&taken).await.status, Status::Processing);

    let mut codes: Vec<String> = letters(&site)
        .await
        .iter()
        .map(|letter| {
            assert_eq!(letter["error"]["function"], "probe");
            letter["error"]["code"].as_str().unwrap().to_owned()
        })
        .collect();
    codes.sort();
    assert_eq!(codes, ["given_up", "unreadable"]);

    // It comes when the handler wants it to, long before the mapping's visibility ends.
    let again = until("the message comes again", async || {
        site.receive(Function::Probe).await.pop()
    })
    .await;
    assert_eq!(again.message_id(), told_taken.message_id());
    site.close().await;
}

/// A message that nobody can handle now is brought again and again, later each time, by its count.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_often_waits_longer() {
    // Without a table every step fails.
    let site = Site::with(&[Function::Probe], &[("TOKTIK_TABLE", "elsewhere")]).await;
    let id = toktik_events::VideoId::random();
    let clip = Clip {
        video_id: id,
        generation: 1,
    };
    let event = Message::new(Function::Upload, Utc::now(), Payload::Uploaded(clip));
    let event = event.to_json().unwrap();
    site.put(Function::Probe, &event).await;
    let mut delivery = site.receive(Function::Probe).await.remove(0);
    delivery.attributes = Some(HashMap::from([(
        MessageSystemAttributeName::ApproximateReceiveCount,
        "9".to_owned(),
    )]));
    assert_eq!(site.map(Function::Probe, &[delivery]).await, 1);
    assert!(site.receive(Function::Probe).await.is_empty());

    site.put(Function::Probe, &event).await;
    let delivery = site.receive(Function::Probe).await.remove(0);
    let first = delivery.message_id().unwrap().to_owned();
    assert_eq!(site.map(Function::Probe, &[delivery]).await, 1);
    let again = until("the message comes again", async || {
        site.receive(Function::Probe).await.pop()
    })
    .await;
    assert_eq!(again.message_id(), Some(first.as_str()));

    // Alone, it is for Lambda to bring it again.
    let refused = site.invoke_with(Function::Probe, event).await.unwrap_err();
    assert_eq!(refused.kind, "Retry", "{refused:?}");
    assert_eq!(letters(&site).await, [] as [Value; 0]);
    site.close().await;
}

/// An event that its writer never sent, and that the janitor sends.
async fn owed(site: &Site, token: &str) -> String {
    let (id, _) = arrived(site, token).await;
    let clip = Clip {
        video_id: id.parse().unwrap(),
        generation: 1,
    };
    let then = Utc::now() - TimeDelta::minutes(1);
    let event = Message::new(Function::Upload, then, Payload::Uploaded(clip));
    let video = site.video(&id).await;
    let catalog = &site.context.catalog;
    assert!(
        catalog
            .begin_processing(&video, "etag", Some(&event), then)
            .await
            .unwrap()
    );
    event.id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_janitor_is_called_by_rules_and_by_schedules() {
    let site = Site::open(&[Function::Auth, Function::Upload, Function::Janitor]).await;
    let token = site.token().await;
    let rule = json!({"version": "0", "id": "1", "source": "aws.events", "detail-type": "Scheduled Event",
        "time": "2026-11-21T04:00:00Z", "resources": ["arn:aws:events:us-east-1:1:rule/tick"], "detail": {}});
    let schedule = json!({"specversion": "1.0", "id": "tick", "source": "/schedule", "type": TICK, "data": {}});
    for call in [rule, schedule] {
        let id = owed(&site, &token).await;
        assert_eq!(site.invoke(Function::Janitor, &call).await.unwrap(), Value::Null);
        let sent = site.receive(Function::Probe).await;
        assert_eq!(sent.len(), 1, "{call}");
        let event: Value = serde_json::from_str(sent[0].body().unwrap()).unwrap();
        assert_eq!(event["id"], id);
    }
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_the_wrong_trigger_are_told_and_harm_nobody() {
    let site = Site::open(&[Function::Probe, Function::Playback]).await;
    for nonsense in [
        "nonsense",
        "{}",
        "[]",
        "null",
        r#"{"Records": [{"eventSource": "aws:sqs"}, 1]}"#,
    ] {
        let refused = site
            .invoke_with(Function::Probe, nonsense.to_owned())
            .await
            .unwrap_err();
        assert!(!refused.message.is_empty(), "{nonsense}: {refused:?}");
        if nonsense != "nonsense" {
            assert_eq!(refused.kind, "Unreadable", "{nonsense}: {refused:?}");
            assert!(refused.message.contains("a CloudEvent"), "{refused:?}");
        }
    }
    let request = json!({"version": "2.0", "rawPath": "/", "headers": {},
        "requestContext": {"stage": "$default", "http": {"method": "GET", "path": "/"}}});
    let refused = site.invoke(Function::Probe, &request).await.unwrap_err();
    assert_eq!(refused.kind, "WrongTrigger");
    assert!(
        refused.message.contains("probe does not answer requests"),
        "{refused:?}"
    );
    for event in [
        batch(Function::Playback, &[]),
        json!({"Records": [{"eventSource": "aws:sqs"}]}),
    ] {
        let refused = site.invoke(Function::Playback, &event).await.unwrap_err();
        assert_eq!(refused.kind, "WrongTrigger");
        assert!(refused.message.contains("playback does not take events"), "{refused:?}");
    }
    let test_event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent"});
    assert_eq!(site.invoke(Function::Probe, &test_event).await.unwrap(), Value::Null);
    // Machines read what is logged here, each line by itself.
    let log = site.log(Function::Playback);
    assert_eq!(log[0]["message"], "waiting for invocations", "{log:?}");
    assert!(log.iter().any(|line| line["span"]["requestId"].is_string()), "{log:?}");
    assert_eq!(letters(&site).await, [] as [Value; 0]);
    site.close().await;
}
