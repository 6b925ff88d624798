//! Keys and what they are bound to: the one table that the dispatcher, the footer, the palette and the help use.

use std::fmt;

use afterimage_model::text::Safe;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::{
    action::Action,
    screen::{Screen, Screens},
};

/// A key press. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) struct Key {
    pub(crate) code: KeyCode,
    pub(crate) ctrl: bool,
    pub(crate) alt: bool,
}

impl Key {
    pub(crate) fn of(event: KeyEvent) -> Self {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        let shift = event.modifiers.contains(KeyModifiers::SHIFT);
        let code = match event.code {
            KeyCode::Tab if shift => KeyCode::BackTab,
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            other => other,
        };
        Self { code, ctrl, alt }
    }

    const fn plain(code: KeyCode) -> Self {
        Self { code, ctrl: false, alt: false }
    }
}

const NAMED: &[(&str, KeyCode)] = &[
    ("Space", KeyCode::Char(' ')),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("F1", KeyCode::F(1)),
    ("F2", KeyCode::F(2)),
    ("F3", KeyCode::F(3)),
    ("F4", KeyCode::F(4)),
    ("F5", KeyCode::F(5)),
    ("F6", KeyCode::F(6)),
    ("F7", KeyCode::F(7)),
    ("F8", KeyCode::F(8)),
    ("F9", KeyCode::F(9)),
    ("F10", KeyCode::F(10)),
    ("F11", KeyCode::F(11)),
    ("F12", KeyCode::F(12)),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        if self.alt {
            f.write_str("Alt-")?;
        }
        match NAMED.iter().find(|(_, code)| *code == self.code) {
            Some((name, _)) => f.write_str(name),
            None => match self.code {
                KeyCode::Char(c) => write!(f, "{c}"),
                _ => f.write_str("?"),
            },
        }
    }
}

/// One key as written in the table: `j`, `Ctrl-d`, `Alt-Left`, `Space`.
fn parse(text: &str) -> Option<Key> {
    let (rest, ctrl) = text.strip_prefix("Ctrl-").map_or((text, false), |rest| (rest, true));
    let (rest, alt) = rest.strip_prefix("Alt-").map_or((rest, false), |rest| (rest, true));
    let named = NAMED.iter().find(|(name, _)| *name == rest).map(|(_, code)| *code);
    let mut chars = rest.chars();
    let single = chars.next().filter(|_| chars.as_str().is_empty()).map(KeyCode::Char);
    Some(Key { code: named.or(single)?, ctrl, alt })
}

/// Keys to be pressed one after the other, separated by spaces.
pub(crate) fn parse_all(text: &str) -> Option<Vec<Key>> {
    text.split(' ').map(parse).collect()
}

/// Keys bound to an action on some screens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    /// One key, or two pressed one after the other.
    pub(crate) keys: Vec<Key>,
    pub(crate) action: Action,
    pub(crate) screens: Screens,
}

impl Binding {
    /// The keys as shown to people.
    pub(crate) fn shown(&self) -> Safe {
        let named = self.keys.iter().any(|k| k.ctrl || k.alt || !matches!(k.code, KeyCode::Char(_)));
        let keys: Vec<String> = self.keys.iter().map(Key::to_string).collect();
        Safe::format(format_args!("{}", keys.join(if named { " " } else { "" })))
    }
}

/// What a key press means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Action(Action),
    /// The first key of a longer sequence.
    More,
    Nothing,
}

/// All bindings.
#[derive(Debug, Clone)]
pub(crate) struct Keymap {
    bindings: Vec<Binding>,
}

const ALL: Screens = Screens::ALL;
const TIMED: Screens = Screens::but(&[Screen::Containers, Screen::Health]);

/// With panes side by side.
const SPLIT: Screens = Screens::but(&[Screen::Timeline, Screen::Follow]);

const SHEETS: Screens = Screens::of(&[
    Screen::Timeline,
    Screen::Tree,
    Screen::Files,
    Screen::Net,
    Screen::Follow,
    Screen::Findings,
]);

/// The default keys. Every string is one way to reach the action.
const DEFAULT: &[(Action, &[&str], Screens)] = &[
    (Action::Down, &["j", "Down"], ALL),
    (Action::Up, &["k", "Up"], ALL),
    (Action::Left, &["h", "Left"], ALL),
    (Action::Right, &["l", "Right"], ALL),
    (Action::HalfDown, &["Ctrl-d"], ALL),
    (Action::HalfUp, &["Ctrl-u"], ALL),
    (Action::PageDown, &["PgDn"], ALL),
    (Action::PageUp, &["PgUp"], ALL),
    (Action::First, &["g g", "Home"], ALL),
    (Action::Last, &["G", "End"], ALL),
    (Action::Count, &["#"], ALL),
    (Action::NextPane, &["Tab"], ALL),
    (Action::PrevPane, &["S-Tab"], ALL),
    (Action::Maximise, &["\\"], ALL),
    (Action::LineLeft, &["<"], SPLIT),
    (Action::LineRight, &[">"], SPLIT),
    (Action::GoContainers, &["1"], ALL),
    (Action::GoReplay, &["2"], ALL),
    (Action::GoTimeline, &["3"], ALL),
    (Action::GoFollow, &["7"], ALL),
    (Action::Streams, &["O"], TIMED),
    (Action::GoTree, &["4"], ALL),
    (Action::GoFiles, &["5"], ALL),
    (Action::GoNet, &["6"], ALL),
    (Action::GoFindings, &["8"], ALL),
    (Action::GoHealth, &["0"], ALL),
    (Action::OpenInReplay, &["o"], SHEETS),
    (Action::LastScreen, &["`"], ALL),
    (Action::Enter, &["Enter"], ALL),
    (Action::Back, &["Esc", "Backspace"], ALL),
    (Action::Play, &["Space"], TIMED),
    (Action::PlayBack, &[";"], TIMED),
    (Action::StepForward, &["."], TIMED),
    (Action::StepBack, &[","], TIMED),
    (Action::SecondForward, &["t"], TIMED),
    (Action::SecondBack, &["T"], TIMED),
    (Action::NextProcess, &["}"], TIMED),
    (Action::PrevProcess, &["{"], TIMED),
    (Action::NextFinding, &["n"], TIMED),
    (Action::PrevFinding, &["N"], TIMED),
    (Action::Begin, &["("], TIMED),
    (Action::End, &[")"], TIMED),
    (Action::GoTo, &["@"], TIMED),
    (Action::NextMark, &["]"], TIMED),
    (Action::PrevMark, &["["], TIMED),
    (Action::JumpBack, &["Ctrl-o"], TIMED),
    // What terminals send for Ctrl-i is Tab.
    (Action::JumpForward, &["Alt-o"], TIMED),
    (Action::Find, &["Ctrl-f"], ALL),
    (Action::RunUntil, &["w"], TIMED),
    (Action::RunBack, &["B"], TIMED),
    (Action::Live, &["L"], ALL),
    (Action::Faster, &["+"], TIMED),
    (Action::Slower, &["-"], TIMED),
    (Action::Pace, &["p"], TIMED),
    (Action::SkipIdle, &["i"], TIMED),
    (Action::ZoomIn, &["z"], TIMED),
    (Action::ZoomOut, &["Z"], TIMED),
    (Action::Pin, &["P"], Screens::of(&[Screen::Timeline])),
    (Action::Explain, &["e"], TIMED),
    (Action::Fit, &["a"], TIMED),
    (Action::EditFilter, &["/"], ALL),
    (Action::ClearFilter, &["Ctrl-x"], ALL),
    (Action::FilterParts, &["F"], ALL),
    (Action::UndoFilter, &["u"], TIMED),
    (Action::RedoFilter, &["U"], TIMED),
    (Action::Keep, &["="], ALL),
    (Action::Drop, &["!"], ALL),
    (Action::SaveFilter, &["$"], ALL),
    (Action::SetUp, &["S"], TIMED),
    (Action::Mark, &["m"], TIMED),
    (Action::JumpMark, &["'"], TIMED),
    (Action::Bookmark, &["b"], TIMED),
    (Action::Note, &["c"], TIMED),
    (Action::InReport, &["*"], TIMED),
    (Action::Report, &["r"], TIMED),
    (Action::Copy, &["y"], ALL),
    (Action::Cli, &["C"], ALL),
    (Action::Rules, &["R"], Screens::of(&[Screen::Findings])),
    (Action::Mouse, &["F2"], ALL),
    (
        Action::OtherRows,
        &["A"],
        Screens::of(&[Screen::Containers, Screen::Timeline, Screen::Files, Screen::Net, Screen::Findings]),
    ),
    (Action::MarkContainer, &["Space"], Screens::of(&[Screen::Containers])),
    (Action::Compare, &["d"], Screens::of(&[Screen::Containers])),
    (Action::HotPaths, &["H"], Screens::of(&[Screen::Tree])),
    (Action::EarlierPart, &["<"], Screens::of(&[Screen::Timeline])),
    (Action::LaterPart, &[">"], Screens::of(&[Screen::Timeline])),
    (Action::Range, &["v"], TIMED),
    (Action::Life, &["V"], Screens::of(&[Screen::Replay, Screen::Timeline, Screen::Tree])),
    (
        Action::FollowClock,
        &["f"],
        Screens::of(&[
            Screen::Timeline,
            Screen::Tree,
            Screen::Files,
            Screen::Net,
            Screen::Follow,
            Screen::Findings,
        ]),
    ),
    (Action::Side, &["s"], Screens::of(&[Screen::Follow])),
    (Action::Hex, &["X"], Screens::of(&[Screen::Files, Screen::Follow])),
    (Action::Save, &["W"], Screens::of(&[Screen::Files, Screen::Follow])),
    (Action::Sort, &["s"], Screens::of(&[Screen::Containers, Screen::Files, Screen::Net, Screen::Findings])),
    (Action::TimeFormat, &["Ctrl-t"], ALL),
    (Action::Theme, &["F4"], ALL),
    (Action::Redraw, &["Ctrl-l"], ALL),
    (Action::TourNext, &["F3"], ALL),
    (Action::Help, &["?", "F1"], ALL),
    (Action::Palette, &[":"], ALL),
    (Action::Suspend, &["Ctrl-z"], ALL),
    (Action::Quit, &["q", "Ctrl-c"], ALL),
];

/// A hint of the footer: actions whose keys are shown together, and the words for them.
pub(crate) type Hint = (&'static [Action], &'static str);

const REPLAY_HINTS: &[Hint] = &[
    (&[Action::Play], "play"),
    (&[Action::StepForward, Action::StepBack], "step"),
    (&[Action::SecondForward, Action::SecondBack], "1 s"),
    (&[Action::NextFinding, Action::PrevFinding], "finding"),
    (&[Action::NextProcess, Action::PrevProcess], "process"),
    (&[Action::GoTo], "go to"),
    (&[Action::EditFilter], "filter"),
    (&[Action::NextPane], "pane"),
    (&[Action::ZoomIn, Action::ZoomOut], "zoom"),
    (&[Action::Begin, Action::End], "ends"),
];

const CONTAINERS_HINTS: &[Hint] = &[
    (&[Action::Enter], "open"),
    (&[Action::Down, Action::Up], "select"),
    (&[Action::EditFilter], "filter"),
    (&[Action::Sort], "sort"),
    (&[Action::Find], "find in all"),
    (&[Action::Compare], "compare"),
    (&[Action::MarkContainer], "mark"),
    (&[Action::NextPane], "pane"),
    (&[Action::GoReplay], "replay"),
];

const TIMELINE_HINTS: &[Hint] = &[
    (&[Action::Enter], "zoom to lane"),
    (&[Action::ZoomIn, Action::ZoomOut], "zoom"),
    (&[Action::EarlierPart, Action::LaterPart], "pan"),
    (&[Action::Fit], "fit"),
    (&[Action::Range], "range"),
    (&[Action::OpenInReplay], "replay"),
    (&[Action::OtherRows], "all lanes"),
    (&[Action::Pin], "pin"),
    (&[Action::NextFinding, Action::PrevFinding], "finding"),
    (&[Action::Play], "play"),
];

const FOLLOW_HINTS: &[Hint] = &[
    (&[Action::Play], "play"),
    (&[Action::Down, Action::Up], "line"),
    (&[Action::Streams], "streams"),
    (&[Action::Side], "side"),
    (&[Action::Hex], "hex"),
    (&[Action::Save], "save"),
    (&[Action::OpenInReplay], "replay"),
    (&[Action::Faster, Action::Slower], "speed"),
];

const TREE_HINTS: &[Hint] = &[
    (&[Action::Enter], "its events"),
    (&[Action::OpenInReplay], "replay at its start"),
    (&[Action::HotPaths], "hot paths"),
    (&[Action::EditFilter], "filter"),
    (&[Action::NextPane], "pane"),
];

const FILES_HINTS: &[Hint] = &[
    (&[Action::OpenInReplay], "replay at this act"),
    (&[Action::OtherRows], "all files"),
    (&[Action::Sort], "sort"),
    (&[Action::NextPane], "pane"),
    (&[Action::Hex], "hex"),
    (&[Action::Save], "save"),
    (&[Action::EditFilter], "filter"),
];

const NET_HINTS: &[Hint] = &[
    (&[Action::Enter], "follow"),
    (&[Action::OpenInReplay], "replay at its beginning"),
    (&[Action::OtherRows], "all"),
    (&[Action::Sort], "sort"),
    (&[Action::NextPane], "pane"),
    (&[Action::EditFilter], "filter"),
];

const FINDINGS_HINTS: &[Hint] = &[
    (&[Action::OpenInReplay], "replay"),
    (&[Action::InReport], "in report"),
    (&[Action::Report], "report"),
    (&[Action::Bookmark], "bookmark"),
    (&[Action::Note], "note"),
    (&[Action::OtherRows], "whole story"),
    (&[Action::Rules], "rules"),
    (&[Action::NextPane], "pane"),
    (&[Action::EditFilter], "filter"),
];

const HEALTH_HINTS: &[Hint] = &[
    (&[Action::NextPane], "pane"),
    (&[Action::Enter], "open trigger"),
    (&[Action::Down, Action::Up], "scroll"),
    (&[Action::GoContainers], "containers"),
];

/// The footer of a screen, the most useful first.
pub(crate) const fn hints(screen: Screen) -> &'static [Hint] {
    match screen {
        Screen::Containers => CONTAINERS_HINTS,
        Screen::Replay => REPLAY_HINTS,
        Screen::Timeline => TIMELINE_HINTS,
        Screen::Follow => FOLLOW_HINTS,
        Screen::Tree => TREE_HINTS,
        Screen::Files => FILES_HINTS,
        Screen::Net => NET_HINTS,
        Screen::Findings => FINDINGS_HINTS,
        Screen::Health => HEALTH_HINTS,
    }
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = DEFAULT.iter().flat_map(|(action, ways, screens)| {
            ways.iter().map(|way| Binding {
                keys: parse_all(way).unwrap_or_default(),
                action: *action,
                screens: *screens,
            })
        });
        Self { bindings: bindings.collect() }
    }
}

impl Keymap {
    /// What `key` means on `screen` after the keys `pending`.
    pub(crate) fn meaning(&self, screen: Screen, pending: &[Key], key: Key) -> Meaning {
        let mut more = false;
        for binding in self.bindings.iter().filter(|b| b.screens.has(screen)) {
            let Some((next, rest)) = binding.keys.strip_prefix(pending).and_then(|rest| rest.split_first())
            else {
                continue;
            };
            if *next != key {
                continue;
            }
            if rest.is_empty() {
                return Meaning::Action(binding.action);
            }
            more = true;
        }
        if more { Meaning::More } else { Meaning::Nothing }
    }

    /// Binds an action to other keys, on the screens that it has.
    pub(crate) fn bind(&mut self, action: Action, ways: &[Vec<Key>]) {
        let screens = DEFAULT.iter().find(|(a, ..)| *a == action).map_or(ALL, |(.., screens)| *screens);
        self.bindings.retain(|binding| binding.action != action);
        let new = ways.iter().map(|keys| Binding { keys: keys.clone(), action, screens });
        self.bindings.extend(new);
    }

    /// Keys of an action that are another's too, or begin another's.
    pub(crate) fn clash(&self, action: Action) -> Option<(Safe, Action)> {
        let own = self.bindings.iter().filter(|binding| binding.action == action);
        own.into_iter().find_map(|own| {
            let mut others = self.bindings.iter().filter(|b| b.action != action);
            let meets = |other: &&Binding| {
                other.screens.meets(own.screens)
                    && (own.keys.starts_with(&other.keys) || other.keys.starts_with(&own.keys))
            };
            others.find(meets).map(|other| (own.shown(), other.action))
        })
    }

    /// The ways to reach an action on `screen`.
    pub(crate) fn ways(&self, screen: Screen, action: Action) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |b| b.action == action && b.screens.has(screen))
    }

    /// The first way to reach an action on any screen.
    pub(crate) fn any_way(&self, action: Action) -> Option<&Binding> {
        self.bindings.iter().find(|b| b.action == action)
    }
}

/// The characters that prompts take as they are.
pub(crate) fn is_enter(key: Key) -> bool {
    key == Key::plain(KeyCode::Enter)
}

/// Whether a prompt is given up.
pub(crate) fn is_cancel(key: Key) -> bool {
    key == Key::plain(KeyCode::Esc) || (key.ctrl && key.code == KeyCode::Char('c'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_parses_and_prints_as_written() {
        for (action, ways, _) in DEFAULT {
            for way in *ways {
                let keys = parse_all(way).unwrap_or_else(|| panic!("`{way}` of {action:?}"));
                let printed: Vec<String> = keys.iter().map(Key::to_string).collect();
                assert_eq!(printed.join(" "), *way);
            }
        }
    }

    #[test]
    fn no_screen_binds_a_key_twice_and_no_sequence_hides_another() {
        let map = Keymap::default();
        for (i, a) in map.bindings.iter().enumerate() {
            for b in map.bindings.iter().skip(i + 1).filter(|b| b.screens.meets(a.screens)) {
                let clash = a.keys.starts_with(&b.keys) || b.keys.starts_with(&a.keys);
                assert!(!clash, "{:?} and {:?} share {}", a.action, b.action, a.shown());
            }
        }
    }

    #[test]
    fn every_action_has_a_key_and_every_hint_has_one_on_its_screen() {
        let map = Keymap::default();
        for action in Action::ALL {
            assert!(map.any_way(*action).is_some(), "{action:?}");
        }
        for screen in Screen::ALL {
            for action in hints(*screen).iter().flat_map(|(actions, _)| actions.iter()) {
                assert!(map.ways(*screen, *action).next().is_some(), "{action:?} on {screen:?}");
            }
        }
    }

    #[test]
    fn a_sequence_waits_for_its_second_key() {
        let map = Keymap::default();
        let g = parse("g").expect("key");
        assert_eq!(map.meaning(Screen::Replay, &[], g), Meaning::More);
        assert_eq!(map.meaning(Screen::Replay, &[g], g), Meaning::Action(Action::First));
        assert_eq!(map.meaning(Screen::Replay, &[g], parse("x").expect("key")), Meaning::Nothing);
    }

    #[test]
    fn playing_belongs_to_screens_with_a_clock() {
        let map = Keymap::default();
        let space = parse("Space").expect("key");
        assert_eq!(map.meaning(Screen::Replay, &[], space), Meaning::Action(Action::Play));
        assert_ne!(map.meaning(Screen::Containers, &[], space), Meaning::Action(Action::Play));
    }
}
