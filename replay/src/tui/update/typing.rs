//! Keys: to the prompt that is open, else through the table of keys.

use crossterm::event::KeyCode;

use afterimage_model::text::Safe;

use super::{Effect, case, cells, completion, filtering, steer, sweep, update};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    ask::Ask,
    edit::LineEdit,
    keys::{Key, Meaning, is_cancel, is_enter},
    menu::Menu,
    palette,
    screen::Screen,
    scroll::Scroll,
    view::{detail, help, popups},
};

/// Rows of a menu.
const ROWS: usize = 12;
/// The largest number before a key.
const MOST_TIMES: usize = 9_999;

/// Does what a key means.
pub(crate) fn key(app: &mut App, key: Key) -> Option<Effect> {
    if app.popup.is_some() {
        return popup_key(app, key);
    }
    if app.bar.edit.is_some() {
        bar_key(app, key);
        return None;
    }
    if let Some(count) = app.count
        && app.pending.is_empty()
    {
        if let Some(digit) = digit(key) {
            app.count = Some((count * 10 + digit).min(MOST_TIMES));
            return None;
        }
        if is_cancel(key) {
            app.count = None;
            return None;
        }
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
            (app.notice, app.count) = (None, None);
            if !app.screen.needs_container() {
                refuse(app, &pending, key);
            }
            None
        }
    }
}

/// What is refused where no container is on the screen.
pub(super) const NO_CONTAINER: &str = "no container is open: Enter on one in the list (1) opens it";

/// A key that does something on the screens of a container was pressed on another one: that is said. What asks for text asks all
/// the same, so that the text is not taken as commands.
fn refuse(app: &mut App, pending: &[Key], key: Key) {
    let Meaning::Action(action) = app.keymap.meaning(Screen::Replay, pending, key) else { return };
    let asks = match action {
        Action::Mark | Action::JumpMark => {
            app.popup = Some(Popup::Letter { set: action == Action::Mark });
            return;
        }
        Action::Bookmark => Some(Ask::Bookmark),
        Action::Note => Some(Ask::Note),
        _ => steer::asks(app, action),
    };
    match asks {
        Some(ask) => {
            app.popup = Some(Popup::Ask(ask, LineEdit::default(), Some(Safe::literal(NO_CONTAINER))))
        }
        None => app.complain(Safe::literal(NO_CONTAINER)),
    }
}

/// The digit that a key is.
fn digit(key: Key) -> Option<usize> {
    match key {
        Key { code: KeyCode::Char(c), ctrl: false, alt: false } => Some(c.to_digit(10)? as usize),
        _ => None,
    }
}

/// Text that was pasted goes to the prompt that is open, if any.
pub(crate) fn paste(app: &mut App, text: &str) {
    match &mut app.popup {
        Some(Popup::Palette(line, _) | Popup::Ask(_, line, _)) => line.insert(text),
        Some(_) => {}
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
            roll_event(app, key, scroll);
        }
        Popup::Explain(lines, scroll) => {
            if is_enter(key) || key.code == KeyCode::Char('q') {
                return None;
            }
            let rows = lines.as_ref().map_or(0, Vec::len);
            scroll.roll(rolled(app, key, 8), rows, 5);
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
        Popup::Letter { set } => {
            if let KeyCode::Char(letter) = key.code {
                case::letter(app, *set, letter);
            }
            return None;
        }
        Popup::Diff(diff) => {
            if key.code == KeyCode::Char('q') || is_enter(key) {
                return None;
            }
            let rows = diff.rows.as_ref().map_or(0, Vec::len);
            let height = usize::from(app.size.1.saturating_sub(6));
            diff.scroll.roll(rolled(app, key, height), rows, height);
        }
        Popup::Menu(menu) => {
            if !menu_key(app, menu, key) {
                return None;
            }
        }
        Popup::Ask(ask, line, error) => {
            if is_enter(key) {
                match answer(app, *ask, &line.text()) {
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

/// What was typed in answer to a question.
fn answer(app: &mut App, ask: Ask, text: &str) -> Result<(), Safe> {
    if !app.screen.needs_container() && !matches!(ask, Ask::FindInAll | Ask::SaveFilter) {
        return Err(Safe::literal(NO_CONTAINER));
    }
    match ask {
        Ask::Moment => steer::go_to(app, text),
        Ask::Until(heading) => steer::run_until(app, heading, text),
        Ask::Find => steer::find(app, text),
        Ask::FindInAll => sweep::find(app, text),
        Ask::SaveFilter => filtering::save(app, text),
        Ask::Bookmark | Ask::Note => case::write(app, ask, text),
        Ask::Rules => case::run_rules(app, text),
    }
}

/// A key in a menu; false when it closes it.
fn menu_key(app: &mut App, menu: &mut Menu, key: Key) -> bool {
    let number = match key.code {
        KeyCode::Char(c @ '1'..='9') => Some(c as usize - '1' as usize),
        KeyCode::Char(c) if Some(c) == menu.opener => Some(menu.scroll.cursor),
        KeyCode::Enter => Some(menu.scroll.cursor),
        KeyCode::Char('q') => return false,
        _ => None,
    };
    match number {
        Some(number) => {
            if let Some((_, choice)) = menu.rows.get(number) {
                cells::choose(app, choice.clone());
            }
            false
        }
        None => {
            menu.scroll.step(rolled(app, key, 8), menu.rows.len(), ROWS);
            true
        }
    }
}

/// A key in the list of the filter's parts; false when it closes it. Below the parts are the saved filters, and
/// those that were in force before.
fn parts_key(app: &mut App, scroll: &mut Scroll, key: Key) -> bool {
    let filter = filtering::in_force(app).clone();
    let parts = filter.chips().len();
    match key.code {
        KeyCode::Char(' ') => filtering::put(app, filter.toggled(scroll.cursor)),
        KeyCode::Delete | KeyCode::Char('x') => filtering::put(app, filter.without(scroll.cursor)),
        KeyCode::Enter if scroll.cursor >= parts => {
            let text = filtering::offered(app).get(scroll.cursor - parts).cloned();
            if let Some(text) = text {
                // What is offered was valid when it was saved; a name in it may have gone.
                if let Err(verdict) = filtering::apply(app, &text) {
                    app.complain(crate::tui::filter::sentence(&verdict));
                }
            }
            return false;
        }
        KeyCode::Enter | KeyCode::Char('q') => return false,
        _ => {
            let len = parts + filtering::offered(app).len();
            scroll.step(rolled(app, key, 8), len, usize::MAX);
        }
    }
    let len = filtering::in_force(app).chips().len() + filtering::offered(app).len();
    scroll.show(len, usize::MAX);
    true
}

/// Moves in the text about an event.
fn roll_event(app: &App, key: Key, scroll: &mut Scroll) {
    let (columns, height) = popups::event_size(app.size);
    let height = usize::from(height);
    scroll.roll(rolled(app, key, height), detail::rows(app, columns).len(), height);
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
                app.bar.completion = Default::default();
                // Only now is it no more one that is being typed.
                super::arrange(app);
            }
            Err(verdict) => app.bar.verdict = Some(verdict),
        }
    } else {
        if completion::key(app, key) {
            return;
        }
        if let Some(line) = &mut app.bar.edit {
            line.key(key);
        }
        filtering::check(app);
    }
}
