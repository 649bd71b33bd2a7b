//! Owners' names, remembered for a moment: they stand at every clip and hardly ever change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use toktik_catalog::{Catalog, Error};
use toktik_identity::UserId;

/// A new name is shown after this time at the latest.
const REMEMBERED_FOR: TimeDelta = TimeDelta::seconds(10);
/// Some megabytes of names.
const MOST: usize = 20_000;

/// Names by user, with the time at which they were read.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<UserId, (String, DateTime<Utc>)>>);

impl Names {
    /// The names of these users. Asks the table only for those that are not remembered.
    pub(crate) async fn of(
        &self,
        users: &[UserId],
        catalog: &Catalog,
        now: DateTime<Utc>,
    ) -> Result<HashMap<UserId, String>, Error> {
        let mut names = self.remembered(users, now);
        let unknown: Vec<UserId> = users.iter().filter(|user| !names.contains_key(user)).copied().collect();
        if !unknown.is_empty() {
            let read = catalog.usernames(&unknown).await?;
            self.remember(&read, now);
            names.extend(read);
        }
        Ok(names)
    }

    fn remembered(&self, users: &[UserId], now: DateTime<Utc>) -> HashMap<UserId, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |read: DateTime<Utc>| read <= now && now < read + REMEMBERED_FOR;
        let name = |user: &UserId| {
            let (name, read) = known.get(user)?;
            fresh(*read).then(|| (*user, name.clone()))
        };
        users.iter().filter_map(name).collect()
    }

    fn remember(&self, names: &HashMap<UserId, String>, now: DateTime<Utc>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + names.len() > MOST {
            known.clear();
        }
        known.extend(names.iter().map(|(user, name)| (*user, (name.clone(), now))));
    }
}
