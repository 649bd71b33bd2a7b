//! One's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use toktik_catalog::users::{Changes, User};
use toktik_events::payload::User as Gone;
use toktik_events::{Function, Message, Payload};
use toktik_identity::{Identity, Password, PasswordHash};
use toktik_runtime::http::{Caller, Check, Input, Problem};
use toktik_runtime::trace;
use utoipa::ToSchema;

use crate::body::{Field, OptionalInput, checked};
use crate::client::Client;
use crate::cookies;
use crate::password::unverified;
use crate::register::{Account, conflict};
use crate::{App, internal};

/// For how long after signing in nobody is asked for the password again.
const FRESH: TimeDelta = TimeDelta::minutes(15);

/// What is to change; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The old name is free for others at once.
    #[schema(value_type = String, min_length = 3, max_length = 30)]
    #[serde(default)]
    username: Field,
    #[schema(value_type = String, max_length = 254, format = "email")]
    #[serde(default)]
    email: Field,
    /// A new password; needs `current_password`, and ends all other sessions.
    #[schema(value_type = String, min_length = 8, max_length = 128, format = "password")]
    #[serde(default)]
    password: Field,
    #[schema(value_type = String, format = "password")]
    #[serde(default)]
    current_password: Field,
    /// Null or empty takes it away.
    #[schema(value_type = Option<String>, max_length = 50)]
    #[serde(default)]
    display_name: Field,
    /// Null or empty takes it away.
    #[schema(value_type = Option<String>, max_length = 500)]
    #[serde(default)]
    bio: Field,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Farewell {
    /// Needed unless the session began within the last 15 minutes.
    #[schema(value_type = String, format = "password")]
    #[serde(default)]
    password: Field,
}

/// An account, never kept by a cache.
type Shown = ([(header::HeaderName, &'static str); 1], Json<Account>);

fn shown(user: User) -> Shown {
    ([(header::CACHE_CONTROL, "no-store")], Json(user.into()))
}

/// One's own account.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "show_me",
    tag = "auth",
    responses(
        (status = 200, description = "The account", body = Account),
        (status = 401, description = "Not signed in", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn show(State(app): State<Arc<App>>, Caller(caller): Caller) -> Result<Shown, Problem> {
    app.account(&caller).await.map(shown)
}

/// Changes one's own account.
#[utoipa::path(
    patch,
    path = "/api/v1/me",
    operation_id = "change_me",
    tag = "auth",
    request_body = Edit,
    responses(
        (status = 200, description = "The account as it is now; tokens show a new name after a refresh", body = Account),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not signed in", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`wrong_password`, or `cross_site`", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "`username_taken` or `email_taken`", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts; see Retry-After", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    Input(edit): Input<Edit>,
) -> Result<Shown, Problem> {
    let (mut changes, passwords) = edit.check()?;
    let user = app.account(&caller).await?;
    let new_password = passwords.is_some();
    if let Some(passwords) = passwords {
        changes.password_hash = Some(app.replaced(&user, &passwords).await?);
    }
    let user = app
        .context
        .catalog
        .update_user(user.id, &changes)
        .await
        .map_err(conflict)?;
    if new_password {
        app.context
            .catalog
            .end_sessions(user.id, Some(caller.session))
            .await
            .map_err(internal)?;
    }
    Ok(shown(user))
}

/// A new password and the proof that one may set it.
struct NewPassword {
    new: Password,
    current: Password,
}

impl Edit {
    fn check(self) -> Result<(Changes, Option<NewPassword>), Problem> {
        let mut check = Check::new();
        let new_password = self.password.is_given();
        if new_password && !self.current_password.is_given() {
            check.refuse("current_password", "required", "is required to set a new password");
        }
        let changes = Changes {
            username: self.username.optional("username", &mut check),
            email: self.email.optional("email", &mut check),
            display_name: self.display_name.change("display_name", &mut check),
            bio: self.bio.change("bio", &mut check),
            ..Changes::default()
        };
        let new: Option<Password> = self.password.optional("password", &mut check);
        let current: Option<String> = self.current_password.optional("current_password", &mut check);
        check.finish()?;
        let pair = new.zip(current.map(Password::presented));
        Ok((changes, pair.map(|(new, current)| NewPassword { new, current })))
    }
}

/// Deletes one's own account: names are free, sessions end, access tokens run out within minutes.
#[utoipa::path(
    delete,
    path = "/api/v1/me",
    operation_id = "delete_me",
    tag = "auth",
    request_body(content = Option<Farewell>, description = "The password, unless signed in within 15 minutes"),
    responses(
        (status = 204, description = "The account is gone"),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not signed in", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`password_required`, `wrong_password`, or `cross_site`", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts; see Retry-After", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    client: Client,
    Caller(caller): Caller,
    headers: HeaderMap,
    OptionalInput(input): OptionalInput<Farewell>,
) -> Result<Response, Problem> {
    let now = app.context.clock.now();
    let password = input.unwrap_or_default().check()?;
    let user = app.account(&caller).await?;
    match password {
        Some(password) => app.confirm(&user, &password, now).await?,
        None => require_fresh(&caller, now)?,
    }
    let gone = Payload::UserDeleted(Gone {
        user_id: user.id.to_string(),
    });
    let message = Message::new(Function::Auth, now, gone).with_trace(trace::current());
    app.context
        .catalog
        .delete_user(user.id, &message, now)
        .await
        .map_err(conflict)?;
    app.context.publish_owed(&message).await;
    tracing::info!(user.id = %user.id, "an account was deleted by its owner");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if cookies::are_sent(&headers) {
        cookies::clear(response.headers_mut(), client.secure);
    }
    Ok(response)
}

impl Farewell {
    fn check(self) -> Result<Option<Password>, Problem> {
        if !self.password.is_given() {
            return Ok(None);
        }
        let mut check = Check::new();
        let password: Option<String> = self.password.optional("password", &mut check);
        checked(check, password).map(|password| Some(Password::presented(password)))
    }
}

/// A token that was taken, or a browser left open, is no reason to lose an account.
fn require_fresh(caller: &Identity, now: DateTime<Utc>) -> Result<(), Problem> {
    if now - caller.signed_in_at <= FRESH {
        return Ok(());
    }
    let title = "Send the password: it was last asked for a while ago.";
    Err(Problem::new(StatusCode::FORBIDDEN, "password_required", title))
}

impl App {
    /// The caller's account; a token may outlive it by minutes.
    async fn account(&self, caller: &Identity) -> Result<User, Problem> {
        let user = self.context.catalog.user(caller.user).await.map_err(internal)?;
        user.ok_or_else(|| Problem::unauthorized("The account of this token is no more."))
    }

    async fn replaced(&self, user: &User, passwords: &NewPassword) -> Result<PasswordHash, Problem> {
        self.confirm(user, &passwords.current, self.context.clock.now()).await?;
        self.passwords.hash(&passwords.new).await.map_err(unverified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toktik_identity::{Role, SessionId, UserId};

    #[test]
    fn a_fresh_session_needs_no_password() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let caller = |minutes| Identity {
            user: UserId::random(),
            username: "ada".to_owned(),
            role: Role::User,
            session: SessionId::random(),
            signed_in_at: now - TimeDelta::minutes(minutes),
        };
        assert!(require_fresh(&caller(15), now).is_ok());
        assert_eq!(require_fresh(&caller(16), now).unwrap_err().code(), "password_required");
    }

    #[test]
    fn a_new_password_needs_the_old_one() {
        let edit: Edit = serde_json::from_str(r#"{"password": "short", "username": "x"}"#).unwrap();
        let problem = serde_json::to_value(edit.check().err().unwrap()).unwrap();
        let fields: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|e| e["field"].as_str())
            .collect();
        assert_eq!(fields, ["current_password", "username", "password"]);
    }
}
