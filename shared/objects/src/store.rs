//! Reading, writing and removing objects.

use std::path::Path;

use anyhow::{Context, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::io::AsyncWriteExt;

use crate::credentials::CredentialsEnd;
use crate::sign::Signers;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object, upload or part, or not in the version asked for.
    #[error("not there: {0}")]
    Missing(String),
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

/// The one bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) credentials_end: CredentialsEnd,
    pub(crate) signers: Signers,
}

/// What the store says of an object without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
}

impl Objects {
    /// `credentials_end` is that of the credentials which the client signs with.
    pub fn new(client: Client, bucket: impl Into<String>, credentials_end: CredentialsEnd) -> Self {
        Self {
            client,
            bucket: bucket.into(),
            credentials_end,
            signers: Signers::default(),
        }
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    pub async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            // Whoever speaks for a store that is not there says "200" and little else.
            Ok(head) => Ok(Some(
                told(&head).context("the answer does not name the object's size and ETag")?,
            )),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed(error, "asking for an object")),
        }
    }

    /// Writes exactly the version with this ETag to a file. `Missing` when the object is another one by now.
    ///
    /// Once this is dropped it makes no file any more: whoever drops it may remove the directory.
    pub async fn download(&self, key: &str, etag: &str, file: &Path) -> Result<(), Error> {
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .if_match(format!("\"{etag}\""));
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Err(Error::Missing(key.to_owned())),
            Err(error) => return Err(failed(error, "reading an object")),
        };
        let file = std::fs::File::create(file).context("creating a scratch file")?;
        let mut file = tokio::fs::File::from_std(file);
        pour(output.body, &mut file).await?;
        file.flush().await.context("writing a scratch file")?;
        Ok(())
    }

    /// Writes several objects behind one another into a file.
    pub async fn concatenate(&self, keys: &[String], file: &Path) -> Result<(), Error> {
        let mut file = tokio::fs::File::create(file).await.context("creating a scratch file")?;
        for key in keys {
            let output = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(output) => output,
                Err(error) if is_missing(&error) => return Err(Error::Missing(key.clone())),
                Err(error) => return Err(failed(error, "reading an object")),
            };
            pour(output.body, &mut file).await?;
        }
        file.flush().await.context("writing a scratch file")?;
        Ok(())
    }

    pub async fn upload_file(&self, key: &str, file: &Path, content_type: &str) -> Result<u64, Error> {
        let size = tokio::fs::metadata(file).await.context("reading a scratch file")?.len();
        let body = ByteStream::from_path(file).await.context("reading a scratch file")?;
        self.put(key, body, content_type).await?;
        Ok(size)
    }

    pub async fn put(&self, key: &str, body: ByteStream, content_type: &str) -> Result<(), Error> {
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(body);
        // What a key once holds never changes, so whoever may see it may keep it.
        let request = request
            .content_type(content_type)
            .cache_control("public, max-age=31536000, immutable");
        request
            .send()
            .await
            .map_err(|error| failed(error, "writing an object"))?;
        Ok(())
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages
            .try_next()
            .await
            .map_err(|error| failed(error, "listing objects"))?
        {
            let contents = page.contents.unwrap_or_default();
            keys.extend(contents.into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    /// Removes these; those that are gone already do not matter.
    pub async fn delete(&self, keys: &[String]) -> Result<(), Error> {
        for keys in keys.chunks(1000) {
            let ids: Result<Vec<_>, _> = keys
                .iter()
                .map(|key| ObjectIdentifier::builder().key(key).build())
                .collect();
            let ids = ids.context("naming objects")?;
            let delete = Delete::builder()
                .set_objects(Some(ids))
                .quiet(true)
                .build()
                .context("naming objects")?;
            let request = self.client.delete_objects().bucket(&self.bucket).delete(delete);
            let output = request
                .send()
                .await
                .map_err(|error| failed(error, "deleting objects"))?;
            if let Some(error) = output.errors().first() {
                return Err(anyhow!("deleting {:?}: {:?}", error.key(), error.message()).into());
            }
        }
        Ok(())
    }

    pub async fn delete_prefix(&self, prefix: &str) -> Result<usize, Error> {
        let keys = self.list(prefix).await?;
        self.delete(&keys).await?;
        Ok(keys.len())
    }
}

async fn pour(mut body: ByteStream, file: &mut tokio::fs::File) -> Result<(), Error> {
    while let Some(bytes) = body.try_next().await.context("reading an object")? {
        file.write_all(&bytes).await.context("writing a scratch file")?;
    }
    Ok(())
}

fn told(head: &HeadObjectOutput) -> Option<Head> {
    Some(Head {
        size: u64::try_from(head.content_length()?).ok()?,
        etag: unquoted(head.e_tag()?),
    })
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// Stores say in several ways that something is not there, or not in the version asked for.
pub(crate) fn is_missing<E, R>(error: &SdkError<E, R>) -> bool
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    matches!(
        error.code(),
        Some("NotFound" | "NoSuchKey" | "NoSuchUpload" | "PreconditionFailed" | "404")
    )
}

pub(crate) fn failed<E, R>(error: SdkError<E, R>, doing: &'static str) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    Error::Store(anyhow::Error::from(error).context(doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_there_once_the_answer_names_its_size_and_version() {
        let head = HeadObjectOutput::builder().content_length(7);
        assert_eq!(told(&head.clone().build()), None);
        assert_eq!(told(&HeadObjectOutput::builder().e_tag("\"e\"").build()), None);
        let object = Head {
            size: 7,
            etag: "e".to_owned(),
        };
        assert_eq!(told(&head.e_tag("\"e\"").build()), Some(object));
    }
}
