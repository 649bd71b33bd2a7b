//! The routers of all HTTP functions as one, and buckets and pages beside them on the same listener.

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use toktik_runtime::{Context, server};

/// The API, behind it the bucket under its own name, and pages for all the rest; bucket names are reserved first path
/// segments.
pub fn router(
    api: OpenApiRouter,
    pages: Router,
    context: &Context,
    s3: Router,
    bucket: &str,
) -> anyhow::Result<Router> {
    let pages = server::pages(pages, context);
    let bucket = format!("/{bucket}");
    let behind = tower::service_fn(move |request: Request| {
        let stored = is_below(request.uri().path(), &bucket);
        let behind = if stored { &s3 } else { &pages };
        behind.clone().oneshot(request)
    });
    Ok(server::router(api, context)?
        .merge(server::docs())
        .fallback_service(behind))
}

fn is_below(path: &str, bucket: &str) -> bool {
    path.strip_prefix(bucket)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn only_the_bucket_itself_is_the_stores() {
        assert!(is_below("/toktik/uploads/x", "/toktik") && is_below("/toktik", "/toktik"));
        assert!(!is_below("/toktikfoo", "/toktik") && !is_below("/", "/toktik") && !is_below("/api", "/toktik"));
    }
}
