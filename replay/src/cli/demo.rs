//! `afterimage demo`: the TUI on a recording that comes with the program, with a guided tour.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::replay;
use crate::{
    failure::Failure,
    output::Style,
    tui::{self, TuiOptions},
};

/// A staged intrusion in a container that was deleted two seconds later, recorded by `afterimaged`.
const RECORDING: &[u8] = include_bytes!("../../../samples/intrusion.aftx");

/// Replay a recorded intrusion that comes with this program, with a short tour.
///
/// Nothing is recorded and nothing is run: no root is needed. The recording is of a container in which a small staged
/// intrusion happened, on loopback only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage demo                      the tour
  afterimage demo --no-tour            the recording alone
  afterimage demo --to intrusion.aftx  write it, to try the other commands on it")]
pub(super) struct DemoArgs {
    /// Without the tour
    #[arg(long)]
    no_tour: bool,
    /// Write the recording into this new file instead
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn run(args: &DemoArgs, style: Style, ascii: bool) -> Result<ExitCode, Failure> {
    if let Some(path) = &args.to {
        write(path)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let hint = "`afterimage demo --to FILE` writes the recording for the commands that print";
        return Err(Failure::Environment(format!("`afterimage demo` needs a terminal; {hint}")));
    }
    let unwritable = |error| Failure::Environment(format!("no place for the recording: {error}"));
    let dir = tempfile::Builder::new().prefix("afterimage-demo-").tempdir().map_err(unwritable)?;
    let path = dir.path().join("intrusion.aftx");
    write(&path)?;
    let color = style.is_color();
    let tour = !args.no_tour;
    let options = TuiOptions { path, container: None, color, ascii, local: false, case: None, tour };
    tui::run(options).map_err(replay::failure)
}

fn write(path: &Path) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(RECORDING).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let place = afterimage_model::text::escape(path.as_os_str().as_encoded_bytes());
        Failure::Environment(format!("cannot write `{place}`: {error}"))
    })
}
