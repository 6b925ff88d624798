//! `cargo xtask ci`: the script that CI runs. It installs what is missing and then calls `cargo xtask test`.

use std::process::Command;

use crate::checkout;

pub(crate) fn run() -> anyhow::Result<bool> {
    checkout::succeeds(Command::new("bash").arg(".ci/run").current_dir(checkout::root()))
}
