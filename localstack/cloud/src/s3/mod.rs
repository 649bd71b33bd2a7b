//! S3: the crate `s3s` speaks the protocol and checks signatures, this module keeps the objects.
//!
//! An object is a row that names immutable blobs. Its bytes are on disk before the one transaction that checks the
//! preconditions, links the key and leaves the notifications. Deliberately absent: versions, ACLs, encryption, tags, and
//! regions other than the configured one.

mod buckets;
mod checksums;
mod conditions;
mod drain;
mod failure;
mod listing;
mod multipart;
mod notifications;
mod objects;
mod receive;
pub(crate) mod sweep;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use s3s::auth::SimpleAuth;
use s3s::dto;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Request, S3Response, S3Result};
use tower::ServiceBuilder;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::Options;
use crate::blobs::Blobs;
use crate::store::Store;

const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The backend behind the protocol.
#[derive(Clone)]
pub(crate) struct S3 {
    store: Store,
    blobs: Blobs,
    region: Arc<str>,
}

impl S3 {
    pub(crate) fn new(store: Store, blobs: Blobs, region: &str) -> S3 {
        S3 {
            store,
            blobs,
            region: region.into(),
        }
    }

    /// Preflight requests carry no signature, so CORS comes before authentication; the headers that keep uploaded bytes
    /// from running as a page come outermost, on errors too.
    pub(crate) fn router(&self, options: &Options) -> Router {
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(SimpleAuth::from_single(
            &*options.access_key_id,
            &*options.secret_access_key,
        ));
        let protocol = builder.build();
        let service = tower::service_fn(move |request| answer(protocol.clone(), request));
        let headers = ServiceBuilder::new()
            .layer(SetResponseHeaderLayer::overriding(
                header::CONTENT_SECURITY_POLICY,
                SANDBOX,
            ))
            .layer(SetResponseHeaderLayer::overriding(
                header::X_CONTENT_TYPE_OPTIONS,
                NOSNIFF,
            ))
            .layer(cors());
        Router::new()
            .fallback_service(headers.service(service))
            .layer(middleware::from_fn(drain::refused))
    }
}

fn cors() -> CorsLayer {
    let exposed = [
        header::ETAG,
        header::CONTENT_RANGE,
        header::CONTENT_LENGTH,
        header::ACCEPT_RANGES,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            exposed
                .into_iter()
                .chain([HeaderName::from_static("x-amz-request-id")])
                .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_hours(1))
}

async fn answer(protocol: S3Service, request: Request<Body>) -> Result<Response, Infallible> {
    match protocol.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(error) => {
            tracing::error!(?error, "an S3 request could not be answered");
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// Sizes are unsigned here and signed in the protocol.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[async_trait::async_trait]
impl s3s::S3 for S3 {
    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        Ok(S3Response::new(buckets::create(self, request.input).await?))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        buckets::delete(self, request.input).await?;
        Ok(S3Response::with_status(
            dto::DeleteBucketOutput::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        buckets::head(self, request.input.bucket).await?;
        let region = Some(self.region.to_string());
        Ok(S3Response::new(dto::HeadBucketOutput {
            bucket_region: region,
            ..Default::default()
        }))
    }

    async fn list_buckets(&self, _: S3Request<dto::ListBucketsInput>) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        Ok(S3Response::new(buckets::list(self).await?))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        buckets::head(self, request.input.bucket).await?;
        // The oldest region has the empty constraint.
        let constraint = (&*self.region != "us-east-1").then(|| self.region.to_string().into());
        Ok(S3Response::new(dto::GetBucketLocationOutput {
            location_constraint: constraint,
        }))
    }

    async fn put_bucket_notification_configuration(
        &self,
        request: S3Request<dto::PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::PutBucketNotificationConfigurationOutput>> {
        notifications::put(self, request.input).await?;
        Ok(S3Response::new(dto::PutBucketNotificationConfigurationOutput::default()))
    }

    async fn get_bucket_notification_configuration(
        &self,
        request: S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketNotificationConfigurationOutput>> {
        Ok(S3Response::new(notifications::get(self, request.input.bucket).await?))
    }

    async fn put_bucket_cors(
        &self,
        request: S3Request<dto::PutBucketCorsInput>,
    ) -> S3Result<S3Response<dto::PutBucketCorsOutput>> {
        buckets::put_cors(self, request.input).await?;
        Ok(S3Response::new(dto::PutBucketCorsOutput::default()))
    }

    async fn get_bucket_cors(
        &self,
        request: S3Request<dto::GetBucketCorsInput>,
    ) -> S3Result<S3Response<dto::GetBucketCorsOutput>> {
        Ok(S3Response::new(buckets::cors(self, request.input.bucket).await?))
    }

    async fn delete_bucket_cors(
        &self,
        request: S3Request<dto::DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketCorsOutput>> {
        buckets::delete_cors(self, request.input.bucket).await?;
        Ok(S3Response::with_status(
            dto::DeleteBucketCorsOutput::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    async fn put_object(&self, request: S3Request<dto::PutObjectInput>) -> S3Result<S3Response<dto::PutObjectOutput>> {
        Ok(S3Response::new(objects::put(self, request).await?))
    }

    async fn get_object(&self, request: S3Request<dto::GetObjectInput>) -> S3Result<S3Response<dto::GetObjectOutput>> {
        Ok(S3Response::new(objects::read(self, request.input).await?))
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        Ok(S3Response::new(objects::head(self, request.input).await?))
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        Ok(S3Response::new(objects::copy(self, request.input).await?))
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let output = objects::delete(self, request.input).await?;
        Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        Ok(S3Response::new(objects::delete_many(self, request.input).await?))
    }

    async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        Ok(S3Response::new(listing::list_v1(self, request.input).await?))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        Ok(S3Response::new(listing::list_v2(self, request.input).await?))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        Ok(S3Response::new(multipart::create(self, request.input).await?))
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        Ok(S3Response::new(multipart::upload_part(self, request).await?))
    }

    async fn list_parts(&self, request: S3Request<dto::ListPartsInput>) -> S3Result<S3Response<dto::ListPartsOutput>> {
        Ok(S3Response::new(multipart::list_parts(self, request.input).await?))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        Ok(S3Response::new(multipart::list_uploads(self, request.input).await?))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        Ok(S3Response::new(multipart::complete(self, request.input).await?))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        multipart::abort(self, request.input).await?;
        Ok(S3Response::with_status(
            dto::AbortMultipartUploadOutput::default(),
            StatusCode::NO_CONTENT,
        ))
    }
}
