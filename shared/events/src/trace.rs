//! W3C trace context, level 1: the `traceparent` that ties every step of a clip to the request that uploaded it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
            trace: Uuid::new_v4().as_u128(),
            parent: span_id(),
            flags: 1,
        }
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            parent: span_id(),
            ..self
        }
    }

    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

fn span_id() -> u64 {
    // The upper half of a random UUID has a fixed version nibble, so it is never zero, which the format forbids.
    Uuid::new_v4().as_u64_pair().0
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
