//! `afterimage replay`: the TUI.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use afterimage_format::OpenError;
use clap::Args;

use crate::{
    failure::{Failure, shown},
    output::Style,
    trace::{StoreArgs, files_in},
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
  afterimage replay 3ad7b26ded6d demo.aft   straight into one container
  afterimage replay -c web                  the same in the default store")]
pub(super) struct ReplayArgs {
    /// A trace file or a store's directory [default: $AFTERIMAGE_STORE, else /var/lib/afterimage]
    #[arg(value_name = "STORE")]
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
    if !has_terminal() {
        let hint = "use `afterimage ls`, `show` or `report` in scripts";
        return Err(Failure::Environment(format!("`afterimage replay` needs a terminal; {hint}")));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        let hint = "use `afterimage ls`, `show` or `report`, which print lines";
        return Err(Failure::Environment(format!(
            "this terminal cannot move its cursor (TERM is `dumb`); {hint}"
        )));
    }
    let (path, word) = match args.container {
        None => told_apart(args.path.clone(), args.word.clone()),
        Some(_) => (args.path.clone(), None),
    };
    let paths = StoreArgs { stores: path.into_iter().collect() }.paths();
    let [path] = paths.as_slice() else {
        return Err(Failure::Usage("name one recording".to_owned()));
    };
    let options = TuiOptions {
        path: path.clone(),
        container: args.container.clone().or(word),
        color: style.is_color(),
        ascii,
        local: args.local,
        case: args.case.clone(),
        tour: false,
    };
    tui::run(options).map_err(|error| one_of(path, failure(error)))
}

/// Whether somebody looks and has keys.
pub(super) fn has_terminal() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// A folder of recordings is none, though other verbs read it.
fn one_of(path: &Path, failure: Failure) -> Failure {
    let files = files_in(path);
    match (&failure, files.first()) {
        (Failure::Open(OpenError::NotARecording { .. }), Some(first)) => Failure::Usage(format!(
            "`{}` is a folder of recordings, of which `replay` opens one: `afterimage replay {}`",
            shown(path),
            shown(first),
        )),
        _ => failure,
    }
}

/// Which of two words is the recording: the one that is there, in whatever order they come, as with every verb. A
/// single word that is no file is a container of the default store.
fn told_apart(first: Option<PathBuf>, second: Option<String>) -> (Option<PathBuf>, Option<String>) {
    let Some(path) = first else { return (None, second) };
    let text = path.to_str().map(str::to_owned);
    match (text, second) {
        (Some(word), Some(second)) if !path.exists() && Path::new(&second).exists() => {
            (Some(second.into()), Some(word))
        }
        // What looks like a path was meant as one.
        (Some(word), None) if !path.exists() && !word.contains(['/', '.']) => (None, Some(word)),
        (_, second) => (Some(path), second),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_and_container_come_in_any_order() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_path_buf();
        let word = |text: &str| Some(text.to_owned());
        let there = path.to_str().and_then(word);
        assert_eq!(told_apart(Some(path.clone()), word("web")), (Some(path.clone()), word("web")));
        assert_eq!(told_apart(Some("web".into()), there), (Some(path.clone()), word("web")));
        assert_eq!(told_apart(Some(path.clone()), None), (Some(path), None));
        assert_eq!(told_apart(Some("web".into()), None), (None, word("web")));
        // A mistyped path is told as one.
        assert_eq!(told_apart(Some("./web".into()), None), (Some("./web".into()), None));
        assert_eq!(told_apart(None, None), (None, None));
    }
}
