//! The processes that were there at the playhead.

use afterimage_model::text::Safe;
use ratatui::layout::Rect;

use super::title;
use crate::{
    trace::Ended,
    tui::{
        app::App,
        feed::ProcessRow,
        layout::Pane,
        paint::{Painter, Row},
        text::{grouped, safe},
        theme::Role,
    },
};

/// Draws the tree.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let Some(opened) = &app.opened else { return };
    let rows = opened.tree_rows();
    let alive = rows.iter().filter(|row| row.alive).count();
    let behind = opened.is_behind();
    let note = match opened.moment.value().map_or(0, |moment| moment.forgotten) {
        _ if behind && opened.moment.has_failed() => Safe::literal("could not be read"),
        _ if behind => Safe::literal("reading"),
        0 => safe!("{alive} alive"),
        forgotten => safe!("{alive} alive, {} not kept", grouped(forgotten)),
    };
    let inner = title(app, painter, rect, Pane::Tree, Row::new(), &note);
    let pid = opened.moment.value().and_then(|moment| moment.pid);
    let mut scroll = opened.tree;
    scroll.show(rows.len(), usize::from(inner.height));
    let shown = rows.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, row)) in (inner.y..).zip(shown) {
        let line = Rect { y, height: 1, ..inner };
        draw_row(painter, line, row, opened.closed.contains(&(row.pid, row.key().start)));
        if Some(row.pid) == pid {
            painter.ground(line, Role::SelectedQuiet);
        }
        if at == scroll.cursor {
            if app.focus() == Pane::Tree {
                painter.ground(line, Role::Selected);
            }
            painter.text(line.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(inner, scroll.top as u64, u64::from(inner.height), rows.len() as u64);
}

fn draw_row(painter: &mut Painter<'_>, line: Rect, row: &ProcessRow, closed: bool) {
    let mut x = line.x + 1;
    let state = state(row);
    let state_width = u16::try_from(state.as_str().len()).unwrap_or(0);
    let limit = line.right().saturating_sub(state_width + 1);
    // Levels beyond a third of the pane are left out: the command matters more than the depth.
    let levels = usize::from(line.width / 6).max(2);
    x += branches(painter, x, line.y, row, levels, closed);
    let role = if row.alive { Role::Text } else { Role::Dim };
    x += painter.text(x, line.y, limit.saturating_sub(x), &safe!("{} ", row.pid), Role::Dim);
    let role = if row.is_foreign() { Role::Alert } else { role };
    if row.is_foreign() {
        x += painter.text(x, line.y, limit.saturating_sub(x), "! ", Role::Alert);
    }
    painter.text(x, line.y, limit.saturating_sub(x), &row.command(), role);
    painter.right(line.right().saturating_sub(1), line.y, state_width, &state, Role::Dim);
}

/// The lines that lead to a row, and whether its branch is open; the columns they take.
pub(super) fn branches(
    painter: &mut Painter<'_>,
    from: u16,
    y: u16,
    row: &ProcessRow,
    levels: usize,
    closed: bool,
) -> u16 {
    let symbols = painter.symbols();
    let mut x = from;
    let mut levels = row.more.last(levels).peekable();
    while let Some(more) = levels.next() {
        let own = levels.peek().is_none();
        let glyph = match (own, more) {
            (true, true) => symbols.tree_mid,
            (true, false) => symbols.tree_last,
            (false, true) => symbols.tree_bar,
            (false, false) => " ",
        };
        painter.text(x, y, 1, glyph, Role::Rule);
        painter.text(x + 1, y, 1, if own { symbols.rule } else { " " }, Role::Rule);
        x += 2;
    }
    let (fold, role) = match (row.children, closed) {
        (true, true) => (symbols.closed, Role::Text),
        (true, false) => (symbols.open, Role::Dim),
        (false, _) if row.depth > 0 => (symbols.rule, Role::Rule),
        (false, _) => (" ", Role::Rule),
    };
    painter.text(x, y, 1, fold, role);
    x += 2;
    x - from
}

/// How it ended, or what is special while it lives.
fn state(row: &ProcessRow) -> Safe {
    match row.ended() {
        Some((_, Some(Ended::Code(code)))) => safe!(" x {code}"),
        Some((_, Some(Ended::Signal(signal)))) => safe!(" x sig {signal}"),
        Some((_, None)) => Safe::literal(" x"),
        None if row.has_tty() => Safe::literal(" tty"),
        None if row.threads() > 1 => safe!(" {} threads", row.threads()),
        None => Safe::default(),
    }
}
