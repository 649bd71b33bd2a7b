//! Accounts and sessions: signing up, in and out, and what people tell of themselves.
//!
//! Started by HTTP. It is the only function with the private key: it makes access tokens, the others check them with
//! the public keys that they are given and that it also publishes at `/.well-known/jwks.json`. Signing in never tells
//! whether an account exists; signing up has to, since names and addresses are unique.
//!
//! Emits `toktik.user.deleted.v1`. Never stores a password or a refresh token as it is, and does not touch clips: those of
//! a deleted account are the janitor's.

mod body;
mod client;
mod cookies;
mod keys;
mod password;
mod profile;
mod register;
mod session;
mod settings;

use std::sync::Arc;

use toktik_events::Function;
use toktik_identity::{Passwords, Signer};
use toktik_runtime::http::Problem;
use toktik_runtime::{Context, Serverless, Service};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use settings::Settings;

pub struct Auth;

impl Serverless for Auth {
    const NAME: Function = Function::Auth;
    type Settings = Settings;

    fn start(settings: Settings, context: &Context) -> anyhow::Result<Service> {
        let signer = settings.sign.signer(&context.verifier)?;
        let passwords = settings.passwords();
        let context = context.clone();
        Ok(Service::http(router(App {
            context,
            settings,
            signer,
            passwords,
        })))
    }
}

/// What the handlers share.
pub(crate) struct App {
    pub(crate) context: Context,
    pub(crate) settings: Settings,
    pub(crate) signer: Signer,
    pub(crate) passwords: Passwords,
}

fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(session::login))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(profile::show, profile::change, profile::delete))
        .routes(routes!(keys::jwks))
        .with_state(Arc::new(app))
}

/// What nobody can mend from outside: logged in full, answered in general.
pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Problem {
    Problem::from(error.into())
}
