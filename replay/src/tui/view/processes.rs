//! The processes of a whole life, and the selected one.

use std::collections::HashMap;

use afterimage_model::{
    describe,
    findings::Severity,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{detail::lines, storyline::severity, title};
use crate::{
    time::human,
    trace::Ended,
    tui::{
        app::{App, Opened},
        feed::{DetailLine, ProcessRow, Story},
        layout::Pane,
        moment::{Clocks, TimeStyle},
        paint::{Painter, Row},
        sheets::Sheet,
        text::{bytes, capabilities_held, grouped, safe, short_count},
        theme::Role,
        whole::{Whole, end_of},
    },
};

/// What a list on a sheet is drawn from; none while the life is being read.
pub(super) fn whole<'a>(
    app: &'a App,
    painter: &mut Painter<'_>,
    inner: Rect,
) -> Option<(&'a Story, &'a Whole, &'a Sheet)> {
    let sheet = app.sheet();
    let found = app.listed().and_then(|story| Some((story, story.whole.as_deref()?, sheet?)));
    if found.is_none() {
        let text = match app.story().and_then(|story| story.reading) {
            _ if app.has_unread_story() => Safe::literal("could not be read"),
            Some(percent) => safe!("reading, {percent} %"),
            None => Safe::literal("reading"),
        };
        painter.text(inner.x + 2, inner.y, inner.width.saturating_sub(2), &text, Role::Dim);
    }
    found
}

/// How many rows of how many are shown, and the key for the others.
pub(super) fn choice(app: &App, total: usize, other: &'static str) -> Safe {
    let Some(sheet) = app.sheet() else { return Safe::default() };
    let shown = sheet.order.len();
    let filtered = !app.bar.filter.is_empty();
    let count = match (filtered, shown == total) {
        (true, _) => safe!("{} of {}, by the filter", grouped(shown as u64), grouped(total as u64)),
        (false, true) => safe!("{}", grouped(total as u64)),
        (false, false) if app.follow => safe!("{} of {}", grouped(shown as u64), grouped(total as u64)),
        (false, false) => safe!("{} of {}, {other}", grouped(shown as u64), grouped(total as u64)),
    };
    let count = if app.follow { safe!("{count}{}", by_then(app)) } else { count };
    match sheet.sorting.words() {
        Some(words) => safe!("{count}, {words}"),
        None => count,
    }
}

/// That the lists follow the clock, and how far they have come where they are behind it.
pub(super) fn by_then(app: &App) -> Safe {
    let behind = app.opened.as_ref().and_then(|opened| {
        let until = app.whole()?.until.filter(|until| *until != opened.playhead.time)?;
        Some(app.catalog.clocks.column(list_style(app), until, opened.origin, None))
    });
    behind.map_or(Safe::literal(", by the playhead"), |until| safe!(", by {until}, reading"))
}

/// What a list without rows says: that there is none only where all was read.
pub(super) fn nothing(app: &App, painter: &mut Painter<'_>, body: Rect, none: &'static str) {
    let empty = app.sheet().is_some_and(|sheet| sheet.order.is_empty());
    if !empty {
        return;
    }
    let text = match (app.all_read(), app.bar.filter.is_empty()) {
        (false, _) if app.has_unread_story() || app.has_unread_hits() => Safe::literal("could not be read"),
        (false, _) => Safe::literal("reading"),
        (true, true) if app.follow => safe!("{none} by the playhead"),
        (true, true) => Safe::literal(none),
        (true, false) => safe!("{none} that the filter keeps"),
    };
    painter.text(body.x + 2, body.y, body.width.saturating_sub(2), &text, Role::Dim);
}

/// Highlights the selected row.
pub(super) fn cursor(app: &App, painter: &mut Painter<'_>, line: Rect, pane: Pane) {
    painter.ground(line, if app.focus() == pane { Role::Selected } else { Role::SelectedQuiet });
    painter.text(line.x, line.y, 1, painter.symbols().cursor, Role::Playhead);
}

/// Style of times in lists: without "since the row before", which means nothing where rows are not in order.
pub(super) fn list_style(app: &App) -> TimeStyle {
    if app.time_style == TimeStyle::Delta { TimeStyle::Start } else { app.time_style }
}

/// Columns that times in lists take.
pub(super) fn time_width(app: &App) -> u16 {
    Clocks::width(list_style(app), app.opened.as_ref().map_or(0, Opened::length))
}

/// Places of columns, given out from the right end of a list; what is left belongs to the first column.
pub(super) struct FromRight(u16);

impl FromRight {
    pub(super) fn new(inner: Rect) -> Self {
        Self(inner.right().saturating_sub(1))
    }

    /// Where the next column to the left begins, and its width.
    pub(super) fn take(&mut self, width: u16) -> (u16, u16) {
        self.0 = self.0.saturating_sub(width + 1);
        (self.0 + 1, width)
    }

    /// The width that is left from `x` on.
    pub(super) fn room(&self, x: u16) -> u16 {
        self.0.saturating_sub(x)
    }
}

/// The list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let total = app.whole().map_or(0, |whole| whole.tree.len());
    let note = choice(app, total, "H shows all");
    let extra = Row::new().add(if app.follow { "" } else { ", whole life" }, Role::Dim);
    let inner = title(app, painter, rect, Pane::Processes, extra, &note);
    let Some((story, whole, sheet)) = whole(app, painter, inner) else { return };
    let worst = worst(story);
    let columns = Columns::new(app, inner);
    columns.heading(painter, inner.y);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    nothing(app, painter, body, "no process");
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let shown = sheet.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, index)) in (body.y..).zip(shown) {
        let Some(row) = whole.tree.get(*index) else { continue };
        let line = Rect { y, height: 1, ..body };
        columns.draw(app, painter, line, row, worst.get(&row.pid).copied());
        if at == scroll.cursor {
            cursor(app, painter, line, Pane::Processes);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), sheet.order.len() as u64);
}

/// The weightiest finding of each process.
fn worst(story: &Story) -> HashMap<u32, Severity> {
    let mut worst = HashMap::new();
    for row in &story.rows {
        let known = worst.entry(row.pid).or_insert(row.severity);
        *known = (*known).max(row.severity);
    }
    worst
}

/// Where the columns are.
struct Columns {
    process: (u16, u16),
    start: Option<(u16, u16)>,
    life: Option<(u16, u16)>,
    exit: (u16, u16),
    events: Option<(u16, u16)>,
    written: Option<(u16, u16)>,
    sent: Option<(u16, u16)>,
    find: (u16, u16),
}

impl Columns {
    fn new(app: &App, inner: Rect) -> Self {
        let start = time_width(app);
        let mut places = FromRight::new(inner);
        let find = places.take(9);
        let sent = (inner.width >= 110).then(|| places.take(9));
        let written = (inner.width >= 96).then(|| places.take(9));
        let events = (inner.width >= 72).then(|| places.take(6));
        let exit = places.take(7);
        let life = (inner.width >= 56).then(|| places.take(7));
        let start = (inner.width >= 64).then(|| places.take(start));
        let x = inner.x + 2;
        Self { process: (x, places.room(x)), start, life, exit, events, written, sent, find }
    }

    fn heading(&self, painter: &mut Painter<'_>, y: u16) {
        painter.text(self.process.0, y, self.process.1, "PROCESS", Role::Dim);
        painter.right(self.exit.0 + self.exit.1, y, self.exit.1, "EXIT", Role::Dim);
        let optional = [
            (self.start, "START"),
            (self.life, "LIFE"),
            (self.events, "EVENTS"),
            (self.written, "WRITTEN"),
            (self.sent, "SENT"),
        ];
        for (place, text) in optional {
            if let Some((x, width)) = place {
                painter.right(x + width, y, width, text, Role::Dim);
            }
        }
        painter.text(self.find.0, y, self.find.1, "FINDING", Role::Dim);
    }

    fn draw(
        &self,
        app: &App,
        painter: &mut Painter<'_>,
        line: Rect,
        row: &ProcessRow,
        worst: Option<Severity>,
    ) {
        let y = line.y;
        let quiet = dimmed(app, row);
        let (mark, role) = worst.map_or(("", Role::Text), severity);
        painter.text(line.x + 1, y, 1, mark.get(..1).unwrap_or(""), role);
        let (x, width) = self.process;
        let levels = usize::from(width / 6).max(2);
        let used = super::tree::branches(painter, x, y, row, levels, false);
        let text_role = if quiet {
            Role::Dim
        } else if row.is_foreign() {
            Role::Alert
        } else {
            Role::Text
        };
        let at = x + used;
        let end = x + width;
        let pid = painter.text(at, y, end.saturating_sub(at), &safe!("{} ", row.pid), Role::Dim);
        painter.text(at + pid, y, end.saturating_sub(at + pid), &row.command(), text_role);
        let Some(opened) = &app.opened else { return };
        let start = app.catalog.clocks.column(list_style(app), row.began(), opened.origin, None);
        let right = |painter: &mut Painter<'_>, (x, width): (u16, u16), text: &Safe, role| {
            painter.right(x + width, y, width, text, role);
        };
        let last = app.whole().and_then(|whole| whole.until).unwrap_or(opened.whole.1);
        let life = end_of(row, last).0.saturating_sub(row.began().0);
        for (place, text, role) in
            [(self.start, start, Role::Dim), (self.life, safe!("{}", human(life)), Role::Text)]
        {
            if let Some(place) = place {
                right(painter, place, &text, role);
            }
        }
        let (exit, role) = exit(row);
        right(painter, self.exit, &exit, role);
        if let Some(place) = self.events {
            right(painter, place, &short_count(row.process.events), Role::Text);
        }
        for (place, number) in
            [(self.written, row.process.bytes_written), (self.sent, row.process.bytes_sent)]
        {
            if let Some(place) = place {
                let text = if number == 0 { Safe::literal("-") } else { bytes(number) };
                right(painter, place, &text, if number == 0 { Role::Dim } else { Role::Text });
            }
        }
        let word = worst.map_or("", Severity::as_str);
        painter.text(self.find.0, y, self.find.1, word, worst.map_or(Role::Dim, |worst| severity(worst).1));
    }
}

/// Whether a row is there only as the way to others.
fn dimmed(app: &App, row: &ProcessRow) -> bool {
    app.hits().is_some_and(|hits| hits.reading.is_none() && !hits.touched.pids.contains(&row.pid))
}

/// How it ended.
pub(super) fn exit(row: &ProcessRow) -> (Safe, Role) {
    match row.ended() {
        Some((_, Some(Ended::Code(0)))) => (Safe::literal("0"), Role::Dim),
        Some((_, Some(Ended::Code(code)))) => (safe!("{code}"), Role::Warn),
        Some((_, Some(Ended::Signal(signal)))) => (safe!("sig {signal}"), Role::Bad),
        Some((_, None)) => (Safe::literal("?"), Role::Dim),
        None => (Safe::literal("alive"), Role::Good),
    }
}

/// What is known of the selected process.
pub(super) fn card(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let row = app.selected_process();
    let extra = row.map_or_else(Row::new, |row| Row::new().add(&safe!(" {}", row.pid), Role::Text));
    let inner = title(app, painter, rect, Pane::Card, extra, &Safe::default());
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let Some(row) = row else { return };
    paragraph(painter, inner, &about(whole, row), sheet.left.top);
}

/// Rows of text, from a row on.
pub(super) fn paragraph(painter: &mut Painter<'_>, inner: Rect, detail: &[DetailLine], top: usize) {
    let rows = lines(detail, inner.width.saturating_sub(3));
    let top = top.min(rows.len().saturating_sub(1));
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x + 1, y, inner.width.saturating_sub(3), row);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), rows.len() as u64);
}

fn about(whole: &Whole, row: &ProcessRow) -> Vec<DetailLine> {
    let key = row.key();
    let Some(process) = whole.world.process(key) else { return Vec::new() };
    let mut pairs: Vec<(&'static str, Safe)> = vec![("command", process.title())];
    if let Some(run) = process.exec() {
        let marks = describe::image_marks(run.flags);
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
        let size = run.size.map_or_else(Safe::default, |size| safe!(", {}", bytes(size)));
        pairs.push(("program", safe!("{}{marks}{size}", escape(run.program()))));
    }
    pairs.push(("parents", whole.ancestry(process)));
    if let Some(vpid) = process.vpid {
        pairs.push(("pid inside", safe!("{vpid}")));
    }
    let rights = &process.credentials;
    let shown = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    pairs.push((
        "user",
        safe!("uid {} (effective {}) gid {}", shown(rights.uid), shown(rights.euid), shown(rights.gid)),
    ));
    if let Some(caps) = rights.effective {
        pairs.push(("rights", capabilities_held(caps)));
    }
    if let Some(cwd) = &process.cwd {
        pairs.push(("directory", escape(cwd)));
    }
    pairs.extend(process.other_root().map(|root| ("root", root)));
    let seen = [("threads", u64::from(process.threads_seen)), ("events", process.events)];
    pairs.extend(seen.map(|(name, count)| (name, grouped(count))));
    pairs.push(("files", safe!("{} written", bytes(process.bytes_written))));
    pairs.push((
        "network",
        safe!("{} sent, {} received", bytes(process.bytes_sent), bytes(process.bytes_received)),
    ));
    let mut all: Vec<DetailLine> =
        pairs.into_iter().map(|(key, value)| DetailLine::Pair(Safe::literal(key), value)).collect();
    if process.execs.len() > 1 {
        all.push(DetailLine::Section("programs that it executed"));
        all.extend(process.execs.iter().map(|run| DetailLine::Pair(Safe::default(), run.command_line(None))));
    }
    all
}

/// The findings of the selected process.
pub(super) fn acts(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Acts, Row::new(), &Safe::default());
    let Some((story, _, sheet)) = whole(app, painter, inner) else { return };
    let (Some(row), Some(opened)) = (app.selected_process(), &app.opened) else { return };
    let rows: Vec<_> = story.rows.iter().filter(|line| line.pid == row.pid).collect();
    if rows.is_empty() {
        painter.text(inner.x + 1, inner.y, inner.width.saturating_sub(2), "none", Role::Dim);
    }
    let top = sheet.right.top.min(rows.len().saturating_sub(1));
    for (y, line) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        let (mark, role) = severity(line.severity);
        let time = app.catalog.clocks.column(list_style(app), line.time, opened.origin, None);
        let row = Row::new().add(&safe!("{time} {mark:2} "), Role::Dim).add(&line.text, role);
        painter.row(inner.x + 1, y, inner.width.saturating_sub(2), &row);
    }
}
