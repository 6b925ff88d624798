//! What is known of conversations, listeners and lookups.

use std::{collections::HashSet, net::IpAddr};

use afterimage_format::BootNanos;

use super::greeting;
use crate::{
    dns::{DnsAnswer, DnsMessage},
    process::ProcessKey,
    sockaddr::SocketAddress,
};

/// Processes remembered of one conversation.
const PROCESSES: usize = 32;
/// Names of one process among them.
const NAMES_OF_ONE: usize = 4;
/// Names remembered of one conversation.
const NAMES: usize = 16;

/// Everything that was said with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// `tcp`, `udp`, `unix`, ...
    pub protocol: &'static str,
    /// Who began.
    pub direction: Direction,
    /// The peer; of accepted connections that of the last one.
    pub peer: Option<SocketAddress>,
    /// The peer's address is one that programs claimed: no socket of the kernel was seen to have it.
    pub claimed: bool,
    /// The own address, where known.
    pub local: Option<SocketAddress>,
    /// What the peer is called.
    pub names: Vec<Name>,
    /// First sign that is counted.
    pub first: BootNanos,
    /// Last sign that is counted.
    pub last: BootNanos,
    /// Connections made or accepted.
    pub connections: u64,
    /// Connections that failed.
    pub failures: u64,
    /// Attempts that a signal interrupted, of which nothing told later what became of them.
    pub interrupted: u64,
    /// The last failure's result.
    pub last_error: Option<i64>,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Messages of `sendmmsg` among them of which not even the length was recorded: more was sent than [`Self::sent`].
    pub unread_sent: u64,
    /// The same of `recvmmsg` and [`Self::received`].
    pub unread_received: u64,
    /// Calls that sent.
    pub messages_sent: u64,
    /// Calls that received.
    pub messages_received: u64,
    /// Who took part, in order of their first sign that is counted; nobody where no sign is. A process that was given another name and
    /// went on is there once more.
    pub processes: Vec<Participant>,
}

/// Who took part in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    /// The process.
    pub process: ProcessKey,
    /// Its first sign that is counted, under the name that it had then.
    pub first: BootNanos,
}

/// Who began a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The container.
    Out,
    /// The peer.
    In,
}

/// A name and how it was learnt: bytes from the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: Vec<u8>,
    /// Where it was seen.
    pub source: NameSource,
}

/// Where a name was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// In an answer of a DNS server, for the peer's address, before.
    Dns,
    /// As the server's name in a TLS greeting.
    Tls,
    /// As the host of an HTTP request.
    Http,
}

impl NameSource {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "sni",
            Self::Http => "host",
        }
    }
}

/// A socket that waited for connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Since when.
    pub since: BootNanos,
    /// Who called `listen`.
    pub by: ProcessKey,
    /// `tcp`, `unix`, ...
    pub protocol: &'static str,
    /// Its address, where known.
    pub local: Option<SocketAddress>,
    /// Connections accepted since counting began.
    pub accepted: u64,
}

/// A question to a DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// When it was asked first since counting began; where it was asked before that alone, then; where only its answer was
    /// seen, when that came.
    pub time: BootNanos,
    /// By whom.
    pub by: ProcessKey,
    /// The question's number.
    pub(super) id: u16,
    /// The name asked for: bytes from the outside, dots between labels.
    pub name: Vec<u8>,
    /// The kind asked for: 1 is A, 28 is AAAA, 16 is TXT.
    pub kind: u16,
    /// How often it was asked since counting began.
    pub asked: u32,
    /// When it was answered.
    pub answered: Option<BootNanos>,
    /// The answer's code: 0 is fine, 3 is "no such name".
    pub code: u8,
    /// Addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Other names in the answer (CNAME).
    pub aliases: Vec<Vec<u8>>,
}

impl Conversation {
    pub(super) fn new(protocol: &'static str, direction: Direction, time: BootNanos) -> Self {
        Self {
            protocol,
            direction,
            peer: None,
            claimed: false,
            local: None,
            names: Vec::new(),
            first: time,
            last: time,
            connections: 0,
            failures: 0,
            interrupted: 0,
            last_error: None,
            sent: 0,
            received: 0,
            unread_sent: 0,
            unread_received: 0,
            messages_sent: 0,
            messages_received: 0,
            processes: Vec::new(),
        }
    }

    /// So many bytes went through it in one call or request.
    pub(super) fn moved(&mut self, sends: bool, bytes: u64) {
        let (sum, messages) = if sends {
            (&mut self.sent, &mut self.messages_sent)
        } else {
            (&mut self.received, &mut self.messages_received)
        };
        *sum = sum.saturating_add(bytes);
        *messages += 1;
    }

    /// So many messages went through it of which no length was recorded.
    pub(super) fn unread(&mut self, sends: bool, messages: u64) {
        let sum = if sends { &mut self.unread_sent } else { &mut self.unread_received };
        *sum = sum.saturating_add(messages);
    }

    /// What the peer is called, each name once with all that told it.
    pub fn called(&self) -> Vec<(&[u8], Vec<NameSource>)> {
        let mut called: Vec<(&[u8], Vec<NameSource>)> = Vec::new();
        for Name { name, source } in &self.names {
            match called.iter_mut().find(|(known, _)| known == name) {
                Some((_, sources)) => sources.push(*source),
                None => called.push((name.as_slice(), vec![*source])),
            }
        }
        called
    }

    /// Whether there was any sign of it since counting began.
    pub fn is_counted(&self) -> bool {
        !self.processes.is_empty()
    }

    /// How many processes took part, as far as they are remembered.
    pub fn process_count(&self) -> usize {
        let keys: HashSet<ProcessKey> = self.processes.iter().map(|by| by.process).collect();
        keys.len()
    }

    /// A sign of it, which is counted, by a process that has its name since a moment.
    pub(super) fn note(&mut self, time: BootNanos, by: ProcessKey, named: BootNanos) {
        if !self.is_counted() {
            self.first = time;
        }
        self.last = time;
        let same = self.processes.iter().filter(|known| known.process == by);
        let is_known = same.clone().any(|known| named <= known.first);
        // Who changes its name without end keeps nobody else out.
        let has_room = same.count() < NAMES_OF_ONE && self.processes.len() < PROCESSES;
        if !is_known && has_room {
            self.processes.push(Participant { process: by, first: time });
        }
    }

    /// It is called so. An address is no name, though clients may say one as the host.
    pub(super) fn name(&mut self, name: &[u8], source: NameSource) {
        if is_address(name) {
            return;
        }
        let known = self.names.iter().any(|n| n.name == name && n.source == source);
        if !known && self.names.len() < NAMES {
            self.names.push(Name { name: name.to_vec(), source });
        }
    }

    /// Looks for the peer's name in what the container says first.
    pub(super) fn greet(&mut self, payload: &[u8]) {
        if let Some(name) = greeting::server_name(payload) {
            self.name(name, NameSource::Tls);
        } else if let Some(host) = greeting::http_host(payload) {
            self.name(host, NameSource::Http);
        }
    }
}

/// Whether it is an IP address, as URLs write one too.
fn is_address(name: &[u8]) -> bool {
    let bare = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name);
    std::str::from_utf8(bare).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

impl Lookup {
    pub(super) fn new(time: BootNanos, by: ProcessKey, message: &DnsMessage, name: Vec<u8>) -> Self {
        Self {
            time,
            by,
            id: message.id,
            name,
            kind: message.kind,
            asked: 0,
            answered: None,
            code: 0,
            addresses: Vec::new(),
            aliases: Vec::new(),
        }
    }

    /// Whether it was asked or answered since `begin`.
    pub fn is_counted(&self, begin: BootNanos) -> bool {
        self.asked > 0 || self.answered.is_some_and(|at| begin <= at)
    }

    /// It was asked once more; `counts` where that is counted.
    pub(super) fn ask(&mut self, time: BootNanos, counts: bool) {
        if !counts {
            return;
        }
        if self.asked == 0 {
            self.time = time;
        }
        self.asked = self.asked.saturating_add(1);
    }

    pub(super) fn answer(&mut self, time: BootNanos, message: &DnsMessage) {
        self.answered = Some(time);
        self.code = message.code;
        for answer in &message.answers {
            match &answer.data {
                DnsAnswer::Address(ip) => self.addresses.push(*ip),
                DnsAnswer::Alias(name) => self.aliases.push(name.clone()),
                DnsAnswer::Other => {}
            }
        }
    }
}
