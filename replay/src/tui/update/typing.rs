//! Keys: to the prompt that is open, else through the table of keys.

use crossterm::event::KeyCode;

use super::{Effect, filtering, steer, update};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    keys::{Key, Meaning, is_cancel, is_enter},
    palette,
    scroll::Scroll,
    view::help,
};

/// Does what a key means.
pub(crate) fn key(app: &mut App, key: Key) -> Option<Effect> {
    if app.popup.is_some() {
        return popup_key(app, key);
    }
    if app.bar.edit.is_some() {
        bar_key(app, key);
        return None;
    }
    let pending = std::mem::take(&mut app.pending);
    match app.keymap.meaning(app.screen, &pending, key) {
        Meaning::Action(action) => update(app, action),
        Meaning::More => {
            app.pending = pending;
            app.pending.push(key);
            None
        }
        Meaning::Nothing => {
            app.notice = None;
            None
        }
    }
}

/// Text that was pasted goes to the prompt that is open, if any.
pub(crate) fn paste(app: &mut App, text: &str) {
    match &mut app.popup {
        Some(Popup::Palette(line, _) | Popup::GoTo(line, _)) => line.insert(text),
        Some(Popup::Help(_) | Popup::Event(_) | Popup::Parts(_)) => {}
        None => {
            if let Some(line) = &mut app.bar.edit {
                line.insert(text);
                filtering::check(app);
            }
        }
    }
}

fn popup_key(app: &mut App, key: Key) -> Option<Effect> {
    let mut popup = app.popup.take()?;
    if is_cancel(key) {
        return None;
    }
    match &mut popup {
        Popup::Help(scroll) => {
            if key.code == KeyCode::Char('q') || key.code == KeyCode::Char('?') {
                return None;
            }
            let (_, height) = help::size(app.size);
            let rows = help::rows(app, usize::from(help::size(app.size).0)).len();
            scroll.roll(rolled(app, key, usize::from(height)), rows, usize::from(height));
        }
        Popup::Event(scroll) => {
            if is_enter(key) || key.code == KeyCode::Char('q') {
                return None;
            }
            let lines = app.opened.as_ref().and_then(|o| o.moment.value()).map_or(0, |m| m.detail.len());
            scroll.roll(rolled(app, key, 10), lines, 5);
        }
        Popup::Palette(line, scroll) => {
            let found = palette::found(app, &line.text());
            if is_enter(key) {
                let action = found.get(scroll.cursor).copied();
                return action.and_then(|action| update(app, action));
            }
            match key.code {
                KeyCode::Down | KeyCode::Tab => scroll.step(1, found.len(), palette::ROWS),
                KeyCode::Up | KeyCode::BackTab => scroll.step(-1, found.len(), palette::ROWS),
                _ => {
                    line.key(key);
                    *scroll = Default::default();
                }
            }
        }
        Popup::Parts(scroll) => {
            if !parts_key(app, scroll, key) {
                return None;
            }
        }
        Popup::GoTo(line, error) => {
            if is_enter(key) {
                match steer::go_to(app, &line.text()) {
                    Ok(()) => return None,
                    Err(message) => *error = Some(message),
                }
            } else {
                line.key(key);
                *error = None;
            }
        }
    }
    app.popup = Some(popup);
    None
}

/// A key in the list of the filter's parts; false when it closes it.
fn parts_key(app: &mut App, scroll: &mut Scroll, key: Key) -> bool {
    let filter = filtering::in_force(app).clone();
    let len = filter.chips().len();
    match key.code {
        KeyCode::Char(' ') => filtering::put(app, filter.toggled(scroll.cursor)),
        KeyCode::Delete | KeyCode::Char('x') => filtering::put(app, filter.without(scroll.cursor)),
        KeyCode::Enter | KeyCode::Char('q') => return false,
        _ => scroll.step(rolled(app, key, 8), len, 12),
    }
    let len = filtering::in_force(app).chips().len();
    scroll.show(len, 12);
    true
}

/// Rows that a key of movement rolls text by.
fn rolled(app: &App, key: Key, height: usize) -> isize {
    let page = isize::try_from(height).unwrap_or(isize::MAX);
    match app.keymap.meaning(app.screen, &[], key) {
        Meaning::Action(Action::Down) => 1,
        Meaning::Action(Action::Up) => -1,
        Meaning::Action(Action::HalfDown) => page / 2,
        Meaning::Action(Action::HalfUp) => -page / 2,
        Meaning::Action(Action::PageDown | Action::Play) => page,
        Meaning::Action(Action::PageUp) => -page,
        Meaning::Action(Action::Last) => isize::MAX,
        Meaning::Action(Action::First) => isize::MIN,
        _ => 0,
    }
}

fn bar_key(app: &mut App, key: Key) {
    let Some(line) = &mut app.bar.edit else { return };
    if is_cancel(key) {
        filtering::cancel(app);
    } else if is_enter(key) {
        let text = line.text();
        match filtering::apply(app, &text) {
            Ok(()) => {
                app.bar.edit = None;
                app.bar.verdict = None;
            }
            Err(verdict) => app.bar.verdict = Some(verdict),
        }
    } else {
        line.key(key);
        filtering::check(app);
    }
}
