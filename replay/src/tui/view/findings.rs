//! What stands out in a container: findings, why they are told, and what people noted.

use std::collections::BTreeMap;

use afterimage_format::BootNanos;
use afterimage_model::{
    findings::{Severity, technique},
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{
    processes::{choice, cursor, list_style, nothing, paragraph},
    storyline::severity,
    title,
};
use crate::tui::{
    app::App,
    feed::{DetailLine, StoryRow},
    layout::Pane,
    moment::Clocks,
    paint::{Painter, Row},
    text::{counted, grouped, safe},
    theme::Role,
    update::noted,
};

/// The list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let rows = app.listed().map_or(&[][..], |story| story.rows.as_slice());
    let note = choice(app, rows.len(), "A shows the whole story");
    let inner = title(app, painter, rect, Pane::FindingList, Row::new(), &note);
    let (Some(sheet), Some(opened)) = (app.sheet(), &app.opened) else { return };
    let length = opened.length();
    let time = Clocks::width(list_style(app), length);
    painter.right(inner.x + 2 + time, inner.y, time, "TIME", Role::Dim);
    // A narrow pane has the mark instead of the word, and no technique.
    let narrow = inner.width < 64;
    let (weight, tag) = if narrow { (2, 0) } else { (9, 9) };
    let x = inner.x + 3 + time;
    painter.text(x, inner.y, weight, if narrow { "" } else { "SEVERITY" }, Role::Dim);
    painter.text(x + weight + 1, inner.y, 20, "FINDING", Role::Dim);
    painter.right(inner.right().saturating_sub(1), inner.y, tag, "ATT&CK", Role::Dim);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    // Steps of the story that do not stand out are findings too, which the list leaves out at first.
    let is_story = sheet.other || rows.is_empty();
    nothing(app, painter, body, if is_story { "no finding" } else { "no finding that stands out" });
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let shown = sheet.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, index)) in (body.y..).zip(shown) {
        let Some(row) = rows.get(*index) else { continue };
        let line = Rect { y, height: 1, ..body };
        let (mark, role) = severity(row.severity);
        let shown = app.catalog.clocks.column(list_style(app), row.time, opened.origin, None);
        painter.right(line.x + 2 + time, y, time, &shown, Role::Dim);
        painter.text(x, y, weight, if narrow { mark } else { row.severity.as_str() }, role);
        let room = line.right().saturating_sub(x + weight + tag + 3);
        painter.text(x + weight + 1, y, room, &row.text, role);
        painter.right(line.right().saturating_sub(1), y, tag, &row.tag, Role::Dim);
        if at == scroll.cursor {
            cursor(app, painter, line, Pane::FindingList);
        }
        if app.case.is_reported(opened.uid, row.time, row.id) {
            painter.text(line.x + 1, y, 1, "*", Role::Good);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), sheet.order.len() as u64);
}

/// The selected finding in full, and the techniques seen.
pub(super) fn explain(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Explain, Row::new(), &Safe::literal("o opens it in Replay"));
    let Some(sheet) = app.sheet() else { return };
    let mut out = Vec::new();
    if let Some(row) = app.selected_finding() {
        about(app, row, &mut out);
    }
    let left_out = app.listed().map_or(0, |story| story.left_out);
    if left_out > 0 {
        out.push(DetailLine::Warn(safe!(
            "{} more are not listed: of each kind the first 1,000 are.",
            grouped(left_out)
        )));
    }
    let notes = app.opened.as_ref().map(|opened| app.stories.notes(opened.uid)).unwrap_or_default();
    if !notes.is_empty() {
        out.push(DetailLine::Section("the rules that were asked last"));
        out.extend(notes.iter().cloned().map(DetailLine::Warn));
    }
    techniques(app, &mut out);
    paragraph(painter, inner, &out, sheet.left.top);
}

fn about(app: &App, row: &StoryRow, out: &mut Vec<DetailLine>) {
    let mut add = |key: &'static str, value: Safe| out.push(DetailLine::Pair(Safe::literal(key), value));
    add("seen", row.text.clone());
    add("severity", safe!("{}", row.severity.as_str()));
    add("time", app.catalog.clocks.day_time(app.time_style, row.time));
    // An alert is about a container, not about a process.
    if !row.process.as_str().is_empty() {
        add("process", row.process.clone());
    }
    if !row.tag.as_str().is_empty() {
        add("ATT&CK", safe!("{}{} (may be part of)", row.tag, called(&row.tag)));
    }
    out.push(DetailLine::Warn(Safe::literal("An observation with its evidence, not a verdict.")));
}

/// The name of a technique behind its id.
fn called(tag: &Safe) -> Safe {
    technique(tag.as_str()).map_or_else(Safe::default, |name| safe!(" {name}"))
}

/// Techniques by how often they were seen.
fn techniques(app: &App, out: &mut Vec<DetailLine>) {
    let mut counts: BTreeMap<&str, (usize, Severity)> = BTreeMap::new();
    for row in app.listed().map_or(&[][..], |story| story.rows.as_slice()) {
        if !row.tag.as_str().is_empty() {
            let entry = counts.entry(row.tag.as_str()).or_insert((0, row.severity));
            entry.0 += 1;
            entry.1 = entry.1.max(row.severity);
        }
    }
    if counts.is_empty() {
        return;
    }
    out.push(DetailLine::Section("techniques of ATT&CK in this container"));
    for (id, (count, worst)) in counts {
        let name = technique(id).map_or_else(Safe::default, |name| safe!("{name}: "));
        out.push(DetailLine::Pair(
            safe!("{id}"),
            safe!("{name}{}, the worst {}", counted(count as u64, "finding"), worst.as_str()),
        ));
    }
}

/// Bookmarks and notes of the case.
pub(super) fn notes(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = app.opened.as_ref().map_or(0, |o| app.case.reported(o.uid).len());
    let note = safe!("{note} in the report, r writes it");
    let inner = title(app, painter, rect, Pane::Notes, Row::new(), &note);
    let Some(opened) = &app.opened else { return };
    let all = app.case.noted(opened.uid);
    if all.is_empty() {
        let text = "none: b bookmarks, c notes, m marks the moment, * puts it into the report";
        painter.wrapped(
            Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner },
            &Safe::literal(text),
            Role::Dim,
        );
    }
    let mut scroll = app.sheet().map_or(opened.notes, |sheet| sheet.right);
    scroll.show(all.len(), usize::from(inner.height));
    let shown = all.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, entry)) in (inner.y..).zip(shown) {
        let line = Rect { y, height: 1, ..inner };
        let time = BootNanos(entry.at.unwrap_or(0));
        let time = app.catalog.clocks.column(list_style(app), time, opened.origin, None);
        let tags = entry.tags().len();
        let row = Row::new()
            .add(&safe!("{time}  "), Role::Dim)
            .add(&noted(entry), if tags > 0 { Role::Key } else { Role::Text })
            .add(&safe!("  {}", escape(entry.author.as_bytes())), Role::Dim);
        painter.row(line.x + 2, y, line.width.saturating_sub(3), &row);
        if at == scroll.cursor && app.focus() == Pane::Notes {
            cursor(app, painter, line, Pane::Notes);
        }
    }
    painter.scroll(inner, scroll.top as u64, u64::from(inner.height), all.len() as u64);
}
