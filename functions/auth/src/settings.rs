//! What auth is told beside what every function is.

use chrono::TimeDelta;
use toktik_catalog::limits::Limit;
use toktik_identity::{Passwords, SignSettings};

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    pub sign: SignSettings,
    /// Passwords checked at once, each with 19 MiB and a core. Unset: one per core
    #[arg(long, env = "TOKTIK_PASSWORD_WORKERS", value_name = "COUNT")]
    pub password_workers: Option<usize>,
    /// Registrations that one address may make in an hour, those refused for a taken name included; 0 for no limit
    #[arg(
        long,
        env = "TOKTIK_REGISTRATIONS_PER_HOUR",
        value_name = "COUNT",
        default_value_t = 1000
    )]
    pub registrations_per_hour: u32,
}

impl Settings {
    /// Accounts from one network; none where they are not limited.
    pub(crate) fn registration(&self) -> Option<Limit> {
        (self.registrations_per_hour > 0).then_some(Limit {
            name: "register-network",
            attempts: self.registrations_per_hour,
            window: TimeDelta::hours(1),
        })
    }

    pub(crate) fn passwords(&self) -> Passwords {
        self.password_workers
            .map_or_else(Passwords::for_this_machine, Passwords::new)
    }
}
