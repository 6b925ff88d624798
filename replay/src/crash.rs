//! The last resort: a panic becomes one sentence and exit code 5, never a backtrace on the user's screen.

use std::{
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    process::ExitCode,
};

use crate::{exit::Exit, output::terminal};

/// Runs `f`; a panic in it is reported.
pub fn guard(f: impl FnOnce() -> ExitCode) -> ExitCode {
    panic::set_hook(Box::new(|info| terminal::say(&sentence(info))));
    panic::catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| ExitCode::from(Exit::Environment.code()))
}

fn sentence(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no message");
    format!("internal error{place}: {what}; the recording was not changed, please report this")
}
