//! Playable soon: a picture that is taken as it is, and clips that are published while they are made.

use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use toktik_catalog::ledger::{Begin, State, StepItem};
use toktik_check::{Report, check};
use toktik_events::Function;
use toktik_media::manifest::Manifest;
use toktik_runtime::worker::Worker;

use crate::clips::{clip, make};
use crate::harness::House;
use crate::hls::assert_clean;
use crate::running::{PATIENCE, until};

/// As cameras record it: a keyframe every two seconds.
fn filmed(directory: &Path, seconds: u32) -> Vec<u8> {
    let picture = format!("testsrc2=size=640x360:rate=30:duration={seconds}");
    let sound = format!("sine=frequency=440:duration={seconds}");
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "60",
        "-colorspace",
        "bt709",
    ];
    make(
        directory,
        "filmed.mp4",
        &[&inputs[..], &codecs[..], &["-c:a", "aac"]].concat(),
    )
}

async fn checked(house: &House, id: &str) -> Report {
    let video = house.video(id, None).await;
    let playlist = video["urls"]["playlist"].as_str().unwrap();
    assert_clean(playlist).await;
    check(playlist).await.unwrap()
}

async fn drain(house: &House, function: Function) {
    house.worker(function).drain(&CancellationToken::new()).await.unwrap();
}

async fn step(house: &House, id: &str, unit: &str) -> StepItem {
    let item = house
        .context
        .catalog
        .step(id.parse().unwrap(), 1, "transcode", unit)
        .await;
    item.unwrap().unwrap()
}

async fn manifest(house: &House, id: &str) -> Manifest {
    let item = house.context.catalog.manifest(id.parse().unwrap(), 1).await;
    item.unwrap().unwrap().manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_players_take_is_a_rung_as_it_is() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, filmed(house.directory(), 7)).await;
    let report = checked(&house, &id).await;
    assert!(!report.growing);
    for variant in &report.variants {
        assert_eq!((variant.segments, variant.frames), (2, 210), "{report}");
    }
    assert_eq!(step(&house, &id, "copy").await.state, State::Done);
    assert!(
        manifest(&house, &id).await.variants[0].rendition.parts[0]
            .prefix
            .contains("/copy/")
    );
    assert_eq!(house.messages().await, 0, "a queue is not empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_players_take_is_told_of_before_it_is_whole() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, filmed(house.directory(), 11)).await;
    drain(&house, Function::Probe).await;
    drain(&house, Function::Transcode).await;
    let told = house.waiting(Function::Package).await;
    let told: Vec<&str> = told.iter().map(|event| event["id"].as_str().unwrap()).collect();
    // Of two segments or of three, as they come to be stored.
    let of_copy = format!("{id}.1.transcode.copy.");
    let place = |end: &str| {
        let ends = |told: &&str| told.strip_prefix(&of_copy).is_some_and(|told| told.ends_with(end));
        told.iter().position(ends)
    };
    let [begun, whole] = ["progressed", "completed"].map(place);
    assert!(begun.is_some() && begun < whole, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_players_take_is_there_to_take_along_before_its_rungs_are() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, filmed(house.directory(), 7)).await;
    drain(&house, Function::Probe).await;
    let (video, catalog) = (id.parse().unwrap(), &house.context.catalog);
    let rungs = catalog.begin(video, 1, "transcode", "video-0", house.now()).await;
    let Begin::Started(rungs) = rungs.unwrap() else {
        panic!("somebody is at the rungs")
    };
    for function in [Function::Transcode, Function::Package] {
        drain(&house, function).await;
    }
    assert_eq!(house.video(&id, None).await["status"], "playable");
    let early = manifest(&house, &id).await;
    assert_eq!(early.variants.len(), 1, "a rung was made");
    let download = early.download.unwrap();
    let stored = house.context.objects.head(&download.key).await.unwrap().unwrap();
    assert_eq!(stored.size, download.size);

    catalog.interrupt(&rungs).await.unwrap();
    // Whoever was asked found somebody at it, and waits.
    house.advance(TimeDelta::minutes(6));
    house.sweep().await;
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let whole = manifest(&house, &id).await;
    assert_eq!(whole.download, Some(download), "it was made once");
    assert!(whole.variants.len() > 1);
}

/// Works on a clip's units until this one has published something, and stops there, as a host does that has to.
async fn stopped_at(house: &House, id: &str, unit: &str) -> StepItem {
    let stop = CancellationToken::new();
    let working = house.worker(Function::Transcode).drain(&stop);
    let watching = async {
        loop {
            let item = step(house, id, unit).await;
            let published = |result: &serde_json::Value| {
                result["tracks"][0]["parts"][0]["segments"]
                    .as_array()
                    .map_or(0, Vec::len)
            };
            if item.result.as_ref().map_or(0, published) >= 2 {
                stop.cancel();
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (worked, ()) = tokio::join!(working, watching);
    worked.unwrap();
    step(house, id, unit).await
}

/// Every key that players of the highest rung are sent to.
fn keys(manifest: &Manifest) -> Vec<String> {
    let parts = &manifest.variants[0].rendition.parts;
    let of_part = |part: &toktik_media::manifest::Part| {
        (0..part.segments.len())
            .map(|index| part.segment_key(index))
            .collect::<Vec<_>>()
    };
    parts.iter().flat_map(of_part).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_watched_while_it_is_made_and_goes_on_where_it_was_left() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 20)).await;
    drain(&house, Function::Probe).await;
    let left = stopped_at(&house, &id, "video-0").await;
    assert_eq!(left.state, State::Pending, "it was made before it could be stopped");
    drain(&house, Function::Package).await;

    assert_eq!(house.video(&id, None).await["status"], "playable");
    let growing = checked(&house, &id).await;
    assert!(growing.growing, "{growing}");
    let segments = growing.variants[0].segments;
    assert!((2..10).contains(&segments), "{growing}");
    assert!(
        growing.variants.iter().all(|variant| variant.segments == segments),
        "{growing}"
    );
    assert!(
        growing.sounds.iter().all(|sound| sound.segments == segments),
        "{growing}"
    );
    let begun = keys(&manifest(&house, &id).await);

    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let whole = checked(&house, &id).await;
    for variant in &whole.variants {
        assert_eq!((variant.segments, variant.frames), (10, 600), "{whole}");
    }
    let now = keys(&manifest(&house, &id).await);
    assert!(now.starts_with(&begun), "{begun:?} became {now:?}");
    let of_both = |attempt: &str| now.iter().any(|key| key.contains(&format!("/video-0/{attempt}/")));
    assert!(of_both("1") && of_both("2"), "{now:?}");
    assert_eq!(house.messages().await, 0, "a queue is not empty");
}

/// Whether all that transcode was asked to make of a clip is made.
async fn is_made(house: &House, id: &str) -> bool {
    let steps = house.context.catalog.steps(id.parse().unwrap(), 1).await.unwrap();
    let mut units = steps.iter().filter(|step| step.step == "transcode");
    units.all(|unit| unit.state == State::Done)
}

/// As `up` has it.
fn transcoding(house: &House) -> Worker {
    let up = house.worker(Function::Transcode);
    Worker {
        function: up.function,
        handler: Arc::clone(&up.handler),
        context: up.context.clone(),
        concurrency: up.concurrency,
        express: up.express,
    }
}

/// Ten clips can be watched although nothing is done that only completes them.
#[tokio::test(flavor = "multi_thread")]
async fn no_clip_is_completed_before_others_are_playable() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let film = filmed(house.directory(), 20);
    let mut clips = Vec::new();
    for _ in 0..10 {
        clips.push(house.upload(&user, film.clone()).await);
    }
    drain(&house, Function::Probe).await;
    let stop = CancellationToken::new();
    let worker = Worker {
        concurrency: 0,
        ..transcoding(&house)
    };
    let working = tokio::spawn(worker.run(stop.clone()));
    let done = async |unit: &str| {
        let mut done = 0;
        for id in &clips {
            done += usize::from(step(&house, id, unit).await.state == State::Done);
        }
        done
    };
    until("all can be watched", PATIENCE, async || {
        (done("copy").await + done("audio").await == 20).then_some(())
    })
    .await;
    assert_eq!(done("video-0").await, 0, "it had no room");
    stop.cancel();
    working.await.unwrap();
}

/// In the order of events: nothing of the higher rungs is there before the lower ones are whole.
#[tokio::test(flavor = "multi_thread")]
async fn what_needs_the_whole_machine_to_keep_ahead_of_who_watches_has_it() {
    let house = House::with(&["--transcode-cpus", "0.05"]).await;
    let user = house.user("ada").await;
    let picture = "testsrc2=size=1280x720:rate=30:duration=6";
    let film = make(
        house.directory(),
        "film.mp4",
        &["-f", "lavfi", "-i", picture, "-g", "150"],
    );
    let id = house.upload(&user, film).await;
    drain(&house, Function::Probe).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(transcoding(&house).run(stop.clone()));
    until("the higher rungs are begun", PATIENCE, async || {
        let objects = house.objects().await;
        objects.iter().any(|key| key.contains("/video-0/")).then_some(())
    })
    .await;
    let low = step(&house, &id, "low-0").await.state;
    until("all is made", PATIENCE, async || {
        is_made(&house, &id).await.then_some(())
    })
    .await;
    stop.cancel();
    working.await.unwrap();
    assert_eq!(low, State::Done);
}

/// In the order of events: when all of the short clip is made, not one of ten is that were asked for before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_clip_does_not_wait_behind_ten_long_ones() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let film = clip(house.directory(), 20);
    let mut long_ones = Vec::new();
    for _ in 0..10 {
        long_ones.push(house.upload(&user, film.clone()).await);
    }
    drain(&house, Function::Probe).await;
    let short = house.upload(&user, clip(house.directory(), 2)).await;
    drain(&house, Function::Probe).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(transcoding(&house).run(stop.clone()));
    until("the short clip is made", PATIENCE, async || {
        is_made(&house, &short).await.then_some(())
    })
    .await;
    let mut made = 0;
    for id in &long_ones {
        made += usize::from(is_made(&house, id).await);
    }
    stop.cancel();
    working.await.unwrap();
    assert_eq!(made, 0, "long clips were made first");
}
