//! The list of containers.

use afterimage_format::ContainerUid;
use afterimage_model::text::Safe;
use ratatui::layout::Rect;

use super::title;
use crate::{
    time::human,
    trace::{Ended, State},
    tui::{
        app::App,
        feed::{ContainerRow, Tally},
        filter::words,
        layout::Pane,
        paint::{Painter, Row},
        text::{grouped, safe, short_count},
        theme::Role,
    },
};

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    heading: &'static str,
    width: u16,
    right: bool,
    /// Columns with a lower number are left out later; those with 0 never.
    rank: u8,
    text: fn(&App, &ContainerRow) -> (Safe, Role),
}

impl Column {
    const fn new(
        heading: &'static str,
        width: u16,
        rank: u8,
        text: fn(&App, &ContainerRow) -> (Safe, Role),
    ) -> Self {
        Self { heading, width, right: false, rank, text }
    }

    const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Whether it takes more room where there is some.
    fn grows(&self) -> bool {
        matches!(self.heading, "CONTAINER" | "POD" | "IMAGE")
    }
}

/// Draws the list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = safe!("{}", app.list.sort.name());
    let inner = title(app, painter, rect, Pane::Containers, Row::new(), &note);
    let columns = columns(app, inner.width);
    heading(painter, inner, &columns);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if app.list.order.is_empty() {
        let known = app.list.kept.entry().is_some_and(|(key, _)| key.text == app.list.wanted);
        let text = match (app.catalog.containers.is_empty(), known) {
            (true, _) if !app.catalog.damage.is_empty() => {
                "no container in what can be read: Health has the damage"
            }
            (true, _) => "no container in this recording",
            (false, _) if app.list.sought.is_some() => match app.list.found().map(|found| found.reading) {
                Some(None) => "no container has such an event",
                _ if app.list.sweep.has_failed() => "could not be read",
                _ => "nothing found yet",
            },
            (false, true) if words(&app.list.wanted).is_some() => {
                "no container is called that; find (Ctrl-f) looks in their events"
            }
            (false, true) => "no container matches",
            (false, false) => "reading",
        };
        painter.text(body.x + 2, body.y, body.width.saturating_sub(2), text, Role::Dim);
        return;
    }
    let scroll = app.list.scroll;
    let shown = app.list.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, index)) in (body.y..).zip(shown) {
        let Some(row) = app.catalog.containers.get(*index) else { continue };
        let line = Rect { y, height: 1, ..body };
        draw_row(app, painter, line, &columns, row);
        if app.list.marked == Some(row.uid) {
            painter.text(line.x + 1, y, 1, "*", Role::Good);
        }
        if at == scroll.cursor {
            let focus = app.focus() == Pane::Containers;
            painter.ground(line, if focus { Role::Selected } else { Role::SelectedQuiet });
            painter.text(line.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), app.list.order.len() as u64);
}

/// Columns of names where there is room, and where there is little.
const COMFORT: u16 = 20;
const LEAST_NAME: u16 = 11;

/// The columns that fit, in their order.
fn columns(app: &App, width: u16) -> Vec<Column> {
    let started = if one_day(app) { 8 } else { 19 };
    let has = |part: fn(&ContainerRow) -> bool| app.catalog.containers.iter().any(part);
    let mut all = vec![
        Column::new("STATE", 8, 0, state),
        Column::new("CONTAINER", COMFORT, 0, |_, row| (row.name.clone(), Role::Strong)),
        Column::new("ID", 12, 10, |_, row| (row.short_id.clone(), Role::Dim)),
        Column::new("POD", COMFORT, 8, |_, row| or_dash(row.pod.as_ref())),
        Column::new("IMAGE", COMFORT, 6, |_, row| or_dash(row.image.as_ref())),
        Column::new("ENGINE", 10, 9, |_, row| (safe!("{}", row.engine), Role::Dim)),
        Column::new("STARTED", started, 5, self::started),
        Column::new("LIFE", 7, 3, life).right(),
        Column::new("EXIT", 6, 7, exit).right(),
        Column::new("EVENTS", 10, 4, events).right(),
        Column::new("ALERTS", 6, 2, alerts).right(),
        Column::new("LOST", 5, 0, lost).right(),
        Column::new("HITS", 6, 0, hits).right(),
        Column::new("FINDINGS", 9, 1, findings),
    ];
    all.retain(|column| match column.heading {
        "POD" => has(|row| row.pod.is_some()),
        "IMAGE" => has(|row| row.image.is_some()),
        // Where nothing came from outside, there is nothing to say.
        "ALERTS" => !app.list.alerts.is_empty(),
        "HITS" => app.list.sought.is_some(),
        _ => true,
    });
    let room = width.saturating_sub(3);
    let taken = |columns: &[Column]| columns.iter().map(|c| c.width + 1).sum::<u16>();
    while taken(&all) > room {
        let last = all.iter().map(|c| c.rank).max().unwrap_or(0);
        match all.iter_mut().find(|c| c.grows() && c.width > LEAST_NAME) {
            // Before anything that matters is left out, names are cut.
            Some(name) if last <= 5 => name.width = LEAST_NAME,
            _ if last > 0 => all.retain(|column| column.rank != last),
            _ => break,
        }
    }
    let left = room.saturating_sub(taken(&all));
    let growing = u16::try_from(all.iter().filter(|c| c.grows()).count()).unwrap_or(1).max(1);
    for column in all.iter_mut().filter(|c| c.grows()) {
        column.width += (left / growing).min(30);
    }
    all
}

/// Whether the whole recording lies within one day.
fn one_day(app: &App) -> bool {
    let (begin, end) = app.catalog.range;
    let day = |at| {
        app.catalog
            .clocks
            .date_time(app.time_style, at)
            .map(|time| safe!("{}", time.as_str().get(..10).unwrap_or("")))
    };
    day(begin) == day(end)
}

fn heading(painter: &mut Painter<'_>, inner: Rect, columns: &[Column]) {
    let mut x = inner.x + 2;
    for column in columns {
        if column.right {
            painter.right(x + column.width, inner.y, column.width, column.heading, Role::Dim);
        } else {
            painter.text(x, inner.y, column.width, column.heading, Role::Dim);
        }
        x += column.width + 1;
    }
}

fn draw_row(app: &App, painter: &mut Painter<'_>, line: Rect, columns: &[Column], row: &ContainerRow) {
    if !row.life.partial.is_empty() && row.uid != ContainerUid::HOST {
        painter.text(line.x + 1, line.y, 1, "~", Role::Warn);
    }
    let mut x = line.x + 2;
    for column in columns {
        let (text, role) = (column.text)(app, row);
        if column.right {
            painter.right(x + column.width, line.y, column.width, &text, role);
        } else {
            painter.text(x, line.y, column.width, &text, role);
        }
        x += column.width + 1;
    }
}

fn state(_: &App, row: &ContainerRow) -> (Safe, Role) {
    let role = match row.life.state {
        State::Running => Role::Good,
        State::Deleted => Role::Warn,
        State::Exited => Role::Text,
        State::Unknown => Role::Dim,
    };
    (safe!("{}", row.life.state.as_str()), role)
}

fn findings(app: &App, row: &ContainerRow) -> (Safe, Role) {
    let Some(tally) = app.tallies.of(row.uid) else {
        if app.tallies.has_failed(row.uid) {
            return (Safe::literal("unread"), Role::Bad);
        }
        return (safe!("{}", app.look.symbols.ellipsis), Role::Dim);
    };
    let parts = [(tally.critical, "!!"), (tally.warning, "!"), (tally.notice, "-")];
    let texts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, mark)| format!("{count}{mark}")).collect();
    match tally {
        Tally { critical: 1.., .. } => (safe!("{}", texts.join(" ")), Role::Alert),
        Tally { warning: 1.., .. } => (safe!("{}", texts.join(" ")), Role::Warn),
        Tally { notice: 1.., .. } => (safe!("{}", texts.join(" ")), Role::Text),
        _ => (Safe::literal("none"), Role::Dim),
    }
}

/// Events that match what is looked for in all containers.
fn hits(app: &App, row: &ContainerRow) -> (Safe, Role) {
    let found = app.list.found().and_then(|found| found.by_container.get(&row.uid));
    found.map_or((Safe::literal("-"), Role::Dim), |found| (short_count(found.count), Role::Match))
}

fn alerts(app: &App, row: &ContainerRow) -> (Safe, Role) {
    match app.list.alerts.get(&row.uid) {
        Some(count) => (short_count(u64::from(*count)), Role::Alert),
        None => (Safe::literal("0"), Role::Dim),
    }
}

fn or_dash(text: Option<&Safe>) -> (Safe, Role) {
    text.map_or((Safe::literal("-"), Role::Dim), |text| (text.clone(), Role::Text))
}

fn started(app: &App, row: &ContainerRow) -> (Safe, Role) {
    let time = app.catalog.clocks.date_time(app.time_style, row.life.begin);
    let time =
        time.map(|time| if one_day(app) { safe!("{}", time.as_str().get(11..).unwrap_or("")) } else { time });
    or_dash(time.as_ref())
}

fn life(_: &App, row: &ContainerRow) -> (Safe, Role) {
    (safe!("{}", human(row.life.length())), Role::Text)
}

fn events(_: &App, row: &ContainerRow) -> (Safe, Role) {
    (grouped(row.events), Role::Text)
}

fn lost(_: &App, row: &ContainerRow) -> (Safe, Role) {
    if row.lost == 0 { (Safe::literal("0"), Role::Dim) } else { (short_count(row.lost), Role::Lost) }
}

fn exit(_: &App, row: &ContainerRow) -> (Safe, Role) {
    match row.life.exit {
        Some(Ended::Code(0)) => (Safe::literal("0"), Role::Text),
        Some(Ended::Code(code)) => (safe!("{code}"), Role::Warn),
        Some(Ended::Signal(signal)) => (safe!("sig {signal}"), Role::Bad),
        None => (Safe::literal("-"), Role::Dim),
    }
}
