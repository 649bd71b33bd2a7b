//! From where pages may load what is in the object store: its origin, where it is another one than the page's own.

use std::time::Duration;

use tokio::sync::OnceCell;
use toktik_objects::Answer;
use toktik_runtime::Context;
use url::Url;

pub(crate) struct Store {
    context: Context,
    cdn: Option<String>,
    signed: OnceCell<Option<String>>,
}

impl Store {
    pub(crate) fn new(context: &Context, cdn: Option<&str>) -> Self {
        Self {
            context: context.clone(),
            cdn: cdn.and_then(origin),
            signed: OnceCell::new(),
        }
    }

    /// What a page of this host has to name beside itself.
    pub(crate) async fn origins(&self, host: &str) -> Vec<String> {
        let addresses = &self.context.addresses;
        let beside = addresses.store_beside_api && addresses.public_s3_url.is_none();
        let store = if beside {
            addresses.public_url.as_deref().and_then(origin)
        } else {
            self.signed.get_or_init(|| self.signed_for()).await.clone()
        };
        let mut origins: Vec<String> = [store, self.cdn.clone()].into_iter().flatten().collect();
        origins.retain(|origin| origin.split_once("://").is_none_or(|(_, authority)| authority != host));
        origins.dedup();
        origins
    }

    /// As a signed address names it: stores differ in whether the bucket is a part of it.
    async fn signed_for(&self) -> Option<String> {
        let signer = self
            .context
            .objects
            .signer(self.context.addresses.public_s3_url.as_deref());
        let now = self.context.clock.now();
        match signer
            .get("origin", Answer::default(), now, Duration::from_hours(1))
            .await
        {
            Ok(address) => origin(&address),
            Err(error) => {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "the store's address is not known"
                );
                None
            }
        }
    }
}

/// Scheme, host and port, as a Content-Security-Policy names them.
fn origin(address: &str) -> Option<String> {
    let origin = Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_stands_before_the_path() {
        assert_eq!(
            origin("https://toktik.s3.eu-central-1.amazonaws.com/a?b").as_deref(),
            Some("https://toktik.s3.eu-central-1.amazonaws.com")
        );
        assert_eq!(
            origin("http://localhost:9000/toktik/x").as_deref(),
            Some("http://localhost:9000")
        );
        assert_eq!(origin("not an address"), None);
    }
}
