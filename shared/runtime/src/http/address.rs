//! The addresses under which a client reaches the service and the object store, and its own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::http::Problem;
use crate::settings::Addresses;

/// How addresses are found. The host puts it into every request.
#[derive(Clone, Debug)]
pub struct AddressBook {
    pub addresses: Addresses,
    /// The object store answers under the same address as the API.
    pub store_beside_api: bool,
}

/// Where this client reaches the object store; none means the store's own address.
pub struct StoreAddress(pub Option<String>);

/// Where this client reaches the service: scheme and authority, without a slash at the end.
pub struct ServiceAddress(pub String);

/// The client's own address: the connection's, or what a trusted proxy says of it.
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        if !book(parts).addresses.trust_proxy {
            return Ok(Self(connection));
        }
        // The last entry is the one our own proxy wrote; those before it are anybody's word.
        let last = text(&parts.headers, "x-forwarded-for").and_then(|list| list.rsplit(',').next());
        Ok(Self(last.and_then(|address| address.trim().parse().ok()).or(connection)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for StoreAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let book = book(parts);
        if let Some(url) = &book.addresses.public_s3_url {
            return Ok(Self(Some(trimmed(url))));
        }
        if book.store_beside_api {
            return own_address(parts, &book).map(|address| Self(Some(address)));
        }
        Ok(Self(None))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ServiceAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        own_address(parts, &book(parts)).map(Self)
    }
}

fn book(parts: &Parts) -> AddressBook {
    // Every router is wrapped by the host before it serves anything; a router without one is a defect of ours.
    #[allow(clippy::expect_used)]
    parts.extensions.get::<AddressBook>().expect("the host adds an address book").clone()
}

fn own_address(parts: &Parts, book: &AddressBook) -> Result<String, Problem> {
    if let Some(url) = &book.addresses.public_url {
        return Ok(trimmed(url));
    }
    let host = text(&parts.headers, header::HOST.as_str()).or_else(|| parts.uri.authority().map(|a| a.as_str()));
    let host = host.filter(|host| is_authority(host));
    let host = host.ok_or_else(|| Problem::malformed("The request has no usable Host header."))?;
    let scheme = match text(&parts.headers, "x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    Ok(format!("{scheme}://{host}"))
}

/// Goes into URLs that we sign: nothing but a host and a port.
fn is_authority(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}
