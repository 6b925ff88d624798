//! The command line that prints what a screen shows. What a verb has no option for is said behind it.

use afterimage_model::text::{Safe, escape};

use super::filtering;
use crate::tui::{
    app::{App, Opened},
    screen::Screen,
    stream::Target,
    text::safe,
};

/// The command line, quoted for a shell.
pub(super) fn command_line(app: &App) -> Safe {
    let verb = match app.screen {
        Screen::Containers => "ls",
        Screen::Replay => "show",
        Screen::Follow => "follow",
        Screen::Timeline => "timeline",
        Screen::Tree => "tree",
        Screen::Files => "files",
        Screen::Net => "net",
        Screen::Findings => "report",
        Screen::Health => "verify",
    };
    let mut text = format!("afterimage {verb} {}", quoted(app.catalog.place.as_str()));
    if app.screen.needs_container()
        && let Some(row) = app.subject()
    {
        text.push_str(&format!(" -c {}", quoted(row.short_id.as_str())));
    }
    if let Some(opened) = app.opened.as_ref().filter(|_| app.screen.needs_container()) {
        text.push_str(&options(app, opened));
    }
    let filter = filtering::in_force(app).text();
    match app.screen {
        Screen::Health => {}
        _ if filter.is_empty() => {}
        Screen::Follow => text.push_str(", without the filter"),
        Screen::Replay => {
            text.push_str(&format!(" --filter {}", quoted(escape(filter.as_bytes()).as_str())));
        }
        _ => text.push_str("  # without the filter"),
    }
    safe!("{text}")
}

/// What is special about what the screen shows.
fn options(app: &App, opened: &Opened) -> String {
    let mut text = String::new();
    match app.screen {
        Screen::Replay if app.bar.setup => text.push_str(" --setup"),
        Screen::Files if app.sheet().is_some_and(|sheet| sheet.other) => text.push_str(" --all"),
        Screen::Timeline if opened.window != opened.whole => {
            let (begin, end) = opened.window;
            let [begin, end] = [begin, end].map(|at| app.catalog.clocks.rfc3339(at));
            text.push_str(&format!(" --begin {} --end {}", quoted(begin.as_str()), quoted(end.as_str())));
        }
        Screen::Follow => {
            match &opened.target {
                Some(Target::Numbered(number, _)) => {
                    return format!("{text} --stream {number}  # the whole of it");
                }
                Some(Target::Process(key)) => text.push_str(&format!(" --pid {}", key.tgid)),
                _ => {}
            }
            text.push_str("  # lists the streams; --stream N shows one");
        }
        _ => {}
    }
    text
}

/// A word for a shell: nothing in it is anything but itself.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@%+".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{cli::Cli, tui::harness::Harness};

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        assert_eq!(quoted("/var/lib/afterimage"), "/var/lib/afterimage");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("-rf"), "'-rf'");
        assert_eq!(quoted("$(id)';id;'"), r"'$(id)'\'';id;'\'''");
        assert_eq!(quoted(""), "''");
    }

    /// The words that a shell makes of a line in which no quoted word has a quote.
    fn words(line: &str) -> Vec<String> {
        let line = line.split("  # ").next().unwrap_or(line);
        let pieces = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        });
        pieces.collect()
    }

    fn check(harness: &Harness, wanted: &str) {
        let line = command_line(&harness.app).into_string();
        assert!(line.contains(wanted), "{line}");
        let parsed = Cli::try_parse_from(words(&line));
        assert!(parsed.is_ok(), "{line}: {:?}", parsed.err().map(|error| error.to_string()));
    }

    #[test]
    fn the_command_of_every_screen_is_understood() {
        let mut harness = Harness::new(120, 40);
        harness.press("j j j");
        check(&harness, "afterimage ls /var/lib/afterimage");
        let verbs =
            [("2", "show"), ("3", "timeline"), ("4", "tree"), ("5", "files"), ("6", "net"), ("8", "report")];
        for (key, verb) in verbs {
            harness.press(key);
            check(&harness, &format!("afterimage {verb} /var/lib/afterimage -c 7f9c0b2d4e6a"));
        }
        harness.press("0");
        check(&harness, "afterimage verify /var/lib/afterimage");
        harness.press("3 z");
        check(&harness, " --begin 2026-11-21T");
        harness.press("5 A");
        check(&harness, " --all");
        harness.press("4 g g j j j j j j 7");
        check(&harness, " --pid 31418  # lists the streams; --stream N shows one");
        harness.press("2 S /");
        harness.type_text("proc.name = sh");
        harness.press("Enter");
        check(&harness, " --setup --filter 'proc.name = sh'");
        harness.press("5");
        check(&harness, "  # without the filter");
    }
}
