//! What went through a process's or a connection's descriptors, in order: what was typed and what was seen.

use std::sync::Arc;

use afterimage_format::{BootNanos, EventId};
use afterimage_model::{
    process::ProcessKey,
    sockaddr::SocketAddress,
    streams::{Transfer, Way},
    text::{Safe, escape},
};

use crate::tui::{hex, text::width};

/// Whose stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A process and everything it started.
    Process(ProcessKey),
    /// Everything said with a peer; of accepted connections also the own address.
    Peer(SocketAddress, Option<SocketAddress>),
    /// One stream by its number, and what it is in a few words.
    Numbered(usize, Safe),
}

/// Which ways are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Both,
    In,
    Out,
}

impl Side {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Both => Self::In,
            Self::In => Self::Out,
            Self::Out => Self::Both,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Both => "both sides",
            Self::In => "only what came in",
            Self::Out => "only what went out",
        }
    }

    pub(crate) fn has(self, piece: &Piece) -> bool {
        matches!(
            (self, piece.way()),
            (Self::Both, _) | (Self::In, Some(Way::In)) | (Self::Out, Some(Way::Out))
        )
    }
}

/// One call's bytes, or what happened between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) id: EventId,
    pub(crate) pid: u32,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Bytes that went through, as far as they were kept.
    Moved(Transfer),
    /// No bytes: a program was executed, a process ended.
    Note(Safe),
}

impl Piece {
    /// What the call moved.
    pub(crate) fn transfer(&self) -> Option<&Transfer> {
        match &self.what {
            What::Moved(transfer) => Some(transfer),
            What::Note(_) => None,
        }
    }

    pub(crate) fn way(&self) -> Option<Way> {
        self.transfer().map(|transfer| transfer.way)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.transfer().map_or(&[], |transfer| &transfer.bytes)
    }
}

/// Pieces in order of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    pub(crate) pieces: Arc<Vec<Piece>>,
    /// Percent read so far; `None` when all was read.
    pub(crate) reading: Option<u8>,
    /// There is more than is remembered.
    pub(crate) full: bool,
}

/// A line of the screen: part of a piece; nothing of it where it tells what was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) piece: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Stream {
    /// The lines for a pane of this many columns of text.
    pub(crate) fn lines(&self, side: Side, as_hex: bool, columns: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for (piece, part) in self.pieces.iter().enumerate().filter(|(_, part)| side.has(part)) {
            if as_hex && part.transfer().is_some() {
                let each = hex::per_row(u16::try_from(columns).unwrap_or(u16::MAX));
                let rows = part.bytes().len().div_ceil(each).max(1);
                lines.extend((0..rows).map(|row| Line {
                    piece,
                    from: row * each,
                    to: part.bytes().len().min((row + 1) * each),
                }));
            } else {
                broken(part.bytes(), columns, &mut |from, to| lines.push(Line { piece, from, to }));
            }
            let is_cut = part.transfer().is_some_and(|t| !t.bytes.is_empty() && !t.is_whole());
            if is_cut {
                let end = part.bytes().len();
                lines.push(Line { piece, from: end, to: end });
            }
        }
        lines
    }

    /// Whether its beginning is more of bytes that are no text than a terminal's control sequences would be.
    pub(crate) fn is_binary(&self) -> bool {
        const LOOKED: usize = 4_096;
        let is_text = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x08' | '\x1b');
        let (mut all, mut text) = (0, 0);
        for piece in self.pieces.iter() {
            let part = piece.bytes().get(..LOOKED.min(piece.bytes().len())).unwrap_or_default();
            all += part.len();
            text += part
                .utf8_chunks()
                .map(|chunk| chunk.valid().chars().filter(is_text).map(char::len_utf8).sum::<usize>())
                .sum::<usize>();
            if all >= LOOKED {
                break;
            }
        }
        text * 10 < all * 7
    }

    /// The lines in which a text begins; letters of either case are meant where it has no capital one. What two calls moved is
    /// not put together.
    pub(crate) fn lines_with(&self, lines: &[Line], text: &str) -> Vec<usize> {
        let either = !text.chars().any(char::is_uppercase);
        let cased = |bytes: &[u8]| if either { bytes.to_ascii_lowercase() } else { bytes.to_vec() };
        let mut found: Option<(usize, Vec<usize>)> = None;
        let mut has = |line: &Line| {
            let Some(piece) = self.pieces.get(line.piece) else { return false };
            if found.as_ref().is_none_or(|(of, _)| *of != line.piece) {
                let places = match &piece.what {
                    What::Note(note) => places(&cased(note.as_str().as_bytes()), text.as_bytes()),
                    What::Moved(_) => places(&cased(piece.bytes()), text.as_bytes()),
                };
                found = Some((line.piece, places));
            }
            let places = found.as_ref().map_or(&[][..], |(_, places)| places);
            let is_note = matches!(piece.what, What::Note(_));
            places.iter().any(|at| is_note || (line.from..line.to).contains(at))
        };
        (0..lines.len()).filter(|at| lines.get(*at).is_some_and(&mut has)).collect()
    }

    pub(crate) fn time(&self, line: Line) -> BootNanos {
        self.pieces.get(line.piece).map_or(BootNanos(0), |piece| piece.id.time)
    }
}

/// Where a text begins in bytes.
fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(text.len().max(1)).enumerate();
    windows.filter(|(_, window)| *window == text).map(|(at, _)| at).collect()
}

/// Breaks bytes at line ends, and where a line would not fit.
fn broken(bytes: &[u8], columns: usize, line: &mut dyn FnMut(usize, usize)) {
    let columns = columns.max(8);
    let mut from = 0;
    if bytes.is_empty() {
        line(0, 0);
    }
    while from < bytes.len() {
        let rest = bytes.get(from..).unwrap_or(&[]);
        let mut len = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1).min(columns);
        while len > 1 && width(escape(rest.get(..len).unwrap_or(&[])).as_str()) > columns {
            len = len * 3 / 4;
        }
        // A character is not cut in two.
        while len > 1 && rest.get(len).is_some_and(|b| b & 0xc0 == 0x80) && len + 4 > columns / 2 {
            len -= 1;
        }
        line(from, from + len);
        from += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], columns: usize) -> Vec<&[u8]> {
        let mut parts = Vec::new();
        broken(bytes, columns, &mut |from, to| parts.push((from, to)));
        parts.into_iter().map(|(from, to)| &bytes[from..to]).collect()
    }

    #[test]
    fn what_is_mostly_no_text_is_binary() {
        let stream = |parts: &[&[u8]]| {
            let piece = |bytes: &&[u8]| Piece {
                id: EventId { time: BootNanos(0), block: 0, row: 0 },
                pid: 1,
                what: What::Moved(Transfer { bytes: bytes.to_vec(), ..Transfer::default() }),
            };
            Stream { pieces: Arc::new(parts.iter().map(piece).collect()), ..Stream::default() }
        };
        for text in
            [&b"id\nuid=0(root)\n"[..], "größe naïve\n".as_bytes(), b"\x1b[31mred\x1b[0m $ ls\r\n", b""]
        {
            assert!(!stream(&[text]).is_binary(), "{text:?}");
        }
        assert!(!stream(&[b"a command\n", b"\x00\x01"]).is_binary());
        assert!(!stream(&[]).is_binary());
        let tls: Vec<u8> = (0..=255).collect();
        for bytes in [&b"\x08\x00\xc9_\x00\x00\x00\x00"[..], b"\x7fELF\x02\x01\x01\x00\x00\x00\x00", &tls] {
            assert!(stream(&[bytes]).is_binary(), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_found_in_the_line_in_which_it_begins() {
        let at = |time| EventId { time: BootNanos(time), block: 0, row: 0 };
        let moved = |time, bytes: &[u8]| Piece {
            id: at(time),
            pid: 1,
            what: What::Moved(Transfer { bytes: bytes.to_vec(), ..Transfer::default() }),
        };
        let note = Piece { id: at(2), pid: 1, what: What::Note(Safe::literal("exec cat /etc/passwd")) };
        let pieces = vec![moved(1, b"a\ncat /etc/PASSWD\nb"), note, moved(3, b"pass"), moved(4, b"wd")];
        let stream = Stream { pieces: Arc::new(pieces), ..Stream::default() };
        let lines = stream.lines(Side::Both, false, 40);
        assert_eq!(stream.lines_with(&lines, "passwd"), [1, 3]);
        assert_eq!(stream.lines_with(&lines, "PASSWD"), [1]);
        assert_eq!(stream.lines_with(&lines, "nothing").len(), 0);
    }

    #[test]
    fn lines_end_where_the_bytes_say_and_no_byte_is_lost() {
        assert_eq!(of(b"id\nuname\n", 40), [&b"id\n"[..], b"uname\n"]);
        let bytes: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        let parts = of(&bytes, 60);
        assert_eq!(parts.concat(), bytes);
        assert!(parts.iter().all(|part| width(escape(part).as_str()) <= 60));
        assert_eq!(of(b"", 40), [&b""[..]]);
    }
}
