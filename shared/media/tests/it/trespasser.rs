//! Tries what the sandbox forbids, for the tests of it: the argument says what. Prints whether it succeeded.
#![allow(clippy::expect_used, reason = "a trespass that cannot be tried is to fail loudly")]

use std::io::Write;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::Command;

fn main() {
    let trespass = std::env::args().nth(1).unwrap_or_default();
    match trespass.as_str() {
        "read" => tell(std::fs::read("/etc/passwd")),
        "list" => tell(std::fs::read_dir("/etc").map(|_| ())),
        "above" => tell(std::fs::read_dir("..").map(|_| ())),
        "environ" => tell(std::fs::read(format!("/proc/{}/environ", parent_id()))),
        "proc" => tell(std::fs::read("/proc/self/maps")),
        "write" => tell(write_elsewhere()),
        "move" => tell(move_elsewhere()),
        "empty" => tell(std::fs::write("file", "x").and_then(|()| empty("file".as_ref()))),
        "chmod" => tell(change_permissions()),
        "chown" => tell(change_owner()),
        "time" => tell(change_time()),
        "link" => tell(std::os::unix::fs::symlink("/etc/passwd", "link")),
        "fifo" => tell(make_fifo()),
        "memory" => tell(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC)),
        "socket" => tell(std::net::UdpSocket::bind("127.0.0.1:0")),
        "unix" => tell(std::os::unix::net::UnixStream::pair()),
        "listen" => tell(std::os::unix::net::UnixListener::bind("socket")),
        "tcp" => tell(
            std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| std::net::TcpStream::connect(listener.local_addr()?)),
        ),
        "spawn" => tell(spawn_itself()),
        "become" => tell::<()>(Err(Command::new("/bin/echo").arg("trespass: done").exec())),
        "become own" => tell(become_own_program()),
        "handle" => tell(rustix::process::getppid().map(hold_parent).transpose()),
        "orphan" => tell(rustix::process::set_parent_process_death_signal(None)),
        "signal" => tell(signal_parent()),
        "limit" => tell(raise_limit()),
        "work" => tell(work()),
        "thread" => tell(start_thread()),
        "environment" => tell(empty_environment()),
        "fill" => fill(),
        "hoard" => hoard(),
        "spin" => spin(),
        "open" => open(),
        "descriptors" => descriptors(),
        "limits" => limits(),
        "say" => println!("trespass: done"),
        "die" => die(),
        lent if lent.starts_with("lent ") => tell(abuse_lent(lent)),
        _ => {}
    }
}

fn tell<T>(attempt: Result<T, impl std::fmt::Display>) {
    match attempt {
        Ok(_) => println!("trespass: done"),
        Err(error) => println!("trespass: refused: {error}"),
    }
}

/// Who opens a file to read it can ask for it to be emptied on the way.
fn empty(file: &Path) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(file, OFlags::RDONLY | OFlags::TRUNC, Mode::empty())?;
    Ok(())
}

fn abuse_lent(how: &str) -> std::io::Result<()> {
    use std::fs::{self, OpenOptions};
    let lent = std::env::args_os().nth(2).expect("the file");
    let lent = Path::new(&lent);
    let neighbour = lent.with_file_name("neighbour");
    match how.trim_start_matches("lent ") {
        "read" => fs::read(lent).map(|_| ()),
        "read by its name here" => fs::read("source").map(|_| ()),
        "write" => fs::write("source", "x"),
        "append" => OpenOptions::new().append(true).open(lent)?.write_all(b"x"),
        "empty" => empty(lent),
        "truncate" => OpenOptions::new().write(true).open(lent)?.set_len(1),
        "remove" => fs::remove_file(lent),
        "replace" => fs::write("mine", "x").and_then(|()| fs::rename("mine", lent)),
        "take" => fs::rename(lent, "mine"),
        "link" => fs::hard_link(lent, "mine").and_then(|()| fs::write("mine", "x")),
        "list" => fs::read_dir(lent.parent().expect("a directory")).map(|_| ()),
        "neighbour" => fs::read(neighbour).map(|_| ()),
        _ => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

fn write_elsewhere() -> std::io::Result<()> {
    let place = std::env::temp_dir().join(format!("toktik-trespass-{}", std::process::id()));
    std::fs::write(&place, "x")?;
    std::fs::remove_file(place)
}

fn move_elsewhere() -> std::io::Result<()> {
    std::fs::write("file", "x")?;
    let place = std::env::temp_dir().join(format!("toktik-trespass-moved-{}", std::process::id()));
    std::fs::rename("file", &place)?;
    std::fs::remove_file(place)
}

fn change_permissions() -> std::io::Result<()> {
    std::fs::write("file", "x")?;
    let mut permissions = std::fs::metadata("file")?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions("file", permissions)
}

/// To the owner that it has already.
fn change_owner() -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    std::fs::write("file", "x")?;
    std::os::unix::fs::chown("file", Some(std::fs::metadata("file")?.uid()), None)
}

fn change_time() -> std::io::Result<()> {
    std::fs::File::create("file")?.set_modified(std::time::UNIX_EPOCH)
}

fn make_fifo() -> std::io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode};
    Ok(rustix::fs::mknodat(CWD, "fifo", FileType::Fifo, Mode::RUSR, 0)?)
}

/// A program that it has written itself. It says so if it runs.
fn become_own_program() -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let this = std::fs::read(std::env::args_os().next().unwrap_or_default())?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).mode(0o755);
    options.open("program")?.write_all(&this)?;
    Err(Command::new("./program").arg("say").exec())
}

fn hold_parent(parent: rustix::process::Pid) -> std::io::Result<()> {
    rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty())?;
    Ok(())
}

fn spawn_itself() -> std::io::Result<()> {
    Command::new(std::env::args_os().next().unwrap_or_default())
        .arg("nothing")
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

fn fill() {
    let write = || {
        let mut file = std::fs::File::create("big")?;
        (0..4).try_for_each(|_| file.write_all(&vec![0; 1 << 20]))
    };
    tell(write());
}

fn hoard() {
    let mut hoard = Vec::<u8>::new();
    tell(hoard.try_reserve_exact(1 << 30).map_err(std::io::Error::other));
}

fn spin() {
    eprintln!("at work");
    while std::hint::black_box(true) {}
}

fn open() {
    let files: std::io::Result<Vec<_>> = (0..64).map(|_| std::fs::File::open(".")).collect();
    tell(files);
}

/// The lowest free number: 3, if nothing but the three usual ones is open. 9 is tried by opening more than that.
fn descriptors() {
    use std::os::fd::AsRawFd;
    let opened: Vec<_> = (0..12).filter_map(|_| std::fs::File::open(".").ok()).collect();
    let numbers: Vec<i32> = opened.iter().map(AsRawFd::as_raw_fd).collect();
    let first = numbers.first().copied().unwrap_or(-1);
    let contiguous = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    println!("open: {}", if contiguous { first } else { -1 });
}

/// The hard ones, as text.
fn limits() {
    use rustix::process::{Resource, getrlimit};
    let of = |resource| {
        getrlimit(resource)
            .maximum
            .map_or("none".to_owned(), |limit| limit.to_string())
    };
    println!(
        "cpu {}, data {}, stack {}, fsize {}, nofile {}, core {}",
        of(Resource::Cpu),
        of(Resource::Data),
        of(Resource::Stack),
        of(Resource::Fsize),
        of(Resource::Nofile),
        of(Resource::Core)
    );
}

#[expect(clippy::zombie_processes, reason = "leaving the child alone is the point")]
fn die() {
    use std::io::BufRead;
    let launcher = std::path::PathBuf::from(std::env::args_os().nth(2).expect("the launcher"));
    let this = std::env::current_exe().expect("a running program");
    let here = std::env::current_dir().expect("it exists");
    let mut child = toktik_media::sandbox::command(
        Some(&launcher),
        toktik_media::sandbox::Mode::Required,
        &toktik_media::sandbox::Limits::default(),
        &this,
        &here,
        None,
    )
    .arg("spin")
    .stderr(std::process::Stdio::piped())
    .spawn()
    .expect("the launcher starts");
    let mut line = String::new();
    let stderr = child.stderr.take().expect("it is piped");
    std::io::BufReader::new(stderr).read_line(&mut line).expect("it speaks");
    println!("the child is {}", line.trim());
}
