//! Events come from the inside: what `toktik up` shows to the outside takes none.

use chrono::Utc;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use toktik_events::payload::{Change, User};
use toktik_events::{Function, Message, Payload};

use crate::client::send;
use crate::harness::House;

/// Requests by which a function, a queue or the table would be reached where they are.
fn attempts(house: &House, path: &str, event: &Message) -> Vec<RequestBuilder> {
    let post = || house.request(Method::POST, path);
    let structured = event.to_json().unwrap();
    let record = json!({"Records": [{"eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "toktik"}, "object": {"key": "uploads/x", "size": 1, "eTag": "e"}}}]});
    let data = serde_json::from_str::<Value>(&structured).unwrap()["data"].take();
    let batch = format!("[{structured}]");
    let aws = |target: &str, body: Value| {
        post()
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0")
            .body(body.to_string())
    };
    vec![
        post()
            .header("content-type", "application/cloudevents+json")
            .body(structured.clone()),
        post()
            .header("content-type", "application/cloudevents-batch+json")
            .body(batch),
        post()
            .header("ce-specversion", "1.0")
            .header("ce-id", &event.id)
            .header("ce-source", &event.source)
            .header("ce-type", event.payload.ty())
            .json(&data),
        post().json(&record),
        aws(
            "AmazonSQS.SendMessage",
            json!({"QueueUrl": "toktik-janitor", "MessageBody": structured}),
        ),
        aws("AmazonSQS.ReceiveMessage", json!({"QueueUrl": "toktik-janitor"})),
        aws("DynamoDB_20120810.Scan", json!({"TableName": "toktik"})),
        aws("DynamoDB_20120810.DeleteTable", json!({"TableName": "toktik"})),
        post()
            .header("content-type", "application/x-www-form-urlencoded")
            .body("Action=SendMessage&MessageBody=x"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_starts_a_function_or_reaches_a_queue_or_the_table() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let video_id = house.listed(&user, json!({})).await.parse().unwrap();
    house.drain().await;
    let events = [
        Payload::Deleted(Change { video_id, revision: 9 }),
        Payload::UserDeleted(User {
            user_id: user.id.clone(),
        }),
        Payload::Tick,
    ];
    let mut paths: Vec<String> = [
        "/",
        "/events",
        "/api/v1/events",
        "/api/v1",
        "/toktik-janitor",
        "/queue/toktik-janitor",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(Function::ALL.map(|function| format!("/{function}")));
    let before = house.stored().await;
    for payload in events {
        let event = Message::new(Function::Videos, Utc::now(), payload);
        for path in &paths {
            for request in attempts(&house, path, &event) {
                let answer = send(request).await;
                let refused = [404, 405].contains(&answer.status.as_u16());
                assert!(refused, "{path}: {} {}", answer.status, answer.text());
            }
        }
    }
    assert_eq!(house.messages().await, 0);
    assert_eq!(house.stored().await, before);
}
