use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};

use crate::support::{World, code, serve};

async fn send(world: &World, queue: &str, body: &str) {
    world
        .sqs
        .send_message()
        .queue_url(queue)
        .message_body(body)
        .send()
        .await
        .unwrap();
}

async fn count(world: &World, queue: &str) -> String {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let got = world
        .sqs
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(name.clone())
        .send()
        .await
        .unwrap();
    got.attributes().unwrap()[&name].clone()
}

#[tokio::test]
async fn a_received_message_is_invisible_until_its_timeout() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    send(&world, &queue, "once").await;
    assert_eq!(world.receive(&queue).await.len(), 1);
    assert_eq!(world.receive(&queue).await.len(), 0);
    world.clock.advance(Duration::from_secs(31));
    let again = world.receive(&queue).await;
    world
        .sqs
        .delete_message()
        .queue_url(&queue)
        .receipt_handle(again[0].receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(world.receive(&queue).await.len(), 0);
}

#[tokio::test]
async fn visibility_can_be_changed_while_in_flight() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    send(&world, &queue, "x").await;
    let message = world.receive(&queue).await.remove(0);
    let change = |seconds| {
        let change = world
            .sqs
            .change_message_visibility()
            .queue_url(&queue)
            .visibility_timeout(seconds);
        change.receipt_handle(message.receipt_handle().unwrap()).send()
    };
    change(600).await.unwrap();
    world.clock.advance(Duration::from_secs(599));
    assert_eq!(world.receive(&queue).await.len(), 0);
    change(0).await.unwrap();
    assert_eq!(world.receive(&queue).await.len(), 1);
    assert!(
        change(10)
            .await
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_message_not_inflight()
    );
}

#[tokio::test]
async fn a_stale_handle_deletes_nothing() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    send(&world, &queue, "x").await;
    let stale = world.receive(&queue).await.remove(0);
    world.clock.advance(Duration::from_secs(31));
    let fresh = world.receive(&queue).await.remove(0);
    let delete = |handle: &str| {
        world
            .sqs
            .delete_message()
            .queue_url(&queue)
            .receipt_handle(handle)
            .send()
    };
    delete(stale.receipt_handle().unwrap()).await.unwrap();
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(count(&world, &queue).await, "1");
    delete(fresh.receipt_handle().unwrap()).await.unwrap();
    assert_eq!(count(&world, &queue).await, "0");
    let nonsense = delete("nonsense").await.unwrap_err();
    assert!(nonsense.as_service_error().unwrap().is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_message_is_sent() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let began = Instant::now();
    let poll = tokio::spawn(
        world
            .sqs
            .receive_message()
            .queue_url(&queue)
            .wait_time_seconds(20)
            .send(),
    );
    send(&world, &queue, "now").await;
    assert_eq!(poll.await.unwrap().unwrap().messages().len(), 1);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "the poll slept over the message"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_race_with_senders_miss_nothing() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let began = Instant::now();
    for round in 0..50 {
        let poll = tokio::spawn(
            world
                .sqs
                .receive_message()
                .queue_url(&queue)
                .wait_time_seconds(20)
                .send(),
        );
        send(&world, &queue, &round.to_string()).await;
        assert_eq!(
            poll.await.unwrap().unwrap().messages()[0].body(),
            Some(&*round.to_string())
        );
    }
    assert!(began.elapsed() < Duration::from_secs(15), "a poll slept over a message");
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letters_and_wakes_who_waits_there() {
    let world = World::new().await;
    let dead = world.queue("dead").await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"2"}"#;
    let create = world
        .sqs
        .create_queue()
        .queue_name("work")
        .attributes(QueueAttributeName::RedrivePolicy, policy);
    let queue = create.send().await.unwrap().queue_url.unwrap();
    send(&world, &queue, "poison").await;
    for _ in 0..2 {
        assert_eq!(world.receive(&queue).await.len(), 1);
        world.clock.advance(Duration::from_secs(31));
    }
    let wait = world.sqs.receive_message().queue_url(&dead).wait_time_seconds(20);
    let waiting = wait
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send();
    let (moved, arrived) = tokio::join!(world.receive(&queue), waiting);
    assert_eq!(moved.len(), 0);
    let letter = arrived.unwrap().messages.unwrap().remove(0);
    assert_eq!(letter.body(), Some("poison"));
    let source = &letter.attributes().unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:work");
}

#[tokio::test]
async fn attributes_and_trace_travel_with_the_message() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let text = |text: &str| {
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text)
            .build()
            .unwrap()
    };
    let trace = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value("Root=1-2")
        .build()
        .unwrap();
    let sent = world
        .sqs
        .send_message()
        .queue_url(&queue)
        .message_body("x")
        .message_attributes("step", text("probe"));
    let sent = sent.message_attributes("other", text("o"));
    let sent = sent.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace);
    sent.send().await.unwrap();

    let got = world
        .sqs
        .receive_message()
        .queue_url(&queue)
        .message_attribute_names("step")
        .visibility_timeout(0);
    let got = got
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .unwrap();
    let message = &got.messages()[0];
    assert_eq!(
        message.message_attributes().unwrap()["step"].string_value(),
        Some("probe")
    );
    assert_eq!(message.message_attributes().unwrap().len(), 1);
    let system = message.attributes().unwrap();
    assert_eq!(system[&MessageSystemAttributeName::AwsTraceHeader], "Root=1-2");
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert_eq!(message.md5_of_body(), Some("9dd4e461268c8034f5c8564e155c67a6"));
    assert!(world.receive(&queue).await[0].attributes().is_none());
}

#[tokio::test]
async fn a_delayed_message_waits_and_an_old_one_expires() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    world
        .sqs
        .send_message()
        .queue_url(&queue)
        .message_body("later")
        .delay_seconds(60)
        .send()
        .await
        .unwrap();
    assert_eq!(world.receive(&queue).await.len(), 0);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.receive(&queue).await.len(), 1);
    world.clock.advance(Duration::from_hours(96));
    assert_eq!(world.receive(&queue).await.len(), 0);
    assert_eq!(world.cloud.sweep().await.unwrap().messages, 1);
}

#[tokio::test]
async fn each_entry_of_a_batch_fails_for_itself() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let entry = |id: &str, body: &str| {
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(body)
            .build()
            .unwrap()
    };
    let batch = world
        .sqs
        .send_message_batch()
        .queue_url(&queue)
        .entries(entry("good", "x"))
        .entries(entry("bad", ""));
    let sent = batch.send().await.unwrap();
    assert_eq!((sent.successful()[0].id(), sent.failed()[0].id()), ("good", "bad"));
    assert!(sent.failed()[0].sender_fault());

    let handle = world.receive(&queue).await[0].receipt_handle().unwrap().to_owned();
    let entry = |id, handle: &str| {
        DeleteMessageBatchRequestEntry::builder()
            .id(id)
            .receipt_handle(handle)
            .build()
            .unwrap()
    };
    let batch = world
        .sqs
        .delete_message_batch()
        .queue_url(&queue)
        .entries(entry("1", &handle))
        .entries(entry("2", "bad"));
    let deleted = batch.send().await.unwrap();
    assert_eq!(
        (deleted.successful()[0].id(), deleted.failed()[0].code()),
        ("1", "ReceiptHandleIsInvalid")
    );

    let twice = world
        .sqs
        .delete_message_batch()
        .queue_url(&queue)
        .entries(entry("1", "1-1"))
        .entries(entry("1", "2-1"));
    let twice = twice.send().await.unwrap_err();
    assert!(twice.as_service_error().unwrap().is_batch_entry_ids_not_distinct());
    let empty = world
        .sqs
        .send_message_batch()
        .queue_url(&queue)
        .set_entries(Some(vec![]))
        .send()
        .await
        .unwrap_err();
    assert!(empty.as_service_error().unwrap().is_empty_batch_request());
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_a_typed_error() {
    let world = World::new().await;
    let url = "http://sqs.toktik.internal/000000000000/none";
    let error = world.sqs.receive_message().queue_url(url).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist());
    let error = world.sqs.get_queue_url().queue_name("none").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist());
}

#[tokio::test]
async fn queues_are_made_once_found_listed_and_deleted() {
    let world = World::new().await;
    let url = world.queue("work").await;
    assert_eq!(world.queue("work").await, url);
    assert_eq!(
        world
            .sqs
            .get_queue_url()
            .queue_name("work")
            .send()
            .await
            .unwrap()
            .queue_url(),
        Some(&*url)
    );
    let other = world
        .sqs
        .create_queue()
        .queue_name("work")
        .attributes(QueueAttributeName::VisibilityTimeout, "5");
    assert!(
        other
            .send()
            .await
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_queue_name_exists()
    );

    let set = world
        .sqs
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::VisibilityTimeout, "5");
    set.send().await.unwrap();
    let got = world
        .sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await;
    let got = got.unwrap().attributes.unwrap();
    assert_eq!(got[&QueueAttributeName::VisibilityTimeout], "5");
    assert_eq!(
        got[&QueueAttributeName::QueueArn],
        "arn:aws:sqs:us-east-1:000000000000:work"
    );
    let set = world
        .sqs
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::VisibilityTimeout, "-1");
    assert_eq!(code(&set.send().await.unwrap_err()), "InvalidAttributeValue");

    world.queue("other").await;
    let listed = world.sqs.list_queues().queue_name_prefix("wo").send().await.unwrap();
    assert_eq!(listed.queue_urls(), std::slice::from_ref(&url));
    send(&world, &url, "x").await;
    world.sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let again = world.queue("work").await;
    assert_eq!(count(&world, &again).await, "0");
}

#[tokio::test]
async fn nonsense_is_a_clean_refusal() {
    let world = World::new().await;
    let base = serve(world.cloud.sqs()).await;
    for (target, body) in [
        ("AmazonSQS.SendMessage", "{"),
        ("AmazonSQS.SendMessage", "[]"),
        ("AmazonSQS.Fly", "{}"),
        ("", ""),
    ] {
        let request = reqwest::Client::new()
            .post(&base)
            .header("x-amz-target", target)
            .body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{target} {body}");
        assert!(answer.headers().contains_key("x-amzn-query-error"));
        let fault: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(fault["__type"].is_string());
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_name() {
    let world = World::new().await;
    let fifo = world.sqs.create_queue().queue_name("work.fifo");
    let fifo = fifo
        .attributes(QueueAttributeName::FifoQueue, "true")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&fifo), "InvalidParameterValue");
    let fifo = world.sqs.create_queue().queue_name("work");
    let fifo = fifo
        .attributes(QueueAttributeName::FifoQueue, "true")
        .send()
        .await
        .unwrap_err();
    assert!(format!("{fifo:?}").contains("FifoQueue"), "{fifo:?}");
    let queue = world.queue("work").await;
    let tags = world.sqs.list_queue_tags().queue_url(&queue).send().await.unwrap_err();
    assert!(format!("{tags:?}").contains("ListQueueTags"), "{tags:?}");
}

#[tokio::test]
async fn a_message_has_its_largest_size_with_attributes_and_all() {
    let world = World::new().await;
    let queue = world.queue("work").await;
    let set = world.sqs.set_queue_attributes().queue_url(&queue);
    set.attributes(QueueAttributeName::MaximumMessageSize, "1024")
        .send()
        .await
        .unwrap();
    let send = |size| {
        world
            .sqs
            .send_message()
            .queue_url(&queue)
            .message_body("x".repeat(size))
    };
    send(1024).send().await.unwrap();
    assert_eq!(code(&send(1025).send().await.unwrap_err()), "InvalidParameterValue");
    let attribute = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("v")
        .build()
        .unwrap();
    // Name, type and value count: 1 + 6 + 1.
    send(1016)
        .message_attributes("n", attribute.clone())
        .send()
        .await
        .unwrap();
    let over = send(1017).message_attributes("n", attribute).send().await.unwrap_err();
    assert_eq!(code(&over), "InvalidParameterValue");
    assert_eq!(code(&send(0).send().await.unwrap_err()), "InvalidParameterValue");
    assert_eq!(world.receive(&queue).await.len(), 2);
}

#[tokio::test]
async fn a_purge_empties_one_queue() {
    let world = World::new().await;
    let (queue, other) = (world.queue("work").await, world.queue("other").await);
    for queue in [&queue, &queue, &other] {
        send(&world, queue, "x").await;
    }
    let received = world.sqs.receive_message().queue_url(&queue).send().await.unwrap();
    assert_eq!(received.messages().len(), 1);
    world.sqs.purge_queue().queue_url(&queue).send().await.unwrap();
    world.cloud.release_in_flight().await.unwrap();
    assert_eq!(world.receive(&queue).await.len(), 0);
    assert_eq!(world.receive(&other).await.len(), 1);
}
