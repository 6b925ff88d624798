//! Counts over time: of all containers, and of the one that is replayed. Zero is a dot, what was not recorded is
//! blank, what was lost is a cross, what is corrupt is a shade.

use std::collections::{BTreeMap, BTreeSet};

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::events::class_role;
use crate::{
    time::human,
    tui::{
        app::App,
        case::What,
        feed::{Column, StoryRow},
        moment::since,
        paint::{Painter, Row},
        ribbon::{Lane, glyph},
        text::safe,
        theme::Role,
        wants::LANE_NAME,
    },
};

/// A span of time laid over columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    begin: BootNanos,
    end: BootNanos,
    x: u16,
    names: u16,
    columns: u16,
}

impl Axis {
    fn new(window: (BootNanos, BootNanos), rect: Rect) -> Self {
        Self::with_names(window, rect, LANE_NAME)
    }

    /// With this many columns for the lanes' names.
    pub(super) fn with_names(window: (BootNanos, BootNanos), rect: Rect, names: u16) -> Self {
        let columns = rect.width.saturating_sub(names + 1);
        Self { begin: window.0, end: window.1, x: rect.x + names, names, columns }
    }

    /// The first column.
    pub(super) fn x(self) -> u16 {
        self.x
    }

    /// Columns of the lanes' names.
    pub(super) fn names(self) -> u16 {
        self.names
    }

    /// Nanoseconds per column.
    pub(super) fn scale(self) -> u64 {
        (self.end.0.saturating_sub(self.begin.0) / u64::from(self.columns.max(1))).max(1)
    }

    /// The column of a moment; none outside.
    pub(super) fn column(self, at: BootNanos) -> Option<u16> {
        let length = u128::from(self.end.0.saturating_sub(self.begin.0).saturating_add(1));
        let into = u128::from(at.0.checked_sub(self.begin.0)?);
        let column = u16::try_from(into * u128::from(self.columns) / length).ok()?;
        (column < self.columns).then_some(column)
    }

    /// The columns that a span touches.
    pub(super) fn touched(self, from: BootNanos, to: BootNanos) -> Option<(u16, u16)> {
        if to < self.begin || from > self.end {
            return None;
        }
        let first = self.column(from.max(self.begin)).unwrap_or(0);
        let last = self.column(to.min(self.end)).unwrap_or(self.columns.saturating_sub(1));
        Some((first, last))
    }
}

/// Counts of the whole recording.
pub(super) fn overview(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let axis = Axis::new(app.catalog.range, rect);
    let length = axis.end.0.saturating_sub(axis.begin.0);
    let note = safe!("{}, 1 column = {}", human(length), human(axis.scale()));
    let title = Row::new().add("all containers, events", Role::Title);
    painter.rule(Rect { height: 1, ..rect }, &title, &note, false);
    let empty: Vec<Column> = Vec::new();
    let columns = app.overview.value().unwrap_or(&empty);
    let mut y = rect.y + 1;
    density(app, painter, axis, y, (Lane::All, None), columns);
    y += 1;
    if rect.height > 3 {
        lives(app, painter, axis, y);
        y += 1;
    }
    losses(app, painter, axis, y, None);
}

/// The life of the selected container in the span of the recording.
fn lives(app: &App, painter: &mut Painter<'_>, axis: Axis, y: u16) {
    name(painter, axis, y, "life", Role::Dim);
    let Some(row) = app.selected() else { return };
    let (begin, end) = row.whole();
    let Some((first, last)) = axis.touched(begin, end) else { return };
    let line = painter.symbols().rule_focus.repeat(usize::from(last - first + 1));
    painter.text(axis.x + first, y, last - first + 1, &safe!("{line}"), Role::TitleFocus);
    let label = safe!(" {}", row.name);
    let room = axis.columns.saturating_sub(last + 1);
    painter.text(axis.x + last + 1, y, room, &label, Role::Dim);
}

/// Counts of the container that is replayed, its findings, its losses, and the playhead.
pub(super) fn timeline(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let Some(opened) = &app.opened else { return };
    let axis = Axis::new(opened.window, rect);
    let title = Row::new().add("timeline", Role::Title);
    let length = axis.end.0.saturating_sub(axis.begin.0);
    let whole = opened.length();
    let part = if length < whole { safe!(" of {}", human(whole)) } else { Safe::default() };
    let note = safe!("{}{part}, 1 column = {}", human(length), human(axis.scale()));
    painter.rule(Rect { height: 1, ..rect }, &title, &note, false);
    let empty: Vec<Column> = Vec::new();
    let columns = opened.density.value().unwrap_or(&empty);
    let rows = app.story().map_or(&[][..], |story| story.rows.as_slice());
    let with_findings = rect.height >= 6;
    let lanes = usize::from(rect.height.saturating_sub(if with_findings { 4 } else { 3 }));
    let mut y = rect.y + 1;
    if with_findings {
        findings(painter, axis, y, rows);
        y += 1;
    }
    for lane in Lane::chosen(columns, lanes) {
        density(app, painter, axis, y, (lane, Some(opened.uid)), columns);
        y += 1;
    }
    if !with_findings {
        findings_over(painter, axis, y, rows);
    }
    losses(app, painter, axis, y, Some(opened.uid));
    playhead(app, painter, axis, rect.bottom() - 1);
}

fn name(painter: &mut Painter<'_>, axis: Axis, y: u16, text: &'static str, role: Role) {
    painter.text(axis.x.saturating_sub(axis.names) + 1, y, axis.names.saturating_sub(2), text, role);
}

/// One lane of a container's counts, or of all. Where a block cannot be read, a column without events is not known to be
/// without.
pub(super) fn density(
    app: &App,
    painter: &mut Painter<'_>,
    axis: Axis,
    y: u16,
    (lane, uid): (Lane, Option<ContainerUid>),
    columns: &[Column],
) {
    let role = match lane {
        Lane::All => Role::File,
        Lane::One(class) => class_role(class),
    };
    name(painter, axis, y, lane.name(), role);
    let counts = lane.counts(columns);
    let top = counts.iter().copied().max().unwrap_or(0);
    let symbols = painter.symbols();
    for (x, count) in (axis.x..axis.x + axis.columns).zip(&counts) {
        let role = if *count == 0 { Role::Rule } else { role };
        painter.text(x, y, 1, glyph(*count, top, symbols), role);
    }
    for column in corrupt(app, axis, uid) {
        if counts.get(usize::from(column)).is_none_or(|count| *count == 0) {
            painter.text(axis.x + column, y, 1, symbols.corrupt, Role::Bad);
        }
    }
}

/// The columns in whose time there are events that cannot be read.
fn corrupt(app: &App, axis: Axis, uid: Option<ContainerUid>) -> BTreeSet<u16> {
    let blocks = app.catalog.unread_of(uid);
    let spans = blocks.filter_map(|block| axis.touched(block.first, block.last));
    spans.flat_map(|(first, last)| first..=last).collect()
}

pub(super) fn findings(painter: &mut Painter<'_>, axis: Axis, y: u16, rows: &[StoryRow]) {
    name(painter, axis, y, "finding", if rows.is_empty() { Role::Dim } else { Role::Alert });
    findings_over(painter, axis, y, rows);
}

/// The marks of the findings alone.
fn findings_over(painter: &mut Painter<'_>, axis: Axis, y: u16, rows: &[StoryRow]) {
    for row in rows.iter().filter(|row| row.severity >= Severity::Warning) {
        let Some(column) = axis.column(row.time) else { continue };
        let role = if row.severity == Severity::Critical { Role::Alert } else { Role::Warn };
        painter.text(axis.x + column, y, 1, painter.symbols().finding, role);
    }
}

/// What is missing: lost, or corrupt.
pub(super) fn losses(app: &App, painter: &mut Painter<'_>, axis: Axis, y: u16, uid: Option<ContainerUid>) {
    let corrupt = corrupt(app, axis, uid);
    for column in &corrupt {
        painter.text(axis.x + column, y, 1, painter.symbols().corrupt, Role::Bad);
    }
    let mut count = 0;
    let mut unknown = false;
    for loss in app.catalog.losses_of(uid) {
        let Some((first, last)) = axis.touched(loss.from, loss.to) else { continue };
        count += loss.count.unwrap_or(0);
        unknown |= loss.count.is_none();
        let marks = painter.symbols().lost.repeat(usize::from(last - first + 1));
        painter.text(axis.x + first, y, last - first + 1, &safe!("{marks}"), Role::Lost);
    }
    let any = count > 0 || unknown;
    let (word, role) = match (any, corrupt.is_empty()) {
        (true, true) => ("lost", Role::Lost),
        (true, false) => ("gaps", Role::Lost),
        (false, false) => ("corrupt", Role::Bad),
        (false, true) => ("lost", Role::Dim),
    };
    name(painter, axis, y, word, role);
    if !any && corrupt.is_empty() {
        painter.text(axis.x, y, axis.columns, "none", Role::Dim);
    }
}

/// The row of ticks with the playhead, and with what people noted: a mark's letter, `*` for a bookmark, `#` for a note.
pub(super) fn playhead(app: &App, painter: &mut Painter<'_>, axis: Axis, y: u16) {
    let Some(opened) = &app.opened else { return };
    let start = opened.origin;
    let marks = noted(app, opened.uid, axis);
    let taken = playhead_mark(painter, axis, y, opened.playhead.time, start);
    let is_free = |first: u16, last: u16| {
        taken.is_none_or(|(from, to)| last < from || first > to)
            && !marks.keys().any(|column| (first..=last + 1).contains(column))
    };
    let step = tick(axis.scale().saturating_mul(14));
    let origin = axis.begin.0.saturating_sub(start.0);
    let mut offset = origin.div_ceil(step).saturating_mul(step);
    for _ in 0..axis.columns {
        let time = BootNanos(start.0.saturating_add(offset));
        let Some(column) = axis.column(time) else { break };
        let label = safe!("+{}", tick_text(offset));
        let end = column + u16::try_from(label.as_str().len()).unwrap_or(u16::MAX / 2);
        if end <= axis.columns && is_free(column, end) {
            painter.text(axis.x + column, y, end - column, &label, Role::Dim);
        }
        offset = offset.saturating_add(step);
    }
    for (column, letter) in &marks {
        // The playhead itself stays; a mark under its label is seen.
        if taken.is_none_or(|(first, _)| first != *column) {
            painter.text(axis.x + column, y, 1, letter, Role::Key);
        }
    }
}

/// What was noted of a container, by column of the axis; of several in one column the mark is shown.
fn noted(app: &App, uid: ContainerUid, axis: Axis) -> BTreeMap<u16, Safe> {
    let mut marks: BTreeMap<u16, (bool, Safe)> = BTreeMap::new();
    for entry in app.case.noted(uid) {
        let Some(column) = entry.at.and_then(|at| axis.column(BootNanos(at))) else { continue };
        let shown = match &entry.what {
            What::Mark { letter } => (true, escape(letter.to_string().as_bytes())),
            What::Bookmark { .. } => (false, Safe::literal("*")),
            _ => (false, Safe::literal("#")),
        };
        let place = marks.entry(column).or_insert_with(|| shown.clone());
        if shown.0 && !place.0 {
            *place = shown;
        }
    }
    marks.into_iter().map(|(column, (_, shown))| (column, shown)).collect()
}

/// The playhead and its moment; the columns they take.
fn playhead_mark(
    painter: &mut Painter<'_>,
    axis: Axis,
    y: u16,
    at: BootNanos,
    start: BootNanos,
) -> Option<(u16, u16)> {
    let column = axis.column(at)?;
    let label = since(at, start);
    let wide = u16::try_from(label.as_str().len()).unwrap_or(0);
    painter.text(axis.x + column, y, 1, painter.symbols().playhead, Role::Playhead);
    if column + wide + 2 <= axis.columns {
        painter.text(axis.x + column + 2, y, wide, &label, Role::Playhead);
        Some((column, column + wide + 2))
    } else if column > wide {
        painter.text(axis.x + column - wide - 1, y, wide, &label, Role::Playhead);
        Some((column - wide - 1, column))
    } else {
        Some((column, column))
    }
}

/// The nearest round step not smaller.
fn tick(least: u64) -> u64 {
    const S: u64 = 1_000_000_000;
    const ROUND: [u64; 7] = [60 * S, 120 * S, 300 * S, 900 * S, 3_600 * S, 21_600 * S, 86_400 * S];
    let mut step = 1;
    while step < 60 * S {
        for times in [1, 2, 5] {
            if step * times >= least && step * times < 60 * S {
                return step * times;
            }
        }
        step *= 10;
    }
    ROUND.into_iter().find(|round| *round >= least).unwrap_or_else(|| least.div_ceil(86_400 * S) * 86_400 * S)
}

/// A round offset without zeros that say nothing.
fn tick_text(offset: u64) -> Safe {
    const S: u64 = 1_000_000_000;
    let (hours, minutes, seconds) = (offset / (3_600 * S), offset / (60 * S) % 60, offset / S % 60);
    let below = offset % S;
    match offset {
        0 => Safe::literal("0"),
        _ if offset < 1_000 => safe!("{offset}ns"),
        _ if offset < 1_000_000 && offset.is_multiple_of(1_000) => safe!("{}us", offset / 1_000),
        _ if below > 0 => {
            let decimals = format!("{below:09}");
            safe!("{}.{}s", offset / S, decimals.trim_end_matches('0'))
        }
        _ if hours > 0 && minutes == 0 && seconds == 0 => safe!("{hours}h"),
        _ if hours > 0 => safe!("{hours}h{minutes:02}m"),
        _ if minutes > 0 && seconds == 0 => safe!("{minutes}m"),
        _ if minutes > 0 => safe!("{minutes}m{seconds:02}s"),
        _ => safe!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick(3_100_000_000), 5_000_000_000);
        assert_eq!(tick(61_000_000_000), 120_000_000_000);
        assert_eq!(tick(7), 10);
        assert_eq!(tick(200_000_000_000_000), 259_200_000_000_000);
        for (offset, text) in [
            (0, "0"),
            (500_000_000, "0.5s"),
            (20_000_000_000, "20s"),
            (120_000_000_000, "2m"),
            (90_000_000_000, "1m30s"),
            (7_200_000_000_000, "2h"),
            (50, "50ns"),
        ] {
            assert_eq!(tick_text(offset).as_str(), text);
        }
    }

    #[test]
    fn a_moment_has_the_column_that_its_count_is_in() {
        let axis = Axis { begin: BootNanos(100), end: BootNanos(199), x: 0, names: 0, columns: 10 };
        assert_eq!(axis.column(BootNanos(100)), Some(0));
        assert_eq!(axis.column(BootNanos(199)), Some(9));
        assert_eq!(axis.column(BootNanos(99)), None);
        assert_eq!(axis.column(BootNanos(200)), None);
        assert_eq!(axis.touched(BootNanos(0), BootNanos(115)), Some((0, 1)));
        assert_eq!(axis.touched(BootNanos(0), BootNanos(99)), None);
    }
}
