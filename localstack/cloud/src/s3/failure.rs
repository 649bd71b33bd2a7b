//! Why an S3 operation did not succeed, before it becomes an answer.

use std::io;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

use crate::store;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Refused(#[from] S3Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("blob file: {0}")]
    File(#[from] io::Error),
    #[error("a stored row cannot be read: {0}")]
    Row(#[from] serde_json::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Store(error.into())
    }
}

impl Failure {
    fn is_disk_full(&self) -> bool {
        match self {
            Failure::Store(error) => error.is_disk_full(),
            Failure::File(error) => store::is_disk_full(error),
            Failure::Refused(_) | Failure::Row(_) => false,
        }
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        if failure.is_disk_full() {
            tracing::error!("the disk is full");
            return disk_full();
        }
        match failure {
            Failure::Refused(error) => error,
            Failure::Store(store::Error::Closed) => s3_error!(ServiceUnavailable, "The store is closed."),
            other => {
                tracing::error!(error = %other, "an S3 operation failed");
                s3_error!(InternalError, "We encountered an internal error. Please try again.")
            }
        }
    }
}

/// 507, which the SDKs do not retry.
fn disk_full() -> S3Error {
    let code = S3ErrorCode::Custom("InsufficientStorage".into());
    let mut error = S3Error::with_message(code, "There is no space left for the object.");
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_full_whoever_meets_it() {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let met = [
            Failure::from(io::Error::from(io::ErrorKind::StorageFull)),
            Failure::from(rusqlite::Error::SqliteFailure(full, None)),
        ];
        for failure in met {
            let error = S3Error::from(failure);
            assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
            assert_eq!(error.code().as_str(), "InsufficientStorage");
        }
    }
}
