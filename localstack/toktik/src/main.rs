//! `toktik`: the whole platform on one machine, or any one function of it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use toktik::{backup, bare, check, cloud, control, doctor, keys, provision, ready, restore, run, up};

#[derive(Parser)]
#[command(
    name = "toktik",
    version,
    about = "A short-video platform made of small serverless functions"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process, data under one directory
    Up(Box<up::Settings>),
    /// Run one function; `toktik run FUNCTION --help` lists its settings
    #[command(disable_help_flag = true)]
    Run {
        /// auth, upload, videos, playback, notify, web, probe, transcode, thumbnail, audio, package, dead-letter or janitor
        #[arg(allow_hyphen_values = true)]
        function: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Serve the embedded cloud alone: S3, SQS and DynamoDB on one port, signatures checked
    Cloud(cloud::Settings),
    /// Make bucket, queues and table where the environment says; may be repeated
    ///
    /// Says of each whether it was made, or is as it should be. Exits with 2, and changes nothing, if something is there that
    /// somebody made otherwise: says what is there, what is wanted, and how to mend it.
    Provision(provision::Settings),
    /// Make the secrets of a new installation, for a host that keeps them itself
    Secrets(keys::Settings),
    /// Say whether the function beside this takes requests: what a container's health check asks
    Ready(ready::Settings),
    /// Say what is missing or wrong on this machine
    Doctor(doctor::Settings),
    /// Say which clauses of the HLS specifications a presentation breaks
    ///
    /// Reads the multivariant playlist and all that it leads to, as a player would. Exits with 2 if a MUST is broken, and
    /// with 1 if the playlist cannot be fetched.
    Check(check::Settings),
    /// Copy the data directory as it is at one instant; `toktik up` may go on working in it
    Backup(backup::Settings),
    /// Make a data directory of a backup
    Restore(restore::Settings),
    /// Say what ffmpeg alone would be told to make a clip's renditions: for `cargo xtask bench`
    #[command(hide = true)]
    Bare(bare::Settings),
    /// Sweep: in the running `toktik up`, or where the environment says
    Janitor(control::Settings),
}

fn main() -> ExitCode {
    if let Some(code) = toktik_media::sandbox::launcher() {
        return code;
    }
    match Cli::parse().command {
        Command::Up(settings) => report(up::main(*settings)),
        Command::Run { function, arguments } => run::main(&function, arguments),
        Command::Cloud(settings) => report(cloud::main(settings)),
        Command::Provision(settings) => provision::main(&settings),
        Command::Secrets(settings) => report(keys::main(&settings)),
        Command::Ready(settings) => ready::main(&settings),
        Command::Doctor(settings) => doctor::main(&settings),
        Command::Check(settings) => check::main(&settings),
        Command::Backup(settings) => report(backup::main(&settings)),
        Command::Restore(settings) => report(restore::main(&settings)),
        Command::Bare(settings) => report(bare::main(&settings)),
        Command::Janitor(settings) => report(control::main(&settings)),
    }
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toktik: {error:#}");
            ExitCode::FAILURE
        }
    }
}
