//! A real browser plays what comes out: headless Chromium with hls.js, from a page of another origin.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::clips::clip;
use crate::harness::House;

const SECONDS: u32 = 5;
const FRAMES: f64 = 150.0;

/// Known only when the tests run: compiled tests are shared between clones.
fn directory() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("../browser")
}

async fn watch(url: &str) -> Output {
    let directory = directory();
    let packages = directory.join("node_modules");
    assert!(
        packages.is_dir(),
        "{} is missing: `cargo xtask test` installs it",
        packages.display()
    );
    let mut player = tokio::process::Command::new("node");
    player.arg(directory.join("play.mjs")).arg(url).kill_on_drop(true);
    player
        .output()
        .await
        .expect("node is missing: `cargo xtask test` says how to get it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_plays_to_its_end() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, clip(house.directory(), SECONDS)).await;
    let video = house.video(&id, None).await;
    let output = watch(video["urls"]["playlist"].as_str().unwrap()).await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{complaints}{}",
        String::from_utf8_lossy(&output.stdout)
    );

    let played: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&played["ended"], &played["stalls"]),
        (&Value::Bool(true), &Value::from(0)),
        "{played}"
    );
    let decoded = played["decodedFrames"].as_f64().unwrap();
    assert!((FRAMES - 3.0..=FRAMES + 3.0).contains(&decoded), "{played}");
    let duration = played["duration"].as_f64().unwrap();
    assert!((duration - f64::from(SECONDS)).abs() < 0.1, "{played}");
}
