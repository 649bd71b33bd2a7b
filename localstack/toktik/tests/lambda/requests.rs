//! The API behind function URLs, API Gateway and load balancers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::Function;

use crate::client::PASSWORD;
use crate::site::Site;

/// A request to a function URL or an HTTP API.
fn payload_2(method: &str, path: &str, source: &str, headers: &Value) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "abc", "domainName": "abc.lambda-url.eu-west-1.on.aws", "stage": "$default",
            "requestId": "1", "routeKey": "$default", "time": "21/Nov/2026:04:00:00 +0000", "timeEpoch": 1,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source, "userAgent": "test"},
        },
        "isBase64Encoded": false,
    })
}

/// A request to a REST API, whose stage is no part of its path.
fn payload_1(method: &str, path: &str, source: &str) -> Value {
    json!({
        "resource": "/{proxy+}", "path": path, "httpMethod": method, "headers": {"Host": "abc.execute-api.example"},
        "multiValueHeaders": {"Host": ["abc.execute-api.example"]}, "queryStringParameters": {"limit": "1"},
        "multiValueQueryStringParameters": {"limit": ["1"]}, "pathParameters": {"proxy": path},
        "stageVariables": null, "body": null, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "1", "resourceId": "1", "stage": "prod", "requestId": "1", "resourcePath": "/{proxy+}",
            "httpMethod": method, "apiId": "abc", "path": format!("/prod{path}"), "protocol": "HTTP/1.1",
            "identity": {"sourceIp": source},
        },
    })
}

fn from_load_balancer(method: &str, path: &str, host: &str) -> Value {
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/1";
    json!({
        "requestContext": {"elb": {"targetGroupArn": arn}}, "httpMethod": method, "path": path,
        "queryStringParameters": {"limit": "1"}, "headers": {"host": host, "x-forwarded-for": "192.0.2.7"},
        "body": "", "isBase64Encoded": false,
    })
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sender_of_requests_is_answered_in_its_own_form() {
    let site = Site::open(&[Function::Videos]).await;
    let ask = async |event: Value| site.invoke(Function::Videos, &event).await.unwrap();
    let empty = json!({"items": [], "next_cursor": null});

    let url = ask(payload_2("GET", "/api/v1/videos", "192.0.2.7", &json!({}))).await;
    assert_eq!((&url["statusCode"], body(&url)), (&json!(200), empty.clone()), "{url}");
    assert_eq!(url["headers"]["content-type"], "application/json");
    assert_eq!(url["headers"]["x-content-type-options"], "nosniff");

    let mut stage = payload_2("GET", "/prod/api/v1/videos", "192.0.2.7", &json!({}));
    stage["requestContext"]["stage"] = json!("prod");
    assert_eq!(body(&ask(stage).await), empty, "a stage is no part of the path");

    let rest = ask(payload_1("GET", "/api/v1/videos", "192.0.2.7")).await;
    assert_eq!(
        (&rest["statusCode"], body(&rest)),
        (&json!(200), empty.clone()),
        "{rest}"
    );
    assert_eq!(rest["multiValueHeaders"]["content-type"], json!(["application/json"]));

    let balanced = ask(from_load_balancer("GET", "/api/v1/videos", "clips.example")).await;
    assert_eq!(
        (&balanced["statusDescription"], body(&balanced)),
        (&json!("200 OK"), empty),
        "{balanced}"
    );
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_the_same_as_everywhere() {
    let site = Site::open(&[Function::Videos]).await;
    let get = |path: &'static str| site.call(Function::Videos, Method::GET, path, None, None);
    get("/nothing").await.problem(404, "not_found");
    let nobodys = format!("/videos/{}", toktik_events::VideoId::random());
    let nobodys = site.call(Function::Videos, Method::GET, &nobodys, None, None);
    nobodys.await.problem(404, "not_found");
    get("/me/videos").await.problem(401, "unauthorized");
    let token = Some("not a token");
    let forged = site.call(Function::Videos, Method::GET, "/me/videos", token, None);
    forged.await.problem(401, "unauthorized");
    let posted = site.call(Function::Videos, Method::POST, "/videos", None, Some(json!({})));
    posted.await.problem(405, "method_not_allowed");
    get("/videos?limit=none").await.invalid(&["limit"]);

    // What is no address breaks nothing either: a load balancer lets anybody's Host through.
    let host = from_load_balancer("GET", "/api/v1/videos", "no host");
    let mut query = payload_2("GET", "/api/v1/videos", "192.0.2.7", &json!({}));
    query["rawQueryString"] = json!("tag=<b>");
    for event in [host, query] {
        let answer = site.invoke(Function::Videos, &event).await.unwrap();
        assert_eq!(
            (&answer["statusCode"], &body(&answer)["code"]),
            (&json!(400), &json!("malformed"))
        );
        assert_eq!(answer["headers"]["content-type"], "application/problem+json");
    }
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_be_binary_and_cookies_are_cookies() {
    let site = Site::open(&[Function::Auth]).await;
    let zipped = payload_2("GET", "/api/v1/me", "192.0.2.7", &json!({"accept-encoding": "gzip"}));
    let answer = site.invoke(Function::Auth, &zipped).await.unwrap();
    assert_eq!(
        (&answer["isBase64Encoded"], &answer["headers"]["content-encoding"]),
        (&json!(true), &json!("gzip")),
        "{answer}"
    );
    let bytes = BASE64_STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b]);
    let plain = payload_2("GET", "/openapi.json", "192.0.2.7", &json!({}));
    let described = site.invoke(Function::Auth, &plain).await.unwrap();
    assert_eq!(described["isBase64Encoded"], false);
    assert!(
        body(&described)["paths"]["/api/v1/auth/login"].is_object(),
        "{described}"
    );

    // A body may come in base64, and a session's cookie goes where payload 2.0 has cookies.
    let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
    let headers = json!({"content-type": "application/json"});
    let mut registration = payload_2("POST", "/api/v1/auth/register", "192.0.2.7", &headers);
    registration["body"] = json!(BASE64_STANDARD.encode(account.to_string()));
    registration["isBase64Encoded"] = json!(true);
    let registered = site.invoke(Function::Auth, &registration).await.unwrap();
    assert_eq!(registered["statusCode"], 201, "{registered}");
    let mut login = payload_2("POST", "/api/v1/auth/login", "192.0.2.7", &headers);
    login["body"] = json!(json!({"username": "ada", "password": PASSWORD}).to_string());
    let session = site.invoke(Function::Auth, &login).await.unwrap();
    assert_eq!(
        (&session["statusCode"], &session["headers"]["set-cookie"]),
        (&json!(200), &Value::Null),
        "{session}"
    );
    let set = session["cookies"].as_array().unwrap();
    let given: Vec<&str> = set
        .iter()
        .map(|cookie| cookie.as_str().unwrap().split(';').next().unwrap())
        .collect();
    assert_eq!(given.len(), 3, "{session}");
    let mut me = payload_2("GET", "/api/v1/me", "192.0.2.7", &json!({}));
    me["cookies"] = json!(given);
    assert_eq!(
        body(&site.invoke(Function::Auth, &me).await.unwrap())["username"],
        "ada"
    );
    site.close().await;
}

/// Whoever registers too often is told by their address, which is the connection's as the gate saw it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_address_and_not_by_what_it_says() {
    let site = Site::with(&[Function::Auth], &[("TOKTIK_REGISTRATIONS_PER_HOUR", "1")]).await;
    let mut registered = 0;
    let mut register = async |source: &str, forwarded: &str, rest: bool| {
        registered += 1;
        let name = format!("ada{registered}");
        let account = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
        let headers = json!({"content-type": "application/json", "x-forwarded-for": forwarded});
        let mut event = if rest {
            let mut event = payload_1("POST", "/api/v1/auth/register", source);
            event["multiValueHeaders"] = json!({"content-type": ["application/json"], "x-forwarded-for": [forwarded]});
            event["headers"] = headers;
            event
        } else {
            payload_2("POST", "/api/v1/auth/register", source, &headers)
        };
        event["body"] = json!(account.to_string());
        let answer = site.invoke(Function::Auth, &event).await.unwrap();
        u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap()
    };
    let (created, limited) = (StatusCode::CREATED.as_u16(), StatusCode::TOO_MANY_REQUESTS.as_u16());
    assert_eq!(register("192.0.2.1", "198.51.100.1", false).await, created);
    assert_eq!(register("192.0.2.1", "198.51.100.2", false).await, limited);
    assert_eq!(register("192.0.2.1", "198.51.100.3", true).await, limited);
    assert_eq!(register("192.0.2.2", "198.51.100.1", true).await, created);
    assert_eq!(register("2001:db8::1", "198.51.100.1", false).await, created);
    site.close().await;
}

/// Lambda keeps an answer until it is whole: a stream tells how things are, and is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_ends_at_once() {
    let site = Site::open(&[Function::Auth, Function::Upload, Function::Notify]).await;
    let token = site.token().await;
    let clip = json!({"title": "A", "filename": "a.mp4", "size": 1, "content_type": "video/mp4"});
    let created = site
        .call(Function::Upload, Method::POST, "/videos", Some(&token), Some(clip))
        .await;
    let id = created.expect(StatusCode::CREATED)["video"]["id"].take();
    let told = site
        .call(Function::Notify, Method::GET, "/events", Some(&token), None)
        .await;
    assert_eq!(
        (told.status, told.header("content-type")),
        (StatusCode::OK, "text/event-stream")
    );
    let text = told.text();
    let events: Vec<&str> = text.split("\n\n").filter(|block| !block.is_empty()).collect();
    assert_eq!(events.len(), 2, "{text}");
    assert!(events[0].contains("retry: 3000"), "{text}");
    assert!(
        events[1].contains("event: clip") && events[1].contains(id.as_str().unwrap()),
        "{text}"
    );
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_answered_too() {
    let site = Site::open(&[Function::Web]).await;
    let page = site
        .invoke(Function::Web, &payload_2("GET", "/", "192.0.2.7", &json!({})))
        .await
        .unwrap();
    assert_eq!(
        (&page["statusCode"], &page["headers"]["content-type"]),
        (&json!(200), &json!("text/html; charset=utf-8"))
    );
    let missing = payload_2("GET", "/nothing", "192.0.2.7", &json!({}));
    let missing = site.invoke(Function::Web, &missing).await.unwrap();
    assert_eq!(missing["statusCode"], 404, "{missing}");
    site.close().await;
}
