//! The one page, with what has to stand in it before any script runs.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest, Sha256};
use toktik_runtime::http::{Problem, ServiceAddress};

use crate::escape::Escaped;
use crate::headers::{self, Frames};
use crate::{Desk, files};

/// Where a page's own head and body go.
const HEAD: &str = "<!--head-->";
const BODY: &str = "<!--body-->";

/// In place of pages that were never built.
const UNBUILT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<!--head-->
<!--body-->
<p>The pages of this Toktik are not built yet: <code>cargo xtask up</code> builds them, and so does <code>npm ci && npm \
run build</code> in <code>functions/web/ui</code> before the program itself is built. The API is here all the same:
<a href=\"/docs/\">/docs</a>.</p>
</html>
";

/// The page as it was built, taken apart where something goes in.
pub(crate) struct Shell {
    before_head: &'static str,
    before_body: &'static str,
    after: &'static str,
}

impl Shell {
    /// What was built under this name.
    pub(crate) fn built(name: &str) -> Self {
        Self::of(files::page(name).unwrap_or(UNBUILT))
    }

    /// What has no marks gets no head or body of its own.
    fn of(text: &'static str) -> Self {
        let (before_head, rest) = text.split_once(HEAD).unwrap_or((text, ""));
        let (before_body, after) = rest.split_once(BODY).unwrap_or((rest, ""));
        Self {
            before_head,
            before_body,
            after,
        }
    }

    fn render(&self, head: &str, body: &str) -> String {
        [self.before_head, head, self.before_body, body, self.after].concat()
    }
}

/// A page before it is sent.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) frames: Frames,
    /// Not everybody may see it.
    pub(crate) private: bool,
}

impl Page {
    /// One that says nothing but what it is called.
    pub(crate) fn titled(title: &str) -> Self {
        Self {
            status: StatusCode::OK,
            head: format!("<title>{}</title>", Escaped(title)),
            body: String::new(),
            frames: Frames::Nobody,
            private: false,
        }
    }

    /// The same for all that is not there, whatever it would have been.
    pub(crate) fn missing() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::titled("Not found · Toktik").unlisted()
        }
    }

    /// Search engines leave it out.
    pub(crate) fn unlisted(mut self) -> Self {
        self.head.push_str("<meta name=\"robots\" content=\"noindex\">");
        self
    }
}

/// Who asks, and for which host.
pub(crate) struct Visit {
    pub(crate) headers: HeaderMap,
    /// Scheme and authority, under which people reach these pages.
    pub(crate) base: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ServiceAddress(base) = ServiceAddress::from_request_parts(parts, state).await?;
        Ok(Self {
            headers: parts.headers.clone(),
            base,
        })
    }
}

impl Visit {
    fn host(&self) -> &str {
        let named = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        named.unwrap_or_default()
    }
}

impl Desk {
    pub(crate) async fn send(self: &Arc<Self>, page: Page, visit: &Visit) -> Response {
        let shell = match page.frames {
            Frames::Nobody => &self.app,
            Frames::Anybody => &self.player,
        };
        let text = shell.render(&[&page.head, self.limits.as_str()].concat(), &page.body);
        let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&text)[..12]));
        let mut response = if page.status == StatusCode::OK && files::is_known(&visit.headers, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            (page.status, Html(text)).into_response()
        };
        let headers = response.headers_mut();
        headers::set(headers, &self.store.origins(visit.host()).await, page.frames);
        let cache = if page.private { "private, no-store" } else { "no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        // Weak: it is compressed on its way.
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_it_is_in_the_places_for_it() {
        let shell = Shell::of("<html><head><!--head--></head><body><!--body--><div></div></body></html>");
        assert_eq!(
            shell.render("<title>x</title>", "<p>y</p>"),
            "<html><head><title>x</title></head><body><p>y</p><div></div></body></html>"
        );
        assert_eq!(Shell::of("<p>no marks").render("", ""), "<p>no marks");
    }

    #[test]
    fn the_page_that_was_built_has_both_places() {
        for text in [None, files::page(files::APP), files::page(files::PLAYER)] {
            let text = text.unwrap_or(UNBUILT);
            assert_eq!((text.matches(HEAD).count(), text.matches(BODY).count()), (1, 1));
        }
    }

    #[test]
    fn a_title_is_text() {
        let page = Page::titled("</title><script>alert(1)</script>");
        assert_eq!(page.head.matches("</title>").count(), 1);
        assert!(!page.head.contains("<script"));
    }
}
