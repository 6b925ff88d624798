//! The reader builds where there is no Linux: `cargo check` of its crates for another system.

use std::path::Path;
use std::process::Command;

use crate::step::Verdict;
use crate::{checkout, ebpf};

const READER: [&str; 4] = ["afterimage-format", "afterimage-model", "afterimage-detect", "afterimage-replay"];

/// Systems whose standard library a rustup user may have installed.
const INSTALLABLE: [&str; 3] = ["aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-unknown-freebsd"];

/// The system that Debian's sources of the standard library are built for. Its C code needs no headers but those
/// of the host, which is enough for a check that links nothing.
const FROM_SOURCE: &str = "x86_64-unknown-freebsd";

pub(crate) fn check() -> anyhow::Result<Verdict> {
    let packages = READER.iter().flat_map(|package| ["--package", package]);
    let mut check = checkout::cargo(["check", "--target-dir", "target/foreign"]);
    check.args(packages);
    if let Some(target) = installed_target() {
        check.args(["--target", target]);
    } else if let Some(rustc) = ebpf::debian_rustc() {
        check.args(["--target", FROM_SOURCE, "-Zbuild-std=std,panic_abort"]);
        check.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
    } else {
        let reason = format!(
            "no standard library for another system (rustup target add {FROM_SOURCE}, or \
             apt-get install rustc-web rust-web-src)"
        );
        return Ok(Verdict::NotRun(reason));
    }
    Ok(Verdict::of(checkout::succeeds(&mut check)?))
}

fn installed_target() -> Option<&'static str> {
    let sysroot = checkout::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let libraries = Path::new(&sysroot).join("lib/rustlib");
    INSTALLABLE.into_iter().find(|target| libraries.join(target).join("lib").is_dir())
}
