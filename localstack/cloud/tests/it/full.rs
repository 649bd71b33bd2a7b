//! A disk without room: every write is refused with a clear answer and changes nothing, and the same write succeeds once
//! there is room, without a restart.
//!
//! One test says at each write point that there is no room, on any machine. The other has a small disk of its own, where
//! the system lets us mount one.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use toktik_cloud::{WritePoint, WritePoints};

use crate::script::{Refusal, STEPS, Script, Step, state};
use crate::support::{BUCKET, World};
use crate::table;

/// A disk that has no room at one point, and remembers which points were passed.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Usage>>);

#[derive(Default)]
struct Usage {
    full_at: Option<WritePoint>,
    full_once: bool,
    passed: BTreeSet<WritePoint>,
}

impl Disk {
    fn points(&self) -> WritePoints {
        let disk = self.clone();
        WritePoints::watched(move |point| disk.pass(point))
    }

    fn pass(&self, point: WritePoint) -> io::Result<()> {
        let mut usage = self.0.lock().unwrap();
        usage.passed.insert(point);
        if usage.full_at != Some(point) {
            return Ok(());
        }
        if usage.full_once {
            usage.full_at = None;
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn full_at(&self, point: Option<WritePoint>) {
        self.0.lock().unwrap().full_at = point;
    }

    fn full_once_at(&self, point: WritePoint) {
        let mut usage = self.0.lock().unwrap();
        usage.full_at = Some(point);
        usage.full_once = true;
    }

    /// Since the last time.
    fn passed(&self) -> BTreeSet<WritePoint> {
        std::mem::take(&mut self.0.lock().unwrap().passed)
    }
}

/// What happens with room for everything: where each step passes, and the state before it and after it.
async fn with_room() -> (Vec<BTreeSet<WritePoint>>, Vec<Vec<String>>) {
    let disk = Disk::default();
    let mut script = Script::over(World::over(tempfile::tempdir().unwrap(), disk.points()).await);
    let mut passed = Vec::new();
    let mut states = vec![state(&script.world.copied_while_running().await).await];
    for step in STEPS {
        disk.passed();
        script.perform(step).await.unwrap();
        passed.push(disk.passed());
        states.push(state(&script.world.copied_while_running().await).await);
    }
    (passed, states)
}

/// As each service says it.
fn refusal(step: Step) -> (u16, &'static str) {
    match step {
        Step::HearingQueue
        | Step::WorkQueue
        | Step::Send
        | Step::SendMany
        | Step::Receive
        | Step::DeleteMessage
        | Step::DeleteMessages
        | Step::Postpone => (503, "ServiceUnavailable"),
        Step::Table | Step::PutItem | Step::Transact | Step::PutItems => (500, "InternalServerError"),
        Step::Sweep => (0, "unlinked blobs: blob file: no storage space"),
        _ => (507, "InsufficientStorage"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_room_changes_nothing_and_succeeds_later() {
    let (passed, states) = with_room().await;
    let disk = Disk::default();
    let world = World::over(tempfile::tempdir().unwrap(), disk.points()).await;
    let mut script = Script::over(world.without_retries());
    let mut met = BTreeSet::new();
    for ((step, passed), before) in STEPS.into_iter().zip(passed).zip(&states) {
        let files = script.world.blobs();
        // Afterwards it is done, and what is said then is no refusal.
        let done = [WritePoint::Committed, WritePoint::ItemsDone];
        for point in passed.into_iter().filter(|point| !done.contains(point)) {
            disk.full_at(Some(point));
            let Refusal { status, code } = script.perform(step).await.unwrap_err();
            disk.full_at(None);
            met.insert(point);
            if step == Step::Sweep {
                continue;
            }
            assert_eq!((status, code.as_str()), refusal(step), "{step:?} at {point:?}");
            assert_eq!(script.world.blobs(), files, "{step:?} at {point:?} left a file");
        }
        assert_eq!(
            &state(&script.world.copied_while_running().await).await,
            before,
            "{step:?}"
        );
        script.perform(step).await.unwrap();
    }
    assert_eq!(&state(&script.world).await, states.last().unwrap());
    // All but those that are no refusal, and that of the start.
    assert_eq!(met.len(), WritePoint::ALL.len() - 3, "{met:?}");
}

#[tokio::test]
async fn the_sdks_try_again_by_themselves_where_that_is_the_way() {
    let disk = Disk::default();
    let world = World::over(tempfile::tempdir().unwrap(), disk.points()).await;
    let queue = world.queue("work").await;
    table::create(&world).await;
    disk.full_once_at(WritePoint::Prepared);
    let send = world.sqs.send_message().queue_url(&queue).message_body("x");
    send.send().await.unwrap();
    disk.full_once_at(WritePoint::ItemsAsked);
    table::put(&world, "a", "b").await;
    assert_eq!(world.receive(&queue).await.len(), 1);
    assert_eq!(table::get(&world, "a").await.as_deref(), Some("b"));
}

const SMALL_DISK: &str = "SMALL_DISK";
/// What the wrapping shell ends with if it may not mount.
const NOT_ALLOWED: i32 = 77;

/// This test binary over again, with a disk of 8 MiB of its own.
fn on_a_small_disk(unshare: &str, directory: &Path) -> Output {
    let script = r#"mount -t tmpfs -o size=8m tmpfs "$1" || exit 77; SMALL_DISK="$1" exec "$2" "$3" --exact --ignored"#;
    let program = std::env::current_exe().unwrap();
    Command::new("unshare")
        .args([unshare, "sh", "-c", script, "sh"])
        .arg(directory)
        .arg(program)
        .arg("full::the_process_with_a_small_disk")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_disk_that_is_really_full() {
    let directory = tempfile::tempdir().unwrap();
    // Root of a namespace of our own, or root as we are.
    for unshare in ["-Urm", "-m"] {
        let output = on_a_small_disk(unshare, directory.path());
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        if output.status.success() && said.contains("1 passed") {
            return;
        }
        let refused = output.status.code() == Some(NOT_ALLOWED) || said.contains("unshare:");
        assert!(refused, "{said}");
    }
    eprintln!("NOT RUN: this machine lets us mount no small disk, so that nothing was seen of one that is really full");
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let error = std::iter::repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err);
    assert_eq!(error.unwrap().kind(), io::ErrorKind::StorageFull);
}

#[tokio::test]
#[ignore = "the process that the test above starts"]
async fn the_process_with_a_small_disk() {
    let disk = std::env::var(SMALL_DISK).unwrap();
    let (data, filler) = (Path::new(&disk).join("data"), Path::new(&disk).join("filler"));
    let world = World::at(&data, WritePoints::default()).await.without_retries();
    world.s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    let queue = world.queue("work").await;
    table::create(&world).await;
    world.put("kept", vec![1; 100_000]).await;
    table::put(&world, "kept", "kept").await;

    fill(&filler);
    for size in [1, 10_000, 1_000_000] {
        let put = world
            .s3
            .put_object()
            .bucket(BUCKET)
            .key("more")
            .body(vec![2; size].into());
        let refused = Refusal::from(put.send().await.unwrap_err());
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (507, "InsufficientStorage"),
            "{size} bytes"
        );
    }
    assert_eq!(world.blobs(), 1);
    let send = world
        .sqs
        .send_message()
        .queue_url(&queue)
        .message_body("x".repeat(10_000));
    let refused = Refusal::from(send.clone().send().await.unwrap_err());
    assert_eq!((refused.status, refused.code.as_str()), (503, "ServiceUnavailable"));
    let put = table::putting(&world, "more", &"x".repeat(10_000));
    let refused = Refusal::from(put.clone().send().await.unwrap_err());
    assert_eq!((refused.status, refused.code.as_str()), (500, "InternalServerError"));
    assert_eq!(world.get("kept").await, vec![1; 100_000]);
    assert_eq!(table::keys(&world).await, ["kept"]);

    std::fs::remove_file(&filler).unwrap();
    world.put("more", vec![2; 1_000_000]).await;
    send.send().await.unwrap();
    put.send().await.unwrap();
    world.cloud.close().await;
    let world = World::at(&data, WritePoints::default()).await;
    assert_eq!(world.get("kept").await, vec![1; 100_000]);
    assert_eq!(world.get("more").await, vec![2; 1_000_000]);
    assert_eq!(world.receive(&queue).await.len(), 1);
    let mut keys = table::keys(&world).await;
    keys.sort();
    assert_eq!(keys, ["kept", "more"]);
    for database in ["cloud.sqlite", "dynamodb.sqlite"] {
        let database = rusqlite::Connection::open(data.join(database)).unwrap();
        let health: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(health, "ok");
    }
}
