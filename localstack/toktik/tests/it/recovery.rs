//! Lost messages, dead processes, abandoned uploads and deleted clips: nothing is lost, nothing stays behind.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, Lease, MAX_ATTEMPTS, State};
use toktik_catalog::videos::{Status, Video};
use toktik_events::payload::Clip;
use toktik_events::{Function, Message, Payload};

use crate::broker::brokered;
use crate::client::{send, signed};
use crate::clips::{clip, silent_clip};
use crate::harness::{House, User};

/// When whoever wrote an event into the outbox has had its chance to publish it.
const OVERDUE: TimeDelta = TimeDelta::seconds(31);
const LEASE_OVER: TimeDelta = TimeDelta::seconds(31);
const STUCK: TimeDelta = TimeDelta::minutes(6);
/// URLs for uploading are good for an hour; what began in time may take another.
const URL_OVER: TimeDelta = TimeDelta::minutes(61);
const UPLOAD_OVER: TimeDelta = TimeDelta::minutes(121);
/// After this nothing can write for a deleted clip any more.
const QUIET: TimeDelta = TimeDelta::hours(4);

async fn known(house: &House, id: &str) -> Video {
    house.context.catalog.video(id.parse().unwrap()).await.unwrap().unwrap()
}

async fn drain(house: &House, functions: &[Function]) {
    for function in functions {
        house.worker(*function).drain(&CancellationToken::new()).await.unwrap();
    }
}

/// An upload of which nobody has heard: the client did not complete it, the store's event is lost.
async fn arrived_unheard(house: &House) -> String {
    let user = house.user("ada").await;
    let bytes = silent_clip(house.directory(), 2);
    let created = house.announce(&user, bytes.len()).await;
    send(signed(&created["upload"], bytes)).await.expect(StatusCode::OK);
    house.lose(Function::Probe).await;
    created["video"]["id"].as_str().unwrap().to_owned()
}

async fn outbox(house: &House) -> usize {
    house.stored().await.matches("S(\"OUTBOX#").count()
}

/// The keys of all items that mention this clip.
async fn items(house: &House, id: &str) -> Vec<String> {
    let scan = house.cloud.dynamodb_client().scan().table_name("toktik");
    let items = scan.send().await.unwrap().items.unwrap();
    let about = items.iter().filter(|item| format!("{item:?}").contains(id));
    let key = |name: &str, item: &std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>| {
        item[name].as_s().unwrap().clone()
    };
    about
        .map(|item| format!("{} {}", key("pk", item), key("sk", item)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_written_and_not_sent_is_sent_later() {
    let house = House::open().await;
    let id = arrived_unheard(&house).await;
    let video = known(&house, &id).await;
    let head = house.context.objects.head(&video.upload.key).await.unwrap().unwrap();
    let clip = Clip {
        video_id: video.id,
        generation: 1,
    };
    let message = Message::new(Function::Upload, house.now(), Payload::Uploaded(clip));
    let catalog = &house.context.catalog;
    assert!(
        catalog
            .begin_processing(&video, &head.etag, Some(&message), house.now())
            .await
            .unwrap()
    );
    assert_eq!(outbox(&house).await, 1);

    house.sweep().await;
    assert_eq!(
        known(&house, &id).await.status,
        Status::Processing,
        "its writer may still send it"
    );
    house.advance(OVERDUE);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
    assert_eq!(outbox(&house).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_owed_event_that_cannot_be_read_does_not_hold_up_the_others() {
    let house = House::open().await;
    let junk = [
        ("pk", "OUTBOX#0"),
        ("sk", "0#junk"),
        ("id", "junk"),
        ("at", "2020-01-01T00:00:00Z"),
        ("event", "{"),
    ];
    let mut put = house.cloud.dynamodb_client().put_item().table_name("toktik");
    for (name, value) in junk {
        put = put.item(name, aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned()));
    }
    put.send().await.unwrap();
    let id = arrived_unheard(&house).await;
    house.advance(URL_OVER);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_told_of_is_found() {
    let house = House::open().await;
    let id = arrived_unheard(&house).await;
    house.sweep().await;
    assert_eq!(
        known(&house, &id).await.status,
        Status::Uploading,
        "its client has time left"
    );
    house.advance(URL_OVER);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_never_comes_expires() {
    let (house, broker) = brokered(1).await;
    let user = house.user("ada").await;
    let created = house.announce(&user, 1000).await;
    let id = created["video"]["id"].as_str().unwrap();
    house.advance(URL_OVER);
    house.sweep().await;
    assert_eq!(
        known(&house, id).await.status,
        Status::Uploading,
        "a slow upload that began in time may arrive"
    );
    house.advance(UPLOAD_OVER - URL_OVER);
    house.sweep().await;
    let video = known(&house, id).await;
    assert_eq!(
        (video.status, video.error.unwrap().code.as_str()),
        (Status::Rejected, "upload_expired")
    );
    assert_eq!(broker.told("toktik.video.rejected.v1").len(), 1);
    house.sweep().await;
    assert_eq!(
        broker.told("toktik.video.rejected.v1").len(),
        1,
        "nobody looks after it any more"
    );
}

/// Announces a clip in two parts and sends the first.
async fn half_sent(house: &House, user: &User) -> String {
    let created = house.announce(user, 6 << 20).await;
    let id = created["video"]["id"].as_str().unwrap().to_owned();
    let asked = house
        .post(
            &format!("/videos/{id}/upload/parts"),
            Some(user),
            json!({"part_numbers": [1]}),
        )
        .await;
    let part = asked.expect(StatusCode::OK)["parts"][0].take();
    send(signed(&part, vec![7; 5 << 20])).await.expect(StatusCode::OK);
    id
}

async fn in_parts() -> House {
    House::with(&["--multipart-threshold", "1000", "--part-size", "5242880"]).await
}

/// Uploads that the store still keeps parts of.
async fn open_uploads(house: &House) -> usize {
    let request = house.cloud.s3_client().list_multipart_uploads().bucket("toktik");
    request.send().await.unwrap().uploads().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_an_upload_that_expired_are_gone() {
    let house = in_parts().await;
    let user = house.user("ada").await;
    let id = half_sent(&house, &user).await;
    assert_eq!(open_uploads(&house).await, 1);
    house.advance(UPLOAD_OVER);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.error.unwrap().code, "upload_expired");
    assert_eq!((open_uploads(&house).await, house.objects().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_for_a_clip_that_was_never_written_down_are_gone() {
    let house = in_parts().await;
    let user = house.user("ada").await;
    half_sent(&house, &user).await;
    // As if upload had died between the store's answer and the table's.
    let key = toktik_objects::keys::upload(toktik_events::VideoId::random());
    house.context.objects.create_multipart(&key, "video/mp4").await.unwrap();
    house.sweep().await;
    assert_eq!(open_uploads(&house).await, 2, "the clip may be written down any moment");
    house.advance(STUCK);
    house.sweep().await;
    assert_eq!(open_uploads(&house).await, 1, "somebody sends the other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_whose_events_were_lost_are_asked_for_again() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe]).await;
    for function in [Function::Transcode, Function::Thumbnail, Function::Audio] {
        house.lose(function).await;
    }
    house.sweep().await;
    assert_eq!(
        known(&house, &id).await.status,
        Status::Processing,
        "they may still be on their way"
    );
    house.advance(STUCK);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_word_of_a_finished_step_is_made_up_for() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe, Function::Transcode, Function::Thumbnail]).await;
    house.lose(Function::Package).await;
    house.advance(STUCK);
    house.sweep().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
}

/// A silent clip of which all is made but the file to take along, and nobody knows.
async fn all_but_joined() -> (House, String) {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    let (pictures, package) = (Function::Thumbnail, Function::Package);
    drain(
        &house,
        &[Function::Probe, Function::Transcode, pictures, package, pictures],
    )
    .await;
    house.lose(package).await;
    (house, id)
}

/// Somebody takes the step that joins.
async fn joins(house: &House, id: &str) -> Lease {
    let begun = house
        .context
        .catalog
        .begin(id.parse().unwrap(), 1, "package", "", house.now());
    match begun.await.unwrap() {
        Begin::Started(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn is_ready_without_a_download(house: &House, id: &str) {
    assert_eq!(known(house, id).await.status, Status::Playable);
    house.advance(STUCK);
    house.sweep().await;
    let video = known(house, id).await;
    assert_eq!(
        (video.status, video.warnings),
        (Status::Ready, vec!["download_failed".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_which_all_is_made_becomes_ready_though_the_last_word_was_lost() {
    let (house, id) = all_but_joined().await;
    let lease = joins(&house, &id).await;
    let made = json!({ "download": null });
    assert!(house.context.catalog.finish(&lease, &made).await.unwrap());
    is_ready_without_a_download(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_kills_whoever_joins_it_becomes_ready_without() {
    let (house, id) = all_but_joined().await;
    for _ in 0..MAX_ATTEMPTS {
        joins(&house, &id).await;
        house.advance(LEASE_OVER);
    }
    is_ready_without_a_download(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_goes_on_where_it_was() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe, Function::Thumbnail]).await;
    // A step is under way, its message received, and the process gone.
    let catalog = &house.context.catalog;
    catalog
        .begin(id.parse().unwrap(), 1, "transcode", "video-0", house.now())
        .await
        .unwrap();
    let url = house.context.publisher.queues().url(Function::Transcode).await.unwrap();
    let received = house
        .cloud
        .sqs_client()
        .receive_message()
        .queue_url(url)
        .send()
        .await
        .unwrap();
    assert_eq!(received.messages().len(), 1);

    let house = house.restarted().await;
    house.drain().await;
    assert_eq!(known(&house, &id).await.status, Status::Ready);
    let steps = house.context.catalog.steps(id.parse().unwrap(), 1).await.unwrap();
    assert!(steps.iter().all(|step| step.state == State::Done), "{steps:?}");
    assert_eq!(house.messages().await, 0);
}

async fn delete(house: &House, user: &User, id: &str) {
    let answer = house
        .call(Method::DELETE, &format!("/videos/{id}"), Some(user), None)
        .await;
    answer.expect(StatusCode::NO_CONTENT);
    house
        .get(&format!("/videos/{id}"), Some(user))
        .await
        .problem(404, "not_found");
}

/// What is left of a deleted clip after the janitor's rounds: a tombstone.
async fn is_gone(house: &House, id: &str) {
    house.drain().await;
    assert_eq!((house.objects().await, open_uploads(house).await), (Vec::new(), 0));
    house.advance(QUIET);
    house.sweep().await;
    assert_eq!(items(house, id).await, [format!("VIDEO#{id} META")]);
    let item = house.cloud.dynamodb_client().get_item().table_name("toktik");
    let key = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let item = item
        .key("pk", key(format!("VIDEO#{id}")))
        .key("sk", key("META".to_owned()));
    let item = item.send().await.unwrap().item.unwrap();
    assert!(
        item.contains_key("expires_at") && !item.contains_key("gsi1pk"),
        "{item:?}"
    );
    assert_eq!(house.messages().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_a_clip_deleted_while_uploading() {
    let house = in_parts().await;
    let user = house.user("ada").await;
    let id = half_sent(&house, &user).await;
    delete(&house, &user, &id).await;
    is_gone(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_a_clip_deleted_while_processing() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 2)).await;
    drain(&house, &[Function::Probe, Function::Transcode]).await;
    assert!(house.objects().await.len() > 3, "nothing is made yet");
    delete(&house, &user, &id).await;
    is_gone(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_a_clip_deleted_when_ready() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, silent_clip(house.directory(), 2)).await;
    let liked = house
        .call(Method::PUT, &format!("/videos/{id}/like"), Some(&user), None)
        .await;
    liked.expect(StatusCode::NO_CONTENT);
    house
        .post(&format!("/videos/{id}/views"), None, Value::Null)
        .await
        .expect(StatusCode::NO_CONTENT);
    house.sweep().await;
    delete(&house, &user, &id).await;
    for list in ["/videos", "/videos?sort=popular"] {
        let listed = house.get(list, None).await.expect(StatusCode::OK);
        assert_eq!(listed["items"], json!([]), "{list}");
    }
    is_gone(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_run_wrote_for_a_deleted_clip_is_swept() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, silent_clip(house.directory(), 2)).await;
    delete(&house, &user, &id).await;
    house.drain().await;
    let late = toktik_objects::keys::attempt(id.parse().unwrap(), 1, "transcode", "video-0", 1) + "00000.m4s";
    house
        .context
        .objects
        .put(&late, b"late".to_vec().into(), "video/iso.segment")
        .await
        .unwrap();
    house.sweep().await;
    is_gone(&house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_step_ends_when_its_clip_is_deleted() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let long = crate::clips::long_clip(house.directory());
    let id = house.upload(&user, long).await;
    drain(&house, &[Function::Probe]).await;
    let never = CancellationToken::new();
    let ending = async {
        delete(&house, &user, &id).await;
        Instant::now()
    };
    let (handled, deleted) = tokio::join!(house.worker(Function::Transcode).drain(&never), ending);
    assert!(handled.unwrap() > 0);
    assert!(
        deleted.elapsed() < Duration::from_secs(10),
        "it ran to its end: {:?}",
        deleted.elapsed()
    );
    is_gone(&house, &id).await;
}
