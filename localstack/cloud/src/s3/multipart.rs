//! Uploads in parts. Completion links the parts' blobs to the key; no byte is copied.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, ChecksumAlgorithm, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, s3_error};
use uuid::Uuid;

use super::checksums::{Algorithm, Checksums, fill_checksums};
use super::conditions::WriteConditions;
use super::failure::Failure;
use super::listing::successor;
use super::objects::{Description, NewObject, Piece, description, link};
use super::receive::{Claims, receive};
use super::{S3, buckets};
use crate::blobs::BlobId;
use crate::clock::system_time;
use crate::store::Unit;

const SMALLEST_PART: u64 = 5 << 20;
const MOST_PARTS: i32 = 10_000;
const PAGE: i32 = 1000;

/// An upload that has begun.
struct Upload {
    description: Description,
    algorithm: Option<Algorithm>,
}

/// A part that has arrived.
struct Arrived {
    blob: BlobId,
    size: u64,
    etag: String,
    checksums: Checksums,
}

fn find(connection: &Connection, id: &str, bucket: &str, key: &str) -> Result<Upload, Failure> {
    let sql = "SELECT description, algorithm FROM upload WHERE id = ?1 AND bucket = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement
        .query_row([id, bucket, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (description, algorithm): (String, Option<String>) =
        row.ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist."))?;
    Ok(Upload {
        description: serde_json::from_str(&description)?,
        algorithm: algorithm.as_deref().and_then(Algorithm::named),
    })
}

pub(crate) async fn create(s3: &S3, input: CreateMultipartUploadInput) -> Result<CreateMultipartUploadOutput, Failure> {
    let id = Uuid::new_v4().simple().to_string();
    let description = serde_json::to_string(&description!(input))?;
    let algorithm = input
        .checksum_algorithm
        .as_ref()
        .map(|algorithm| algorithm.as_str().to_owned());
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(id.clone()),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..Default::default()
    };
    s3.store
        .write(move |unit| {
            buckets::check(unit, &input.bucket)?;
            let sql =
                "INSERT INTO upload (id, bucket, key, created, description, algorithm) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            unit.execute(
                sql,
                params![id, input.bucket, input.key, unit.now, description, algorithm],
            )?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(output)
}

pub(crate) async fn upload_part(s3: &S3, mut request: S3Request<UploadPartInput>) -> Result<UploadPartOutput, Failure> {
    let claims = Claims::of(
        &request,
        request.input.content_length,
        request.input.content_md5.as_ref(),
    );
    let body = request.input.body.take();
    let UploadPartInput {
        bucket,
        key,
        upload_id,
        part_number,
        ..
    } = request.input;
    if !(1..=MOST_PARTS).contains(&part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        )
        .into());
    }
    let (id, b, k) = (upload_id.clone(), bucket.clone(), key.clone());
    s3.store
        .read(move |connection| find(connection, &id, &b, &k).map(drop))
        .await?;

    let received = receive(&s3.blobs, body, claims).await?;
    let mut output = UploadPartOutput {
        e_tag: Some(ETag::Strong(received.etag.clone())),
        ..Default::default()
    };
    fill_checksums!(output, received.checksums);
    s3.store
        .write(move |unit| {
            find(unit, &upload_id, &bucket, &key)?;
            let part = Arrived {
                blob: received.draft.id.clone(),
                size: received.size,
                etag: received.etag,
                checksums: received.checksums,
            };
            unit.keep(received.draft);
            replace_part(unit, &upload_id, part_number, &part)
        })
        .await?;
    Ok(output)
}

fn replace_part(unit: &Unit<'_>, upload: &str, number: i32, part: &Arrived) -> Result<(), Failure> {
    let unlink = "INSERT OR IGNORE INTO unlinked SELECT blob FROM part WHERE upload = ?1 AND number = ?2";
    unit.prepare_cached(unlink)?.execute(params![upload, number])?;
    let replace = "INSERT OR REPLACE INTO part (upload, number, blob, size, etag, modified, checksums)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let checksums = serde_json::to_string(&part.checksums)?;
    unit.prepare_cached(replace)?.execute(params![
        upload, number, part.blob, part.size, part.etag, unit.now, checksums
    ])?;
    Ok(())
}

pub(crate) async fn complete(
    s3: &S3,
    input: CompleteMultipartUploadInput,
) -> Result<CompleteMultipartUploadOutput, Failure> {
    let CompleteMultipartUploadInput {
        bucket,
        key,
        upload_id,
        if_match,
        if_none_match,
        multipart_upload,
        ..
    } = input;
    let conditions = WriteConditions {
        if_match,
        if_none_match,
    };
    let listed = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let (b, k) = (bucket.clone(), key.clone());
    let object = s3.store.write(move |unit| {
        let upload = find(unit, &upload_id, &b, &k)?;
        let arrived = arrived(unit, &upload_id)?;
        let object = assemble(b, k, upload, choose(&listed, &arrived)?);
        link(unit, &object, &conditions)?;
        forget(unit, &upload_id)?;
        Ok::<_, Failure>(object)
    });
    let object = object.await?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{key}")),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: Some(ETag::Strong(object.etag)),
        ..Default::default()
    };
    fill_checksums!(output, object.checksums);
    Ok(output)
}

fn arrived(unit: &Unit<'_>, upload: &str) -> Result<HashMap<i32, Arrived>, Failure> {
    let mut statement =
        unit.prepare_cached("SELECT number, blob, size, etag, checksums FROM part WHERE upload = ?1")?;
    let mut rows = statement.query([upload])?;
    let mut parts = HashMap::new();
    while let Some(row) = rows.next()? {
        let checksums = serde_json::from_str(&row.get::<_, String>(4)?)?;
        parts.insert(
            row.get(0)?,
            Arrived {
                blob: row.get(1)?,
                size: row.get(2)?,
                etag: row.get(3)?,
                checksums,
            },
        );
    }
    Ok(parts)
}

/// The parts the client lists, each of which must be what has arrived.
fn choose<'a>(listed: &[CompletedPart], arrived: &'a HashMap<i32, Arrived>) -> Result<Vec<&'a Arrived>, Failure> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part").into());
    }
    let mut chosen = Vec::with_capacity(listed.len());
    let mut previous = 0;
    for part in listed {
        let number = part.part_number.unwrap_or_default();
        if number <= previous {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order.").into());
        }
        previous = number;
        let found = arrived.get(&number).filter(|found| is_meant(found, part));
        chosen.push(found.ok_or_else(|| s3_error!(InvalidPart, "Part {number} is missing or has another ETag."))?);
    }
    let (_last, others) = chosen.split_last().unzip();
    if others.unwrap_or_default().iter().any(|part| part.size < SMALLEST_PART) {
        return Err(s3_error!(EntityTooSmall, "All parts but the last have at least 5 MiB.").into());
    }
    Ok(chosen)
}

fn is_meant(found: &Arrived, listed: &CompletedPart) -> bool {
    let same_etag = listed.e_tag.as_ref().is_some_and(|etag| etag.value() == found.etag);
    same_etag && found.checksums.bear_out(&Checksums::from(listed))
}

fn assemble(bucket: String, key: String, upload: Upload, parts: Vec<&Arrived>) -> NewObject {
    let mut md5 = Md5::new();
    for part in &parts {
        md5.update(&hex::decode(&part.etag).unwrap_or_default());
    }
    // A CRC64NVME is one of the whole object, which nobody has read in one go.
    let algorithm = upload.algorithm.filter(|algorithm| *algorithm != Algorithm::Crc64Nvme);
    let composite = |algorithm| Checksums::composite(algorithm, parts.iter().map(|part| &part.checksums));
    NewObject {
        bucket,
        key,
        etag: format!("{}-{}", hex::encode(md5.finalize()), parts.len()),
        description: upload.description,
        checksums: algorithm.map(composite).unwrap_or_default(),
        event: "ObjectCreated:CompleteMultipartUpload",
        pieces: parts
            .into_iter()
            .map(|part| Piece {
                blob: part.blob.clone(),
                size: part.size,
            })
            .collect(),
    }
}

/// Drops the upload and its parts; the sweep spares those blobs that an object has taken over.
fn forget(unit: &Unit<'_>, upload: &str) -> Result<(), Failure> {
    unit.execute(
        "INSERT OR IGNORE INTO unlinked SELECT blob FROM part WHERE upload = ?1",
        [upload],
    )?;
    unit.execute("DELETE FROM part WHERE upload = ?1", [upload])?;
    unit.execute("DELETE FROM upload WHERE id = ?1", [upload])?;
    Ok(())
}

pub(crate) async fn abort(s3: &S3, input: AbortMultipartUploadInput) -> Result<(), Failure> {
    s3.store
        .write(move |unit| {
            find(unit, &input.upload_id, &input.bucket, &input.key)?;
            forget(unit, &input.upload_id)
        })
        .await
}

pub(crate) fn abort_all(unit: &Unit<'_>, bucket: &str) -> Result<(), Failure> {
    let mut statement = unit.prepare("SELECT id FROM upload WHERE bucket = ?1")?;
    let ids = statement
        .query_map([bucket], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    ids.iter().try_for_each(|id| forget(unit, id))
}

/// One row more than a page tells whether there is another page.
fn page<T>(mut rows: Vec<T>, size: i32) -> (Vec<T>, bool) {
    let size = usize::try_from(size).unwrap_or_default();
    let truncated = rows.len() > size;
    rows.truncate(size);
    (rows, truncated)
}

pub(crate) async fn list_parts(s3: &S3, input: ListPartsInput) -> Result<ListPartsOutput, Failure> {
    let size = input.max_parts.unwrap_or(PAGE).clamp(0, PAGE);
    let after = input.part_number_marker.unwrap_or_default();
    let (id, bucket, key) = (input.upload_id.clone(), input.bucket.clone(), input.key.clone());
    let found = s3.store.read(move |connection| {
        let upload = find(connection, &id, &bucket, &key)?;
        Ok::<_, Failure>((upload.algorithm, parts_after(connection, &id, after, size + 1)?))
    });
    let (algorithm, rows) = found.await?;
    let (parts, truncated) = page(rows, size);
    Ok(ListPartsOutput {
        next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| truncated),
        is_truncated: Some(truncated),
        parts: Some(parts),
        part_number_marker: Some(after),
        max_parts: Some(size),
        checksum_algorithm: algorithm.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name())),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..Default::default()
    })
}

fn parts_after(connection: &Connection, upload: &str, after: i32, limit: i32) -> Result<Vec<Part>, Failure> {
    let sql = "SELECT number, size, etag, modified, checksums FROM part
               WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![upload, after, limit])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let mut part = Part {
            part_number: Some(row.get(0)?),
            size: Some(row.get(1)?),
            e_tag: Some(ETag::Strong(row.get(2)?)),
            last_modified: Some(Timestamp::from(system_time(row.get(3)?))),
            ..Default::default()
        };
        let checksums: Checksums = serde_json::from_str(&row.get::<_, String>(4)?)?;
        fill_checksums!(part, checksums);
        parts.push(part);
    }
    Ok(parts)
}

pub(crate) async fn list_uploads(
    s3: &S3,
    input: ListMultipartUploadsInput,
) -> Result<ListMultipartUploadsOutput, Failure> {
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "Uploads are listed without a delimiter.").into());
    }
    let size = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
    let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
    let (key, id) = (input.key_marker.clone(), input.upload_id_marker.clone());
    let rows = s3.store.read(move |connection| {
        buckets::check(connection, &bucket)?;
        uploads_after(connection, &bucket, &prefix, (key, id), size + 1)
    });
    let (uploads, truncated) = page(rows.await?, size);
    let last = uploads.last().filter(|_| truncated);
    Ok(ListMultipartUploadsOutput {
        next_key_marker: last.and_then(|upload| upload.key.clone()),
        next_upload_id_marker: last.and_then(|upload| upload.upload_id.clone()),
        is_truncated: Some(truncated),
        uploads: Some(uploads),
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(size),
        ..Default::default()
    })
}

/// Without an upload id, the marker leaves out all uploads of its key.
fn uploads_after(
    connection: &Connection,
    bucket: &str,
    prefix: &str,
    (key, id): (Option<String>, Option<String>),
    limit: i32,
) -> Result<Vec<MultipartUpload>, Failure> {
    let sql = "SELECT id, key, created FROM upload
               WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
                 AND (?4 IS NULL OR key > ?4 OR (key = ?4 AND id > ?5))
               ORDER BY key, id LIMIT ?6";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![bucket, prefix, successor(prefix), key, id, limit], |row| {
        Ok(MultipartUpload {
            upload_id: Some(row.get(0)?),
            key: Some(row.get(1)?),
            initiated: Some(Timestamp::from(system_time(row.get(2)?))),
            ..Default::default()
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
