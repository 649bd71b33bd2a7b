//! The sandbox's launcher as a program of its own, for tests and for hosts whose main program cannot be one.

use std::process::ExitCode;

fn main() -> ExitCode {
    toktik_media::sandbox::launcher().unwrap_or_else(|| {
        println!("{}", toktik_media::sandbox::support());
        ExitCode::SUCCESS
    })
}
