//! `toktik run FUNCTION`: the same as the function's own program.

use std::ffi::OsString;
use std::process::ExitCode;

use toktik_events::Function;
use toktik_runtime::run_function;

/// Stands in front of the functions, and is none that an event or a route could name.
const GATEWAY: &str = "gateway";

pub fn main(function: &str, arguments: Vec<OsString>) -> ExitCode {
    let names = Function::ALL.map(Function::name).join(", ");
    if ["--help", "-h"].contains(&function) {
        println!(
            "Usage: toktik run FUNCTION [SETTINGS]\n\nFunctions: {names}; and {GATEWAY}, in front of those that answer requests"
        );
        println!("\n`toktik run FUNCTION --help` lists the settings of one.");
        return ExitCode::SUCCESS;
    }
    if function == GATEWAY {
        let name = format!("toktik run {GATEWAY}");
        let arguments = std::iter::once(OsString::from(&name)).chain(arguments);
        return toktik_gateway::main(&name, arguments);
    }
    let function: Function = match function.parse() {
        Ok(function) => function,
        Err(error) => {
            eprintln!("toktik: {error}. Functions: {names}");
            return ExitCode::FAILURE;
        }
    };
    let name = format!("toktik run {function}");
    let arguments = std::iter::once(OsString::from(&name)).chain(arguments);
    match function {
        Function::Auth => run_function::<toktik_auth::Auth>(&name, arguments),
        Function::Upload => run_function::<toktik_upload::Upload>(&name, arguments),
        Function::Videos => run_function::<toktik_videos::Videos>(&name, arguments),
        Function::Playback => run_function::<toktik_playback::Playback>(&name, arguments),
        Function::Notify => run_function::<toktik_notify::Notify>(&name, arguments),
        Function::Web => run_function::<toktik_web::Web>(&name, arguments),
        Function::Probe => run_function::<toktik_probe::Probe>(&name, arguments),
        Function::Transcode => run_function::<toktik_transcode::Transcode>(&name, arguments),
        Function::Thumbnail => run_function::<toktik_thumbnail::Thumbnail>(&name, arguments),
        Function::Audio => run_function::<toktik_audio::Audio>(&name, arguments),
        Function::Package => run_function::<toktik_package::Package>(&name, arguments),
        Function::DeadLetter => run_function::<toktik_dead_letter::DeadLetter>(&name, arguments),
        Function::Janitor => run_function::<toktik_janitor::Janitor>(&name, arguments),
    }
}
