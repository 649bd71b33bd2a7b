//! The ids of users and sessions, roles, and what a token says of its bearer.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Neither a user's nor a session's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 32 lower-case hexadecimal digits")]
pub struct InvalidId;

/// An account. 32 lower-case hexadecimal digits, random, never given to a second account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Uuid);

/// One sign-in and all tokens that descend from it: a refresh-token family. Written like [`UserId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(Uuid);

macro_rules! id {
    ($name:ident) => {
        impl $name {
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub(crate) fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id!(UserId);
id!(SessionId);

/// One spelling an id: two would be two keys of the same thing.
fn parse(text: &str) -> Result<Uuid, InvalidId> {
    let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(InvalidId);
    }
    Uuid::parse_str(text).map_err(|_| InvalidId)
}

/// What somebody may do beyond their own things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    User,
    Admin,
}

impl Role {
    pub fn is_admin(self) -> bool {
        self == Self::Admin
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Admin => "admin",
        })
    }
}

/// What a valid access token says of its bearer. As old as the token: a name or role changed since shows at the next
/// refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub username: String,
    pub role: Role,
    /// The sign-in this token descends from.
    pub session: SessionId,
    /// When a password was last asked for; a refresh does not move it.
    pub signed_in_at: DateTime<Utc>,
}

impl Identity {
    pub fn is_admin(&self) -> bool {
        self.role.is_admin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_other_spellings_are_refused() {
        let id = UserId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(UserId::from_bytes(*id.as_bytes()), id);
        for bad in ["", "x", "../../etc", &id.to_string().to_uppercase(), &format!("{id}0")] {
            assert_eq!(bad.parse::<UserId>(), Err(InvalidId), "{bad}");
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn roles_are_written_in_lower_case() {
        assert_eq!(
            serde_json::to_string(&Role::Admin).unwrap(),
            format!("\"{}\"", Role::Admin)
        );
        assert_eq!(serde_json::from_str::<Role>("\"user\"").unwrap(), Role::User);
    }
}
