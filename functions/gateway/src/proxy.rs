//! Passes requests on, and answers back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use toktik_events::{Function, routes};
use toktik_runtime::http::{Problem, layers};

use crate::sender;
use crate::settings::Settings;
use crate::target::Origin;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers of one connection, not of the message (RFC 9110 7.6.1).
const OF_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Clone)]
pub(crate) struct Proxy {
    client: Client<HttpConnector, Body>,
    settings: Arc<Settings>,
    /// `/` and the bucket's name.
    bucket: Arc<str>,
}

impl Proxy {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        for function in Function::ALL {
            settings.target.of(function).map_err(anyhow::Error::msg)?;
        }
        Ok(Self {
            client,
            settings: Arc::new(settings.clone()),
            bucket: format!("/{}", settings.bucket).into(),
        })
    }

    /// What this function answers.
    pub(crate) async fn function(&self, function: Function, mut request: Request) -> Response {
        let Ok(origin) = self.settings.target.of(function) else {
            return Problem::not_found().into_response();
        };
        let sender = sender::of(&request, self.settings.trust_proxy);
        let headers = request.headers_mut();
        if let Ok(forwarded) = HeaderValue::try_from(sender.to_string()) {
            headers.insert(header::FORWARDED, forwarded);
        }
        // Platforms route by it.
        if let Ok(host) = HeaderValue::try_from(origin.authority.as_str()) {
            headers.insert(header::HOST, host);
        }
        let answer = tokio::time::timeout(self.settings.timeout, self.pass(&origin, request));
        answer.await.unwrap_or_else(|_| too_late(function))
    }

    /// What no route names: the object store's, whose Host is signed and stays, or a page.
    pub(crate) async fn rest(self, request: Request) -> Response {
        match &self.settings.store {
            Some(store) if self.is_stored(request.uri().path()) => self.pass(store, request).await,
            _ if routes::is_api(request.uri().path()) => layers::not_found().await.into_response(),
            _ => self.function(routes::REST, request).await,
        }
    }

    fn is_stored(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.bucket);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    async fn pass(&self, origin: &Origin, mut request: Request) -> Response {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let Some(uri) = origin.uri(&path) else {
            return Problem::malformed("The request's path cannot be passed on.").into_response();
        };
        keep_host(&mut request);
        *request.uri_mut() = uri;
        *request.version_mut() = axum::http::Version::HTTP_11;
        drop_connection_headers(request.headers_mut());
        match self.client.request(request).await {
            Ok(answer) => {
                let mut answer = answer.map(Body::new);
                drop_connection_headers(answer.headers_mut());
                answer
            }
            Err(error) => unreachable_from_here(origin, &error),
        }
    }
}

/// HTTP/2 says it in the address, and HTTP/1 in a header.
fn keep_host(request: &mut Request) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request
        .uri()
        .authority()
        .and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// With those that `Connection` itself names.
fn drop_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_CONNECTION) {
        headers.remove(name);
    }
}

fn unreachable_from_here(origin: &Origin, error: &dyn std::error::Error) -> Response {
    let cause = error.source().map(ToString::to_string);
    tracing::error!(target = %origin.authority, error = %error, cause, "a request could not be passed on");
    let title = "This part of the service cannot be reached right now. Try again.";
    Problem::new(StatusCode::BAD_GATEWAY, "bad_gateway", title)
        .retry_after(5)
        .into_response()
}

fn too_late(function: Function) -> Response {
    tracing::error!(%function, "a function did not begin to answer in time");
    let title = "This part of the service did not answer in time. Try again.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "gateway_timeout", title)
        .retry_after(5)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "close, X-Private".parse().unwrap());
        headers.insert("x-private", "1".parse().unwrap());
        headers.insert("te", "trailers".parse().unwrap());
        headers.insert("content-length", "3".parse().unwrap());
        drop_connection_headers(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-length"]);
    }
}
