//! What was built of `ui`: the shell, assets with hashes in their names, and each compressed beside itself.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One file of `ui/dist`.
pub(crate) struct File {
    name: &'static str,
    bytes: &'static [u8],
    /// Its `ETag`.
    tag: &'static str,
}

/// By name.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The page that all others are, and the one that is a player alone.
pub(crate) const APP: &str = "index.html";
pub(crate) const PLAYER: &str = "embed.html";
/// What is in there has its hash in its name.
const ASSETS: &str = "assets/";

/// What a file may be sent as, best first: suffix and content coding.
const CODINGS: [(&str, &str); 2] = [(".br", "br"), (".gz", "gzip")];

fn find(name: &str) -> Option<&'static File> {
    let place = FILES.binary_search_by(|file| file.name.cmp(name)).ok()?;
    FILES.get(place)
}

/// None where the pages were never built.
pub(crate) fn page(name: &str) -> Option<&'static str> {
    std::str::from_utf8(find(name)?.bytes).ok()
}

/// The answer for a path, if there is such a file. Pages are only answered at their own addresses, with all that goes
/// into them.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/')?;
    let kind = kind(name)?;
    let file = find(name)?;
    let (sent, coding) = sent(file, headers);
    let cache = if name.starts_with(ASSETS) {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=3600"
    };
    let mut response = if is_known(headers, sent.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], sent.bytes).into_response()
    };
    let answer = response.headers_mut();
    let set = |headers: &mut HeaderMap, name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(answer, header::CACHE_CONTROL, cache);
    set(answer, header::VARY, "accept-encoding");
    set(answer, header::ETAG, sent.tag);
    if let Some(coding) = coding {
        set(answer, header::CONTENT_ENCODING, coding);
    }
    Some(response)
}

/// The smallest of what the reader takes.
fn sent(file: &'static File, headers: &HeaderMap) -> (&'static File, Option<&'static str>) {
    for (suffix, coding) in CODINGS {
        if takes(headers, coding)
            && let Some(packed) = find(&format!("{}{suffix}", file.name))
        {
            return (packed, Some(coding));
        }
    }
    (file, None)
}

/// RFC 9110 12.5.3: named, and not with a weight of nothing.
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut named = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    named.any(|entry| {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, "q=1"));
        let weight = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|weight| weight.trim().parse().ok());
        name.trim().eq_ignore_ascii_case(coding) && weight.is_none_or(|weight: f32| weight > 0.0)
    })
}

/// Whether the reader has what would be sent (RFC 9110 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut named = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    named.any(|entry| entry.trim() == "*" || bare(entry) == bare(tag))
}

/// By the end of the name; compressed files are not asked for by theirs.
fn kind(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    Some(match end {
        "css" => "text/css; charset=utf-8",
        "ico" => "image/x-icon",
        "jpg" => "image/jpeg",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_coding_is_taken_where_it_is_named() {
        let takes = |value, coding| takes(&headers(header::ACCEPT_ENCODING, value), coding);
        assert!(takes("gzip, deflate, br", "br") && takes("BR;q=0.5", "br"));
        assert!(!takes("gzip", "br") && !takes("br;q=0, gzip", "br") && !takes("", "gzip"));
    }

    #[test]
    fn a_tag_is_known_in_any_of_its_forms() {
        let known = |value| is_known(&headers(header::IF_NONE_MATCH, value), "\"a\"");
        assert!(known("\"a\"") && known("\"b\", W/\"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a"));
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(FILES.is_sorted_by(|one, other| one.name < other.name));
    }
}
