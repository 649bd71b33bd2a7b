//! `cargo xtask`: every chore of the house, so that a newcomer needs to know one command and no script language.
//!
//! Each command is a module. Nothing here links a crate of ours: xtask is what a fresh machine builds first.

mod attempt;
mod bench;
mod chaos;
mod dist;
mod fuzz;
mod install;
mod manifests;
mod pages;
mod screenshots;
mod targets;
mod test;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of Toktik
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Each one's help text stands on its arguments.
#[derive(Subcommand)]
enum Command {
    Up(up::Args),
    Try(attempt::Args),
    Test(test::Args),
    Chaos(chaos::Args),
    Fuzz(fuzz::Args),
    Dist(dist::Args),
    Bench(bench::Args),
    Manifests(manifests::Args),
    Screenshots(screenshots::Args),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(&cli.command),
        Err(error) => usage(&error),
    }
}

fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Up(args) => up::run(args),
        Command::Try(args) => attempt::run(args),
        Command::Test(args) => test::run(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Dist(args) => dist::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Manifests(args) => manifests::run(args),
        Command::Screenshots(args) => screenshots::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// A help text, or what is wrong with the arguments. clap's own exit code for the latter, 2, means "refused" here.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed terminal is no reason to fail twice.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
