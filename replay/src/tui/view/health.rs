//! Whether the recording is whole and honest: who made it, what is lost, what is damaged.

use std::collections::BTreeMap;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::text::Safe;
use ratatui::layout::Rect;

use super::{
    processes::{cursor, paragraph},
    title,
};
use crate::{
    time::human,
    trace::alerts::{self, Alert},
    tui::{
        app::App,
        feed::{Catalog, DetailLine},
        layout::Pane,
        paint::{Painter, Row},
        text::{bytes, counted, grouped, safe},
        theme::Role,
    },
};

/// What the recording is.
pub(super) fn recording(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Recording, Row::new(), &Safe::default());
    let catalog = &app.catalog;
    let mut out = Vec::new();
    let mut add = |key: &'static str, value: Safe| out.push(DetailLine::Pair(Safe::literal(key), value));
    add("place", catalog.place.clone());
    let state =
        if catalog.unsealed { "not sealed: a recorder has it open, or did not close it" } else { "sealed" };
    add("state", Safe::literal(state));
    add("host", safe!("{}, {}", catalog.host, catalog.kernel));
    add("recorder", catalog.recorder.clone());
    let (begin, end) = catalog.range;
    let moment = |at| {
        catalog.clocks.date_time(app.time_style, at).unwrap_or_else(|| Safe::literal("no clock reading"))
    };
    let zone = catalog.clocks.typed(app.time_style).zone_word();
    add(
        "time",
        safe!("{} .. {} {zone}, {}", moment(begin), moment(end), human(end.0.saturating_sub(begin.0))),
    );
    let events: u64 = catalog.containers.iter().map(|row| row.events).sum();
    add(
        "events",
        safe!(
            "{} in {}, {} on disk",
            grouped(events),
            counted(catalog.blocks, "block"),
            bytes(catalog.stored)
        ),
    );
    if let Some(tenths) = (catalog.stored * 10).checked_div(events) {
        add("per event", safe!("{}.{} bytes", tenths / 10, tenths % 10));
    }
    add(
        "containers",
        safe!(
            "{}{}, {} not complete",
            grouped(catalog.count()),
            beside(catalog),
            grouped(catalog.incomplete())
        ),
    );
    for text in &catalog.degraded {
        out.push(DetailLine::Warn(safe!("not recorded on this host: {text}")));
    }
    paragraph(painter, inner, &out, app.health[0].top);
}

/// The host, where it is beside the containers.
fn beside(catalog: &Catalog) -> &'static str {
    if catalog.has_host() { " and the host" } else { "" }
}

/// What was lost, each gap.
pub(super) fn gaps(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let total: u64 = app.catalog.losses.iter().filter_map(|loss| loss.count).sum();
    let note = safe!("{} in {}", counted(total, "event"), counted(app.catalog.losses.len() as u64, "gap"));
    let inner = title(app, painter, rect, Pane::Gaps, Row::new(), &note);
    let mut out = Vec::new();
    for loss in &app.catalog.losses {
        let whose = loss.container.and_then(|uid| app.catalog.container(uid)).map(|row| row.name.clone());
        let whose = whose.unwrap_or_else(|| Safe::literal("nobody knows whose"));
        let cpu = loss.cpu.map_or_else(Safe::default, |cpu| safe!(", cpu {cpu}"));
        let count = loss.count.map_or_else(|| Safe::literal("unknown number"), grouped);
        let long = human(loss.to.0.saturating_sub(loss.from.0));
        let time = app.catalog.clocks.day_time(app.time_style, loss.from);
        let text = safe!("{count} events within {long}, {}{cpu}: {whose}", loss.cause.as_str());
        out.push(DetailLine::Pair(time, text));
    }
    if out.is_empty() {
        out.push(DetailLine::Pair(
            Safe::literal("none"),
            Safe::literal("the recorder handed everything over"),
        ));
    }
    paragraph(painter, inner, &out, app.health[1].top);
}

/// What is damaged.
pub(super) fn damage(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = Safe::literal("`afterimage verify` checks every byte");
    let inner = title(app, painter, rect, Pane::Damage, Row::new(), &note);
    if app.catalog.damage.is_empty() {
        let text = "none found so far in what was read";
        painter.text(inner.x + 1, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
        return;
    }
    // Whose the blocks are that could not be read, below the places.
    let mut whose: BTreeMap<ContainerUid, (u64, BootNanos, BootNanos)> = BTreeMap::new();
    for block in &app.catalog.unread {
        let (rows, first, last) = whose.entry(block.container).or_insert((0, block.first, block.last));
        *rows += u64::from(block.rows);
        (*first, *last) = (block.first.min(*first), block.last.max(*last));
    }
    let unread = whose.into_iter().map(|(uid, (rows, first, last))| {
        let name = app.catalog.container(uid).map_or_else(Safe::default, |row| row.name.clone());
        let time = |at| app.catalog.clocks.day_time(app.time_style, at);
        let cannot =
            safe!("{} cannot be read: {name}, {} .. {}", counted(rows, "event"), time(first), time(last));
        DetailLine::Pair(Safe::literal("corrupt"), cannot)
    });
    let out: Vec<DetailLine> =
        app.catalog.damage.iter().map(|(_, text)| DetailLine::Warn(text.clone())).chain(unread).collect();
    paragraph(painter, inner, &out, app.health[2].top);
}

/// What came to the recorder, the newest first, and what became of it.
pub(super) fn triggers(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let all = app.alerts.value().map_or(&[][..], |all| all.as_slice());
    let note = match all.len() {
        0 => Safe::default(),
        count => safe!("{}, Enter opens it in Replay", counted(count as u64, "alert")),
    };
    let inner = title(app, painter, rect, Pane::Triggers, Row::new(), &note);
    let columns = TriggerColumns::new(app, inner);
    columns.heading(painter, inner.y);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if all.is_empty() {
        let text = match app.alerts.value() {
            None if app.alerts.has_failed() => "could not be read",
            None => "reading",
            Some(_) => "none: no alert came to the recorder, or this file was not extracted for one",
        };
        painter.text(body.x + 2, body.y, body.width.saturating_sub(3), text, Role::Dim);
    }
    let numbers = numbers(app, all);
    let mut scroll = app.health.last().copied().unwrap_or_default();
    scroll.show(all.len(), usize::from(body.height));
    let shown = all.iter().rev().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, alert)) in (body.y..).zip(shown) {
        columns.draw(app, painter, y, (numbers.get(all.len() - 1 - at).copied().flatten(), alert));
        if at == scroll.cursor && app.focus() == Pane::Triggers {
            cursor(app, painter, Rect { y, height: 1, ..body }, Pane::Triggers);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), all.len() as u64);
}

/// What `alert:N` calls each: by the container that is open, as it is for whoever goes to one; where none is, by the recording.
fn numbers(app: &App, all: &[Alert]) -> Vec<Option<u32>> {
    let of = app.opened.as_ref().map(|opened| opened.uid);
    let mut own = alerts::numbered(all, of).peekable();
    let number =
        |alert: &Alert| own.next_if(|(_, next)| std::ptr::eq(*next, alert)).map(|(number, _)| number);
    all.iter().map(number).collect()
}

/// Places and widths of the columns of triggers.
struct TriggerColumns {
    x: u16,
    number: u16,
    time: u16,
    source: u16,
    rule: u16,
    container: u16,
    priority: u16,
    state: u16,
}

impl TriggerColumns {
    fn new(app: &App, inner: Rect) -> Self {
        let date = app.catalog.clocks.date_time(app.time_style, app.catalog.range.0);
        let wide = inner.width >= 100;
        let time = match date {
            Some(_) if wide => 19,
            _ => 8,
        };
        let (source, priority) = if wide { (14, 9) } else { (0, 0) };
        let (container, state) = if inner.width >= 60 { (16, 12) } else { (0, 12) };
        let number = if inner.width >= 75 { 9 } else { 0 };
        // A blank behind each column but the last, and before the first; none behind what is left out.
        let blanks = if number == 0 { 8 } else { 9 };
        let taken = number + time + source + priority + container + state + blanks;
        let rule = inner.width.saturating_sub(taken);
        Self { x: inner.x + 2, number, time, source, rule, container, priority, state }
    }

    /// Each column's place and width, from the left.
    fn places(&self) -> [(u16, u16); 7] {
        let mut x = self.x;
        [self.number, self.time, self.source, self.rule, self.container, self.priority, self.state].map(
            |width| {
                let at = x;
                x += if width == 0 { 0 } else { width + 1 };
                (at, width)
            },
        )
    }

    fn heading(&self, painter: &mut Painter<'_>, y: u16) {
        let names = ["ALERT", "TIME", "SOURCE", "RULE", "CONTAINER", "PRIORITY", "BECAME"];
        for ((x, width), name) in self.places().into_iter().zip(names) {
            painter.text(x, y, width, name, Role::Dim);
        }
    }

    fn draw(&self, app: &App, painter: &mut Painter<'_>, y: u16, (number, alert): (Option<u32>, &Alert)) {
        let clocks = &app.catalog.clocks;
        let time = alert.at.and_then(|at| clocks.date_time(app.time_style, at)).unwrap_or_default();
        // A narrow column has the time of the day alone.
        let time = match time.as_str().get(11..) {
            Some(day_time) if self.time < 19 => safe!("{day_time}"),
            _ => time,
        };
        let mut about = alert.containers.iter();
        let first = about.next().and_then(|covered| app.catalog.container(covered.uid));
        let others = about.len();
        let container = match (first, others) {
            (None, _) => Safe::literal("none here"),
            (Some(row), 0) => row.name.clone(),
            (Some(row), _) => safe!("{} +{others}", row.name),
        };
        let whole = alert.containers.iter().all(|covered| covered.complete);
        let state = if whole { alert.state.clone() } else { safe!("{}, gaps", alert.state) };
        let state_role = match alert.state.as_str() {
            "pinned" => Role::Good,
            "failed" | "unmatched" => Role::Bad,
            _ => Role::Dim,
        };
        let number = number.map_or_else(Safe::default, |number| safe!("alert:{number}"));
        let texts = [
            (&number, Role::Dim),
            (&time, Role::Dim),
            (&alert.source, Role::Text),
            (&alert.title, Role::Strong),
            (&container, Role::Text),
            (&alert.priority, Role::Text),
            (&state, state_role),
        ];
        for ((x, width), (text, role)) in self.places().into_iter().zip(texts) {
            painter.text(x, y, width, text, role);
        }
    }
}
