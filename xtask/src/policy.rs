//! The dependency policy of `deny.toml`, by cargo-deny.

use crate::checkout;
use crate::step::Verdict;

const INSTALL: &str = "cargo-deny is not installed (cargo install cargo-deny --locked)";

pub(crate) fn dependencies() -> anyhow::Result<Verdict> {
    if !installed() {
        return Ok(Verdict::NotRun(INSTALL.to_owned()));
    }
    let workspace = ["deny", "check", "bans", "licenses", "sources"];
    // The eBPF programs are a workspace of their own; who may depend on whom does not arise there.
    let programs = ["deny", "--manifest-path", "capture-ebpf/Cargo.toml", "--config", "deny.toml"];
    let check = ["check", "--allow", "license-not-encountered", "licenses", "sources"];
    let sound = checkout::succeeds(&mut checkout::cargo(workspace))?
        & checkout::succeeds(checkout::cargo(programs).args(check))?;
    Ok(Verdict::of(sound))
}

/// Known vulnerabilities. Their database comes from GitHub, which not every machine reaches.
pub(crate) fn advisories() -> anyhow::Result<Verdict> {
    if !installed() {
        return Ok(Verdict::NotRun(INSTALL.to_owned()));
    }
    if !checkout::succeeds(&mut checkout::cargo(["deny", "fetch", "db"]))? {
        return Ok(Verdict::NotRun("the advisory database on GitHub cannot be reached from here".to_owned()));
    }
    Ok(Verdict::of(checkout::succeeds(&mut checkout::cargo(["deny", "check", "advisories"]))?))
}

fn installed() -> bool {
    checkout::output(&mut checkout::cargo(["deny", "--version"])).is_some()
}
