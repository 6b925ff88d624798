//! The Timeline screen: processes, files and peers as lanes over time, and the densities under them.

use std::collections::HashSet;

use afterimage_format::BootNanos;
use afterimage_model::{
    files::{ActKind, FileRecord},
    net::Conversation,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{
    processes::{by_then, nothing, whole},
    timeline::{Axis, density, findings, losses, playhead},
    title,
};
use crate::{
    time::human,
    tui::{
        app::{App, Opened},
        feed::{Column, ProcessRow},
        layout::Pane,
        paint::{Painter, Row},
        peers::peer_within,
        ribbon::Lane,
        sheets::LaneRow,
        text::safe,
        theme::Role,
        whole::{Whole, end_of},
    },
};

/// Columns of the lanes' names.
pub(crate) fn name_columns(width: u16) -> u16 {
    if width >= 100 { 26 } else { 16 }
}

/// Rows at the bottom: densities, what was lost, the ticks.
fn density_rows(height: u16) -> u16 {
    match height {
        36.. => 9,
        24.. => 6,
        14.. => 4,
        _ => 2,
    }
}

/// Draws the screen.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let Some(opened) = &app.opened else { return };
    let (begin, end) = opened.window;
    let names = name_columns(rect.width);
    let axis = Axis::with_names(opened.window, rect, names);
    let length = end.0.saturating_sub(begin.0);
    let whole_length = opened.length();
    let note = safe!("{} of {}, 1 column = {}", human(length), human(whole_length), human(axis.scale()));
    let hot = app.sheet().is_none_or(|sheet| !sheet.other);
    let extra = Row::new()
        .add(if hot { ", what stands out" } else { ", everything" }, Role::Dim)
        .add(&if app.follow { by_then(app) } else { Safe::default() }, Role::Dim);
    let inner = title(app, painter, rect, Pane::Lanes, extra, &note);
    if has_brush(inner.height) {
        brush(app, painter, Rect { height: 2, ..inner }, names);
    }
    let rows = app.listed().map_or(&[][..], |story| story.rows.as_slice());
    let body = body(app, rect);
    let pinned = pinned_rows(app, inner.height);
    findings(painter, axis, body.y.saturating_sub(pinned + 1), rows);
    if let Some(whole) = app.whole() {
        let top = body.y.saturating_sub(pinned);
        for (y, name) in (top..body.y).zip(&opened.pinned) {
            let line = Rect { y, height: 1, ..inner };
            lane(opened, painter, axis, line, whole, &LaneRow::named(whole, name));
            painter.text(line.x, y, 1, "^", Role::Key);
        }
    }
    lanes(app, opened, painter, axis, body);
    let bottom = inner.bottom().saturating_sub(body.bottom());
    below(app, opened, painter, axis, Rect { y: body.bottom(), height: bottom, ..inner });
}

/// Whether there is room for the whole life in one row.
fn has_brush(height: u16) -> bool {
    height >= 18
}

/// Rows for pinned lanes: never so many that there is little left for the others.
fn pinned_rows(app: &App, height: u16) -> u16 {
    let pinned = app.opened.as_ref().map_or(0, |opened| opened.pinned.len());
    u16::try_from(pinned).unwrap_or(u16::MAX).min(height / 4)
}

/// Where the lanes that can be selected are.
fn body(app: &App, rect: Rect) -> Rect {
    let inner = Rect { y: rect.y + 1, height: rect.height.saturating_sub(1), ..rect };
    let above = if has_brush(inner.height) { 3 } else { 1 } + pinned_rows(app, inner.height);
    let below = density_rows(inner.height);
    Rect { y: inner.y + above, height: inner.height.saturating_sub(above + below), ..inner }
}

/// The lane at a row of the screen: its place in the list.
pub(crate) fn lane_at(app: &App, rect: Rect, y: u16) -> Option<usize> {
    let body = body(app, rect);
    let into = y.checked_sub(body.y).filter(|into| *into < body.height)?;
    let sheet = app.sheet()?;
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let at = scroll.top + usize::from(into);
    (at < sheet.order.len()).then_some(at)
}

/// The whole life in one row, and which part of it the window shows.
fn brush(app: &App, painter: &mut Painter<'_>, area: Rect, names: u16) {
    let Some(opened) = &app.opened else { return };
    let axis = Axis::with_names(opened.whole, area, names);
    let empty: Vec<Column> = Vec::new();
    let lane = (Lane::All, Some(opened.uid));
    density(app, painter, axis, area.y, lane, opened.life.value().unwrap_or(&empty));
    let Some((first, last)) = axis.touched(opened.window.0, opened.window.1) else { return };
    let line = painter.symbols().rule_focus.repeat(usize::from(last - first + 1));
    painter.text(axis.x() + first, area.y + 1, last - first + 1, &safe!("{line}"), Role::TitleFocus);
    painter.text(area.x + 1, area.y + 1, names.saturating_sub(2), "window", Role::Dim);
}

/// Densities, losses, ticks.
fn below(app: &App, opened: &Opened, painter: &mut Painter<'_>, axis: Axis, area: Rect) {
    let empty: Vec<Column> = Vec::new();
    let columns = opened.density.value().unwrap_or(&empty);
    let lanes = usize::from(area.height.saturating_sub(2));
    for (y, lane) in (area.y..).zip(Lane::chosen(columns, lanes)) {
        density(app, painter, axis, y, (lane, Some(opened.uid)), columns);
    }
    if area.height > 1 {
        losses(app, painter, axis, area.bottom().saturating_sub(2), Some(opened.uid));
    }
    playhead(app, painter, axis, area.bottom().saturating_sub(1));
}

/// The lanes that are seen.
fn lanes(app: &App, opened: &Opened, painter: &mut Painter<'_>, axis: Axis, body: Rect) {
    let Some((_, whole, sheet)) = whole(app, painter, body) else { return };
    nothing(app, painter, body, "nothing stands out: no lane");
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let shown = sheet.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, place)) in (body.y..).zip(shown) {
        let line = Rect { y, height: 1, ..body };
        lane(opened, painter, axis, line, whole, &LaneRow::of(whole, *place));
        if at == scroll.cursor {
            painter.ground(line, Role::Selected);
            painter.text(line.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), sheet.order.len() as u64);
}

fn lane(
    opened: &Opened,
    painter: &mut Painter<'_>,
    axis: Axis,
    line: Rect,
    whole: &Whole,
    row: &LaneRow<'_>,
) {
    match row {
        LaneRow::Process(row) => process(opened, painter, axis, line, whole, row),
        LaneRow::File(file) => object(painter, axis, line, &escape(&file.path), &acts(file)),
        LaneRow::Peer(talk) => {
            let name =
                peer_within(talk, usize::from(axis.names().saturating_sub(2)), painter.symbols().ellipsis);
            object(painter, axis, line, &name, &ends(talk));
        }
        LaneRow::None => {}
    }
}

/// A process: a line while it was there, `*` where it executed, `x` where it ended.
fn process(
    opened: &Opened,
    painter: &mut Painter<'_>,
    axis: Axis,
    line: Rect,
    whole: &Whole,
    row: &ProcessRow,
) {
    let names = axis.names().saturating_sub(2);
    let indent = " ".repeat(row.depth.min(6));
    let role = if row.is_foreign() { Role::Alert } else { Role::Text };
    painter.text(line.x + 1, line.y, names, &safe!("{indent}{} {}", row.pid, short(&row.command())), role);
    let end = end_of(row, whole.until.unwrap_or(opened.whole.1));
    let Some((first, last)) = axis.touched(row.began(), end) else { return };
    let bar = painter.symbols().rule.repeat(usize::from(last - first + 1));
    painter.text(
        axis.x() + first,
        line.y,
        last - first + 1,
        &safe!("{bar}"),
        if row.is_foreign() { Role::Alert } else { Role::Exec },
    );
    let key = row.key();
    let execs = whole.world.process(key).map_or(&[][..], |process| process.execs.as_slice());
    for run in execs {
        mark(painter, axis, line.y, run.time, "*", Role::Exec);
    }
    if let Some((time, _)) = row.ended() {
        mark(painter, axis, line.y, time, "x", Role::Dim);
    }
}

/// A command without the directory of its program: lanes have narrow names.
fn short(command: &Safe) -> &str {
    let text = command.as_str();
    let program = text.split(' ').next().unwrap_or(text);
    program.rfind('/').and_then(|at| text.get(at + 1..)).filter(|rest| !rest.is_empty()).unwrap_or(text)
}

fn mark(painter: &mut Painter<'_>, axis: Axis, y: u16, at: BootNanos, text: &'static str, role: Role) {
    if let Some(column) = axis.column(at) {
        painter.text(axis.x() + column, y, 1, text, role);
    }
}

/// Something that was used: letters where it was, dots between.
fn object(
    painter: &mut Painter<'_>,
    axis: Axis,
    line: Rect,
    name: &Safe,
    marks: &[(BootNanos, &'static str, Role)],
) {
    painter.path(line.x + 1, line.y, axis.names().saturating_sub(2), name, Role::Dim);
    let (Some((first, ..)), Some((last, ..))) = (marks.first(), marks.last()) else { return };
    if let Some((from, to)) = axis.touched(*first, *last) {
        let dots = painter.symbols().dot.repeat(usize::from(to - from + 1));
        painter.text(axis.x() + from, line.y, to - from + 1, &safe!("{dots}"), Role::Rule);
    }
    // Where several fall into one column, the weightiest is seen: those that change more come later.
    let mut taken: HashSet<u16> = HashSet::new();
    for (time, text, role) in marks.iter().rev() {
        if let Some(column) = axis.column(*time).filter(|column| taken.insert(*column)) {
            painter.text(axis.x() + column, line.y, 1, *text, *role);
        }
    }
}

fn acts(file: &FileRecord) -> Vec<(BootNanos, &'static str, Role)> {
    let letter = |kind| match kind {
        ActKind::Created | ActKind::OpenedOrCreated | ActKind::Linked => ("c", Role::Write),
        ActKind::Written | ActKind::MappedForWriting | ActKind::Truncated | ActKind::OpenedForWriting => {
            ("w", Role::Write)
        }
        ActKind::Executed | ActKind::Mapped => ("X", Role::Exec),
        ActKind::Deleted | ActKind::Replaced => ("u", Role::Warn),
        ActKind::ModeSet { .. } | ActKind::OwnerSet => ("m", Role::Write),
        ActKind::Renamed => ("n", Role::Write),
        ActKind::Refused | ActKind::NotExecuted => ("f", Role::Bad),
        ActKind::Read | ActKind::OpenedForReading => ("r", Role::File),
    };
    let mut all = Vec::new();
    for act in &file.acts {
        let (text, role) = letter(act.kind);
        all.push((act.time, text, role));
        if act.last > act.time {
            all.push((act.last, text, role));
        }
    }
    all.sort_by_key(|(time, ..)| *time);
    all
}

fn ends(talk: &Conversation) -> Vec<(BootNanos, &'static str, Role)> {
    let begin = match (talk.connections, talk.failures) {
        (0, 1..) => ("f", Role::Bad),
        // Datagrams need no connection; of an attempt that was interrupted nothing is known.
        (0, 0) => ("d", Role::Net),
        _ => ("c", Role::Net),
    };
    let mut all = vec![(talk.first, begin.0, begin.1)];
    if talk.last > talk.first {
        all.push((talk.last, "d", Role::Net));
    }
    all
}

#[cfg(test)]
mod tests {
    use afterimage_model::net::Direction;

    use super::*;

    #[test]
    fn only_what_failed_is_told_as_failed() {
        let talk = |connections, failures| Conversation {
            protocol: "udp",
            direction: Direction::Out,
            peer: None,
            claimed: false,
            local: None,
            names: Vec::new(),
            first: BootNanos(1),
            last: BootNanos(1),
            connections,
            failures,
            interrupted: 0,
            last_error: None,
            sent: 0,
            received: 0,
            unread_sent: 0,
            unread_received: 0,
            messages_sent: 0,
            messages_received: 0,
            processes: Vec::new(),
        };
        let letter = |connections, failures| ends(&talk(connections, failures)).first().map(|end| end.1);
        assert_eq!(letter(1, 0), Some("c"));
        assert_eq!(letter(1, 1), Some("c"));
        assert_eq!(letter(0, 1), Some("f"));
        assert_eq!(letter(0, 0), Some("d"), "datagrams without a connection");
    }
}
