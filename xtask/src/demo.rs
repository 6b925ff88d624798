//! `cargo xtask demo`: a container that lives for a few seconds, is broken into, and is deleted; then its
//! recording is opened.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;
use tempfile::TempDir;

use crate::recorder::Recorder;
use crate::{checkout, privilege, workload};

/// Opened where nothing can be recorded.
const SAMPLE: &str = "samples/intrusion.aftx";

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Print a report of the recording instead of opening it in the TUI
    #[arg(long)]
    no_tui: bool,
    /// Record into this folder and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    let programs = build(Build::Release)?;
    let tui = !args.no_tui && std::io::stdout().is_terminal();
    if let Some(lack) = privilege::lacking() {
        println!(
            "Nothing can be recorded here: {lack}. This is `{SAMPLE}`, recorded by the same demo elsewhere."
        );
        return open(&programs, &checkout::root().join(SAMPLE), tui);
    }
    let temporary;
    let store = match &args.keep {
        Some(dir) => dir.as_path(),
        None => {
            temporary = TempDir::with_prefix("afterimage-demo-store-")?;
            temporary.path()
        }
    };
    match record(&programs, store) {
        Ok(()) => open(&programs, store, tui),
        Err(error) => {
            println!("Nothing could be recorded here: {error:#}.");
            println!("This is `{SAMPLE}`, recorded by the same demo elsewhere.");
            open(&programs, &checkout::root().join(SAMPLE), tui)?;
            Ok(false)
        }
    }
}

fn record(programs: &Path, store: &Path) -> anyhow::Result<()> {
    println!("Recording every container of this machine into `{}`.", store.display());
    let recorder = Recorder::start(&programs.join("afterimaged"), store)?;
    println!("A container starts, is broken into through a flaw of its service, and is deleted.");
    let (outcome, transcript) = workload::intrusion()?;
    println!("What the attacker saw:");
    for line in transcript.lines() {
        // A shell may print anything; a terminal gets no control character from it.
        println!("  | {}", line.replace(char::is_control, "\u{fffd}"));
    }
    println!(
        "Container {} exited with {}; its cgroup and root file system are gone.",
        outcome.id, outcome.status
    );
    recorder.stop()
}

fn open(programs: &Path, recording: &Path, tui: bool) -> anyhow::Result<bool> {
    let mut reader = Command::new(programs.join("afterimage"));
    reader.arg(if tui { "replay" } else { "report" }).arg(recording);
    checkout::succeeds(&mut reader)
}

/// How the recorder and the reader are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As fast as what users run.
    Release,
    /// As quickly as it builds.
    Debug,
}

/// Builds the recorder and the reader, and says where they are.
pub(crate) fn build(build: Build) -> anyhow::Result<PathBuf> {
    let packages = ["--package", "afterimage-capture", "--package", "afterimage-replay"];
    let mut cargo = checkout::cargo(["build", "--bins"]);
    cargo.args(packages);
    let folder = match build {
        Build::Release => {
            cargo.arg("--release");
            "release"
        }
        Build::Debug => "debug",
    };
    if !checkout::succeeds(&mut cargo)? {
        bail!("the recorder and the reader do not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let programs = checkout::root().join(target).join(folder);
    programs.canonicalize().with_context(|| format!("no programs in `{}`", programs.display()))
}
