//! The dependency policy of `deny.toml`, by cargo-deny.

use crate::checkout;
use crate::step::Verdict;

const INSTALL: &str = "cargo-deny is not installed (cargo install cargo-deny --locked)";

pub(crate) fn dependencies() -> anyhow::Result<Verdict> {
    if !installed() {
        return Ok(Verdict::NotRun(INSTALL.to_owned()));
    }
    let mut deny = checkout::cargo(["deny", "check", "bans", "licenses", "sources"]);
    Ok(Verdict::of(checkout::succeeds(&mut deny)?))
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
