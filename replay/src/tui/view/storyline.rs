//! What happened in the selected container in a few lines, and what is known of it.

use afterimage_model::{findings::Severity, text::Safe};
use ratatui::layout::Rect;

use super::{detail::lines, title};
use crate::{
    time::human,
    tui::{
        action::Action,
        app::App,
        feed::{ContainerRow, DetailLine, Story},
        keys::Binding,
        layout::Pane,
        moment::{Clocks, TimeStyle},
        paint::{Painter, Row},
        text::{counted, grouped, safe},
        theme::Role,
    },
};

/// The storyline.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let Some(subject) = app.subject() else {
        title(app, painter, rect, Pane::Storyline, Row::new(), &Safe::default());
        return;
    };
    let story = app.story();
    let rows = app.storyline();
    let note = match story.map(|story| (story.reading, story)) {
        None if app.has_unread_story() => Safe::literal("could not be read"),
        Some((Some(percent), _)) if app.has_unread_story() => safe!("{percent} % read, then failed"),
        None | Some((Some(0), _)) => Safe::literal("reading"),
        Some((Some(percent), _)) => safe!("{percent} % read"),
        Some((None, story)) => extent(app, story, rows.len()),
    };
    let extra = match rect.width {
        // What is left out has to be told; whose it is, the list above tells.
        ..70 if rows.len() < story.map_or(0, |story| story.rows.len()) => Row::new(),
        _ => Row::new().add(" of ", Role::Dim).add(&subject.name, Role::Text),
    };
    let inner = title(app, painter, rect, Pane::Storyline, extra, &note);
    if rows.is_empty() && story.is_some_and(|story| story.reading.is_none()) {
        let is_whole = app.catalog.corrupt(subject.uid) == 0;
        let text = if is_whole { "nothing stands out" } else { "nothing stands out in what can be read" };
        painter.text(inner.x + 2, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
    }
    let style = if app.time_style == TimeStyle::Delta { TimeStyle::Start } else { app.time_style };
    let columns = Clocks::width(style, subject.life.length());
    let scroll = app.list.story;
    let shown = rows.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, row)) in (inner.y..).zip(shown) {
        let line = Rect { y, height: 1, ..inner };
        let time = app.catalog.clocks.column(style, row.time, subject.life.begin, None);
        painter.text(line.x + 2, y, columns, &time, Role::Dim);
        let (mark, role) = severity(row.severity);
        let x = line.x + 3 + columns;
        painter.text(x, y, 2, mark, role);
        let tag = u16::try_from(row.tag.as_str().len()).unwrap_or(0);
        let room = line.right().saturating_sub(x + 3);
        let tag_room = if room > 40 && tag > 0 { tag + 2 } else { 0 };
        painter.text(x + 3, y, room.saturating_sub(tag_room), &row.text, role);
        if tag_room > 0 {
            painter.right(line.right().saturating_sub(1), y, tag, &row.tag, Role::Dim);
        }
        if at == scroll.cursor && app.focus() == Pane::Storyline {
            painter.ground(line, Role::Selected);
            painter.text(line.x, y, 1, painter.symbols().cursor, Role::Playhead);
        }
    }
    painter.scroll(inner, scroll.top as u64, u64::from(inner.height), rows.len() as u64);
}

/// How much of the story is shown, and how much of it stands out.
fn extent(app: &App, story: &Story, shown: usize) -> Safe {
    let all = story.rows.len();
    if shown < all {
        let key =
            app.keymap.ways(app.screen, Action::OtherRows).next().map_or_else(Safe::default, Binding::shown);
        return safe!("{shown} of {all}, {key} shows all");
    }
    match story.rows.iter().filter(|row| row.severity >= Severity::Notice).count() {
        0 => safe!("{}, none stands out", counted(all as u64, "step")),
        weighty => safe!("{}, {weighty} stand out", counted(all as u64, "step")),
    }
}

/// Mark and role of a finding.
pub(super) fn severity(severity: Severity) -> (&'static str, Role) {
    match severity {
        Severity::Info => ("", Role::Text),
        Severity::Notice => ("-", Role::Text),
        Severity::Warning => ("!", Role::Warn),
        Severity::Critical => ("!!", Role::Alert),
    }
}

/// What is known of the container.
pub(super) fn summary(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Summary, Row::new(), &Safe::default());
    let Some(subject) = app.subject() else { return };
    let rows = lines(&pairs(app, subject), inner.width.saturating_sub(2));
    let top = app.list.summary.top.min(rows.len().saturating_sub(1));
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x + 2, y, inner.width.saturating_sub(2), row);
    }
}

fn pairs(app: &App, row: &ContainerRow) -> Vec<DetailLine> {
    let mut pairs: Vec<(&'static str, Option<Safe>)> = vec![
        ("id", Some(row.id.clone())),
        ("image", row.image.clone()),
        ("pod", row.pod.clone()),
        ("engine", Some(safe!("{}", row.engine))),
    ];
    let at = |at| app.catalog.clocks.date_time(app.time_style, at);
    let zone = app.catalog.clocks.typed(app.time_style).zone_word();
    pairs.push(("started", at(row.life.begin).map(|time| safe!("{time} {zone}"))));
    pairs.push((
        "ended",
        row.life.end.and_then(at).map(|time| safe!("{time} {zone}, after {}", human(row.life.length()))),
    ));
    pairs.push(("deleted", row.removed.and_then(at).map(|time| safe!("{time} {zone}"))));
    let corrupt = match app.catalog.corrupt(row.uid) {
        0 => Safe::default(),
        rows => safe!(" ({} corrupt)", grouped(rows)),
    };
    let kept = safe!("{} kept{corrupt}, {} lost", grouped(row.events), grouped(row.lost));
    pairs.push(("events", Some(kept)));
    pairs.push(("cgroup", Some(row.cgroup.clone())));
    let mut all: Vec<DetailLine> = Vec::new();
    for reason in &row.life.partial {
        all.push(DetailLine::Warn(safe!("not complete: {}", reason.as_str())));
    }
    all.extend(
        pairs.into_iter().filter_map(|(key, value)| Some(DetailLine::Pair(Safe::literal(key), value?))),
    );
    if let Some(story) = app.stories.of(row.uid).filter(|story| !story.summary.is_empty()) {
        all.push(DetailLine::Section("activity"));
        all.extend(story.summary.iter().map(|(key, value)| DetailLine::Pair(key.clone(), value.clone())));
    }
    if !row.facts.is_empty() {
        all.push(DetailLine::Section("learnt from"));
        for (key, value, source) in &row.facts {
            all.push(DetailLine::Pair(Safe::literal(key), safe!("{value}  ({source})")));
        }
    }
    all.push(DetailLine::Section("recorded on"));
    all.push(DetailLine::Pair(Safe::literal("host"), safe!("{}, {}", app.catalog.host, app.catalog.kernel)));
    all.push(DetailLine::Pair(Safe::literal("recorder"), app.catalog.recorder.clone()));
    all.extend(app.catalog.degraded.iter().map(|text| DetailLine::Warn(safe!("not recorded: {text}"))));
    all.extend(app.catalog.damage.iter().map(|(_, text)| DetailLine::Warn(text.clone())));
    all
}
