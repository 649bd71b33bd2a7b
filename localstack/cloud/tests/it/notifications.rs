use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Event, FilterRule, FilterRuleName, NotificationConfiguration,
    NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use serde_json::Value;

use crate::support::{BUCKET, World, code};

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:uploads";

pub(crate) fn rule(arn: &str, prefix: &str) -> NotificationConfiguration {
    let prefix = FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
    let filter = NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(prefix).build());
    let queue = QueueConfiguration::builder()
        .queue_arn(arn)
        .events(Event::from("s3:ObjectCreated:*"));
    NotificationConfiguration::builder()
        .queue_configurations(queue.filter(filter.build()).build().unwrap())
        .build()
}

/// A bucket that announces what arrives under `in/`, and the queue, which is empty.
async fn announced() -> (World, String) {
    let world = World::new().await;
    let queue = world.queue("uploads").await;
    let put = world.s3.put_bucket_notification_configuration().bucket(BUCKET);
    put.notification_configuration(rule(ARN, "in/")).send().await.unwrap();
    let test = bodies(&world, &queue).await;
    assert_eq!((test.len(), &test[0]["Event"]), (1, &Value::from("s3:TestEvent")));
    world.sqs.purge_queue().queue_url(&queue).send().await.unwrap();
    (world, queue)
}

async fn bodies(world: &World, queue: &str) -> Vec<Value> {
    let messages = world.receive(queue).await;
    messages
        .iter()
        .map(|message| serde_json::from_str(message.body().unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn an_object_is_announced_as_on_aws() {
    let (world, queue) = announced().await;
    let etag = world.put("in/a b+ü.mp4", b"12345".to_vec()).await;
    let messages = bodies(&world, &queue).await;
    assert_eq!(messages.len(), 1);
    let record = &messages[0]["Records"][0];
    assert_eq!(record["eventSource"], "aws:s3");
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["awsRegion"], "us-east-1");
    assert!(record["userIdentity"]["principalId"].is_string());
    assert!(record["requestParameters"]["sourceIPAddress"].is_string());
    assert_eq!(record["s3"]["bucket"]["name"], BUCKET);
    assert_eq!(record["s3"]["object"]["key"], "in/a+b%2B%C3%BC.mp4");
    assert_eq!(record["s3"]["object"]["size"], 5);
    assert_eq!(record["s3"]["object"]["eTag"], etag.trim_matches('"'));
}

#[tokio::test]
async fn only_what_the_rule_asks_for_is_announced() {
    let (world, queue) = announced().await;
    world.put("out/k", b"x".to_vec()).await;
    assert_eq!(bodies(&world, &queue).await.len(), 0);
    world
        .s3
        .put_bucket_notification_configuration()
        .bucket(BUCKET)
        .notification_configuration(NotificationConfiguration::builder().build())
        .send()
        .await
        .unwrap();
    world.put("in/k", b"x".to_vec()).await;
    assert_eq!(bodies(&world, &queue).await.len(), 0);
}

#[tokio::test]
async fn a_refused_write_announces_nothing() {
    let (world, queue) = announced().await;
    world.put("in/k", b"1".to_vec()).await;
    let again = world
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("in/k")
        .if_none_match("*")
        .body(b"2".to_vec().into());
    assert!(again.send().await.is_err());
    let bad = world
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("in/bad")
        .checksum_crc32("AAAAAA==")
        .body(b"2".to_vec().into());
    assert!(bad.send().await.is_err());
    assert_eq!(bodies(&world, &queue).await.len(), 1);
}

#[tokio::test]
async fn the_later_write_has_the_greater_sequencer() {
    let (world, queue) = announced().await;
    for _ in 0..3 {
        world.put("in/k", b"x".to_vec()).await;
    }
    let messages = bodies(&world, &queue).await;
    let sequencers: Vec<_> = messages
        .iter()
        .map(|body| body["Records"][0]["s3"]["object"]["sequencer"].as_str().unwrap())
        .collect();
    assert!(
        sequencers.is_sorted() && sequencers.len() == 3 && sequencers[0] != sequencers[2],
        "{sequencers:?}"
    );
}

#[tokio::test]
async fn copies_and_completed_uploads_are_announced_too() {
    let (world, queue) = announced().await;
    world.put("k", b"x".to_vec()).await;
    world
        .s3
        .copy_object()
        .bucket(BUCKET)
        .key("in/copy")
        .copy_source("clips/k")
        .send()
        .await
        .unwrap();
    let upload = world
        .s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("in/parts")
        .send()
        .await
        .unwrap();
    let part = world
        .s3
        .upload_part()
        .bucket(BUCKET)
        .key("in/parts")
        .part_number(1)
        .body(b"12345".to_vec().into());
    let part = part.set_upload_id(upload.upload_id.clone()).send().await.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .e_tag(part.e_tag.unwrap())
        .build();
    let complete = world
        .s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("in/parts")
        .set_upload_id(upload.upload_id);
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    complete.multipart_upload(parts).send().await.unwrap();

    let messages = bodies(&world, &queue).await;
    let names: Vec<_> = messages
        .iter()
        .map(|body| body["Records"][0]["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload"]);
    assert_eq!(messages[1]["Records"][0]["s3"]["object"]["size"], 5);
}

#[tokio::test]
async fn rule_and_message_survive_a_restart() {
    let (world, queue) = announced().await;
    world.put("in/1", b"x".to_vec()).await;
    let world = world.reopened().await;
    world.put("in/2", b"x".to_vec()).await;
    let keys: Vec<_> = bodies(&world, &queue)
        .await
        .iter()
        .map(|body| body["Records"][0]["s3"]["object"]["key"].clone())
        .collect();
    assert_eq!(keys, ["in/1", "in/2"]);
    let stored = world
        .s3
        .get_bucket_notification_configuration()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(stored.queue_configurations()[0].queue_arn(), ARN);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_refused() {
    let world = World::new().await;
    let put = world.s3.put_bucket_notification_configuration().bucket(BUCKET);
    let refused = put
        .notification_configuration(rule(ARN, "in/"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "InvalidArgument");
}
