//! What lies over the screen: help, palette, prompts, one event in full.

use afterimage_format::BootNanos;
use afterimage_model::text::{Safe, escape};
use ratatui::layout::Rect;

use super::{detail, help};
use crate::tui::{
    app::{App, Diff, Opened, Popup},
    ask::Ask,
    edit::LineEdit,
    feed::DiffRow,
    keys::Binding,
    menu::Menu,
    moment::since,
    paint::{Painter, Row},
    palette,
    scroll::Scroll,
    text::{fit, safe, width},
    theme::Role,
    update::{self, COMPLETIONS},
};

/// Draws the popup that is open; where the cursor is if text is typed in it.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, area: Rect) -> Option<(u16, u16)> {
    match app.popup.as_ref()? {
        Popup::Help(scroll) => {
            help::draw(app, painter, area, scroll.top);
            None
        }
        Popup::Palette(line, scroll) => Some(actions(app, painter, area, line, *scroll)),
        Popup::Ask(ask, line, error) => Some(question(painter, area, *ask, line, error.as_ref())),
        Popup::Letter { set } => {
            letter(app, painter, area, *set);
            None
        }
        Popup::Diff(diff) => {
            difference(app, painter, area, diff);
            None
        }
        Popup::Menu(menu) => {
            choices(painter, area, menu);
            None
        }
        Popup::Parts(scroll) => {
            parts(app, painter, area, *scroll);
            None
        }
        Popup::Explain(lines, scroll) => {
            explanation(painter, area, lines.as_deref(), scroll.top);
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

fn question(
    painter: &mut Painter<'_>,
    area: Rect,
    ask: Ask,
    line: &LineEdit,
    error: Option<&Safe>,
) -> (u16, u16) {
    let frame = Rect { y: area.y + 2, ..centred(area, 72, 6) };
    let title = Row::new().add(ask.title(), Role::TitleFocus).add("  Enter does, Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    painter.text(inner.x, inner.y, 1, ask.sign(), Role::Key);
    let cursor = typed(painter, inner.x + 2, inner.y, inner.width.saturating_sub(2), line);
    let below = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    match error {
        Some(error) => painter.wrapped(below, error, Role::Bad),
        None => painter.wrapped(below, &Safe::literal(ask.hint()), Role::Dim),
    }
    cursor
}

/// The marks that there are; a letter is awaited.
fn letter(app: &App, painter: &mut Painter<'_>, area: Rect, set: bool) {
    let marks = app.opened.as_ref().map(|o| app.case.marks(o.uid)).unwrap_or_default();
    let rows = u16::try_from(marks.len().max(1)).unwrap_or(u16::MAX).min(area.height.saturating_sub(6));
    let frame = Rect { y: area.y + 2, ..centred(area, 64, rows + 2) };
    let name = if set { "set a mark" } else { "go to a mark" };
    let title = Row::new().add(name, Role::TitleFocus).add("  press its letter, Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    if marks.is_empty() {
        painter.text(inner.x, inner.y, inner.width, "no mark yet", Role::Dim);
    }
    let start = app.opened.as_ref().map_or(BootNanos(0), |o| o.origin);
    for ((mark, entry), y) in marks.iter().zip(inner.y..inner.bottom()) {
        let at = since(BootNanos(entry.at.unwrap_or(0)), start);
        let row = Row::new()
            .add(&escape(mark.to_string().as_bytes()), Role::Key)
            .add(&safe!("  {at}"), Role::Text)
            .add(&safe!("  {}", escape(entry.author.as_bytes())), Role::Dim);
        painter.row(inner.x, y, inner.width, &row);
    }
}

/// What only one of two containers did; the selected one is the second.
fn difference(app: &App, painter: &mut Painter<'_>, area: Rect, diff: &Diff) {
    let frame = centred(area, area.width.saturating_sub(4).min(130), area.height.saturating_sub(2));
    let title = Row::new().add("compare", Role::TitleFocus).add("  Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    // A long name leaves room for the other.
    let room = usize::from(inner.width / 2).saturating_sub(16);
    let names = [diff.key.a, diff.key.b].map(|uid| update::container_name(app, uid));
    let names = names.map(|name| fit(name.as_str(), room, painter.symbols().ellipsis));
    let Some(rows) = &diff.rows else {
        painter.text(
            inner.x,
            inner.y,
            inner.width,
            &safe!("reading {} and {}", names[0], names[1]),
            Role::Dim,
        );
        return;
    };
    let count = |second: bool| rows.iter().filter(|row| (row.counts.0 == 0) == second).count();
    let head = Row::new()
        .add(&safe!("+ only in {}: {}", names[1], count(true)), Role::Alert)
        .add(&safe!("   - only in {}: {}", names[0], count(false)), Role::Exec);
    painter.row(inner.x, inner.y, inner.width, &head);
    if rows.is_empty() {
        let text = "both did the same: programs, changed files, peers, listeners, names, calls";
        painter.text(inner.x, inner.y + 1, inner.width, text, Role::Dim);
    }
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    // What the second did comes first: it is the one that was asked about.
    let (new, gone): (Vec<&DiffRow>, Vec<&DiffRow>) = rows.iter().partition(|row| row.counts.0 == 0);
    let shown = new.into_iter().chain(gone).skip(diff.scroll.top);
    for (y, row) in (body.y..body.bottom()).zip(shown) {
        let (sign, role, times) = match row.counts {
            (0, times) => ("+ ", Role::Alert, times),
            (times, _) => ("- ", Role::Exec, times),
        };
        painter.text(body.x, y, 2, sign, role);
        painter.text(body.x + 2, y, 15, row.what, Role::Dim);
        painter.path(body.x + 18, y, body.width.saturating_sub(29), &row.item, role);
        painter.right(body.right().saturating_sub(2), y, 9, &safe!("{times}x"), Role::Dim);
    }
    painter.scroll(body, diff.scroll.top as u64, u64::from(body.height), rows.len() as u64);
}

/// Where a menu lies.
fn menu_frame(area: Rect, menu: &Menu) -> Rect {
    let rows = u16::try_from(menu.rows.len()).unwrap_or(u16::MAX).min(area.height.saturating_sub(6)).min(12);
    let width = if menu.opener.is_some() { 96 } else { 44 };
    Rect { y: area.y + 2, ..centred(area, width, rows + 2) }
}

/// The choice of a menu that is at a place of the screen.
pub(crate) fn choice_at(area: Rect, menu: &Menu, (x, y): (u16, u16)) -> Option<usize> {
    let frame = menu_frame(area, menu);
    let inside = x > frame.x && x + 1 < frame.right() && y > frame.y && y + 1 < frame.bottom();
    let mut scroll = menu.scroll;
    scroll.show(menu.rows.len(), usize::from(frame.height.saturating_sub(2)));
    let at = scroll.top + usize::from(y.checked_sub(frame.y + 1)?);
    (inside && at < menu.rows.len()).then_some(at)
}

fn choices(painter: &mut Painter<'_>, area: Rect, menu: &Menu) {
    let frame = menu_frame(area, menu);
    let again = match menu.opener {
        Some(key) => safe!("  Enter or {key} takes it, Esc closes"),
        None => safe!("  Enter takes it, Esc closes"),
    };
    let inner = painter.frame(frame, &Row::new().add(menu.title, Role::TitleFocus).add(&again, Role::Dim));
    let mut scroll = menu.scroll;
    scroll.show(menu.rows.len(), usize::from(inner.height));
    let shown = menu.rows.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, (text, _))) in (inner.y..).zip(shown) {
        let row = Rect { y, height: 1, ..inner };
        let number = if at < 9 { safe!("{}", at + 1) } else { Safe::default() };
        painter.text(row.x + 2, y, 2, &number, Role::Key);
        painter.text(row.x + 4, y, row.width.saturating_sub(4), text, Role::Text);
        if at == scroll.cursor {
            painter.ground(row, Role::Selected);
            painter.text(row.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
}

/// What could stand at the cursor of the filter bar, under it.
pub(super) fn candidates(app: &App, painter: &mut Painter<'_>, bar: Rect, area: Rect) {
    let completion = &app.bar.completion;
    let len = completion.candidates.len();
    let room = area.bottom().saturating_sub(bar.bottom() + 3);
    let rows = u16::try_from(len.min(COMPLETIONS)).unwrap_or(0).min(room);
    if app.bar.edit.is_none() || rows == 0 {
        return;
    }
    let frame = Rect { x: bar.x + 1, y: bar.bottom(), width: 64.min(bar.width - 1), height: rows + 2 };
    let reading = completion.values.value().is_some_and(|values| values.reading.is_some());
    let reading = if completion.field.is_some() && reading { ", still counting" } else { "" };
    let title = Row::new().add("Tab takes it, Up and Down choose", Role::Dim).add(reading, Role::Warn);
    let inner = painter.frame(frame, &title);
    let mut scroll = completion.scroll;
    scroll.show(len, usize::from(inner.height));
    let shown = completion.candidates.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, (text, note))) in (inner.y..).zip(shown) {
        // The last column is the scroll bar's.
        let row = Rect { y, height: 1, width: inner.width.saturating_sub(1), ..inner };
        let wide = u16::try_from(width(note.as_str())).unwrap_or(0).min(row.width / 2);
        let room = row.width.saturating_sub(wide + 3);
        painter.text(row.x + 2, y, room, &escape(text.as_bytes()), Role::Text);
        painter.right(row.right(), y, wide, note, Role::Dim);
        if at == scroll.cursor {
            painter.ground(row, Role::Selected);
            painter.text(row.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(inner, scroll.top as u64, u64::from(inner.height), len as u64);
}

/// The filter's parts, the saved filters that can be used in it, and those that were in force before.
fn parts(app: &App, painter: &mut Painter<'_>, area: Rect, scroll: Scroll) {
    let chips = update::in_force(app).chips();
    let offered = update::offered(app);
    let count = chips.len() + offered.len() + 1;
    let rows = u16::try_from(count).unwrap_or(u16::MAX).min(area.height.saturating_sub(4));
    let frame = centred(area, 96, rows.saturating_add(2).min(area.height));
    let title = Row::new()
        .add("filter", Role::TitleFocus)
        .add("  Space on/off  x drop  Enter takes a saved one  Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    let mut scroll = scroll;
    scroll.show(chips.len() + offered.len(), usize::from(inner.height.saturating_sub(1)));
    let mut lines: Vec<(Option<usize>, Row)> = Vec::new();
    for (at, chip) in chips.iter().enumerate() {
        let (word, role) = if chip.on { ("on   ", Role::Good) } else { ("off  ", Role::Dim) };
        lines.push((Some(at), Row::new().add(word, role).add(&escape(chip.text.as_bytes()), Role::Text)));
    }
    let text =
        if chips.is_empty() { "no filter; saved and earlier ones:" } else { "saved and earlier ones:" };
    lines.push((None, Row::new().add(text, Role::Dim)));
    for (at, text) in offered.iter().enumerate() {
        let mut row = Row::new().add(&safe!("{:<14}", escape(text.as_bytes()).as_str()), Role::Key);
        let saved = text.strip_prefix('$').and_then(|name| {
            app.bar.library.all().iter().find(|(known, _)| known == name).map(|(_, text)| text)
        });
        if let Some(text) = saved {
            row.push(&safe!("  {}", escape(text.as_bytes())), Role::Dim);
        }
        lines.push((Some(chips.len() + at), row));
    }
    for (y, (at, row)) in (inner.y..inner.bottom()).zip(lines.iter().skip(scroll.top)) {
        painter.row(inner.x + 2, y, inner.width.saturating_sub(2), row);
        if *at == Some(scroll.cursor) {
            painter.ground(Rect { y, height: 1, ..inner }, Role::Selected);
            painter.text(inner.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
}

fn explanation(painter: &mut Painter<'_>, area: Rect, lines: Option<&[Safe]>, top: usize) {
    let rows = u16::try_from(lines.map_or(1, <[Safe]>::len)).unwrap_or(u16::MAX);
    let frame = centred(area, area.width.saturating_sub(8).min(100), rows.saturating_add(2).min(area.height));
    let title = Row::new().add("what the filter reads", Role::TitleFocus).add("  Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    let Some(lines) = lines else {
        painter.text(inner.x, inner.y, inner.width, "reading", Role::Dim);
        return;
    };
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        painter.text(inner.x, y, inner.width, line, Role::Text);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), lines.len() as u64);
}

/// Columns and rows of the text about an event on a terminal of this size.
pub(crate) fn event_size((width, height): (u16, u16)) -> (u16, u16) {
    (width.saturating_sub(12).min(106), height.saturating_sub(6))
}

fn event(app: &App, painter: &mut Painter<'_>, area: Rect, top: usize) {
    let (columns, height) = event_size((area.width, area.height));
    let frame = centred(area, columns + 4, height + 2);
    let inner =
        painter.frame(frame, &Row::new().add("event", Role::TitleFocus).add("  Esc closes", Role::Dim));
    if app.opened.as_ref().is_none_or(Opened::is_behind) {
        painter.text(inner.x, inner.y, inner.width, "reading", Role::Dim);
        return;
    }
    let rows = detail::rows(app, columns);
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x, y, inner.width, row);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), rows.len() as u64);
}
