//! Running ffmpeg and ffprobe: results, progress, and each way a run can end.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use toktik_media::process::{Budget, Job, Limits, Output, Progress, RunError, Runner, Tool};
use toktik_media::settings::Settings;

use crate::clips::{Clips, PICTURE};

pub(crate) fn runner() -> Runner {
    let settings = Settings {
        sandbox_launcher: Some(env!("CARGO_BIN_EXE_toktik-sandbox").into()),
        ..Settings::default()
    };
    Runner::new(&settings).expect("ffmpeg is installed")
}

pub(crate) fn plenty() -> Budget {
    Budget::new(Duration::from_mins(5))
}

async fn run(dir: &Path, tool: Tool, arguments: &str, limits: Limits) -> Result<Output, RunError> {
    let (budget, cancel) = (plenty(), CancellationToken::new());
    let args = arguments.split_whitespace().map(str::to_owned).collect();
    let job = Job {
        tool,
        args,
        dir,
        reads: None,
        limits,
        budget: &budget,
        cancel: &cancel,
    };
    runner().run(job, |_| ()).await
}

/// Hours of work, if nobody ends it.
const ENDLESS: &str = "-f lavfi -i testsrc=s=640x360:r=60 -c:v libx264 -preset veryslow -f null -";

#[tokio::test]
async fn ffmpeg_works_in_the_sandbox() {
    let clips = Clips::new();
    let arguments = format!("-f lavfi -i {PICTURE} -c:v libx264 -threads 4 out.mp4");
    run(clips.dir(), Tool::Ffmpeg, &arguments, Limits::default())
        .await
        .expect("it is encoded");
    let output = run(
        clips.dir(),
        Tool::Ffprobe,
        "-show_entries format=format_name out.mp4",
        Limits::default(),
    )
    .await;
    let stdout = output.expect("it is read").stdout;
    assert!(String::from_utf8_lossy(&stdout).contains("format_name=mov"));
}

#[tokio::test]
async fn progress_is_told() {
    let clips = Clips::new();
    let (budget, cancel) = (plenty(), CancellationToken::new());
    let arguments = format!("-f lavfi -i {PICTURE} -c:v libx264 out.mp4");
    let job = Job {
        tool: Tool::Ffmpeg,
        args: arguments.split_whitespace().map(str::to_owned).collect(),
        dir: clips.dir(),
        reads: None,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    let mut reports = Vec::<Progress>::new();
    let output = runner()
        .run(job, |report| reports.push(report))
        .await
        .expect("it is encoded");
    let last = reports.last().expect("at least the last report");
    assert_eq!(last.frames, 50);
    assert!(last.seconds.is_some_and(|seconds| seconds > 1.5), "{last:?}");
    assert!(!output.stderr_tail.contains("frame="), "{}", output.stderr_tail);
}

#[tokio::test]
async fn failure_says_why() {
    let clips = Clips::new();
    let error = run(clips.dir(), Tool::Ffmpeg, "-i missing.mp4 out.mp4", Limits::default()).await;
    let Err(RunError::Failed { code: 1, stderr_tail }) = error else {
        panic!("{error:?}")
    };
    assert!(stderr_tail.contains("missing.mp4: No such file"), "{stderr_tail}");
}

#[tokio::test]
async fn cancelling_ends_it() {
    let clips = Clips::new();
    let (budget, cancel) = (plenty(), CancellationToken::new());
    let job = Job {
        tool: Tool::Ffmpeg,
        args: ENDLESS.split_whitespace().map(str::to_owned).collect(),
        dir: clips.dir(),
        reads: None,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    // Cancelled from within, once it is certainly running.
    let outcome = runner().run(job, |_| cancel.cancel()).await;
    assert!(matches!(outcome, Err(RunError::Cancelled)), "{outcome:?}");
}

#[tokio::test]
async fn what_is_cancelled_already_does_not_start() {
    let clips = Clips::new();
    let (budget, cancel) = (plenty(), CancellationToken::new());
    cancel.cancel();
    let job = Job {
        tool: Tool::Ffmpeg,
        args: vec![],
        dir: clips.dir(),
        reads: None,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    assert!(matches!(runner().run(job, |_| ()).await, Err(RunError::Cancelled)));
}

#[tokio::test]
async fn the_budget_ends_it() {
    let clips = Clips::new();
    let (budget, cancel) = (Budget::new(Duration::from_millis(300)), CancellationToken::new());
    let job = Job {
        tool: Tool::Ffmpeg,
        args: ENDLESS.split_whitespace().map(str::to_owned).collect(),
        dir: clips.dir(),
        reads: None,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    let outcome = runner().run(job, |_| ()).await;
    assert!(matches!(outcome, Err(RunError::TimedOut)), "{outcome:?}");
    assert_eq!(budget.remaining(), Duration::ZERO);
}

/// What the first child takes, the next one has not.
#[tokio::test]
async fn a_budget_is_shared_by_all_children() {
    let clips = Clips::new();
    let (budget, cancel) = (Budget::new(Duration::from_millis(300)), CancellationToken::new());
    let job = |arguments: &str| Job {
        tool: Tool::Ffmpeg,
        args: arguments.split_whitespace().map(str::to_owned).collect(),
        dir: clips.dir(),
        reads: None,
        limits: Limits::default(),
        budget: &budget,
        cancel: &cancel,
    };
    let first = runner().run(job(ENDLESS), |_| ()).await;
    assert!(matches!(first, Err(RunError::TimedOut)), "{first:?}");
    let next = runner()
        .run(job(&format!("-f lavfi -i {PICTURE} out.mp4")), |_| ())
        .await;
    assert!(matches!(next, Err(RunError::TimedOut)), "{next:?}");
    assert!(!clips.path("out.mp4").exists(), "it has worked all the same");
}

#[tokio::test]
async fn cpu_time_ends_it() {
    let clips = Clips::new();
    let limits = Limits {
        cpu: Duration::from_secs(1),
        ..Limits::default()
    };
    let outcome = run(clips.dir(), Tool::Ffmpeg, ENDLESS, limits).await;
    assert!(matches!(outcome, Err(RunError::TimedOut)), "{outcome:?}");
}

#[tokio::test]
async fn memory_ends_it() {
    let clips = Clips::new();
    let limits = Limits {
        memory: 100 << 20,
        ..Limits::default()
    };
    let arguments = "-f lavfi -i color=s=2048x2048:r=1:d=2 -vf scale=8192x8192 -f null -";
    let outcome = run(clips.dir(), Tool::Ffmpeg, arguments, limits).await;
    assert!(matches!(outcome, Err(RunError::OutOfMemory { .. })), "{outcome:?}");
}

#[tokio::test]
async fn too_much_output_ends_it() {
    let clips = Clips::new();
    let limits = Limits {
        output: 1000,
        ..Limits::default()
    };
    let arguments = "-f lavfi -i testsrc=s=640x360 -f rawvideo -";
    let outcome = run(clips.dir(), Tool::Ffmpeg, arguments, limits).await;
    assert!(
        matches!(outcome, Err(RunError::OutputTooLarge { limit: 1000 })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_file_that_grows_too_large_ends_it() {
    let clips = Clips::new();
    let limits = Limits {
        file_size: 1 << 20,
        ..Limits::default()
    };
    let arguments = "-f lavfi -i testsrc=s=640x360 -f rawvideo out.raw";
    let outcome = run(clips.dir(), Tool::Ffmpeg, arguments, limits).await;
    assert!(
        matches!(outcome, Err(RunError::Killed { signal: 25, .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_directory_that_is_missing_is_no_fault_of_the_clip() {
    let outcome = run(Path::new("/no/such/directory"), Tool::Ffprobe, "x", Limits::default()).await;
    assert!(matches!(outcome, Err(RunError::Spawn(_))), "{outcome:?}");
}

#[tokio::test]
async fn ffmpeg_sees_no_file_elsewhere_even_if_asked() {
    let (clips, elsewhere) = (Clips::new(), Clips::new());
    let secret = elsewhere.silent("secret.mp4", "");
    let arguments = format!("-i {} -c copy out.mp4", secret.display());
    let outcome = run(clips.dir(), Tool::Ffmpeg, &arguments, Limits::default()).await;
    let Err(RunError::Failed { stderr_tail, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(stderr_tail.contains("Permission denied"), "{stderr_tail}");
}
