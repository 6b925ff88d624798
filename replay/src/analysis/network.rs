//! The network of a container as rows: conversations, listeners, lookups.

use std::borrow::Cow;

use afterimage_format::ContainerUid;
use afterimage_model::{
    net::{Conversation, Direction, Listener, Lookup, NameSource},
    sockaddr::SocketAddress,
    symbols,
    text::{Safe, escape},
};

use super::around::Around;
use crate::{
    events::{Teller, record_type},
    output::{
        Cell, Column, Kind, Record, Shape, Tone,
        facts::{Act, Dns, Facts, Outcome},
    },
};

/// How conversations are printed.
pub const CONVERSATIONS: Shape = Shape {
    rows: "conversations",
    row: "conversation",
    columns: &[
        Column::new(
            "first",
            "FIRST",
            "first sign in the range, in seconds after the container's start in tables",
        )
        .kind(Kind::Time)
        .spare(),
        Column::new("last", "LAST", "last sign in the range, written as the first").hidden().kind(Kind::Time),
        Column::new("protocol", "PROTO", "tcp, udp, unix, ..."),
        Column::new("direction", "DIR", "out: the container began; in: the peer did"),
        Column::new("peer", "PEER", "address of the other end").flexible(),
        Column::new("peer_ip", "PEER IP", "its IP address").hidden(),
        Column::new("peer_port", "PEER PORT", "its port, where the protocol has ports").hidden().integer(),
        Column::new(
            "claimed",
            "CLAIMED",
            "its address is one that programs claimed, as of connections that failed: no socket of the kernel had it",
        )
        .hidden()
        .kind(Kind::Boolean),
        Column::new("names", "NAMES", "what the peer is called: by DNS, TLS or HTTP, each name once")
            .kind(Kind::Texts)
            .optional()
            .flexible(),
        Column::new(
            "name_sources",
            "SOURCES",
            "where each name was seen: dns, sni or host, with `+` between them where several told it",
        )
        .hidden()
        .kind(Kind::Texts),
        Column::new("local", "LOCAL", "the container's own address").hidden().flexible(),
        Column::new("connections", "CONN", "connections made or accepted in the range").integer(),
        Column::new("failures", "FAILED", "connections that failed").integer().spare(),
        Column::new(
            "interrupted",
            "INTERRUPTED",
            "attempts that a signal interrupted, of which nothing tells what became of them: neither made nor failed",
        )
        .optional()
        .integer(),
        Column::new("error", "ERROR", "the last failure").optional(),
        Column::new("sent", "SENT", "bytes sent; with `>=` in tables where sent_at_least").integer(),
        Column::new("received", "RECEIVED", "bytes received; with `>=` in tables where received_at_least")
            .integer(),
        Column::new(
            "sent_at_least",
            "SENT AT LEAST",
            "more was sent than sent: of a call with several messages the first is counted",
        )
        .hidden()
        .kind(Kind::Boolean),
        Column::new(
            "received_at_least",
            "RECEIVED AT LEAST",
            "more was received than received: of a call with several messages the first is counted",
        )
        .hidden()
        .kind(Kind::Boolean),
        Column::new("messages_sent", "OUT", "calls that sent").hidden().integer(),
        Column::new("messages_received", "IN", "calls that received").hidden().integer(),
        Column::new("by", "BY", "processes that took part in the range").kind(Kind::Texts).flexible(),
        Column::new("before", "BEFORE", "there were signs of it before the range, which are not counted")
            .kind(Kind::Boolean)
            .optional(),
    ],
};

/// How listeners are printed.
pub const LISTENERS: Shape = Shape {
    rows: "listeners",
    row: "listener",
    columns: &[
        Column::new(
            "since",
            "SINCE",
            "when it began to listen, be it before the range, in seconds after the container's start in tables",
        )
        .kind(Kind::Time),
        Column::new("protocol", "PROTO", "tcp, unix, ..."),
        Column::new("local", "LISTENS ON", "its address").flexible(),
        Column::new("accepted", "ACCEPTED", "connections accepted in the range").integer(),
        Column::new("pid", "PID", "process that called listen").integer(),
        Column::new("process", "PROCESS", "its name").flexible(),
    ],
};

/// How lookups are printed.
pub const LOOKUPS: Shape = Shape {
    rows: "lookups",
    row: "lookup",
    columns: &[
        Column::new("time", "TIME", "when it was asked, in seconds after the container's start in tables")
            .kind(Kind::Time),
        Column::new("name", "NAME", "the name asked for").flexible(),
        Column::new("type", "TYPE", "A, AAAA, TXT, ... or the number"),
        Column::new("asked", "ASKED", "how often in the range").integer(),
        Column::new("answer", "ANSWER", "ok, the error, or nothing where no answer was seen"),
        Column::new("addresses", "ADDRESSES", "addresses in the answer").kind(Kind::Texts).flexible(),
        Column::new("aliases", "ALIASES", "other names in the answer").hidden().kind(Kind::Texts),
        Column::new("pid", "PID", "process that asked").integer(),
        Column::new("process", "PROCESS", "its name").flexible(),
    ],
};

/// Who took part, each under the names that it had then.
fn parties(around: &Around<'_>, conversation: &Conversation) -> Vec<Safe> {
    let mut parties: Vec<Safe> = Vec::new();
    for by in &conversation.processes {
        let pid = by.process.tgid;
        let party = match around.name_at(by.process, by.first) {
            Some(name) => Safe::format(format_args!("{pid} {name}")),
            None => Safe::format(format_args!("{pid}")),
        };
        if !parties.contains(&party) {
            parties.push(party);
        }
    }
    parties
}

fn address(address: Option<&SocketAddress>, protocol: &str) -> Cell {
    Cell::option(address, |a| Cell::safe(a.seen_by(protocol)))
}

/// Where a name was seen.
pub fn sources_in_words(sources: &[NameSource]) -> Safe {
    let words: Vec<&str> = sources.iter().map(|source| source.as_str()).collect();
    Safe::format(format_args!("{}", words.join("+")))
}

/// So many bytes, and more where there were messages whose lengths were not recorded.
fn amount(bytes: u64, unread: u64) -> Cell {
    if unread == 0 { Cell::number(bytes) } else { Cell::both(Safe::format(format_args!(">={bytes}")), bytes) }
}

/// Whether it was said with several that came, each through a port of its own.
fn from_many(conversation: &Conversation) -> bool {
    let ends = conversation.peer.as_ref();
    let has_port = ends.is_some_and(|peer| peer.port_seen_by(conversation.protocol).is_some());
    conversation.direction == Direction::In && conversation.connections > 1 && has_port
}

/// A conversation with what its row needs.
#[derive(Debug, Clone, Copy)]
pub struct Talk<'a> {
    /// The recording and its state.
    pub around: Around<'a>,
    /// The conversation.
    pub talk: &'a Conversation,
    /// There were signs of it before the range.
    pub before: bool,
}

/// A row with what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a, T>(pub Around<'a>, pub &'a T);

impl Record for Talk<'_> {
    fn cell(&self, key: &str) -> Cell {
        let Self { around, talk: c, before } = self;
        match key {
            "first" => around.moment(c.first),
            "last" => around.moment(c.last),
            "protocol" => Cell::word(c.protocol),
            "direction" => Cell::word(match c.direction {
                Direction::Out => "out",
                Direction::In => "in",
            }),
            // Of many that came from one address, each from a port of its own, the last one's says nothing.
            "peer" if from_many(c) => Cell::option(c.peer.as_ref().and_then(SocketAddress::ip), |ip| {
                Cell::safe(Safe::format(format_args!("{ip}")))
            }),
            "peer" => address(c.peer.as_ref(), c.protocol),
            "peer_ip" => {
                let ip = c.peer.as_ref().and_then(SocketAddress::ip);
                Cell::option(ip, |ip| Cell::safe(Safe::format(format_args!("{ip}"))))
            }
            "peer_port" if from_many(c) => Cell::absent(),
            "peer_port" => {
                Cell::option(c.peer.as_ref().and_then(|a| a.port_seen_by(c.protocol)), Cell::number)
            }
            "claimed" => Cell::flag(c.claimed),
            "names" => Cell::list(c.called().into_iter().map(|(name, _)| escape(name))),
            "name_sources" => {
                Cell::list(c.called().into_iter().map(|(_, sources)| sources_in_words(&sources)))
            }
            "local" => address(c.local.as_ref(), c.protocol),
            "connections" => Cell::number(c.connections),
            "failures" => Cell::number(c.failures),
            // An empty cell where there is none keeps the column out of most tables.
            "interrupted" if c.interrupted == 0 => Cell::both(Safe::default(), 0_u64),
            "interrupted" => Cell::number(c.interrupted),
            "error" => Cell::option(c.last_error.and_then(symbols::errno), Cell::word),
            "sent" => amount(c.sent, c.unread_sent),
            "received" => amount(c.received, c.unread_received),
            "sent_at_least" => Cell::flag(c.unread_sent > 0),
            "received_at_least" => Cell::flag(c.unread_received > 0),
            "messages_sent" => Cell::number(c.messages_sent),
            "messages_received" => Cell::number(c.messages_received),
            "by" => Cell::list(parties(around, c)),
            "before" => Cell::flag(*before),
            _ => Cell::absent(),
        }
    }
}

impl Record for Row<'_, Listener> {
    fn cell(&self, key: &str) -> Cell {
        let Self(around, l) = self;
        match key {
            "since" => around.moment(l.since),
            "protocol" => Cell::word(l.protocol),
            "local" => address(l.local.as_ref(), l.protocol),
            "accepted" => Cell::number(l.accepted),
            "pid" => Cell::number(l.by.tgid),
            "process" => Cell::option(around.name_at(l.by, l.since), Cell::safe),
            _ => Cell::absent(),
        }
    }
}

impl Record for Row<'_, Lookup> {
    fn cell(&self, key: &str) -> Cell {
        let Self(around, l) = self;
        match key {
            "time" => around.moment(l.time),
            "name" => Cell::safe(escape(&l.name)),
            "type" => Cell::both(record_type(l.kind), record_type(l.kind)),
            "asked" => Cell::number(l.asked),
            "answer" => Cell::option(l.answered, |_| Cell::safe(answer(l.code))),
            "addresses" => Cell::list(l.addresses.iter().map(|a| Safe::format(format_args!("{a}")))),
            "aliases" => Cell::list(l.aliases.iter().map(|a| escape(a))),
            "pid" => Cell::number(l.by.tgid),
            "process" => Cell::option(around.name_at(l.by, l.time), Cell::safe),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        let Self(around, l) = self;
        let mut teller = Teller::new(around.trace);
        let container = around.world.process(l.by).map_or(ContainerUid::HOST, |process| process.container);
        let mut facts = teller.begin(Act::DnsQuery, container, l.time);
        facts.action = Safe::literal("lookup");
        facts.outcome = match l.answered {
            None => Outcome::Unknown,
            Some(_) if l.code == 0 => Outcome::Success,
            Some(_) => Outcome::Failure,
        };
        facts.process = Some(teller.identity(l.by, around.name_at(l.by, l.time)));
        facts.dns = Some(Dns {
            id: None,
            is_answer: false,
            name: Some(escape(&l.name)),
            kind: record_type(l.kind),
            code: l.answered.map(|_| l.code),
            addresses: l.addresses.clone(),
        });
        Some(Cow::Owned(*facts))
    }

    fn tone(&self) -> Tone {
        if self.1.answered.is_none() || self.1.code != 0 { Tone::Dim } else { Tone::Plain }
    }
}

/// The name of a DNS answer's code, else its number.
fn answer(code: u8) -> Safe {
    match code {
        0 => Safe::literal("ok"),
        1 => Safe::literal("format error"),
        2 => Safe::literal("server failure"),
        3 => Safe::literal("no such name"),
        5 => Safe::literal("refused"),
        other => Safe::format(format_args!("code {other}")),
    }
}
