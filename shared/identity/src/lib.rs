//! Who somebody is: ids and names, passwords, and the tokens that carry an identity from request to request.
//!
//! Access tokens are JWTs that every function checks by their signature alone ([`Verifier`]); only auth can make them
//! ([`Signer`]). Refresh tokens ([`RefreshToken`]) are opaque and mean something to the catalog alone. Nothing here
//! stores anything, reads a clock or knows HTTP.

mod key;
mod name;
mod password;
mod refresh;
mod secret;
mod settings;
mod token;
mod user;

pub use key::{GeneratedKeys, KeyError, generate_keys};
pub use name::{Bio, DisplayName, Email, InvalidName, Login, Username};
pub use password::{InvalidPassword, Password, PasswordError, PasswordHash, Passwords};
pub use refresh::{InvalidRefreshToken, RefreshToken, TokenHash};
pub use secret::{Secret, fingerprint};
pub use settings::{SettingsError, SignSettings, VerifySettings};
pub use token::{AccessToken, Signer, TokenError, Verifier};
pub use user::{Identity, InvalidId, Role, SessionId, UserId};
