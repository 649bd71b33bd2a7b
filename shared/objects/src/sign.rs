//! URLs that let a client do one thing with one object for a while.
//!
//! An upload's URL binds the exact length and type and an empty place. A playback URL is signed as of the full hour,
//! so that caches and browsers see one URL an hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use chrono::{DateTime, TimeDelta, Utc};

use crate::credentials::CredentialsEnd;
use crate::store::{Error, Objects, failed};

/// Seconds in the step to which the signing time of playback URLs is rounded down.
const ROUND: i64 = 3600;

/// A request that the client is to make exactly so. Host and Content-Length are its own business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    pub url: String,
    pub headers: Vec<(String, String)>,
}

/// What the store is to say with an object instead of what was stored with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// `Content-Disposition`.
    pub disposition: Option<&'a str>,
    /// `Cache-Control`.
    pub cache_control: Option<&'a str>,
}

/// Signs for one address of the store: the one under which the client reaches it.
#[derive(Clone, Debug)]
pub struct Signer {
    client: Client,
    bucket: String,
    credentials_end: CredentialsEnd,
}

/// Signers by the address they sign for: a client of the SDK takes longer to make than a URL to sign.
pub(crate) type Signers = Arc<Mutex<HashMap<Option<String>, Signer>>>;

/// Addresses are what clients call us by, and anybody may make some up.
const MOST_SIGNERS: usize = 64;

impl Objects {
    /// Signs for this address, or for the one we use ourselves.
    pub fn signer(&self, endpoint: Option<&str>) -> Signer {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = endpoint.map(str::to_owned);
        if let Some(signer) = signers.get(&endpoint) {
            return signer.clone();
        }
        if signers.len() >= MOST_SIGNERS {
            signers.clear();
        }
        let signer = self.new_signer(endpoint.as_deref());
        signers.insert(endpoint, signer.clone());
        signer
    }

    fn new_signer(&self, endpoint: Option<&str>) -> Signer {
        let mut config = self
            .client
            .config()
            .to_builder()
            // A checksum would be that of the empty body we sign, not of what the client sends.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Signer {
            client: Client::from_conf(config.build()),
            bucket: self.bucket.clone(),
            credentials_end: self.credentials_end.clone(),
        }
    }
}

impl Signer {
    /// A PUT of exactly so many bytes of this type to a key that does not exist yet.
    pub async fn put(
        &self,
        key: &str,
        size: u64,
        content_type: &str,
        now: DateTime<Utc>,
        valid: Duration,
    ) -> Result<SignedRequest, Error> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(length(size)?)
            .content_type(content_type)
            .if_none_match("*");
        let signed = request.presigned(window(now, valid)?).await;
        signed
            .map(request_of)
            .map_err(|error| failed(error, "signing an upload"))
    }

    /// A PUT of one part of exactly so many bytes.
    pub async fn part(
        &self,
        key: &str,
        upload_id: &str,
        number: u32,
        size: u64,
        now: DateTime<Utc>,
        valid: Duration,
    ) -> Result<SignedRequest, Error> {
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id)
            .part_number(i32::try_from(number).context("a part number")?)
            .content_length(length(size)?);
        let signed = request.presigned(window(now, valid)?).await;
        signed.map(request_of).map_err(|error| failed(error, "signing a part"))
    }

    /// A GET, the same URL for the whole hour, good for `ttl` from its beginning but never beyond the credentials.
    pub async fn get(&self, key: &str, answer: Answer<'_>, now: DateTime<Utc>, ttl: Duration) -> Result<String, Error> {
        let start = rounded(now, ttl);
        let url = self.sign_get(key, answer, start, ttl).await?;
        // Only now is it sure which credentials signed.
        match self.credentials_end.get() {
            Some(end) if SystemTime::from(start) + ttl > end => {
                let left = end.duration_since(start.into()).unwrap_or_default();
                self.sign_get(key, answer, start, left.max(Duration::from_secs(1)))
                    .await
            }
            _ => Ok(url),
        }
    }

    /// For how long what was just signed as of `now` would be signed the same again; none if that may be over any moment.
    pub fn holds(&self, now: DateTime<Utc>, ttl: Duration) -> Option<Hold> {
        let start = rounded(now, ttl);
        let until = start + step(ttl);
        let end = self
            .credentials_end
            .get()
            .map(|end| DateTime::<Utc>::from(end) - LAST_MINUTES);
        let until = end.map_or(until, |end| until.min(end));
        (now < until).then_some(Hold { start, until })
    }

    async fn sign_get(
        &self,
        key: &str,
        answer: Answer<'_>,
        start: DateTime<Utc>,
        valid: Duration,
    ) -> Result<String, Error> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let request = request.set_response_content_disposition(answer.disposition.map(str::to_owned));
        let request = request.set_response_cache_control(answer.cache_control.map(str::to_owned));
        let signed = request.presigned(window(start, valid)?).await;
        let signed = signed.map_err(|error| failed(error, "signing a playback URL"))?;
        Ok(signed.uri().to_owned())
    }
}

/// A time during which URLs that are signed for playback stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    start: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Hold {
    pub fn contains(&self, now: DateTime<Utc>) -> bool {
        self.start <= now && now < self.until
    }
}

/// Before the credentials end, others may sign already, whose URLs last longer.
const LAST_MINUTES: TimeDelta = TimeDelta::minutes(15);

/// Down to the hour, or to half the time that the URL is good: a URL is never handed out that has run out.
fn rounded(now: DateTime<Utc>, ttl: Duration) -> DateTime<Utc> {
    let step = step(ttl).num_seconds();
    DateTime::from_timestamp(now.timestamp() - now.timestamp().rem_euclid(step), 0).unwrap_or(now)
}

fn step(ttl: Duration) -> TimeDelta {
    let half = i64::try_from(ttl.as_secs() / 2).unwrap_or(ROUND);
    TimeDelta::seconds(half.clamp(1, ROUND))
}

fn length(size: u64) -> Result<i64, Error> {
    Ok(i64::try_from(size).context("a length")?)
}

fn window(start: DateTime<Utc>, valid: Duration) -> Result<PresigningConfig, Error> {
    let config = PresigningConfig::builder()
        .start_time(start.into())
        .expires_in(valid)
        .build();
    Ok(config.context("the time for which a URL is to be good")?)
}

#[allow(clippy::needless_pass_by_value, reason = "it is taken apart")]
fn request_of(request: PresignedRequest) -> SignedRequest {
    let own = |name: &str| name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("content-length");
    let headers = request.headers().filter(|(name, _)| !own(name));
    SignedRequest {
        url: request.uri().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_life_is_rounded_in_short_steps() {
        let now = DateTime::from_timestamp(1_000_000_799, 0).unwrap();
        let age = |ttl| (now - rounded(now, Duration::from_secs(ttl))).num_seconds();
        assert_eq!(age(4 * 3600), 1_000_000_799 % 3600);
        assert_eq!(age(600), 1_000_000_799 % 300);
        assert_eq!((age(1), age(0)), (0, 0));
    }
}
