//! Addresses of functions and of the store: `http`, a host, perhaps a path before the request's own.

use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use toktik_events::Function;

const PLACEHOLDER: &str = "{function}";

/// The address of every function.
#[derive(Clone, Debug)]
pub struct Template(String);

impl Template {
    pub(crate) fn of(&self, function: Function) -> Result<Origin, String> {
        self.0.replace(PLACEHOLDER, function.name()).parse()
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(PLACEHOLDER) {
            return Err(format!("{PLACEHOLDER} has to stand where the function's name goes"));
        }
        let template = Self(text.to_owned());
        template.of(Function::Auth)?;
        Ok(template)
    }
}

/// Where requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub(crate) authority: Authority,
    /// Without a slash at the end.
    prefix: String,
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        // Between gateway and functions the platform's network is trusted, or encrypts by itself.
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err("expected http://HOST".to_owned());
        }
        let authority = uri.authority().cloned().ok_or("the URL has no host")?;
        if uri.query().is_some() {
            return Err("the URL may have no query".to_owned());
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, prefix })
    }
}

impl Origin {
    /// Where this request goes.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Option<Uri> {
        let builder = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        builder.path_and_query(format!("{}{path}", self.prefix)).build().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_its_name() {
        let path = PathAndQuery::from_static("/api/v1/me?x=1");
        let uri = |template: &str| {
            let template: Template = template.parse().unwrap();
            template
                .of(Function::DeadLetter)
                .unwrap()
                .uri(&path)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            uri("http://{function}.toktik.svc.cluster.local"),
            "http://dead-letter.toktik.svc.cluster.local/api/v1/me?x=1"
        );
        assert_eq!(
            uri("http://gateway.openfaas:8080/function/{function}/"),
            "http://gateway.openfaas:8080/function/dead-letter/api/v1/me?x=1"
        );
    }

    #[test]
    fn addresses_that_lead_nowhere_are_refused() {
        for bad in [
            "http://auth",
            "{function}",
            "https://{function}",
            "http://",
            "ftp://{function}",
            "http://{function}?a",
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
    }
}
