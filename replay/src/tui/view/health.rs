//! Whether the recording is whole and honest: who made it, what is lost, what is damaged.

use afterimage_model::text::Safe;
use ratatui::layout::Rect;

use super::{processes::paragraph, title};
use crate::{
    time::human,
    tui::{
        app::App,
        feed::DetailLine,
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
        safe!("{} in {} blocks, {} on disk", grouped(events), grouped(catalog.blocks), bytes(catalog.stored)),
    );
    if let Some(tenths) = (catalog.stored * 10).checked_div(events) {
        add("per event", safe!("{}.{} bytes", tenths / 10, tenths % 10));
    }
    add(
        "containers",
        safe!("{}, {} not complete", grouped(catalog.containers.len() as u64), grouped(catalog.incomplete())),
    );
    for text in &catalog.degraded {
        out.push(DetailLine::Warn(safe!("not recorded on this host: {text}")));
    }
    paragraph(painter, inner, &out, app.health[0].top);
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
    if app.catalog.defects.is_empty() {
        let text = "none found so far in what was read";
        painter.text(inner.x + 1, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
        return;
    }
    let out: Vec<DetailLine> =
        app.catalog.defects.iter().map(|text| DetailLine::Warn(text.clone())).collect();
    paragraph(painter, inner, &out, app.health[2].top);
}
