//! Identifiers that name a clip in URLs, keys and events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A clip. 32 lower-case hexadecimal digits, random: an unlisted clip is as hidden as its id is hard to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a video id: expected 32 lower-case hexadecimal digits")]
pub struct InvalidVideoId;

impl VideoId {
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id that repeated requests with the same name share.
    pub fn derived(name: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for VideoId {
    type Err = InvalidVideoId;

    fn from_str(text: &str) -> Result<Self, InvalidVideoId> {
        let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(InvalidVideoId);
        }
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidVideoId)
    }
}

impl TryFrom<String> for VideoId {
    type Error = InvalidVideoId;

    fn try_from(text: String) -> Result<Self, InvalidVideoId> {
        text.parse()
    }
}

impl From<VideoId> for String {
    fn from(id: VideoId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_other_spellings_are_refused() {
        let id = VideoId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "x", "../../etc", &id.to_string().to_uppercase(), &format!("{id}0")] {
            assert!(bad.parse::<VideoId>().is_err(), "{bad}");
        }
    }
}
