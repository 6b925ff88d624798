//! Tells the tests whether this machine has tmux, so that those that need it are ignored by name where it has not.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rustc-check-cfg=cfg(has_tmux)");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-changed=build.rs");
    let mut tmux = Command::new("tmux");
    if tmux.arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=has_tmux");
    }
}
