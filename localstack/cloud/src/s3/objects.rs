//! Single objects: writing, reading, copying, deleting.

use std::collections::HashMap;
use std::ops::Range;

use futures::{StreamExt as _, TryStreamExt as _};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, MetadataDirective, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{S3Request, s3_error};
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;

use super::checksums::{Checksums, fill_checksums};
use super::conditions::{ReadConditions, WriteConditions, last_modified};
use super::failure::Failure;
use super::receive::{Claims, Received, receive};
use super::{S3, buckets, notifications, signed};
use crate::blobs::{BlobId, Pinned};
use crate::store::Unit;

const READ_BUFFER: usize = 128 << 10;

/// One blob's share of an object.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
}

/// What a client said about an object and gets told again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) metadata: Option<HashMap<String, String>>,
}

/// The object's own encoding. `aws-chunked` is that of the request, and is undone when the bytes are stored.
pub(crate) fn stored_encoding(sent: Option<&str>) -> Option<String> {
    let codings = sent?.split(',').map(str::trim);
    let own: Vec<&str> = codings
        .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
        .collect();
    (!own.is_empty()).then(|| own.join(","))
}

/// The inputs of `PutObject`, `CopyObject` and `CreateMultipartUpload` name these fields alike but share no type.
macro_rules! description {
    ($input:expr) => {
        $crate::s3::objects::Description {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $crate::s3::objects::stored_encoding($input.content_encoding.as_deref()),
            content_language: $input.content_language.clone(),
            expires: $input.expires.clone(),
            metadata: $input.metadata.clone(),
        }
    };
}
pub(crate) use description;

/// The headers that `GetObject` and `HeadObject` answer alike.
macro_rules! describe {
    ($output:expr, $object:expr) => {{
        let description = $object.description;
        $output.e_tag = Some(ETag::Strong($object.etag));
        $output.content_type = description.content_type;
        $output.cache_control = description.cache_control;
        $output.content_disposition = description.content_disposition;
        $output.content_encoding = description.content_encoding;
        $output.content_language = description.content_language;
        $output.expires = description.expires;
        $output.metadata = description.metadata;
    }};
}

pub(crate) struct Object {
    id: i64,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: i64,
    description: Description,
    checksums: Checksums,
}

/// A key about to be linked to blobs.
pub(crate) struct NewObject {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) etag: String,
    pub(crate) description: Description,
    pub(crate) checksums: Checksums,
    /// As in a notification, without the `s3:`.
    pub(crate) event: &'static str,
}

impl NewObject {
    pub(crate) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).sum()
    }
}

pub(crate) fn find(connection: &Connection, bucket: &str, key: &str) -> Result<Option<Object>, Failure> {
    let sql = "SELECT id, size, etag, modified, description, checksums FROM object WHERE bucket = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row([bucket, key], |row| Ok(object(row))).optional()?;
    row.transpose()
}

fn object(row: &Row<'_>) -> Result<Object, Failure> {
    Ok(Object {
        id: row.get(0)?,
        size: row.get(1)?,
        etag: row.get(2)?,
        modified: row.get(3)?,
        description: serde_json::from_str(&row.get::<_, String>(4)?)?,
        checksums: serde_json::from_str(&row.get::<_, String>(5)?)?,
    })
}

/// The object, or why there is none.
fn get(connection: &Connection, bucket: &str, key: &str) -> Result<Object, Failure> {
    if let Some(object) = find(connection, bucket, key)? {
        return Ok(object);
    }
    buckets::check(connection, bucket)?;
    Err(s3_error!(NoSuchKey, "The specified key does not exist.").into())
}

fn pieces(connection: &Connection, object: i64) -> Result<Vec<Piece>, Failure> {
    let mut statement = connection.prepare_cached("SELECT blob, size FROM piece WHERE object = ?1 ORDER BY ordinal")?;
    let rows = statement.query_map([object], |row| {
        Ok(Piece {
            blob: row.get(0)?,
            size: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes the key mean these blobs, and leaves the messages about it; returns when it was modified.
pub(crate) fn link(unit: &mut Unit<'_>, new: &NewObject, conditions: &WriteConditions) -> Result<i64, Failure> {
    let rules = notifications::rules(unit, &new.bucket)?;
    let current = find(unit, &new.bucket, &new.key)?;
    conditions.check(current.as_ref())?;
    if let Some(current) = current {
        unlink(unit, current.id)?;
    }
    let id = insert(unit, new)?;
    notifications::announce(unit, &rules, new, id)?;
    Ok(unit.now)
}

fn insert(unit: &Unit<'_>, new: &NewObject) -> Result<i64, Failure> {
    let description = serde_json::to_string(&new.description)?;
    let checksums = serde_json::to_string(&new.checksums)?;
    let sql = "INSERT INTO object (bucket, key, size, etag, modified, description, checksums)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    unit.prepare_cached(sql)?.execute(params![
        new.bucket,
        new.key,
        new.size(),
        new.etag,
        unit.now,
        description,
        checksums
    ])?;
    let id = unit.last_insert_rowid();
    let mut statement =
        unit.prepare_cached("INSERT INTO piece (object, ordinal, blob, size) VALUES (?1, ?2, ?3, ?4)")?;
    for (ordinal, piece) in new.pieces.iter().enumerate() {
        statement.execute(params![id, ordinal, piece.blob, piece.size])?;
    }
    Ok(id)
}

/// The blobs may still belong to a copy; the sweep finds out.
fn unlink(unit: &Unit<'_>, object: i64) -> Result<(), Failure> {
    unit.prepare_cached("INSERT OR IGNORE INTO unlinked SELECT blob FROM piece WHERE object = ?1")?
        .execute([object])?;
    unit.prepare_cached("DELETE FROM piece WHERE object = ?1")?
        .execute([object])?;
    unit.prepare_cached("DELETE FROM object WHERE id = ?1")?
        .execute([object])?;
    Ok(())
}

pub(crate) async fn put(s3: &S3, mut request: S3Request<PutObjectInput>) -> Result<PutObjectOutput, Failure> {
    let claims = Claims::of(
        &request,
        request.input.content_length,
        request.input.content_md5.as_ref(),
    );
    let body = request.input.body.take();
    let input = request.input;
    let conditions = WriteConditions {
        if_match: input.if_match.clone(),
        if_none_match: input.if_none_match.clone(),
    };
    refuse_early(s3, &input.bucket, &input.key, conditions.clone()).await?;

    let received = receive(&s3.blobs, body, claims).await?;
    let mut output = PutObjectOutput {
        e_tag: Some(ETag::Strong(received.etag.clone())),
        ..Default::default()
    };
    fill_checksums!(output, received.checksums);
    let Received {
        draft,
        size,
        etag,
        checksums,
    } = received;
    let new = NewObject {
        pieces: vec![Piece {
            blob: draft.id.clone(),
            size,
        }],
        etag,
        description: description!(input),
        checksums,
        event: "ObjectCreated:Put",
        bucket: input.bucket,
        key: input.key,
    };
    s3.store
        .write(move |unit| {
            unit.keep(draft);
            link(unit, &new, &conditions)
        })
        .await?;
    Ok(output)
}

/// Spares the client an upload that cannot succeed; what counts is the same check when the key is linked.
async fn refuse_early(s3: &S3, bucket: &str, key: &str, conditions: WriteConditions) -> Result<(), Failure> {
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    s3.store
        .read(move |connection| {
            buckets::check(connection, &bucket)?;
            if conditions.is_empty() {
                return Ok(());
            }
            conditions.check(find(connection, &bucket, &key)?.as_ref())
        })
        .await
}

pub(crate) async fn head(s3: &S3, input: HeadObjectInput) -> Result<HeadObjectOutput, Failure> {
    let with_checksums = input.checksum_mode.is_some();
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let object = s3
        .store
        .read(move |connection| get(connection, &input.bucket, &input.key))
        .await?;
    conditions.check(&object)?;
    let selection = Selection::of(&object, input.range)?;
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(signed(selection.length())),
        last_modified: Some(last_modified(&object)),
        content_range: selection.content_range(),
        ..Default::default()
    };
    if with_checksums && selection.is_whole() {
        fill_checksums!(output, object.checksums);
    }
    describe!(output, object);
    Ok(output)
}

pub(crate) async fn read(s3: &S3, input: GetObjectInput) -> Result<GetObjectOutput, Failure> {
    let with_checksums = input.checksum_mode.is_some();
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (object, pieces, pinned) = open(s3, input.bucket, input.key).await?;
    conditions.check(&object)?;
    let selection = Selection::of(&object, input.range)?;
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(body(s3, selection.cut(&pieces), pinned)),
        content_length: Some(signed(selection.length())),
        last_modified: Some(last_modified(&object)),
        content_range: selection.content_range(),
        ..Default::default()
    };
    if with_checksums && selection.is_whole() {
        fill_checksums!(output, object.checksums);
    }
    describe!(output, object);
    Ok(output)
}

/// An object whose blobs stay as long as the pin, whatever happens to its key.
async fn open(s3: &S3, bucket: String, key: String) -> Result<(Object, Vec<Piece>, Pinned), Failure> {
    let _looking_up = s3.blobs.looking_up().await;
    let look_up = move |connection: &Connection| {
        // One transaction, or an overwrite could come between the two questions.
        let snapshot = connection.unchecked_transaction()?;
        let object = get(&snapshot, &bucket, &key)?;
        let pieces = pieces(&snapshot, object.id)?;
        Ok::<_, Failure>((object, pieces))
    };
    let (object, pieces) = s3.store.read(look_up).await?;
    let pinned = s3.blobs.pin(pieces.iter().map(|piece| piece.blob.clone()).collect());
    Ok((object, pieces, pinned))
}

/// The part of an object that a reader asks for.
struct Selection {
    range: Range<u64>,
    size: u64,
    asked_for: bool,
}

impl Selection {
    /// 416 if the range lies outside the object.
    fn of(object: &Object, range: Option<s3s::dto::Range>) -> Result<Selection, Failure> {
        let size = object.size;
        let Some(range) = range else {
            return Ok(Selection {
                range: 0..size,
                size,
                asked_for: false,
            });
        };
        let range = range.check(size).map_err(s3s::S3Error::from)?;
        Ok(Selection {
            range,
            size,
            asked_for: true,
        })
    }

    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn is_whole(&self) -> bool {
        self.length() == self.size
    }

    fn content_range(&self) -> Option<String> {
        let last = self.range.end.saturating_sub(1);
        self.asked_for
            .then(|| format!("bytes {}-{last}/{}", self.range.start, self.size))
    }

    fn cut(&self, pieces: &[Piece]) -> Vec<(BlobId, Range<u64>)> {
        let mut offset = 0;
        let mut cuts = Vec::new();
        for piece in pieces {
            let start = self.range.start.clamp(offset, offset + piece.size) - offset;
            let end = self.range.end.clamp(offset, offset + piece.size) - offset;
            if start < end {
                cuts.push((piece.blob.clone(), start..end));
            }
            offset += piece.size;
        }
        cuts
    }
}

/// Opens one file after the other: an object of many parts does not hold as many files.
fn body(s3: &S3, cuts: Vec<(BlobId, Range<u64>)>, pinned: Pinned) -> StreamingBlob {
    let blobs = s3.blobs.clone();
    let files = futures::stream::iter(cuts).then(move |(blob, range)| {
        let blobs = blobs.clone();
        Box::pin(async move { blobs.read(&blob, range).await })
    });
    let bytes = files
        .map_ok(|file| ReaderStream::with_capacity(file, READ_BUFFER))
        .try_flatten();
    // The closure owns the pin for as long as the body exists.
    StreamingBlob::wrap(bytes.inspect_ok(move |_| {
        let _ = &pinned;
    }))
}

pub(crate) async fn copy(s3: &S3, input: CopyObjectInput) -> Result<CopyObjectOutput, Failure> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id: None,
    } = &input.copy_source
    else {
        return Err(s3_error!(NotImplemented, "Only a bucket's current objects can be copied.").into());
    };
    let (from_bucket, from_key) = (bucket.to_string(), key.to_string());
    let replace = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let replacement = replace.then(|| description!(input));
    let source_conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let result = s3.store.write(move |unit| {
        let source = get(unit, &from_bucket, &from_key)?;
        // To a copy, "not modified" is a failed condition.
        source_conditions
            .check(&source)
            .map_err(|_| s3_error!(PreconditionFailed))?;
        let copy = NewObject {
            bucket: input.bucket,
            key: input.key,
            pieces: pieces(unit, source.id)?,
            etag: source.etag,
            description: replacement.unwrap_or(source.description),
            checksums: source.checksums,
            event: "ObjectCreated:Copy",
        };
        let modified = link(unit, &copy, &WriteConditions::default())?;
        Ok::<_, Failure>(copy_result(copy, modified))
    });
    Ok(CopyObjectOutput {
        copy_object_result: Some(result.await?),
        ..Default::default()
    })
}

fn copy_result(copy: NewObject, modified: i64) -> CopyObjectResult {
    let mut result = CopyObjectResult {
        e_tag: Some(ETag::Strong(copy.etag)),
        last_modified: Some(Timestamp::from(crate::clock::system_time(modified))),
        ..Default::default()
    };
    fill_checksums!(result, copy.checksums);
    result
}

pub(crate) async fn delete(s3: &S3, input: DeleteObjectInput) -> Result<DeleteObjectOutput, Failure> {
    let conditions = WriteConditions {
        if_match: input.if_match,
        if_none_match: None,
    };
    s3.store
        .write(move |unit| {
            buckets::check(unit, &input.bucket)?;
            let current = find(unit, &input.bucket, &input.key)?;
            conditions.check(current.as_ref())?;
            current.map_or(Ok(()), |object| unlink(unit, object.id))
        })
        .await?;
    Ok(DeleteObjectOutput::default())
}

pub(crate) async fn delete_many(s3: &S3, input: DeleteObjectsInput) -> Result<DeleteObjectsOutput, Failure> {
    if input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "At most 1000 objects can be deleted at once.").into());
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    let keys: Vec<String> = input.delete.objects.into_iter().map(|object| object.key).collect();
    let deleted = s3.store.write(move |unit| {
        buckets::check(unit, &input.bucket)?;
        for key in &keys {
            if let Some(object) = find(unit, &input.bucket, key)? {
                unlink(unit, object.id)?;
            }
        }
        Ok::<_, Failure>(keys)
    });
    let deleted = deleted.await?.into_iter().map(|key| DeletedObject {
        key: Some(key),
        ..Default::default()
    });
    Ok(DeleteObjectsOutput {
        deleted: (!quiet).then(|| deleted.collect()),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::stored_encoding;

    #[test]
    fn the_requests_own_coding_is_not_the_objects() {
        assert_eq!(stored_encoding(Some("aws-chunked")), None);
        assert_eq!(stored_encoding(Some("gzip, aws-chunked")).as_deref(), Some("gzip"));
        assert_eq!(stored_encoding(None), None);
    }
}
