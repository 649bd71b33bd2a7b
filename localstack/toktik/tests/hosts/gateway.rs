//! The gateway in front of functions that are processes of their own.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::{Function, routes};

use crate::client::{client, send};
use crate::listener::Listener;
use crate::running::{Running, toktik};
use crate::stage::{Host, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_leads_to_its_function() {
    let stage = Stage::open(Host::Queue).await;
    let gateway = &stage.gateway;
    let id = "0".repeat(32);
    for route in routes::HTTP {
        let path = route.path.replace("{id}", &id).replace("{name}", "x.m3u8");
        let method: Method = route.method.parse().unwrap();
        let through = gateway.call(method.clone(), &path, None, None).await;
        let direct = stage.functions[&route.function].call(method, &path, None, None).await;
        assert_eq!((through.status, &through.body), (direct.status, &direct.body), "{path}");
    }
    gateway
        .call(Method::GET, "/api/v1/nothing", None, None)
        .await
        .problem(404, "not_found");
    let refused = gateway.call(Method::PUT, "/api/v1/videos", None, None).await;
    refused.problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET, POST");
    let head = gateway.call(Method::HEAD, "/api/v1/videos", None, None).await;
    assert_eq!(head.status, StatusCode::OK);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_while_their_stream_is_open() {
    let stage = Stage::open(Host::Queue).await;
    let gateway = &stage.gateway;
    let token = gateway.token().await;
    let stream = client().get(format!("{}/api/v1/events", gateway.base));
    let mut stream = Listener::open(stream.bearer_auth(&token)).await;
    let clip = json!({"title": "A", "filename": "a.mp4", "size": 1, "content_type": "video/mp4"});
    let created = gateway
        .call(Method::POST, "/api/v1/videos", Some(&token), Some(clip))
        .await;
    let id = created.expect(StatusCode::CREATED)["video"]["id"].take();
    let told = stream.until("clip", |_| true).await;
    assert_eq!((&told["id"], &told["status"]), (&id, &json!("uploading")));
    let path = format!("/api/v1/videos/{}/upload", id.as_str().unwrap());
    let gone = gateway.call(Method::DELETE, &path, Some(&token), None).await;
    gone.expect(StatusCode::NO_CONTENT);
    stream.until("clip", |clip| clip["status"] == "deleted").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_names_is_a_page() {
    let stage = Stage::open(Host::Queue).await;
    for path in ["/", "/browse", "/v/x", "/nothing", "/oembed", "/robots.txt"] {
        let through = stage.gateway.call(Method::GET, path, None, None).await;
        let direct = stage.functions[&Function::Web]
            .call(Method::GET, path, None, None)
            .await;
        assert_eq!((through.status, &through.body), (direct.status, &direct.body), "{path}");
        let policy = "content-security-policy";
        assert_eq!(through.headers.get(policy), direct.headers.get(policy), "{path}");
    }
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_that_of_all_functions() {
    let stage = Stage::open(Host::Queue).await;
    let document = stage
        .gateway
        .call(Method::GET, "/openapi.json", None, None)
        .await
        .expect(StatusCode::OK);
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| methods(item).map(|method| (method.to_uppercase(), path.clone())))
        .collect();
    let routed = routes::HTTP
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(described, routed.collect());
    let page = stage.gateway.call(Method::GET, "/docs/", None, None).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("swagger-ui"), "{}", page.text());
    stage.close().await;
}

fn methods(item: &Value) -> impl Iterator<Item = &String> {
    item.as_object().unwrap().keys().filter(|key| *key != "parameters")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_its_own_way_is_not_believed() {
    let stage = Stage::open(Host::Queue).await;
    let url = format!("{}/api/v1/auth/login", stage.gateway.base);
    let mut statuses = BTreeSet::new();
    // Tries to sign in are limited by address: whoever could choose theirs would never be.
    for attempt in 0..200 {
        let forged = format!("for=203.0.113.{attempt};host=evil.example");
        let body = serde_json::json!({"username": format!("nobody{attempt}"), "password": "wrong password"});
        let request = client()
            .post(&url)
            .header("forwarded", forged)
            .header("x-forwarded-for", "203.0.113.9");
        let answer = send(request.json(&body)).await;
        statuses.insert(answer.status.as_u16());
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_not_there_is_a_clear_error() {
    let mut command = toktik(&[
        "run",
        "gateway",
        "--listen",
        "127.0.0.1:0",
        "--target",
        "http://127.0.0.1:1/{function}",
    ]);
    let gateway = Running::start(&mut command, "address=").await;
    gateway
        .call(Method::GET, "/api/v1/videos", None, None)
        .await
        .problem(502, "bad_gateway");
    gateway
        .call(Method::GET, "/openapi.json", None, None)
        .await
        .problem(502, "bad_gateway");
    gateway
        .call(Method::GET, "/api/v1/nothing", None, None)
        .await
        .problem(404, "not_found");
    assert_eq!(
        gateway.call(Method::GET, "/healthz", None, None).await.status,
        StatusCode::OK
    );
    gateway.stop().await;
}
