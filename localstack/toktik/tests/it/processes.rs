//! The program itself: started, asked, interrupted and killed. Only here tests look again and again until something is
//! so, since another process tells nobody when it gets there; never longer than a deadline.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use toktik_events::{Function, routes};

use crate::client::Answer;
use crate::clips::{long_clip, play, silent_clip};
use crate::running::{PATIENCE, Running, SOON, toktik, until};
use crate::sdk::clients;

const MEGABYTE: u64 = 1 << 20;
const IDLE: u64 = 80 * MEGABYTE;

impl Running {
    async fn up(data: &Path) -> Self {
        Self::start(&mut up(data), "Toktik is at ").await
    }

    /// Bytes of memory that are really there.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

pub(crate) fn up(data: &Path) -> Command {
    toktik(&["up", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()])
}

/// A command that ends by itself.
pub(crate) async fn run(arguments: &[&str]) -> (Output, String) {
    let mut command = toktik(arguments);
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .expect("it does not end")
        .unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(text).unwrap())
}

/// The command lines of the tools that work in this data directory, whoever their parent is by now.
fn tools(data: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let in_scratch = |process: &Path| {
        let at_work = std::fs::read_link(process.join("cwd"))
            .ok()?
            .starts_with(data.join("scratch"));
        let command = std::fs::read(process.join("cmdline")).ok().filter(|_| at_work)?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    };
    processes.filter_map(|entry| in_scratch(&entry.path())).collect()
}

async fn until_no_tool_is_left(data: &Path) {
    until("no tool is left", SOON, async || tools(data).is_empty().then_some(())).await;
}

/// Waits until the picture is being encoded.
async fn until_encoding(data: &Path) {
    until("ffmpeg encodes", PATIENCE, async || {
        tools(data)
            .iter()
            .any(|command| command.contains("libx264"))
            .then_some(())
    })
    .await;
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_serves_and_ends_when_told_to() {
    let dir = directory();
    let data = dir.path().join("data");
    let first = Running::up(&data).await;
    assert_eq!(first.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(mode(&data), 0o700);
    for name in ["secrets.json", "control.sock"] {
        assert!(data.join(name).exists(), "{name}");
    }
    assert_eq!(mode(&data.join("secrets.json")), 0o600);
    let token = first.token().await;
    first.stop().await;

    let second = Running::up(&data).await;
    let me = second.call(Method::GET, "/api/v1/me", Some(&token), None).await;
    assert_eq!(me.expect(StatusCode::OK)["username"], "ada");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_says_what_is_in_its_way() {
    let dir = directory();
    let data = dir.path().join("data");
    let running = Running::up(&data).await;
    let (output, text) = run(&["up", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(data.to_str().unwrap()) && text.contains("another process is using it"),
        "{text}"
    );

    let taken = running
        .base
        .trim_start_matches("http://")
        .replace("localhost", "127.0.0.1");
    let other = dir.path().join("other");
    let (output, text) = run(&["up", "--listen", &taken, "--data-dir", other.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("listening on {taken}; is something else there?")),
        "{text}"
    );

    let missing = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--ffmpeg",
        "/nonexistent/ffmpeg",
        "--data-dir",
    ];
    let (output, text) = run(&[&missing[..], &[other.to_str().unwrap()]].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("`/nonexistent/ffmpeg` was not found; install ffmpeg"),
        "{text}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_encoding_costs_nothing_but_time() {
    let dir = directory();
    let data = dir.path().join("data");
    let first = Running::up(&data).await;
    let token = first.token().await;
    let id = first.upload(&token, long_clip(dir.path())).await;
    until_encoding(&data).await;
    first.kill().await;
    until_no_tool_is_left(&data).await;

    let second = Running::up(&data).await;
    let video = second.until_ready(&id).await;
    assert_eq!(video["warnings"], json!([]));
    let playlist = video["urls"]["playlist"].as_str().unwrap();
    play(playlist).await;
    let left: Vec<_> = std::fs::read_dir(data.join("scratch")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_clip_is_not_encoded_to_its_end() {
    let dir = directory();
    let data = dir.path().join("data");
    let running = Running::up(&data).await;
    let token = running.token().await;
    let id = running.upload(&token, long_clip(dir.path())).await;
    until_encoding(&data).await;
    let path = format!("/api/v1/videos/{id}");
    running
        .call(Method::DELETE, &path, Some(&token), None)
        .await
        .expect(StatusCode::NO_CONTENT);
    until_no_tool_is_left(&data).await;
    running.get("/healthz").await.expect_ok();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_ends_at_once_while_it_encodes_and_goes_on_later() {
    let dir = directory();
    let data = dir.path().join("data");
    let first = Running::up(&data).await;
    let token = first.token().await;
    let id = first.upload(&token, long_clip(dir.path())).await;
    until_encoding(&data).await;
    first.stop().await;

    let second = Running::up(&data).await;
    until_encoding(&data).await;
    let path = format!("/api/v1/videos/{id}");
    second
        .call(Method::DELETE, &path, Some(&token), None)
        .await
        .expect(StatusCode::NO_CONTENT);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_up_is_small() {
    let dir = directory();
    let running = Running::up(&dir.path().join("data")).await;
    let fresh = running.resident();
    assert!(fresh < IDLE, "{} MiB after the start", fresh / MEGABYTE);
    let token = running.token().await;
    let id = running.upload(&token, silent_clip(dir.path(), 2)).await;
    running.until_ready(&id).await;
    until("it gives memory back", PATIENCE, async || {
        (running.resident() < IDLE).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_janitor_can_be_called() {
    let dir = directory();
    let data = dir.path().join("data");
    let once = ["janitor", "--once", "--data-dir", data.to_str().unwrap()];
    let (output, text) = run(&once).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no `toktik up` is running on"), "{text}");

    let running = Running::up(&data).await;
    let (output, text) = run(&once).await;
    assert!(output.status.success(), "{text}");
    assert_eq!(text, "");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_janitor_can_keep_a_schedule_of_its_own() {
    let dir = directory();
    let data = dir.path().join("data");
    let (output, text) = run(&["janitor", "--data-dir", data.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(2), "{text}");
    let mut command = toktik(&["janitor", "--every", "1", "--data-dir", data.to_str().unwrap()]);
    let mut janitor = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(janitor.stderr.take().unwrap()).lines();
    // Nobody is there to be called: a round that fails is not the last one.
    for _ in 0..2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.unwrap().unwrap().unwrap();
        assert!(line.contains("a round of the janitor failed"), "{line}");
    }
    janitor.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_can_ask_whether_it_is_ready() {
    let dir = directory();
    let running = Running::up(&dir.path().join("data")).await;
    let ready = format!("{}/readyz", running.base);
    let (output, text) = run(&["ready", &ready]).await;
    assert!(output.status.success(), "{text}");
    let (output, text) = run(&["ready", &format!("{}/nothing", running.base)]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    running.stop().await;
    let (output, text) = run(&["ready", &ready]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_here() {
    let dir = directory();
    let (output, text) = run(&["doctor", "--data-dir", dir.path().to_str().unwrap()]).await;
    assert!(output.status.success(), "{text}");
    assert!(text.contains("seccomp") && text.contains("Landlock"), "{text}");
    assert!(!text.contains("wrong "), "{text}");

    let (output, text) = run(&["doctor", "--ffmpeg", "/nonexistent/ffmpeg"]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("wrong    /nonexistent/ffmpeg"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_lists_its_settings() {
    for function in Function::ALL {
        let (output, text) = run(&["run", function.name(), "--help"]).await;
        assert!(output.status.success(), "{function}: {text}");
        assert!(
            text.starts_with(&format!("Toktik's function {function}, alone")),
            "{text}"
        );
        for setting in [
            "TOKTIK_LISTEN",
            "TOKTIK_BUCKET",
            "TOKTIK_TABLE",
            "TOKTIK_LOG",
            "[default: ",
        ] {
            assert!(text.contains(setting), "{function} does not list {setting}: {text}");
        }
    }
    let (output, text) = run(&["run", "--help"]).await;
    assert!(output.status.success() && text.contains("transcode"), "{text}");
    let (output, text) = run(&["run", "nonsense"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("nonsense") && text.contains("probe"), "{text}");
}

/// The embedded cloud alone, with everything in it that functions need, and what they need to find it.
pub(crate) async fn cloud(data: &Path) -> (Running, Vec<(&'static str, String)>) {
    let mut command = toktik(&["cloud", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    command
        .env("TOKTIK_CLOUD_ACCESS_KEY_ID", "test")
        .env("TOKTIK_CLOUD_SECRET_ACCESS_KEY", "test-secret");
    let cloud = Running::start(&mut command, "The embedded cloud is at ").await;
    let environment = vec![
        ("AWS_ENDPOINT_URL", cloud.base.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
        ("TOKTIK_TOKEN_SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
    ];
    (cloud, environment)
}

pub(crate) fn stores() -> toktik_runtime::settings::Stores {
    toktik_runtime::settings::Stores {
        bucket: "toktik".to_owned(),
        table: "toktik".to_owned(),
        queue_prefix: "toktik-".to_owned(),
        lease_check: Duration::from_secs(10),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_run_alone_against_the_cloud() {
    let dir = directory();
    let (cloud, environment) = cloud(&dir.path().join("data")).await;
    let clients = clients(&cloud.base);
    toktik::provision::provision(&clients, &stores()).await.unwrap();
    let told = |arguments: &[&str]| {
        let mut command = toktik(arguments);
        command.envs(environment.clone()).env("TOKTIK_LISTEN", "127.0.0.1:0");
        command
    };

    let upload = &mut told(&["run", "upload"]);
    let upload = Running::start(upload, "address=").await;
    upload.get("/healthz").await.expect_ok();
    let announced = upload.call(Method::POST, "/api/v1/videos", None, Some(json!({}))).await;
    announced.problem(401, "unauthorized");

    let mut probe = told(&["run", "probe"]);
    let probe = Running::start(&mut probe, "working function=").await;
    let queue = async |name: &str| {
        clients
            .sqs
            .get_queue_url()
            .queue_name(name)
            .send()
            .await
            .unwrap()
            .queue_url
            .unwrap()
    };
    let letters = queue("toktik-dead-letter").await;
    let unreadable = clients
        .sqs
        .send_message()
        .queue_url(queue("toktik-probe").await)
        .message_body("?");
    unreadable.send().await.unwrap();
    until("probe gives up what it cannot read", PATIENCE, async || {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = clients
            .sqs
            .get_queue_attributes()
            .queue_url(&letters)
            .attribute_names(name.clone());
        (request.send().await.unwrap().attributes.unwrap()[&name] == "1").then_some(())
    })
    .await;

    probe.stop().await;
    upload.stop().await;
    cloud.stop().await;
}

/// Functions that answer requests take no events, those that work off a queue serve nothing else, and those that take
/// events over HTTP do so with their token only.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_alone_takes_events_only_where_it_is_meant_to() {
    let dir = directory();
    let (cloud, environment) = cloud(&dir.path().join("data")).await;
    toktik::provision::provision(&clients(&cloud.base), &stores())
        .await
        .unwrap();
    let event = json!({"specversion": "1.0", "id": "x", "source": "/x", "type": "toktik.unknown.v1", "data": {}});
    for function in Function::ALL {
        for host in ["http", "queue"] {
            let mut command = toktik(&["run", function.name(), "--host", host]);
            command
                .envs(environment.clone())
                .env("TOKTIK_LISTEN", "127.0.0.1:0")
                .env("TOKTIK_LINK_SECRET", "0123456789abcdef0123456789abcdef")
                .env("TOKTIK_EVENTS_TOKEN", "the token of this test");
            let at = if host == "queue" && function.takes_events() {
                "metrics="
            } else {
                "address="
            };
            let running = Running::start(&mut command, at).await;
            let told = |token: Option<&'static str>| running.call(Method::POST, "/", token, Some(event.clone()));
            if host == "http" && function.takes_events() {
                told(None).await.problem(401, "unauthorized");
                told(Some("the token of this tess")).await.problem(401, "unauthorized");
                let taken = told(Some("the token of this test")).await.status;
                assert!([204, 400].contains(&taken.as_u16()), "{function}: {taken}");
            } else {
                for token in [None, Some("the token of this test")] {
                    // At web's there is a page to be read.
                    let expected = if function == routes::REST { 405 } else { 404 };
                    assert_eq!(told(token).await.status.as_u16(), expected, "{function} over {host}");
                }
            }
            for path in ["/events", "/api/v1/events", "/healthz"] {
                let status = running.call(Method::POST, path, None, Some(event.clone())).await.status;
                assert!([404, 405].contains(&status.as_u16()), "{function} {path}: {status}");
            }
            running.stop().await;
        }
    }
    cloud.stop().await;
}

impl Answer {
    #[track_caller]
    fn expect_ok(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
    }
}
