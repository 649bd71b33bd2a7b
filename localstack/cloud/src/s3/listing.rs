//! Listing keys in byte order, with prefixes rolled up at a delimiter.
//!
//! Every position in a listing is the smallest key still to be looked at; a rolled-up prefix is passed by jumping to the
//! first key after all that begin with it, so its keys are not read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, params};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object, ObjectStorageClass, Timestamp,
};
use s3s::s3_error;

use super::failure::Failure;
use super::{S3, buckets};
use crate::clock::system_time;

const MOST_KEYS: i32 = 1000;

struct Query {
    bucket: String,
    prefix: String,
    delimiter: String,
    from: String,
    limit: i32,
}

#[derive(Default)]
struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// The last key or prefix on this page.
    last: Option<String>,
    /// Where the next page begins, if there is one.
    next: Option<String>,
}

impl Page {
    fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

/// The smallest string greater than every string that begins with `prefix`; none if there is no greater one.
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut bound = prefix.to_owned();
    while let Some(last) = bound.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            bound.push(next);
            return Some(bound);
        }
    }
    None
}

/// The smallest string greater than `key`.
fn just_after(key: &str) -> String {
    format!("{key}\0")
}

impl Query {
    fn run(&self, connection: &Connection) -> Result<Page, Failure> {
        buckets::check(connection, &self.bucket)?;
        let mut page = Page::default();
        let mut from = self.from.clone().max(self.prefix.clone());
        // A page of no keys has no next page either, or a client would never come to an end.
        if self.limit == 0 {
            return Ok(page);
        }
        while let Some(beyond) = self.scan(connection, &from, &mut page)? {
            from = beyond;
        }
        Ok(page)
    }

    /// Reads on from `from` until the page is full, the keys end, or a prefix has been rolled up: then this is the first
    /// key beyond it.
    fn scan(&self, connection: &Connection, from: &str, page: &mut Page) -> Result<Option<String>, Failure> {
        let sql = "SELECT key, size, etag, modified FROM object
                   WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.bucket, from, successor(&self.prefix)])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if page.len() >= usize::try_from(self.limit).unwrap_or_default() {
                page.next = Some(key);
                return Ok(None);
            }
            if let Some(prefix) = self.rolled_up(&key) {
                page.last = Some(prefix.to_owned());
                page.prefixes.push(prefix.to_owned());
                return Ok(successor(prefix));
            }
            page.last = Some(key.clone());
            page.objects.push(Object {
                key: Some(key),
                size: Some(row.get(1)?),
                e_tag: Some(ETag::Strong(row.get(2)?)),
                last_modified: Some(Timestamp::from(system_time(row.get(3)?))),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Default::default()
            });
        }
        Ok(None)
    }

    /// The part of `key` up to the first delimiter after the prefix.
    fn rolled_up<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let at = key.get(self.prefix.len()..)?.find(&self.delimiter)?;
        key.get(..self.prefix.len() + at + self.delimiter.len())
    }

    /// Where a listing after `marker` begins: a marker that is itself a rolled-up prefix stands for all of its keys.
    fn after(&self, marker: &str) -> String {
        let is_prefix = marker.starts_with(&self.prefix) && self.rolled_up(marker) == Some(marker);
        let beyond = if is_prefix { successor(marker) } else { None };
        beyond.unwrap_or_else(|| just_after(marker))
    }
}

pub(crate) async fn list_v2(s3: &S3, input: ListObjectsV2Input) -> Result<ListObjectsV2Output, Failure> {
    let mut query = query(
        &input.bucket,
        input.prefix.as_ref(),
        input.delimiter.as_ref(),
        input.max_keys,
    );
    query.from = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => position(token)?,
        (None, Some(key)) => query.after(key),
        (None, None) => String::new(),
    };
    let limit = query.limit;
    let page = s3.store.read(move |connection| query.run(connection)).await?;
    let names = Names::encoded_as(input.encoding_type.as_ref());
    Ok(ListObjectsV2Output {
        key_count: Some(i32::try_from(page.len()).unwrap_or(i32::MAX)),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| BASE64.encode(next)),
        contents: Some(names.of_objects(page.objects)),
        common_prefixes: Some(names.of_prefixes(page.prefixes)),
        max_keys: Some(limit),
        name: Some(input.bucket),
        prefix: Some(names.of(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.of(delimiter)),
        start_after: input.start_after.map(|key| names.of(key)),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

fn position(token: &str) -> Result<String, Failure> {
    let bytes = BASE64.decode(token).ok();
    let position = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(position.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?)
}

pub(crate) async fn list_v1(s3: &S3, input: ListObjectsInput) -> Result<ListObjectsOutput, Failure> {
    let mut query = query(
        &input.bucket,
        input.prefix.as_ref(),
        input.delimiter.as_ref(),
        input.max_keys,
    );
    query.from = input
        .marker
        .as_deref()
        .map(|marker| query.after(marker))
        .unwrap_or_default();
    let limit = query.limit;
    let page = s3.store.read(move |connection| query.run(connection)).await?;
    let names = Names::encoded_as(input.encoding_type.as_ref());
    let truncated = page.next.is_some();
    Ok(ListObjectsOutput {
        is_truncated: Some(truncated),
        next_marker: page.last.filter(|_| truncated).map(|last| names.of(last)),
        contents: Some(names.of_objects(page.objects)),
        common_prefixes: Some(names.of_prefixes(page.prefixes)),
        max_keys: Some(limit),
        name: Some(input.bucket),
        marker: Some(names.of(input.marker.unwrap_or_default())),
        prefix: Some(names.of(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.of(delimiter)),
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

fn query(bucket: &str, prefix: Option<&String>, delimiter: Option<&String>, limit: Option<i32>) -> Query {
    Query {
        bucket: bucket.to_owned(),
        prefix: prefix.cloned().unwrap_or_default(),
        delimiter: delimiter.cloned().unwrap_or_default(),
        from: String::new(),
        limit: limit.unwrap_or(MOST_KEYS).clamp(0, MOST_KEYS),
    }
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// XML cannot carry every key; a client may ask for percent-encoded ones.
struct Names {
    percent_encoded: bool,
}

impl Names {
    fn encoded_as(encoding: Option<&EncodingType>) -> Names {
        Names {
            percent_encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
        }
    }

    fn of(&self, name: String) -> String {
        if self.percent_encoded {
            utf8_percent_encode(&name, KEPT).to_string()
        } else {
            name
        }
    }

    fn of_objects(&self, objects: Vec<Object>) -> Vec<Object> {
        let rename = |object: Object| Object {
            key: object.key.map(|key| self.of(key)),
            ..object
        };
        objects.into_iter().map(rename).collect()
    }

    fn of_prefixes(&self, prefixes: Vec<String>) -> Vec<CommonPrefix> {
        prefixes
            .into_iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(self.of(prefix)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_beyond_every_key_with_the_prefix() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }
}
