//! What `toktik doctor` says of the machine's means to lock ffmpeg in.

use std::process::Command;

use toktik_media::sandbox;

use crate::running::program;

/// What it prints, and whether it is content.
fn doctor(arguments: &[&str]) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut doctor = Command::new(program());
    doctor.arg("doctor").arg("--data-dir").arg(directory.path());
    let output = doctor.args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn one_line_says_what_the_kernel_offers() {
    let report = sandbox::support();
    let (content, text) = doctor(&[]);
    assert!(content, "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("seccomp")).collect();
    let abi = report.landlock_abi.unwrap();
    assert_eq!(
        lines,
        [format!("ok       Landlock: yes (ABI {abi}); seccomp: yes")],
        "{text}"
    );
}

/// Whatever else is wrong, that is still said.
#[test]
fn it_is_said_where_ffmpeg_is_missing_too() {
    let (content, text) = doctor(&["--ffmpeg", "/no/such/ffmpeg"]);
    assert!(!content && text.contains("wrong    /no/such/ffmpeg"), "{text}");
    assert!(text.contains("Landlock: "), "{text}");
}
