//! What of the sandbox this machine can hold up, in words for `doctor` and the start message.

use std::fmt;

use landlock::LandlockStatus;

use super::{calls, files};

/// What the kernel offers to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Version of Landlock's interface; none where it is missing or switched off.
    pub landlock_abi: Option<u32>,
    pub seccomp: bool,
}

/// Landlock's first version that knows about TCP.
const NETWORK: u32 = 4;

/// Asks the kernel.
pub fn support() -> Report {
    Report {
        landlock_abi: landlock_abi(),
        seccomp: calls::supported(),
    }
}

fn landlock_abi() -> Option<u32> {
    match files::status()? {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u32),
        _ => None,
    }
}

impl Report {
    /// Everything asked for can be enforced.
    pub fn complete(&self) -> bool {
        self.seccomp && self.landlock_abi.is_some_and(|abi| abi >= NETWORK)
    }
}

/// One line for each mechanism.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock_abi {
            Some(abi) if abi >= NETWORK => writeln!(out, "Landlock: yes (ABI {abi})")?,
            Some(abi) => writeln!(
                out,
                "Landlock: yes (ABI {abi}), for files only; seccomp alone denies the network"
            )?,
            None => writeln!(out, "Landlock: no; ffmpeg can read every file that this user can")?,
        }
        if self.seccomp {
            write!(out, "seccomp: yes")
        } else {
            write!(out, "seccomp: no; ffmpeg only runs with TOKTIK_SANDBOX=best-effort")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_is_named() {
        let nothing = Report {
            landlock_abi: None,
            seccomp: false,
        };
        assert!(!nothing.complete());
        assert_eq!(
            nothing.to_string(),
            "Landlock: no; ffmpeg can read every file that this user can\n\
             seccomp: no; ffmpeg only runs with TOKTIK_SANDBOX=best-effort"
        );
    }

    #[test]
    fn all_is_well_from_the_version_that_knows_the_network() {
        let report = |abi| Report {
            landlock_abi: Some(abi),
            seccomp: true,
        };
        assert!(!report(3).complete());
        assert!(report(4).complete());
        assert_eq!(report(6).to_string(), "Landlock: yes (ABI 6)\nseccomp: yes");
    }
}
