//! Keys: the private one that signs, the public ones that check, and how both are written.
//!
//! The public half is a JWK set (RFC 7517) of Ed25519 keys (RFC 8037) and may hold several, so that a new key can be
//! announced before it signs and an old one kept until its last token has run out.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410 7): all there is to its DER.
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const KEY_BYTES: usize = 32;
/// RFC 7518 3.2: a key for HS256 has at least the size of the hash.
const MIN_SECRET_BYTES: usize = 32;
/// There is one shared secret at a time.
pub(crate) const SECRET_KID: &str = "hs256";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("expected a JWK set, as in {{\"keys\":[…]}}: {0}")]
    NotJwks(String),
    #[error("key {0} holds a private or secret part: only public keys belong here")]
    Private(String),
    #[error("key {0} is not an Ed25519 key for signatures (kty OKP, crv Ed25519, a kid, an x of 32 bytes)")]
    Unsupported(String),
    #[error("two keys have the kid {0}")]
    Twice(String),
    #[error("there is no key in it")]
    Empty,
    #[error("expected an Ed25519 private key in PKCS#8, as PEM or base64")]
    NotPrivate,
    #[error("the secret has {0} bytes: at least {MIN_SECRET_BYTES} are needed")]
    ShortSecret(usize),
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// One key that checks signatures, of one algorithm only.
#[derive(Clone)]
pub(crate) struct VerifyKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
    /// The public part, in base64url; a shared secret has none.
    pub(crate) x: Option<String>,
}

#[derive(Deserialize)]
struct WrittenKeys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl WrittenKey {
    fn signs_ed25519(&self) -> bool {
        let curve = self.kty == "OKP" && self.crv == "Ed25519";
        // RFC 9864 names the algorithm Ed25519, what was EdDSA before.
        let algorithm = matches!(self.alg.as_deref(), None | Some("EdDSA" | "Ed25519"));
        curve && algorithm && matches!(self.usage.as_deref(), None | Some("sig")) && !self.kid.is_empty()
    }
}

pub(crate) fn parse_jwks(text: &str) -> Result<Vec<VerifyKey>, KeyError> {
    let written: WrittenKeys = serde_json::from_str(text).map_err(|error| KeyError::NotJwks(error.to_string()))?;
    let mut keys: Vec<VerifyKey> = Vec::new();
    for (index, value) in written.keys.into_iter().enumerate() {
        let key = parse_jwk(index, value)?;
        if keys.iter().any(|other| other.kid == key.kid) {
            return Err(KeyError::Twice(key.kid));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        Err(KeyError::Empty)
    } else {
        Ok(keys)
    }
}

fn parse_jwk(index: usize, value: Value) -> Result<VerifyKey, KeyError> {
    let name = value
        .get("kid")
        .and_then(Value::as_str)
        .map_or_else(|| format!("number {index}"), str::to_owned);
    if value.get("d").is_some() || value.get("k").is_some() {
        return Err(KeyError::Private(name));
    }
    let unsupported = || KeyError::Unsupported(name.clone());
    let key: WrittenKey = serde_json::from_value(value).map_err(|_| unsupported())?;
    let bytes = URL_SAFE_NO_PAD.decode(&key.x).map_err(|_| unsupported())?;
    if !key.signs_ed25519() || bytes.len() != KEY_BYTES {
        return Err(unsupported());
    }
    let WrittenKey { kid, x, .. } = key;
    Ok(VerifyKey {
        kid,
        algorithm: Algorithm::EdDSA,
        key: DecodingKey::from_ed_der(&bytes),
        x: Some(x),
    })
}

/// The public keys as `/.well-known/jwks.json` shows them.
pub(crate) fn write_jwks<'a>(keys: impl Iterator<Item = &'a VerifyKey>) -> Value {
    let public = keys.filter_map(|key| key.x.as_ref().map(|x| (&key.kid, x)));
    let written = public
        .map(|(kid, x)| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x }));
    json!({ "keys": written.collect::<Vec<_>>() })
}

/// A private key and its public part.
pub(crate) struct PrivateKey {
    pub(crate) key: EncodingKey,
    pub(crate) x: String,
    /// The key's thumbprint (RFC 7638): the same key has the same name wherever it is written down.
    kid: String,
}

pub(crate) fn parse_private_key(text: &str) -> Result<PrivateKey, KeyError> {
    // A PEM in one line, as `.env` files and YAML have it.
    let text = Zeroizing::new(text.trim().replace("\\n", "\n"));
    let key = if text.starts_with("-----BEGIN") {
        EncodingKey::from_ed_pem(text.as_bytes()).map_err(|_| KeyError::NotPrivate)?
    } else {
        let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| KeyError::NotPrivate)?);
        EncodingKey::from_ed_der(&der)
    };
    describe(key)
}

fn describe(key: EncodingKey) -> Result<PrivateKey, KeyError> {
    let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(|_| KeyError::NotPrivate)?;
    let kid = jwk
        .thumbprint(ThumbprintHash::SHA256)
        .map_err(|_| KeyError::NotPrivate)?;
    match jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) => Ok(PrivateKey { key, x: pair.x, kid }),
        _ => Err(KeyError::NotPrivate),
    }
}

pub(crate) fn shared_secret(secret: &Secret) -> Result<VerifyKey, KeyError> {
    let bytes = secret.expose().as_bytes();
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(KeyError::ShortSecret(bytes.len()));
    }
    let key = DecodingKey::from_secret(bytes);
    Ok(VerifyKey {
        kid: SECRET_KID.to_owned(),
        algorithm: Algorithm::HS256,
        key,
        x: None,
    })
}

/// A fresh pair of keys, as the settings take them.
#[derive(Clone, Debug)]
pub struct GeneratedKeys {
    /// For `TOKTIK_TOKEN_PRIVATE_KEY`, with auth alone.
    pub private_key_pem: Secret,
    /// For `TOKTIK_TOKEN_JWKS`, with every function.
    pub jwks: String,
}

pub fn generate_keys() -> Result<GeneratedKeys, KeyError> {
    let mut der = Zeroizing::new([0; PKCS8_ED25519.len() + KEY_BYTES]);
    let (head, seed) = der.split_at_mut(PKCS8_ED25519.len());
    head.copy_from_slice(&PKCS8_ED25519);
    getrandom::fill(seed).map_err(|_| KeyError::NoRandomness)?;
    let base64 = Zeroizing::new(STANDARD.encode(der.as_slice()));
    let PrivateKey { x, kid, .. } = parse_private_key(&base64)?;
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x });
    Ok(GeneratedKeys {
        private_key_pem: format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *base64).into(),
        jwks: json!({ "keys": [public] }).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(jwks: &str) -> KeyError {
        parse_jwks(jwks).err().unwrap()
    }

    #[test]
    fn generated_keys_belong_together() {
        let keys = generate_keys().unwrap();
        let private = parse_private_key(keys.private_key_pem.expose()).unwrap();
        let public = parse_jwks(&keys.jwks).unwrap();
        assert_eq!(public[0].x.as_ref(), Some(&private.x));
        assert_eq!(public[0].kid, private.kid);
        assert_eq!(write_jwks(public.iter()).to_string(), keys.jwks);
        assert_ne!(generate_keys().unwrap().jwks, keys.jwks);
    }

    /// RFC 8037 appendix A: the key, its public part and its thumbprint.
    #[test]
    fn the_rfcs_own_key_has_its_thumbprint() {
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let base64 = STANDARD.encode([&PKCS8_ED25519[..], &seed].concat());
        let key = parse_private_key(&base64).unwrap();
        assert_eq!(key.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_pem_may_be_written_in_one_line() {
        let pem = generate_keys().unwrap().private_key_pem.expose().replace('\n', "\\n");
        assert!(parse_private_key(&pem).is_ok());
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        let pem = generate_keys().unwrap().private_key_pem;
        for bad in [
            "",
            "secret",
            "AAAA",
            &pem.expose()[..60],
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert_eq!(parse_private_key(bad).err(), Some(KeyError::NotPrivate), "{bad}");
        }
    }

    #[test]
    fn only_public_ed25519_keys_are_taken() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let good = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}"#);
        assert_eq!(parse_jwks(&format!(r#"{{"keys":[{good}]}}"#)).unwrap()[0].kid, "a");
        assert_eq!(refusal(r#"{"keys":[]}"#), KeyError::Empty);
        assert_eq!(
            refusal(&format!(r#"{{"keys":[{good},{good}]}}"#)),
            KeyError::Twice("a".to_owned())
        );
        assert!(matches!(refusal("[]"), KeyError::NotJwks(_)));
        let private = good.replace("\"kid\"", "\"d\":\"AAAA\",\"kid\"");
        assert_eq!(
            refusal(&format!(r#"{{"keys":[{private}]}}"#)),
            KeyError::Private("a".to_owned())
        );
        let secret = r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#;
        assert_eq!(refusal(secret), KeyError::Private("a".to_owned()));
        for (part, other) in [
            ("OKP", "EC"),
            ("Ed25519", "X25519"),
            (x, "AAAA"),
            ("\"a\"", "\"\""),
            ("\"kid\"", "\"alg\""),
        ] {
            let bad = format!(r#"{{"keys":[{}]}}"#, good.replace(part, other));
            assert!(matches!(refusal(&bad), KeyError::Unsupported(_)), "{bad}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(
            shared_secret(&"x".repeat(31).into()).err(),
            Some(KeyError::ShortSecret(31))
        );
        assert!(shared_secret(&"x".repeat(32).into()).is_ok());
    }
}
