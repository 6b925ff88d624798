//! What the terminal can do: colour, width; and words for people on stderr.

use std::io::{IsTerminal as _, Write as _};

use afterimage_model::text::Safe;

use super::{ColorWhen, Tone};

/// Whether and how to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    color: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { color: false };

    /// By `--color`, NO_COLOR, TERM and whether stdout is a terminal.
    pub fn detect(when: ColorWhen) -> Self {
        let unset = |name| std::env::var_os(name).is_none_or(|v| v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let auto = || std::io::stdout().is_terminal() && unset("NO_COLOR") && !dumb;
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => auto(),
        };
        Self { color }
    }

    /// Whether colours are used.
    pub const fn is_color(self) -> bool {
        self.color
    }

    /// `text` in the colour of `tone`: the terminal's own 16 colours.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Dim => "2",
            Tone::Exec => "33",
            Tone::Lost => "35",
            Tone::Finding => "1;31",
            Tone::Head => "1",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns of the terminal on stdout; `None` where stdout is no terminal. COLUMNS decides where it is set.
pub fn columns() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    asked
        .or_else(|| terminal_size::terminal_size().map(|(w, _)| usize::from(w.0)))
        .filter(|&w: &usize| w >= 20)
}

/// A line for people, on stderr.
pub fn say(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "afterimage: {}", defused(text));
}

/// `text` without anything that a terminal would obey. Unlike an escape it leaves backslashes alone, because
/// the parts of a sentence are escaped already: this is the last guard.
pub fn defused(text: &str) -> String {
    Safe::format(format_args!("{text}")).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_guard_keeps_escapes_and_stops_controls() {
        assert_eq!(defused(r"a\x1b and \\"), r"a\x1b and \\");
        assert_eq!(defused("a\x1b[2J\u{202e}\n"), r"a\x1b[2J\u{202e}\n");
    }

    #[test]
    fn plain_style_adds_nothing() {
        assert_eq!(Style::PLAIN.paint(Tone::Lost, "x"), "x");
        assert_eq!(Style { color: true }.paint(Tone::Lost, "x"), "\x1b[35mx\x1b[0m");
    }
}
