//! `Idempotency-Key`: what makes the repeat of a creating request harmless.

use axum::http::HeaderMap;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::Problem;

const MAX: usize = 255;

/// The key, if the request carries one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| (1..=MAX).contains(&text.len()));
    let wrong = || Problem::malformed(format!("An Idempotency-Key is 1 to {MAX} printable ASCII characters."));
    text.map(|text| Some(text.to_owned())).ok_or_else(wrong)
}

/// Tells two requests apart.
pub fn fingerprint(request: &impl Serialize) -> String {
    let json = serde_json::to_vec(request).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}
