//! The palette: every action by name, with its key.

use crate::tui::{action::Action, app::App, fuzzy};

/// Rows of the list.
pub(crate) const ROWS: usize = 12;

/// The actions whose names match, the best first; those that make sense on this screen before the others.
pub(crate) fn found(app: &App, typed: &str) -> Vec<Action> {
    let here = |action: Action| app.keymap.ways(app.screen, action).next().is_some();
    let mut scored: Vec<(bool, i32, Action)> = Action::ALL
        .iter()
        .filter(|action| **action != Action::Palette)
        .filter_map(|action| Some((here(*action), fuzzy::score(typed, action.name())?, *action)))
        .collect();
    if typed.trim().is_empty() {
        scored.sort_by_key(|(here, _, action)| (!here, *action));
    } else {
        scored.sort_by_key(|(here, score, action)| (!here, std::cmp::Reverse(*score), *action));
    }
    scored.into_iter().map(|(_, _, action)| action).collect()
}
