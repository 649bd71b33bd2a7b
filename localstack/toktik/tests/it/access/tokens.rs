//! Tokens that open nothing: run out, made up, taken apart, or of somebody who is no more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_identity::{RefreshToken, SessionId, generate_keys};

use super::{Operation, Row, answer, operations, request, rows};
use crate::harness::{House, PASSWORD, User};

/// A token's header or claims.
fn part(token: &str, index: usize) -> Value {
    let encoded = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token of these claims that is right in all but who signed it.
fn forged(good: &str, claims: &Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.typ = Some("at+jwt".to_owned());
    header.kid = part(good, 0)["kid"].as_str().map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// Everything that is no access token of this user, with what it is.
fn bad_tokens(house: &House, good: &str, expired: &str, refresh: &str) -> Vec<(&'static str, String)> {
    let (claims, [header, body, signature]) = (part(good, 1), thirds(good));
    let mut promoted = claims.clone();
    promoted["role"] = json!("admin");
    let unsigned = json!({"typ": "at+jwt", "alg": "none", "kid": part(good, 0)["kid"]});
    let foreign = generate_keys().unwrap().private_key_pem;
    let foreign = EncodingKey::from_ed_pem(foreign.expose().as_bytes()).unwrap();
    let public = house.context.verifier.jwks()["keys"][0]["x"]
        .as_str()
        .unwrap()
        .to_owned();
    let public = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(public).unwrap());
    vec![
        ("expired", expired.to_owned()),
        ("a refresh token", refresh.to_owned()),
        ("claims changed", format!("{header}.{}.{signature}", encoded(&promoted))),
        ("header changed", format!("{}.{body}.{signature}", encoded(&unsigned))),
        ("alg none", format!("{}.{body}.", encoded(&unsigned))),
        (
            "alg none, promoted",
            format!("{}.{}.", encoded(&unsigned), encoded(&promoted)),
        ),
        ("no signature", format!("{header}.{body}.")),
        ("half a signature", good[..good.len() - 40].to_owned()),
        ("another key", forged(good, &claims, Algorithm::EdDSA, &foreign)),
        (
            "the public key as a secret",
            forged(good, &claims, Algorithm::HS256, &public),
        ),
        ("two tokens", format!("{good}.{good}")),
        ("text", "nonsense".to_owned()),
        ("nothing", String::new()),
    ]
}

fn thirds(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// What somebody who signs in gets.
async fn signed_in(house: &House, user: &User) -> Value {
    let login = json!({"username": user.name, "password": PASSWORD});
    house.post("/auth/login", None, login).await.expect(StatusCode::OK)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_by_every_endpoint_that_looks_at_it() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    house.advance(TimeDelta::minutes(16));
    let tokens = signed_in(&house, &user).await;
    let (good, refresh) = (&tokens["access_token"], &tokens["refresh_token"]);
    let bad = bad_tokens(&house, good.as_str().unwrap(), &user.token, refresh.as_str().unwrap());
    let mut wrong = Vec::new();
    for operation in operations(&house).await.iter().filter(|one| one.knows_callers()) {
        let row = operation.row();
        for (what, token) in &bad {
            let carried = [
                request(&house, &row, &id).bearer_auth(token),
                request(&house, &row, &id)
                    .header("cookie", format!("toktik_access={token}"))
                    .header("sec-fetch-site", "same-origin"),
            ];
            for request in carried {
                let status = request.send().await.unwrap().status().as_u16();
                if status != 401 {
                    wrong.push(format!("{} with {what}: {status}", operation.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Signing in needs no token, and the keys are for everybody. Whatever else is to be open says so here.
#[tokio::test(flavor = "multi_thread")]
async fn only_signing_in_and_the_keys_ask_for_no_token() {
    let house = House::open().await;
    let open = |one: &&Operation| one.path.starts_with("/api/v1/auth/") || one.path.starts_with("/.well-known/");
    let mut user = house.user("ada").await;
    user.token = "nonsense".to_owned();
    let operations = operations(&house).await;
    for operation in operations.iter().filter(|one| !one.knows_callers()) {
        assert!(open(&operation), "{} does not look who calls", operation.name());
        let row = operation.row();
        let stranger = answer(&house, &row, "", None).await;
        assert_eq!(
            answer(&house, &row, "", Some(&user)).await,
            stranger,
            "{}",
            operation.name()
        );
    }
    assert_eq!(operations.iter().filter(open).count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_deleted_account_reaches_nothing_of_anybodys() {
    let house = House::open().await;
    let (gone, other) = (house.user("ada").await, house.user("bob").await);
    let own = house.listed(&gone, json!({})).await;
    let public = house.listed(&other, json!({})).await;
    let private = house.listed(&other, json!({"visibility": "private"})).await;
    house
        .call(Method::DELETE, "/me", Some(&gone), None)
        .await
        .expect(StatusCode::NO_CONTENT);
    house.drain().await;
    for row in rows() {
        let status = answer(&house, &row, &public, Some(&gone)).await;
        let expected = if row.needs_account { 401 } else { foreign(&row) };
        assert!(
            expected == 0 || status == expected,
            "{} {}: {status}",
            row.method,
            row.path
        );
        for id in [&own, &private] {
            let status = answer(&house, &row, id, Some(&gone)).await;
            assert!(
                !row.path.contains("{id}") || status == 404,
                "{} {}: {status}",
                row.method,
                row.path
            );
        }
    }
    house.video(&private, Some(&other)).await;
}

/// What commands a clip refuses those whose clip it is not; of the rest nothing is asked here.
fn foreign(row: &Row) -> u16 {
    let [.., other, _] = row.on_public;
    if other == 403 { 403 } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_or_renews_the_session_of_somebody_else() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let tokens = signed_in(&house, &ada).await;
    let own: RefreshToken = signed_in(&house, &bob).await["refresh_token"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let victim = ada.id.parse().unwrap();
    let guesses = [
        RefreshToken::random(victim, own.session),
        RefreshToken::random(victim, SessionId::random()),
    ];
    for guess in guesses {
        let body = json!({"refresh_token": guess.expose()});
        let refused = house.post("/auth/refresh", None, body.clone()).await;
        refused.problem(401, "invalid_refresh_token");
        let out = house.post("/auth/logout", Some(&bob), body).await;
        out.expect(StatusCode::NO_CONTENT);
    }
    for token in [tokens["refresh_token"].clone(), json!(own.expose())] {
        let renewed = house.post("/auth/refresh", None, json!({"refresh_token": token})).await;
        renewed.expect(StatusCode::OK);
    }
}
