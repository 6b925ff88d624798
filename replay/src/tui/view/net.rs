//! The conversations of a whole life, the selected one, and the names that were asked for.

use afterimage_model::{
    net::{Conversation, Direction},
    symbols,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{
    processes::{FromRight, choice, cursor, list_style, nothing, paragraph, time_width, whole},
    title,
};
use crate::{
    analysis::network::sources_in_words,
    tui::{
        app::App,
        feed::DetailLine,
        layout::Pane,
        paint::{Painter, Row},
        peers::{address, from_many, is_mapped, peer, peer_within},
        sheets::stands_out,
        text::{bytes, counted, grouped, safe},
        theme::Role,
        whole::Whole,
    },
};

/// The list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let total = app.whole().map_or(0, |whole| whole.conversations().len());
    let note = choice(app, total, "A shows those without an address too");
    let inner = title(app, painter, rect, Pane::Conversations, Row::new(), &note);
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let columns = Columns::new(app, inner);
    columns.heading(painter, inner.y);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    nothing(app, painter, body, "no conversation");
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let shown = sheet.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, index)) in (body.y..).zip(shown) {
        let Some(talk) = whole.conversations().get(*index) else { continue };
        let line = Rect { y, height: 1, ..body };
        columns.draw(app, painter, line, talk, whole);
        if at == scroll.cursor {
            cursor(app, painter, line, Pane::Conversations);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), sheet.order.len() as u64);
}

/// Where the columns are.
struct Columns {
    peer: (u16, u16),
    name: Option<(u16, u16)>,
    protocol: Option<(u16, u16)>,
    sent: (u16, u16),
    received: (u16, u16),
    first: Option<(u16, u16)>,
    last: Option<(u16, u16)>,
    by: Option<(u16, u16)>,
}

impl Columns {
    fn new(app: &App, inner: Rect) -> Self {
        let time = time_width(app);
        let mut places = FromRight::new(inner);
        let by = (inner.width >= 90).then(|| places.take(18));
        // An address with its port takes 21 columns: names and times are left out before it is cut.
        let last = (inner.width >= 120).then(|| places.take(time));
        let first = (inner.width >= 72).then(|| places.take(time));
        let received = places.take(10);
        let sent = places.take(10);
        let protocol = (inner.width >= 60).then(|| places.take(8));
        let name = (inner.width >= 108).then(|| places.take(22));
        let x = inner.x + 2;
        Self { peer: (x, places.room(x)), name, protocol, sent, received, first, last, by }
    }

    fn heading(&self, painter: &mut Painter<'_>, y: u16) {
        painter.text(self.peer.0, y, self.peer.1, "PEER", Role::Dim);
        painter.right(self.sent.0 + self.sent.1, y, self.sent.1, "SENT", Role::Dim);
        painter.right(self.received.0 + self.received.1, y, self.received.1, "RECEIVED", Role::Dim);
        for (place, text) in [(self.protocol, "PROTO"), (self.name, "NAME"), (self.by, "BY")] {
            if let Some((x, width)) = place {
                painter.text(x, y, width, text, Role::Dim);
            }
        }
        for (place, text) in [(self.first, "FIRST"), (self.last, "LAST")] {
            if let Some((x, width)) = place {
                painter.right(x + width, y, width, text, Role::Dim);
            }
        }
    }

    fn draw(&self, app: &App, painter: &mut Painter<'_>, line: Rect, talk: &Conversation, whole: &Whole) {
        let y = line.y;
        let failed = talk.connections == 0 && talk.failures > 0;
        if failed {
            painter.text(line.x + 1, y, 1, "f", Role::Bad);
        } else if app.story().is_some_and(|story| stands_out(story, talk)) {
            painter.text(line.x + 1, y, 1, "!", Role::Alert);
        }
        let shown = peer_within(talk, usize::from(self.peer.1), painter.symbols().ellipsis);
        painter.text(self.peer.0, y, self.peer.1, &shown, if failed { Role::Dim } else { Role::Net });
        let way = match talk.direction {
            Direction::Out => safe!("{} out", talk.protocol),
            Direction::In => safe!("{} in", talk.protocol),
        };
        if let Some((x, width)) = self.protocol {
            painter.text(x, y, width, &way, Role::Text);
        }
        let sums =
            [(self.sent, talk.sent, talk.unread_sent), (self.received, talk.received, talk.unread_received)];
        for ((x, width), number, unread) in sums {
            let (text, role) = match (number, unread) {
                (0, 0) => (Safe::literal("-"), Role::Dim),
                _ => (amount(number, unread), Role::Text),
            };
            painter.right(x + width, y, width, &text, role);
        }
        if let Some((x, width)) = self.name {
            match talk.names.first() {
                Some(name) => painter.text(x, y, width, &escape(&name.name), Role::Text),
                None => painter.text(x, y, width, "no name seen", Role::Dim),
            };
        }
        let Some(opened) = &app.opened else { return };
        for (place, at) in [(self.first, talk.first), (self.last, talk.last)] {
            if let Some((x, width)) = place {
                let time = app.catalog.clocks.column(list_style(app), at, opened.origin, None);
                painter.right(x + width, y, width, &time, Role::Dim);
            }
        }
        if let (Some((x, width)), Some(by)) = (self.by, talk.processes.first()) {
            let more = talk.process_count() - 1;
            let others = if more > 0 { safe!(" +{more}") } else { Safe::default() };
            painter.text(x, y, width, &safe!("{}{others}", whole.named(by.process, by.first)), Role::Dim);
        }
    }
}

/// What is known of the selected conversation.
pub(super) fn conversation(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = Safe::literal("Enter follows it");
    let inner = title(app, painter, rect, Pane::Conversation, Row::new(), &note);
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let (Some(talk), Some(opened)) = (app.selected_conversation(), &app.opened) else { return };
    let time = |at| app.catalog.clocks.column(list_style(app), at, opened.origin, None);
    let mut out = Vec::new();
    let mut add = |key: &'static str, value: Safe| out.push(DetailLine::Pair(Safe::literal(key), value));
    add("peer", peer(talk));
    if let Some(peer) = talk.peer.as_ref().filter(|peer| is_mapped(peer)) {
        add("written as", safe!("IPv4; the program used {}", peer.seen_by(talk.protocol)));
    }
    if talk.claimed {
        add("address", Safe::literal("as programs claimed it"));
    }
    if from_many(talk) {
        add("its ports", safe!("one for each of {} connections", grouped(talk.connections)));
    }
    if let Some(local) = &talk.local {
        add("own end", address(local, talk.protocol));
    }
    let began = if talk.direction == Direction::Out { "by the container" } else { "by the peer" };
    add("begun", Safe::literal(began));
    add("from", safe!("{} to {}", time(talk.first), time(talk.last)));
    add(
        "connected",
        safe!("{}, {} failed{}", counted(talk.connections, "time"), grouped(talk.failures), reason(talk)),
    );
    if talk.interrupted > 0 {
        add(
            "interrupted",
            safe!("{}, and what became of it is not known", counted(talk.interrupted, "time")),
        );
    }
    let moved = |bytes, unread, calls| safe!("{} in {}", amount(bytes, unread), counted(calls, "call"));
    add("sent", moved(talk.sent, talk.unread_sent, talk.messages_sent));
    add("received", moved(talk.received, talk.unread_received, talk.messages_received));
    let unread = talk.unread_sent.saturating_add(talk.unread_received);
    if unread > 0 {
        let messages = counted(unread, "message");
        add("not counted", safe!("{messages} behind the first of one call, of unknown lengths"));
    }
    for (name, sources) in talk.called() {
        let words = safe!("{} ({})", escape(name), sources_in_words(&sources));
        out.push(DetailLine::Pair(Safe::literal("called"), words));
    }
    out.push(DetailLine::Section("processes"));
    let by = talk.processes.iter().map(|by| whole.named(by.process, by.first));
    out.extend(by.map(|name| DetailLine::Pair(Safe::default(), name)));
    paragraph(painter, inner, &out, sheet.left.top);
}

/// So many bytes, and more where there were messages whose lengths were not recorded.
fn amount(number: u64, unread: u64) -> Safe {
    if unread == 0 { bytes(number) } else { safe!(">={}", bytes(number)) }
}

fn reason(talk: &Conversation) -> Safe {
    talk.last_error.and_then(symbols::errno).map_or_else(Safe::default, |name| safe!(" (last {name})"))
}

/// Names asked for, and sockets that waited.
pub(super) fn lookups(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let inner = title(app, painter, rect, Pane::Lookups, Row::new(), &Safe::default());
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let Some(opened) = &app.opened else { return };
    let time = |at| app.catalog.clocks.column(list_style(app), at, opened.origin, None);
    let mut out = vec![DetailLine::Section("asked of DNS")];
    let asked = whole.network.lookups(whole.uid);
    for lookup in asked {
        let addresses: Vec<String> = lookup.addresses.iter().map(ToString::to_string).collect();
        let answer = match (lookup.answered, lookup.code) {
            (None, _) => Safe::literal("no answer seen"),
            (Some(_), 0) => safe!("{}", addresses.join(", ")),
            (Some(_), 3) => Safe::literal("no such name"),
            (Some(_), code) => safe!("refused with code {code}"),
        };
        out.push(DetailLine::Pair(
            time(lookup.time),
            safe!("{} {} {answer}", escape(&lookup.name), app.look.symbols.arrow),
        ));
    }
    if asked.is_empty() {
        out.push(DetailLine::Pair(Safe::literal("none"), Safe::default()));
    }
    out.push(DetailLine::Section("waiting for connections"));
    let listeners = whole.network.listeners(whole.uid);
    for listener in listeners {
        let local = listener.local.as_ref().map(|local| address(local, listener.protocol));
        let place = local.unwrap_or(Safe::literal("?"));
        let text = safe!(
            "{} {place} by {}, {} accepted",
            listener.protocol,
            whole.named(listener.by, listener.since),
            listener.accepted
        );
        out.push(DetailLine::Pair(time(listener.since), text));
    }
    if listeners.is_empty() {
        out.push(DetailLine::Pair(Safe::literal("none"), Safe::default()));
    }
    paragraph(painter, inner, &out, sheet.right.top);
}
