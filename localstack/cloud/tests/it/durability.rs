use toktik_cloud::Cloud;

use crate::support::{BUCKET, World, options};

#[tokio::test]
async fn a_reopened_directory_has_everything() {
    let world = World::new().await;
    world.put("k", b"kept".to_vec()).await;
    let queue = world.queue("work").await;
    world
        .sqs
        .send_message()
        .queue_url(&queue)
        .message_body("kept")
        .send()
        .await
        .unwrap();
    let world = world.reopened().await;
    assert_eq!(world.get("k").await, b"kept");
    assert_eq!(world.receive(&queue).await[0].body(), Some("kept"));
}

#[tokio::test]
async fn what_was_acknowledged_survives_without_a_clean_end() {
    let world = World::new().await;
    world.put("k", b"kept".to_vec()).await;
    let queue = world.queue("work").await;
    world
        .sqs
        .send_message()
        .queue_url(&queue)
        .message_body("kept")
        .send()
        .await
        .unwrap();
    let crashed = world.copied_while_running().await;
    assert_eq!(crashed.get("k").await, b"kept");
    assert_eq!(crashed.receive(&queue).await[0].body(), Some("kept"));
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_reason() {
    let world = World::new().await;
    let error = Cloud::open(options(world.directory())).await.err().unwrap();
    assert!(
        format!("{error:#}").contains("another process is using it"),
        "{error:#}"
    );
    let world = world.reopened().await;
    assert!(world.s3.head_bucket().bucket(BUCKET).send().await.is_ok());
}

#[tokio::test]
async fn files_that_nothing_refers_to_are_removed_at_the_start() {
    let world = World::new().await;
    world.put("k", b"kept".to_vec()).await;
    std::fs::write(world.directory().join("blobs/ab/abandoned"), "half an upload").unwrap();
    assert_eq!(world.blobs(), 2);
    let world = world.reopened().await;
    assert_eq!(world.blobs(), 1);
    assert_eq!(world.get("k").await, b"kept");
}

#[tokio::test]
async fn a_reader_keeps_the_bytes_it_began_to_read() {
    let world = World::new().await;
    world.put("k", vec![1; 1 << 20]).await;
    let got = world.s3.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    world.put("k", vec![2; 10]).await;
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 0);
    assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![1; 1 << 20]);
    assert_eq!(world.cloud.sweep().await.unwrap().blobs, 1);
    assert_eq!(world.blobs(), 1);
    assert_eq!(world.get("k").await, [2; 10]);
}

#[tokio::test]
async fn a_closed_cloud_answers_with_errors() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let waiting = tokio::spawn(
        world
            .sqs
            .receive_message()
            .queue_url(&queue)
            .wait_time_seconds(20)
            .send(),
    );
    world.cloud.clone().close().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(world.s3.head_bucket().bucket(BUCKET).send().await.is_err());
    assert!(world.dynamodb.list_tables().send().await.is_err());
}
