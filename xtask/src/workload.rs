//! What runs in the demo's and the samples' containers: a staged intrusion and a plain piece of work.
//!
//! Both are harmless and stay on this machine's loopback address. Container and root are gone afterwards.

mod attacker;

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use afterimage_launch::{Launcher, Outcome, Root, Stdio, Style, rootfs};
use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::checkout;
use attacker::Attacker;

/// Far more than either needs; a container that still runs then is killed.
const LIMIT: Duration = Duration::from_secs(60);

/// The file that the intruder is after. What it holds says that it is worth nothing.
const TOKEN_FILE: &str = "run/secrets/kubernetes.io/serviceaccount/token";
const TOKEN: &str = "planted-for-the-demo.not-a-real-token.0000\n";

/// Runs the staged intrusion in a container of its own: a request to a small service carries a command, which
/// downloads a program and runs it; through it, a scripted attacker types a few commands and removes the traces.
/// Returns what the attacker saw as well.
pub(crate) fn intrusion() -> anyhow::Result<(Outcome, String)> {
    let root = container_root("service.sh")?;
    for (path, text) in [
        (TOKEN_FILE, TOKEN),
        ("srv/index.html", "<title>A small service</title>\n"),
        ("srv/about.html", "<p>It serves pages.</p>\n"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(root.path()))?;
        fs::write(&path, text)?;
    }
    let (attacker, implant) = (Attacker::listen()?, implant()?);
    let launcher = Launcher::new(Style::Docker, Root::Overlay(root.path().into()))?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let transcript = scope.spawn(|| attacker.attack(&implant, &over));
        let outcome = run(&launcher, &["/bin/sh", "/srv/service.sh", &attacker.requested_host()]);
        over.store(true, Ordering::Relaxed);
        let transcript = transcript.join().unwrap_or_else(|_| bail!("the attacker's thread panicked"))?;
        Ok((outcome?, transcript))
    })
}

/// Runs the plain work in a container of its own, with its own network.
pub(crate) fn plain() -> anyhow::Result<Outcome> {
    let root = container_root("plain.sh")?;
    let mut launcher = Launcher::new(Style::K8sSystemd, Root::Overlay(root.path().into()))?;
    launcher.netns = true;
    run(&launcher, &["/bin/sh", "/srv/plain.sh"])
}

fn run(launcher: &Launcher, argv: &[&str]) -> anyhow::Result<Outcome> {
    let null =
        fs::File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
    let null = Some(null.as_fd());
    let running = launcher.spawn(argv, Stdio { stdin: null, stdout: null, stderr: null })?;
    Ok(running.wait_at_most(LIMIT)?)
}

fn container_root(script: &str) -> anyhow::Result<TempDir> {
    let root = TempDir::with_prefix("afterimage-demo-root-")?;
    rootfs::busybox(root.path())?;
    rootfs::host_shell(root.path())?;
    let inside = root.path().join("srv");
    fs::create_dir_all(&inside)?;
    let source = checkout::root().join("samples/workload").join(script);
    rootfs::copy_program(&source, &inside.join(script))?;
    Ok(root)
}

/// Builds the program that the intruder downloads, without shared libraries: the container has none.
fn implant() -> anyhow::Result<Vec<u8>> {
    let dir = TempDir::with_prefix("afterimage-demo-build-")?;
    let (source, program) = (checkout::root().join("samples/workload/implant.c"), dir.path().join("implant"));
    let mut compiler = Command::new("gcc");
    compiler.args(["-static", "-nostdlib", "-Os", "-s", "-Wall", "-o"]).arg(&program).arg(&source);
    let status = compiler.status().context("cannot run `gcc` (apt-get install gcc)")?;
    if !status.success() {
        bail!("`{}` does not build", source.display());
    }
    read(&program)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use afterimage_launch::ExitStatus;

    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn intruder_gets_a_shell_reads_the_token_and_leaves() {
        let (outcome, transcript) = intrusion().unwrap();
        assert_eq!(outcome.status, ExitStatus::Code(0), "{transcript}");
        assert!(transcript.contains("uid=0(root)"), "{transcript}");
        assert!(transcript.contains(TOKEN.trim()), "{transcript}");
        assert!(transcript.contains(&outcome.id.short()), "no host name of the container in {transcript}");
    }

    #[test]
    #[ignore = "needs root"]
    fn plain_work_ends_with_the_code_that_it_announces() {
        assert_eq!(plain().unwrap().status, ExitStatus::Code(3));
    }
}
