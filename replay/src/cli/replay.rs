//! `afterimage replay`: the TUI.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use afterimage_format::OpenError;
use clap::Args;

use crate::{
    failure::Failure,
    output::Style,
    trace::StoreArgs,
    tui::{self, TuiOptions},
};

/// Replay a recording in the terminal.
///
/// Shows the containers of a recording, and for each what happened, with play, pause, step and seek. Keys are
/// shown by `?`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage replay                         the default store
  afterimage replay demo.aft                a file
  afterimage replay demo.aft 3ad7b26ded6d   straight into one container
  afterimage replay -c web                  the same in the default store")]
pub(super) struct ReplayArgs {
    /// A trace file or a store's directory [default: $AFTERIMAGE_STORE, else /var/lib/afterimage]
    path: Option<PathBuf>,
    /// The container to begin with: a prefix of its id, its name, `namespace/pod`, `uid:N` or `host`
    #[arg(value_name = "CONTAINER")]
    word: Option<String>,
    /// The container to begin with
    #[arg(short, long, value_name = "CONTAINER", conflicts_with = "word")]
    container: Option<String>,
    /// Show times in the local time zone instead of UTC
    #[arg(long)]
    local: bool,
    /// Keep marks and notes in this file [default: beside the recording, with the end `.case.jsonl`]
    #[arg(long, value_name = "FILE")]
    case: Option<PathBuf>,
}

pub(super) fn run(args: &ReplayArgs, style: Style, ascii: bool) -> Result<ExitCode, Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let hint = "use `afterimage ls`, `show` or `report` in scripts";
        return Err(Failure::Environment(format!("`afterimage replay` needs a terminal; {hint}")));
    }
    let paths = StoreArgs { stores: args.path.iter().cloned().collect() }.paths();
    let [path] = paths.as_slice() else {
        return Err(Failure::Usage("name one recording".to_owned()));
    };
    let options = TuiOptions {
        path: path.clone(),
        container: args.container.clone().or_else(|| args.word.clone()),
        color: style.is_color(),
        ascii,
        local: args.local,
        case: args.case.clone(),
        tour: false,
    };
    tui::run(options).map_err(failure)
}

/// What a run of the TUI failed of.
pub(super) fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => match error.downcast::<OpenError>() {
            Ok(open) => Failure::Open(open),
            Err(error) => Failure::Environment(format!("{error:#}")),
        },
    }
}
