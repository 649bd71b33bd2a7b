//! What auth is told beside what every function is.

use toktik_identity::{Passwords, SignSettings};

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub sign: SignSettings,
    /// Passwords checked at once, each with 19 MiB and a core. Unset: one per core
    #[arg(long, env = "TOKTIK_PASSWORD_WORKERS", value_name = "COUNT")]
    pub password_workers: Option<usize>,
}

impl Settings {
    pub(crate) fn passwords(&self) -> Passwords {
        self.password_workers
            .map_or_else(Passwords::for_this_machine, Passwords::new)
    }
}
