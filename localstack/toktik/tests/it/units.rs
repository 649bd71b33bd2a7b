//! Clips in units of a few seconds, through the whole house: one clip in the end, whatever becomes of the units.

use std::path::Path;

use chrono::TimeDelta;
use toktik_catalog::ledger::Begin;
use toktik_check::{Report, check};

use crate::clips::{clip, make};
use crate::harness::House;
use crate::hls::assert_clean;

async fn house() -> House {
    House::with(&["--unit-seconds", "4"]).await
}

async fn checked(house: &House, id: &str) -> Report {
    let video = house.video(id, None).await;
    let playlist = video["urls"]["playlist"].as_str().unwrap();
    assert_clean(playlist).await;
    check(playlist).await.unwrap()
}

/// The keys of a clip's objects, without the clip's own part.
async fn made_of(house: &House, id: &str) -> Vec<String> {
    let prefix = format!("videos/{id}/1/");
    let keys = house.objects().await;
    keys.iter()
        .filter_map(|key| key.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn units_become_one_clip() {
    let house = house().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), 9)).await;
    let video = house.video(&id, None).await;
    assert_eq!(video["status"], "ready", "{video}");
    assert_eq!(video["warnings"], serde_json::json!([]), "{video}");
    let report = checked(&house, &id).await;
    assert!(!report.growing);
    for variant in &report.variants {
        assert_eq!((variant.segments, variant.frames), (6, 270), "{report}");
    }
    let made = made_of(&house, &id).await;
    for unit in ["video-0", "video-1", "video-2"] {
        let init = format!("transcode/{unit}/1/360p/init.mp4");
        assert!(made.contains(&init), "{init} is not among {made:?}");
    }
    assert_eq!(house.messages().await, 0, "a queue is not empty");
}

/// Somebody holds the middle of the clip, and dies. What comes before it can be watched, and nothing of what comes
/// after.
#[tokio::test(flavor = "multi_thread")]
async fn a_clip_grows_up_to_the_unit_that_is_missing() {
    let house = house().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, clip(house.directory(), 9)).await;
    let never = tokio_util::sync::CancellationToken::new();
    house
        .worker(toktik_events::Function::Probe)
        .drain(&never)
        .await
        .unwrap();
    let catalog = &house.context.catalog;
    let begun = catalog
        .begin(id.parse().unwrap(), 1, "transcode", "video-1", house.now())
        .await;
    assert!(matches!(begun, Ok(Begin::Started(_))), "{begun:?}");
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "playable");
    let report = checked(&house, &id).await;
    assert!(report.growing, "{report}");
    for variant in &report.variants {
        assert_eq!((variant.segments, variant.frames), (3, 120), "{report}");
    }
    let unheard = report.sounds.iter().all(|sound| sound.segments == 3);
    assert!(unheard, "sound runs ahead of the picture: {report}");

    house.advance(TimeDelta::minutes(6));
    house.sweep().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    let report = checked(&house, &id).await;
    assert_eq!(report.variants[0].frames, 270, "{report}");
    let made = made_of(&house, &id).await;
    let of_the_middle = |key: &&String| key.starts_with("transcode/video-1/");
    let mut of_the_middle = made.iter().filter(of_the_middle);
    assert!(
        of_the_middle.all(|key| key.starts_with("transcode/video-1/2/")),
        "{made:?}"
    );
}

/// Twelve seconds, three units, of pictures that need no other; of these parts of the film nothing is left.
fn damaged(directory: &Path, parts: &[std::ops::Range<u32>]) -> Vec<u8> {
    let picture = "testsrc2=size=320x240:rate=10:duration=12";
    let codec = ["-c:v", "mpeg4", "-g", "1", "-b:v", "1M", "-movflags", "+faststart"];
    let mut bytes = make(
        directory,
        "damaged.mp4",
        &[&["-f", "lavfi", "-i", picture], &codec[..]].concat(),
    );
    let film = bytes.windows(4).position(|four| four == b"mdat").unwrap() + 4;
    let length = bytes.len() - film;
    for part in parts {
        let place = |percent: u32| film + length / 100 * percent as usize;
        bytes[place(part.start)..place(part.end)].fill(0);
    }
    bytes
}

/// What becomes of it in one unit, and in three: the same.
async fn ends_alike(parts: &[std::ops::Range<u32>], status: &str) {
    for house in [House::open().await, house().await] {
        let user = house.user("ada").await;
        let bytes = damaged(house.directory(), parts);
        let id = house.publish(&user, bytes).await;
        let video = house.video(&id, Some(&user)).await;
        assert_eq!(video["status"], status, "{parts:?}: {video}");
        if status == "rejected" {
            assert_eq!(video["error"]["code"], "corrupt", "{parts:?}: {video}");
            continue;
        }
        assert_eq!(checked(&house, &id).await.variants[0].frames, 120);
    }
}

/// More than a unit, and less than half of the clip.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_which_nothing_is_left_does_not_cost_the_clip() {
    for part in [60..100, 0..40, 30..70] {
        ends_alike(&[part], "ready").await;
    }
}

/// No unit is without a picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_clip_of_which_most_is_lost_is_corrupt_wherever_it_is() {
    ends_alike(std::slice::from_ref(&(40..100)), "rejected").await;
    ends_alike(&[0..30, 36..66], "rejected").await;
}
