//! The matrix of tokens that must not be taken.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::key::{GeneratedKeys, generate_keys};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const LIFETIME: Duration = Duration::from_mins(15);

fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ada() -> Identity {
    Identity {
        user: UserId::random(),
        username: "Ada".to_owned(),
        role: Role::Admin,
        session: SessionId::random(),
        signed_in_at: noon() - TimeDelta::days(2),
    }
}

struct Pair {
    keys: GeneratedKeys,
    verifier: Verifier,
    signer: Signer,
}

fn pair() -> Pair {
    let keys = generate_keys().unwrap();
    let verifier = Verifier::with_jwks("toktik", "toktik", &keys.jwks).unwrap();
    let signer = Signer::with_private_key(&verifier, &keys.private_key_pem, LIFETIME)
        .unwrap()
        .unwrap();
    Pair { keys, verifier, signer }
}

fn shared() -> (Verifier, Signer) {
    let verifier = Verifier::with_secret("toktik", "toktik", &"s".repeat(32).into()).unwrap();
    let signer = Signer::with_secret(&verifier, LIFETIME).unwrap();
    (verifier, signer)
}

fn token(signer: &Signer) -> String {
    signer.sign(&ada(), noon()).unwrap().token
}

fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// A token with an other header or other claims, signed by the same key.
fn forge(signer: &Signer, header: impl Fn(&mut Header), claims: impl Fn(&mut Value)) -> String {
    let mut head = Header::new(signer.algorithm);
    head.typ = Some(TYPE.to_owned());
    head.kid = Some(signer.kid.clone());
    header(&mut head);
    let mut body = serde_json::to_value(signer.claims(&ada(), noon().timestamp())).unwrap();
    claims(&mut body);
    jsonwebtoken::encode(&head, &body, &signer.key).unwrap()
}

fn refusal(verifier: &Verifier, token: &str) -> TokenError {
    verifier.verify(token, noon()).expect_err(token)
}

#[test]
fn what_was_signed_comes_back() {
    let Pair { verifier, signer, .. } = pair();
    let identity = ada();
    for (verifier, signer) in [(verifier, signer), shared()] {
        let signed = signer.sign(&identity, noon()).unwrap();
        assert_eq!(signed.expires_in, LIFETIME);
        assert_eq!(verifier.verify(&signed.token, noon()), Ok(identity.clone()));
    }
}

#[test]
fn the_token_says_what_the_contract_asks() {
    let Pair { signer, .. } = pair();
    let identity = ada();
    let token = signer.sign(&identity, noon()).unwrap().token;
    assert_eq!(
        part(&token, 0),
        json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": signer.kid })
    );
    let claims = json!({
        "iss": "toktik", "aud": "toktik", "sub": identity.user, "iat": noon().timestamp(),
        "exp": noon().timestamp() + 900, "auth_time": identity.signed_in_at.timestamp(), "sid": identity.session,
        "name": "Ada", "role": "admin",
    });
    assert_eq!(part(&token, 1), claims);
}

#[test]
fn it_is_valid_until_the_second_it_expires() {
    let Pair { verifier, signer, .. } = pair();
    let token = token(&signer);
    let after = |seconds| verifier.verify(&token, noon() + TimeDelta::seconds(seconds));
    assert!(after(899).is_ok());
    assert_eq!(after(900), Err(TokenError::Expired));
    assert!(after(-60).is_ok(), "the signer's clock may be a little ahead");
    assert_eq!(after(-61), Err(TokenError::Future));
}

#[test]
fn another_key_under_the_same_name_is_refused() {
    let (one, other) = (pair(), pair());
    let same_kid = forge(
        &other.signer,
        |header| header.kid = Some(one.signer.kid.clone()),
        |_| (),
    );
    assert_eq!(refusal(&one.verifier, &same_kid), TokenError::Signature);
    assert_eq!(refusal(&one.verifier, &token(&other.signer)), TokenError::Key);
    let (verifier, _) = shared();
    let other_secret = Verifier::with_secret("toktik", "toktik", &"t".repeat(32).into()).unwrap();
    let signer = Signer::with_secret(&other_secret, LIFETIME).unwrap();
    assert_eq!(refusal(&verifier, &token(&signer)), TokenError::Signature);
}

#[test]
fn no_algorithm_is_none() {
    let Pair { verifier, signer, .. } = pair();
    let whole = token(&signer);
    let claims = whole.split('.').nth(1).unwrap();
    for algorithm in ["none", "None", "NONE", ""] {
        let header = encode(&json!({ "typ": TYPE, "alg": algorithm, "kid": signer.kid }));
        for signature in ["", whole.rsplit('.').next().unwrap()] {
            let forged = format!("{header}.{claims}.{signature}");
            assert_eq!(refusal(&verifier, &forged), TokenError::Malformed);
        }
    }
    let unsigned = whole.rsplit_once('.').unwrap().0;
    assert_eq!(refusal(&verifier, &format!("{unsigned}.")), TokenError::Signature);
}

/// The classic: the public key, which everybody has, used as the secret of an HMAC.
#[test]
fn a_public_key_is_no_shared_secret() {
    let Pair { keys, verifier, signer } = pair();
    let public = verifier.keys[0].key.try_get_as_bytes().unwrap().to_vec();
    let x = verifier.keys[0].x.clone().unwrap();
    for secret in [public.as_slice(), x.as_bytes(), keys.jwks.as_bytes()] {
        let forger = Signer {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret),
            ..signer.clone()
        };
        assert_eq!(refusal(&verifier, &token(&forger)), TokenError::Key);
    }
}

#[test]
fn a_verifier_of_secrets_takes_no_signature_and_the_reverse() {
    let one = pair();
    let (verifier, signer) = shared();
    assert_eq!(refusal(&verifier, &token(&one.signer)), TokenError::Key);
    assert_eq!(refusal(&one.verifier, &token(&signer)), TokenError::Key);
    let renamed = forge(&one.signer, |header| header.kid = Some(signer.kid.clone()), |_| ());
    assert_eq!(refusal(&verifier, &renamed), TokenError::Key);
}

#[test]
fn issuer_and_audience_have_to_be_ours() {
    let Pair { verifier, signer, .. } = pair();
    for claim in ["iss", "aud"] {
        for other in [json!("elsewhere"), json!(""), json!(null), json!(7), json!([])] {
            let forged = forge(&signer, |_| (), |claims| claims[claim] = other.clone());
            assert!(
                matches!(refusal(&verifier, &forged), TokenError::Claims | TokenError::Malformed),
                "{claim} {other}"
            );
        }
    }
}

#[test]
fn every_claim_is_needed() {
    let Pair { verifier, signer, .. } = pair();
    for claim in ["iss", "aud", "sub", "iat", "exp", "auth_time", "sid", "name", "role"] {
        let forged = forge(
            &signer,
            |_| (),
            |claims| drop(claims.as_object_mut().unwrap().remove(claim)),
        );
        assert!(verifier.verify(&forged, noon()).is_err(), "{claim}");
    }
    for (claim, value) in [
        ("role", json!("root")),
        ("sub", json!("ada")),
        ("exp", json!("never")),
        ("exp", json!(1e300)),
    ] {
        let forged = forge(&signer, |_| (), |claims| claims[claim] = value.clone());
        assert_eq!(refusal(&verifier, &forged), TokenError::Malformed, "{claim} {value}");
    }
}

#[test]
fn other_kinds_of_jwt_are_refused() {
    let Pair { verifier, signer, .. } = pair();
    for other in [None, Some("JWT"), Some("id+jwt"), Some("AT+JWT")] {
        let forged = forge(&signer, |header| header.typ = other.map(str::to_owned), |_| ());
        assert_eq!(refusal(&verifier, &forged), TokenError::Type, "{other:?}");
    }
    let critical = forge(&signer, |header| header.crit = Some(vec!["b64".to_owned()]), |_| ());
    assert_eq!(refusal(&verifier, &critical), TokenError::Type);
}

#[test]
fn the_key_has_to_be_named() {
    let Pair { verifier, signer, .. } = pair();
    for other in [None, Some(String::new()), Some("../../dev/null".to_owned())] {
        let forged = forge(&signer, |header| header.kid = other.clone(), |_| ());
        assert_eq!(refusal(&verifier, &forged), TokenError::Key);
    }
}

#[test]
fn a_key_in_the_token_is_not_used() {
    let (one, other) = (pair(), pair());
    let jwk = parse_one_jwk(&other.keys.jwks);
    let forged = forge(&other.signer, |header| header.jwk = Some(jwk.clone()), |_| ());
    assert_eq!(refusal(&one.verifier, &forged), TokenError::Key);
}

fn parse_one_jwk(jwks: &str) -> jsonwebtoken::jwk::Jwk {
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(jwks).unwrap();
    set.keys[0].clone()
}

#[test]
fn a_changed_token_is_refused() {
    let Pair { verifier, signer, .. } = pair();
    let whole = token(&signer);
    let parts: Vec<&str> = whole.split('.').collect();
    let mut claims = part(&whole, 1);
    claims["sub"] = json!(UserId::random());
    let swapped = format!("{}.{}.{}", parts[0], encode(&claims), parts[2]);
    assert_eq!(refusal(&verifier, &swapped), TokenError::Signature);
}

#[test]
fn what_is_no_token_is_refused() {
    let Pair { verifier, signer, .. } = pair();
    let whole = token(&signer);
    let huge = format!("{whole}{}", "A".repeat(MAX_BYTES));
    let refresh = crate::RefreshToken::random(UserId::random(), SessionId::random()).expose();
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        &huge,
        &refresh,
        &format!("{whole}."),
        &format!(" {whole}"),
    ] {
        assert!(verifier.verify(bad, noon()).is_err(), "{bad}");
    }
}

#[test]
fn keys_rotate_without_signing_anybody_out() {
    let (old, new) = (pair(), pair());
    let both = format!(
        r#"{{"keys":[{},{}]}}"#,
        serde_json::to_string(&parse_one_jwk(&old.keys.jwks)).unwrap(),
        serde_json::to_string(&parse_one_jwk(&new.keys.jwks)).unwrap(),
    );
    let verifier = Verifier::with_jwks("toktik", "toktik", &both).unwrap();
    for signer in [&old.signer, &new.signer] {
        assert!(verifier.verify(&token(signer), noon()).is_ok());
    }
    assert_eq!(verifier.jwks()["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_closed_verifier_takes_nothing_and_signs_nothing() {
    let closed = Verifier::closed();
    let Pair { keys, signer, .. } = pair();
    assert_eq!(refusal(&closed, &token(&signer)), TokenError::Key);
    assert!(Signer::with_secret(&closed, LIFETIME).is_none());
    assert!(
        Signer::with_private_key(&closed, &keys.private_key_pem, LIFETIME)
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_published_keys_hold_no_secret() {
    let (verifier, _) = shared();
    assert_eq!(verifier.jwks(), json!({ "keys": [] }));
    let Pair { verifier, .. } = pair();
    assert!(verifier.jwks()["keys"][0].get("d").is_none());
}

#[test]
fn nothing_secret_is_printed() {
    let (verifier, signer) = shared();
    let token = signer.sign(&ada(), noon()).unwrap();
    let shown = format!("{verifier:?} {signer:?} {token:?}");
    assert!(!shown.contains("sss") && !shown.contains(&token.token), "{shown}");
}

proptest! {
    #[test]
    fn no_text_panics_or_is_taken(text in any::<String>()) {
        let verifier = Verifier::with_secret("toktik", "toktik", &"s".repeat(32).into()).unwrap();
        prop_assert!(verifier.verify(&text, noon()).is_err());
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed(position in 0_usize..2000, bit in 0_u8..8) {
        let (verifier, signer) = shared();
        let mut bytes = token(&signer).into_bytes();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        let taken = String::from_utf8(bytes).is_ok_and(|changed| verifier.verify(&changed, noon()).is_ok());
        prop_assert!(!taken);
    }
}
