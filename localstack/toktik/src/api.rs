//! The routers of all HTTP functions as one, and the buckets beside them on the same listener.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use toktik_runtime::http::Problem;
use toktik_runtime::{Context, server};

/// The API, and behind it the bucket under its own name; bucket names are reserved first path segments.
pub fn router(api: OpenApiRouter, context: &Context, s3: Router, bucket: &str) -> anyhow::Result<Router> {
    let bucket = format!("/{bucket}");
    let behind = tower::service_fn(move |request: Request| {
        let (s3, stored) = (s3.clone(), is_below(request.uri().path(), &bucket));
        async move {
            if stored {
                return s3.oneshot(request).await;
            }
            Ok::<Response, std::convert::Infallible>(Problem::not_found().into_response())
        }
    });
    let front = get(|| async { Redirect::temporary("/docs/") });
    Ok(server::router(api, context)?
        .merge(server::docs())
        .route("/", front)
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
