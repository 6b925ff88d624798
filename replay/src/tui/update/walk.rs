//! Actions of movement: rows, panes, branches.

use afterimage_detect::syntax::ast::Op;
use afterimage_format::{BootNanos, ContainerUid};

use super::{filtering, sheet, steer, stream};
use crate::tui::{
    action::Action,
    app::App,
    filter::comparison,
    layout::{self, Pane},
    screen::Screen,
    scroll::Scroll,
    view::detail,
};

/// Columns that the line between panes is moved by.
const LINE: i16 = 4;

/// Does an action of movement so many times.
pub(super) fn step(app: &mut App, action: Action, times: usize) {
    match action {
        Action::Count => app.count = Some(0),
        Action::NextPane => turn(app, 1),
        Action::PrevPane => turn(app, -1),
        Action::LineLeft | Action::LineRight => {
            let columns = LINE.saturating_mul(i16::try_from(times).unwrap_or(i16::MAX));
            let by = if action == Action::LineLeft { -columns } else { columns };
            let most = i16::try_from(app.size.0 / 2).unwrap_or(i16::MAX);
            let shift = app.shift.entry(app.screen).or_default();
            *shift = shift.saturating_add(by).clamp(-most, most);
        }
        Action::Maximise => app.maximised = !app.maximised,
        Action::Left if app.screen == Screen::Timeline => steer::pan(app, Action::EarlierPart),
        Action::Right if app.screen == Screen::Timeline => steer::pan(app, Action::LaterPart),
        Action::Left => branch(app, true),
        Action::Right => branch(app, false),
        _ => rows(app, action, times),
    }
}

fn turn(app: &mut App, by: isize) {
    let panes = layout::focusable(app.screen);
    let at = panes.iter().position(|p| *p == app.focus()).unwrap_or(0);
    let to = (at as isize + by).rem_euclid(panes.len().max(1) as isize);
    if let Some(pane) = usize::try_from(to).ok().and_then(|to| panes.get(to)) {
        app.set_focus(*pane);
    }
}

/// Rows that an action moves by in a pane of this height; to the first or last by the largest numbers.
fn distance(action: Action, height: usize) -> isize {
    let height = isize::try_from(height.max(1)).unwrap_or(isize::MAX);
    match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::HalfDown => (height / 2).max(1),
        Action::HalfUp => -(height / 2).max(1),
        Action::PageDown => height,
        Action::PageUp => -height,
        Action::First => isize::MIN,
        Action::Last => isize::MAX,
        _ => 0,
    }
}

fn rows(app: &mut App, action: Action, times: usize) {
    let pane = app.focus();
    let height = app.rows_in(pane);
    let by = distance(action, height).saturating_mul(isize::try_from(times).unwrap_or(isize::MAX));
    if pane == Pane::Events {
        events(app, action, by, height);
    } else {
        roll(app, pane, by);
    }
}

/// The cursor of a pane that has rows to select.
pub(super) fn scroll_of(app: &App, pane: Pane) -> Option<Scroll> {
    match pane {
        Pane::Containers => Some(app.list.scroll),
        Pane::Storyline => Some(app.list.story),
        Pane::Tree => app.opened.as_ref().map(|o| o.tree),
        Pane::Triggers => app.health.last().copied(),
        Pane::Stream => app.opened.as_ref().map(|o| o.lines.scroll),
        Pane::Notes if app.screen == Screen::Replay => app.opened.as_ref().map(|o| o.notes),
        Pane::Provenance | Pane::Notes => app.sheet().map(|sheet| sheet.of(pane)),
        _ if layout::focusable(app.screen).first() == Some(&pane) => app.sheet().map(|sheet| sheet.list),
        _ => None,
    }
}

/// Moves by rows in a pane, whether it has the keys or not.
pub(super) fn roll(app: &mut App, pane: Pane, by: isize) {
    let height = app.rows_in(pane);
    match pane {
        Pane::Containers => select(app, by, height),
        Pane::Storyline => {
            let len = app.storyline().len();
            app.list.story.step(by, len, height);
        }
        Pane::Triggers => {
            let count = app.alerts.value().map_or(0, |all| all.len());
            if let Some(scroll) = app.health.last_mut() {
                scroll.step(by, count, height);
            }
        }
        Pane::Recording | Pane::Gaps | Pane::Damage => {
            let at = layout::focusable(app.screen).iter().position(|p| *p == pane).unwrap_or(0);
            if let Some(scroll) = app.health.get_mut(at) {
                scroll.roll(by, usize::MAX / 2, height);
            }
        }
        Pane::Stream => stream::step(app, by, height),
        Pane::Events => {
            if let Some(opened) = &mut app.opened {
                steer::step(opened, by, height);
            }
        }
        Pane::Notes if app.screen == Screen::Replay => {
            let len = app.opened.as_ref().map_or(0, |o| app.case.noted(o.uid).len());
            if let Some(opened) = &mut app.opened {
                opened.notes.step(by, len, height);
            }
        }
        Pane::Summary => app.list.summary.roll(by, usize::MAX / 2, height),
        Pane::Tree => {
            if let Some(opened) = &mut app.opened {
                let len = opened.tree_rows().len();
                opened.tree.step(by, len, height);
                opened.tree_follows = false;
            }
        }
        Pane::Detail => {
            let columns = app.plan().rect(pane).map_or(0, |rect| detail::columns(rect.width));
            let len = detail::rows(app, columns).len();
            if let Some(opened) = &mut app.opened {
                opened.detail.roll(by, len, height);
            }
        }
        _ => sheet::step(app, pane, by, height),
    }
}

fn select(app: &mut App, by: isize, height: usize) {
    let before = app.list.scroll.cursor;
    app.list.at_top = by == isize::MIN;
    app.list.scroll.step(by, app.list.order.len(), height);
    if app.list.scroll.cursor != before {
        app.list.story = Default::default();
        app.list.summary = Default::default();
    }
}

fn events(app: &mut App, action: Action, by: isize, height: usize) {
    match action {
        Action::First => steer::clock(app, Action::Begin, 1),
        Action::Last => steer::clock(app, Action::End, 1),
        _ => {
            if let Some(opened) = &mut app.opened {
                steer::step(opened, by, height);
            }
        }
    }
}

/// Closes or opens the branch under the cursor of the tree; on a closed or childless one, goes to its parent.
fn branch(app: &mut App, close: bool) {
    if app.focus() != Pane::Tree {
        return;
    }
    let height = app.rows_in(Pane::Tree);
    let Some(opened) = &mut app.opened else { return };
    let rows = opened.tree_rows();
    let Some(row) = rows.get(opened.tree.cursor) else { return };
    let key: (u32, BootNanos) = (row.pid, row.key().start);
    let is_closed = opened.closed.contains(&key);
    if close && (is_closed || !row.children) {
        let depth = row.depth;
        let above = rows.iter().take(opened.tree.cursor).rposition(|r| r.depth < depth);
        let (to, len) = (above.unwrap_or(opened.tree.cursor), rows.len());
        opened.tree.go(to, len, height);
    } else if close {
        opened.closed.push(key);
    } else {
        opened.closed.retain(|k| *k != key);
    }
    opened.tree_follows = false;
}

/// The tree's cursor goes to the process of the playhead.
pub(super) fn follow_process(app: &mut App) {
    let height = app.rows_in(Pane::Tree);
    let Some(opened) = app.opened.as_mut().filter(|o| o.tree_follows) else { return };
    let pid = opened.moment.value().and_then(|moment| moment.pid);
    let rows = opened.tree_rows();
    let at = rows.iter().rposition(|row| Some(row.pid) == pid);
    let len = rows.len();
    if let Some(at) = at {
        opened.tree.go(at, len, height);
    }
}

/// Shows only the events of the process under the tree's cursor.
pub(super) fn keep_process(app: &mut App) {
    let pid = app.opened.as_ref().and_then(|o| o.tree_rows().get(o.tree.cursor).map(|row| row.pid));
    let Some(pid) = pid else { return };
    filtering::add(app, comparison("proc.pid", Op::Eq, pid.to_string().as_bytes()));
    app.set_focus(Pane::Events);
}

/// The container of this uid becomes the selected one.
pub(super) fn select_container(app: &mut App, uid: ContainerUid) {
    let height = app.rows_in(Pane::Containers);
    let at = app.list.order.iter().position(|i| app.catalog.containers.get(*i).is_some_and(|r| r.uid == uid));
    if let Some(at) = at {
        app.list.at_top = false;
        app.list.scroll.go(at, app.list.order.len(), height);
    }
}
