//! `cargo xtask package`: the Debian package, with manual and completions as the programs themselves write them.

use std::{fs, process::Command};

use anyhow::Context as _;

use crate::checkout;

/// Both programs with their section of the manual.
const PROGRAMS: [(&str, &str); 2] = [("afterimaged", "man8"), ("afterimage", "man1")];
/// Shells with the name of a script in their directories.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];

pub(crate) fn run() -> anyhow::Result<bool> {
    let root = checkout::root();
    let build = ["build", "--release", "--locked", "--bin", "afterimaged", "--bin", "afterimage"];
    if !checkout::succeeds(&mut checkout::cargo(build))? {
        return Ok(false);
    }
    let made = root.join("target/package");
    if made.exists() {
        fs::remove_dir_all(&made).context("what an earlier call made")?;
    }
    for (program, section) in PROGRAMS {
        let binary = root.join("target/release").join(program);
        if !checkout::succeeds(Command::new(&binary).arg("man").arg(made.join(section)))? {
            return Ok(false);
        }
        for (shell, before, after) in SHELLS {
            let script =
                Command::new(&binary).args(["completions", shell]).output().context("completions")?;
            anyhow::ensure!(script.status.success(), "`{program} completions {shell}`: {}", script.status);
            let directory = made.join(shell);
            fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
            fs::write(directory.join(format!("{before}{program}{after}")), script.stdout)?;
        }
    }
    checkout::succeeds(&mut checkout::cargo(["deb", "--package", "afterimage-capture", "--no-build"]))
        .context("cargo-deb is needed: cargo install cargo-deb --version 3.8.0 --locked")
}
