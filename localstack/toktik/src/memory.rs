//! Keeps an idle process small.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Starts this program over with an allocator that gives memory back.
///
/// glibc keeps what each thread has freed in an arena of its own, so that a few clips leave 140 MB behind that nobody
/// uses; with these settings it is 16. It reads them before `main`, and changing them later takes unsafe code.
///
/// Four arenas take one to four megabytes more than two, where the threads of a small machine spent part of a request
/// waiting for one another.
pub fn be_frugal() {
    const SETTINGS: [(&str, &str); 3] = [
        ("MALLOC_ARENA_MAX", "4"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ];
    let chosen = SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some());
    if chosen || !cfg!(target_env = "gnu") {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Where it cannot be started over it goes on as it is, only larger.
    let error = command.args(arguments).envs(SETTINGS).exec();
    eprintln!("toktik: going on with the allocator's defaults: {error}");
}
