//! Access and refresh tokens, names and logins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

use toktik_identity::{Email, Login, RefreshToken, SessionId, UserId, Username, Verifier, generate_keys};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = generate_keys().expect("there is randomness");
    Verifier::with_jwks("toktik", "toktik", &keys.jwks).expect("our own keys are keys")
});

fuzz_target!(|text: &str| {
    let now = chrono::DateTime::UNIX_EPOCH;
    assert!(VERIFIER.verify(text, now).is_err(), "a token that nobody signed");
    if let Ok(token) = text.parse::<RefreshToken>() {
        let again: RefreshToken = token.expose().parse().expect("what we write we read");
        assert!(again.hash() == token.hash());
    }
    if let Ok(name) = text.parse::<Username>() {
        assert_eq!(Login::new(name.as_str()), Login::Username(name.key()));
    }
    if let Ok(email) = text.parse::<Email>() {
        assert_eq!(Login::new(email.as_str()), Login::Email(email.key()));
    }
    let _ = (
        text.parse::<UserId>(),
        text.parse::<SessionId>(),
        toktik_identity::fingerprint(text),
    );
    let _ = Verifier::with_jwks("toktik", "toktik", text);
});
