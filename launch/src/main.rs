//! `afterimage-launch`: makes containers in a loop and prints what it made, one line each: id, pid, status.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use afterimage_launch::{Join, Launcher, Root, Stdio, Style, rootfs};
use anyhow::Context as _;
use clap::Parser;

/// Makes short-lived containers without a runtime and prints one line for each that has been: id, pid, status.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// How many containers
    #[arg(short = 'n', long, default_value_t = 1)]
    count: usize,
    /// How many at a time
    #[arg(short, long, default_value_t = 1)]
    jobs: usize,
    /// Whose cgroup names: docker, docker-systemd, k8s, k8s-systemd or podman
    #[arg(short, long, default_value_t = Style::Docker)]
    style: Style,
    /// Root file system of the containers; without it one is made from the host's static busybox
    #[arg(short, long)]
    root: Option<PathBuf>,
    /// Give each container an overlay of the root, gone with it, instead of the root itself
    #[arg(short, long)]
    overlay: bool,
    /// Give each container a network namespace with its loopback device up
    #[arg(long)]
    netns: bool,
    /// Move the process into its cgroup after it was made, as older runtimes do
    #[arg(long)]
    attach: bool,
    /// Program inside the root, with its arguments
    #[arg(last = true, default_value = "/bin/true")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match launch(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("afterimage-launch: {error:#}");
            ExitCode::from(5)
        }
    }
}

/// Says whether every program ended with status 0.
fn launch(options: Options) -> anyhow::Result<bool> {
    let made = match options.root {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("no directory for a root file system")?),
    };
    if let Some(dir) = &made {
        rootfs::busybox(dir.path())?;
    }
    let root = options.root.or_else(|| made.as_ref().map(|dir| dir.path().to_owned())).unwrap_or_default();
    let root = if options.overlay { Root::Overlay(root) } else { Root::Chroot(root) };
    let mut launcher = Launcher::new(options.style, root)?;
    launcher.netns = options.netns;
    launcher.join = if options.attach { Join::Attach } else { Join::Clone };
    let (failed, begin) = (AtomicUsize::new(0), Instant::now());
    launcher.run_many(options.count, options.jobs, &options.command, Stdio::default(), |outcome| {
        println!("{} {} {}", outcome.id, outcome.pid, outcome.status);
        if !outcome.status.success() {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = options.count as f64 / seconds;
    eprintln!("{} containers in {seconds:.2} s, {rate:.0} a second", options.count);
    Ok(failed.into_inner() == 0)
}
