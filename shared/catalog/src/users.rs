//! Accounts, and the claims that make names and addresses unique.
//!
//! A profile and its claims change in one transaction. Each change raises the profile's `revision` and is conditioned on
//! the one it read, so that no change, sign-in or deletion rests on a profile that is no longer so. Of a deleted account
//! a tombstone stays: its id still resolves, to nobody in particular.

use std::collections::HashMap;

use chrono::serde::ts_seconds;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use toktik_events::Message;
use toktik_identity::{
    Bio, DisplayName, Email, Identity, Login, PasswordHash, Role, SessionId, UserId, Username, fingerprint,
};

use crate::Catalog;
use crate::outbox;
use crate::table::{Error, Key, Write};

/// The name shown in place of a deleted account's; reserved, so that nobody can have it.
const DELETED: &str = "deleted";
/// How long the answer to a registration is kept for its `Idempotency-Key`.
const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(24);
/// Bytes; no name or address is longer, and a key of DynamoDB could not be.
const LONGEST_LOGIN: usize = 1024;
/// How often a change is tried again because another one came first.
const CHANGE_ATTEMPTS: u32 = 8;

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub email: String,
    pub password_hash: PasswordHash,
    pub role: Role,
    pub display_name: Option<String>,
    pub bio: Option<String>,
    pub created_at: DateTime<Utc>,
    pub(crate) revision: u64,
}

impl User {
    /// What a token of this session says.
    pub fn identity(&self, session: SessionId, signed_in_at: DateTime<Utc>) -> Identity {
        let Self { id, username, role, .. } = self.clone();
        Identity {
            user: id,
            username,
            role,
            session,
            signed_in_at,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Email,
    pub password_hash: PasswordHash,
    pub role: Role,
}

/// What is to change of an account; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub username: Option<Username>,
    pub email: Option<Email>,
    pub password_hash: Option<PasswordHash>,
    pub role: Option<Role>,
    pub display_name: Change<DisplayName>,
    pub bio: Change<Bio>,
}

/// What becomes of something that an account may lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T: ToString> Change<T> {
    fn apply(&self, to: &mut Option<String>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value.to_string()),
        }
    }
}

/// What a registration was answered, kept for a repeat of it with the same key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    pub user_id: UserId,
    pub username: String,
    pub email: String,
    pub created_at: DateTime<Utc>,
    #[serde(with = "ts_seconds")]
    expires_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("the username belongs to somebody else")]
    UsernameTaken,
    #[error("the e-mail address belongs to somebody else")]
    EmailTaken,
    #[error("the idempotency key was used before")]
    KeyUsed,
    #[error("there is no such account")]
    Unknown,
    #[error(transparent)]
    Store(#[from] Error),
}

/// The `PROFILE` item: an account or its tombstone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Profile {
    id: UserId,
    username: String,
    email: Option<String>,
    password_hash: Option<PasswordHash>,
    role: Role,
    display_name: Option<String>,
    bio: Option<String>,
    created_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    revision: u64,
}

impl Profile {
    fn account(self) -> Option<User> {
        let (Some(email), Some(password_hash), None) = (self.email, self.password_hash, self.deleted_at) else {
            return None;
        };
        Some(User {
            id: self.id,
            username: self.username,
            email,
            password_hash,
            role: self.role,
            display_name: self.display_name,
            bio: self.bio,
            created_at: self.created_at,
            revision: self.revision,
        })
    }

    fn tombstone(user: &User, now: DateTime<Utc>) -> Self {
        Self {
            id: user.id,
            username: DELETED.to_owned(),
            email: None,
            password_hash: None,
            role: Role::User,
            display_name: None,
            bio: None,
            created_at: user.created_at,
            deleted_at: Some(now),
            revision: user.revision + 1,
        }
    }
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: Some(user.email),
            password_hash: Some(user.password_hash),
            role: user.role,
            display_name: user.display_name,
            bio: user.bio,
            created_at: user.created_at,
            deleted_at: None,
            revision: user.revision,
        }
    }
}

/// Who has a name or an address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Claim {
    user_id: UserId,
}

/// What a write of a transaction is about, to tell which one was refused.
#[derive(Clone, Copy)]
enum Part {
    Memory,
    Profile,
    Username,
    Email,
}

type Parts = Vec<(Part, Write)>;

pub(crate) fn partition(id: UserId) -> String {
    format!("USER#{id}")
}

fn profile(id: UserId) -> Key {
    Key::new(partition(id), "PROFILE")
}

fn name_claim(key: &str) -> Key {
    Key::new(format!("NAME#{key}"), "CLAIM")
}

fn email_claim(key: &str) -> Key {
    Key::new(format!("EMAIL#{key}"), "CLAIM")
}

/// Keys of DynamoDB are limited in size; what people type is not.
fn memory(key: &str) -> Key {
    Key::new(format!("IDEMPOTENCY#{}", fingerprint(key)), "register")
}

/// Holds while nothing changed since the account was read.
pub(crate) fn unchanged(user: &User) -> Result<Write, Error> {
    Write::check(profile(user.id)).if_equal("revision", &user.revision)
}

impl Catalog {
    /// Makes an account. With a key that was used within a day: [`UserError::KeyUsed`], and nothing is written.
    pub async fn create_user(
        &self,
        new: NewUser,
        idempotency_key: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<User, UserError> {
        let mut parts = Parts::new();
        let id = UserId::random();
        if let Some(key) = idempotency_key {
            parts.push((Part::Memory, remember(key, id, &new, now)?));
        }
        parts.push((Part::Username, claim(name_claim(&new.username.key()), id)?));
        parts.push((Part::Email, claim(email_claim(&new.email.key()), id)?));
        let user = User {
            id,
            username: new.username.into(),
            email: new.email.into(),
            password_hash: new.password_hash,
            role: new.role,
            display_name: None,
            bio: None,
            created_at: now,
            revision: 1,
        };
        parts.push((
            Part::Profile,
            Write::put(profile(id), &Profile::from(user.clone()))?.if_absent(),
        ));
        match self.write_parts(parts).await? {
            None => Ok(user),
            Some(Part::Memory) => Err(UserError::KeyUsed),
            Some(part) => Err(taken(part)),
        }
    }

    /// What the registration with this key was answered.
    pub async fn registration(&self, key: &str, now: DateTime<Utc>) -> Result<Option<Registration>, Error> {
        let kept: Option<Registration> = self.table.get(&memory(key)).await?;
        Ok(kept.filter(|kept| kept.expires_at > now))
    }

    /// The account, unless it was deleted.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        let found: Option<Profile> = self.table.get(&profile(id)).await?;
        Ok(found.and_then(Profile::account))
    }

    /// Whose username or address this is.
    pub async fn user_by_login(&self, login: &Login) -> Result<Option<User>, Error> {
        if login.key().len() > LONGEST_LOGIN {
            return Ok(None);
        }
        let key = match login {
            Login::Username(key) => name_claim(key),
            Login::Email(key) => email_claim(key),
        };
        let claim: Option<Claim> = self.table.get(&key).await?;
        match claim {
            Some(claim) => self.user(claim.user_id).await,
            None => Ok(None),
        }
    }

    /// The usernames of these accounts, `deleted` for those that are gone.
    pub async fn usernames(&self, ids: &[UserId]) -> Result<HashMap<UserId, String>, Error> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        // A batch read with the same key twice is refused.
        ids.dedup();
        let keys: Vec<Key> = ids.iter().map(|id| profile(*id)).collect();
        let found: Vec<Profile> = self.table.get_many(&keys).await?;
        let names = found.into_iter().map(|profile| (profile.id, profile.username));
        Ok(names.collect())
    }

    /// Changes an account; a name or address given up is free at once.
    pub async fn update_user(&self, id: UserId, changes: &Changes) -> Result<User, UserError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let old = self.user(id).await?.ok_or(UserError::Unknown)?;
            let new = changed(&old, changes);
            match self.write_parts(replace(&old, &new)?).await? {
                None => return Ok(new),
                Some(Part::Profile) => {}
                Some(part) => return Err(taken(part)),
            }
        }
        Err(contended())
    }

    /// Deletes an account: its names are free, its sessions end, a tombstone stays. A second time does nothing.
    ///
    /// The event is owed: what else belongs to the account is for others to remove.
    pub async fn delete_user(&self, id: UserId, message: &Message, now: DateTime<Utc>) -> Result<(), UserError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let Some(user) = self.user(id).await? else {
                return Ok(self.end_sessions(id, None).await?);
            };
            let mut parts = bury(&user, now)?;
            parts.push((Part::Profile, outbox::remember(message)?));
            if self.write_parts(parts).await?.is_none() {
                return Ok(self.end_sessions(id, None).await?);
            }
        }
        Err(contended())
    }

    /// Which part was refused, if one was.
    async fn write_parts(&self, parts: Parts) -> Result<Option<Part>, Error> {
        let (names, writes): (Vec<Part>, Vec<Write>) = parts.into_iter().unzip();
        match self.table.write(writes).await {
            Ok(()) => Ok(None),
            Err(Error::Condition(index)) => Ok(names.get(index).copied()),
            Err(error) => Err(error),
        }
    }
}

fn taken(part: Part) -> UserError {
    match part {
        Part::Username => UserError::UsernameTaken,
        Part::Email => UserError::EmailTaken,
        Part::Memory | Part::Profile => contended(),
    }
}

fn contended() -> UserError {
    UserError::Store(Error::Store(anyhow::anyhow!(
        "other changes of the same account kept coming first"
    )))
}

fn claim(key: Key, user_id: UserId) -> Result<Write, Error> {
    Ok(Write::put(key, &Claim { user_id })?.if_absent())
}

/// Writes over a record that has run out and that the store has not removed yet.
fn remember(key: &str, user_id: UserId, new: &NewUser, now: DateTime<Utc>) -> Result<Write, Error> {
    let kept = Registration {
        user_id,
        username: new.username.as_str().to_owned(),
        email: new.email.as_str().to_owned(),
        created_at: now,
        expires_at: now + REMEMBERED_FOR,
    };
    Write::put(memory(key), &kept)?.unless_above("expires_at", &now.timestamp())
}

fn changed(old: &User, changes: &Changes) -> User {
    let mut user = old.clone();
    user.revision += 1;
    if let Some(username) = &changes.username {
        username.as_str().clone_into(&mut user.username);
    }
    if let Some(email) = &changes.email {
        email.as_str().clone_into(&mut user.email);
    }
    if let Some(hash) = &changes.password_hash {
        user.password_hash = hash.clone();
    }
    if let Some(role) = changes.role {
        user.role = role;
    }
    changes.display_name.apply(&mut user.display_name);
    changes.bio.apply(&mut user.bio);
    user
}

/// The profile, and the claims if they differ by more than case.
fn replace(old: &User, new: &User) -> Result<Parts, Error> {
    let put = Write::put(profile(new.id), &Profile::from(new.clone()))?;
    let mut parts = vec![(Part::Profile, put.if_equal("revision", &old.revision)?)];
    let names = (name_key(old), name_key(new));
    if names.0 != names.1 {
        parts.push((Part::Username, claim(name_claim(&names.1), new.id)?));
        parts.push((Part::Profile, Write::delete(name_claim(&names.0))));
    }
    let emails = (email_key(old), email_key(new));
    if emails.0 != emails.1 {
        parts.push((Part::Email, claim(email_claim(&emails.1), new.id)?));
        parts.push((Part::Profile, Write::delete(email_claim(&emails.0))));
    }
    Ok(parts)
}

fn bury(user: &User, now: DateTime<Utc>) -> Result<Parts, Error> {
    let put = Write::put(profile(user.id), &Profile::tombstone(user, now))?;
    Ok(vec![
        (Part::Profile, put.if_equal("revision", &user.revision)?),
        (Part::Profile, Write::delete(name_claim(&name_key(user)))),
        (Part::Profile, Write::delete(email_claim(&email_key(user)))),
    ])
}

/// As [`Username::key`]; a stored name is not judged again by the rules of today.
fn name_key(user: &User) -> String {
    user.username.to_ascii_lowercase()
}

/// As [`Email::key`].
fn email_key(user: &User) -> String {
    user.email.to_lowercase()
}
