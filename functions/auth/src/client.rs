//! Where a request comes from, as far as that can be believed.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::http::uri::Scheme;
use toktik_runtime::http::ClientAddress;

/// The other end of a request.
pub(crate) struct Client {
    /// What attempts are counted by; none where the host does not know it.
    pub(crate) network: Option<String>,
    /// The browser speaks HTTPS, if not to us then to the proxy before us.
    pub(crate) secure: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        Ok(Self {
            network: address.map(network),
            secure: parts.uri.scheme() == Some(&Scheme::HTTPS) || forwarded_https(&parts.headers),
        })
    }
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
        let said = |text: &'static str| {
            let pair = ("x-forwarded-proto".parse().unwrap(), text.parse().unwrap());
            forwarded_https(&HeaderMap::from_iter([pair]))
        };
        assert!(said("HTTPS") && said("https, http"));
        assert!(!said("http") && !forwarded_https(&HeaderMap::new()));
    }
}
