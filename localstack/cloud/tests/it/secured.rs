use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::Client;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use toktik_cloud::Webhook;

use crate::notifications::rule;
use crate::support::{BUCKET, World, code, serve, status};

/// A client somewhere else, over the socket.
fn config(base: &str, secret: &str) -> SdkConfig {
    let credentials = Credentials::new("toktik", secret, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(base)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

#[tokio::test]
async fn who_has_the_key_reaches_all_three_on_one_port() {
    let world = World::new().await;
    let base = serve(world.cloud.secured(None)).await;
    let config = config(&base, "a secret of this test");
    s3(&config)
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(b"x".to_vec().into())
        .send()
        .await
        .unwrap();
    assert_eq!(world.get("k").await, b"x");
    // Without a body, and without a header that says so.
    let read = s3(&config).get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(read.body.collect().await.unwrap().to_vec(), b"x");
    let head = s3(&config).head_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(head.content_length(), Some(1));
    let listed = s3(&config).list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(listed.contents().len(), 1);

    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = sqs
        .create_queue()
        .queue_name("work")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    assert_eq!(queue, format!("{base}/000000000000/work"));
    sqs.send_message()
        .queue_url(&queue)
        .message_body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(world.receive(&queue).await.len(), 1);

    let tables = aws_sdk_dynamodb::Client::new(&config)
        .list_tables()
        .send()
        .await
        .unwrap();
    assert_eq!(tables.table_names().len(), 0);
}

#[tokio::test]
async fn who_has_another_key_reaches_none() {
    let world = World::new().await;
    let base = serve(world.cloud.secured(None)).await;
    let config = config(&base, "a guess");
    let refused = s3(&config).list_buckets().send().await.unwrap_err();
    assert_eq!(status(&refused), 403);
    let refused = aws_sdk_sqs::Client::new(&config)
        .create_queue()
        .queue_name("work")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "InvalidSignatureException");
    let refused = aws_sdk_dynamodb::Client::new(&config)
        .list_tables()
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "InvalidSignatureException");
    assert_eq!(world.sqs.list_queues().send().await.unwrap().queue_urls().len(), 0);
}

#[tokio::test]
async fn unsigned_requests_are_refused() {
    let world = World::new().await;
    let base = serve(world.cloud.secured(None)).await;
    for target in ["AmazonSQS.ListQueues", "DynamoDB_20120810.ListTables", ""] {
        let request = Client::new().post(&base).header("x-amz-target", target).body("{}");
        let request = request.header("content-type", "application/x-amz-json-1.0");
        assert_eq!(request.send().await.unwrap().status(), 403, "{target}");
    }
    assert_eq!(
        Client::new()
            .get(format!("{base}/{BUCKET}"))
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
}

#[tokio::test]
async fn a_signature_is_for_one_body_and_a_quarter_of_an_hour() {
    let world = World::new().await;
    let (seen, mut requests) = mpsc::unbounded_channel();
    let recorder = serve(
        Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
            let _ = seen.send((headers, body));
            StatusCode::OK
        }),
    );
    // The signature covers the host, so the recorded request is sent on with the recorder's name.
    let config = config(&recorder.await, "a secret of this test");
    let _ = aws_sdk_sqs::Client::new(&config).list_queues().send().await;
    let (mut headers, body) = requests.recv().await.unwrap();
    headers.remove("content-length");
    let base = serve(world.cloud.secured(None)).await;
    let replay = |body: Bytes| Client::new().post(&base).headers(headers.clone()).body(body).send();

    assert_eq!(replay(body.clone()).await.unwrap().status(), 200);
    assert_eq!(
        replay(Bytes::from_static(b"{\"MaxResults\":1}"))
            .await
            .unwrap()
            .status(),
        403
    );
    world.clock.advance(Duration::from_mins(16));
    assert_eq!(replay(body).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_webhook_gets_what_a_rule_announces_until_it_has_taken_it() {
    let world = World::new().await;
    let (seen, mut posts) = mpsc::unbounded_channel();
    let attempts = Arc::new(AtomicUsize::new(0));
    let receiver = serve(
        Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
            let _ = seen.send((headers, serde_json::from_slice::<Value>(&body).unwrap()));
            let first = attempts.fetch_add(1, Ordering::SeqCst) == 0;
            if first {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        }),
    );
    let webhook = Webhook {
        url: receiver.await,
        token: Some("token".to_owned()),
    };
    let _router = world.cloud.secured(Some(webhook));
    let put = world.s3.put_bucket_notification_configuration().bucket(BUCKET);
    put.notification_configuration(rule("arn:minio:sqs::_:webhook", "in/"))
        .send()
        .await
        .unwrap();
    world.put("in/a b", b"x".to_vec()).await;
    world.put("out/a b", b"x".to_vec()).await;

    assert_eq!(world.cloud.deliver().await.unwrap(), 0);
    assert_eq!(world.cloud.deliver().await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.cloud.deliver().await.unwrap(), 1);
    for _ in 0..2 {
        let (headers, body) = posts.recv().await.unwrap();
        assert_eq!(headers["authorization"], "Bearer token");
        assert_eq!(body["EventName"], "s3:ObjectCreated:Put");
        assert_eq!(body["Key"], "clips/in/a b");
        assert_eq!(body["Records"][0]["eventSource"], "minio:s3");
        assert_eq!(body["Records"][0]["s3"]["object"]["key"], "in/a+b");
    }
    assert!(posts.try_recv().is_err());
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.cloud.deliver().await.unwrap(), 0);
}

#[tokio::test]
async fn maintenance_delivers_until_it_is_stopped() {
    let world = World::new().await;
    let (seen, mut posts) = mpsc::unbounded_channel();
    let receiver = serve(Router::new().fallback(move || async move {
        let _ = seen.send(());
        StatusCode::OK
    }));
    let _router = world.cloud.secured(Some(Webhook {
        url: receiver.await,
        token: None,
    }));
    let put = world.s3.put_bucket_notification_configuration().bucket(BUCKET);
    put.notification_configuration(rule("arn:minio:sqs::_:webhook", ""))
        .send()
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let maintenance = tokio::spawn(world.cloud.maintain(stop.clone()));
    for _ in 0..3 {
        world.put("k", b"x".to_vec()).await;
        posts.recv().await.unwrap();
    }
    stop.cancel();
    maintenance.await.unwrap();
}
