//! `cargo xtask package`: the Debian package, with manual and completions as the programs themselves write them. What it
//! made is then listed, compared with what it must have, and installed into a directory of its own, from which both
//! programs are run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::checkout;

/// What to do where cargo-deb is not there.
pub(crate) const INSTALL: &str = "cargo-deb is needed: cargo install cargo-deb --version 3.8.0 --locked";

/// Both programs with their section of the manual.
const PROGRAMS: [(&str, &str); 2] = [("afterimaged", "man8"), ("afterimage", "man1")];
/// Shells with the name of a script in their directories.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];

/// What must be in it, with its mode; of manual pages there are more.
const CONTENTS: [(&str, &str); 18] = [
    ("usr/bin/afterimaged", "-rwxr-xr-x"),
    ("usr/bin/afterimage", "-rwxr-xr-x"),
    ("etc/afterimage/config.toml", "-rw-r--r--"),
    ("usr/lib/systemd/system/afterimaged.service", "-rw-r--r--"),
    ("usr/share/man/man8/afterimaged.8.gz", "-rw-r--r--"),
    ("usr/share/man/man8/afterimaged-run.8.gz", "-rw-r--r--"),
    ("usr/share/man/man1/afterimage.1.gz", "-rw-r--r--"),
    ("usr/share/man/man1/afterimage-ls.1.gz", "-rw-r--r--"),
    ("usr/share/bash-completion/completions/afterimaged", "-rw-r--r--"),
    ("usr/share/bash-completion/completions/afterimage", "-rw-r--r--"),
    ("usr/share/zsh/vendor-completions/_afterimaged", "-rw-r--r--"),
    ("usr/share/zsh/vendor-completions/_afterimage", "-rw-r--r--"),
    ("usr/share/fish/vendor_completions.d/afterimaged.fish", "-rw-r--r--"),
    ("usr/share/fish/vendor_completions.d/afterimage.fish", "-rw-r--r--"),
    ("usr/share/doc/afterimage/copyright", "-rw-r--r--"),
    ("usr/share/doc/afterimage/operations.md", "-rw-r--r--"),
    ("usr/share/doc/afterimage/limits.md", "-rw-r--r--"),
    ("usr/share/doc/afterimage/examples/compat.conf", "-rw-r--r--"),
];

/// What scripts do when it is installed and removed; it is enabled by who wants to record.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", "systemctl try-restart afterimaged.service"),
    ("prerm", "systemctl stop afterimaged.service"),
    ("postrm", "systemctl daemon-reload"),
];

/// How the programs in it are built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// For users.
    Release,
    /// As tests build them: to see whether the package is right.
    Dev,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// The directory below `target/`.
    const fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// Whether what makes packages is there.
pub(crate) fn installed() -> bool {
    checkout::output(&mut checkout::cargo(["deb", "--version"])).is_some()
}

pub(crate) fn run(profile: Profile) -> anyhow::Result<bool> {
    let root = checkout::root();
    let name = profile.name();
    let build = ["build", "--profile", name, "--locked", "--bin", "afterimaged", "--bin", "afterimage"];
    let programs = root.join("target").join(profile.directory());
    if !checkout::succeeds(&mut checkout::cargo(build))? || !generate(&root, &programs)? {
        return Ok(false);
    }
    let debian = root.join("target/debian");
    if debian.exists() {
        fs::remove_dir_all(&debian).context("what an earlier call made")?;
    }
    let deb = ["deb", "--package", "afterimage-capture", "--no-build", "--profile", name];
    let made = checkout::succeeds(&mut checkout::cargo(deb)).context(INSTALL)?;
    if !made {
        return Ok(false);
    }
    check(&package(&debian)?)?;
    Ok(true)
}

/// Has the programs write their manual and completions.
fn generate(root: &Path, programs: &Path) -> anyhow::Result<bool> {
    let made = root.join("target/package");
    if made.exists() {
        fs::remove_dir_all(&made).context("what an earlier call made")?;
    }
    for (program, section) in PROGRAMS {
        let binary = programs.join(program);
        if !checkout::succeeds(Command::new(&binary).arg("man").arg(made.join(section)))? {
            return Ok(false);
        }
        for (shell, before, after) in SHELLS {
            let script =
                Command::new(&binary).args(["completions", shell]).output().context("completions")?;
            ensure!(script.status.success(), "`{program} completions {shell}`: {}", script.status);
            let directory = made.join(shell);
            fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
            fs::write(directory.join(format!("{before}{program}{after}")), script.stdout)?;
        }
    }
    Ok(true)
}

/// The one package that was made.
fn package(debian: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(debian).context("no package was made")?;
    let mut found = entries.flatten().map(|entry| entry.path());
    let found = found.find(|path| path.extension().is_some_and(|ext| ext == "deb"));
    found.context("no package was made")
}

/// What `dpkg-deb` says of a package.
fn ask(what: &str, deb: &Path) -> anyhow::Result<String> {
    let mut command = Command::new("dpkg-deb");
    checkout::output(command.arg(what).arg(deb)).with_context(|| format!("dpkg-deb {what} does not answer"))
}

fn check(deb: &Path) -> anyhow::Result<()> {
    println!("{}", ask("--info", deb)?);
    let list = ask("--contents", deb)?;
    println!("{list}");
    let wrong = compare(&list);
    if !wrong.is_empty() {
        bail!("the package is not what it should be: {}", wrong.join("; "));
    }
    for (script, does) in SCRIPTS {
        let mut command = Command::new("dpkg-deb");
        let text = checkout::output(command.arg("--info").arg(deb).arg(script));
        ensure!(text.is_some_and(|text| text.contains(does)), "`{script}` does not `{does}`");
    }
    ensure!(ask("--info", deb)?.contains("conffiles"), "the configuration is not one that upgrades keep");
    install(deb)
}

/// What is missing in a package's list, has another mode, or should not be there.
fn compare(list: &str) -> Vec<String> {
    let files: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let mode = words.next()?;
            Some((mode, words.last()?.trim_start_matches("./")))
        })
        .filter(|(mode, _)| !mode.starts_with('d'))
        .collect();
    let mut wrong = Vec::new();
    for (path, mode) in CONTENTS {
        // Where /lib is not yet part of /usr, units are there.
        let own = files.iter().find(|(_, own)| *own == path || format!("usr/{own}") == path);
        match own {
            None => wrong.push(format!("`{path}` is missing")),
            Some((own, _)) if *own != mode => wrong.push(format!("`{path}` is {own}, not {mode}")),
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = CONTENTS.iter().map(|(path, _)| *path).collect();
    for (_, path) in &files {
        let usual = ["usr/share/man/man1/", "usr/share/man/man8/", "usr/share/doc/afterimage/"];
        if !known.contains(path)
            && !known.contains(format!("usr/{path}").as_str())
            && !usual.iter().any(|usual| path.starts_with(usual))
        {
            wrong.push(format!("`{path}` is nobody's"));
        }
    }
    wrong
}

/// Installs it into a directory, runs both programs from there, and takes it away again.
fn install(deb: &Path) -> anyhow::Result<()> {
    let root = tempfile::tempdir().context("a directory to install into")?;
    let dpkg = |args: &[&str]| -> anyhow::Result<bool> {
        // Nothing else is installed there, and no shell: the scripts run from outside, which they are made for.
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", root.path().display())).args([
            "--force-not-root",
            "--force-depends",
            "--force-script-chrootless",
            "--log=/dev/null",
        ]);
        checkout::succeeds(command.args(args))
    };
    for directory in ["var/lib/dpkg/updates", "var/lib/dpkg/info"] {
        fs::create_dir_all(root.path().join(directory)).context("a database of packages")?;
    }
    for file in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
        fs::write(root.path().join(file), "").context("a database of packages")?;
    }
    let path = deb.display().to_string();
    ensure!(dpkg(&["--install", &path])?, "the package cannot be installed");
    let configuration = root.path().join("etc/afterimage/config.toml");
    for (program, _) in PROGRAMS {
        let installed = root.path().join("usr/bin").join(program);
        ensure!(checkout::succeeds(Command::new(installed).arg("--version"))?, "`{program}` does not run");
    }
    let mut check = Command::new(root.path().join("usr/bin/afterimaged"));
    // Right by itself; whether a recorder could run here is not asked.
    check.args(["config", "dump", "--config"]).arg(&configuration).stdout(Stdio::null());
    ensure!(checkout::succeeds(&mut check)?, "the default configuration is not accepted");
    ensure!(dpkg(&["--purge", "afterimage"])?, "the package cannot be removed");
    ensure!(!configuration.exists(), "its configuration stays when it is purged");
    println!("{} is as it should be", deb.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(leave_out: &str) -> String {
        let line = |(path, mode): &(&str, &str)| format!("{mode} root/root 10 2026-01-01 00:00 ./{path}\n");
        let files = CONTENTS.iter().filter(|(path, _)| *path != leave_out);
        "drwxr-xr-x root/root 0 2026-01-01 00:00 ./usr/\n".to_owned() + &files.map(line).collect::<String>()
    }

    #[test]
    fn what_is_missing_or_strange_in_a_package_is_told() {
        assert_eq!(compare(&list("")), [""; 0]);
        assert_eq!(compare(&list("usr/bin/afterimage")), ["`usr/bin/afterimage` is missing"]);
        let strange = list("") + "-rw-r--r-- root/root 1 2026-01-01 00:00 ./usr/bin/other\n";
        assert_eq!(compare(&strange), ["`usr/bin/other` is nobody's"]);
        let open = list("").replace(
            "-rw-r--r-- root/root 10 2026-01-01 00:00 ./etc",
            "-rw-rw-rw- root/root 10 2026-01-01 00:00 ./etc",
        );
        assert_eq!(compare(&open), ["`etc/afterimage/config.toml` is -rw-rw-rw-, not -rw-r--r--"]);
        let old = list("").replace("./usr/lib/systemd", "./lib/systemd");
        assert_eq!(compare(&old), [""; 0]);
    }
}
