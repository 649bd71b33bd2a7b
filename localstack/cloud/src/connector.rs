//! Hands the requests of the AWS SDKs to the services in this process, as if over HTTP but without a socket.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderValue, Method, Request, header};
use http_body::Frame;
use tower::ServiceExt as _;

/// The three services. S3 also answers for every host that is not another service's, so that a client with the public
/// endpoint of this installation works.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) s3: Router,
    pub(crate) sqs: Router,
    pub(crate) dynamodb: Router,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let services = self.clone();
        HttpConnectorFuture::new(async move { services.exchange(request).await })
    }
}

impl Connector {
    fn of_host(self, host: &str) -> Router {
        match host.split('.').next() {
            Some("sqs") => self.sqs,
            Some("dynamodb") => self.dynamodb,
            _ => self.s3,
        }
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        pretend_connection(&request);
        let request = addressed(request);
        let bodiless = request.method() == Method::HEAD;
        let service = self.of_host(request.uri().host().unwrap_or_default());
        let response = match service.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // A server never sends the body of an answer to HEAD, whatever the handler made.
        let response = response.map(|body| if bodiless { SdkBody::empty() } else { sdk_body(body) });
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// After some errors the SDK wants to end the connection, and logs an error where there is none.
fn pretend_connection(request: &Request<SdkBody>) {
    if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
        capture
            .set_connection_retriever(|| Some(ConnectionMetadata::builder().proxied(false).poison_fn(|| {}).build()));
    }
}

/// With the headers that an HTTP client would add.
fn addressed(request: Request<SdkBody>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let authority = parts
        .uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority {
        parts.headers.entry(header::HOST).or_insert(host);
    }
    if let Some(length) = body.content_length() {
        parts
            .headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    Request::from_parts(parts, Body::new(body))
}

fn sdk_body(body: Body) -> SdkBody {
    SdkBody::from_body_1_x(Shared(Mutex::new(body)))
}

/// The SDK wants bodies that are `Sync`; nobody ever waits for this lock.
struct Shared(Mutex<Body>);

impl Shared {
    fn body(&mut self) -> &mut Body {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(self.get_mut().body()).poll_frame(context)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }
}
