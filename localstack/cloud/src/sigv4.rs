//! Signature Version 4 in front of services that do not check it themselves.
//!
//! The signature is made again from the request as it arrived, over the headers the client says it signed, and compared.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use http::{HeaderMap, StatusCode, header, request};
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use crate::clock::{Clock, system_time};
use crate::{JSON_1_0, Options};

const LARGEST_REQUEST: usize = 16 << 20;
const SKEW: Duration = Duration::from_mins(15);
const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Request is missing Authentication Token")]
    Unsigned,
    #[error("The authorization header cannot be read: {0}")]
    Malformed(&'static str),
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    #[error("Signature expired or not yet valid: the clocks differ by more than 15 minutes.")]
    Skewed,
    #[error("The request signature we calculated does not match the signature you provided.")]
    Mismatch,
    #[error("The body cannot be read: {0}")]
    Body(String),
}

impl Refusal {
    fn shape(&self) -> &'static str {
        match self {
            Refusal::Unsigned => "MissingAuthenticationTokenException",
            Refusal::Malformed(_) => "IncompleteSignatureException",
            Refusal::UnknownKey => "UnrecognizedClientException",
            Refusal::Skewed | Refusal::Mismatch => "InvalidSignatureException",
            Refusal::Body(_) => "SerializationException",
        }
    }
}

#[derive(Serialize)]
struct Fault {
    #[serde(rename = "__type")]
    shape: String,
    message: String,
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let query_error = format!("{};Sender", self.shape());
        let shape = format!("com.amazon.coral.service#{}", self.shape());
        let headers = [
            ("content-type", JSON_1_0.to_owned()),
            ("x-amzn-query-error", query_error),
        ];
        let body = axum::Json(Fault {
            shape,
            message: self.to_string(),
        });
        (StatusCode::FORBIDDEN, headers, body).into_response()
    }
}

#[derive(Clone)]
struct Keys {
    credentials: Credentials,
    clock: Clock,
}

/// The service, for those alone who have the key.
pub(crate) fn guarded(service: Router, options: &Options, clock: &Clock) -> Router {
    let credentials = Credentials::new(
        &*options.access_key_id,
        &*options.secret_access_key,
        None,
        None,
        "toktik",
    );
    let keys = Keys {
        credentials,
        clock: clock.clone(),
    };
    service
        .layer(middleware::from_fn_with_state(keys, check))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
}

async fn check(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, LARGEST_REQUEST).await {
        Ok(body) => body,
        Err(error) => return Refusal::Body(error.to_string()).into_response(),
    };
    match keys.verify(&parts, &body) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Keys {
    fn verify(&self, parts: &request::Parts, body: &Bytes) -> Result<(), Refusal> {
        let authorization = Authorization::of(&parts.headers)?;
        if authorization.access_key != self.credentials.access_key_id() {
            return Err(Refusal::UnknownKey);
        }
        let time = signing_time(&parts.headers, authorization.date)?;
        self.check_skew(time)?;
        let expected = self
            .signature(parts, body, &authorization, time)
            .ok_or(Refusal::Mismatch)?;
        let same: bool = expected.as_bytes().ct_eq(authorization.signature.as_bytes()).into();
        if same { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    fn check_skew(&self, time: SystemTime) -> Result<(), Refusal> {
        let now = system_time(self.clock.now());
        let apart = now.duration_since(time).unwrap_or_else(|error| error.duration());
        if apart > SKEW { Err(Refusal::Skewed) } else { Ok(()) }
    }

    /// What the client's signature has to be; none if the request cannot be signed at all.
    fn signature(
        &self,
        parts: &request::Parts,
        body: &Bytes,
        authorization: &Authorization<'_>,
        time: SystemTime,
    ) -> Option<String> {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(authorization.region)
            .name(authorization.service)
            .time(time)
            .settings(settings())
            .build()
            .ok()?;
        let headers = authorization.signed_headers(&parts.headers)?;
        let host = parts.headers.get(header::HOST)?.to_str().ok()?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let method = parts.method.as_str();
        let request = SignableRequest::new(
            method,
            format!("http://{host}{path}"),
            headers.into_iter(),
            SignableBody::Bytes(body),
        );
        let (_, signature) = sign(request.ok()?, &params.into()).ok()?.into_parts();
        Some(signature)
    }
}

/// Every header the client names is signed, whatever the SDK itself would leave out.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings.excluded_headers = None;
    settings
}

fn signing_time(headers: &HeaderMap, date: &str) -> Result<SystemTime, Refusal> {
    let malformed = || Refusal::Malformed("X-Amz-Date");
    let text = headers
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        .ok_or_else(malformed)?;
    if !text.starts_with(date) {
        return Err(Refusal::Malformed("the credential's date"));
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").map_err(|_| malformed())?;
    Ok(DateTime::<Utc>::from_naive_utc_and_offset(time, Utc).into())
}

/// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`
struct Authorization<'r> {
    access_key: &'r str,
    date: &'r str,
    region: &'r str,
    service: &'r str,
    signed: Vec<&'r str>,
    signature: &'r str,
}

impl<'r> Authorization<'r> {
    fn of(headers: &'r HeaderMap) -> Result<Authorization<'r>, Refusal> {
        let header = headers.get(header::AUTHORIZATION).ok_or(Refusal::Unsigned)?;
        let text = header.to_str().ok().and_then(|text| text.strip_prefix(ALGORITHM));
        let text = text.ok_or(Refusal::Malformed("the algorithm"))?;
        let field = |name: &'static str| {
            let fields = text.split(',').filter_map(|field| field.trim().split_once('='));
            fields
                .into_iter()
                .find(|field| field.0 == name)
                .map(|field| field.1)
                .ok_or(Refusal::Malformed(name))
        };
        let credential: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = credential[..] else {
            return Err(Refusal::Malformed("Credential"));
        };
        let signed: Vec<&str> = field("SignedHeaders")?.split(';').collect();
        if !signed.contains(&"host") || !signed.contains(&"x-amz-date") {
            return Err(Refusal::Malformed("SignedHeaders"));
        }
        Ok(Authorization {
            access_key,
            date,
            region,
            service,
            signed,
            signature: field("Signature")?,
        })
    }

    /// None if one is missing or not text.
    fn signed_headers(&self, headers: &'r HeaderMap) -> Option<Vec<(&'r str, &'r str)>> {
        let mut values = Vec::new();
        for name in self.signed.iter().copied() {
            headers.get(name)?;
            for value in headers.get_all(name) {
                values.push((name, value.to_str().ok()?));
            }
        }
        Some(values)
    }
}
