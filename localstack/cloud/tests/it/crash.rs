//! A process is killed at each of its write points, each time it passes there, and its directory is opened again: the state
//! is exactly that before or after the step that was under way.
//!
//! The process is this test binary over again. Nothing is waited for: it kills itself, in the thread that has reached the
//! point.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;
use toktik_cloud::{WritePoint, WritePoints};

use crate::script::{STEPS, Script, state};
use crate::support::World;

const DIRECTORY: &str = "CRASH_DIRECTORY";
const POINT: &str = "CRASH_POINT";
const PASSING: &str = "CRASH_PASSING";
const AT_ONCE: usize = 4;

/// Counts how often each point is passed.
#[derive(Clone, Default)]
struct Passings(Arc<Mutex<BTreeMap<WritePoint, u32>>>);

impl Passings {
    fn count(&self, point: WritePoint) -> u32 {
        let mut passings = self.0.lock().unwrap();
        let passing = passings.entry(point).or_default();
        *passing += 1;
        *passing
    }

    fn points(&self) -> WritePoints {
        let passings = self.clone();
        WritePoints::watched(move |point| {
            passings.count(point);
            Ok(())
        })
    }

    fn each(&self) -> Vec<(WritePoint, u32)> {
        let passings = self.0.lock().unwrap();
        let each = passings
            .iter()
            .flat_map(|(point, count)| (1..=*count).map(|passing| (*point, passing)));
        each.collect()
    }
}

/// With files in it that nothing refers to, so that the start has something to remove.
fn untidy_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let shard = directory.path().join("blobs/ab");
    std::fs::create_dir_all(&shard).unwrap();
    for name in ["ab1", "ab2"] {
        std::fs::write(shard.join(name), "half an upload").unwrap();
    }
    directory
}

/// The state after every step; the first is that of the start.
async fn states(passings: &Passings) -> Vec<Vec<String>> {
    let world = World::over(untidy_directory(), passings.points()).await;
    let mut script = Script::over(world);
    let mut states = vec![state(&script.world.copied_while_running().await).await];
    for step in STEPS {
        script.perform(step).await.unwrap();
        states.push(state(&script.world.copied_while_running().await).await);
    }
    states
}

/// What the killed process said last: how many steps had been acknowledged.
fn acknowledged(directory: &Path, point: WritePoint, passing: u32) -> usize {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::the_process_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .env(POINT, format!("{point:?}"))
        .env(PASSING, passing.to_string())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    assert_eq!(signal, Some(9), "{point:?} was not passed {passing} times: {said}");
    said.lines().filter(|line| *line == "acknowledged").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_point_leaves_the_state_before_or_after() {
    let passings = Passings::default();
    let states = states(&passings).await;
    let kills = passings.each();
    for point in WritePoint::ALL {
        assert!(kills.contains(&(point, 1)), "{point:?} is never passed");
    }
    let (kills, states) = (futures::stream::iter(kills), &states);
    let kill = |(point, passing)| async move {
        let directory = untidy_directory();
        let path = directory.path().to_owned();
        let done = tokio::task::spawn_blocking(move || acknowledged(&path, point, passing));
        let done = done.await.unwrap();
        let found = state(&World::over(directory, WritePoints::default()).await).await;
        // The step that was under way is the one after those acknowledged.
        let expected = if is_effective(point) { done + 1 } else { done };
        let step = done.checked_sub(1).and_then(|step| STEPS.get(step));
        assert_eq!(
            found,
            states[expected.saturating_sub(1)],
            "{point:?}, passing {passing}, in {step:?}"
        );
    };
    kills.for_each_concurrent(AT_ONCE, kill).await;
}

/// Whether what was under way has happened as soon as this point is passed.
fn is_effective(point: WritePoint) -> bool {
    matches!(point, WritePoint::Committed | WritePoint::ItemsDone)
}

/// The first acknowledgement is that of the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above kills"]
async fn the_process_that_is_killed() {
    let told = |name| std::env::var(name).unwrap();
    let (fatal, passing) = (told(POINT), told(PASSING).parse::<u32>().unwrap());
    let passings = Passings::default();
    let points = WritePoints::watched(move |point| {
        if format!("{point:?}") == fatal && passings.count(point) == passing {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    });
    let world = World::at(told(DIRECTORY).as_ref(), points).await;
    let mut script = Script::over(world);
    eprintln!("acknowledged");
    for step in STEPS {
        script.perform(step).await.unwrap();
        eprintln!("acknowledged");
    }
}
