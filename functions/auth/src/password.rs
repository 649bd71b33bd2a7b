//! Checking a password, with every attempt counted.

use chrono::{DateTime, TimeDelta, Utc};
use toktik_catalog::limits::{Attempt, Limit, LimitError};
use toktik_catalog::users::User;
use toktik_identity::{Login, Password, PasswordError};
use toktik_runtime::http::Problem;

use crate::client::Client;
use crate::{App, internal};

/// Wrong passwords for one account, by whichever of its names.
const LOGIN_BY_ACCOUNT: Limit = Limit {
    name: "login-account",
    attempts: 10,
    window: TimeDelta::minutes(15),
};
/// As many for a name that is nobody's: it looks like one that is.
const LOGIN_BY_NAME: Limit = Limit {
    name: "login-name",
    attempts: 10,
    window: TimeDelta::minutes(15),
};
/// Wrong passwords from one network, for whatever names.
const LOGIN_BY_NETWORK: Limit = Limit {
    name: "login-network",
    attempts: 100,
    window: TimeDelta::minutes(15),
};
/// Wrong passwords of somebody signed in: a stolen token is no place to guess from.
const CONFIRM: Limit = Limit {
    name: "confirm",
    attempts: 10,
    window: TimeDelta::minutes(15),
};

const BUSY_SECONDS: u64 = 2;

impl App {
    /// Whose name and password these are. Nobody's and a wrong one's look the same and take as long.
    pub(crate) async fn authenticate(
        &self,
        login: &Login,
        password: &Password,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<Option<User>, Problem> {
        let user = self.context.catalog.user_by_login(login).await.map_err(internal)?;
        let (limit, subject) = match &user {
            Some(user) => (&LOGIN_BY_ACCOUNT, user.id.to_string()),
            None => (&LOGIN_BY_NAME, login.key().to_owned()),
        };
        let mut counted = Vec::new();
        if let Some(network) = &client.network {
            counted.push((&LOGIN_BY_NETWORK, network.as_str()));
        }
        counted.push((limit, &subject));
        let attempts = self.count(&counted, now).await?;
        let hash = user.as_ref().map(|user| &user.password_hash);
        let verified = self.passwords.verify(password, hash).await.map_err(unverified);
        self.settle(attempts, matches!(verified, Ok(false))).await?;
        let right = verified?;
        Ok(user.filter(|_| right))
    }

    /// Whether somebody signed in still knows the password.
    pub(crate) async fn confirm(&self, user: &User, password: &Password, now: DateTime<Utc>) -> Result<(), Problem> {
        let attempts = self.count(&[(&CONFIRM, &user.id.to_string())], now).await?;
        let result = self
            .passwords
            .verify(password, Some(&user.password_hash))
            .await
            .map_err(unverified);
        self.settle(attempts, matches!(result, Ok(false))).await?;
        if result? { Ok(()) } else { Err(wrong_password()) }
    }

    pub(crate) async fn count(&self, limits: &[(&Limit, &str)], now: DateTime<Utc>) -> Result<Vec<Attempt>, Problem> {
        let mut attempts = Vec::new();
        for (limit, subject) in limits {
            match self.context.catalog.attempt(limit, subject, now).await {
                Ok(attempt) => attempts.push(attempt),
                Err(LimitError::Exceeded { retry_after_seconds }) => {
                    // Nothing was tried, so it counts nowhere.
                    self.settle(attempts, false).await?;
                    return Err(Problem::too_many_requests(retry_after_seconds));
                }
                Err(LimitError::Store(error)) => return Err(internal(error)),
            }
        }
        Ok(attempts)
    }

    /// What counts stays counted: of passwords the wrong ones.
    pub(crate) async fn settle(&self, attempts: Vec<Attempt>, counts: bool) -> Result<(), Problem> {
        if counts {
            return Ok(());
        }
        for attempt in attempts {
            self.context.catalog.take_back(attempt).await.map_err(internal)?;
        }
        Ok(())
    }
}

pub(crate) fn unverified(error: PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::too_many_requests(BUSY_SECONDS),
        PasswordError::Failed(_) => internal(anyhow::Error::new(error)),
    }
}

fn wrong_password() -> Problem {
    Problem::new(
        axum::http::StatusCode::FORBIDDEN,
        "wrong_password",
        "The current password is not right.",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn who_finds_a_crowd_is_told_when_to_come_back() {
        let answer = unverified(PasswordError::Busy).into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "2");
    }
}
