//! From a request body to a synced blob file whose length and checksums are what the client said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::StreamExt as _;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{S3Request, TrailingHeaders, s3_error};

use super::checksums::{Algorithm, Checksums, hasher};
use super::failure::Failure;
use crate::blobs::{Blobs, Draft};

pub(crate) struct Received {
    pub(crate) draft: Draft,
    pub(crate) size: u64,
    /// Hexadecimal MD5.
    pub(crate) etag: String,
    pub(crate) checksums: Checksums,
}

/// What the client said about the body it sends.
pub(crate) struct Claims {
    length: Option<i64>,
    content_md5: Option<String>,
    algorithms: Vec<Algorithm>,
    checksums: Checksums,
    trailers: Option<TrailingHeaders>,
}

impl Claims {
    pub(crate) fn of<T>(request: &S3Request<T>, length: Option<i64>, content_md5: Option<&String>) -> Claims {
        Claims {
            length,
            content_md5: content_md5.cloned(),
            algorithms: Algorithm::announced(&request.headers),
            checksums: Checksums::claimed(&request.headers),
            trailers: request.trailing_headers.clone(),
        }
    }

    /// Trailers can be read only after the body.
    fn check(&self, received: &Received) -> Result<(), Failure> {
        if self
            .length
            .is_some_and(|length| u64::try_from(length) != Ok(received.size))
        {
            return Err(s3_error!(IncompleteBody).into());
        }
        let in_trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.read(Checksums::claimed));
        if !received.checksums.bear_out(&self.checksums)
            || !received.checksums.bear_out(&in_trailers.unwrap_or_default())
        {
            return Err(s3_error!(BadDigest, "The checksum you specified did not match what we received.").into());
        }
        self.check_md5(&received.etag)
    }

    fn check_md5(&self, etag: &str) -> Result<(), Failure> {
        let Some(claim) = &self.content_md5 else {
            return Ok(());
        };
        let digest = BASE64.decode(claim).ok().filter(|digest| digest.len() == 16);
        let digest = digest.ok_or_else(|| s3_error!(InvalidDigest))?;
        if hex::encode(digest) != etag {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            )
            .into());
        }
        Ok(())
    }
}

/// Leaves nothing behind unless the whole body arrives and bears its claims out.
pub(crate) async fn receive(blobs: &Blobs, body: Option<StreamingBlob>, claims: Claims) -> Result<Received, Failure> {
    let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let mut file = blobs.create().await?;
    let (mut md5, mut checksums, mut size) = (Md5::new(), hasher(&claims.algorithms), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "The body broke off: {error}"))?;
        md5.update(&chunk);
        checksums.update(&chunk);
        size += chunk.len() as u64;
        file.write(&chunk).await?;
    }
    let draft = file.finish().await?;
    let checksums = Checksums::from(checksums.finalize());
    let received = Received {
        draft,
        size,
        etag: hex::encode(md5.finalize()),
        checksums,
    };
    claims.check(&received)?;
    Ok(received)
}
