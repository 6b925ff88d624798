//! `afterimaged`: see the library.

fn main() -> std::process::ExitCode {
    afterimage_capture::cli::main()
}
