//! Accounts and sessions, through HTTP, over the embedded cloud.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use toktik::provision::provision;
use toktik_auth::{Auth, Settings};
use toktik_catalog::users::Changes;
use toktik_cloud::{Cloud, Options};
use toktik_identity::{Role, VerifySettings, generate_keys};
use toktik_runtime::context::Clients;
use toktik_runtime::settings::Common;
use toktik_runtime::{Clock, Context, Serverless, server};

const TABLE: &str = "toktik";
const PASSWORD: &str = "correct horse battery";

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    verify: VerifySettings,
    #[command(flatten)]
    auth: Settings,
}

/// The function auth alone, with a table and a clock of its own.
struct House {
    base: String,
    context: Context,
    now: Arc<Mutex<DateTime<Utc>>>,
    cloud: Cloud,
    stop: CancellationToken,
    _directory: TempDir,
}

impl House {
    async fn open() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let keys = generate_keys().unwrap();
        let own = [
            "auth",
            "--token-jwks",
            &keys.jwks,
            "--token-private-key",
            keys.private_key_pem.expose(),
        ];
        let program = Program::try_parse_from(own.iter().chain(arguments)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let cloud = cloud(&directory).await;
        let clients = Clients {
            s3: cloud.s3_client(),
            sqs: cloud.sqs_client(),
            dynamodb: cloud.dynamodb_client(),
            credentials_end: toktik_objects::CredentialsEnd::default(),
        };
        provision(&clients, &program.common.stores).await.unwrap();
        let verifier = Arc::new(program.verify.verifier().unwrap());
        let mut context = Context::new(&program.common, clients, verifier).unwrap();
        let now = Arc::new(Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()));
        let hand = Arc::clone(&now);
        context.clock = Clock::from_fn(move || *hand.lock().unwrap());
        let service = Auth::start(program.auth, &context).unwrap();
        let router = server::router(service.http.unwrap(), &context).unwrap();
        let (base, stop) = serve(router).await;
        Self {
            base,
            context,
            now,
            cloud,
            stop,
            _directory: directory,
        }
    }

    fn advance(&self, by: TimeDelta) {
        *self.now.lock().unwrap() += by;
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, format!("{}{path}", self.base))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/v1/auth/{path}")).json(body)
    }

    async fn register(&self, name: &str) -> Value {
        let answer = self.post("register", &account(name)).send().await.unwrap();
        expect(answer, StatusCode::CREATED).await["user"].take()
    }

    fn login(&self, name: &str, password: &str) -> RequestBuilder {
        self.post("login", &json!({ "username": name, "password": password }))
    }

    async fn sign_in(&self, name: &str) -> Session {
        let answer = self.login(name, PASSWORD).send().await.unwrap();
        Session::of(&expect(answer, StatusCode::OK).await)
    }

    fn refresh(&self, token: &str) -> RequestBuilder {
        self.post("refresh", &json!({ "refresh_token": token }))
    }

    async fn refreshed(&self, token: &str) -> Session {
        let answer = self.refresh(token).send().await.unwrap();
        Session::of(&expect(answer, StatusCode::OK).await)
    }

    fn me(&self, method: Method, session: &Session) -> RequestBuilder {
        self.request(method, "/api/v1/me").bearer_auth(&session.access)
    }

    /// Everything that is stored, as text.
    async fn stored(&self) -> String {
        let scanned = self
            .cloud
            .dynamodb_client()
            .scan()
            .table_name(TABLE)
            .send()
            .await
            .unwrap();
        format!("{:?}", scanned.items())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Session {
    access: String,
    refresh: String,
}

impl Session {
    fn of(tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

async fn cloud(directory: &TempDir) -> Cloud {
    let options = Options {
        data_dir: directory.path().to_owned(),
        access_key_id: "toktik".to_owned(),
        secret_access_key: "a secret of this test".to_owned(),
        region: "us-east-1".to_owned(),
    };
    Cloud::open(options).await.unwrap()
}

async fn serve(router: axum::Router) -> (String, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, router, stop.clone()));
    (base, stop)
}

fn account(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD })
}

async fn expect(response: Response, status: StatusCode) -> Value {
    let got = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// The stable code of a problem, which has to be one.
async fn refusal(request: RequestBuilder, status: StatusCode) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    expect(response, status).await["code"].as_str().unwrap().to_owned()
}

async fn wrong_fields(request: RequestBuilder) -> Vec<(String, String)> {
    let problem = expect(request.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["code"], "invalid");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| (text(&error["field"]), text(&error["code"])))
        .collect()
}

fn cookies(response: &Response) -> Vec<String> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

/// What a browser sends back of the cookies it was given.
fn cookie_header(cookies: &[String]) -> String {
    let pairs: Vec<&str> = cookies.iter().filter_map(|line| line.split(';').next()).collect();
    pairs.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_answers_the_account() {
    let house = House::open().await;
    let user = house.register("Ada").await;
    let expected = json!({
        "id": user["id"], "username": "Ada", "email": "Ada@example.com", "role": "user",
        "display_name": null, "bio": null, "created_at": "2026-03-01T12:00:00Z",
    });
    assert_eq!(user, expected);
    assert_eq!(user["id"].as_str().unwrap().len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named_all_at_once() {
    let house = House::open().await;
    let bad = json!({ "username": "a b", "email": 7 });
    let expected = [("username", "invalid"), ("email", "type"), ("password", "required")];
    let expected = expected.map(|(field, code)| (field.to_owned(), code.to_owned()));
    assert_eq!(wrong_fields(house.post("register", &bad)).await, expected);
    let mut unknown = account("ada");
    unknown["role"] = json!("admin");
    let expected = [("role".to_owned(), "unknown".to_owned())];
    assert_eq!(wrong_fields(house.post("register", &unknown)).await, expected);
    let broken = house
        .request(Method::POST, "/api/v1/auth/register")
        .header("content-type", "application/json");
    assert_eq!(refusal(broken.body("{"), StatusCode::BAD_REQUEST).await, "malformed");
    for path in ["login", "refresh", "logout"] {
        assert_eq!(
            wrong_fields(house.post(path, &json!({ "user": 1 }))).await[0].1,
            "unknown"
        );
    }
    assert!(!wrong_fields(house.post("login", &json!({}))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_unique_whatever_their_case() {
    let house = House::open().await;
    house.register("ada").await;
    let mut same_name = account("bob");
    same_name["username"] = json!("ADA");
    assert_eq!(
        refusal(house.post("register", &same_name), StatusCode::CONFLICT).await,
        "username_taken"
    );
    let mut same_email = account("bob");
    same_email["email"] = json!("Ada@Example.com");
    assert_eq!(
        refusal(house.post("register", &same_email), StatusCode::CONFLICT).await,
        "email_taken"
    );
    house.register("bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_the_same_key_gets_the_same_answer() {
    let house = House::open().await;
    let with_key = |body: &Value| house.post("register", body).header("Idempotency-Key", "k1");
    let first = expect(with_key(&account("ada")).send().await.unwrap(), StatusCode::CREATED).await;
    let again = expect(with_key(&account("ada")).send().await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(first, again);
    for field in ["username", "email", "password"] {
        let mut other = account("ada");
        other[field] = json!("another@example.com".replace('@', if field == "email" { "@" } else { "." }));
        let code = refusal(with_key(&other), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(code, "idempotency_key_reused", "{field}");
    }
    house.advance(TimeDelta::hours(24));
    assert_eq!(
        refusal(with_key(&account("ada")), StatusCode::CONFLICT).await,
        "username_taken"
    );
    expect(with_key(&account("bob")).send().await.unwrap(), StatusCode::CREATED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_registrations_at_once_there_is_one_account() {
    let house = House::with(&["--password-workers", "8"]).await;
    let same: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn(
                house
                    .post("register", &account("ada"))
                    .header("Idempotency-Key", "k")
                    .send(),
            )
        })
        .collect();
    let mut ids = BTreeSet::new();
    for answer in same {
        let user = expect(answer.await.unwrap().unwrap(), StatusCode::CREATED).await;
        ids.insert(user["user"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 1);
    let rivals: Vec<_> = (0..6)
        .map(|_| tokio::spawn(house.post("register", &account("bob")).send()))
        .collect();
    let mut created = 0;
    for answer in rivals {
        created += usize::from(answer.await.unwrap().unwrap().status() == StatusCode::CREATED);
    }
    assert_eq!(created, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signs_in_by_name_by_address_or_by_basic() {
    let house = House::open().await;
    let user = house.register("ada").await;
    for name in ["ada", "ADA", "Ada@Example.com"] {
        let session = house.sign_in(name).await;
        let me = expect(house.me(Method::GET, &session).send().await.unwrap(), StatusCode::OK).await;
        assert_eq!(me, user);
    }
    let basic = house
        .request(Method::POST, "/api/v1/auth/login")
        .basic_auth("ada", Some(PASSWORD));
    let response = basic.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let tokens = expect(response, StatusCode::OK).await;
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let twice = house.login("ada", PASSWORD).basic_auth("ada", Some(PASSWORD));
    assert_eq!(refusal(twice, StatusCode::BAD_REQUEST).await, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_whether_an_account_exists() {
    let house = House::open().await;
    house.register("ada").await;
    let mut answers = BTreeSet::new();
    for name in [
        "ada",
        "ada@example.com",
        "nobody",
        "nobody@example.com",
        "",
        "no name at all\u{0}",
    ] {
        let response = house.login(name, "wrong password").send().await.unwrap();
        let headers: Vec<String> = response.headers().keys().map(ToString::to_string).collect();
        let problem = expect(response, StatusCode::UNAUTHORIZED).await;
        assert_eq!(problem["code"], "invalid_credentials");
        answers.insert(format!("{headers:?} {problem}"));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_limited_and_right_ones_are_not() {
    let house = House::open().await;
    house.register("ada").await;
    for _ in 0..12 {
        house.sign_in("ada").await;
    }
    for name in ["ada", "nobody"] {
        for _ in 0..10 {
            refusal(house.login(name, "wrong password"), StatusCode::UNAUTHORIZED).await;
        }
        let response = house.login(name, PASSWORD).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "900");
    }
    assert_eq!(
        refusal(house.login("ADA", PASSWORD), StatusCode::TOO_MANY_REQUESTS).await,
        "too_many_requests"
    );
    house.advance(TimeDelta::seconds(900));
    house.sign_in("ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_try_all_names() {
    let house = House::with(&["--trust-proxy", "--password-workers", "8"]).await;
    let attempt = |number: usize, forwarded: &str| {
        let request = house.login(&format!("name{number}"), "wrong password");
        request
            .header("x-forwarded-for", format!("203.0.113.{number}, {forwarded}"))
            .send()
    };
    for number in 0..100 {
        assert_eq!(
            attempt(number, "198.51.100.1").await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        attempt(100, "198.51.100.1").await.unwrap().status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        attempt(101, "198.51.100.2").await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_has_one_budget_whatever_name_it_is_tried_by() {
    let house = House::open().await;
    house.register("ada").await;
    house.register("bob").await;
    let session = house.sign_in("ada").await;
    for name in ["ada", "ada@example.com"].iter().cycle().take(10) {
        refusal(house.login(name, "wrong password"), StatusCode::UNAUTHORIZED).await;
    }
    let edit = json!({ "username": "countess", "email": "c@example.com" });
    let edited = house.me(Method::PATCH, &session).json(&edit).send().await.unwrap();
    expect(edited, StatusCode::OK).await;
    for name in ["countess", "Countess", "c@example.com", "C@Example.com"] {
        let code = refusal(house.login(name, PASSWORD), StatusCode::TOO_MANY_REQUESTS).await;
        assert_eq!(code, "too_many_requests", "{name}");
    }
    house.sign_in("bob@example.com").await;
    house.advance(TimeDelta::minutes(15));
    house.sign_in("countess").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_register_without_end() {
    let house = House::with(&["--trust-proxy", "--registrations-per-hour", "3"]).await;
    let register = |body: &Value, address: &str| house.post("register", body).header("x-forwarded-for", address);
    let (home, away) = ("198.51.100.1", "198.51.100.2");
    let keyed = || register(&account("ada"), home).header("Idempotency-Key", "k1");
    for _ in 0..5 {
        expect(keyed().send().await.unwrap(), StatusCode::CREATED).await;
        let wrong = register(&json!({ "username": "x" }), home);
        assert_eq!(refusal(wrong, StatusCode::UNPROCESSABLE_ENTITY).await, "invalid");
    }
    let taken = register(&account("ada"), home);
    assert_eq!(refusal(taken, StatusCode::CONFLICT).await, "username_taken");
    let mut guess = account("ada");
    guess["password"] = json!("a guessed password");
    let guess = register(&guess, home).header("Idempotency-Key", "k1");
    assert_eq!(
        refusal(guess, StatusCode::UNPROCESSABLE_ENTITY).await,
        "idempotency_key_reused"
    );
    for body in [account("ada"), account("bob")] {
        let response = register(&body, home).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "3600");
    }
    expect(
        register(&account("bob"), away).send().await.unwrap(),
        StatusCode::CREATED,
    )
    .await;
    house.advance(TimeDelta::hours(1));
    expect(
        register(&account("cyd"), home).send().await.unwrap(),
        StatusCode::CREATED,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_need_not_be_limited() {
    let house = House::with(&["--registrations-per-hour", "0"]).await;
    for name in ["ada", "bob"] {
        house.register(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_served_or_told_to_come_back() {
    let house = House::with(&["--password-workers", "1"]).await;
    for number in 0..5 {
        house.register(&format!("user{number}")).await;
    }
    let crowd: Vec<_> = (0..30)
        .map(|number| tokio::spawn(house.login(&format!("user{}", number % 5), PASSWORD).send()))
        .collect();
    let mut statuses = BTreeSet::new();
    for answer in crowd {
        statuses.insert(answer.await.unwrap().unwrap().status().as_u16());
    }
    assert_eq!(statuses, BTreeSet::from([200, 429]));
    house.sign_in("user0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_lasts_fifteen_minutes_and_a_refresh_goes_on() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    house.advance(TimeDelta::seconds(899));
    expect(house.me(Method::GET, &session).send().await.unwrap(), StatusCode::OK).await;
    house.advance(TimeDelta::seconds(1));
    assert_eq!(
        refusal(house.me(Method::GET, &session), StatusCode::UNAUTHORIZED).await,
        "unauthorized"
    );
    let next = house.refreshed(&session.refresh).await;
    expect(house.me(Method::GET, &next).send().await.unwrap(), StatusCode::OK).await;
    let confused = Session {
        access: next.refresh.clone(),
        ..next
    };
    refusal(house.me(Method::GET, &confused), StatusCode::UNAUTHORIZED).await;
    refusal(house.refresh(&session.access), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_used_twice_ends_its_session_and_no_other() {
    let house = House::open().await;
    house.register("ada").await;
    let (stolen, other) = (house.sign_in("ada").await, house.sign_in("ada").await);
    let second = house.refreshed(&stolen.refresh).await;
    let third = house.refreshed(&second.refresh).await;
    let code = refusal(house.refresh(&stolen.refresh), StatusCode::UNAUTHORIZED).await;
    assert_eq!(code, "invalid_refresh_token");
    refusal(house.refresh(&third.refresh), StatusCode::UNAUTHORIZED).await;
    house.refreshed(&other.refresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_refreshes_at_once_at_most_one_wins() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    let crowd: Vec<_> = (0..8)
        .map(|_| tokio::spawn(house.refresh(&session.refresh).send()))
        .collect();
    let mut won = 0;
    for answer in crowd {
        let status = answer.await.unwrap().unwrap().status();
        assert!(matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED), "{status}");
        won += usize::from(status == StatusCode::OK);
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_not_used() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    house.advance(TimeDelta::days(29));
    let next = house.refreshed(&session.refresh).await;
    house.advance(TimeDelta::days(29));
    let last = house.refreshed(&next.refresh).await;
    house.advance(TimeDelta::days(30));
    refusal(house.refresh(&last.refresh), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_as_often_as_one_likes() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    for token in [session.refresh.as_str(), &session.refresh, "junk"] {
        let answer = house
            .post("logout", &json!({ "refresh_token": token }))
            .send()
            .await
            .unwrap();
        assert!(cookies(&answer).is_empty(), "a program sent no cookies and loses none");
        expect(answer, StatusCode::NO_CONTENT).await;
    }
    refusal(house.refresh(&session.refresh), StatusCode::UNAUTHORIZED).await;
    let nothing = house.request(Method::POST, "/api/v1/auth/logout").send().await.unwrap();
    expect(nothing, StatusCode::NO_CONTENT).await;
    expect(
        house.post("logout", &Value::Null).send().await.unwrap(),
        StatusCode::NO_CONTENT,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_lives_on_cookies() {
    let house = House::open().await;
    house.register("ada").await;
    let login = house
        .login("ada", PASSWORD)
        .header("x-forwarded-proto", "https")
        .send()
        .await
        .unwrap();
    let given = cookies(&login);
    assert!(
        given[0].ends_with("Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure"),
        "{given:?}"
    );
    assert!(
        given[1].ends_with("Path=/api/v1/auth; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure"),
        "{given:?}"
    );
    let browser = |method, path: &str, site: &str| {
        let request = house.request(method, path).header("cookie", cookie_header(&given));
        request.header("sec-fetch-site", site)
    };
    let me = browser(Method::GET, "/api/v1/me", "cross-site").send().await.unwrap();
    expect(me, StatusCode::OK).await;
    let edit = json!({ "bio": "hello" });
    let foreign = browser(Method::PATCH, "/api/v1/me", "cross-site").json(&edit);
    assert_eq!(refusal(foreign, StatusCode::FORBIDDEN).await, "cross_site");
    let own = browser(Method::PATCH, "/api/v1/me", "same-origin")
        .json(&edit)
        .send()
        .await
        .unwrap();
    assert_eq!(expect(own, StatusCode::OK).await["bio"], "hello");
    for path in ["/api/v1/auth/refresh", "/api/v1/auth/logout"] {
        let foreign = browser(Method::POST, path, "cross-site");
        assert_eq!(refusal(foreign, StatusCode::FORBIDDEN).await, "cross_site");
    }
    let refreshed = browser(Method::POST, "/api/v1/auth/refresh", "same-origin")
        .send()
        .await
        .unwrap();
    assert_eq!(cookies(&refreshed).len(), 3);
    let again = browser(Method::POST, "/api/v1/auth/refresh", "same-origin")
        .send()
        .await
        .unwrap();
    assert!(
        cookies(&again).iter().all(|line| line.contains("Max-Age=0")),
        "dead cookies are taken away"
    );
    expect(again, StatusCode::UNAUTHORIZED).await;
    let out = browser(Method::POST, "/api/v1/auth/logout", "same-origin")
        .send()
        .await
        .unwrap();
    assert!(cookies(&out).iter().all(|line| line.contains("Max-Age=0")));
    expect(out, StatusCode::NO_CONTENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_changes_and_gives_up_its_old_names() {
    let house = House::open().await;
    house.register("ada").await;
    house.register("bob").await;
    let session = house.sign_in("ada").await;
    let edit = |body: Value| house.me(Method::PATCH, &session).json(&body);
    let all = json!({ "username": "countess", "email": "c@example.com", "display_name": " Ada L. ", "bio": "First." });
    let changed = expect(edit(all).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(
        (&changed["username"], &changed["display_name"]),
        (&json!("countess"), &json!("Ada L."))
    );
    house.register("ada").await;
    let cleared = edit(json!({ "display_name": null, "bio": "", "username": "Countess" }))
        .send()
        .await
        .unwrap();
    let cleared = expect(cleared, StatusCode::OK).await;
    assert_eq!(
        (&cleared["display_name"], &cleared["bio"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&cleared["username"], &cleared["email"]),
        (&json!("Countess"), &json!("c@example.com"))
    );
    let taken = edit(json!({ "username": "Bob" }));
    assert_eq!(refusal(taken, StatusCode::CONFLICT).await, "username_taken");
    let taken = edit(json!({ "email": "bob@example.com" }));
    assert_eq!(refusal(taken, StatusCode::CONFLICT).await, "email_taken");
    assert_eq!(
        wrong_fields(edit(json!({ "username": null, "email": "x" })))
            .await
            .len(),
        2
    );
    house.sign_in("c@example.com").await;
    house.sign_in("countess").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_at_once_all_happen() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    let edits = [
        json!({ "bio": "b" }),
        json!({ "display_name": "d" }),
        json!({ "username": "u_u" }),
    ];
    let sent = edits.map(|edit| tokio::spawn(house.me(Method::PATCH, &session).json(&edit).send()));
    for answer in sent {
        expect(answer.await.unwrap().unwrap(), StatusCode::OK).await;
    }
    let me = expect(house.me(Method::GET, &session).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(
        (&me["bio"], &me["display_name"], &me["username"]),
        (&json!("b"), &json!("d"), &json!("u_u"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions() {
    let house = House::open().await;
    house.register("ada").await;
    let (own, other) = (house.sign_in("ada").await, house.sign_in("ada").await);
    let edit = |body: Value| house.me(Method::PATCH, &own).json(&body);
    let unproven = wrong_fields(edit(json!({ "password": "another password" }))).await;
    assert_eq!(unproven, [("current_password".to_owned(), "required".to_owned())]);
    let wrong = edit(json!({ "password": "another password", "current_password": "wrong password" }));
    assert_eq!(refusal(wrong, StatusCode::FORBIDDEN).await, "wrong_password");
    let right = edit(json!({ "password": "another password", "current_password": PASSWORD }));
    expect(right.send().await.unwrap(), StatusCode::OK).await;
    refusal(house.refresh(&other.refresh), StatusCode::UNAUTHORIZED).await;
    house.refreshed(&own.refresh).await;
    refusal(house.login("ada", PASSWORD), StatusCode::UNAUTHORIZED).await;
    expect(
        house.login("ada", "another password").send().await.unwrap(),
        StatusCode::OK,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_current_password_is_limited_too() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    let guess = || {
        house
            .me(Method::DELETE, &session)
            .json(&json!({ "password": "wrong password" }))
    };
    for _ in 0..10 {
        assert_eq!(refusal(guess(), StatusCode::FORBIDDEN).await, "wrong_password");
    }
    assert_eq!(
        refusal(guess(), StatusCode::TOO_MANY_REQUESTS).await,
        "too_many_requests"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_its_names_and_a_tombstone() {
    let house = House::open().await;
    let user = house.register("ada").await;
    let (session, other) = (house.sign_in("ada").await, house.sign_in("ada").await);
    house.advance(TimeDelta::minutes(16));
    let session = house.refreshed(&session.refresh).await;
    let stale = refusal(house.me(Method::DELETE, &session), StatusCode::FORBIDDEN).await;
    assert_eq!(stale, "password_required", "a refresh does not make a session fresh");
    let wrong = house
        .me(Method::DELETE, &session)
        .json(&json!({ "password": "wrong password" }));
    assert_eq!(refusal(wrong, StatusCode::FORBIDDEN).await, "wrong_password");
    let right = house
        .me(Method::DELETE, &session)
        .json(&json!({ "password": PASSWORD }))
        .send()
        .await
        .unwrap();
    expect(right, StatusCode::NO_CONTENT).await;
    refusal(house.me(Method::GET, &session), StatusCode::UNAUTHORIZED).await;
    for dead in [&session, &other] {
        refusal(house.refresh(&dead.refresh), StatusCode::UNAUTHORIZED).await;
    }
    refusal(house.login("ada", PASSWORD), StatusCode::UNAUTHORIZED).await;
    let left = house.stored().await;
    assert!(!left.contains("example.com") && !left.contains("argon2"), "{left}");
    let reborn = house.register("ada").await;
    let ids = [&user, &reborn].map(|user| user["id"].as_str().unwrap().parse().unwrap());
    let names = house
        .context
        .catalog
        .usernames(&[ids[0], ids[1], ids[0]])
        .await
        .unwrap();
    assert_eq!((names[&ids[0]].as_str(), names[&ids[1]].as_str()), ("deleted", "ada"));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_just_signed_in_may_leave_without_a_password() {
    let house = House::open().await;
    house.register("ada").await;
    let session = house.sign_in("ada").await;
    expect(
        house.me(Method::DELETE, &session).send().await.unwrap(),
        StatusCode::NO_CONTENT,
    )
    .await;
    house.register("ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_shows_at_the_next_refresh() {
    let house = House::open().await;
    let user = house.register("ada").await;
    let session = house.sign_in("ada").await;
    let changes = Changes {
        role: Some(Role::Admin),
        ..Changes::default()
    };
    let id = user["id"].as_str().unwrap().parse().unwrap();
    house.context.catalog.update_user(id, &changes).await.unwrap();
    let role = |session: &Session| {
        let now = house.context.clock.now();
        house.context.verifier.verify(&session.access, now).unwrap().role
    };
    assert_eq!(role(&session), Role::User);
    assert_eq!(role(&house.refreshed(&session.refresh).await), Role::Admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_stored() {
    let house = House::open().await;
    let with_key = house
        .post("register", &account("ada"))
        .header("Idempotency-Key", "a key of mine");
    expect(with_key.send().await.unwrap(), StatusCode::CREATED).await;
    let session = house.sign_in("ada").await;
    refusal(house.login("ada", "wrong password"), StatusCode::UNAUTHORIZED).await;
    let stored = house.stored().await;
    let secret = &session.refresh[session.refresh.len() - 43..];
    for secret in [PASSWORD, "wrong password", secret, &session.access, "a key of mine"] {
        assert!(!stored.contains(secret), "{secret}");
    }
    assert!(stored.contains("$argon2id$"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_keys_are_published() {
    let house = House::open().await;
    let response = house
        .request(Method::GET, "/.well-known/jwks.json")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    let keys = expect(response, StatusCode::OK).await;
    assert_eq!(keys, house.context.verifier.jwks());
    assert_eq!(
        (&keys["keys"][0]["alg"], keys["keys"][0].get("d")),
        (&json!("EdDSA"), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_tells_what_a_registration_needs() {
    let house = House::open().await;
    let response = house.request(Method::GET, "/openapi.json").send().await.unwrap();
    let document = expect(response, StatusCode::OK).await;
    let register = &document["components"]["schemas"]["Register"];
    assert_eq!(register["required"], json!(["username", "email", "password"]));
    assert_eq!(register["additionalProperties"], json!(false));
}
