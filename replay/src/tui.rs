//! The replay TUI: the only place that may use ratatui and crossterm.

use std::{path::PathBuf, process::ExitCode};

/// What the TUI is started with.
#[derive(Debug, Clone)]
pub struct TuiOptions {
    /// A trace file or a store's directory.
    pub path: PathBuf,
    /// The container to begin with, as the user named it: prefix of an id, name, or `host`.
    pub container: Option<String>,
    /// Colours, as decided by `--color`, `NO_COLOR` and the terminal.
    pub color: bool,
    /// Only ASCII for drawing.
    pub ascii: bool,
    /// Show local time instead of UTC.
    pub local: bool,
}

/// Runs the TUI until the user quits.
///
/// # Errors
/// The recording cannot be opened, or the terminal cannot be used.
pub fn run(options: TuiOptions) -> anyhow::Result<ExitCode> {
    anyhow::bail!("no TUI in this build yet; `afterimage show` prints `{}`", options.path.display())
}
