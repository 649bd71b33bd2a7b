//! Buckets and their settings.

use rusqlite::{Connection, OptionalExtension as _, params};
use s3s::dto::{
    Bucket, CORSConfiguration, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, GetBucketCorsOutput,
    ListBucketsOutput, Owner, PutBucketCorsInput, Timestamp,
};
use s3s::s3_error;

use super::S3;
use super::failure::Failure;
use crate::ACCOUNT;
use crate::clock::system_time;

pub(crate) fn check(connection: &Connection, bucket: &str) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM bucket WHERE name = ?1")?;
    if statement.exists([bucket])? {
        return Ok(());
    }
    Err(s3_error!(NoSuchBucket, "The specified bucket does not exist").into())
}

pub(crate) async fn create(s3: &S3, input: CreateBucketInput) -> Result<CreateBucketOutput, Failure> {
    let location = format!("/{}", input.bucket);
    s3.store
        .write(move |unit| {
            let sql = "INSERT OR IGNORE INTO bucket (name, created) VALUES (?1, ?2)";
            match unit.execute(sql, params![input.bucket, unit.now])? {
                0 => Err(Failure::from(s3_error!(
                    BucketAlreadyOwnedByYou,
                    "You own this bucket already."
                ))),
                _ => Ok(()),
            }
        })
        .await?;
    Ok(CreateBucketOutput {
        location: Some(location),
    })
}

pub(crate) async fn delete(s3: &S3, input: DeleteBucketInput) -> Result<(), Failure> {
    s3.store
        .write(move |unit| {
            check(unit, &input.bucket)?;
            if unit
                .prepare("SELECT 1 FROM object WHERE bucket = ?1 LIMIT 1")?
                .exists([&input.bucket])?
            {
                return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty").into());
            }
            super::multipart::abort_all(unit, &input.bucket)?;
            unit.execute("DELETE FROM bucket WHERE name = ?1", [&input.bucket])?;
            Ok(())
        })
        .await
}

pub(crate) async fn head(s3: &S3, bucket: String) -> Result<(), Failure> {
    s3.store.read(move |connection| check(connection, &bucket)).await
}

pub(crate) async fn list(s3: &S3) -> Result<ListBucketsOutput, Failure> {
    let buckets = s3.store.read(|connection| {
        let mut statement = connection.prepare("SELECT name, created FROM bucket ORDER BY name")?;
        let rows = statement.query_map([], |row| {
            Ok(Bucket {
                name: Some(row.get(0)?),
                creation_date: Some(Timestamp::from(system_time(row.get(1)?))),
                ..Default::default()
            })
        })?;
        Ok::<_, Failure>(rows.collect::<Result<Vec<_>, _>>()?)
    });
    let owner = Owner {
        id: Some(ACCOUNT.to_owned()),
        display_name: None,
    };
    Ok(ListBucketsOutput {
        buckets: Some(buckets.await?),
        owner: Some(owner),
        ..Default::default()
    })
}

/// Stored and given back only: requests of any origin are allowed, because URLs are what gives access.
pub(crate) async fn put_cors(s3: &S3, input: PutBucketCorsInput) -> Result<(), Failure> {
    let cors = serde_json::to_string(&input.cors_configuration)?;
    set_cors(s3, input.bucket, Some(cors)).await
}

pub(crate) async fn delete_cors(s3: &S3, bucket: String) -> Result<(), Failure> {
    set_cors(s3, bucket, None).await
}

async fn set_cors(s3: &S3, bucket: String, cors: Option<String>) -> Result<(), Failure> {
    s3.store
        .write(move |unit| {
            check(unit, &bucket)?;
            unit.execute("UPDATE bucket SET cors = ?2 WHERE name = ?1", params![bucket, cors])?;
            Ok(())
        })
        .await
}

pub(crate) async fn cors(s3: &S3, bucket: String) -> Result<GetBucketCorsOutput, Failure> {
    let stored = s3.store.read(move |connection| {
        check(connection, &bucket)?;
        let sql = "SELECT cors FROM bucket WHERE name = ?1";
        Ok::<_, Failure>(
            connection
                .query_row(sql, [bucket], |row| row.get::<_, Option<String>>(0))
                .optional()?
                .flatten(),
        )
    });
    let stored = stored.await?.ok_or_else(|| s3_error!(NoSuchCORSConfiguration))?;
    let cors: CORSConfiguration = serde_json::from_str(&stored)?;
    Ok(GetBucketCorsOutput {
        cors_rules: Some(cors.cors_rules),
    })
}
