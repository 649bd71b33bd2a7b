//! `toktik up` on a disk that is really full: what its users are told, and that it goes on once there is room.
//!
//! The disk is a small one of its own, mounted in a namespace that ends with the program. Where no such thing may be
//! mounted, the test says so; what the embedded cloud does is tested there without one (`cloud/tests/it/full.rs`).

use std::path::Path;
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::client::{Answer, client, send, signed};
use crate::harness::PASSWORD;
use crate::running::program;

/// Does as it is told on its standard input, and ends the program with it.
const SHELL: &str = r#"
mount -t tmpfs -o size=24m tmpfs "$1" || exit 77
"$2" up --listen 127.0.0.1:0 --data-dir "$1/data" </dev/null & program=$!
while read -r word; do
  case $word in
    fill) dd if=/dev/zero of="$1/filler" bs=4096 status=none 2>/dev/null ;;
    free) rm "$1/filler" ;;
  esac
  echo done
done
kill "$program"; wait "$program"
"#;

struct SmallDisk {
    child: Child,
    orders: ChildStdin,
    done: Lines<BufReader<ChildStdout>>,
    base: String,
}

impl SmallDisk {
    /// As root of a namespace of our own, or as root that we are; none where neither is allowed.
    async fn new(directory: &Path) -> Option<Self> {
        for unshare in ["-Urm", "-m"] {
            let mut command = Command::new("unshare");
            command
                .args([unshare, "sh", "-c", SHELL, "sh"])
                .arg(directory)
                .arg(program());
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOKTIK_")) {
                command.env_remove(name);
            }
            let command = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let said = BufReader::new(child.stderr.take().unwrap()).lines();
            if let Some(base) = address(said).await {
                let orders = child.stdin.take().unwrap();
                let done = BufReader::new(child.stdout.take().unwrap()).lines();
                return Some(Self {
                    child,
                    orders,
                    done,
                    base,
                });
            }
        }
        None
    }

    async fn order(&mut self, word: &str) {
        self.orders.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        assert_eq!(self.done.next_line().await.unwrap().as_deref(), Some("done"));
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> Answer {
        let request = client().request(method, format!("{}/api/v1{path}", self.base));
        send(request.bearer_auth(token).json(&body)).await
    }

    async fn token(&self) -> String {
        let account = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
        let registered = self.call(Method::POST, "/auth/register", "", account).await;
        registered.expect(StatusCode::CREATED);
        let login = json!({"username": "ada", "password": PASSWORD});
        let session = self.call(Method::POST, "/auth/login", "", login).await;
        session.expect(StatusCode::OK)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn stop(mut self) {
        drop(self.orders);
        assert_eq!(self.child.wait().await.unwrap().code(), Some(0));
    }
}

/// Where it serves; none if it ended because it may not mount. The rest of what it says is read and dropped.
async fn address(mut said: Lines<BufReader<ChildStderr>>) -> Option<String> {
    let mut all = String::new();
    while let Some(line) = said.next_line().await.unwrap() {
        if let Some((_, rest)) = line.split_once("Toktik is at ") {
            let base = rest.split_whitespace().next().unwrap().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
            return Some(base);
        }
        all += &(line + "\n");
    }
    assert!(all.contains("mount:") || all.contains("unshare:"), "{all}");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_in_every_form_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut disk) = SmallDisk::new(directory.path()).await else {
        eprintln!("NOT RUN: this machine lets us mount no small disk");
        return;
    };
    let token = disk.token().await;
    let bytes = vec![7; 3_000_000];
    let clip = json!({"title": "A", "filename": "a.mp4", "size": bytes.len(), "content_type": "video/mp4"});
    let created = disk.call(Method::POST, "/videos", &token, clip.clone()).await;
    let created = created.expect(StatusCode::CREATED);
    let complete = format!("/videos/{}/upload/complete", created["video"]["id"].as_str().unwrap());

    disk.order("fill").await;
    let refused = send(signed(&created["upload"], bytes.clone())).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(
        refused.text().contains("<Code>InsufficientStorage</Code>"),
        "{}",
        refused.text()
    );
    let refused = disk.call(Method::POST, "/videos", &token, clip.clone()).await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "5");
    let refused = disk.call(Method::POST, &complete, &token, json!({})).await;
    refused.problem(409, "upload_incomplete");
    let list = disk.call(Method::GET, "/videos", &token, Value::Null).await;
    list.expect(StatusCode::OK);

    disk.order("free").await;
    let announced = disk.call(Method::POST, "/videos", &token, clip).await;
    announced.expect(StatusCode::CREATED);
    let sent = send(signed(&created["upload"], bytes)).await;
    assert_eq!(sent.status, StatusCode::OK);
    let completed = disk.call(Method::POST, &complete, &token, json!({})).await;
    completed.expect(StatusCode::ACCEPTED);
    disk.stop().await;
}
