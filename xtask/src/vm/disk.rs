//! The machine's disk: the packages that the tests use, as they are installed here, and what was built.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::checkout;

/// Packages that the tests call programs of; what they depend on comes along.
const PACKAGES: [&str; 23] = [
    "bash",
    "dash",
    "coreutils",
    "util-linux",
    "mount",
    "grep",
    "sed",
    "tar",
    "procps",
    "findutils",
    "gcc",
    "libc6-dev",
    "busybox-static",
    "strace",
    "curl",
    "runc",
    "crun",
    "podman",
    "containerd",
    "docker.io",
    "iptables",
    "e2fsprogs",
    "perl-base",
];
/// Files that belong to no package.
const SETTINGS: [&str; 12] = [
    "passwd",
    "group",
    "nsswitch.conf",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.cache",
    "containers",
    "login.defs",
    "subuid",
    "subgid",
    "hosts",
    "alternatives",
];
/// What no test reads.
const LEFT_OUT: [&str; 7] = [
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/locale/",
    "/usr/share/info/",
    "/usr/share/perl/",
    "/usr/share/bash-completion/",
    "/usr/share/lintian/",
];
/// Room for everything, most of which stays a hole in the file.
const SIZE: &str = "12G";

/// What was built for the machine.
pub(crate) struct Programs {
    /// The recorder's integration tests.
    pub(crate) tests: PathBuf,
    /// Where they expect to run.
    pub(crate) directory: PathBuf,
    /// The programs that they start.
    started: Vec<PathBuf>,
}

/// Builds the tests as `cargo test` does, so that nothing is built twice, and the reader, which they start too.
pub(crate) fn programs() -> anyhow::Result<Programs> {
    let of_tests = built(&["test", "--package", "afterimage-capture", "--test", "it", "--no-run"])?;
    let (tests, started): (Vec<_>, Vec<_>) = of_tests.into_iter().partition(|(_, is_test)| *is_test);
    let reader = built(&["build", "--package", "afterimage-replay", "--bin", "afterimage"])?;
    let started = started.into_iter().chain(reader).map(|(path, _)| path).collect();
    let (tests, _) = tests.into_iter().next().context("cargo names no executable of the tests")?;
    Ok(Programs { tests, directory: checkout::root().join("capture"), started })
}

/// The programs that a cargo command builds, and whether each is one of tests.
fn built(args: &[&str]) -> anyhow::Result<Vec<(PathBuf, bool)>> {
    let mut build = checkout::cargo(args);
    build.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = build.output().context("could not start cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    let program = |line: &[u8]| {
        let message = serde_json::from_slice::<serde_json::Value>(line).ok()?;
        let path = PathBuf::from(message["executable"].as_str()?);
        Some((path, message["profile"]["test"] == true))
    };
    Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(program).collect())
}

/// Falco's official rules, where the tests were built to find them (detect/build.rs).
fn rules() -> Option<PathBuf> {
    let given = std::env::var_os("AFTERIMAGE_FALCO_RULES").map(PathBuf::from);
    let root = checkout::root();
    let mut above = root.ancestors().map(|dir| dir.join("shared/data/falco_rules.yaml"));
    given.or_else(|| above.find(|path| path.is_file()))
}

/// Makes the image and gives its path.
pub(crate) fn make(work: &Path, programs: &Programs, only: &[String]) -> anyhow::Result<PathBuf> {
    let (tree, image) = (work.join("tree"), work.join("disk.img"));
    let mut files = packaged()?;
    files.extend(SETTINGS.iter().map(|name| PathBuf::from("/etc").join(name)));
    files.extend(alternatives()?);
    files.extend(programs.started.iter().cloned());
    files.push(programs.tests.clone());
    files.extend(rules());
    let root = checkout::root();
    files.extend(
        ["capture/tests", "capture/Cargo.toml", "capture-ebpf/src", "packaging"].map(|path| root.join(path)),
    );
    files.retain(|path| path.symlink_metadata().is_ok());
    println!("== making a disk of {} files", files.len());
    // The links of a merged /usr come first, so that a package's `/bin/sh` lands below `/usr/bin`.
    let script = "set -e; rm -rf \"$1\" \"$2\"; mkdir -p \"$1\"/{proc,sys,dev,run,tmp,root,home,mnt,var/tmp,var/lib,var/log,etc,usr}\n\
         chmod 1777 \"$1\"/tmp \"$1\"/var/tmp\n\
         for name in bin sbin lib lib32 lib64 libx32; do mkdir -p \"$1\"/usr/$name; ln -s usr/$name \"$1\"/$name; done\n\
         tar -C / --no-same-owner --null -T - -cf - 2>/dev/null | tar -C \"$1\" --keep-directory-symlink -xpf -\n\
         printf '%s' \"$3\" > \"$1\"/vm-init; chmod 755 \"$1\"/vm-init\n\
         truncate -s \"$4\" \"$2\"; mke2fs -q -t ext4 -d \"$1\" \"$2\"; rm -rf \"$1\"";
    let list: Vec<u8> = files
        .iter()
        .flat_map(|path| {
            let relative = path.strip_prefix("/").unwrap_or(path);
            [relative.as_os_str().as_encoded_bytes(), b"\0"].concat()
        })
        .collect();
    let mut command = Command::new("bash");
    command.args(["-c", script, "disk"]).arg(&tree).arg(&image).arg(super::init(programs, only)).arg(SIZE);
    feed(&mut command, &list)?;
    Ok(image)
}

/// Runs a command with `input`; it must succeed.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> anyhow::Result<()> {
    let mut child = command.stdin(Stdio::piped()).spawn().context("could not start bash")?;
    child.stdin.take().context("no standard input")?.write_all(input).context("bash reads no input")?;
    let status = child.wait().context("cannot wait for bash")?;
    if !status.success() {
        bail!("making the machine ended with {status}");
    }
    Ok(())
}

/// Every file of the packages and of those that they depend on.
fn packaged() -> anyhow::Result<Vec<PathBuf>> {
    let format = "${Package}\\t${Depends}, ${Pre-Depends}, ${Recommends}\\t${Provides}\\n";
    let known = checkout::output(Command::new("dpkg-query").args(["-W", "-f", format]))
        .context("dpkg-query failed")?;
    let wanted = closure(&known, &PACKAGES);
    let mut list = Command::new("dpkg-query");
    let files = checkout::output(list.arg("-L").args(&wanted)).context("dpkg-query knows no files")?;
    let files = files
        .lines()
        .filter(|line| line.starts_with('/') && !LEFT_OUT.iter().any(|dir| line.starts_with(dir)));
    // A directory's own line would bring everything below it.
    let files =
        files.map(PathBuf::from).filter(|path| path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()));
    Ok(files.collect())
}

/// Installed packages that `roots` come to need, from lines of name, dependencies and what is provided.
fn closure(known: &str, roots: &[&str]) -> BTreeSet<String> {
    let mut needs = BTreeMap::<&str, Vec<&str>>::new();
    for line in known.lines() {
        let mut columns = line.split('\t');
        let (name, depends, provides) = (
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
        );
        needs.entry(name).or_default().extend(names(depends));
        for provided in names(provides) {
            needs.entry(provided).or_default().push(name);
        }
    }
    let installed: BTreeSet<&str> = known.lines().filter_map(|line| line.split('\t').next()).collect();
    let (mut open, mut seen) = (roots.to_vec(), BTreeSet::new());
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(needs.get(name).into_iter().flatten());
        }
    }
    seen.into_iter().filter(|name| installed.contains(name)).map(str::to_owned).collect()
}

/// The names in a list of dependencies, without versions and architectures; all of several alternatives.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', '|'])
        .filter_map(|part| part.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
}

/// Programs that are links into `/etc/alternatives`, and where those lead.
fn alternatives() -> anyhow::Result<Vec<PathBuf>> {
    let args = ["/usr/bin", "/usr/sbin", "-lname", "/etc/alternatives/*"];
    let found = checkout::output(Command::new("find").args(args)).context("find failed")?;
    Ok(found.lines().map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_follows_versions_alternatives_and_what_is_provided() {
        let known = "a\tb (>= 1.2), c | d:any, , \t\nb\t, \t\nd\te\t\nf\t\te (= 2)\ng\t\t\n";
        let all = closure(known, &["a", "missing"]);
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a", "b", "d", "f"]);
    }
}
