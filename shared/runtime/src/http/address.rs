//! The addresses under which a client reaches the service and the object store, and its own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, header};

use crate::http::Problem;
use crate::settings::{Addresses, Trust};

/// How addresses are found. The host puts it into every request.
#[derive(Clone, Debug)]
pub struct AddressBook {
    pub addresses: Arc<Addresses>,
}

/// Where this client reaches the object store; none means the store's own address.
pub struct StoreAddress(pub Option<String>);

/// Where this client reaches the service: scheme and authority, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAddress(pub String);

/// The client's own address: the connection's, or what a trusted proxy says of it.
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        if book(parts).addresses.trust_proxy == Trust::Connection {
            return Ok(Self(connection));
        }
        Ok(Self(forwarded_for(&parts.headers).or(connection)))
    }
}

/// The last entry of the last line is the one our own proxy wrote; those before it are anybody's word.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let entry = line.rsplit(',').next()?.trim();
    let with_port: Option<SocketAddr> = entry.parse().ok();
    let bare = || entry.trim_matches(['[', ']']).parse().ok();
    with_port.map(|address| address.ip()).or_else(bare)
}

impl<S: Send + Sync> FromRequestParts<S> for StoreAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let book = book(parts);
        if let Some(url) = &book.addresses.public_s3_url {
            return Ok(Self(Some(trimmed(url))));
        }
        if book.addresses.store_beside_api {
            return own_address(parts, book).map(|address| Self(Some(address)));
        }
        Ok(Self(None))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ServiceAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        own_address(parts, book(parts)).map(Self)
    }
}

fn book(parts: &Parts) -> &AddressBook {
    // Every router is wrapped by the host before it serves anything; a router without one is a defect of ours.
    #[allow(clippy::expect_used)]
    parts
        .extensions
        .get::<AddressBook>()
        .expect("the host adds an address book")
}

fn own_address(parts: &Parts, book: &AddressBook) -> Result<String, Problem> {
    if let Some(url) = &book.addresses.public_url {
        return Ok(trimmed(url));
    }
    let host = text(&parts.headers, header::HOST.as_str())
        .or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    let host = host.filter(|host| is_authority(host));
    let host = host.ok_or_else(|| Problem::malformed("The request has no usable Host header."))?;
    let forwarded =
        text(&parts.headers, "x-forwarded-proto").filter(|_| book.addresses.trust_proxy != Trust::Connection);
    // Lambda's gates end TLS and say so here; over HTTP/1 a client that writes it itself lies to nobody else.
    let secure = forwarded == Some("https") || parts.uri.scheme() == Some(&Scheme::HTTPS);
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Goes into URLs that we sign: nothing but a host and a port.
fn is_authority(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_proxy_is_believed() {
        let address = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            forwarded_for(&headers).map(|address| address.to_string())
        };
        assert_eq!(address(&["6.6.6.6, 10.0.0.1"]).as_deref(), Some("10.0.0.1"));
        assert_eq!(address(&["6.6.6.6", "10.0.0.2:4711"]).as_deref(), Some("10.0.0.2"));
        assert_eq!(address(&["[2001:db8::1]"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["unknown"]), None);
        assert_eq!(address(&[]), None);
    }

    #[test]
    fn a_host_is_a_host_and_a_port() {
        assert!(is_authority("localhost:8080") && is_authority("[::1]:80"));
        assert!(!is_authority("a/b") && !is_authority("a@b") && !is_authority(""));
    }
}
