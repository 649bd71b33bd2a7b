//! Multipart uploads, from the server's side: the client sends parts to signed URLs, and that is all it does.

use anyhow::Context;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MultipartUpload};
use chrono::{DateTime, Utc};

use crate::store::{Error, Objects, failed, is_missing};

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    /// Bytes.
    pub size: u64,
    pub etag: String,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    pub key: String,
    pub upload_id: String,
    pub began: DateTime<Utc>,
}

impl Objects {
    /// Begins an upload and returns its id.
    pub async fn create_multipart(&self, key: &str, content_type: &str) -> Result<String, Error> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        let output = request.content_type(content_type).send().await;
        let output = output.map_err(|error| failed(error, "beginning a multipart upload"))?;
        Ok(output.upload_id.context("the store gave no upload id")?)
    }

    /// What has arrived, in order. `Missing` when the upload was completed or aborted.
    pub async fn list_parts(&self, key: &str, upload_id: &str) -> Result<Vec<Part>, Error> {
        let request = self
            .client
            .list_parts()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id);
        let mut pages = request.into_paginator().send();
        let mut parts = Vec::new();
        loop {
            match pages.try_next().await {
                Ok(None) => return Ok(parts),
                Ok(Some(page)) => parts.extend(page.parts().iter().filter_map(part)),
                Err(error) if is_missing(&error) => return Err(Error::Missing(key.to_owned())),
                Err(error) => return Err(failed(error, "listing parts")),
            }
        }
    }

    /// Joins the parts, unless there is an object under the key already.
    pub async fn complete_multipart(&self, key: &str, upload_id: &str, parts: &[Part]) -> Result<(), Error> {
        let completed = |part: &Part| {
            let number = i32::try_from(part.number).unwrap_or(i32::MAX);
            CompletedPart::builder().part_number(number).e_tag(&part.etag).build()
        };
        let parts = parts.iter().map(completed).collect();
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.upload_id(upload_id).multipart_upload(upload).if_none_match("*");
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) || is_contested(&error) => Err(Error::Missing(key.to_owned())),
            Err(error) => Err(failed(error, "completing a multipart upload")),
        }
    }

    /// Uploads in parts under this prefix that are still open, as many as the store lists at once.
    pub async fn open_multiparts(&self, prefix: &str) -> Result<Vec<OpenUpload>, Error> {
        let request = self.client.list_multipart_uploads().bucket(&self.bucket);
        let listed = request.prefix(prefix).send().await;
        let listed = listed.map_err(|error| failed(error, "listing multipart uploads"))?;
        Ok(listed.uploads().iter().filter_map(open_upload).collect())
    }

    /// Drops an upload and its parts; one that is gone already does not matter.
    pub async fn abort_multipart(&self, key: &str, upload_id: &str) -> Result<(), Error> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(key);
        match request.upload_id(upload_id).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failed(error, "aborting a multipart upload")),
        }
    }
}

/// Somebody else is completing the same upload right now.
fn is_contested<E, R>(error: &SdkError<E, R>) -> bool
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    error.code() == Some("ConditionalRequestConflict")
}

fn open_upload(upload: &MultipartUpload) -> Option<OpenUpload> {
    let began = upload.initiated()?;
    Some(OpenUpload {
        key: upload.key()?.to_owned(),
        upload_id: upload.upload_id()?.to_owned(),
        began: DateTime::from_timestamp(began.secs(), began.subsec_nanos())?,
    })
}

fn part(part: &aws_sdk_s3::types::Part) -> Option<Part> {
    Some(Part {
        number: u32::try_from(part.part_number()?).ok()?,
        size: u64::try_from(part.size()?).ok()?,
        etag: part.e_tag()?.to_owned(),
    })
}
