//! Requests that come as invocations: from a function URL or an HTTP API (payload 2.0), a REST API (1.0) or a load
//! balancer. `lambda_http` translates them; here they become what the HTTP host would have received.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, header};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Request, RequestExt};
use lambda_runtime::{Context, Diagnostic, LambdaEvent, Service, service_fn};
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;

use super::{refusal, unreadable};
use crate::http::Problem;

/// Routes the request, and gives the answer in the form that its sender expects.
pub(super) async fn answer(router: Router, text: &str, context: Context) -> Result<Value, Diagnostic> {
    let request: LambdaRequest = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    if !is_well_formed(&request) {
        return Ok(malformed());
    }
    let routed = service_fn(move |request: Request| router.clone().oneshot(as_received(request)));
    let answering = Adapter::from(routed).call(LambdaEvent::new(request, context));
    let Ok(answer) = answering.await;
    serde_json::to_value(answer).map_err(|error| refusal("Unwritable", error.to_string()))
}

/// `lambda_http` panics on what is no address, which a load balancer lets anybody send.
fn is_well_formed(request: &LambdaRequest) -> bool {
    let (headers, path, query) = match request {
        LambdaRequest::ApiGatewayV1(request) => (&request.headers, &request.path, &None),
        LambdaRequest::ApiGatewayV2(request) => (&request.headers, &request.raw_path, &request.raw_query_string),
        LambdaRequest::Alb(request) => (&request.headers, &request.path, &None),
        _ => return false,
    };
    let said = |name: &str, usual| header_of(headers, name).unwrap_or(usual).to_owned();
    let (scheme, host) = (
        said("x-forwarded-proto", "https"),
        said(header::HOST.as_str(), "localhost"),
    );
    let path = path.as_deref().unwrap_or_default();
    let query = query.as_deref().unwrap_or_default();
    let address = Url::parse(&format!("{scheme}://{host}{path}"));
    let is_uri = |address: Url| format!("{address}?{query}").parse::<Uri>().is_ok();
    ["http", "https"].contains(&scheme.as_str()) && path.starts_with('/') && address.is_ok_and(is_uri)
}

fn header_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// In the words of all senders: each reads the fields that it knows.
fn malformed() -> Value {
    let kind = "application/problem+json";
    let problem = json!(Problem::malformed("The request's address cannot be read."));
    json!({
        "statusCode": 400,
        "headers": {"content-type": kind},
        "multiValueHeaders": {"content-type": [kind]},
        "isBase64Encoded": false,
        "body": problem.to_string(),
    })
}

/// The request as it came in at the gate: where it is from, and without the name of an API's stage in its path.
fn as_received(mut request: Request) -> Request {
    let (source, stage) = match request.request_context_ref() {
        // The path of a REST API comes without its stage; `lambda_http` puts it there unless the path begins alike.
        Some(RequestContext::ApiGatewayV1(context)) => {
            let begins_alike = |stage: &&String| request.raw_http_path().starts_with(&format!("/{stage}/"));
            let stage = context.stage.as_ref().filter(|stage| !begins_alike(stage));
            (context.identity.source_ip.clone(), stage.cloned())
        }
        Some(RequestContext::ApiGatewayV2(context)) => (context.http.source_ip.clone(), context.stage.clone()),
        // A load balancer says it in X-Forwarded-For alone, which is believed where that is set.
        _ => (None, None),
    };
    if let Some(address) = source.and_then(|text| text.parse::<IpAddr>().ok()) {
        let connection = ConnectInfo(SocketAddr::new(address, 0));
        request.extensions_mut().insert(connection);
    }
    if let Some(uri) = stage.and_then(|stage| without_stage(request.uri(), &stage)) {
        *request.uri_mut() = uri;
    }
    request
}

/// None if it is not there: requests by an API's own domain name, and those of the stage `$default`, have none.
fn without_stage(uri: &Uri, stage: &str) -> Option<Uri> {
    let path = uri.path().strip_prefix('/')?.strip_prefix(stage)?;
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_no_part_of_the_path() {
        let stripped = |uri: &str, stage| without_stage(&uri.parse().unwrap(), stage).map(|uri| uri.to_string());
        assert_eq!(
            stripped("https://h.example/prod/api/v1/videos?a=b", "prod").as_deref(),
            Some("https://h.example/api/v1/videos?a=b")
        );
        assert_eq!(stripped("/prod", "prod").as_deref(), Some("/"));
        assert_eq!(stripped("/production/x", "prod"), None);
        assert_eq!(stripped("/api", "$default"), None);
    }

    fn payload(host: &str, path: &str, query: &str) -> LambdaRequest {
        let http = json!({"method": "GET", "path": path, "sourceIp": "192.0.2.7", "protocol": "HTTP/1.1"});
        let event = json!({"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": {"host": host},
            "requestContext": {"http": http, "stage": "$default"}, "isBase64Encoded": false});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn what_is_no_address_is_noticed() {
        for (host, path, query) in [
            ("h.example", "/api/v1/videos", "limit=1&tag=%3C"),
            ("h.example:8080", "/a b/ü", ""),
        ] {
            let request = payload(host, path, query);
            assert!(is_well_formed(&request), "{host} {path} {query}");
            let _ = as_received(request.into());
        }
        for (host, path, query) in [
            ("a b", "/", ""),
            ("h.example:port", "/", ""),
            ("h.example", "", ""),
            ("h.example", "/", "a=<b>"),
        ] {
            assert!(!is_well_formed(&payload(host, path, query)), "{host} {path} {query}");
        }
    }
}
