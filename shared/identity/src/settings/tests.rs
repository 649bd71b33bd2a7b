//! What starts, and what a start without a key says.

use clap::Parser;

use super::*;
use crate::key::generate_keys;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    verify: VerifySettings,
    #[command(flatten)]
    sign: SignSettings,
}

fn program(arguments: &[&str]) -> Program {
    let name = ["program"];
    Program::try_parse_from(name.iter().chain(arguments)).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let Program { verify, sign } = program(arguments);
    let signer = verify.verifier().and_then(|verifier| sign.signer(&verifier));
    signer.unwrap_err().to_string()
}

#[test]
fn without_keys_nothing_starts_and_the_variable_is_named() {
    assert!(refusal(&[]).contains("TOKTIK_TOKEN_JWKS"));
    assert!(
        refusal(&["--token-secret", ""]).contains("TOKTIK_TOKEN_SECRET"),
        "an empty value is none"
    );
    assert!(refusal(&["--token-secret", "short"]).contains("TOKTIK_TOKEN_SECRET: the secret has 5 bytes"));
    assert!(refusal(&["--token-jwks", "{}"]).starts_with("TOKTIK_TOKEN_JWKS: "));
    assert!(refusal(&["--token-jwks", "@/does/not/exist"]).contains("cannot read /does/not/exist"));
    let jwks = generate_keys().unwrap().jwks;
    assert!(refusal(&["--token-jwks", &jwks]).contains("TOKTIK_TOKEN_PRIVATE_KEY"));
    assert!(refusal(&["--token-jwks", &jwks, "--token-private-key", "x"]).starts_with("TOKTIK_TOKEN_PRIVATE_KEY: "));
}

#[test]
fn a_private_key_without_its_public_part_is_refused() {
    let (one, other) = (generate_keys().unwrap(), generate_keys().unwrap());
    let message = refusal(&[
        "--token-jwks",
        &one.jwks,
        "--token-private-key",
        other.private_key_pem.expose(),
    ]);
    assert!(message.contains("lacks the public part"), "{message}");
}

#[test]
fn keys_come_from_values_or_files() {
    let keys = generate_keys().unwrap();
    let folder = std::env::temp_dir().join(format!("toktik-identity-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("key.pem");
    std::fs::write(&path, keys.private_key_pem.expose()).unwrap();
    let file = format!("@{}", path.display());
    for key in [keys.private_key_pem.expose(), &file] {
        let Program { verify, sign } = program(&["--token-jwks", &keys.jwks, "--token-private-key", key]);
        assert!(sign.signer(&verify.verifier().unwrap()).is_ok());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn with_both_kinds_of_key_the_private_one_signs() {
    let keys = generate_keys().unwrap();
    let secret = "s".repeat(32);
    let key = keys.private_key_pem.expose();
    let all = program(&[
        "--token-jwks",
        &keys.jwks,
        "--token-secret",
        &secret,
        "--token-private-key",
        key,
    ]);
    let verifier = all.verify.verifier().unwrap();
    assert!(!format!("{:?}", all.sign.signer(&verifier).unwrap()).contains(crate::key::SECRET_KID));
    let secret_alone = program(&["--token-secret", &secret]);
    assert!(secret_alone.sign.signer(&verifier).is_ok());
}

#[test]
fn secrets_are_not_printed() {
    let all = program(&["--token-secret", "hunter2", "--token-private-key", "hunter2"]);
    assert!(!format!("{:?} {:?}", all.verify, all.sign).contains("hunter2"));
}

#[test]
fn lifetimes_have_units() {
    let cases = [
        ("900", 900),
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("30d", 2_592_000),
    ];
    for (text, seconds) in cases {
        assert_eq!(lifetime(text).unwrap(), Duration::from_secs(seconds), "{text}");
    }
    for bad in [
        "",
        "0",
        "m",
        "-1",
        "1.5h",
        "1w",
        "15 m",
        "367d",
        "99999999999999999999d",
    ] {
        assert!(lifetime(bad).is_err(), "{bad}");
    }
    assert_eq!(program(&[]).sign.refresh_token_ttl, Duration::from_hours(30 * 24));
}
