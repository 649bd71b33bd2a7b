//! Refresh tokens: opaque to whoever holds one; the catalog finds the session by it and compares a hash.
//!
//! Inside are the user, the session and 32 random bytes, so that one read finds what it belongs to. Each use makes a
//! new one; an old one coming back means that two hold the same token, and ends the session.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::user::{SessionId, UserId};

/// Tells scanners of leaked secrets, and us, what it is; no JWT begins so.
const PREFIX: &str = "tkr_";
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = 2 * ID_BYTES + SECRET_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub struct InvalidRefreshToken;

/// A refresh token. Never printed; [`RefreshToken::expose`] is what its owner gets.
#[derive(Clone)]
pub struct RefreshToken {
    pub user: UserId,
    pub session: SessionId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// What is stored of a refresh token. A fast hash is enough: nobody guesses 32 random bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl RefreshToken {
    /// A new one of this session.
    pub fn random(user: UserId, session: SessionId) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        // Without randomness nothing here is safe, and no later attempt would fare better.
        #[allow(clippy::expect_used)]
        getrandom::fill(secret.as_mut_slice()).expect("the system gives random bytes");
        Self { user, session, secret }
    }

    pub fn expose(&self) -> String {
        let bytes = [
            self.user.as_bytes().as_slice(),
            self.session.as_bytes(),
            self.secret.as_slice(),
        ]
        .concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash(URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret.as_slice())))
    }
}

impl FromStr for RefreshToken {
    type Err = InvalidRefreshToken;

    fn from_str(text: &str) -> Result<Self, InvalidRefreshToken> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidRefreshToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidRefreshToken)?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().map_err(|_| InvalidRefreshToken)?;
        let (ids, secret) = bytes.split_at(2 * ID_BYTES);
        let (user, session) = ids.split_at(ID_BYTES);
        Ok(Self {
            user: UserId::from_bytes(user.try_into().map_err(|_| InvalidRefreshToken)?),
            session: SessionId::from_bytes(session.try_into().map_err(|_| InvalidRefreshToken)?),
            secret: Zeroizing::new(secret.try_into().map_err(|_| InvalidRefreshToken)?),
        })
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RefreshToken");
        shown
            .field("user", &self.user)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for TokenHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips() {
        let token = RefreshToken::random(UserId::random(), SessionId::random());
        let again: RefreshToken = token.expose().parse().unwrap();
        assert_eq!(
            (again.user, again.session, again.hash()),
            (token.user, token.session, token.hash())
        );
    }

    #[test]
    fn two_of_a_session_differ() {
        let (user, session) = (UserId::random(), SessionId::random());
        assert_ne!(
            RefreshToken::random(user, session).hash(),
            RefreshToken::random(user, session).hash()
        );
    }

    #[test]
    fn it_is_opaque_and_no_jwt() {
        let token = RefreshToken::random(UserId::random(), SessionId::random());
        assert!(!token.expose().contains('.'));
        assert!(!token.expose().contains(&token.user.to_string()));
        let secret = token.expose().split_off(PREFIX.len() + 43);
        assert!(!format!("{token:?}{:?}", token.hash()).contains(&secret));
    }

    #[test]
    fn anything_else_is_refused() {
        let whole = RefreshToken::random(UserId::random(), SessionId::random()).expose();
        let (short, long) = (&whole[..whole.len() - 1], format!("{whole}A"));
        for bad in [
            "",
            "tkr_",
            "eyJhbGciOiJub25lIn0.e30.",
            short,
            &long,
            &whole[4..],
            &whole.replace("tkr_", "tkr_."),
        ] {
            assert!(bad.parse::<RefreshToken>().is_err(), "{bad}");
        }
    }
}
