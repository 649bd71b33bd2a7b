//! Who may not: strangers, old receipts, other people's keys.

use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use reqwest::{Method, StatusCode, Url};

use crate::account::{Account, on_target};
use crate::client::{client, send};
use crate::quirks::Quirk;
use crate::running::{PATIENCE, until};

/// The address of an object, signed with these credentials.
async fn signed(account: &Account, credentials: Option<Credentials>) -> Url {
    let mut config = account.clients.s3.config().to_builder();
    if let Some(credentials) = credentials {
        config = config.credentials_provider(credentials);
    }
    let client = aws_sdk_s3::Client::from_conf(config.build());
    let request = client.get_object().bucket(&account.prefix).key("videos/x");
    let presigning = PresigningConfig::expires_in(Duration::from_mins(5)).unwrap();
    request.presigned(presigning).await.unwrap().uri().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_signature_nothing_is_read_or_written() {
    on_target(
        "without_a_signature_nothing_is_read_or_written",
        async |account, record| {
            account.provisioned().await;
            let request = account.clients.s3.put_object().bucket(&account.prefix).key("videos/x");
            request.body(ByteStream::from_static(b"1234")).send().await.unwrap();
            let mut object = signed(account, None).await;
            assert_eq!(send(client().get(object.clone())).await.status, StatusCode::OK);
            object.set_query(None);
            let mut bucket = object.clone();
            bucket.set_path(object.path().strip_suffix("videos/x").unwrap());

            let open = record.knows(account.target, Quirk::OpenToStrangers);
            let expected = if open { StatusCode::OK } else { StatusCode::FORBIDDEN };
            for (method, url) in [(Method::GET, &object), (Method::PUT, &object), (Method::GET, &bucket)] {
                let answer = send(client().request(method.clone(), url.clone()).body("")).await;
                assert_eq!(answer.status, expected, "{method} {url}: {answer:?}");
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_signed_by_somebody_else_opens_nothing() {
    on_target("a_url_signed_by_somebody_else_opens_nothing", async |account, _| {
        account.provisioned().await;
        let request = account.clients.s3.put_object().bucket(&account.prefix).key("videos/x");
        request.body(ByteStream::from_static(b"1234")).send().await.unwrap();
        let url = signed(account, None).await;
        let (_, credential) = url.query_pairs().find(|(name, _)| name == "X-Amz-Credential").unwrap();
        let known = credential.split('/').next().unwrap();
        let forged = Credentials::new(known, "a guess", None, None, "test");
        let answer = send(client().get(signed(account, Some(forged)).await)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_replaced_deletes_nothing() {
    on_target(
        "a_receipt_that_was_replaced_deletes_nothing",
        async |account, record| {
            account.provisioned().await;
            let sqs = &account.clients.sqs;
            let url = account.queue_url("audio").await;
            sqs.send_message()
                .queue_url(&url)
                .message_body("a message")
                .send()
                .await
                .unwrap();
            let receive = async |hidden_for: i32| {
                until("it is received", PATIENCE, async || {
                    let request = sqs.receive_message().queue_url(&url).wait_time_seconds(1);
                    let output = request.visibility_timeout(hidden_for).send().await.unwrap();
                    output.messages.unwrap_or_default().pop()
                })
                .await
                .receipt_handle
                .unwrap()
            };
            let slow = receive(0).await;
            let holder = receive(600).await;
            // What it is answered differs; what counts is whether the message is still the holder's.
            let _ = sqs.delete_message().queue_url(&url).receipt_handle(slow).send().await;
            let back = sqs.change_message_visibility().queue_url(&url).receipt_handle(holder);
            let _ = back.visibility_timeout(0).send().await;
            let request = sqs.receive_message().queue_url(&url).wait_time_seconds(1);
            let again = request.send().await.unwrap().messages.unwrap_or_default();
            let lost = record.knows(account.target, Quirk::LateReceiptsCount);
            assert_eq!(again.is_empty(), lost);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_under_five_mebibytes_are_refused() {
    on_target("parts_under_five_mebibytes_are_refused", async |account, record| {
        account.provisioned().await;
        let (s3, bucket, key) = (&account.clients.s3, &account.prefix, "uploads/x");
        let begun = s3
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        let upload = begun.upload_id.unwrap();
        let mut parts = CompletedMultipartUpload::builder();
        for number in [1, 2] {
            let request = s3.upload_part().bucket(bucket).key(key).upload_id(&upload);
            let request = request.part_number(number).body(ByteStream::from_static(b"1234"));
            let sent = request.send().await.unwrap();
            parts = parts.parts(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(sent.e_tag)
                    .build(),
            );
        }
        let request = s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        let done = request.multipart_upload(parts.build()).send().await;
        assert_eq!(done.is_ok(), record.knows(account.target, Quirk::TinyParts), "{done:?}");
    })
    .await;
}
