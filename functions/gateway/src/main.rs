fn main() -> std::process::ExitCode {
    toktik_gateway::main("toktik-gateway", std::env::args_os())
}
