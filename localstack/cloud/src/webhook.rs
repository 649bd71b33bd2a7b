//! Notifications by HTTP POST, in MinIO's form, at least once: they wait in an outbox that the object's own transaction
//! has written to, until the receiver has answered with success.

use std::time::Duration;

use rusqlite::params;
use tokio_util::sync::CancellationToken;

use crate::clock::millis;
use crate::store::{Bell, Error, Store, Unit};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_mins(5);
const TIMEOUT: Duration = Duration::from_mins(1);
const AT_ONCE: usize = 16;

/// Where notifications are posted.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
}

struct Letter {
    id: i64,
    body: String,
    attempts: u32,
}

/// Puts a letter into the outbox.
pub(crate) fn post(unit: &mut Unit<'_>, body: &str) -> Result<(), rusqlite::Error> {
    unit.prepare_cached("INSERT INTO outbox (body, due) VALUES (?1, ?2)")?
        .execute(params![body, unit.now])?;
    unit.ring(Bell::Outbox);
    Ok(())
}

#[derive(Clone)]
pub(crate) struct Postman {
    store: Store,
    webhook: Webhook,
    client: reqwest::Client,
}

impl Postman {
    pub(crate) fn new(store: Store, webhook: Webhook) -> Postman {
        store.open_outbox();
        Postman {
            store,
            webhook,
            client: reqwest::Client::new(),
        }
    }

    /// Delivers what is due, as it becomes due, until stopped.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let bell = self.store.bells().of(Bell::Outbox);
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if let Err(error) = self.deliver().await {
                tracing::error!(%error, "the outbox cannot be read");
            }
            let rest = self.until_due().await.unwrap_or(LONGEST_DELAY);
            tokio::select! {
                () = stop.cancelled() => return,
                () = rung => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One attempt for each letter that is due; returns how many arrived.
    pub(crate) async fn deliver(&self) -> Result<usize, Error> {
        let mut arrived = 0;
        loop {
            let letters = self.due().await?;
            if letters.is_empty() {
                return Ok(arrived);
            }
            for letter in letters {
                arrived += usize::from(self.attempt(letter).await?);
            }
        }
    }

    async fn due(&self) -> Result<Vec<Letter>, Error> {
        let now = self.store.now();
        self.store
            .read(move |connection| {
                let sql = "SELECT id, body, attempts FROM outbox WHERE due <= ?1 ORDER BY due, id LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![now, AT_ONCE], |row| {
                    Ok(Letter {
                        id: row.get(0)?,
                        body: row.get(1)?,
                        attempts: row.get(2)?,
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn until_due(&self) -> Result<Duration, Error> {
        let now = self.store.now();
        let due = self.store.read(|connection| {
            let due = connection.query_row("SELECT min(due) FROM outbox", [], |row| row.get::<_, Option<i64>>(0));
            Ok::<_, Error>(due?)
        });
        let rest = due.await?.map_or(millis(LONGEST_DELAY), |due| due - now);
        Ok(Duration::from_millis(u64::try_from(rest).unwrap_or(0)))
    }

    async fn attempt(&self, letter: Letter) -> Result<bool, Error> {
        let arrived = self.send(&letter.body).await;
        if let Err(error) = &arrived {
            tracing::warn!(%error, attempts = letter.attempts + 1, "a notification did not reach the webhook");
        }
        let delay = FIRST_DELAY
            .saturating_mul(1 << letter.attempts.min(16))
            .min(LONGEST_DELAY);
        let arrived = arrived.is_ok();
        self.store
            .write(move |unit| {
                let (id, due) = (letter.id, unit.now + millis(delay));
                if arrived {
                    unit.execute("DELETE FROM outbox WHERE id = ?1", [id])?;
                } else {
                    let sql = "UPDATE outbox SET due = ?2, attempts = attempts + 1 WHERE id = ?1";
                    unit.execute(sql, params![id, due])?;
                }
                Ok(arrived)
            })
            .await
    }

    async fn send(&self, body: &str) -> Result<(), reqwest::Error> {
        let request = self
            .client
            .post(&self.webhook.url)
            .timeout(TIMEOUT)
            .body(body.to_owned());
        let request = request.header(http::header::CONTENT_TYPE, "application/json");
        let request = match &self.webhook.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await?.error_for_status().map(drop)
    }
}
