//! What is read often: a body with a validator, made and packed once for everybody who is answered with it.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use axum::body::Body;

use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::Problem;

/// Below this a packed body is hardly smaller, and one packet either way.
const WORTH_PACKING: usize = 512;
/// Bytes of the hash that the validator shows.
const VALIDATOR: usize = 12;

/// As many as an answer has in the end, with those of the layers around it: making room in steps is dear.
const HEADERS: usize = 12;

/// A body, its type and its `ETag`; a clone is the same one.
#[derive(Clone, Debug)]
pub struct Entity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    media_type: HeaderValue,
    body: Bytes,
    etag: HeaderValue,
    packed: OnceLock<Option<Bytes>>,
}

impl Entity {
    pub fn new(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let (media_type, body) = (HeaderValue::from_static(media_type), body.into());
        let etag = validator(&body);
        let packed = OnceLock::new();
        Self(Arc::new(Inner {
            media_type,
            body,
            etag,
            packed,
        }))
    }

    pub fn json(value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(anyhow::Error::from)?;
        Ok(Self::new("application/json", body))
    }

    /// About how much memory it takes, packed form included.
    pub fn bytes(&self) -> usize {
        self.0.body.len() * 3 / 2 + 256
    }

    fn packed(&self) -> Option<Bytes> {
        let pack = || {
            (self.0.body.len() >= WORTH_PACKING)
                .then(|| gzip(&self.0.body))
                .flatten()
        };
        self.0.packed.get_or_init(pack).clone()
    }
}

/// Weak, since the body is the same packed or not.
fn validator(body: &[u8]) -> HeaderValue {
    let hash = Sha256::digest(body);
    let text = format!("W/\"{}\"", hex::encode(&hash[..VALIDATOR]));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

impl IntoResponse for Entity {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0.body.clone()));
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        headers.insert(header::CONTENT_TYPE, self.0.media_type.clone());
        headers.insert(header::ETAG, self.0.etag.clone());
        response.extensions_mut().insert(self);
        response
    }
}

/// What a request says of the forms in which it takes an entity.
#[derive(Default)]
pub(crate) struct Wishes {
    if_none_match: Option<HeaderValue>,
    gzip: bool,
}

impl Wishes {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Self::default();
        }
        Self {
            if_none_match: headers.get(header::IF_NONE_MATCH).cloned(),
            gzip: headers.get_all(header::ACCEPT_ENCODING).iter().any(takes_gzip),
        }
    }

    /// The answer in the form that is wanted: 304 to whoever has it already, packed to whoever can unpack it.
    pub(crate) fn grant(&self, response: Response) -> Response {
        let Some(entity) = response.extensions().get::<Entity>().cloned() else {
            return response;
        };
        let (mut parts, body) = response.into_parts();
        parts.extensions.remove::<Entity>();
        let known = self
            .if_none_match
            .as_ref()
            .is_some_and(|tags| names(tags, &entity.0.etag));
        if known {
            return not_modified(parts);
        }
        let packed = self.gzip.then(|| entity.packed()).flatten();
        let Some(packed) = packed else {
            return Response::from_parts(parts, body);
        };
        parts
            .headers
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        changed(&mut parts);
        Response::from_parts(parts, Body::from(packed))
    }
}

fn not_modified(mut parts: Parts) -> Response {
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    changed(&mut parts);
    Response::from_parts(parts, Body::empty())
}

/// It is no longer as long as the answer to HEAD, which has no body to measure, was told.
fn changed(parts: &mut Parts) {
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .append(header::VARY, HeaderValue::from_static("accept-encoding"));
}

/// RFC 9110 13.1.2, by weak comparison.
fn names(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else {
        return false;
    };
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag) == opaque(etag))
}

/// RFC 9110 12.5.3: unless it is given no weight.
fn takes_gzip(value: &HeaderValue) -> bool {
    let codings = value.to_str().unwrap_or_default().split(',');
    codings.map(str::trim).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: header::HeaderName, value: &str, of: Entity) -> Response {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        Wishes::of(&Method::GET, &headers).grant(of.into_response())
    }

    #[test]
    fn whoever_has_it_is_told_so() {
        let entity = || Entity::new("text/plain", "hello");
        let etag = entity().into_response().headers()[header::ETAG]
            .to_str()
            .unwrap()
            .to_owned();
        let strong = etag.trim_start_matches("W/").to_owned();
        for tags in [&etag, &strong, "*", &format!("\"x\" , {etag}")] {
            let answer = asked(header::IF_NONE_MATCH, tags, entity());
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(answer.headers()[header::ETAG], etag);
            assert!(!answer.headers().contains_key(header::CONTENT_TYPE));
        }
        for tags in ["", "\"x\"", &etag[..etag.len() - 2]] {
            assert_eq!(
                asked(header::IF_NONE_MATCH, tags, entity()).status(),
                StatusCode::OK,
                "{tags}"
            );
        }
        let other = Entity::new("text/plain", "other");
        assert_eq!(asked(header::IF_NONE_MATCH, &etag, other).status(), StatusCode::OK);
    }

    #[test]
    fn it_is_packed_for_those_who_can_unpack_it() {
        let entity = Entity::new("text/plain", "hello ".repeat(1000));
        for accepted in ["gzip", "br, GZIP;q=0.5", "deflate , gzip; q=1"] {
            let answer = asked(header::ACCEPT_ENCODING, accepted, entity.clone());
            assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip", "{accepted}");
            assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        }
        for accepted in ["", "br", "gzip;q=0", "xgzip", "identity"] {
            let answer = asked(header::ACCEPT_ENCODING, accepted, entity.clone());
            assert!(!answer.headers().contains_key(header::CONTENT_ENCODING), "{accepted}");
        }
        let small = asked(header::ACCEPT_ENCODING, "gzip", Entity::new("text/plain", "hello"));
        assert!(!small.headers().contains_key(header::CONTENT_ENCODING));
    }
}
