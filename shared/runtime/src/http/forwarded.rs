//! The `Forwarded` header (RFC 7239): who asked the gateway, for which host, and how.
//!
//! The gateway puts it in place of whatever the client sent. Platforms pass it on as it is, while each proxy on the way
//! adds its own address to `X-Forwarded-For` and has its own idea of `Host`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// One element of the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    pub client: Option<IpAddr>,
    pub host: Option<String>,
    /// `http` or `https`.
    pub scheme: Option<String>,
}

impl Forwarded {
    /// The first element: the gateway's own. Later ones are of proxies behind it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let line = headers.get(header::FORWARDED)?.to_str().ok()?;
        let mut element = Self::default();
        for (name, value) in pairs(line) {
            match name.to_ascii_lowercase().as_str() {
                "for" => element.client = node(&value),
                "host" => element.host = Some(value),
                "proto" => element.scheme = Some(value.to_ascii_lowercase()),
                _ => {}
            }
        }
        Some(element)
    }
}

/// Every value quoted, which RFC 7239 asks for where it holds a colon.
impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Some(IpAddr::V6(client)) => write!(f, "for=\"[{client}]\"")?,
            Some(IpAddr::V4(client)) => write!(f, "for={client}")?,
            None => f.write_str("for=unknown")?,
        }
        if let Some(host) = &self.host {
            write!(f, ";host=\"{host}\"")?;
        }
        if let Some(scheme) = &self.scheme {
            write!(f, ";proto={scheme}")?;
        }
        Ok(())
    }
}

/// `name=value` of the first element; a value may be a quoted string.
fn pairs(line: &str) -> Vec<(&str, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, behind) = after.strip_prefix('"').map_or_else(|| bare(after), unquoted);
        pairs.push((name.trim(), value));
        match behind.trim_start().strip_prefix(';') {
            Some(next) => rest = next,
            None => break,
        }
    }
    pairs
}

/// What stands before the next pair or element, and what comes after it.
fn bare(after: &str) -> (String, &str) {
    let end = after.find([';', ',']).unwrap_or(after.len());
    (after[..end].trim().to_owned(), &after[end..])
}

/// What stands before the closing quote, and what comes after it.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// An address with or without a port, in brackets if it is one of version 6.
fn node(text: &str) -> Option<IpAddr> {
    let with_port: Option<SocketAddr> = text.parse().ok();
    let bare = || text.trim_matches(['[', ']']).parse().ok();
    with_port.map(|address| address.ip()).or_else(bare)
}

/// Makes the request look as it came to the gateway, so that nobody further in has to know that there was one.
pub(super) async fn believe(mut request: Request, next: Next) -> Response {
    if let Some(forwarded) = Forwarded::of(request.headers()) {
        let headers = request.headers_mut();
        set(headers, header::HOST, forwarded.host);
        set(
            headers,
            HeaderName::from_static("x-forwarded-for"),
            forwarded.client.map(|client| client.to_string()),
        );
        set(headers, HeaderName::from_static("x-forwarded-proto"), forwarded.scheme);
    }
    next.run(request).await
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Forwarded> {
        let headers = HeaderMap::from_iter([(header::FORWARDED, HeaderValue::from_str(line).unwrap())]);
        Forwarded::of(&headers)
    }

    #[test]
    fn what_is_written_is_read() {
        for client in ["203.0.113.7", "2001:db8::1"] {
            let forwarded = Forwarded {
                client: client.parse().ok(),
                host: Some("example.com:8443".to_owned()),
                scheme: Some("https".to_owned()),
            };
            assert_eq!(read(&forwarded.to_string()), Some(forwarded));
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let client = |line| read(line).unwrap().client.map(|client| client.to_string());
        assert_eq!(client("for=\"_gazonk\""), None);
        assert_eq!(
            client("For=\"[2001:db8:cafe::17]:4711\"").as_deref(),
            Some("2001:db8:cafe::17")
        );
        assert_eq!(
            client("for=192.0.2.60;proto=http;by=203.0.113.43").as_deref(),
            Some("192.0.2.60")
        );
        assert_eq!(
            client("for=192.0.2.43, for=198.51.100.17").as_deref(),
            Some("192.0.2.43")
        );
    }

    #[test]
    fn nonsense_says_nothing() {
        for line in ["", ";;;", "for", "for=\"", "=", "host=\"a\\"] {
            assert_eq!(read(line).unwrap().client, None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(line: String) {
            let _ = pairs(&line);
        }
    }
}
