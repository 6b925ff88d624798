//! Events of many blocks in order of time, forward or backward, with bounded memory.
//!
//! Blocks are opened when the time reaches them and closed behind their last row, so that only blocks that overlap
//! are in memory at once. When those are too many, decoded rows of the ones needed last are dropped and decoded
//! again when their turn comes.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    ops::ControlFlow,
    sync::Arc,
};

use super::{BlockInfo, Query, Recording, blocks::Decoded, visit::Visitor};
use crate::{
    Anchor, BootNanos, ContainerUid, Direction, Event, EventId, ReadError, events::decode::EventDecoder,
};

/// Bytes that decoded blocks may take at once.
const BUDGET: usize = 128 << 20;
/// Blocks of one walk that are remembered for the next one. Whoever looks at a place, and at it again, reads few; a walk
/// over many is of all of them, and each is in the memory of the one before.
const REMEMBERED: usize = 16;

/// The next row of an open block. The greatest is the next in the direction of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    id: EventId,
    backward: bool,
    /// Its position in order of time.
    at: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.backward { self.id.cmp(&other.id) } else { other.id.cmp(&self.id) }
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows of one block that come one after the other, forward.
struct Run {
    /// The next row of another block.
    until: Option<EventId>,
    /// When another block has to be opened.
    opens: Option<BootNanos>,
    /// Nothing behind this is wanted.
    last: BootNanos,
}

impl Run {
    /// Shows rows from `head` on; gives the block's next one, nothing at its end.
    fn show(
        &self,
        head: Head,
        decoded: &Decoded,
        visitor: &mut dyn Visitor,
    ) -> ControlFlow<(), Option<Head>> {
        let rows = decoded.rows();
        let times = rows.times();
        let (mut at, mut id) = (head.at, head.id);
        loop {
            if !visitor.passes(id) {
                let flow = rows.with(id.row as usize, |event| visitor.visit(id, rows.container, event));
                if flow.is_some_and(|flow| flow.is_break()) {
                    return ControlFlow::Break(());
                }
            }
            at += 1;
            let Some(&row) = decoded.by_time.get(at) else { return ControlFlow::Continue(None) };
            let time = BootNanos(times.get(row as usize).copied().unwrap_or(0));
            if time > self.last {
                return ControlFlow::Continue(None);
            }
            id = EventId { time, row, ..id };
            if self.until.is_some_and(|until| until < id) || self.opens.is_some_and(|opens| opens <= time) {
                return ControlFlow::Continue(Some(Head { id, at, ..head }));
            }
        }
    }
}

/// Events in order.
pub(super) struct Merge<'a> {
    recording: &'a Recording,
    backward: bool,
    /// The range of time, both ends inclusive.
    range: (BootNanos, BootNanos),
    /// Rows up to and including this one were read before.
    after: Option<EventId>,
    /// Blocks to be opened, the next at the end.
    waiting: Vec<u32>,
    /// Open blocks; `None` while a block's rows were dropped for want of memory.
    cursors: HashMap<u32, Option<Arc<Decoded>>>,
    /// The block that the last row was of: runs of rows are of one.
    current: Option<(u32, Arc<Decoded>)>,
    heads: BinaryHeap<Head>,
    decoder: Option<EventDecoder>,
    /// Blocks decoded.
    count: usize,
    bytes: usize,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        recording: &'a Recording,
        query: &Query,
        from: Option<Anchor>,
        direction: Direction,
    ) -> Self {
        Self::of(recording, query, from, direction, &|_| true)
    }

    /// Of the blocks that are wanted.
    pub(super) fn of(
        recording: &'a Recording,
        query: &Query,
        from: Option<Anchor>,
        direction: Direction,
        is_wanted: &dyn Fn(&BlockInfo) -> bool,
    ) -> Self {
        let backward = direction == Direction::Backward;
        let mut range = (query.begin.unwrap_or(BootNanos(0)), query.end.unwrap_or(BootNanos(u64::MAX)));
        let (time, after) = match from {
            None => (None, None),
            Some(Anchor::Time(time)) => (Some(time), None),
            Some(Anchor::Event(id)) => (Some(id.time), Some(id)),
        };
        if let Some(time) = time {
            if backward {
                range.1 = range.1.min(time);
            } else {
                range.0 = range.0.max(time);
            }
        }
        let wanted = Query { containers: query.containers.clone(), begin: Some(range.0), end: Some(range.1) };
        let mut waiting: Vec<u32> = recording
            .touched(&wanted)
            .into_iter()
            .filter(|block| is_wanted(block))
            .filter_map(|block| u32::try_from(block.index).ok())
            .collect();
        let blocks = &recording.blocks;
        if backward {
            waiting.sort_by_key(|&index| blocks.get(index as usize).map(|b| b.last));
        } else {
            waiting.sort_by_key(|&index| blocks.get(index as usize).map(|b| std::cmp::Reverse(b.first)));
        }
        Self {
            recording,
            backward,
            range,
            after,
            waiting,
            cursors: HashMap::new(),
            current: None,
            heads: BinaryHeap::new(),
            decoder: EventDecoder::new().ok(),
            count: 0,
            bytes: 0,
        }
    }

    /// Lends the next event to `visit`; `None` at the end.
    pub(super) fn next<R>(
        &mut self,
        visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> R,
    ) -> Result<Option<(EventId, R)>, ReadError> {
        loop {
            self.open_blocks()?;
            let Some(head) = self.heads.peek().copied() else { return Ok(None) };
            let block = head.id.block;
            let decoded = match self.current.take() {
                Some((current, decoded)) if current == block => decoded,
                _ => match self.decoded(block)? {
                    Some(decoded) => decoded,
                    None => {
                        self.close(block);
                        continue;
                    }
                },
            };
            let container = decoded.rows().container;
            let visited = decoded.rows().with(head.id.row as usize, |event| visit(head.id, container, event));
            if self.advance(head, &decoded) {
                self.current = Some((block, decoded));
            }
            if let Some(result) = visited {
                return Ok(Some((head.id, result)));
            }
        }
    }

    /// Shows every event forward to a visitor, but for those that it passes over.
    pub(super) fn show(&mut self, visitor: &mut dyn Visitor) -> Result<(), ReadError> {
        loop {
            self.open_blocks_for(&mut |block, decoded| visitor.open(block, &decoded.columns))?;
            let Some(head) = self.heads.peek().copied() else { return Ok(()) };
            let block = head.id.block;
            let Some(decoded) = self.decoded(block)? else {
                self.close(block);
                visitor.close(block);
                continue;
            };
            self.heads.pop();
            let other = self.heads.peek().map(|head| head.id);
            let opens = self.waiting.last().and_then(|&index| self.recording.blocks.get(index as usize));
            let run = Run { until: other, opens: opens.map(|info| info.first), last: self.range.1 };
            let shown = run.show(head, &decoded, visitor);
            drop(decoded);
            match shown {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(next) => {
                    self.heads.push(next.unwrap_or(head));
                    if next.is_none() {
                        self.close(block);
                        visitor.close(block);
                    }
                }
            }
        }
    }

    /// Opens the blocks whose rows can come next.
    fn open_blocks(&mut self) -> Result<(), ReadError> {
        self.open_blocks_for(&mut |_, _| {})
    }

    fn open_blocks_for(&mut self, opened: &mut dyn FnMut(u32, &Decoded)) -> Result<(), ReadError> {
        while let Some(&index) = self.waiting.last() {
            let Some(info) = self.recording.blocks.get(index as usize) else { break };
            let due = self.heads.peek().is_none_or(|head| {
                if self.backward { info.last >= head.id.time } else { info.first <= head.id.time }
            });
            if !due {
                break;
            }
            self.waiting.pop();
            self.open_block(index, opened)?;
        }
        Ok(())
    }

    fn open_block(&mut self, index: u32, opened: &mut dyn FnMut(u32, &Decoded)) -> Result<(), ReadError> {
        let Some(decoded) = self.decode(index)? else { return Ok(()) };
        let rows = decoded.rows();
        let time = |&row: &u32| BootNanos(rows.time(row as usize));
        let mut at = if self.backward {
            decoded.by_time.partition_point(|row| time(row) <= self.range.1)
        } else {
            decoded.by_time.partition_point(|row| time(row) < self.range.0)
        };
        if let Some(after) = self.after {
            let id = |&row: &u32| EventId { time: time(&row), block: index, row };
            at = if self.backward {
                at.min(decoded.by_time.partition_point(|row| id(row) < after))
            } else {
                at.max(decoded.by_time.partition_point(|row| id(row) <= after))
            };
        }
        // Backward, `at` is one above the next row.
        let next = if self.backward { at.checked_sub(1) } else { Some(at) };
        let Some(head) = next.and_then(|at| self.head(index, &decoded, at)) else { return Ok(()) };
        opened(index, &decoded);
        self.bytes += decoded.memory();
        self.heads.push(head);
        self.cursors.insert(index, Some(decoded));
        self.keep_within_budget(index);
        Ok(())
    }

    /// The row at position `at` as a head, when it is there and in the range.
    fn head(&self, block: u32, decoded: &Decoded, at: usize) -> Option<Head> {
        let row = *decoded.by_time.get(at)?;
        let time = BootNanos(decoded.rows().time(row as usize));
        let inside = self.range.0 <= time && time <= self.range.1;
        inside.then_some(Head { id: EventId { time, block, row }, backward: self.backward, at })
    }

    fn decoded(&mut self, block: u32) -> Result<Option<Arc<Decoded>>, ReadError> {
        let Some(cursor) = self.cursors.get(&block) else { return Ok(None) };
        if let Some(decoded) = cursor {
            return Ok(Some(decoded.clone()));
        }
        let Some(decoded) = self.decode(block)? else { return Ok(None) };
        self.bytes += decoded.memory();
        if let Some(cursor) = self.cursors.get_mut(&block) {
            *cursor = Some(decoded.clone());
        }
        self.keep_within_budget(block);
        Ok(Some(decoded))
    }

    fn decode(&mut self, block: u32) -> Result<Option<Arc<Decoded>>, ReadError> {
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        self.count += 1;
        self.recording.decode(block as usize, self.count <= REMEMBERED, decoder)
    }

    /// Moves the block at the top to its next row; false where it has none.
    fn advance(&mut self, head: Head, decoded: &Decoded) -> bool {
        let at = if self.backward { head.at.checked_sub(1) } else { Some(head.at + 1) };
        match at.and_then(|at| self.head(head.id.block, decoded, at)) {
            Some(next) => {
                if let Some(mut top) = self.heads.peek_mut() {
                    *top = next;
                }
                true
            }
            None => {
                self.close(head.id.block);
                false
            }
        }
    }

    /// Closes the block at the top.
    fn close(&mut self, block: u32) {
        self.heads.pop();
        let Some(decoded) = self.cursors.remove(&block).flatten() else { return };
        self.bytes = self.bytes.saturating_sub(decoded.memory());
        if let (Ok(decoded), Some(decoder)) = (Arc::try_unwrap(decoded), &mut self.decoder) {
            decoder.take_back(decoded.columns.rows);
        }
    }

    /// Drops rows of other blocks, those needed last first.
    fn keep_within_budget(&mut self, except: u32) {
        if self.bytes <= BUDGET {
            return;
        }
        let mut order: Vec<Head> = self.heads.iter().copied().collect();
        order.sort_unstable();
        for head in order.into_iter().filter(|head| head.id.block != except) {
            if self.bytes <= BUDGET / 2 {
                break;
            }
            let dropped = self.cursors.get_mut(&head.id.block).and_then(Option::take);
            if let Some(decoded) = dropped {
                self.bytes = self.bytes.saturating_sub(decoded.memory());
            }
        }
    }
}
