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
        feed::ContainerRow,
        layout::Pane,
        moment::TimeStyle,
        paint::{Painter, Row},
        text::{grouped, safe, short_count},
        theme::Role,
    },
};

/// A column of the table.
struct Column {
    heading: &'static str,
    width: u16,
    right: bool,
    text: fn(&App, &ContainerRow) -> (Safe, Role),
}

/// Draws the list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = safe!("{}", app.list.sort.name());
    let inner = title(app, painter, rect, Pane::Containers, Row::new(), &note);
    let columns = columns(app, inner.width);
    heading(painter, inner, &columns);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if app.list.order.is_empty() {
        let text = if app.catalog.containers.is_empty() {
            "no container in this recording"
        } else {
            "no container matches"
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
        if at == scroll.cursor {
            let focus = app.focus() == Pane::Containers;
            painter.ground(line, if focus { Role::Selected } else { Role::SelectedQuiet });
            painter.text(line.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), app.list.order.len() as u64);
}

fn columns(app: &App, width: u16) -> Vec<Column> {
    let time = match app.time_style {
        TimeStyle::Local => "STARTED (LOCAL)",
        _ => "STARTED (UTC)",
    };
    let mut all = vec![
        Column { heading: "STATE", width: 8, right: false, text: state },
        Column {
            heading: "CONTAINER",
            width: 20,
            right: false,
            text: |_, row| (row.name.clone(), Role::Strong),
        },
        Column { heading: "LIFE", width: 7, right: true, text: life },
        Column { heading: "EVENTS", width: 11, right: true, text: events },
        Column { heading: "LOST", width: 7, right: true, text: lost },
    ];
    let mut left = width.saturating_sub(2 + all.iter().map(|c| c.width + 1).sum::<u16>());
    let mut add = |at: usize, column: Column| {
        if left > column.width {
            left -= column.width + 1;
            all.insert(at.min(all.len()), column);
        }
    };
    add(2, Column { heading: time, width: 19, right: false, text: started });
    add(5, Column { heading: "EXIT", width: 7, right: false, text: exit });
    add(2, Column { heading: "IMAGE", width: 20, right: false, text: |_, row| or_dash(row.image.as_ref()) });
    add(2, Column { heading: "POD", width: 20, right: false, text: |_, row| or_dash(row.pod.as_ref()) });
    add(
        2,
        Column {
            heading: "ENGINE",
            width: 10,
            right: false,
            text: |_, row| (safe!("{}", row.engine), Role::Dim),
        },
    );
    add(
        2,
        Column { heading: "ID", width: 12, right: false, text: |_, row| (row.short_id.clone(), Role::Dim) },
    );
    let texts: Vec<&str> = vec!["CONTAINER", "IMAGE", "POD"];
    let growing = all.iter().filter(|c| texts.contains(&c.heading)).count().max(1);
    let each = left / u16::try_from(growing).unwrap_or(1);
    for column in all.iter_mut().filter(|c| texts.contains(&c.heading)) {
        column.width += each.min(28);
    }
    all
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

fn or_dash(text: Option<&Safe>) -> (Safe, Role) {
    text.map_or((Safe::literal("-"), Role::Dim), |text| (text.clone(), Role::Text))
}

fn started(app: &App, row: &ContainerRow) -> (Safe, Role) {
    or_dash(app.catalog.clocks.date_time(app.time_style, row.life.begin).as_ref())
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
