//! The event at the playhead in full, and the state of its process then.

use afterimage_model::{findings::Severity, text::Safe};
use ratatui::layout::Rect;

use super::{storyline::severity, title};
use crate::tui::{
    app::App,
    feed::{Center, DetailLine, StoryRow},
    layout::Pane,
    paint::{Painter, Row},
    text::{head, safe, width},
    theme::Role,
};

/// Columns of the names in a narrow pane, and in a wide one.
const KEYS: (usize, usize) = (10, 18);
/// A pane of more columns is wide.
const WIDE: usize = 70;
/// Most rows that one value is folded into.
const FOLDS: usize = 12;

/// Draws the pane.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Detail, Row::new(), &behind(app));
    let rows = rows(app, columns(inner.width));
    let top = app.opened.as_ref().map_or(0, |o| o.detail.top).min(rows.len().saturating_sub(1));
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x + 1, y, columns(inner.width), row);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), rows.len() as u64);
}

/// Columns of text in a pane of so many.
pub(crate) const fn columns(pane: u16) -> u16 {
    pane.saturating_sub(3)
}

/// The rows about the playhead in so many columns: what stands out there, the event, its process.
pub(crate) fn rows(app: &App, columns: u16) -> Vec<Row> {
    let Some((key, moment)) = app.opened.as_ref().and_then(|o| o.moment.entry()) else { return Vec::new() };
    let story = app.story().map_or(&[][..], |story| &story.rows);
    let here = |row: &&StoryRow| {
        row.severity >= Severity::Notice && row.id.is_some_and(|id| key.at == Center::Event(id))
    };
    let mut out = Vec::new();
    for found in story.iter().filter(here) {
        let (mark, role) = severity(found.severity);
        let text = safe!("{mark} {} {}", found.text, found.tag);
        out.extend(folded(&text, usize::from(columns)).into_iter().map(|part| Row::new().add(&part, role)));
    }
    out.extend(lines(&moment.detail, columns));
    out
}

/// Says where what is shown is not yet that of the playhead.
pub(super) fn behind(app: &App) -> Safe {
    let Some(opened) = app.opened.as_ref().filter(|opened| opened.is_behind()) else {
        return Safe::default();
    };
    Safe::literal(if opened.moment.has_failed() {
        "could not be read, this is of a moment before"
    } else {
        "reading, this is of a moment before"
    })
}

/// The rows of a list of pairs, long values folded.
pub(crate) fn lines(detail: &[DetailLine], columns: u16) -> Vec<Row> {
    let columns = usize::from(columns);
    let mut rows = Vec::new();
    for line in detail {
        match line {
            DetailLine::Section(name) => {
                if !rows.is_empty() {
                    rows.push(Row::new());
                }
                rows.push(Row::new().add(*name, Role::Title));
            }
            DetailLine::Warn(text) => {
                rows.extend(folded(text, columns).into_iter().map(|part| Row::new().add(&part, Role::Warn)));
            }
            DetailLine::Pair(key, value) => pair(&mut rows, key, value, columns),
        }
    }
    rows
}

fn pair(rows: &mut Vec<Row>, key: &Safe, value: &Safe, columns: usize) {
    let keys = if columns > WIDE { KEYS.1 } else { KEYS.0 };
    let room = columns.saturating_sub(keys + 1).max(8);
    let mut key = safe!("{:keys$} ", key.as_str());
    if width(key.as_str()) > keys + 1 {
        rows.push(Row::new().add(&key, Role::Dim));
        key = safe!("{:keys$} ", "");
    }
    for part in folded(value, room) {
        rows.push(Row::new().add(&key, Role::Dim).add(&part, Role::Text));
        key = safe!("{:keys$} ", "");
    }
}

/// Text in rows of at most `columns`; what is beyond [`FOLDS`] rows is cut, and that is said.
fn folded(text: &Safe, columns: usize) -> Vec<Safe> {
    let mut rows = Vec::new();
    let mut rest = text.as_str();
    loop {
        let part = head(rest, columns.max(1));
        if rows.len() + 1 == FOLDS && part.len() < rest.len() {
            rows.push(safe!("... {} more characters", rest.chars().count()));
            return rows;
        }
        // Words stay whole where the row is not left half empty by it.
        let cut = part.rfind(' ').map_or(part.len(), |at| at + 1);
        let keep = if part.len() == rest.len() || cut * 2 < part.len() { part.len() } else { cut };
        let part = part.get(..keep).unwrap_or(part);
        rows.push(safe!("{part}"));
        rest = rest.get(part.len()..).unwrap_or("");
        if rest.is_empty() || part.is_empty() {
            return rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_fold_and_endless_ones_say_what_is_left() {
        assert_eq!(folded(&Safe::literal("abcdef"), 4), [Safe::literal("abcd"), Safe::literal("ef")]);
        assert_eq!(folded(&Safe::literal(""), 4), [Safe::default()]);
        let long = safe!("{}", "x".repeat(1_000));
        let rows = folded(&long, 10);
        assert_eq!(rows.len(), FOLDS);
        assert_eq!(rows[FOLDS - 1].as_str(), "... 890 more characters");
    }
}
