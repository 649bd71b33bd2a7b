//! What the sandbox forbids: a trespasser that succeeds when it is free must not succeed in the sandbox.
//!
//! It prints what it achieved or the error, so that a refusal can be told from a trespass that was never tried.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use toktik_media::sandbox::{self, Limits, Mode};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_toktik-sandbox");
const TRESPASSER: &str = env!("CARGO_BIN_EXE_toktik-trespasser");
const DONE: &str = "trespass: done";
const REFUSED: &str = "trespass: refused";

fn caged(trespass: &str, limits: &Limits) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        limits,
        Path::new(TRESPASSER),
        dir.path(),
    )
    .arg(trespass)
    .output()
    .expect("the launcher starts");
    (output, dir)
}

fn free(trespass: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Command::new(TRESPASSER)
        .args([trespass, LAUNCHER])
        .current_dir(dir.path())
        .output()
        .expect("it starts")
}

fn said(output: &Output, words: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(words)
}

/// Refused inside, and, so that the test tests something, possible outside.
#[track_caller]
fn assert_forbidden(trespass: &str) {
    let (inside, _dir) = caged(trespass, &Limits::default());
    assert!(said(&inside, REFUSED) && !said(&inside, DONE), "inside: {inside:?}");
    assert!(
        !said(&inside, "No such file"),
        "refused for a reason of its own: {inside:?}"
    );
    let outside = free(trespass);
    assert!(said(&outside, DONE), "outside: {outside:?}");
}

#[track_caller]
fn assert_allowed(trespass: &str) {
    let (inside, _dir) = caged(trespass, &Limits::default());
    assert!(said(&inside, DONE) && !said(&inside, REFUSED), "inside: {inside:?}");
}

macro_rules! trespasses {
    ($($assert:ident $name:ident $trespass:literal;)*) => {$(
        #[test]
        fn $name() {
            $assert($trespass);
        }
    )*};
}

trespasses! {
    assert_forbidden files_elsewhere_cannot_be_read "read";
    assert_forbidden directories_elsewhere_cannot_be_listed "list";
    assert_forbidden the_parents_environment_cannot_be_read "environ";
    assert_forbidden its_own_proc_cannot_be_read "proc";
    assert_forbidden nothing_can_be_written_elsewhere "write";
    assert_forbidden permissions_cannot_be_changed "chmod";
    assert_forbidden no_socket_can_be_opened "socket";
    assert_forbidden no_unix_socket_can_be_opened "unix";
    assert_forbidden nobody_can_be_connected_to "tcp";
    assert_forbidden no_process_can_be_started "spawn";
    assert_forbidden nobody_can_be_signalled "signal";
    assert_forbidden limits_cannot_be_raised "limit";
    assert_allowed the_working_directory_is_its_own "work";
    assert_allowed threads_can_be_started "thread";
    assert_allowed the_environment_is_empty "environment";
}

#[test]
fn a_file_has_a_largest_size() {
    let limits = Limits {
        file_size: 1 << 20,
        ..Limits::default()
    };
    let (output, dir) = caged("fill", &limits);
    assert!(!said(&output, DONE), "{output:?}");
    let size = std::fs::metadata(dir.path().join("big")).expect("it was begun").len();
    assert_eq!(size, 1 << 20);
}

#[test]
fn memory_is_bounded() {
    let limits = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    let (output, _dir) = caged("hoard", &limits);
    assert!(said(&output, REFUSED), "{output:?}");
}

#[test]
fn cpu_time_is_bounded() {
    use std::os::unix::process::ExitStatusExt;
    let limits = Limits {
        cpu: Duration::from_secs(1),
        ..Limits::default()
    };
    let (output, _dir) = caged("spin", &limits);
    let ended = output.status.signal();
    assert_eq!(ended, Some(rustix::process::Signal::XCPU.as_raw()), "{output:?}");
}

#[test]
fn descriptors_are_bounded() {
    let limits = Limits {
        open_files: 16,
        ..Limits::default()
    };
    let (output, _dir) = caged("open", &limits);
    assert!(said(&output, REFUSED), "{output:?}");
}

/// The shell leaves descriptor 9 open for the launcher; the program behind it must not find it.
#[test]
fn inherited_descriptors_are_closed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let command = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        &Limits::default(),
        Path::new(TRESPASSER),
        dir.path(),
    );
    // The orders name the shell's parent, so the shell replaces itself by the launcher.
    let output = Command::new("sh")
        .args(["-c", "exec 9</etc/passwd; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .arg("descriptors")
        .current_dir(dir.path())
        .output()
        .expect("sh is there");
    assert!(said(&output, "open: 3"), "{output:?}");
}

#[test]
fn a_program_that_is_missing_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = Path::new("/no/such/program");
    let output = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        &Limits::default(),
        missing,
        dir.path(),
    )
    .output()
    .expect("the launcher starts");
    assert_eq!(output.status.code(), Some(125));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.starts_with("toktik-sandbox: cannot run /no/such/program"),
        "{message}"
    );
}

#[test]
fn without_the_word_the_launcher_only_reports() {
    let output = Command::new(LAUNCHER).output().expect("the launcher starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        sandbox::support().to_string()
    );
}

/// The machine that runs the tests has everything; a test that silently tests nothing would be worse than one that fails.
#[test]
fn this_machine_supports_all_of_it() {
    let report = sandbox::support();
    assert!(report.complete(), "{report}");
}

/// A launcher that is found through `/proc/self/exe` still is when that directory belongs to root.
#[test]
fn a_hardened_parent_can_start_itself() {
    sandbox::harden_parent().expect("it needs no privilege");
    let dumpable = rustix::process::dumpable_behavior().expect("known");
    assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    let dir = tempfile::tempdir().expect("a temporary directory");
    // This binary is no launcher: it takes the arguments for names of tests and finds none.
    let itself = sandbox::command(
        None,
        Mode::Required,
        &Limits::default(),
        Path::new("/no/such/program"),
        dir.path(),
    )
    .output();
    assert!(said(&itself.expect("it starts"), "running 0 tests"));
}

/// The child holds the pipe that is read here: reading ends when the child has, too.
#[test]
fn nothing_outlives_its_parent() {
    let output = free("die");
    assert!(said(&output, "the child is at work"), "{output:?}");
}
