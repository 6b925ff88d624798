//! The list of events: only the rows that are seen are drawn, and what was lost stands between them.

use afterimage_format::{BlockInfo, BootNanos, Loss};
use afterimage_model::{findings::Severity, text::Safe};
use ratatui::layout::Rect;

use super::title;
use crate::{
    time::human,
    tui::{
        app::{App, Opened},
        feed::{EventRow, Page},
        layout::Pane,
        moment::Clocks,
        paint::{Painter, Row},
        text::{counted, grouped, safe},
        theme::Role,
    },
};

/// A wait that is shown between two events, nanoseconds.
const IDLE: u64 = 1_000_000_000;

/// A line of the list.
enum Line<'a> {
    Event(usize, &'a EventRow),
    Lost(&'a Loss),
    /// Recorded, and cannot be read.
    Corrupt(&'a BlockInfo),
    Idle(u64),
}

/// The columns.
struct Columns {
    time: u16,
    pid: u16,
    process: u16,
    name: u16,
    result: u16,
}

/// Draws the list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Events, Row::new(), &Safe::default());
    let Some(opened) = &app.opened else { return };
    let Some(page) = opened.page.value() else {
        let text = if opened.page.has_failed() { "could not be read" } else { "reading" };
        painter.text(inner.x + 2, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
        return;
    };
    let length = opened.length();
    let columns = columns(app, inner.width, length);
    heading(app, painter, inner, &columns);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let Some(cursor) = opened.playhead.row(page) else {
        painter.text(body.x + 2, body.y, body.width.saturating_sub(2), &nothing(app), Role::Dim);
        return;
    };
    let lines = lines(app, opened, page, cursor, usize::from(body.height));
    for (y, line) in (body.y..body.bottom()).zip(lines) {
        let area = Rect { y, height: 1, ..body };
        match line {
            Line::Event(at, row) => {
                let before = at.checked_sub(1).and_then(|i| page.rows.get(i)).map(|row| row.id.time);
                draw_row(app, opened, painter, area, &columns, (row, before));
                if at == cursor {
                    let role = if app.focus() == Pane::Events { Role::Selected } else { Role::SelectedQuiet };
                    painter.ground(area, role);
                    painter.text(area.x, y, 1, painter.symbols().cursor, Role::Playhead);
                }
            }
            Line::Lost(loss) => lost(painter, area, loss),
            Line::Corrupt(block) => corrupt(painter, area, block),
            Line::Idle(nanos) => idle(app, painter, area, nanos),
        }
    }
}

/// What a list without rows says: that nothing matches only when that is known.
fn nothing(app: &App) -> Safe {
    let corrupt = app.opened.as_ref().map_or(0, |opened| app.catalog.corrupt(opened.uid));
    let corrupt = |none: &'static str, few: &'static str| match corrupt {
        0 => Safe::literal(none),
        events => safe!("{few}: {} corrupt, Health has the place", counted(events, "event")),
    };
    if app.bar.filter.is_empty() {
        return corrupt("no event", "no event can be read");
    }
    match app.hits() {
        Some(hits) if hits.reading.is_none() && hits.len() == 0 => {
            corrupt("no event matches the filter", "no event that can be read matches the filter")
        }
        _ if app.has_unread_hits() => {
            Safe::literal("could not be read; put in force again, the filter is tried again")
        }
        _ => Safe::literal("reading"),
    }
}

/// The lines around the cursor; it stands on its screen row as far as the ends of the list allow.
fn lines<'a>(app: &'a App, opened: &Opened, page: &'a Page, cursor: usize, height: usize) -> Vec<Line<'a>> {
    let losses: Vec<&Loss> = app.catalog.losses_of(Some(opened.uid)).collect();
    let unread: Vec<&BlockInfo> = app.catalog.unread_of(Some(opened.uid)).collect();
    let first = cursor.saturating_sub(height + 1);
    let mut lines = Vec::new();
    let mut at = 0;
    for (i, row) in page.rows.iter().enumerate().skip(first).take(height * 2 + 3) {
        let before = i.checked_sub(1).and_then(|i| page.rows.get(i)).map(|row| row.id.time);
        between(&mut lines, (&losses, &unread), before, row.id.time, page.at_start);
        if i == cursor {
            at = lines.len();
        }
        lines.push(Line::Event(i, row));
        if i + 1 == page.rows.len() && page.at_end {
            let behind = unread.iter().filter(|block| block.first > row.id.time);
            lines.extend(behind.map(|block| Line::Corrupt(block)));
        }
    }
    let most = lines.len().saturating_sub(height);
    let top = at.saturating_sub(opened.line(height)).min(most);
    lines.drain(..top);
    lines
}

/// The event under a row of the pane: the places of the cursor's event and of that one.
pub(crate) fn row_at(app: &App, rect: Rect, y: u16) -> Option<(usize, usize)> {
    let opened = app.opened.as_ref()?;
    let (page, cursor) = opened.at()?;
    // Title and heading stand above the rows.
    let into = y.checked_sub(rect.y + 2)?;
    let lines = lines(app, opened, page, cursor, usize::from(rect.height.saturating_sub(2)));
    match lines.get(usize::from(into))? {
        Line::Event(at, _) => Some((cursor, *at)),
        Line::Lost(_) | Line::Corrupt(_) | Line::Idle(_) => None,
    }
}

/// What stands between two events: losses, and a long wait.
fn between<'a>(
    lines: &mut Vec<Line<'a>>,
    (losses, unread): (&[&'a Loss], &[&'a BlockInfo]),
    before: Option<BootNanos>,
    time: BootNanos,
    at_start: bool,
) {
    if before.is_none() && !at_start {
        return;
    }
    let after = before.unwrap_or(BootNanos(0));
    let here = losses.iter().filter(|l| l.to <= time && (l.to > after || before.is_none()));
    let count = lines.len();
    lines.extend(here.map(|loss| Line::Lost(loss)));
    let here = unread.iter().filter(|b| b.first <= time && (b.first > after || before.is_none()));
    lines.extend(here.map(|block| Line::Corrupt(block)));
    let wait = time.0.saturating_sub(after.0);
    if before.is_some() && wait >= IDLE && lines.len() == count {
        lines.push(Line::Idle(wait));
    }
}

fn columns(app: &App, width: u16, length: u64) -> Columns {
    let full = Clocks::width(app.time_style, length);
    Columns {
        time: if width < 60 { full.min(12) } else { full },
        pid: 6,
        process: match width {
            110.. => 16,
            84.. => 12,
            _ => 0,
        },
        name: if width >= 70 { 14 } else { 10 },
        result: if width >= 70 { 10 } else { 8 },
    }
}

fn heading(app: &App, painter: &mut Painter<'_>, inner: Rect, columns: &Columns) {
    let y = inner.y;
    let mut x = inner.x + 2;
    painter.text(x, y, columns.time, app.time_style.heading(), Role::Dim);
    x += columns.time + 1;
    painter.right(x + columns.pid, y, columns.pid, "PID", Role::Dim);
    x += columns.pid + 1;
    if columns.process > 0 {
        painter.text(x, y, columns.process, "PROCESS", Role::Dim);
        x += columns.process + 1;
    }
    painter.text(x, y, columns.name, "EVENT", Role::Dim);
    x += columns.name + 1;
    painter.text(x, y, inner.right().saturating_sub(x + columns.result), "DETAIL", Role::Dim);
    painter.right(inner.right().saturating_sub(1), y, columns.result, "RESULT", Role::Dim);
}

fn draw_row(
    app: &App,
    opened: &Opened,
    painter: &mut Painter<'_>,
    area: Rect,
    columns: &Columns,
    (row, before): (&EventRow, Option<BootNanos>),
) {
    let y = area.y;
    let severity = finding(app, row);
    let (mark, role) = mark(row, severity);
    painter.text(area.x + 1, y, 1, mark, role);
    let mut x = area.x + 2;
    let time = app.catalog.clocks.column(app.time_style, row.id.time, opened.origin, before);
    painter.text(x, y, columns.time, &time, Role::Dim);
    x += columns.time + 1;
    painter.right(x + columns.pid, y, columns.pid, &safe!("{}", row.pid), Role::Dim);
    x += columns.pid + 1;
    if columns.process > 0 {
        painter.text(x, y, columns.process, &row.process, Role::Text);
        x += columns.process + 1;
    }
    painter.text(x, y, columns.name, &row.name, class_role(row.class));
    x += columns.name + 1;
    let role = match severity {
        Some(Severity::Critical) => Role::Alert,
        Some(Severity::Warning) => Role::Warn,
        _ if row.setup => Role::Dim,
        _ => Role::Text,
    };
    let room = area.right().saturating_sub(x + columns.result + 2);
    painter.text(x, y, room, &row.detail, role);
    let role = if row.failed { Role::Bad } else { Role::Dim };
    painter.right(area.right().saturating_sub(1), y, columns.result, &row.result, role);
}

/// The colour of a class.
pub(super) fn class_role(class: afterimage_format::Class) -> Role {
    use afterimage_format::Class;
    match class {
        Class::Exec => Role::Exec,
        Class::File => Role::File,
        Class::FileWrite => Role::Write,
        Class::Net => Role::Net,
        Class::Dns => Role::Dns,
        Class::Priv => Role::Priv,
        Class::Mem => Role::Mem,
        Class::Signal => Role::Signal,
        Class::Other => Role::Other,
    }
}

/// How much the finding about this event weighs.
fn finding(app: &App, row: &EventRow) -> Option<Severity> {
    let rows = &app.story()?.rows;
    let from = rows.partition_point(|f| f.time < row.id.time);
    rows.iter()
        .skip(from)
        .take_while(|f| f.time == row.id.time)
        .find(|f| f.id == Some(row.id))
        .map(|f| f.severity)
}

/// What is to be said of a row in one column.
fn mark(row: &EventRow, severity: Option<Severity>) -> (&'static str, Role) {
    match severity {
        Some(Severity::Critical) => ("!", Role::Alert),
        Some(Severity::Warning) => ("!", Role::Warn),
        Some(Severity::Notice) => ("-", Role::Text),
        Some(Severity::Info) => (" ", Role::Text),
        None if row.differs => ("?", Role::Warn),
        None if row.incomplete => ("*", Role::Warn),
        None if row.truncated => ("<", Role::Dim),
        None => (" ", Role::Text),
    }
}

fn lost(painter: &mut Painter<'_>, area: Rect, loss: &Loss) {
    let what = match loss.count {
        Some(count) => safe!("{} events {}", grouped(count), loss.cause.word()),
        None => safe!("events {}, nobody knows how many", loss.cause.word()),
    };
    let long = human(loss.to.0.saturating_sub(loss.from.0));
    let cpu = loss.cpu.map_or_else(Safe::default, |cpu| safe!(", cpu {cpu}"));
    let whose = if loss.container.is_none() { ", maybe of other containers" } else { "" };
    let symbol = painter.symbols().lost;
    let text = safe!("{symbol} {what} within {long}: {}{cpu}{whose} ", loss.cause.as_str());
    let row = Row::new().add(&text, Role::Lost);
    painter.separator(area, &row, symbol, Role::Lost);
}

fn corrupt(painter: &mut Painter<'_>, area: Rect, block: &BlockInfo) {
    let long = human(block.last.0.saturating_sub(block.first.0));
    let symbol = painter.symbols().corrupt;
    let events = counted(u64::from(block.rows), "event");
    let text = safe!("{symbol} corrupt: {events} within {long} cannot be read ");
    painter.separator(area, &Row::new().add(&text, Role::Bad), symbol, Role::Bad);
}

fn idle(app: &App, painter: &mut Painter<'_>, area: Rect, nanos: u64) {
    let word = if app.bar.filter.is_empty() { "nothing for" } else { "nothing shown for" };
    let text = safe!("{word} {} ", human(nanos));
    let dot = painter.symbols().dot;
    painter.separator(area, &Row::new().add(&text, Role::Dim), dot, Role::Rule);
}
