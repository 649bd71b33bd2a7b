//! W3C trace context, level 1: the `traceparent` that ties every step of a clip to the request that uploaded it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `00-<trace id>-<parent id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of version 00")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The first span of a new, sampled trace.
    pub fn root() -> Self {
        Self {
            trace: u128::from(random()) << 64 | u128::from(random()),
            parent: random(),
            flags: 1,
        }
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            parent: random(),
            ..self
        }
    }

    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// Never zero, which the format forbids. No two are the same but by chance, and none is a secret: each is the hash of
/// nothing under a key of its own, which the standard library draws from the system once a thread. Every request needs
/// three, and none a system call.
fn random() -> u64 {
    RandomState::new().hash_one(()).max(1)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let fields: Vec<&str> = text.split('-').collect();
        let &[version, trace, parent, flags] = fields.as_slice() else {
            return Err(InvalidTraceParent);
        };
        let trace = u128::from_str_radix(hex(trace, 32)?, 16).map_err(|_| InvalidTraceParent)?;
        let parent = u64::from_str_radix(hex(parent, 16)?, 16).map_err(|_| InvalidTraceParent)?;
        let flags = u8::from_str_radix(hex(flags, 2)?, 16).map_err(|_| InvalidTraceParent)?;
        if version != "00" || trace == 0 || parent == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace, parent, flags })
    }
}

fn hex(text: &str, digits: usize) -> Result<&str, InvalidTraceParent> {
    let valid = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if valid { Ok(text) } else { Err(InvalidTraceParent) }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_a_child_stays_in_the_trace() {
        let root = TraceParent::root();
        assert_eq!(root.to_string().parse(), Ok(root));
        assert_eq!(root.child().trace_id(), root.trace_id());
        assert_ne!(root.child(), root);
    }

    #[test]
    fn no_two_are_the_same() {
        let made = || (0..1000).map(|_| TraceParent::root().to_string()).collect::<Vec<_>>();
        let elsewhere = std::thread::spawn(made);
        let mut all = made();
        all.extend(elsewhere.join().unwrap());
        let both = |trace: &String| [trace[3..35].to_owned(), trace[36..52].to_owned()];
        let different: std::collections::HashSet<String> = all.iter().flat_map(both).collect();
        assert_eq!(different.len(), 4000);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
