//! What lies over the screen: help, palette, prompts, one event in full.

use afterimage_model::text::{Safe, escape};
use ratatui::layout::Rect;

use super::{detail, help};
use crate::tui::{
    app::{App, Popup},
    edit::LineEdit,
    keys::Binding,
    paint::{Painter, Row},
    palette,
    scroll::Scroll,
    text::safe,
    theme::Role,
    update,
};

/// Draws the popup that is open; where the cursor is if text is typed in it.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, area: Rect) -> Option<(u16, u16)> {
    match app.popup.as_ref()? {
        Popup::Help(scroll) => {
            help::draw(app, painter, area, scroll.top);
            None
        }
        Popup::Palette(line, scroll) => Some(actions(app, painter, area, line, *scroll)),
        Popup::GoTo(line, error) => Some(go_to(painter, area, line, error.as_ref())),
        Popup::Parts(scroll) => {
            parts(app, painter, area, *scroll);
            None
        }
        Popup::Event(scroll) => {
            event(app, painter, area, scroll.top);
            None
        }
    }
}

/// A rectangle of at most this size in the middle of `area`.
pub(super) fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// A line being typed; where its cursor is.
fn typed(painter: &mut Painter<'_>, x: u16, y: u16, columns: u16, line: &LineEdit) -> (u16, u16) {
    let (left, right) = line.halves();
    let before = painter.text(x, y, columns, &escape(left.as_bytes()), Role::Strong);
    painter.text(x + before, y, columns.saturating_sub(before), &escape(right.as_bytes()), Role::Strong);
    (x + before.min(columns.saturating_sub(1)), y)
}

fn actions(app: &App, painter: &mut Painter<'_>, area: Rect, line: &LineEdit, scroll: Scroll) -> (u16, u16) {
    let rows = u16::try_from(palette::ROWS).unwrap_or(12).min(area.height.saturating_sub(6));
    let width = 64.min(area.width);
    let frame = Rect { y: area.y + 2, ..centred(area, width, rows + 4) };
    let title = Row::new().add("actions", Role::TitleFocus).add("  Enter does, Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    painter.text(inner.x, inner.y, 1, ":", Role::Key);
    let cursor = typed(painter, inner.x + 2, inner.y, inner.width.saturating_sub(2), line);
    let found = palette::found(app, &line.text());
    if found.is_empty() {
        painter.text(inner.x + 2, inner.y + 1, inner.width, "no action of that name", Role::Dim);
    }
    let shown = found.iter().enumerate().skip(scroll.top).take(usize::from(rows));
    for (y, (at, action)) in (inner.y + 1..).zip(shown) {
        let here = app.keymap.ways(app.screen, *action).next().is_some();
        let row = Rect { x: inner.x, y, width: inner.width, height: 1 };
        painter.text(row.x + 2, y, 32, action.name(), if here { Role::Text } else { Role::Dim });
        let key = app.keymap.any_way(*action).map_or_else(Safe::default, Binding::shown);
        painter.right(row.right(), y, 12, &key, Role::Key);
        if at == scroll.cursor {
            painter.ground(row, Role::Selected);
            painter.text(row.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    let help = found.get(scroll.cursor).map_or("", |action| action.help());
    painter.text(inner.x, inner.bottom().saturating_sub(1), inner.width, help, Role::Dim);
    cursor
}

fn go_to(painter: &mut Painter<'_>, area: Rect, line: &LineEdit, error: Option<&Safe>) -> (u16, u16) {
    let frame = Rect { y: area.y + 2, ..centred(area, 72, 6) };
    let inner = painter
        .frame(frame, &Row::new().add("go to", Role::TitleFocus).add("  Enter goes, Esc closes", Role::Dim));
    painter.text(inner.x, inner.y, 1, "@", Role::Key);
    let cursor = typed(painter, inner.x + 2, inner.y, inner.width.saturating_sub(2), line);
    let below = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    match error {
        Some(error) => painter.wrapped(below, error, Role::Bad),
        None => painter.wrapped(
            below,
            &safe!(
                "12:03:11.5, +19s after the start, -5s before the end, start, end, 3m ago, or a date and time"
            ),
            Role::Dim,
        ),
    }
    cursor
}

/// The filter's parts, and the saved filters that can be used in it.
fn parts(app: &App, painter: &mut Painter<'_>, area: Rect, scroll: Scroll) {
    let chips = update::in_force(app).chips();
    let saved = app.bar.library.all();
    let rows = u16::try_from(chips.len().max(1) + saved.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let frame = centred(area, 96, rows.saturating_add(2).min(area.height));
    let title =
        Row::new().add("filter", Role::TitleFocus).add("  Space on/off  x drop  Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    let mut y = inner.y;
    if chips.is_empty() {
        painter.text(inner.x + 2, y, inner.width, "no filter", Role::Dim);
        y += 1;
    }
    for (at, chip) in chips.iter().enumerate().skip(scroll.top).take(12) {
        let row = Rect { x: inner.x, y, width: inner.width, height: 1 };
        painter.text(
            row.x + 2,
            y,
            4,
            if chip.on { "on" } else { "off" },
            if chip.on { Role::Good } else { Role::Dim },
        );
        painter.text(row.x + 6, y, row.width.saturating_sub(6), &escape(chip.text.as_bytes()), Role::Text);
        if at == scroll.cursor {
            painter.ground(row, Role::Selected);
            painter.text(row.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
        y += 1;
    }
    painter.text(inner.x, y + 1, inner.width, "saved filters, to be used by name", Role::Dim);
    for ((name, text), y) in saved.iter().zip(y + 2..inner.bottom()) {
        painter.text(inner.x + 2, y, 14, &safe!("${}", escape(name.as_bytes())), Role::Key);
        painter.text(inner.x + 17, y, inner.width.saturating_sub(17), &escape(text.as_bytes()), Role::Dim);
    }
}

fn event(app: &App, painter: &mut Painter<'_>, area: Rect, top: usize) {
    let frame = centred(area, area.width.saturating_sub(8).min(110), area.height.saturating_sub(4));
    let inner =
        painter.frame(frame, &Row::new().add("event", Role::TitleFocus).add("  Esc closes", Role::Dim));
    let shown = app.opened.as_ref().filter(|o| !o.is_behind()).and_then(|o| o.moment.value());
    let Some(moment) = shown else {
        painter.text(inner.x, inner.y, inner.width, "reading", Role::Dim);
        return;
    };
    let rows = detail::lines(&moment.detail, inner.width);
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x, y, inner.width, row);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), rows.len() as u64);
}
