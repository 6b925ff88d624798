//! Streams of bytes through sockets, pipes and terminals, as they were read and written: what was typed and seen.
//!
//! A stream is everything that went through one open file description, whoever shares it after `dup` and `fork`; a
//! terminal is one stream by its path. Bytes have the direction of the process: in what it read, out what it wrote.
//! Payloads are kept with their true lengths, so that a gap is a gap and never silence. Payload bytes are those that
//! the recorder kept: cut at its limits.
//!
//! Streams have numbers in the order of their first bytes. What went through before a range ([`Streams::counting_from`]) gives
//! numbers, so that a stream has the same in every range, and is counted nowhere.

mod chunk;
mod transfer;

use std::collections::{BTreeMap, HashMap};

use afterimage_format::{BootNanos, ContainerUid, Event};

pub use chunk::{Chunk, Gap, Reassembled};
pub use transfer::{Transfer, counts_messages, transfers};
pub(crate) use transfer::{moved, peeks};

use crate::{
    World,
    fds::{FdInfo, FdKind, UNNAMED_TERMINAL},
    process::{Process, ProcessKey},
    standard::Standard,
    text::Safe,
};

/// How much is remembered of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams.
    pub streams: usize,
    /// Chunks of one stream.
    pub chunks: usize,
    /// Bytes of one stream.
    pub stream_bytes: usize,
    /// Bytes of all streams together.
    pub total_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { streams: 4_096, chunks: 65_536, stream_bytes: 4 << 20, total_bytes: 32 << 20 }
    }
}

/// The streams of the containers whose events were applied.
#[derive(Debug, Default)]
pub struct Streams {
    limits: StreamLimits,
    /// What went through before it is not counted.
    begin: BootNanos,
    standard: Standard,
    containers: BTreeMap<ContainerUid, StreamSet>,
}

#[derive(Debug, Default)]
struct StreamSet {
    streams: Vec<Stream>,
    index: HashMap<StreamKey, Known>,
    /// The first process that gave a process what it has.
    firsts: HashMap<ProcessKey, ProcessKey>,
    bytes: usize,
    dropped: u64,
}

/// A stream that was seen.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: usize,
    /// Where it is listed, once something of it is counted.
    at: Option<usize>,
}

/// Streams that are given numbers, in one container.
const NUMBERED: usize = 65_536;

/// What makes a stream one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKey {
    /// An open file description, by its id in its container.
    Description(u64),
    /// A terminal, by its path.
    Terminal(Vec<u8>),
    /// What the first of a line of processes had as this descriptor, and gave on to the others.
    Standard(ProcessKey, i32),
}

/// Everything that went through one description or terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Which of its container's streams it is, by their first bytes; the first is 1.
    pub number: usize,
    /// What makes it one.
    pub key: StreamKey,
    /// What it is, in a word: `tcp`, `pipe`, `unix`, `tty`, `unknown`.
    pub kind: &'static str,
    /// What it is in a few words, as last known.
    pub label: Safe,
    /// First bytes that are counted.
    pub first: BootNanos,
    /// Last bytes that are counted.
    pub last: BootNanos,
    /// True number of bytes read by processes of the container.
    pub bytes_in: u64,
    /// True number of bytes written by them.
    pub bytes_out: u64,
    /// Who read or wrote, in order of their first bytes, each with the descriptor it used.
    pub users: Vec<(ProcessKey, i32)>,
    /// What was read and written, in order of time.
    pub chunks: Vec<Chunk>,
    /// Chunks that are not in `chunks` for lack of room.
    pub chunks_dropped: u64,
    kept: usize,
}

/// Which way bytes went, as the process sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Read.
    #[default]
    In,
    /// Written.
    Out,
}

impl Streams {
    /// Nothing known, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing known.
    pub fn with_limits(limits: StreamLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What went through before `begin` is not counted. To be said before the first event.
    #[must_use]
    pub fn counting_from(self, begin: Option<BootNanos>) -> Self {
        Self { begin: begin.unwrap_or_default(), ..self }
    }

    /// Takes in an event that `world` has applied already.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) {
        self.apply_told(world, container, event, &mut |_, _| {});
    }

    /// As [`Self::apply`]; `tell` is given the number of each stream that it went through, and what went.
    pub fn apply_told(
        &mut self,
        world: &World,
        container: ContainerUid,
        event: &Event<'_>,
        tell: &mut dyn FnMut(usize, &Transfer),
    ) {
        self.standard.apply(world, container, event);
        for transfer in transfers(event) {
            self.moved((world, container), event, transfer, tell);
        }
    }

    /// One end of a call.
    fn moved(
        &mut self,
        (world, container): (&World, ContainerUid),
        event: &Event<'_>,
        transfer: Transfer,
        tell: &mut dyn FnMut(usize, &Transfer),
    ) {
        let Some(process) = world.process_of_task(event.task) else { return };
        let standard = self.standard.of(world, container, event.task, transfer.fd);
        let set = self.containers.entry(container).or_default();
        let standard = standard.map(|which| (set.first_of(world, process), which));
        let Some((key, kind, label)) = identify(world, event, standard, transfer.fd) else { return };
        let number = set.number(&key);
        if let Some(number) = number {
            tell(number, &transfer);
        }
        let chunk = Chunk { time: event.time, task: event.task, process: process.key, transfer };
        if self.begin <= event.time
            && let Some(at) = set.find(number, key, kind, event.time, self.limits)
        {
            set.add(at, chunk, label, self.limits);
        }
    }

    /// How many streams of a container have numbers.
    pub fn numbered(&self, container: ContainerUid) -> usize {
        self.containers.get(&container).map_or(0, |set| set.index.len())
    }

    /// The streams of a container of which something is counted, by their first bytes that are.
    pub fn list(&self, container: ContainerUid) -> &[Stream] {
        self.containers.get(&container).map(|s| s.streams.as_slice()).unwrap_or_default()
    }

    /// The streams that a process read or wrote.
    pub fn of_process(&self, container: ContainerUid, process: ProcessKey) -> impl Iterator<Item = &Stream> {
        self.list(container).iter().filter(move |s| s.users.iter().any(|(key, _)| *key == process))
    }

    /// Streams and chunks that were left out for lack of room.
    pub fn dropped(&self, container: ContainerUid) -> u64 {
        self.containers.get(&container).map_or(0, |s| s.dropped)
    }
}

/// The stream of a descriptor, with a word and a label for it; `None` for what is no stream: files and the like. `standard`
/// is which standard stream of which first process it is, where it is one.
fn identify(
    world: &World,
    event: &Event<'_>,
    standard: Option<(ProcessKey, i32)>,
    fd: i32,
) -> Option<(StreamKey, &'static str, Safe)> {
    // The three that every program has are worth following though nothing is known of them.
    let unknown = |(first, which)| (StreamKey::Standard(first, which), "unknown", Safe::literal("unknown"));
    let Some((id, info)) = world.description(event.task, fd) else { return standard.map(unknown) };
    match &info.kind {
        FdKind::Socket(socket) => Some((StreamKey::Description(id), socket.protocol_name(), info.label())),
        FdKind::Pipe(_) => Some((StreamKey::Description(id), "pipe", info.label())),
        FdKind::File { path, .. } if is_terminal(path) => {
            Some((StreamKey::Terminal(path.clone()), "tty", info.label()))
        }
        FdKind::Other { target } if target == UNNAMED_TERMINAL => {
            Some((StreamKey::Description(id), "tty", info.label()))
        }
        FdKind::Unknown if standard.is_some() => standard.map(unknown),
        FdKind::Unknown if (0..=2).contains(&fd) => {
            Some((StreamKey::Description(id), "unknown", info.label()))
        }
        FdKind::Other { .. } if (0..=2).contains(&fd) => {
            Some((StreamKey::Description(id), "unknown", FdInfo::label(info)))
        }
        _ => None,
    }
}

/// Terminals, pseudo-terminals and consoles, but not the master's side.
fn is_terminal(path: &[u8]) -> bool {
    let rest = path.strip_prefix(b"/dev/").unwrap_or(path.strip_prefix(b"/").unwrap_or(path));
    let numbered = |prefix: &[u8]| {
        rest.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
    };
    // A terminal of another mount of devpts shows as `/0`: that alone is not enough to tell.
    numbered(b"pts/") || numbered(b"tty") || numbered(b"ttyS") || matches!(rest, b"tty" | b"console")
}

impl StreamSet {
    /// The first of the line of processes of its container that a process comes from: who came in by itself, as the container's
    /// first program or as one that somebody executed in it later.
    fn first_of(&mut self, world: &World, process: &Process) -> ProcessKey {
        let here = |parent: &&Process| parent.container == process.container;
        if let Some(known) = self.firsts.get(&process.key) {
            return *known;
        }
        let parent = world.parent(process).filter(here);
        let first = match parent {
            None => process.key,
            Some(parent) => match self.firsts.get(&parent.key) {
                Some(known) => *known,
                None => world.ancestors(parent).take_while(here).last().unwrap_or(parent).key,
            },
        };
        if self.firsts.len() < NUMBERED {
            self.firsts.insert(process.key, first);
        }
        first
    }

    /// The number of a stream, given when it is new; none where too many have one.
    fn number(&mut self, key: &StreamKey) -> Option<usize> {
        if let Some(known) = self.index.get(key) {
            return Some(known.number);
        }
        let number = self.index.len() + 1;
        if number > NUMBERED {
            return None;
        }
        self.index.insert(key.clone(), Known { number, at: None });
        Some(number)
    }

    fn find(
        &mut self,
        number: Option<usize>,
        key: StreamKey,
        kind: &'static str,
        time: BootNanos,
        limits: StreamLimits,
    ) -> Option<usize> {
        let Some((number, known)) = number.zip(self.index.get_mut(&key)) else {
            self.dropped += 1;
            return None;
        };
        if known.at.is_some() {
            return known.at;
        }
        if self.streams.len() >= limits.streams {
            self.dropped += 1;
            return None;
        }
        let at = self.streams.len();
        known.at = Some(at);
        self.streams.push(Stream {
            number,
            key,
            kind,
            label: Safe::default(),
            first: time,
            last: time,
            bytes_in: 0,
            bytes_out: 0,
            users: Vec::new(),
            chunks: Vec::new(),
            chunks_dropped: 0,
            kept: 0,
        });
        Some(at)
    }

    fn add(&mut self, at: usize, chunk: Chunk, label: Safe, limits: StreamLimits) {
        const USERS: usize = 64;
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.last = chunk.time;
        stream.label = label;
        let total = if chunk.transfer.way == Way::In { &mut stream.bytes_in } else { &mut stream.bytes_out };
        *total = total.saturating_add(chunk.transfer.len);
        let user = (chunk.process, chunk.transfer.fd);
        if stream.users.len() < USERS && !stream.users.contains(&user) {
            stream.users.push(user);
        }
        let bytes = chunk.transfer.bytes.len();
        let room = limits
            .stream_bytes
            .saturating_sub(stream.kept)
            .min(limits.total_bytes.saturating_sub(self.bytes));
        if stream.chunks.len() >= limits.chunks || bytes > room {
            stream.chunks_dropped += 1;
            self.dropped += 1;
            return;
        }
        stream.kept += bytes;
        self.bytes += bytes;
        stream.chunks.push(chunk);
    }
}

impl Stream {
    /// One direction, put together, up to `limit` bytes.
    pub fn reassemble(&self, way: Way, limit: usize) -> Reassembled {
        chunk::reassemble(self.chunks.iter().filter(|c| c.transfer.way == way), limit)
    }

    /// Whether every byte that went through was kept.
    pub fn is_complete(&self) -> bool {
        self.chunks_dropped == 0 && self.chunks.iter().all(|c| c.transfer.is_whole())
    }
}

#[cfg(test)]
mod tests;
