//! seccomp: which system calls exist for the child.
//!
//! It is a list of what is allowed, since lists of what is forbidden age: they miss new calls, and the x32 numbers by
//! which the old ones can be reached again. Everything else answers ENOSYS, as on a kernel that lacks it, so that
//! libraries fall back to something older: glibc's threads from `clone3`, whose flags lie in memory that a filter
//! cannot see, to `clone`; libnuma to doing nothing. In particular there are no sockets, no `fork`, `ptrace`,
//! `process_vm_*`, `kill`, `mount`, `bpf`, `io_uring_*`, `keyctl`, and no `chmod`, `chown` or `utime`, which Landlock does
//! not cover.
//!
//! `execve` has to stay for the one step from the launcher to ffmpeg. It replaces the process and keeps every
//! restriction, so repeating it gains nothing.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed with any arguments.
const ALLOWED: &[i64] = &[
    // Memory
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mlock,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    // Files: which ones is Landlock's business
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pselect6,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Threads and the process itself
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    // Time, chance and the machine
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
];

/// Calls of 1990s shape that only x86 has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

/// "Is this a terminal", its width, how much can be read.
const IOCTLS: &[u64] = &[0x5401, 0x5413, 0x541b];
const PR_SET_NAME: u64 = 15;

/// A new thread is allowed, a new process or a new namespace is not.
const CLONE_DECIDES: u32 = (libc::CLONE_THREAD
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// Binds the calling thread and all it starts; irrevocable.
pub(super) fn restrict() -> Result<(), seccompiler::Error> {
    apply_filter(&compile(rules(std::process::id())?)?)
}

/// Whether the kernel takes a filter. Tried on a thread of its own, which it then binds to everything but `reboot`.
pub(super) fn supported() -> bool {
    let attempt = || {
        let filter = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_reboot, vec![])]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM.unsigned_abs()),
            std::env::consts::ARCH.try_into()?,
        )?;
        apply_filter(&BpfProgram::try_from(filter)?)
    };
    std::thread::spawn(attempt).join().is_ok_and(|applied| applied.is_ok())
}

fn compile(rules: Rules) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

fn rules(own_pid: u32) -> Result<Rules, BackendError> {
    let mut rules: Rules = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, vec![])).collect();
    let thread = SeccompCmpOp::MaskedEq(u64::from(CLONE_DECIDES));
    rules.insert(
        libc::SYS_clone,
        vec![when(0, thread, libc::CLONE_THREAD.unsigned_abs().into())?],
    );
    rules.insert(
        libc::SYS_ioctl,
        IOCTLS.iter().map(|code| equal(1, *code)).collect::<Result<_, _>>()?,
    );
    rules.insert(libc::SYS_prctl, vec![equal(0, PR_SET_NAME)?]);
    // Reading a limit, not setting it: root could raise its own and anybody's.
    rules.insert(libc::SYS_prlimit64, vec![pointer_is_null(2)?]);
    // Which files is Landlock's business, but its first versions let everything be emptied that may be read.
    rules.insert(libc::SYS_openat, truncating_only_to_write(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, truncating_only_to_write(1)?);
    // `abort` signals the process itself.
    rules.insert(libc::SYS_tgkill, vec![equal(0, own_pid.into())?]);
    Ok(rules)
}

fn truncating_only_to_write(argument: u8) -> Result<Vec<SeccompRule>, BackendError> {
    let is = |mask: i32, value: i32| {
        let (mask, value) = (mask.cast_unsigned().into(), value.cast_unsigned().into());
        when(argument, SeccompCmpOp::MaskedEq(mask), value)
    };
    Ok(vec![
        is(libc::O_TRUNC, 0)?,
        is(libc::O_ACCMODE, libc::O_WRONLY)?,
        is(libc::O_ACCMODE, libc::O_RDWR)?,
    ])
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    when(argument, SeccompCmpOp::Eq, value)
}

fn when(argument: u8, comparison: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)?;
    SeccompRule::new(vec![condition])
}

fn pointer_is_null(argument: u8) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles() {
        compile(rules(1).expect("rules")).expect("program");
    }

    #[test]
    fn what_gives_power_is_not_in_the_list() {
        let rules = rules(1).expect("rules");
        let forbidden = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_clone3,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kill,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
            libc::SYS_memfd_create,
            libc::SYS_setrlimit,
        ];
        for call in forbidden {
            assert!(!rules.contains_key(&call), "system call {call}");
        }
    }
}
