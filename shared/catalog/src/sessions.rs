//! Sessions: one item for each sign-in, which knows the hash of the one refresh token that is good now.
//!
//! Each refresh replaces the hash. A token with another hash was used before, so two have it, and one of them is a
//! thief: the session ends for both. There is no grace for a client that refreshes twice at once.

use std::time::Duration;

use chrono::serde::ts_seconds;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use toktik_identity::{RefreshToken, SessionId, TokenHash, UserId};

use crate::Catalog;
use crate::table::{Error, Key, Query, Write};
use crate::users::{self, User};

const PREFIX: &str = "SESSION#";

/// A sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    hash: TokenHash,
    /// When the password was asked for.
    pub signed_in_at: DateTime<Utc>,
    pub refreshed_at: DateTime<Utc>,
    #[serde(with = "ts_seconds")]
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session ran out, was ended, or never was.
    #[error("there is no such session")]
    Ended,
    /// The token was used before; the session is ended now.
    #[error("the refresh token was used before")]
    Reused,
    /// The account changed since it was read: read it again.
    #[error("the account changed meanwhile")]
    Changed,
    #[error(transparent)]
    Store(#[from] Error),
}

fn key(user: UserId, session: SessionId) -> Key {
    Key::new(users::partition(user), format!("{PREFIX}{session}"))
}

impl Catalog {
    /// Begins a session of an account whose password was just checked; it lasts until it is not used for `lifetime`.
    ///
    /// Rests on the account as it was read: a password changed meanwhile lets nobody in with the old one.
    pub async fn begin_session(
        &self,
        user: &User,
        token: &RefreshToken,
        lifetime: Duration,
        now: DateTime<Utc>,
    ) -> Result<Session, SessionError> {
        let session = Session {
            id: token.session,
            user_id: user.id,
            hash: token.hash(),
            signed_in_at: now,
            refreshed_at: now,
            expires_at: now + lifetime,
        };
        let put = Write::put(key(user.id, session.id), &session)?.if_absent();
        match self.table.write(vec![users::unchanged(user)?, put]).await {
            Ok(()) => Ok(session),
            Err(Error::Condition(_)) => Err(SessionError::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Trades a refresh token for the next one of its session.
    pub async fn refresh_session(
        &self,
        old: &RefreshToken,
        new: &RefreshToken,
        lifetime: Duration,
        now: DateTime<Utc>,
    ) -> Result<Session, SessionError> {
        let key = key(old.user, old.session);
        let found: Option<Session> = self.table.get(&key).await?;
        let session = found
            .filter(|session| session.expires_at > now)
            .ok_or(SessionError::Ended)?;
        let next = Session {
            hash: new.hash(),
            refreshed_at: now,
            expires_at: now + lifetime,
            ..session
        };
        let put = Write::put(key, &next)?.if_equal("hash", &old.hash())?;
        match self.table.write(vec![put]).await {
            Ok(()) => Ok(next),
            Err(Error::Condition(_)) => self.refuse(old).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the session, unless it was over before: signing out is no theft.
    async fn refuse(&self, old: &RefreshToken) -> Result<Session, SessionError> {
        let still_there: Option<Session> = self.table.get(&key(old.user, old.session)).await?;
        self.end_session(old.user, old.session).await?;
        Err(if still_there.is_some() {
            SessionError::Reused
        } else {
            SessionError::Ended
        })
    }

    /// Ends a session; a second time does nothing.
    pub async fn end_session(&self, user: UserId, session: SessionId) -> Result<(), Error> {
        self.table.delete(&key(user, session)).await
    }

    /// Ends all sessions of an account, but for the one that asks for it.
    pub async fn end_sessions(&self, user: UserId, except: Option<SessionId>) -> Result<(), Error> {
        let query = Query::partition(users::partition(user)).prefix(PREFIX);
        let sessions: Vec<Session> = self.table.query_all(query).await?;
        for session in sessions {
            if Some(session.id) != except {
                self.end_session(user, session.id).await?;
            }
        }
        Ok(())
    }
}
