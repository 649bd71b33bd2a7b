//! Who sent a request, as far as that can be known.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, header};
use toktik_runtime::http::Forwarded;

pub(crate) fn of(request: &Request, trust_proxy: bool) -> Forwarded {
    let headers = request.headers();
    let connection = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let told = if trust_proxy { told_client(headers) } else { None };
    let https = trust_proxy && text(headers, "x-forwarded-proto") == Some("https");
    Forwarded {
        client: told.or(connection),
        host: host(request),
        scheme: Some(if https { "https" } else { "http" }.to_owned()),
    }
}

/// Every proxy on the way adds whom it was asked by. On clusters they are several, now more and now fewer, and all have
/// private addresses: the last public one is the client's. What stands before it is anybody's word.
fn told_client(headers: &HeaderMap) -> Option<IpAddr> {
    let lines = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok());
    let told: Vec<IpAddr> = lines
        .flat_map(|line| line.split(','))
        .filter_map(|entry| entry.trim().parse().ok())
        .collect();
    let public = told.iter().rev().find(|address| !is_private(address));
    // Where everybody is within, the first is who asked.
    public.or(told.first()).copied()
}

fn is_private(address: &IpAddr) -> bool {
    match address.to_canonical() {
        // 100.64/10 is what cloud providers give to pods and balancers.
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Nothing but a host and a port: it goes into a header of ours.
fn host(request: &Request) -> Option<String> {
    let host = text(request.headers(), header::HOST.as_str()).or_else(|| Some(request.uri().authority()?.as_str()))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    host.bytes().all(allowed).then(|| host.to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trust_proxy: bool, lines: &[&str]) -> Option<String> {
        let mut request = Request::new(axum::body::Body::empty());
        for line in lines {
            request.headers_mut().append("x-forwarded-for", line.parse().unwrap());
        }
        let peer: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        of(&request, trust_proxy).client.map(|client| client.to_string())
    }

    #[test]
    fn the_last_public_address_is_the_clients() {
        assert_eq!(
            client(true, &["6.6.6.6, 203.0.113.7, 10.244.0.5", "127.0.0.1"]).as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(
            client(true, &["2001:db8::1, 100.64.3.2, ::ffff:10.0.0.1"]).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(client(true, &["192.168.1.5, 10.0.0.1"]).as_deref(), Some("192.168.1.5"));
    }

    #[test]
    fn without_trust_and_without_word_it_is_the_connections() {
        assert_eq!(client(false, &["203.0.113.7"]).as_deref(), Some("127.0.0.1"));
        assert_eq!(client(true, &["unknown, _hidden"]).as_deref(), Some("127.0.0.1"));
        assert_eq!(client(true, &[]).as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn a_host_that_is_none_is_not_passed_on() {
        let mut request = Request::new(axum::body::Body::empty());
        request
            .headers_mut()
            .insert("host", "a\"; for=6.6.6.6".parse().unwrap());
        assert_eq!(of(&request, false).host, None);
    }
}
