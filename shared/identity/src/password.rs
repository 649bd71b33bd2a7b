//! Passwords: what may be one, and their slow hashes.
//!
//! A hash costs 19 MiB and some 20 ms of a core, on purpose, so only a few are computed at once and a short queue waits;
//! beyond it the caller is told to come back, instead of a flood of logins starving everything else.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use zeroize::Zeroizing;

/// NIST SP 800-63B 3.1.1.2 asks for 8 at least and to accept 64; no rule about which characters.
const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 128;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many wait for each one that is being computed.
const QUEUE_PER_WORKER: usize = 8;

/// A hash nobody has the password of, so that an unknown name takes as long as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5aGFzdGhpc29uZQ$wuyl4BFBIHaFZtqbRLjEcbXBT3zbcnkPgUzFnRRqFNU";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("must have at least {MIN_CHARS} characters")]
    Short,
    #[error("must have at most {MAX_CHARS} characters")]
    Long,
}

/// A password as somebody typed it. Never printed, wiped from memory after use.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// What somebody signs in with: right or wrong, but not to be judged by the rules for new ones.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        match text.chars().count() {
            ..MIN_CHARS => Err(InvalidPassword::Short),
            MIN_CHARS..=MAX_CHARS => Ok(Self::presented(text)),
            _ => Err(InvalidPassword::Long),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is stored instead of a password: a PHC string that carries its own salt and parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many at once: try again in a second or two.
    #[error("too many passwords are being checked at once")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// Computes hashes, a few at a time.
#[derive(Clone, Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Passwords {
    /// `workers` hashes at once, at least one; each takes a core and 19 MiB.
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            running: Arc::new(Semaphore::new(workers)),
            admitted: Arc::new(Semaphore::new(workers * (1 + QUEUE_PER_WORKER))),
        }
    }

    /// One worker a core.
    pub fn for_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, PasswordError> {
        let password = password.clone();
        self.run(move || hash(&password)).await?
    }

    /// Whether this is the password of the hash; without a hash it is not, and takes as long to say so.
    pub async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.map_or_else(|| NOBODY.to_owned(), |hash| hash.0.clone());
        let password = password.clone();
        let right = self.run(move || verify(&password, &hash)).await??;
        Ok(right && known)
    }

    /// The permits go with the work: a caller that goes away does not make room for more than fits.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let admitted = self.admit()?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|error| PasswordError::Failed(error.to_string()))?;
        let task = tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            work()
        });
        task.await.map_err(|error| PasswordError::Failed(error.to_string()))
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, PasswordError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        admitted.map_err(|error| match error {
            TryAcquireError::NoPermits => PasswordError::Busy,
            TryAcquireError::Closed => PasswordError::Failed(error.to_string()),
        })
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &Password) -> Result<PasswordHash, PasswordError> {
    let hashed = argon2()?.hash_password(password.0.as_bytes());
    let hashed: phc::PasswordHash = hashed.map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(PasswordHash(hashed.to_string()))
}

fn verify(password: &Password, hash: &str) -> Result<bool, PasswordError> {
    use argon2::password_hash::Error;
    let hash = phc::PasswordHash::new(hash).map_err(|error| PasswordError::Failed(error.to_string()))?;
    match argon2()?.verify_password(password.0.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_only_rule() {
        assert_eq!("1234567".parse::<Password>().unwrap_err(), InvalidPassword::Short);
        assert_eq!("x".repeat(129).parse::<Password>().unwrap_err(), InvalidPassword::Long);
        for good in ["12345678", "pässwörd", "correct horse battery staple", &"ß".repeat(128)] {
            assert!(good.parse::<Password>().is_ok(), "{good}");
        }
    }

    #[test]
    fn nothing_is_printed() {
        let password: Password = "correct horse".parse().unwrap();
        let hash = hash(&password).unwrap();
        assert_eq!(format!("{password:?} {hash:?}"), "Password(…) PasswordHash(…)");
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let passwords = Passwords::new(2);
        let right = Password::presented("correct horse");
        let hash = passwords.hash(&right).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_ne!(
            passwords.hash(&right).await.unwrap(),
            hash,
            "each has a salt of its own"
        );
        assert_eq!(passwords.verify(&right, Some(&hash)).await, Ok(true));
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert_eq!(
                passwords.verify(&Password::presented(wrong), Some(&hash)).await,
                Ok(false),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        let cost = |text: &str| {
            let hash = phc::PasswordHash::new(text).unwrap();
            (hash.algorithm, hash.version, Params::try_from(&hash).unwrap())
        };
        let somebody = hash(&Password::presented("correct horse")).unwrap();
        assert_eq!(cost(NOBODY), cost(&somebody.0));
        let verdict = Passwords::new(1)
            .verify(&Password::presented("correct horse"), None)
            .await;
        assert_eq!(verdict, Ok(false));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
        let verdict = Passwords::new(1)
            .verify(&Password::presented("x"), Some(&PasswordHash("junk".to_owned())))
            .await;
        assert!(matches!(verdict, Err(PasswordError::Failed(_))));
    }

    #[tokio::test]
    async fn beyond_the_queue_is_busy() {
        let passwords = Passwords::new(1);
        let everyone = u32::try_from(1 + QUEUE_PER_WORKER).unwrap();
        let queue = Arc::clone(&passwords.admitted)
            .acquire_many_owned(everyone)
            .await
            .unwrap();
        assert_eq!(
            passwords.verify(&Password::presented("x"), None).await,
            Err(PasswordError::Busy)
        );
        drop(queue);
        assert_eq!(passwords.verify(&Password::presented("x"), None).await, Ok(false));
    }
}
