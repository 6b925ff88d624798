//! What the mouse does: rows are selected, panes scrolled, time is gone to, zoomed and framed.

use afterimage_format::BootNanos;
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use super::{cells, filtering, go, sort, steer, update, walk};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    layout::{self, Pane},
    player::Playhead,
    screen::Screen,
    view::{
        self,
        bars::{chip_at, tab_at},
        events,
        lanes::{lane_at, name_columns},
        popups,
    },
    wants::LANE_NAME,
};

/// Rows that a notch of the wheel moves by.
const NOTCH: isize = 3;

/// What the mouse holds while its button is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The playhead.
    Playhead(Pane),
    /// The beginning of a range.
    Range(Pane, BootNanos),
}

/// Does what the mouse means.
pub(crate) fn pointer(app: &mut App, event: MouseEvent) {
    if app.popup.is_some() {
        match event.kind {
            MouseEventKind::Down(button) => press_popup(app, button, (event.column, event.row)),
            MouseEventKind::ScrollDown => wheel_popup(app, "Down"),
            MouseEventKind::ScrollUp => wheel_popup(app, "Up"),
            _ => {}
        }
        return;
    }
    let (x, y) = (event.column, event.row);
    let plan = app.plan();
    let under = plan.panes().iter().find(|(_, rect)| holds(*rect, x, y)).copied();
    let zoom = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => {
            if let Some((pane, rect)) = under {
                app.notice = None;
                press(app, pane, rect, (x, y));
            }
        }
        MouseEventKind::Down(MouseButton::Right) => {
            if let Some((pane, rect)) = under {
                app.notice = None;
                row_pressed(app, pane, rect, y, false);
                cells::offer(app);
            }
        }
        MouseEventKind::Drag(MouseButton::Left) => drag(app, x),
        MouseEventKind::Up(MouseButton::Left) => release(app, x),
        MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
            let down = event.kind == MouseEventKind::ScrollDown;
            match under {
                Some((pane @ (Pane::Timeline | Pane::Lanes), rect)) if zoom => {
                    let action = if down { Action::ZoomOut } else { Action::ZoomIn };
                    match in_time(app, pane, rect, x) {
                        Some(at) => steer::zoom_about(app, action, at),
                        None => steer::zoom(app, action),
                    }
                }
                Some((Pane::Timeline, _)) => {
                    steer::pan(app, if down { Action::LaterPart } else { Action::EarlierPart });
                }
                Some((pane, _)) => walk::roll(app, pane, if down { NOTCH } else { -NOTCH }),
                None => {}
            }
        }
        _ => {}
    }
}

fn holds(rect: Rect, x: u16, y: u16) -> bool {
    x >= rect.left() && x < rect.right() && y >= rect.top() && y < rect.bottom()
}

/// On a choice of a menu it is taken; elsewhere what lies over the screen is closed.
fn press_popup(app: &mut App, button: MouseButton, at: (u16, u16)) {
    let area = Rect { x: 0, y: 0, width: app.size.0, height: app.size.1 };
    let Some(Popup::Menu(menu)) = app.popup.take() else { return };
    let chosen = popups::choice_at(area, &menu, at).filter(|_| button == MouseButton::Left);
    if let Some((_, choice)) = chosen.and_then(|at| menu.rows.get(at)) {
        cells::choose(app, choice.clone());
    }
}

fn wheel_popup(app: &mut App, key: &str) {
    for key in crate::tui::keys::parse_all(key).unwrap_or_default() {
        super::key(app, key);
    }
}

fn press(app: &mut App, pane: Pane, rect: Rect, (x, y): (u16, u16)) {
    app.forget_range();
    match pane {
        Pane::Tabs => {
            if let Some(screen) = tab_at(app, x.saturating_sub(rect.x)) {
                to_screen(app, screen);
            }
        }
        Pane::Filter => filter_pressed(app, rect, x),
        Pane::Transport => {
            update(app, Action::Play);
        }
        Pane::Timeline | Pane::Lanes if in_time(app, pane, rect, x).is_some() => {
            time_pressed(app, pane, rect, (x, y));
        }
        _ if heading_pressed(app, pane, rect, (x, y)) => {}
        _ => row_pressed(app, pane, rect, y, true),
    }
}

/// A press on the heading of a column puts the list in its order.
fn heading_pressed(app: &mut App, pane: Pane, rect: Rect, (x, y): (u16, u16)) -> bool {
    let is_list = layout::focusable(app.screen).first() == Some(&pane);
    is_list && y == rect.y + 1 && sort::by_heading(app, &view::word_at(app, (x, y)))
}

/// On a part of the filter: its `x` takes it away, its text switches it off and on. Elsewhere the filter is edited.
fn filter_pressed(app: &mut App, rect: Rect, x: u16) {
    let at = app.bar.edit.is_none().then(|| chip_at(app, rect, x)).flatten();
    let filter = filtering::in_force(app).clone();
    match at {
        Some((at, true)) => filtering::put(app, filter.without(at)),
        Some((at, false)) => filtering::put(app, filter.toggled(at)),
        None => {
            update(app, Action::EditFilter);
        }
    }
}

fn to_screen(app: &mut App, screen: Screen) {
    let action = match screen {
        Screen::Containers => Action::GoContainers,
        Screen::Replay => Action::GoReplay,
        Screen::Timeline => Action::GoTimeline,
        Screen::Tree => Action::GoTree,
        Screen::Files => Action::GoFiles,
        Screen::Net => Action::GoNet,
        Screen::Follow => Action::GoFollow,
        Screen::Findings => Action::GoFindings,
        Screen::Health => Action::GoHealth,
    };
    if screen == Screen::Health || screen == Screen::Containers {
        go(app, screen);
    } else {
        update(app, action);
    }
}

/// The moment under a column of a pane over time.
fn in_time(app: &App, pane: Pane, rect: Rect, x: u16) -> Option<BootNanos> {
    let names = if pane == Pane::Lanes { name_columns(rect.width) } else { LANE_NAME };
    let columns = rect.width.checked_sub(names + 1).filter(|columns| *columns > 0)?;
    let into = x.checked_sub(rect.x + names)?.min(columns - 1);
    let (begin, end) = app.opened.as_ref()?.window;
    let length = u128::from(end.0.saturating_sub(begin.0));
    let part = length * u128::from(into) / u128::from(columns);
    Some(BootNanos(begin.0.saturating_add(u64::try_from(part).unwrap_or(0))))
}

/// The bottom row has the playhead, to be dragged; above it a drag frames a range, a click goes there.
fn time_pressed(app: &mut App, pane: Pane, rect: Rect, (x, y): (u16, u16)) {
    let Some(time) = in_time(app, pane, rect, x) else { return };
    if y + 1 == rect.bottom() {
        app.held = Some(Held::Playhead(pane));
        arrive(app, time);
    } else {
        app.held = Some(Held::Range(pane, time));
    }
}

fn arrive(app: &mut App, time: BootNanos) {
    if let Some(opened) = &mut app.opened {
        opened.arrive(Playhead::at_time(time));
    }
}

/// The playhead is dragged: where the drag began is the place to come back to.
fn scrub(app: &mut App, time: BootNanos) {
    if let Some(opened) = &mut app.opened {
        opened.put(Playhead::at_time(time));
    }
}

fn drag(app: &mut App, x: u16) {
    let Some(Held::Playhead(pane)) = app.held else { return };
    let Some(rect) = app.plan().rect(pane) else { return };
    let names = if pane == Pane::Lanes { name_columns(rect.width) } else { LANE_NAME };
    if let Some(time) = in_time(app, pane, rect, x.clamp(rect.x + names, rect.right().saturating_sub(1))) {
        scrub(app, time);
    }
}

fn release(app: &mut App, x: u16) {
    let Some(Held::Range(pane, from)) = app.held.take() else { return };
    let Some(rect) = app.plan().rect(pane) else { return };
    let names = if pane == Pane::Lanes { name_columns(rect.width) } else { LANE_NAME };
    let x = x.clamp(rect.x + names, rect.right().saturating_sub(1));
    let Some(to) = in_time(app, pane, rect, x) else { return };
    let Some(opened) = &app.opened else { return };
    let column = opened.window.1.0.saturating_sub(opened.window.0.0) / u64::from(rect.width.max(1));
    if from.0.abs_diff(to.0) <= column * 2 {
        arrive(app, from);
    } else {
        steer::frame_range(app, from, to);
    }
}

/// Selects the row under the pointer; where it `opens`, a second press on a selected row opens it.
fn row_pressed(app: &mut App, pane: Pane, rect: Rect, y: u16, opens: bool) {
    if !layout::focusable(app.screen).contains(&pane) {
        return;
    }
    let again = opens && app.focus() == pane;
    app.set_focus(pane);
    if pane == Pane::Events {
        if let Some((before, after)) = events::row_at(app, rect, y) {
            if before == after && again {
                update(app, Action::Enter);
            } else {
                let by = isize::try_from(after).unwrap_or(0) - isize::try_from(before).unwrap_or(0);
                walk::roll(app, pane, by);
            }
        }
        return;
    }
    if pane == Pane::Lanes {
        let cursor = app.sheet().map_or(0, |sheet| sheet.list.cursor);
        match lane_at(app, rect, y) {
            Some(at) if at == cursor && again => {
                update(app, Action::Enter);
            }
            Some(at) => {
                walk::roll(
                    app,
                    pane,
                    isize::try_from(at).unwrap_or(0) - isize::try_from(cursor).unwrap_or(0),
                );
            }
            None => {}
        }
        return;
    }
    let height = app.rows_in(pane);
    let Some(into) = (rect.bottom().saturating_sub(y) as usize <= height)
        .then(|| height.saturating_sub(usize::from(rect.bottom().saturating_sub(y))))
    else {
        return;
    };
    let Some(scroll) = walk::scroll_of(app, pane) else { return };
    let (cursor, row) = (scroll.cursor, scroll.top + into);
    if row == cursor && again {
        update(app, Action::Enter);
    } else {
        let by = isize::try_from(row).unwrap_or(0) - isize::try_from(cursor).unwrap_or(0);
        walk::roll(app, pane, by);
    }
}
