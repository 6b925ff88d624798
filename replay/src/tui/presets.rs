//! Sets of keys to begin with: `preset` in `tui.toml`. The default is vi's and the arrows; another set differs from it in
//! what is written down here, and single keys differ from the set by `[keys]`.

use crate::tui::{
    action::Action,
    keys::{Keymap, parse_all},
};

/// A set of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Preset {
    /// Letters as in vi, and the arrows.
    #[default]
    Vim,
    /// No letter moves anything: arrows, paging keys and function keys.
    Arrows,
    /// The pager's: blank and b turn pages, d and u half of them, & filters.
    Less,
}

type Change = (Action, &'static [&'static str]);

const ARROWS: &[Change] = &[
    (Action::Down, &["Down"]),
    (Action::Up, &["Up"]),
    (Action::Left, &["Left"]),
    (Action::Right, &["Right"]),
    (Action::HalfDown, &["Ctrl-Down"]),
    (Action::HalfUp, &["Ctrl-Up"]),
    (Action::First, &["Home"]),
    (Action::Last, &["End"]),
    (Action::StepForward, &["Alt-Right", "."]),
    (Action::StepBack, &["Alt-Left", ","]),
    (Action::NextFinding, &["F8", "n"]),
    (Action::PrevFinding, &["F7", "N"]),
    (Action::EditFilter, &["Ctrl-f", "/"]),
    (Action::Find, &["Alt-f"]),
    (Action::UndoFilter, &["Ctrl-z"]),
    (Action::RedoFilter, &["Ctrl-y"]),
    (Action::GoTo, &["Ctrl-g", "@"]),
    (Action::Redraw, &["F5", "Ctrl-l"]),
    (Action::Suspend, &["Alt-z"]),
    (Action::Quit, &["F10", "q", "Ctrl-c"]),
];

const LESS: &[Change] = &[
    (Action::Down, &["j", "Down", "e"]),
    (Action::HalfDown, &["d", "Ctrl-d"]),
    (Action::HalfUp, &["u", "Ctrl-u"]),
    (Action::PageDown, &["Space", "f", "PgDn"]),
    (Action::PageUp, &["b", "PgUp"]),
    (Action::First, &["g", "Home"]),
    (Action::EditFilter, &["&", "/"]),
    (Action::Play, &["p"]),
    (Action::Pace, &["Alt-p"]),
    (Action::Pin, &["Alt-P"]),
    (Action::Explain, &["E"]),
    (Action::FollowClock, &["Alt-f"]),
    (Action::Bookmark, &["K"]),
    (Action::UndoFilter, &["Alt-u"]),
    (Action::RedoFilter, &["Alt-U"]),
    (Action::Compare, &["D"]),
    (Action::MarkContainer, &["M"]),
    (Action::Help, &["H", "?", "F1"]),
    (Action::HotPaths, &["A"]),
    (Action::Redraw, &["Ctrl-l", "F5"]),
];

impl Preset {
    pub(crate) const ALL: [Self; 3] = [Self::Vim, Self::Arrows, Self::Less];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vim => "vim",
            Self::Arrows => "arrows",
            Self::Less => "less",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its keys.
    pub(crate) fn keymap(self) -> Keymap {
        let changes = match self {
            Self::Vim => &[],
            Self::Arrows => ARROWS,
            Self::Less => LESS,
        };
        let mut map = Keymap::default();
        for (action, ways) in changes {
            let ways: Vec<_> = ways.iter().filter_map(|way| parse_all(way)).collect();
            map.bind(*action, &ways);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{keys::Meaning, screen::Screen};

    #[test]
    fn every_key_of_a_set_is_one() {
        for (action, ways) in ARROWS.iter().chain(LESS) {
            for way in *ways {
                assert!(parse_all(way).is_some(), "`{way}` of {action:?}");
            }
        }
    }

    #[test]
    fn in_every_set_each_action_has_a_key_and_no_key_is_two_actions() {
        for preset in Preset::ALL {
            let map = preset.keymap();
            for action in Action::ALL {
                assert!(map.any_way(*action).is_some(), "{action:?} in {}", preset.name());
                let clash = map.clash(*action).map(|(key, other)| (key.into_string(), other));
                assert_eq!(clash, None, "{action:?} in {}", preset.name());
            }
        }
    }

    #[test]
    fn a_pagers_keys_turn_pages() {
        let map = Preset::Less.keymap();
        for (key, action) in [("Space", Action::PageDown), ("b", Action::PageUp), ("&", Action::EditFilter)] {
            let key = parse_all(key).expect("a key")[0];
            for screen in Screen::ALL {
                assert_eq!(map.meaning(*screen, &[], key), Meaning::Action(action));
            }
        }
    }
}
