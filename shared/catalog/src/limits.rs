//! Limits on how often something may be tried: counters of fixed windows, which the store removes when they are over.
//!
//! An attempt is counted before it is made and taken back if it was a good one. Counting afterwards would let a crowd
//! that comes at once pass the check before the first of them has failed.

use chrono::serde::ts_seconds;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use toktik_identity::fingerprint;

use crate::Catalog;
use crate::table::{Error, Key, Write};

/// So many attempts in so long a window.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Part of the counter's key: two limits with the same name share their counters.
    pub name: &'static str,
    pub attempts: u32,
    pub window: TimeDelta,
}

/// An attempt that was counted.
#[derive(Clone, Debug)]
#[must_use = "an attempt that succeeds is to be taken back"]
pub struct Attempt(Key);

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("too many attempts: the next one is in {retry_after_seconds} s")]
    Exceeded { retry_after_seconds: u64 },
    #[error(transparent)]
    Store(#[from] Error),
}

#[derive(Serialize, Deserialize)]
struct Window {
    attempts: i64,
    #[serde(with = "ts_seconds")]
    expires_at: DateTime<Utc>,
}

impl Limit {
    /// The end of the window that this moment is in.
    fn end(&self, now: DateTime<Utc>) -> i64 {
        let window = self.window.num_seconds().max(1);
        (now.timestamp().div_euclid(window) + 1) * window
    }

    /// The subject is an address or a name somebody typed: as a fingerprint it fits into a key and is not kept.
    fn key(&self, subject: &str, end: i64) -> Key {
        Key::new(
            format!("LIMIT#{}#{}", self.name, fingerprint(subject)),
            format!("WINDOW#{end}"),
        )
    }
}

impl Catalog {
    /// Counts an attempt by this subject, or refuses it.
    pub async fn attempt(&self, limit: &Limit, subject: &str, now: DateTime<Utc>) -> Result<Attempt, LimitError> {
        let end = limit.end(now);
        let key = limit.key(subject, end);
        let count = Write::update(key.clone())
            .add("attempts", 1)
            .set("expires_at", &end)?
            .unless_above("attempts", &(i64::from(limit.attempts) - 1))?;
        match self.table.update::<Window>(count).await {
            Ok(_) => Ok(Attempt(key)),
            Err(Error::Condition(_)) => Err(LimitError::Exceeded {
                retry_after_seconds: wait(end, now),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an attempt back: it was a good one, or it was never made.
    pub async fn take_back(&self, attempt: Attempt) -> Result<(), Error> {
        let uncount = Write::update(attempt.0).add("attempts", -1).if_exists();
        match self.table.update::<Window>(uncount).await {
            // The window is over and swept.
            Ok(_) | Err(Error::Condition(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn wait(end: i64, now: DateTime<Utc>) -> u64 {
    u64::try_from(end - now.timestamp()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: Limit = Limit {
        name: "login",
        attempts: 10,
        window: TimeDelta::minutes(15),
    };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn windows_follow_each_other_without_a_gap() {
        let end = at("2026-03-01T12:15:00Z").timestamp();
        assert_eq!(LOGIN.end(at("2026-03-01T12:00:00Z")), end);
        assert_eq!(LOGIN.end(at("2026-03-01T12:14:59Z")), end);
        assert_eq!(LOGIN.end(at("2026-03-01T12:15:00Z")), end + 900);
        assert_eq!(wait(end, at("2026-03-01T12:14:59.5Z")), 1);
        assert_eq!(wait(end, at("2026-03-01T12:00:00Z")), 900);
    }

    #[test]
    fn a_key_does_not_show_whose_it_is() {
        let key = LOGIN.key("ada@example.com", 900);
        assert!(!key.pk.contains("ada"), "{}", key.pk);
        assert_eq!(key.sk, "WINDOW#900");
        assert_ne!(key, LOGIN.key("bob@example.com", 900));
    }
}
