//! The stream of a process or of a connection, read from the first event on.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use afterimage_format::{ContainerUid, Direction, Event, EventCode, EventFlags, EventId, Query, ReadError};
use afterimage_model::{
    World, describe,
    fds::{FdInfo, FdKind},
    process::ProcessKey,
    streams::{Streams, Transfer, transfers},
    text::Safe,
};

use super::{
    Job,
    scan::{STRIDE, percent},
    streams::counted_only,
};
use crate::{
    trace::Trace,
    tui::{
        feed::{Reply, StreamKey},
        stream::{Piece, Stream, Target, What},
        text::safe,
    },
};

/// Looks between two reports.
const REPORTS: u64 = 32;
/// Most pieces and bytes that are remembered.
const PIECES: usize = 50_000;
const BYTES: usize = 4 << 20;

/// Reads the stream.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn stream(trace: &Trace, key: StreamKey, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let total = trace.recording.count_hint(&query).max(1);
    let mut world = World::new();
    let mut reader = Reader {
        target: key.target.clone(),
        family: HashSet::new(),
        pieces: Vec::new(),
        bytes: 0,
        full: false,
        streams: counted_only(),
    };
    let (mut seen, mut over) = (0_u64, false);
    trace.recording.walk(&query, None, Direction::Forward, &mut |id, uid, event| {
        seen += 1;
        // What a call closes is described by the state before it, what it opens by the state after it.
        let is_end = event.code == EventCode::EXIT && !matches!(reader.target, Target::Numbered(..));
        if is_end {
            reader.take(&world, (id, uid), event);
        }
        world.apply(uid, event);
        if !is_end {
            reader.take(&world, (id, uid), event);
        }
        if seen.is_multiple_of(STRIDE) {
            over = (job.over)();
            if seen.is_multiple_of(STRIDE * REPORTS) {
                (job.tell)(Reply::Stream(key.clone(), reader.told(Some(percent(seen, total)))));
            }
        }
        if over || reader.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        let told = reader.told(None);
        (job.tell)(Reply::Stream(key, told));
    }
    Ok(())
}

struct Reader {
    target: Target,
    /// The processes that belong to the target.
    family: HashSet<ProcessKey>,
    pieces: Vec<Piece>,
    bytes: usize,
    full: bool,
    /// Gives streams their numbers, where one of them is the target.
    streams: Streams,
}

impl Reader {
    fn told(&self, reading: Option<u8>) -> Stream {
        Stream { pieces: Arc::new(self.pieces.clone()), reading, full: self.full }
    }

    fn push(&mut self, piece: Piece) {
        if self.pieces.len() >= PIECES || self.bytes.saturating_add(piece.bytes().len()) > BYTES {
            self.full = true;
            return;
        }
        self.bytes += piece.bytes().len();
        self.pieces.push(piece);
    }

    /// Takes what the event adds to the stream, if anything.
    fn take(&mut self, world: &World, (id, uid): (EventId, ContainerUid), event: &Event<'_>) {
        if let Target::Numbered(number, _) = self.target {
            return self.take_numbered(number, world, (id, uid), event);
        }
        let Some(process) = world.process_of_task(event.task) else { return };
        let pid = event.task.tgid;
        let belongs = match &self.target {
            Target::Process(key) => {
                process.key == *key
                    || self.family.contains(&process.key)
                    || process.parent.is_some_and(|parent| parent == *key || self.family.contains(&parent))
            }
            Target::Peer(..) | Target::Numbered(..) => false,
        };
        if belongs {
            self.family.insert(process.key);
            if let Some(text) = note(event) {
                return self.push(Piece { id, pid, what: What::Note(text) });
            }
        }
        for transfer in transfers(event) {
            if self.is_wanted(world, event, belongs, transfer.fd) {
                self.push(Piece { id, pid, what: What::Moved(transfer) });
            }
        }
    }

    fn is_wanted(&self, world: &World, event: &Event<'_>, belongs: bool, fd: i32) -> bool {
        let info = world.fd(event.task, fd);
        match &self.target {
            Target::Process(_) => belongs && ((0..=2).contains(&fd) || info.is_some_and(is_talk)),
            Target::Peer(peer, local) => info.is_some_and(|info| is_with(info, peer, local.as_ref())),
            Target::Numbered(..) => false,
        }
    }

    /// Takes what the event adds to the stream of this number.
    fn take_numbered(
        &mut self,
        number: usize,
        world: &World,
        (id, uid): (EventId, ContainerUid),
        event: &Event<'_>,
    ) {
        // What a runtime does to set a container up is in none of its streams.
        if event.flags.contains(EventFlags::SETUP) {
            return;
        }
        let mut moved: Vec<Transfer> = Vec::new();
        self.streams.apply_told(world, uid, event, &mut |own, transfer| {
            moved.extend((own == number).then(|| transfer.clone()));
        });
        for transfer in moved {
            self.push(Piece { id, pid: event.task.tgid, what: What::Moved(transfer) });
        }
    }
}

/// A line that says what happened between the bytes.
fn note(event: &Event<'_>) -> Option<Safe> {
    match event.code {
        EventCode::EXEC => Some(safe!("exec {}", describe::command_line(event))),
        EventCode::EXIT => Some(safe!("exit {}", describe::result(event))),
        _ => None,
    }
}

/// Whether somebody is at the other end: a terminal, a socket, a pipe.
fn is_talk(info: &FdInfo) -> bool {
    match &info.kind {
        FdKind::Socket(_) | FdKind::Pipe(_) => true,
        FdKind::File { path, .. } => path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty"),
        _ => false,
    }
}

fn is_with(
    info: &FdInfo,
    peer: &afterimage_model::sockaddr::SocketAddress,
    local: Option<&afterimage_model::sockaddr::SocketAddress>,
) -> bool {
    let Some(socket) = info.kind.socket() else { return false };
    match local {
        None => socket.peer.as_ref() == Some(peer),
        // Who came from the same host to the same door.
        Some(local) => {
            socket.local.as_ref() == Some(local)
                && socket.peer.as_ref().is_some_and(|own| own.ip() == peer.ip() && own.ip().is_some())
        }
    }
}
