//! Where a request comes from, as far as that can be believed.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, uri::Scheme};

use crate::App;

/// The other end of a request.
pub(crate) struct Client {
    /// What attempts are counted by; none where the host does not know it.
    pub(crate) network: Option<String>,
    /// The browser speaks HTTPS, if not to us then to the proxy before us.
    pub(crate) secure: bool,
}

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let forwarded = if app.settings.trust_proxy { forwarded_for(&parts.headers) } else { None };
        let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self {
            network: forwarded.or_else(peer).map(network),
            secure: parts.uri.scheme() == Some(&Scheme::HTTPS) || forwarded_https(&parts.headers),
        })
    }
}

/// The last entry is the one our own proxy wrote; all before it is hearsay.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let entry = line.rsplit(',').next()?.trim();
    let address = || entry.trim_matches(['[', ']']).parse().ok();
    entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()).or_else(address)
}

/// Believed from anybody: who lies about it only keeps a cookie from themselves.
fn forwarded_https(headers: &HeaderMap) -> bool {
    let value = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let first = value.and_then(|text| text.split(',').next()).unwrap_or_default();
    first.trim().eq_ignore_ascii_case("https")
}

/// One household has a whole /64 of IPv6 and could use each address of it once.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_last_forwarder_is_believed() {
        let cases = [
            (vec![("x-forwarded-for", "6.6.6.6, 10.0.0.1")], Some("10.0.0.1")),
            (vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "10.0.0.2:4711")], Some("10.0.0.2")),
            (vec![("x-forwarded-for", "[2001:db8::1]:443")], Some("2001:db8::1")),
            (vec![("x-forwarded-for", "[2001:db8::1]")], Some("2001:db8::1")),
            (vec![("x-forwarded-for", "10.0.0.1, unknown")], None),
            (vec![], None),
        ];
        for (pairs, expected) in cases {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(forwarded_for(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn networks() {
        let cases = [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ];
        for (address, expected) in cases {
            assert_eq!(network(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn https_at_the_proxy_is_https() {
        assert!(forwarded_https(&headers(&[("x-forwarded-proto", "HTTPS")])));
        assert!(!forwarded_https(&headers(&[("x-forwarded-proto", "http")])));
        assert!(!forwarded_https(&headers(&[])));
    }
}
