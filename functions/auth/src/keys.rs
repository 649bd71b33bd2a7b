//! The public keys, for whoever wants to check our tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// A JWK set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// Ed25519 public keys: `kty`, `crv`, `x`, `kid`, `use`, `alg`. Empty where tokens are signed with a secret.
    #[schema(value_type = Vec<Object>)]
    keys: serde_json::Value,
}

/// The keys that check access tokens.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "auth",
    responses((status = 200, description = "The public keys, cacheable for five minutes", body = KeySet)),
)]
pub(crate) async fn jwks(State(app): State<Arc<App>>) -> impl IntoResponse {
    let keys = app.context.verifier.jwks()["keys"].take();
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(KeySet { keys }))
}
