//! What auth is told beside what every function is.

use clap::builder::BoolishValueParser;
use toktik_identity::{Passwords, SignSettings};

#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    #[command(flatten)]
    pub sign: SignSettings,
    /// Take the client's address from the last entry of X-Forwarded-For: only behind a proxy that writes it
    #[arg(long, env = "TOKTIK_TRUST_PROXY", value_parser = BoolishValueParser::new())]
    pub trust_proxy: bool,
    /// Passwords checked at once, each with 19 MiB and a core. Unset: one per core
    #[arg(long, env = "TOKTIK_PASSWORD_WORKERS", value_name = "COUNT")]
    pub password_workers: Option<usize>,
}

impl Settings {
    pub(crate) fn passwords(&self) -> Passwords {
        self.password_workers.map_or_else(Passwords::for_this_machine, Passwords::new)
    }
}
