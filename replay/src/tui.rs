//! The replay TUI: the only place that may use ratatui and crossterm.

mod action;
mod app;
mod ask;
mod case;
mod case_file;
mod clipboard;
mod config;
mod edit;
mod engine;
mod evidence;
mod feed;
mod filter;
#[cfg(test)]
#[path = "../tests/it/staged.rs"]
mod fixture;
mod fuzzy;
#[cfg(test)]
mod harness;
mod hex;
mod hits;
mod keys;
mod layout;
mod menu;
mod moment;
mod paint;
mod palette;
mod peers;
mod player;
mod presets;
mod ribbon;
mod screen;
mod scroll;
mod session;
mod sheets;
mod slot;
mod sorting;
mod sparing;
mod stories;
mod stream;
mod symbols;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod tour;
mod trail;
mod update;
mod view;
mod wants;
mod whole;
mod worker;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use self::{
    app::App,
    case::Case,
    case_file::CaseFile,
    config::Config,
    moment::TimeStyle,
    paint::Look,
    session::Ended,
    theme::{Depth, Theme},
};
use crate::{
    failure::{Failure, shown},
    trace::{self, Trace},
};

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
    /// Begin with the guided tour of the bundled recording.
    pub tour: bool,
    /// The case file; beside the recording where none is named.
    pub case: Option<PathBuf>,
}

/// Runs the TUI until the user quits.
///
/// # Errors
/// The recording cannot be opened, or the terminal cannot be used.
pub fn run(options: TuiOptions) -> anyhow::Result<ExitCode> {
    let trace = Arc::new(Trace::open(options.path.clone(), options.local)?);
    let mut case = options.case.clone().map_or_else(|| CaseFile::beside(&options.path), CaseFile::at);
    let app = start(&options, &trace, &case)?;
    Ok(match session::run(app, &trace, &mut case)? {
        Ended::Quit | Ended::Gone => ExitCode::SUCCESS,
        // As a shell reports a process that a signal ended.
        Ended::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
    })
}

/// The state that the TUI begins with.
fn start(options: &TuiOptions, trace: &Arc<Trace>, file: &CaseFile) -> Result<App, Failure> {
    let config = match config::path() {
        Some(path) => config::read(&path).map_err(|mistake| Failure::Usage(mistake.into_string()))?,
        None => Config::default(),
    };
    let catalog = Arc::new(engine::catalog::catalog(trace, 0));
    let mut app = App::new(look(options, config.theme), layout::LEAST, catalog);
    app.keymap = config.keymap;
    app.mouse = config.mouse.unwrap_or(true);
    if options.local {
        app.time_style = TimeStyle::Local;
    }
    app.tour = options.tour.then(tour::Tour::default);
    let text = file.read().map_err(|source| {
        Failure::Environment(format!("cannot read the case file {}: {source}", shown(file.path())))
    })?;
    let store: String =
        trace.recording.origin().store_uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let author = std::env::var("USER").ok().filter(|name| !name.is_empty());
    app.case = Case::read(store, author.unwrap_or_else(|| "unknown".to_owned()), &text);
    if app.case.strange > 0 {
        let count = text::counted(app.case.strange as u64, "line");
        app.complain(text::safe!("{count} of the case file are of another recording or not understood"));
    }
    update::restore(&mut app, options.container.is_none());
    if let Some(wanted) = &options.container {
        let uid = trace::find(std::slice::from_ref(trace.as_ref()), wanted)?.uid();
        update::begin_in(&mut app, uid);
    }
    Ok(app)
}

/// How to draw: by the options, then by what the environment says of the terminal.
fn look(options: &TuiOptions, chosen: Option<Theme>) -> Look {
    let var = |name| std::env::var(name).unwrap_or_default();
    let theme = match Theme::named(&var("AFTERIMAGE_THEME")).or(chosen) {
        _ if !options.color => Theme::Mono,
        Some(theme) => theme,
        None if is_light(&var("COLORFGBG")) => Theme::Light,
        None => Theme::Dark,
    };
    let true_color = matches!(var("COLORTERM").as_str(), "truecolor" | "24bit");
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(var).find(|value| !value.is_empty());
    let utf8 = utf8.is_some_and(|value| value.to_lowercase().replace('-', "").contains("utf8"));
    Look {
        theme,
        depth: if true_color { Depth::True } else { Depth::Ansi16 },
        symbols: if options.ascii || !utf8 { &symbols::ASCII } else { &symbols::UNICODE },
    }
}

/// Whether `COLORFGBG` names a light ground: its last part is the ground's colour of 16.
fn is_light(colours: &str) -> bool {
    colours.rsplit(';').next().is_some_and(|ground| matches!(ground, "7" | "15"))
}
