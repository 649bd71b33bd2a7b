//! The API against its own description: schemathesis makes requests of it, right and wrong ones, and judges the answers.
//! No answer is a 5xx, none is undescribed, and none looks otherwise than described.

use std::path::PathBuf;

use crate::clips::tiny_clip;
use crate::harness::House;

/// Known only when the tests run: compiled tests are shared between clones.
fn settings() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("../contract/schemathesis.toml")
}

/// Where `cargo xtask test` installs it.
fn schemathesis() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    cargo.join("toktik-contract/bin/schemathesis")
}

/// Runs all checks over what these arguments choose, with these parameters instead of ones that are made up.
async fn holds(house: &House, parameters: &str, arguments: &[&str]) {
    let program = schemathesis();
    assert!(
        program.is_file(),
        "{} is missing: `cargo xtask test` installs it",
        program.display()
    );
    let url = format!("{}/openapi.json", house.base);
    let config = house.directory().join("schemathesis.toml");
    std::fs::write(&config, std::fs::read_to_string(settings()).unwrap() + parameters).unwrap();
    let mut command = tokio::process::Command::new(program);
    command
        .arg("--config-file")
        .arg(config)
        .args([
            "run",
            &url,
            "--checks",
            "all",
            "--continue-on-failure",
            "--no-color",
            "--warnings",
            "off",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-redirects", "0"])
        .args(arguments)
        .current_dir(house.directory())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // That nothing was found says nothing where nothing was asked.
    assert!(
        said.contains("No issues found") && !said.contains("Tested: 0"),
        "{said}"
    );
}

/// Thousands of requests are made here: no account is one too many, and a stream of events ends when it has told how
/// things are.
const UNLIMITED: [&str; 4] = ["--registrations-per-hour", "0", "--stream-time", "0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_answered_as_described() {
    let house = House::with(&UNLIMITED).await;
    holds(&house, "", &["--max-examples", "10"]).await;
}

/// Without the one request that would make a stranger of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_answered_as_described() {
    let house = House::with(&UNLIMITED).await;
    let token = format!("Authorization: Bearer {}", house.user("ada").await.token);
    let arguments = [
        "--max-examples",
        "10",
        "--header",
        &token,
        "--exclude-operation-id",
        "delete_me",
    ];
    holds(&house, "", &arguments).await;
}

/// Ids that are made up lead nowhere; here they are those of a clip, as long as it is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_answered_about_a_clip_as_described() {
    let house = House::with(&UNLIMITED).await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let token = format!("Authorization: Bearer {}", user.token);
    let parameters = format!("\n[parameters]\n\"path.id\" = \"{id}\"\n\"path.name\" = \"120p.m3u8\"\n");
    let arguments = [
        "--max-examples",
        "10",
        "--header",
        &token,
        "--include-path-regex",
        "\\{id\\}",
        "--exclude-operation-id",
        "delete_video",
    ];
    holds(&house, &parameters, &arguments).await;
    house.video(&id, Some(&user)).await;
}
