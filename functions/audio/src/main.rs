fn main() -> std::process::ExitCode {
    toktik_runtime::main::<toktik_audio::Audio>()
}
