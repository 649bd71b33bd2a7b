//! Signing in, staying in, signing out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use toktik_catalog::sessions::{Session, SessionError};
use toktik_catalog::users::User;
use toktik_identity::{Login, Password, RefreshToken, SessionId};
use toktik_runtime::http::{Check, Problem};
use utoipa::ToSchema;

use crate::body::{Field, OptionalInput, checked};
use crate::client::Client;
use crate::cookies;
use crate::{App, internal};

/// A name or e-mail address, and its password.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The username or the e-mail address.
    #[schema(value_type = String, required = true, example = "ada")]
    #[serde(default)]
    username: Field,
    #[schema(value_type = String, required = true, format = "password")]
    #[serde(default)]
    password: Field,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renew {
    #[schema(value_type = String, required = true)]
    #[serde(default)]
    refresh_token: Field,
}

/// What a session is made of (RFC 6749 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token runs out.
    expires_in: u64,
    /// For one refresh; each refresh gives another one, and using one twice ends the session.
    refresh_token: String,
}

/// Who wants in, from a JSON body or from HTTP Basic.
pub(crate) struct Credentials {
    login: Login,
    password: Password,
}

impl<S: Send + Sync> FromRequest<S> for Credentials {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let basic = basic(request.headers())?;
        let OptionalInput(input) = OptionalInput::<SignIn>::from_request(request, state).await?;
        match (basic, input) {
            (Some(credentials), None) => Ok(credentials),
            (None, input) => input.unwrap_or_default().check(),
            (Some(_), Some(_)) => Err(Problem::malformed(
                "Send the credentials once: as Basic or in the body.",
            )),
        }
    }
}

impl SignIn {
    fn check(self) -> Result<Credentials, Problem> {
        let mut check = Check::new();
        let login: Option<String> = self.username.required("username", &mut check);
        let password: Option<String> = self.password.required("password", &mut check);
        let (login, password) = checked(check, login.zip(password))?;
        Ok(Credentials {
            login: Login::new(&login),
            password: Password::presented(password),
        })
    }
}

/// RFC 7617, in UTF-8.
fn basic(headers: &HeaderMap) -> Result<Option<Credentials>, Problem> {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (scheme, encoded) = value.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = STANDARD
        .decode(encoded.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (login, password) = pair.ok_or_else(|| Problem::malformed("The Basic credentials cannot be read."))?;
    Ok(Some(Credentials {
        login: Login::new(login),
        password: Password::presented(password),
    }))
}

/// Signs in, by JSON or by HTTP Basic with an empty body.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    operation_id = "login",
    tag = "auth",
    request_body(content = Option<SignIn>, description = "Left out with HTTP Basic"),
    responses(
        (status = 200, description = "Signed in; browsers also get both tokens as cookies", body = Tokens),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_credentials`: no such account or a wrong password", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts; see Retry-After", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    client: Client,
    credentials: Credentials,
) -> Result<Response, Problem> {
    let now = app.context.clock.now();
    let user = app
        .authenticate(&credentials.login, &credentials.password, &client, now)
        .await?;
    let user = user.ok_or_else(wrong_credentials)?;
    let token = RefreshToken::random(user.id, SessionId::random());
    let lifetime = app.settings.sign.refresh_token_ttl;
    let session = app
        .context
        .catalog
        .begin_session(&user, &token, lifetime, now)
        .await
        .map_err(not_begun)?;
    tracing::info!(user.id = %user.id, session.id = %session.id, "somebody signed in");
    app.answer(&user, &session, &token, &client, now)
}

fn wrong_credentials() -> Problem {
    let title = "The name or the password is not right.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", title)
}

fn not_begun(error: SessionError) -> Problem {
    match error {
        SessionError::Changed => {
            let title = "The account changed while signing in. Try again.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "retry", title).retry_after(1)
        }
        SessionError::Store(error) => internal(error),
        SessionError::Ended | SessionError::Reused => internal(error),
    }
}

/// Trades a refresh token for new tokens. Strict: a token used twice ends the session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refresh",
    tag = "auth",
    request_body(content = Option<Renew>, description = "Left out by browsers: the cookie is taken"),
    responses(
        (status = 200, description = "New tokens; the old refresh token is used up", body = Tokens),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_refresh_token`: unknown, used before, or run out", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "`cross_site`: the cookie came from a page of another site", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    OptionalInput(input): OptionalInput<Renew>,
) -> Result<Response, Problem> {
    let text = match input {
        Some(input) => Some(input.check()?),
        None => cookies::refresh_token(&headers)?,
    };
    match app.renew(text.as_deref(), &client).await {
        // A browser that keeps a dead cookie would come back with it for a month.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && cookies::are_sent(&headers) => {
            let mut response = problem.into_response();
            cookies::clear(response.headers_mut(), client.secure);
            Ok(response)
        }
        result => result,
    }
}

impl Renew {
    fn check(self) -> Result<String, Problem> {
        let mut check = Check::new();
        let token = self.refresh_token.required("refresh_token", &mut check);
        checked(check, token)
    }
}

impl App {
    async fn renew(&self, token: Option<&str>, client: &Client) -> Result<Response, Problem> {
        let now = self.context.clock.now();
        let old: RefreshToken = token.and_then(|text| text.parse().ok()).ok_or_else(invalid_token)?;
        let new = RefreshToken::random(old.user, old.session);
        let lifetime = self.settings.sign.refresh_token_ttl;
        let catalog = &self.context.catalog;
        let session = catalog
            .refresh_session(&old, &new, lifetime, now)
            .await
            .map_err(|e| not_renewed(e, &old))?;
        let user = catalog
            .user(old.user)
            .await
            .map_err(internal)?
            .ok_or_else(invalid_token)?;
        self.answer(&user, &session, &new, client, now)
    }

    /// The tokens of a session, in the body and as cookies.
    fn answer(
        &self,
        user: &User,
        session: &Session,
        refresh: &RefreshToken,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<Response, Problem> {
        let identity = user.identity(session.id, session.signed_in_at);
        let access = self.signer.sign(&identity, now).map_err(internal)?;
        let tokens = Tokens {
            access_token: access.token,
            token_type: "Bearer",
            expires_in: access.expires_in.as_secs(),
            refresh_token: refresh.expose(),
        };
        Ok(tokens.respond(client.secure, self.settings.sign.refresh_token_ttl, now))
    }
}

impl Tokens {
    fn respond(self, secure: bool, refresh_lifetime: Duration, now: DateTime<Utc>) -> Response {
        let mut response = Json(&self).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let access = (self.access_token.as_str(), Duration::from_secs(self.expires_in));
        cookies::set(headers, secure, access, (&self.refresh_token, refresh_lifetime), now);
        response
    }
}

fn not_renewed(error: SessionError, token: &RefreshToken) -> Problem {
    match error {
        SessionError::Reused => {
            tracing::warn!(user.id = %token.user, session.id = %token.session, "a refresh token came twice; its session is ended");
            invalid_token()
        }
        SessionError::Ended => invalid_token(),
        SessionError::Changed | SessionError::Store(_) => internal(error),
    }
}

fn invalid_token() -> Problem {
    let title = "The session is over. Sign in again.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", title)
}

/// Ends a session. Its access token runs out by itself within minutes.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    operation_id = "logout",
    tag = "auth",
    request_body(content = Option<Renew>, description = "Left out by browsers: the cookie is taken"),
    responses(
        (status = 204, description = "The session is over, or was before"),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`cross_site`: the cookie came from a page of another site", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    OptionalInput(input): OptionalInput<Renew>,
) -> Result<Response, Problem> {
    let text = match input {
        Some(input) => Some(input.check()?),
        None => cookies::refresh_token(&headers)?,
    };
    if let Some(token) = text.and_then(|text| text.parse::<RefreshToken>().ok()) {
        app.context
            .catalog
            .end_session(token.user, token.session)
            .await
            .map_err(internal)?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    // Only whoever sent cookies loses them: another site's page cannot sign anybody out.
    if cookies::are_sent(&headers) {
        cookies::clear(response.headers_mut(), client.secure);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn basic_credentials() {
        let given = |text: &str| basic(&authorization(&format!("basic {}", STANDARD.encode(text))));
        let credentials = given("Ada:pass:wörd").unwrap().unwrap();
        assert_eq!(credentials.login, Login::new("ada"));
        assert!(given("no colon").is_err());
        assert!(basic(&authorization("Basic §")).unwrap_or_default().is_none());
        assert!(basic(&authorization("Basic ****")).is_err());
        assert!(basic(&authorization("Bearer x")).unwrap().is_none());
        assert!(basic(&HeaderMap::new()).unwrap().is_none());
    }
}
