//! Landlock: which files exist for the child.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

/// The newest rights that are asked for; an older kernel enforces those it knows.
const NEWEST: ABI = ABI::V6;

/// Where shared libraries and the dynamic loader live, on Debian, Alpine, Lambda (layers) and Nix. Missing ones do no
/// harm. They may be executed because the loader has to be; what is executed stays in this sandbox.
const LIBRARIES: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/opt/lib",
    "/nix/store",
];

/// How the loader finds a library.
const LOADER_FILES: &[&str] = &["/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"];

/// Leaves this process the working directory, `program` and the libraries it needs, and of `reads` the bytes; no TCP and no
/// signals to others. What cannot be found is left out.
///
/// Does nothing where the kernel has no Landlock; `doctor` and the start message say so.
pub(super) fn restrict(program: &Path, reads: Option<&Path>) -> Result<(), RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(["."], working_directory()))?
        .add_rules(path_beneath_rules(reads, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules([program], run))?
        .add_rules(path_beneath_rules(LIBRARIES, run))?
        .add_rules(path_beneath_rules(LOADER_FILES, read))?
        .add_rules(path_beneath_rules(
            ["/dev/null"],
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .restrict_self()?;
    Ok(())
}

/// What the kernel offers. Found out by restricting a thread of its own in something it does not do.
pub(super) fn status() -> Option<LandlockStatus> {
    let attempt = || {
        let ruleset = Ruleset::default().handle_access(AccessFs::MakeBlock)?.create()?;
        Ok::<_, RulesetError>(ruleset.restrict_self()?.landlock)
    };
    std::thread::spawn(attempt).join().ok()?.ok()
}

/// All that has to do with plain files and directories: no devices, sockets or pipes, and nothing to execute.
fn working_directory() -> landlock::BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}
