//! The `afterimage` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    share_freed_memory();
    afterimage_replay::cli::main()
}

/// What one thread frees, the next may have. glibc keeps memory by thread otherwise, and the TUI's threads read large states one
/// after the other: each of them would keep as much as the largest needed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn share_freed_memory() {
    // SAFETY: no other thread has begun. Where the setting is refused, all stays as it was.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn share_freed_memory() {}
