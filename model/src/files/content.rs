//! What was written to a file, put together from the payloads of its writes.

use afterimage_format::BootNanos;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When.
    pub time: BootNanos,
    /// Where in the file; `None` where not known.
    pub offset: Option<u64>,
    /// How many bytes the call wrote.
    pub len: u64,
    /// Its first bytes, as many as were kept.
    pub bytes: Vec<u8>,
}

/// The writes to one file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pieces: Vec<Piece>,
}

/// A file put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The bytes; holes are zeros.
    pub bytes: Vec<u8>,
    /// What is not known: `(offset, length)`, in order.
    pub holes: Vec<(u64, u64)>,
    /// Writes whose place is not known: they are left out.
    pub unplaced: usize,
}

impl Content {
    /// Every write.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that were kept.
    pub fn kept(&self) -> usize {
        self.pieces.iter().map(|p| p.bytes.len()).sum()
    }

    /// The file as the writes made it, up to `limit` bytes: later ones over earlier ones.
    pub fn assemble(&self, limit: usize) -> Assembled {
        let mut bytes: Vec<u8> = Vec::new();
        let mut known: Vec<bool> = Vec::new();
        let mut unplaced = 0;
        for piece in &self.pieces {
            let Some(start) = piece.offset.and_then(|o| usize::try_from(o).ok()) else {
                unplaced += 1;
                continue;
            };
            let len = usize::try_from(piece.len).unwrap_or(usize::MAX);
            let end = start.saturating_add(len).min(limit);
            if start >= end {
                continue;
            }
            if bytes.len() < end {
                bytes.resize(end, 0);
                known.resize(end, false);
            }
            let kept = piece.bytes.len().min(end - start);
            if let (Some(to), Some(from)) = (bytes.get_mut(start..start + kept), piece.bytes.get(..kept)) {
                to.copy_from_slice(from);
            }
            for (at, known) in known.iter_mut().enumerate().take(end).skip(start) {
                *known = at < start + kept;
            }
            if let Some(rest) = bytes.get_mut(start + kept..end) {
                rest.fill(0);
            }
        }
        Assembled { bytes, holes: holes(&known), unplaced }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        // One that goes on where the last ended, all of which is known, is the same piece.
        if let Some(last) = self.pieces.last_mut()
            && last.offset.is_some()
            && last.offset.map(|o| o.saturating_add(last.len)) == piece.offset
            && last.bytes.len() as u64 == last.len
        {
            last.len = last.len.saturating_add(piece.len);
            last.bytes.extend_from_slice(&piece.bytes);
            return;
        }
        self.pieces.push(piece);
    }

    /// Forgets everything: the file was emptied. Says how many bytes were kept.
    pub(super) fn clear(&mut self) -> usize {
        let kept = self.kept();
        self.pieces.clear();
        kept
    }
}

fn holes(known: &[bool]) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (at, known) in known.iter().enumerate() {
        if *known {
            continue;
        }
        match out.last_mut() {
            Some((start, len)) if *start + *len == at as u64 => *len += 1,
            _ => out.push((at as u64, 1)),
        }
    }
    out
}
