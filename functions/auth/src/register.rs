//! Signing up. With an `Idempotency-Key` a repeat gets the same answer instead of a conflict with itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use toktik_catalog::users::{NewUser, Registration, User, UserError};
use toktik_identity::{Email, Password, Role, UserId, Username};
use toktik_runtime::http::{Check, Input, Problem, idempotency_key};
use utoipa::ToSchema;

use crate::body::{Field, checked};
use crate::client::Client;
use crate::password::unverified;
use crate::{App, internal};

/// A new account.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    /// ASCII letters, digits, `_`, `-` and `.`; unique without regard to case.
    #[schema(value_type = String, required = true, min_length = 3, max_length = 30, example = "ada",
        pattern = r"^[A-Za-z0-9_]+((\.|\.?(-+\.)*-+\.?)[A-Za-z0-9_]+)*$")]
    #[serde(default)]
    username: Field,
    #[schema(value_type = String, required = true, max_length = 254, format = "email", example = "ada@example.com")]
    #[serde(default)]
    email: Field,
    #[schema(value_type = String, required = true, min_length = 8, max_length = 128, format = "password")]
    #[serde(default)]
    password: Field,
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    #[schema(value_type = String)]
    id: UserId,
    username: String,
    email: String,
    /// `user` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    #[schema(required = true)]
    display_name: Option<String>,
    #[schema(required = true)]
    bio: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    user: Account,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            role: user.role,
            display_name: user.display_name,
            bio: user.bio,
            created_at: user.created_at,
        }
    }
}

/// What the first of several equal registrations was answered.
impl From<Registration> for Account {
    fn from(answer: Registration) -> Self {
        Self {
            id: answer.user_id,
            username: answer.username,
            email: answer.email,
            role: Role::User,
            display_name: None,
            bio: None,
            created_at: answer.created_at,
        }
    }
}

struct Form {
    username: Username,
    email: Email,
    password: Password,
}

impl Register {
    fn check(self) -> Result<Form, Problem> {
        let mut check = Check::new();
        let username = self.username.required("username", &mut check);
        let email = self.email.required("email", &mut check);
        let password = self.password.required("password", &mut check);
        let fields = username.zip(email).zip(password);
        let ((username, email), password) = checked(check, fields)?;
        Ok(Form {
            username,
            email,
            password,
        })
    }
}

/// Creates an account.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    operation_id = "register",
    tag = "auth",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body within 24 h gets the same answer")),
    request_body = Register,
    responses(
        (status = 201, description = "The account was created", body = Registered),
        (status = 400, description = "The body is not JSON, or the Idempotency-Key is no key", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "`username_taken` or `email_taken`", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong, or `idempotency_key_reused`", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many at once, or too many from one address; see Retry-After", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    Input(input): Input<Register>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let key = idempotency_key(&headers)?;
    let form = input.check()?;
    let now = app.context.clock.now();
    let limit = app.settings.registration();
    let counted: Vec<_> = limit.iter().zip(client.network.as_deref()).collect();
    let attempts = app.count(&counted, now).await?;
    let result = match key {
        Some(key) => app.register_once(&form, &key).await,
        None => app.register(&form, None).await.map(Made::First).map_err(refused),
    };
    app.settle(attempts, counts(&result)).await?;
    let user = match result? {
        Made::First(user) => user.into(),
        Made::Before(answer) => answer.into(),
    };
    Ok((StatusCode::CREATED, Json(Registered { user })))
}

/// An account, and whether this request made it or one like it before.
enum Made {
    First(User),
    Before(Registration),
}

/// Whether a registration stays counted: one that makes an account, and one that is refused for what others have. Else
/// anybody could ask here without end who is registered.
fn counts(result: &Result<Made, Problem>) -> bool {
    match result {
        Ok(made) => matches!(made, Made::First(_)),
        Err(problem) => matches!(
            problem.status(),
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
        ),
    }
}

impl App {
    async fn register_once(&self, form: &Form, key: &str) -> Result<Made, Problem> {
        if let Some(answer) = self.answered(form, key).await? {
            return Ok(Made::Before(answer));
        }
        match self.register(form, Some(key)).await {
            // Another request with the key came first, while this one was hashing.
            Err(Refused::By(UserError::KeyUsed)) => {
                let answer = self.answered(form, key).await?;
                answer.map(Made::Before).ok_or_else(reused)
            }
            result => result.map(Made::First).map_err(refused),
        }
    }

    async fn register(&self, form: &Form, key: Option<&str>) -> Result<User, Refused> {
        let password_hash = self
            .passwords
            .hash(&form.password)
            .await
            .map_err(|e| Refused::Here(unverified(e)))?;
        let new = NewUser {
            username: form.username.clone(),
            email: form.email.clone(),
            password_hash,
            role: Role::User,
        };
        let created = self
            .context
            .catalog
            .create_user(new, key, self.context.clock.now())
            .await;
        created.map_err(Refused::By)
    }

    /// The answer to the same registration before; a problem if the key belongs to another one.
    async fn answered(&self, form: &Form, key: &str) -> Result<Option<Registration>, Problem> {
        let catalog = &self.context.catalog;
        let now = self.context.clock.now();
        let Some(answer) = catalog.registration(key, now).await.map_err(internal)? else {
            return Ok(None);
        };
        let same_names = answer.username == form.username.as_str() && answer.email == form.email.as_str();
        let user = catalog.user(answer.user_id).await.map_err(internal)?;
        // The password is compared by its slow hash: a fast one of the body would be a way around it.
        let hash = user.as_ref().map(|user| &user.password_hash);
        let same_password = self.passwords.verify(&form.password, hash).await.map_err(unverified)?;
        if same_names && same_password {
            Ok(Some(answer))
        } else {
            Err(reused())
        }
    }
}

enum Refused {
    By(UserError),
    Here(Problem),
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::By(error) => conflict(error),
        Refused::Here(problem) => problem,
    }
}

pub(crate) fn conflict(error: UserError) -> Problem {
    match error {
        UserError::UsernameTaken => Problem::conflict("username_taken", "This username belongs to somebody else."),
        UserError::EmailTaken => Problem::conflict("email_taken", "This e-mail address belongs to another account."),
        UserError::KeyUsed => reused(),
        UserError::Unknown => Problem::unauthorized("The account is no more."),
        UserError::Store(error) => internal(error),
    }
}

fn reused() -> Problem {
    let title = "This Idempotency-Key was used for another request. Use a new one.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", title)
}
