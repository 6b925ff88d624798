//! The `afterimage` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    afterimage_replay::cli::main()
}
