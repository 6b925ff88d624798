//! What was written to a file, put together from the payloads of its writes.
//!
//! The kernel writes what is appended (`O_APPEND`) behind all that is there, one write after the other. So its place
//! is known where the file's end is: since the file was empty, each write of known place moves the end. Where the end
//! is not known, appends are still in order.

use afterimage_format::{BootNanos, TaskKey};

/// One write, or several that lie behind each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When the first was.
    pub time: BootNanos,
    /// How many.
    pub writes: u64,
    /// Where in the file; `None` where not known.
    pub offset: Option<u64>,
    /// How many bytes were written.
    pub len: u64,
    /// The first of these, as many as were kept.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Wrote(Piece),
    /// Cut or extended to so many bytes.
    Cut(u64),
}

/// What a piece takes beside its bytes.
const OVERHEAD: usize = size_of::<Step>();

/// Where a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    At(u64),
    End,
    Unknown,
}

/// The writes to one file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    steps: Vec<Step>,
    /// Where the file ends.
    end: Option<u64>,
    from_empty: bool,
    unseen: bool,
    disordered: bool,
    left_out: u64,
    /// What the steps take in memory.
    room: usize,
    newest: Option<(BootNanos, TaskKey)>,
}

/// A file put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The bytes; holes are zeros. What has a place comes first, then the writes of unknown place in order of time.
    pub bytes: Vec<u8>,
    /// What is not known: `(offset, length)`, in order.
    pub holes: Vec<(u64, u64)>,
    /// Writes whose place is not known.
    pub unplaced: u64,
    /// Where in `bytes` these begin.
    pub unplaced_from: u64,
    /// The file is larger than what was asked for.
    pub cut: bool,
}

impl Content {
    /// Everything that was written.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.steps.iter().filter_map(|step| match step {
            Step::Wrote(piece) => Some(piece),
            Step::Cut(_) => None,
        })
    }

    /// Bytes that were kept.
    pub fn kept(&self) -> usize {
        self.pieces().map(|p| p.bytes.len()).sum()
    }

    /// Writes that were kept.
    pub fn writes(&self) -> u64 {
        self.pieces().map(|p| p.writes).sum()
    }

    /// The file was seen empty, and these are all writes since that were seen.
    pub fn is_from_empty(&self) -> bool {
        self.from_empty
    }

    /// It was also mapped to be written, or written through a descriptor that an earlier file of its name was opened by:
    /// such bytes are not here.
    pub fn had_unseen_writes(&self) -> bool {
        self.unseen
    }

    /// Two threads wrote at the same time, so that the order of their writes is not certain.
    pub fn is_disordered(&self) -> bool {
        self.disordered
    }

    /// Where the file ends, where known.
    pub(super) fn end(&self) -> Option<u64> {
        self.end
    }

    /// What it takes in memory.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Bytes written that there was no room to keep.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The file as the writes made it, up to `limit` bytes: later ones over earlier ones.
    pub fn assemble(&self, limit: usize) -> Assembled {
        let from_empty = self.from_empty && !self.unseen && self.left_out == 0;
        let mut made = Made { limit, from_empty, ..Made::default() };
        for step in &self.steps {
            match step {
                Step::Wrote(piece) => {
                    if let Some(at) = piece.offset {
                        made.put(at, piece);
                    }
                }
                Step::Cut(to) => made.cut_to(*to),
            }
        }
        if let Some(end) = self.end.filter(|end| self.left_out > 0 && made.bytes.len() as u64 <= *end) {
            made.cut_to(end);
        }
        let unplaced_from = made.bytes.len() as u64;
        let (mut at, mut unplaced) = (unplaced_from, 0);
        for piece in self.pieces().filter(|piece| piece.offset.is_none()) {
            made.put(at, piece);
            at = at.saturating_add(piece.len);
            unplaced += piece.writes;
        }
        Assembled { holes: holes(&made.known), bytes: made.bytes, unplaced, unplaced_from, cut: made.over }
    }

    /// Takes in a write of `len` bytes at a place, of which these are known; says how much room it took, or `None`
    /// where there is less than that.
    pub(super) fn push(
        &mut self,
        (place, len): (Place, u64),
        (begin, end, by): (BootNanos, BootNanos, TaskKey),
        bytes: Vec<u8>,
        room: usize,
    ) -> Option<usize> {
        self.disordered |= self.newest.is_some_and(|(last, other)| begin < last && other != by);
        self.newest = Some((end, by));
        let offset = match place {
            Place::At(at) => Some(at),
            Place::End => self.end,
            Place::Unknown => None,
        };
        self.end = match (place, offset) {
            (Place::Unknown, _) | (Place::End, None) => None,
            (_, Some(at)) => self.end.map(|end| end.max(at.saturating_add(len))),
            (Place::At(_), None) => self.end,
        };
        // One that goes on where the last ended, all of which is known, is the same piece. So are those of unknown
        // place, which are put behind each other.
        if let Some(Step::Wrote(last)) = self.steps.last_mut()
            && last.offset.map(|o| o.saturating_add(last.len)) == offset
            && last.bytes.len() as u64 == last.len
        {
            if bytes.len() > room {
                self.left_out = self.left_out.saturating_add(len);
                return None;
            }
            last.len = last.len.saturating_add(len);
            last.writes += 1;
            last.bytes.extend_from_slice(&bytes);
            self.room += bytes.len();
            return Some(bytes.len());
        }
        let needed = bytes.len() + OVERHEAD;
        if needed > room {
            self.left_out = self.left_out.saturating_add(len);
            return None;
        }
        self.room += needed;
        self.steps.push(Step::Wrote(Piece { time: end, writes: 1, offset, len, bytes }));
        Some(needed)
    }

    /// The file was cut or extended; says how much room that took and what it freed.
    pub(super) fn cut(&mut self, to: u64, room: usize) -> (usize, usize) {
        if to == 0 {
            return (0, self.begin(true));
        }
        self.end = Some(to);
        match self.steps.last_mut() {
            Some(Step::Cut(last)) if to <= *last => *last = to,
            _ if room < OVERHEAD => self.unseen = true,
            _ => {
                self.steps.push(Step::Cut(to));
                self.room += OVERHEAD;
                return (OVERHEAD, 0);
            }
        }
        (0, 0)
    }

    /// It was written in a way whose bytes or whose place are not recorded.
    pub(super) fn unseen(&mut self) {
        (self.unseen, self.end) = (true, None);
    }

    /// Forgets everything: the file was emptied, or is another. Says how much room that frees.
    pub(super) fn begin(&mut self, from_empty: bool) -> usize {
        let room = self.room;
        *self = Self { from_empty, end: from_empty.then_some(0), ..Self::default() };
        room
    }
}

/// A file that is being put together.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    known: Vec<bool>,
    limit: usize,
    /// What was never written is zero.
    from_empty: bool,
    over: bool,
}

impl Made {
    fn put(&mut self, at: u64, piece: &Piece) {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let len = usize::try_from(piece.len).unwrap_or(usize::MAX);
        let whole = start.saturating_add(len);
        let end = whole.min(self.limit);
        self.over |= whole > self.limit;
        if start >= end {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.known.resize(end, self.from_empty);
        }
        let kept = piece.bytes.len().min(end - start);
        if let (Some(to), Some(from)) = (self.bytes.get_mut(start..start + kept), piece.bytes.get(..kept)) {
            to.copy_from_slice(from);
        }
        if let Some(known) = self.known.get_mut(start..start + kept) {
            known.fill(true);
        }
        if let Some(rest) = self.bytes.get_mut(start + kept..end) {
            rest.fill(0);
        }
        if let Some(rest) = self.known.get_mut(start + kept..end) {
            rest.fill(false);
        }
    }

    fn cut_to(&mut self, to: u64) {
        let whole = usize::try_from(to).unwrap_or(usize::MAX);
        self.over |= whole > self.limit;
        let to = whole.min(self.limit);
        self.bytes.resize(to, 0);
        self.known.resize(to, self.from_empty);
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
