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
        None,
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
    assert_forbidden the_directory_above_cannot_be_listed "above";
    assert_forbidden the_parents_environment_cannot_be_read "environ";
    assert_forbidden its_own_proc_cannot_be_read "proc";
    assert_forbidden nothing_can_be_written_elsewhere "write";
    assert_forbidden nothing_can_be_moved_elsewhere "move";
    assert_forbidden nothing_can_be_emptied_by_who_may_only_read "empty";
    assert_forbidden permissions_cannot_be_changed "chmod";
    assert_forbidden owners_cannot_be_changed "chown";
    assert_forbidden times_cannot_be_changed "time";
    assert_forbidden no_link_can_be_made "link";
    assert_forbidden no_pipe_can_be_made_that_others_can_open "fifo";
    assert_forbidden no_file_can_be_made_of_memory "memory";
    assert_forbidden no_socket_can_be_opened "socket";
    assert_forbidden no_unix_socket_can_be_opened "unix";
    assert_forbidden nobody_can_be_waited_for_on_a_unix_socket "listen";
    assert_forbidden nobody_can_be_connected_to "tcp";
    assert_forbidden no_process_can_be_started "spawn";
    assert_forbidden no_other_program_can_be_become "become";
    assert_forbidden no_program_of_its_own_making_can_be_become "become own";
    assert_forbidden no_handle_of_another_process_can_be_had "handle";
    assert_forbidden the_death_signal_cannot_be_taken_back "orphan";
    assert_forbidden nobody_can_be_signalled "signal";
    assert_forbidden limits_cannot_be_raised "limit";
    assert_allowed the_working_directory_is_its_own "work";
    assert_allowed threads_can_be_started "thread";
    assert_allowed the_environment_is_empty "environment";
}

/// What may be done to the one file elsewhere that can be read, and to what lies around it. Each works outside.
const LENT: &[(&str, bool)] = &[
    ("lent read", true),
    ("lent read by its name here", true),
    ("lent write", false),
    ("lent append", false),
    ("lent empty", false),
    ("lent truncate", false),
    ("lent remove", false),
    ("lent replace", false),
    ("lent take", false),
    ("lent link", false),
    ("lent list", false),
    ("lent neighbour", false),
];

#[test]
fn a_file_that_is_lent_can_be_read_and_nothing_else() {
    for (trespass, allowed) in LENT {
        let try_it = |confined: bool| {
            let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let lent = elsewhere.path().join("source");
            std::fs::write(&lent, "the clip").unwrap();
            std::fs::write(elsewhere.path().join("neighbour"), "another clip").unwrap();
            std::os::unix::fs::symlink(&lent, dir.path().join("source")).unwrap();
            let mut command = if confined {
                let (launcher, mode, limits) = (Some(Path::new(LAUNCHER)), Mode::Required, Limits::default());
                sandbox::command(launcher, mode, &limits, Path::new(TRESPASSER), dir.path(), Some(&lent))
            } else {
                let mut command = Command::new(TRESPASSER);
                command.current_dir(dir.path());
                command
            };
            let output = command.arg(trespass).arg(&lent).output().expect("it starts");
            let whole = std::fs::read_dir(elsewhere.path()).unwrap().count() == 2
                && std::fs::read(&lent).is_ok_and(|bytes| bytes == b"the clip");
            (output, whole)
        };
        let (inside, whole) = try_it(true);
        assert!(whole, "{trespass} changed it: {inside:?}");
        assert!(
            said(&inside, if *allowed { DONE } else { REFUSED }),
            "inside, {trespass}: {inside:?}"
        );
        assert!(!said(&inside, "No such file"), "{trespass}: {inside:?}");
        let (outside, _) = try_it(false);
        assert!(said(&outside, DONE), "outside, {trespass}: {outside:?}");
    }
}

/// System calls that give power, tried by number. Each with arguments that do nothing where the call exists, so that the
/// error outside is another one, whoever runs the test.
const CALLS: &[(&str, i64)] = &[
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("kill", libc::SYS_kill),
    ("tkill", libc::SYS_tkill),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("clone3", libc::SYS_clone3),
    ("execveat", libc::SYS_execveat),
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("fsopen", libc::SYS_fsopen),
    ("open_tree", libc::SYS_open_tree),
    ("openat2", libc::SYS_openat2),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("bpf", libc::SYS_bpf),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_setup", libc::SYS_io_setup),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("socketpair", libc::SYS_socketpair),
    ("bind", libc::SYS_bind),
    ("connect", libc::SYS_connect),
    ("sendto", libc::SYS_sendto),
    ("sendmsg", libc::SYS_sendmsg),
    ("fchmod", libc::SYS_fchmod),
    ("fchmodat", libc::SYS_fchmodat),
    ("fchown", libc::SYS_fchown),
    ("fchownat", libc::SYS_fchownat),
    ("setxattr", libc::SYS_setxattr),
    ("linkat", libc::SYS_linkat),
    ("setrlimit", libc::SYS_setrlimit),
    ("setpriority", libc::SYS_setpriority),
    ("sched_setscheduler", libc::SYS_sched_setscheduler),
    ("personality", libc::SYS_personality),
    ("capset", libc::SYS_capset),
    ("inotify_add_watch", libc::SYS_inotify_add_watch),
    ("splice", libc::SYS_splice),
    ("mq_open", libc::SYS_mq_open),
];

/// Perl makes any system call, and every Debian has it. It prints the error of each.
const PERL: &str = "/usr/bin/perl";
const TRY: &str = "for (@ARGV) { $! = 0; syscall($_, -1, -1, -1, -1, -1, -1); print \"$_ \", $!+0, \"\\n\" }";

fn attempts(command: &mut Command) -> Vec<String> {
    let numbers = CALLS.iter().map(|(_, number)| number.to_string());
    let output = command.args(["-e", TRY]).args(numbers).output().expect("perl is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn calls_that_give_power_do_not_exist() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let limits = Limits::default();
    let mut caged = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        &limits,
        Path::new(PERL),
        dir.path(),
        None,
    );
    let (inside, outside) = (attempts(&mut caged), attempts(&mut Command::new(PERL)));
    assert_eq!((inside.len(), outside.len()), (CALLS.len(), CALLS.len()));
    let missing: Vec<String> = CALLS
        .iter()
        .map(|(_, number)| format!("{number} {}", libc::ENOSYS))
        .collect();
    for ((name, _), (inside, missing)) in CALLS.iter().zip(inside.iter().zip(&missing)) {
        assert_eq!(inside, missing, "{name} is there inside");
    }
    // A kernel may be built without some of them.
    let there = outside.iter().filter(|attempt| !missing.contains(attempt)).count();
    assert!(there > CALLS.len() * 3 / 4, "outside are only {there}: {outside:?}");
}

/// Where each can be met, one below tries it; here, that all of them arrive.
#[test]
fn every_limit_is_set() {
    let limits = Limits {
        nice: 0,
        cpu: Duration::from_secs(7),
        memory: 64 << 20,
        file_size: 1 << 20,
        open_files: 16,
        output: 0,
    };
    let (output, _dir) = caged("limits", &limits);
    let all = "cpu 8, data 67108864, stack 4194304, fsize 1048576, nofile 16, core 0";
    assert!(said(&output, all), "{output:?}");
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
        None,
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
        None,
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
        None,
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
