//! Access tokens: JWTs in the profile of RFC 9068, valid for minutes, checked by their signature alone.
//!
//! A key is bound to its algorithm and found by `kid`; what the token's header says of the algorithm has to agree and
//! decides nothing. The time is a parameter: nothing here reads a clock.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::{self, KeyError, VerifyKey};
use crate::secret::Secret;
use crate::user::{Identity, Role, SessionId, UserId};

/// RFC 9068 2.1; keeps other JWTs of the same issuer from being taken for an access token.
const TYPE: &str = "at+jwt";
/// Ours are a quarter of it; what is longer is not worth decoding.
const MAX_BYTES: usize = 4096;
/// How far the signer's clock may be ahead.
const SKEW_SECONDS: i64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not a JWT of ours")]
    Malformed,
    #[error("the token is not an access token")]
    Type,
    #[error("no key of ours signed the token")]
    Key,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is for somebody else")]
    Claims,
    #[error("the token has expired")]
    Expired,
    #[error("the token is from the future")]
    Future,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    iat: i64,
    exp: i64,
    /// As in `OpenID` Connect Core 2: when the user was last asked for a password.
    auth_time: i64,
    sid: SessionId,
    name: String,
    role: Role,
}

/// Checks access tokens.
#[derive(Clone)]
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: Vec<VerifyKey>,
}

impl Verifier {
    /// By public keys, a JWK set.
    pub fn with_jwks(issuer: &str, audience: &str, jwks: &str) -> Result<Self, KeyError> {
        Ok(Self::new(issuer, audience, key::parse_jwks(jwks)?))
    }

    /// By a shared secret (HS256); whoever can check can also sign.
    pub fn with_secret(issuer: &str, audience: &str, secret: &Secret) -> Result<Self, KeyError> {
        Ok(Self::new(issuer, audience, vec![key::shared_secret(secret)?]))
    }

    /// Refuses every token: for a function that is started by events alone.
    pub fn closed() -> Self {
        Self::new("", "", Vec::new())
    }

    fn new(issuer: &str, audience: &str, keys: Vec<VerifyKey>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            keys,
        }
    }

    /// Who bears this token, if it is valid at this moment.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Identity, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Malformed);
        }
        let key = self.key_of(token)?;
        let claims = self.check_signature(token, key)?;
        claims.identity_at(now.timestamp())
    }

    fn key_of(&self, token: &str) -> Result<&VerifyKey, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Type);
        }
        let key = self.keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref());
        key.filter(|key| key.algorithm == header.alg).ok_or(TokenError::Key)
    }

    fn check_signature(&self, token: &str, key: &VerifyKey) -> Result<Claims, TokenError> {
        use jsonwebtoken::errors::ErrorKind;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation(key.algorithm));
        let claims = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => {
                TokenError::Claims
            }
            _ => TokenError::Malformed,
        })?;
        Ok(claims.claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The library compares with the system's clock; `Claims::identity_at` with the caller's.
        validation.validate_exp = false;
        validation
    }

    /// The public keys, for `/.well-known/jwks.json`. A shared secret is not among them.
    pub fn jwks(&self) -> Value {
        key::write_jwks(self.keys.iter())
    }

    pub(crate) fn accept(&mut self, key: VerifyKey) {
        self.keys.push(key);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&String> = self.keys.iter().map(|key| &key.kid).collect();
        let mut shown = f.debug_struct("Verifier");
        shown
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("kids", &kids)
            .finish()
    }
}

impl Claims {
    fn identity_at(self, now: i64) -> Result<Identity, TokenError> {
        if now >= self.exp {
            return Err(TokenError::Expired);
        }
        if self.iat > now.saturating_add(SKEW_SECONDS) {
            return Err(TokenError::Future);
        }
        Ok(Identity {
            user: self.sub,
            username: self.name,
            role: self.role,
            session: self.sid,
            signed_in_at: DateTime::from_timestamp(self.auth_time, 0).ok_or(TokenError::Malformed)?,
        })
    }
}

/// A signed token and how long it is valid.
#[derive(Clone)]
pub struct AccessToken {
    pub token: String,
    pub expires_in: Duration,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Makes access tokens; auth alone has one.
#[derive(Clone)]
pub struct Signer {
    issuer: String,
    audience: String,
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
    lifetime: Duration,
}

impl Signer {
    /// Signs with a private key (PKCS#8, PEM or base64) whose public part the verifier has; `None` if it has not:
    /// nobody would take such tokens.
    pub fn with_private_key(verifier: &Verifier, key: &Secret, lifetime: Duration) -> Result<Option<Self>, KeyError> {
        let private = key::parse_private_key(key.expose())?;
        let public = verifier.keys.iter().find(|key| key.x.as_ref() == Some(&private.x));
        Ok(public.map(|public| Self::new(verifier, public, private.key, lifetime)))
    }

    /// Signs with the verifier's shared secret, if it has one.
    pub fn with_secret(verifier: &Verifier, lifetime: Duration) -> Option<Self> {
        let shared = verifier.keys.iter().find(|key| key.algorithm == Algorithm::HS256)?;
        let secret = shared.key.try_get_as_bytes().ok()?;
        Some(Self::new(verifier, shared, EncodingKey::from_secret(secret), lifetime))
    }

    fn new(verifier: &Verifier, public: &VerifyKey, key: EncodingKey, lifetime: Duration) -> Self {
        Self {
            issuer: verifier.issuer.clone(),
            audience: verifier.audience.clone(),
            kid: public.kid.clone(),
            algorithm: public.algorithm,
            key,
            lifetime,
        }
    }

    pub fn sign(&self, identity: &Identity, now: DateTime<Utc>) -> Result<AccessToken, TokenError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        let token = jsonwebtoken::encode(&header, &self.claims(identity, now.timestamp()), &self.key);
        let token = token.map_err(|_| TokenError::Key)?;
        Ok(AccessToken {
            token,
            expires_in: self.lifetime,
        })
    }

    fn claims(&self, identity: &Identity, now: i64) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: identity.user,
            iat: now,
            exp: now.saturating_add_unsigned(self.lifetime.as_secs()),
            auth_time: identity.signed_in_at.timestamp(),
            sid: identity.session,
            name: identity.username.clone(),
            role: identity.role,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
