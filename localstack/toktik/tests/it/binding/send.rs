//! Sending to a sink, in structured mode (binding 3.2).

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use toktik_events::payload::{Clip, User};
use toktik_events::{Function, Message, Payload, TraceParent, VideoId, binding};
use toktik_runtime::Publisher;

use super::Host;
use crate::harness::{House, PASSWORD};
use crate::processes::{cloud, stores};
use crate::running::{Running, toktik};
use crate::sdk::clients;

type Seen = Arc<Mutex<Vec<(Method, Uri, HeaderMap, String)>>>;
type Answer = fn() -> Response;

/// A sink that remembers what it is sent.
#[derive(Clone)]
struct Sink {
    url: String,
    seen: Seen,
    answer: Answer,
}

impl Sink {
    async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            url: format!("http://{}/namespace/broker", listener.local_addr().unwrap()),
            seen: Seen::default(),
            answer,
        };
        let router = Router::new().fallback(take).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        sink
    }

    async fn publish(&self, overrides: &str, message: &Message) -> anyhow::Result<()> {
        let house = House::open().await;
        let overrides = overrides.parse().unwrap();
        let publisher = Publisher::to_sink(self.url.clone(), overrides, house.cloud.sqs_client(), String::new());
        publisher.unwrap().publish(message).await
    }

    /// The one request that came, its body as JSON.
    fn only(&self) -> (Method, HeaderMap, Value) {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        let (method, _, headers, body) = &seen[0];
        (method.clone(), headers.clone(), serde_json::from_str(body).unwrap())
    }
}

async fn take(State(sink): State<Sink>, method: Method, uri: Uri, headers: HeaderMap, body: String) -> Response {
    sink.seen.lock().unwrap().push((method, uri, headers, body));
    (sink.answer)()
}

fn accepted() -> Response {
    StatusCode::ACCEPTED.into_response()
}

fn uploaded() -> Message {
    let clip = Clip {
        video_id: VideoId::derived("x"),
        generation: 1,
    };
    Message::new(Function::Upload, Utc::now(), Payload::Uploaded(clip)).with_trace(Some(TraceParent::root()))
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_2_1_an_event_is_a_post_with_a_payload_of_its_content_type() {
    let sink = Sink::answering(accepted).await;
    sink.publish("", &uploaded()).await.unwrap();
    let (method, headers, event) = sink.only();
    assert_eq!(method, Method::POST);
    assert_eq!(
        headers["content-type"], "application/cloudevents+json; charset=utf-8",
        "binding 3.2.1, JSON 3"
    );
    assert!(event.is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn json_3_all_attributes_are_members_and_the_data_a_json_value() {
    let sink = Sink::answering(accepted).await;
    let message = uploaded();
    sink.publish("", &message).await.unwrap();
    let (_, _, event) = sink.only();
    let expected = json!({"specversion": "1.0", "id": message.id, "source": "/toktik/upload", "type": "toktik.video.uploaded.v1",
        "subject": VideoId::derived("x"), "time": event["time"], "datacontenttype": "application/json",
        "traceparent": message.trace.unwrap().to_string(),
        "data": {"video_id": VideoId::derived("x"), "generation": 1}});
    assert_eq!(event, expected);
    let time: chrono::DateTime<Utc> = event["time"].as_str().unwrap().parse().unwrap();
    assert_eq!(time, message.time, "core: RFC 3339");
}

#[tokio::test(flavor = "multi_thread")]
async fn tracing_one_hop_has_the_same_trace_in_the_extension_and_the_header() {
    let sink = Sink::answering(accepted).await;
    sink.publish("", &uploaded()).await.unwrap();
    let (_, headers, event) = sink.only();
    assert_eq!(headers["traceparent"].to_str().unwrap(), event["traceparent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_are_extensions_of_every_event() {
    let sink = Sink::answering(accepted).await;
    let overrides =
        r#"{"extensions":{"team":"video €","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}"#;
    sink.publish(overrides, &uploaded()).await.unwrap();
    let (_, headers, event) = sink.only();
    assert_eq!(event["team"], "video €");
    assert_eq!(
        event["traceparent"],
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    );
    assert_eq!(event["source"], "/toktik/upload");
    assert!(headers.contains_key("traceparent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_2xx_is_success() {
    let answers: [Answer; 4] = [
        accepted,
        || StatusCode::NO_CONTENT.into_response(),
        || (StatusCode::OK, "thanks").into_response(),
        || StatusCode::CREATED.into_response(),
    ];
    for answer in answers {
        Sink::answering(answer).await.publish("", &uploaded()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_status_and_the_start_of_what_was_said() {
    let answers: [(Answer, &str); 3] = [
        (
            || (StatusCode::BAD_REQUEST, "no such broker").into_response(),
            "400 Bad Request: no such broker",
        ),
        (
            || (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "60")], "full").into_response(),
            "503 Service Unavailable: full",
        ),
        (
            || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]).into_response(),
            "429 Too Many Requests: ",
        ),
    ];
    for (answer, said) in answers {
        let error = Sink::answering(answer)
            .await
            .publish("", &uploaded())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error:#}");
    }
    let chatty: Answer = || (StatusCode::BAD_GATEWAY, "x".repeat(1 << 20)).into_response();
    let error = Sink::answering(chatty)
        .await
        .publish("", &uploaded())
        .await
        .unwrap_err();
    assert!(error.to_string().len() < 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_2_2_a_redirection_is_not_followed() {
    let sink = Sink::answering(|| (StatusCode::PERMANENT_REDIRECT, [("location", "/elsewhere")]).into_response()).await;
    let error = sink.publish("", &uploaded()).await.unwrap_err();
    assert!(error.to_string().contains("308"), "{error:#}");
    sink.only();
}

/// What we send we take: the sender's bytes, posted to a host of ours.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_what_a_receiver_handles_in_either_mode() {
    let sink = Sink::answering(accepted).await;
    let message = uploaded();
    sink.publish(r#"{"extensions":{"team":"video €"}}"#, &message)
        .await
        .unwrap();
    let (_, _, event) = sink.only();
    let host = Host::open().await;
    host.structured(&event).await.done();

    let (headers, body) = binding::to_binary(&binding::from_value(event).unwrap()).unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    host.post(&headers, body).await.done();
    assert_eq!(host.handled(), [message.clone(), message]);
    let events = host.recorder.events.lock().unwrap();
    assert!(
        events
            .iter()
            .all(|event| event.extension("team").unwrap().to_string() == "video €"),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_that_are_none_keep_a_program_from_starting_and_are_named() {
    for bad in ["{", r#"{"extensions":{"My-Team":"x"}}"#, r#"{"extensions":{"id":"x"}}"#] {
        let mut command = toktik(&["run", "package"]);
        command.env("K_SINK", "http://127.0.0.1:9/").env("K_CE_OVERRIDES", bad);
        let output = command
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{bad}: {said}");
        assert!(said.contains("K_CE_OVERRIDES"), "{bad}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_takes_sink_and_overrides_from_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let (cloud, environment) = cloud(&directory.path().join("data")).await;
    toktik::provision::provision(&clients(&cloud.base), &stores())
        .await
        .unwrap();
    let sink = Sink::answering(accepted).await;
    let mut command = toktik(&["run", "auth"]);
    command.envs(environment).env("TOKTIK_LISTEN", "127.0.0.1:0");
    command
        .env("K_SINK", &sink.url)
        .env("K_CE_OVERRIDES", r#"{"extensions":{"team":"video"}}"#);
    let auth = Running::start(&mut command, "address=").await;
    let call = async |method, path, token: Option<&str>, body| auth.call(method, path, token, Some(body)).await;
    let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
    let user = call(Method::POST, "/api/v1/auth/register", None, account).await;
    let user = user.expect(StatusCode::CREATED)["user"]["id"].take();
    let login = json!({"username": "ada", "password": PASSWORD});
    let token = call(Method::POST, "/api/v1/auth/login", None, login).await;
    let token = token.expect(StatusCode::OK)["access_token"].take();
    let farewell = json!({"password": PASSWORD});
    let gone = call(Method::DELETE, "/api/v1/me", token.as_str(), farewell).await;
    gone.expect(StatusCode::NO_CONTENT);
    auth.stop().await;
    cloud.stop().await;

    let (_, _, event) = sink.only();
    let gone = Payload::UserDeleted(User {
        user_id: user.as_str().unwrap().to_owned(),
    });
    assert_eq!((&event["type"], &event["team"]), (&json!(gone.ty()), &json!("video")));
    assert_eq!(event["data"]["user_id"], user);
}
