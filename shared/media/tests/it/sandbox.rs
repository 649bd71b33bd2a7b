//! What the sandbox forbids. Each `inside_*` test is a trespass: alone it succeeds, in the sandbox it must not.
//!
//! The trespasser is this test binary itself, started by the launcher with one of its ignored tests as argument. It
//! prints what it achieved or the error, since the outside can then tell a refusal from a test that never ran.

use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use toktik_media::sandbox::{self, Limits, Mode};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_toktik-sandbox");
const DONE: &str = "trespass: done";
const REFUSED: &str = "trespass: refused";

fn arguments(trespass: &str) -> [String; 4] {
    let name = format!("sandbox::{trespass}");
    ["--ignored", "--exact", &name, "--nocapture"].map(str::to_owned)
}

fn caged(trespass: &str, limits: &Limits) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let this = std::env::current_exe().expect("a running program");
    let output = sandbox::command(Some(Path::new(LAUNCHER)), Mode::Required, limits, &this, dir.path())
        .args(arguments(trespass))
        .output()
        .expect("the launcher starts");
    (output, dir)
}

fn free(trespass: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let this = std::env::current_exe().expect("a running program");
    Command::new(this)
        .args(arguments(trespass))
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

fn tell<T>(attempt: std::io::Result<T>) {
    match attempt {
        Ok(_) => println!("{DONE}"),
        Err(error) => println!("{REFUSED}: {error}"),
    }
}

macro_rules! trespasses {
    ($($assert:ident $outside:ident $inside:ident: $attempt:expr;)*) => {$(
        #[test]
        fn $outside() {
            $assert(stringify!($inside));
        }

        #[test]
        #[ignore = "runs inside the sandbox"]
        fn $inside() {
            tell($attempt);
        }
    )*};
}

trespasses! {
    assert_forbidden files_elsewhere_cannot_be_read inside_read: std::fs::read("/etc/passwd");
    assert_forbidden directories_elsewhere_cannot_be_listed inside_list: std::fs::read_dir("/etc").map(|_| ());
    assert_forbidden the_parents_environment_cannot_be_read inside_environ:
        std::fs::read(format!("/proc/{}/environ", parent_id()));
    assert_forbidden its_own_proc_cannot_be_read inside_proc: std::fs::read("/proc/self/maps");
    assert_forbidden nothing_can_be_written_elsewhere inside_write: write_elsewhere();
    assert_forbidden permissions_cannot_be_changed inside_chmod: change_permissions();
    assert_forbidden no_socket_can_be_opened inside_socket: std::net::UdpSocket::bind("127.0.0.1:0");
    assert_forbidden no_unix_socket_can_be_opened inside_unix: std::os::unix::net::UnixStream::pair();
    assert_forbidden nobody_can_be_connected_to inside_tcp: std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| std::net::TcpStream::connect(listener.local_addr()?));
    assert_forbidden no_process_can_be_started inside_spawn: spawn_itself();
    assert_forbidden nobody_can_be_signalled inside_signal: signal_parent();
    assert_forbidden limits_cannot_be_raised inside_limit: raise_limit();
    assert_allowed the_working_directory_is_its_own inside_work: work();
    assert_allowed threads_can_be_started inside_thread: start_thread();
    assert_allowed the_environment_is_empty inside_environment: empty_environment();
}

fn write_elsewhere() -> std::io::Result<()> {
    let place = std::env::temp_dir().join(format!("toktik-trespass-{}", std::process::id()));
    std::fs::write(&place, "x")?;
    std::fs::remove_file(place)
}

fn change_permissions() -> std::io::Result<()> {
    std::fs::write("file", "x")?;
    let mut permissions = std::fs::metadata("file")?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions("file", permissions)
}

fn spawn_itself() -> std::io::Result<()> {
    Command::new(std::env::args_os().next().unwrap_or_default())
        .arg("--list")
        .output()
        .map(|_| ())
}

/// Signal 0 only asks whether one could be sent.
fn signal_parent() -> std::io::Result<()> {
    let parent = rustix::process::getppid().ok_or(std::io::ErrorKind::NotFound)?;
    Ok(rustix::process::test_kill_process(parent)?)
}

fn raise_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    Ok(setrlimit(Resource::Core, getrlimit(Resource::Core))?)
}

fn work() -> std::io::Result<()> {
    std::fs::create_dir("made")?;
    std::fs::write("made/a", "x")?;
    std::fs::rename("made/a", "b")?;
    std::fs::read("b")?;
    std::fs::remove_file("b")?;
    std::fs::remove_dir("made")
}

fn start_thread() -> std::io::Result<()> {
    std::thread::Builder::new()
        .spawn(|| ())?
        .join()
        .map_err(|_| std::io::ErrorKind::Other.into())
}

fn empty_environment() -> std::io::Result<()> {
    match std::env::vars_os().next() {
        None => Ok(()),
        Some((name, _)) => Err(std::io::Error::other(format!("{} is set", name.display()))),
    }
}

#[test]
fn a_file_has_a_largest_size() {
    let limits = Limits {
        file_size: 1 << 20,
        ..Limits::default()
    };
    let (output, dir) = caged("inside_fill", &limits);
    assert!(!said(&output, DONE), "{output:?}");
    let size = std::fs::metadata(dir.path().join("big")).expect("it was begun").len();
    assert_eq!(size, 1 << 20);
}

#[test]
#[ignore = "runs inside the sandbox"]
fn inside_fill() {
    let write = || {
        let mut file = std::fs::File::create("big")?;
        (0..4).try_for_each(|_| file.write_all(&vec![0; 1 << 20]))
    };
    tell(write());
}

#[test]
fn memory_is_bounded() {
    let limits = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    let (output, _dir) = caged("inside_hoard", &limits);
    assert!(said(&output, REFUSED), "{output:?}");
}

#[test]
#[ignore = "runs inside the sandbox"]
fn inside_hoard() {
    let mut hoard = Vec::<u8>::new();
    tell(hoard.try_reserve_exact(1 << 30).map_err(std::io::Error::other));
}

#[test]
fn cpu_time_is_bounded() {
    use std::os::unix::process::ExitStatusExt;
    let limits = Limits {
        cpu: Duration::from_secs(1),
        ..Limits::default()
    };
    let (output, _dir) = caged("inside_spin", &limits);
    let ended = output.status.signal();
    assert_eq!(ended, Some(rustix::process::Signal::XCPU.as_raw()), "{output:?}");
}

#[test]
#[ignore = "runs inside the sandbox"]
fn inside_spin() {
    eprintln!("at work");
    while std::hint::black_box(true) {}
}

#[test]
fn descriptors_are_bounded() {
    let limits = Limits {
        open_files: 16,
        ..Limits::default()
    };
    let (output, _dir) = caged("inside_open", &limits);
    assert!(said(&output, REFUSED), "{output:?}");
}

#[test]
#[ignore = "runs inside the sandbox"]
fn inside_open() {
    let files: std::io::Result<Vec<_>> = (0..64).map(|_| std::fs::File::open(".")).collect();
    tell(files);
}

/// The shell leaves descriptor 9 open for the launcher; the program behind it must not find it.
#[test]
fn inherited_descriptors_are_closed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let this = std::env::current_exe().expect("a running program");
    let command = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        &Limits::default(),
        &this,
        dir.path(),
    );
    // The orders name the shell's parent, so the shell replaces itself by the launcher.
    let output = Command::new("sh")
        .args(["-c", "exec 9</etc/passwd; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .args(arguments("inside_descriptors"))
        .current_dir(dir.path())
        .output()
        .expect("sh is there");
    assert!(said(&output, "open: 3"), "{output:?}");
}

/// The lowest free number: 3, if nothing but the three usual ones is open. 9 is tried by opening more than that.
#[test]
#[ignore = "runs inside the sandbox"]
fn inside_descriptors() {
    use std::os::fd::AsRawFd;
    let opened: Vec<_> = (0..12).filter_map(|_| std::fs::File::open(".").ok()).collect();
    let numbers: Vec<i32> = opened.iter().map(AsRawFd::as_raw_fd).collect();
    let first = numbers.first().copied().unwrap_or(-1);
    let contiguous = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    println!("open: {}", if contiguous { first } else { -1 });
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
    let output = free("outside_parent_that_dies");
    assert!(said(&output, "the child is at work"), "{output:?}");
}

#[test]
#[ignore = "dies on purpose"]
#[expect(clippy::zombie_processes, reason = "leaving the child alone is the point")]
fn outside_parent_that_dies() {
    use std::io::BufRead;
    let this = std::env::current_exe().expect("a running program");
    let here = std::env::current_dir().expect("it exists");
    let mut child = sandbox::command(
        Some(Path::new(LAUNCHER)),
        Mode::Required,
        &Limits::default(),
        &this,
        &here,
    )
    .args(arguments("inside_spin"))
    .stderr(std::process::Stdio::piped())
    .spawn()
    .expect("the launcher starts");
    let mut line = String::new();
    let stderr = child.stderr.take().expect("it is piped");
    std::io::BufReader::new(stderr).read_line(&mut line).expect("it speaks");
    println!("the child is {}", line.trim());
}
