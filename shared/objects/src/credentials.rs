//! When the credentials that sign our URLs end: no URL outlives them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

/// The end of the credentials that were handed out last; none for those that do not end.
#[derive(Clone, Debug, Default)]
pub struct CredentialsEnd(Arc<Mutex<Option<SystemTime>>>);

impl CredentialsEnd {
    pub(crate) fn get(&self) -> Option<SystemTime> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, end: Option<SystemTime>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// Passes credentials on and notes when they end. The SDK keeps what it was given, and asks anew in time.
#[derive(Debug)]
pub struct Watched {
    inner: SharedCredentialsProvider,
    end: CredentialsEnd,
}

impl Watched {
    pub fn new(inner: SharedCredentialsProvider, end: CredentialsEnd) -> Self {
        Self { inner, end }
    }

    async fn provide(&self) -> Result<aws_credential_types::Credentials, CredentialsError> {
        let credentials = self.inner.provide_credentials().await?;
        self.end.set(credentials.expiry());
        Ok(credentials)
    }
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}
