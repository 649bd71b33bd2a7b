//! The settings of tokens: what every HTTP function needs to check them, and what auth alone needs to make them.
//!
//! No key has a default: a platform that starts with a known key is open to everybody who read the source.

use std::time::Duration;

use crate::key::{KeyError, shared_secret};
use crate::secret::Secret;
use crate::token::{Signer, Verifier};

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no key to check access tokens with: set TOKTIK_TOKEN_JWKS (public keys) or TOKTIK_TOKEN_SECRET (HS256)")]
    NoVerifyKey,
    #[error("no key to sign access tokens with: set TOKTIK_TOKEN_PRIVATE_KEY (Ed25519) or TOKTIK_TOKEN_SECRET (HS256)")]
    NoSignKey,
    #[error("TOKTIK_TOKEN_JWKS lacks the public part of TOKTIK_TOKEN_PRIVATE_KEY: nobody would take the tokens")]
    ForeignSignKey,
    #[error("{variable}: {source}")]
    Key { variable: &'static str, source: KeyError },
    #[error("{variable}: cannot read {path}: {source}")]
    File {
        variable: &'static str,
        path: String,
        source: std::io::Error,
    },
}

const JWKS: &str = "TOKTIK_TOKEN_JWKS";
const SECRET: &str = "TOKTIK_TOKEN_SECRET";
const PRIVATE_KEY: &str = "TOKTIK_TOKEN_PRIVATE_KEY";

/// How to check access tokens.
#[derive(clap::Args, Clone, Debug)]
pub struct VerifySettings {
    /// Who issues access tokens (`iss`)
    #[arg(long, env = "TOKTIK_TOKEN_ISSUER", default_value = "toktik", value_name = "NAME")]
    pub token_issuer: String,
    /// Whom access tokens are for (`aud`)
    #[arg(long, env = "TOKTIK_TOKEN_AUDIENCE", default_value = "toktik", value_name = "NAME")]
    pub token_audience: String,
    /// Public keys of access tokens: a JWK set as JSON, or @FILE
    #[arg(long, env = JWKS, value_name = "JSON|@FILE")]
    pub token_jwks: Option<String>,
    /// Secret of access tokens instead of a key pair (HS256): at least 32 bytes, or @FILE
    #[arg(long, env = SECRET, value_name = "SECRET|@FILE", hide_env_values = true)]
    pub token_secret: Option<Secret>,
}

impl VerifySettings {
    /// With both public keys and a secret, tokens of either are taken: that is how one moves from one to the other.
    pub fn verifier(&self) -> Result<Verifier, SettingsError> {
        let (issuer, audience) = (&self.token_issuer, &self.token_audience);
        let jwks = given(JWKS, self.token_jwks.as_deref())?;
        let secret = given(SECRET, self.token_secret.as_ref().map(Secret::expose))?;
        let refused = |variable| move |source| SettingsError::Key { variable, source };
        match (jwks, secret) {
            (None, None) => Err(SettingsError::NoVerifyKey),
            (None, Some(secret)) => Verifier::with_secret(issuer, audience, &secret).map_err(refused(SECRET)),
            (Some(jwks), None) => Verifier::with_jwks(issuer, audience, jwks.expose()).map_err(refused(JWKS)),
            (Some(jwks), Some(secret)) => {
                let mut verifier = Verifier::with_jwks(issuer, audience, jwks.expose()).map_err(refused(JWKS))?;
                verifier.accept(shared_secret(&secret).map_err(refused(SECRET))?);
                Ok(verifier)
            }
        }
    }
}

/// How to make tokens. What the checking side shares is taken from its [`Verifier`].
#[derive(clap::Args, Clone, Debug)]
pub struct SignSettings {
    /// Private key of access tokens: Ed25519 in PKCS#8, as PEM or base64, or @FILE
    #[arg(long, env = PRIVATE_KEY, value_name = "KEY|@FILE", hide_env_values = true, allow_hyphen_values = true)]
    pub token_private_key: Option<Secret>,
    /// How long an access token is valid (seconds, or 15m, 1h)
    #[arg(long, env = "TOKTIK_ACCESS_TOKEN_TTL", default_value = "900", value_name = "TIME", value_parser = lifetime)]
    pub access_token_ttl: Duration,
    /// How long a session lasts without being used (seconds, or 12h, 30d)
    #[arg(long, env = "TOKTIK_REFRESH_TOKEN_TTL", default_value = "30d", value_name = "TIME", value_parser = lifetime)]
    pub refresh_token_ttl: Duration,
}

impl SignSettings {
    /// Signs with the private key, or with the verifier's secret where there is no private key.
    pub fn signer(&self, verifier: &Verifier) -> Result<Signer, SettingsError> {
        let private = given(PRIVATE_KEY, self.token_private_key.as_ref().map(Secret::expose))?;
        let Some(private) = private else {
            return Signer::with_secret(verifier, self.access_token_ttl).ok_or(SettingsError::NoSignKey);
        };
        let signer = Signer::with_private_key(verifier, &private, self.access_token_ttl);
        let signer = signer.map_err(|source| SettingsError::Key {
            variable: PRIVATE_KEY,
            source,
        })?;
        signer.ok_or(SettingsError::ForeignSignKey)
    }
}

/// The value, read from a file if it names one. An empty one is as good as none: manifests often have such.
fn given(variable: &'static str, value: Option<&str>) -> Result<Option<Secret>, SettingsError> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let Some(path) = value.strip_prefix('@') else {
        return Ok(Some(Secret::from(value.to_owned())));
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| SettingsError::File {
        variable,
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(Secret::from(text.trim().to_owned())))
}

#[derive(Debug, thiserror::Error)]
#[error("expected a time from a second to a year, such as 900, 15m, 12h or 30d")]
struct InvalidLifetime;

const YEAR_SECONDS: u64 = 366 * 24 * 3600;

fn lifetime(text: &str) -> Result<Duration, InvalidLifetime> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(InvalidLifetime),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (1..=YEAR_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(InvalidLifetime)
}

#[cfg(test)]
mod tests;
