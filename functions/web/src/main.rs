fn main() -> std::process::ExitCode {
    toktik_runtime::main::<toktik_web::Web>()
}
