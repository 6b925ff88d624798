//! The user's own keys and looks: `tui.toml` in the configuration folder. What is wrong in it is told with its line.
//!
//! ```toml
//! theme = "light"
//! mouse = false
//! preset = "less"
//!
//! [keys]
//! "next finding" = "Ctrl-n"
//! "play or pause" = ["Space", "P"]
//! ```

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use afterimage_model::text::{Safe, escape};
use serde::Deserialize;
use toml::Spanned;

use crate::tui::{
    action::Action,
    keys::{Key, Keymap, parse_all},
    presets::Preset,
    text::safe,
    theme::Theme,
};

/// What the file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) theme: Option<Theme>,
    pub(crate) mouse: Option<bool>,
    pub(crate) keymap: Keymap,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    theme: Option<Spanned<String>>,
    mouse: Option<bool>,
    preset: Option<Spanned<String>>,
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Spanned<Ways>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ways {
    One(String),
    Many(Vec<String>),
}

/// What is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    line: usize,
    what: Safe,
}

impl Mistake {
    /// With the file's name, as compilers write it.
    pub(crate) fn sentence(&self, path: &Path) -> Safe {
        safe!("{}:{}: {}", escape(path.as_os_str().as_encoded_bytes()), self.line, self.what)
    }
}

/// Where the file is: `AFTERIMAGE_TUI_CONFIG`, else in the configuration folder.
pub(crate) fn path() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")));
    var("AFTERIMAGE_TUI_CONFIG").or_else(|| Some(folder?.join("afterimage/tui.toml")))
}

/// Reads the file; without one everything is as it comes.
///
/// # Errors
/// What is wrong in it, in a sentence.
pub(crate) fn read(path: &Path) -> Result<Config, Safe> {
    let shown = escape(path.as_os_str().as_encoded_bytes());
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|mistake| mistake.sentence(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(safe!("cannot read {shown}: {error}")),
    }
}

/// # Errors
/// The first mistake.
fn parse(text: &str) -> Result<Config, Mistake> {
    let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let raw: Raw = toml::from_str(text).map_err(|error| Mistake {
        line: line(error.span().map_or(0, |span| span.start)),
        what: escape(error.message().as_bytes()),
    })?;
    let mut config = Config { mouse: raw.mouse, ..Config::default() };
    if let Some(name) = &raw.theme {
        let theme = Theme::named(name.get_ref());
        let what =
            safe!("no theme `{}`: dark, light, high contrast or mono", escape(name.get_ref().as_bytes()));
        config.theme = Some(theme.ok_or(Mistake { line: line(name.span().start), what })?);
    }
    if let Some(name) = &raw.preset {
        let what = safe!("no preset `{}`: vim, arrows or less", escape(name.get_ref().as_bytes()));
        let preset = Preset::named(name.get_ref());
        config.keymap = preset.ok_or(Mistake { line: line(name.span().start), what })?.keymap();
    }
    let mut bound: Vec<(Action, usize)> = Vec::new();
    for (name, ways) in &raw.keys {
        let action = Action::ALL.iter().copied().find(|action| action.name() == name.get_ref());
        let what = safe!("no action is called `{}`", escape(name.get_ref().as_bytes()));
        let action = action.ok_or(Mistake { line: line(name.span().start), what })?;
        let at = line(ways.span().start);
        let texts = match ways.get_ref() {
            Ways::One(text) => std::slice::from_ref(text),
            Ways::Many(texts) => texts.as_slice(),
        };
        let keys: Result<Vec<Vec<Key>>, Mistake> = texts
            .iter()
            .map(|text| {
                let what = safe!("`{}` is no key", escape(text.as_bytes()));
                parse_all(text).ok_or(Mistake { line: at, what })
            })
            .collect();
        config.keymap.bind(action, &keys?);
        bound.push((action, at));
    }
    for (action, line) in bound {
        if let Some((key, other)) = config.keymap.clash(action) {
            let what = safe!("`{key}` is the key of `{}` too", other.name());
            return Err(Mistake { line, what });
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::screen::Screen;

    fn wrong(text: &str) -> String {
        parse(text).expect_err("a mistake").sentence(Path::new("tui.toml")).into_string()
    }

    #[test]
    fn keys_are_bound_anew_and_the_old_ones_are_free() {
        let config =
            parse("mouse = false\n[keys]\n\"next finding\" = [\"Ctrl-n\", \"Alt-n\"]\n").expect("fine");
        assert_eq!(config.mouse, Some(false));
        let ways: Vec<String> = config
            .keymap
            .ways(Screen::Replay, Action::NextFinding)
            .map(|binding| binding.shown().into_string())
            .collect();
        assert_eq!(ways, ["Ctrl-n", "Alt-n"]);
        // What was freed can be given to another.
        assert!(parse("[keys]\n\"next finding\" = \"Ctrl-n\"\n\"mark\" = \"n\"\n").is_ok());
    }

    #[test]
    fn single_keys_differ_from_the_preset_wherever_they_stand() {
        let config = parse("preset = \"less\"\n[keys]\n\"play or pause\" = \"P\"\n").expect("fine");
        let ways = |action| {
            let ways = config.keymap.ways(Screen::Replay, action);
            ways.map(|binding| binding.shown().into_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ways(Action::Play), ways(Action::Bookmark)),
            (vec!["P".to_owned()], vec!["K".to_owned()])
        );
    }

    #[test]
    fn the_readmes_example_is_understood() {
        let readme = include_str!("../../../README.md");
        let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let config = parse(example.expect("an example")).expect("no mistake");
        assert_eq!((config.mouse, config.theme), (Some(false), Some(Theme::Light)));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(
            wrong("[keys]\n\n\"next thing\" = \"x\"\n"),
            "tui.toml:3: no action is called `next thing`"
        );
        assert_eq!(wrong("[keys]\n\"mark\" = \"Hyper-x\"\n"), "tui.toml:2: `Hyper-x` is no key");
        assert_eq!(wrong("[keys]\n\"mark\" = \"q\"\n"), "tui.toml:2: `q` is the key of `quit` too");
        assert_eq!(
            wrong("theme = \"pink\"\n"),
            "tui.toml:1: no theme `pink`: dark, light, high contrast or mono"
        );
        assert_eq!(wrong("preset = \"emacs\"\n"), "tui.toml:1: no preset `emacs`: vim, arrows or less");
        assert!(wrong("a\nb = 1\n").starts_with("tui.toml:1: "));
        assert!(wrong("mouse = true\ncolour = 1\n").starts_with("tui.toml:2: unknown field"));
    }
}
