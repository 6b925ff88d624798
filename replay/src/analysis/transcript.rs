//! What went through streams and terminals of a container, as rows, text or a hex dump.

use std::fmt::Write as _;

use afterimage_model::{
    streams::{Chunk, Stream, Transfer, Way},
    text::{Safe, escape},
};

use super::around::Around;
use crate::output::{Cell, Column, Kind, Record, Shape};

/// How the list of streams is printed.
pub const STREAMS: Shape = Shape {
    rows: "streams",
    row: "stream",
    columns: &[
        Column::new("stream", "STREAM", "its number, for --stream; the same whatever the range").integer(),
        Column::new("type", "TYPE", "tcp, pipe, unix, tty, ..."),
        Column::new("what", "WHAT", "what it is").flexible(),
        Column::new(
            "first",
            "FIRST",
            "first bytes in the range, in seconds after the container's start in tables",
        )
        .kind(Kind::Time),
        Column::new("last", "LAST", "last bytes in the range, written as the first")
            .hidden()
            .kind(Kind::Time),
        Column::new("in", "IN", "bytes read from it in the range").integer(),
        Column::new("out", "OUT", "bytes written to it in the range").integer(),
        Column::new("complete", "COMPLETE", "the recording holds every byte of the range")
            .kind(Kind::Boolean),
        Column::new("by", "BY", "processes that read or wrote, each with its descriptor")
            .kind(Kind::Texts)
            .flexible(),
    ],
};

/// How what went through a stream is printed.
pub const CHUNKS: Shape = Shape {
    rows: "chunks",
    row: "chunk",
    columns: &[
        Column::new(
            "time",
            "TIME",
            "when the call returned, in seconds after the container's start in tables",
        )
        .kind(Kind::Time),
        Column::new("way", "WAY", "in: read by the process; out: written"),
        Column::new("pid", "PID", "process").integer(),
        Column::new("process", "PROCESS", "its name").flexible(),
        Column::new("fd", "FD", "descriptor").hidden().integer(),
        Column::new("length", "LENGTH", "bytes that the call moved").integer(),
        Column::new("missing", "MISSING", "of these, bytes that the recording does not hold")
            .hidden()
            .integer(),
        Column::new("redacted", "REDACTED", "a policy masked some of them, each in its place")
            .hidden()
            .kind(Kind::Boolean),
        Column::new("bytes", "BYTES", "the bytes, escaped").flexible(),
    ],
};

/// One stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamRow<'a>(pub Around<'a>, pub &'a Stream);

impl Record for StreamRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let Self(around, stream) = self;
        match key {
            "stream" => Cell::number(stream.number),
            "type" => Cell::word(stream.kind),
            "what" => Cell::safe(stream.label.clone()),
            "first" => around.moment(stream.first),
            "last" => around.moment(stream.last),
            "in" => Cell::number(stream.bytes_in),
            "out" => Cell::number(stream.bytes_out),
            // An empty cell would say as little as one that is not known.
            "complete" if !stream.is_complete() => Cell::both(Safe::literal("no"), false),
            "complete" => Cell::flag(true),
            "by" => Cell::list(users(around, stream)),
            _ => Cell::absent(),
        }
    }
}

/// Who read and wrote, each under the names that it had then.
fn users(around: &Around<'_>, stream: &Stream) -> Vec<Safe> {
    /// Names of one process that are told.
    const NAMES: usize = 4;
    let mut told = Vec::new();
    for &(process, fd) in &stream.users {
        let chunks = stream.chunks.iter().filter(|chunk| (chunk.process, chunk.transfer.fd) == (process, fd));
        let mut names: Vec<Option<Safe>> = Vec::new();
        for chunk in chunks {
            let name = around.name_at(process, chunk.time);
            if names.len() < NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            // Its bytes did not fit into memory.
            names.push(around.name_at(process, stream.last));
        }
        told.extend(names.into_iter().map(|name| match name {
            Some(name) => Safe::format(format_args!("{} {name}:{fd}", process.tgid)),
            None => Safe::format(format_args!("{}:{fd}", process.tgid)),
        }));
    }
    told
}

/// One read or write.
#[derive(Debug, Clone, Copy)]
pub struct ChunkRow<'a>(pub Around<'a>, pub &'a Chunk);

impl Record for ChunkRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let Self(around, chunk) = self;
        match key {
            "time" => around.moment(chunk.time),
            "way" => Cell::word(way(chunk.transfer.way)),
            "pid" => Cell::number(chunk.process.tgid),
            "process" => Cell::option(around.name_at(chunk.process, chunk.time), Cell::safe),
            "fd" => Cell::number(chunk.transfer.fd),
            "length" => Cell::number(chunk.transfer.len),
            "missing" => Cell::number(chunk.transfer.missing()),
            "redacted" => Cell::flag(chunk.transfer.redacted),
            "bytes" => Cell::safe(escape(&chunk.transfer.bytes)),
            _ => Cell::absent(),
        }
    }
}

/// The word for a direction.
pub const fn way(way: Way) -> &'static str {
    match way {
        Way::In => "in",
        Way::Out => "out",
    }
}

/// What stands before a line of a transcript.
pub(super) const fn mark(way: Way) -> char {
    match way {
        Way::In => '<',
        Way::Out => '>',
    }
}

/// A chunk as lines of a transcript: `<` is read by the container, `>` is written by it.
pub fn text(around: &Around<'_>, chunk: &Chunk) -> Vec<Safe> {
    let mark = mark(chunk.transfer.way);
    let offset = around.offset(chunk.time);
    let mut lines: Vec<Safe> = chunk
        .transfer
        .bytes
        .split_inclusive(|&b| b == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .map(|line| Safe::format(format_args!("{offset:>12} {mark} {}", escape(line))))
        .collect();
    let lacking = lacking(&chunk.transfer).into_iter();
    lines.extend(lacking.map(|words| Safe::format(format_args!("{offset:>12} {mark} {words}"))));
    lines
}

/// A chunk as lines of a hex dump, sixteen bytes each, behind a line that tells when and which way.
pub fn hex(around: &Around<'_>, chunk: &Chunk) -> Vec<Safe> {
    let head =
        format!("{} {} {} bytes", around.offset(chunk.time), way(chunk.transfer.way), chunk.transfer.len);
    let mut lines = vec![Safe::format(format_args!("{head}"))];
    for (i, part) in chunk.transfer.bytes.chunks(16).enumerate() {
        let mut line = format!("{:08x} ", i * 16);
        for byte in part {
            let _ = write!(line, " {byte:02x}");
        }
        line.extend(std::iter::repeat_n("   ", 16 - part.len()));
        line.push_str("  ");
        line.extend(part.iter().map(|&b| if b == b' ' || b.is_ascii_graphic() { b as char } else { '.' }));
        lines.push(Safe::format(format_args!("{line}")));
    }
    lines.extend(lacking(&chunk.transfer));
    lines
}

/// What of a call's bytes is not there, where that is so.
pub fn lacking(transfer: &Transfer) -> Option<Safe> {
    match (transfer.missing(), transfer.unread) {
        (0, 0) => None,
        (bytes, 0) => Some(Safe::format(format_args!("[{bytes} bytes not recorded]"))),
        (0, messages) => Some(Safe::format(format_args!("[{messages} more messages not recorded]"))),
        (bytes, messages) => {
            Some(Safe::format(format_args!("[{bytes} bytes and {messages} more messages not recorded]")))
        }
    }
}
