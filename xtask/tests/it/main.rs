//! `cargo xtask try` as a process, against a server that is only the contract: exit codes, and who reads what where.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking, its helpers too")]

mod fake;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use fake::{Script, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Clip {
    path: PathBuf,
    bytes: Vec<u8>,
    _dir: TempDir,
}

fn clip(name: &str, size: usize) -> Clip {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let bytes: Vec<u8> = (0..=255).cycle().take(size).collect();
    fs::write(&path, &bytes).unwrap();
    Clip { path, bytes, _dir: dir }
}

/// The binary's path is asked at run time: clones share compiled artefacts, a path compiled in may be another clone's.
fn xtask(args: &[&str]) -> Output {
    let program = std::env::var("NEXTEST_BIN_EXE_xtask").unwrap_or_else(|_| env!("CARGO_BIN_EXE_xtask").to_owned());
    Command::new(program).args(args).output().unwrap()
}

fn try_clip(clip: &Clip, server: &str) -> Output {
    xtask(&["try", clip.path.to_str().unwrap(), "--server", server])
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn ends_with(status: Value) -> Script {
    Script {
        statuses: vec![status],
        ..Script::default()
    }
}

#[track_caller]
fn assert_ready(output: &Output, server: &Server) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert_eq!(
        stdout(output),
        format!("{}/api/v1/videos/v1/playlist.m3u8\n", server.url)
    );
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, sentence: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    assert!(stderr(output).contains(sentence), "{}", stderr(output));
}

#[test]
fn a_small_clip_is_put_and_its_playlist_is_all_of_stdout() {
    let server = Server::start(Script::default());
    let clip = clip("My clip.mp4", 300_000);
    // A slash at the end is how people copy addresses.
    let output = try_clip(&clip, &format!("{}/", server.url));
    assert_ready(&output, &server);
    assert!(
        stderr(&output).contains("uploading 292.97 KiB: 100%"),
        "{}",
        stderr(&output)
    );
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.stored[&1], clip.bytes);
    assert!(seen.completed);
    let video = json!({ "title": "My clip", "filename": "My clip.mp4", "size": 300_000, "content_type": "video/mp4" });
    assert_eq!(seen.video, video);
}

#[test]
fn a_large_clip_is_sent_in_parts_and_goes_on_where_it_broke_off() {
    let script = Script {
        part_size: Some(100_000),
        broken_part: Some(2),
        ..Script::default()
    };
    let server = Server::start(script);
    let clip = clip("large.mov", 250_000);
    let output = try_clip(&clip, &server.url);
    assert_ready(&output, &server);
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.stored.values().flatten().copied().collect::<Vec<u8>>(), clip.bytes);
    assert_eq!(seen.puts, [1, 2, 2, 3], "the first part is not sent again");
}

#[test]
fn a_put_that_breaks_off_is_sent_again() {
    let server = Server::start(Script {
        broken_part: Some(1),
        ..Script::default()
    });
    // More than a socket's buffers hold, so that the break is met while sending.
    let clip = clip("clip.mp4", 8_000_000);
    assert_ready(&try_clip(&clip, &server.url), &server);
    assert_eq!(server.seen.lock().unwrap().puts, [1, 1]);
}

#[test]
fn a_token_that_runs_out_is_replaced() {
    let server = Server::start(Script {
        token_lasts: 2,
        ..Script::default()
    });
    assert_ready(&try_clip(&clip("clip.mp4", 10), &server.url), &server);
    assert_eq!(server.seen.lock().unwrap().logins, 2);
}

#[test]
fn a_rejected_clip_is_2_with_the_servers_sentence() {
    let error = json!({ "code": "too_long", "message": "The clip is longer than a minute." });
    let server = Server::start(ends_with(json!({ "status": "rejected", "error": error })));
    let output = try_clip(&clip("clip.mp4", 10), &server.url);
    assert_ends(&output, 2, "clip.mp4 was refused: The clip is longer than a minute.\n");
}

#[test]
fn an_empty_file_is_2_with_words_a_person_understands() {
    let errors = json!([{ "field": "size", "code": "out_of_range", "message": "must be at least 1" }]);
    let refusal = Some((422, json!({ "title": "Invalid", "code": "invalid", "errors": errors })));
    let server = Server::start(Script {
        refusal,
        ..Script::default()
    });
    let output = try_clip(&clip("empty.mp4", 0), &server.url);
    assert_ends(
        &output,
        2,
        "empty.mp4 was refused: the file is empty (size: must be at least 1)\n",
    );
}

#[test]
fn a_file_that_is_too_large_is_2() {
    let refusal = Some((
        413,
        json!({ "code": "too_large", "detail": "At most 1 GiB can be uploaded." }),
    ));
    let server = Server::start(Script {
        refusal,
        ..Script::default()
    });
    let output = try_clip(&clip("huge.mp4", 10), &server.url);
    assert_ends(&output, 2, "At most 1 GiB can be uploaded.");
}

#[test]
fn a_failed_clip_is_1() {
    let error = json!({ "code": "internal", "message": "transcode gave up" });
    let server = Server::start(ends_with(json!({ "status": "failed", "error": error })));
    assert_ends(
        &try_clip(&clip("clip.mp4", 10), &server.url),
        1,
        "processing failed: transcode gave up",
    );
}

#[test]
fn a_clip_that_does_not_move_is_given_up() {
    let server = Server::start(ends_with(json!({ "status": "processing", "progress": 0.5 })));
    let clip = clip("clip.mp4", 10);
    let output = xtask(&[
        "try",
        clip.path.to_str().unwrap(),
        "--server",
        &server.url,
        "--patience",
        "1",
    ]);
    assert_ends(&output, 1, "no progress for 1 s: the clip is processing");
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_ends(
        &try_clip(&clip("clip.mp4", 10), &url),
        1,
        "is `cargo xtask up` running?",
    );
}

#[test]
fn what_is_no_file_is_1_and_never_reaches_the_server() {
    let server = Server::start(Script::default());
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.mp4");
    let output = xtask(&["try", missing.to_str().unwrap(), "--server", &server.url]);
    assert_ends(&output, 1, "none.mp4: No such file");
    let output = xtask(&["try", dir.path().to_str().unwrap(), "--server", &server.url]);
    assert_ends(&output, 1, "is not a file");
    assert!(server.seen.lock().unwrap().user.is_null());
}

#[test]
fn wrong_arguments_are_1_because_2_means_refused() {
    assert_ends(&xtask(&["try"]), 1, "<FILE>");
    assert_ends(&xtask(&["nonsense"]), 1, "nonsense");
}

#[test]
fn the_help_names_every_command() {
    let output = xtask(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for command in ["up", "try", "test"] {
        assert!(
            stdout(&output).contains(&format!("\n  {command} ")),
            "{}",
            stdout(&output)
        );
    }
}
