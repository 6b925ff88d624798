//! What went through a process's or a connection's descriptors, as text or as bytes.

use afterimage_model::{
    streams::Way,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{processes::list_style, title};
use crate::{
    analysis::transcript,
    tui::{
        app::{App, Opened},
        hex,
        layout::Pane,
        moment::Clocks,
        paint::{Painter, Row},
        peers::address,
        stream::{Line, Piece, Stream, Target, What},
        text::{bytes, safe},
        theme::Role,
    },
};

/// Draws the stream; what is after the playhead is dimmed.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = note(app);
    let extra = Row::new().add(" of ", Role::Dim).add(&of(app), Role::Text);
    let inner = title(app, painter, rect, Pane::Stream, extra, &note);
    let Some(opened) = &app.opened else { return };
    let Some(stream) = opened.stream() else {
        let text = match opened.target {
            Some(_) if opened.stream.has_failed() => "could not be read; 7 tries again",
            Some(_) => "reading",
            None if app.has_unread_story() => "could not be read",
            None if opened.is_behind() || !app.all_read() => "reading",
            None => "nothing is followed: press 7 on a process (4), a conversation (6) or a finding (8)",
        };
        painter.text(inner.x + 2, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
        return;
    };
    let lines = seen(app, opened, stream);
    if lines.is_empty() {
        let text = match (stream.reading.is_some(), stream.pieces.is_empty()) {
            (true, _) => "reading",
            (false, true) => "nothing went through it that was recorded",
            _ if app.follow && !opened.lines.lines.is_empty() => "nothing by the playhead",
            (false, false) => "nothing went this way; s shows the other side",
        };
        painter.text(inner.x + 2, inner.y, inner.width.saturating_sub(2), text, Role::Dim);
        return;
    }
    let length = opened.length();
    let time = Clocks::width(list_style(app), length);
    let mut scroll = opened.lines.scroll;
    scroll.show(lines.len(), usize::from(inner.height));
    let mut before: Option<usize> =
        scroll.top.checked_sub(1).and_then(|at| lines.get(at)).map(|line| line.piece);
    let shown = lines.iter().enumerate().skip(scroll.top).take(usize::from(inner.height));
    for (y, (at, line)) in (inner.y..).zip(shown) {
        let Some(piece) = stream.pieces.get(line.piece) else { continue };
        let area = Rect { y, height: 1, ..inner };
        let first = before != Some(line.piece);
        draw_line(app, painter, area, time, (piece, *line), first);
        before = Some(line.piece);
        if at == scroll.cursor {
            super::processes::cursor(app, painter, area, Pane::Stream);
        }
    }
    painter.scroll(inner, scroll.top as u64, u64::from(inner.height), lines.len() as u64);
}

/// The lines that are seen: where the lists follow the clock, those up to the playhead.
fn seen<'a>(app: &App, opened: &'a Opened, stream: &Stream) -> &'a [Line] {
    let lines = opened.lines.lines.as_slice();
    let later = |line: &Line| stream.time(*line) <= opened.playhead.time;
    let until = if app.follow { lines.partition_point(later) } else { lines.len() };
    lines.get(..until).unwrap_or(lines)
}

fn of(app: &App) -> Safe {
    let whole = app.whole();
    match app.opened.as_ref().and_then(|o| o.target.as_ref()) {
        None => Safe::default(),
        Some(Target::Peer(peer, None)) => {
            let talks = whole.map_or(&[][..], |whole| whole.conversations());
            let talk = talks.iter().find(|talk| talk.peer.as_ref() == Some(peer));
            address(peer, talk.map_or("", |talk| talk.protocol))
        }
        Some(Target::Peer(peer, Some(local))) => safe!("{} at {}", address(peer, ""), address(local, "")),
        Some(Target::Numbered(number, label)) => safe!("{number}: {label}"),
        Some(Target::Process(key)) => {
            let title = whole.and_then(|whole| whole.world.process(*key)).map(|process| process.title());
            title.map_or_else(|| safe!("{}", key.tgid), |title| safe!("{} {title}", key.tgid))
        }
    }
}

fn note(app: &App) -> Safe {
    let Some(opened) = &app.opened else { return Safe::default() };
    let view = if app.stream_hex() { "hex" } else { "text" };
    let Some(stream) = opened.stream() else { return Safe::default() };
    let sum = |way: Way| -> u64 {
        let seen = stream.pieces.iter().filter(|piece| !app.follow || piece.id.time <= opened.playhead.time);
        seen.filter_map(Piece::transfer).filter(|t| t.way == way).map(|t| t.len).sum()
    };
    let state = match (stream.reading, stream.full) {
        (Some(percent), _) if opened.stream.has_failed() => safe!(", {percent} % read, then failed"),
        (Some(percent), _) => safe!(", {percent} % read"),
        (None, true) => Safe::literal(", more was not read"),
        (None, false) => Safe::default(),
    };
    let until = if app.follow { ", by the playhead" } else { "" };
    let (came, went) = (bytes(sum(Way::In)), bytes(sum(Way::Out)));
    safe!("{came} in, {went} out, {}, {view}{until}{state}", opened.side.name())
}

fn draw_line(
    app: &App,
    painter: &mut Painter<'_>,
    area: Rect,
    time: u16,
    (piece, line): (&Piece, Line),
    first: bool,
) {
    let Some(opened) = &app.opened else { return };
    let later = piece.id.time > opened.playhead.time;
    let role = |role: Role| if later { Role::Dim } else { role };
    let mut x = area.x + 2;
    if first {
        let shown = app.catalog.clocks.column(list_style(app), piece.id.time, opened.origin, None);
        painter.right(x + time, area.y, time, &shown, Role::Dim);
        painter.right(x + time + 8, area.y, 7, &safe!("{}", piece.pid), Role::Dim);
    }
    x += time + 9;
    let (arrow, colour) = match piece.way() {
        Some(Way::In) => ("<<", Role::Net),
        Some(Way::Out) => (">>", Role::Write),
        None => ("--", Role::Exec),
    };
    painter.text(x, area.y, 2, arrow, role(colour));
    x += 3;
    let room = area.right().saturating_sub(x + 2);
    let transfer = match &piece.what {
        What::Moved(transfer) => transfer,
        What::Note(text) => {
            painter.text(x, area.y, room, text, role(Role::Exec));
            return;
        }
    };
    if let Some(words) = transcript::lacking(transfer).filter(|_| line.from == line.to) {
        painter.text(x, area.y, room, &words, Role::Warn);
        return;
    }
    let part = transfer.bytes.get(line.from..line.to).unwrap_or(&[]);
    if app.stream_hex() {
        let row = hex::row_at(part, line.from, room);
        painter.row(x, area.y, room, &row);
    } else {
        let text = escape(part);
        painter.text(x, area.y, room, &text, role(Role::Text));
    }
}
