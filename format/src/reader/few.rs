//! Few rows of each block, in order of time, for whoever can tell from some columns which these are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::Range,
};

use super::{
    BlockInfo, Query, Recording,
    columns::{ColumnReader, Columns, Wanted},
};
use crate::{BootNanos, EventCode, EventId, ReadError};

/// Bytes that the columns of open blocks may take at once.
const BUDGET: usize = if cfg!(test) { 1 << 14 } else { 96 << 20 };

/// Who is shown few rows of each block in order of time.
pub trait Few {
    /// The columns that it asks of all rows; times, threads and flags are always there.
    fn asks(&self) -> Wanted;

    /// Whether it asks for all of an event of this code: of others, results, numbers and fields may be missing.
    fn needs(&self, code: EventCode) -> bool;

    /// A block whose rows are about to come; those that are to be shown, which rise.
    fn open(&mut self, block: u32, columns: &Columns) -> Vec<u32>;

    /// One of these rows; whether all columns are `whole`.
    fn show(&mut self, id: EventId, columns: &Columns, whole: bool) -> Next;

    /// Rows of open blocks that are to be shown as well, as far as they are behind the one that was shown last.
    fn late(&mut self) -> Vec<(u32, Range<u32>)>;

    /// No more rows of a block come.
    fn close(&mut self, block: u32);
}

/// What is to come after a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next row.
    Row,
    /// The next row, which may be one that was not asked for when its block was opened ([`Few::late`]).
    Late,
    /// The same row again with all columns whole.
    Whole,
    /// Nothing more.
    Stop,
}

/// A block whose rows come.
struct Open {
    /// The rows to be shown, in order of time, and how many were.
    rows: Vec<u32>,
    at: usize,
    /// Nothing while they were dropped for want of memory.
    columns: Option<Columns>,
    whole: bool,
}

struct Walk<'r> {
    recording: &'r Recording,
    reader: ColumnReader<'r>,
    /// Nothing behind this is wanted.
    last: BootNanos,
    /// Blocks to be opened, the next at the end.
    waiting: Vec<u32>,
    open: HashMap<u32, Open>,
    /// The next row of each open block.
    heads: BinaryHeap<Reverse<EventId>>,
    bytes: usize,
}

impl Recording {
    /// Shows rows of the blocks that a query touches and that are wanted, in order of time (ties: by block and row). Damaged blocks
    /// are skipped and become defects.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn show_few(
        &self,
        query: &Query,
        wanted: &dyn Fn(&BlockInfo) -> bool,
        few: &mut dyn Few,
    ) -> Result<(), ReadError> {
        let touched = self.touched(query).into_iter().filter(|block| wanted(block));
        let mut waiting: Vec<u32> = touched.filter_map(|block| u32::try_from(block.index).ok()).collect();
        waiting.sort_by_key(|&index| self.blocks.get(index as usize).map(|block| Reverse(block.first)));
        let mut walk = Walk {
            recording: self,
            reader: self.column_reader(),
            last: query.end.unwrap_or(BootNanos(u64::MAX)),
            waiting,
            open: HashMap::new(),
            heads: BinaryHeap::new(),
            bytes: 0,
        };
        walk.all(few)
    }
}

impl Walk<'_> {
    fn all(&mut self, few: &mut dyn Few) -> Result<(), ReadError> {
        loop {
            let opens = self.open_blocks(few)?;
            let Some(Reverse(head)) = self.heads.pop() else { return Ok(()) };
            let until = self.heads.peek().map(|next| next.0);
            self.keep_within_budget(head.block);
            let is_next = |id: EventId| {
                until.is_none_or(|until| id < until) && opens.is_none_or(|opens| id.time < opens)
            };
            let (shown, flow) = self.run(head, &is_next, few)?;
            match flow {
                Next::Stop => return Ok(()),
                Next::Late => self.add_late(shown, few)?,
                Next::Row | Next::Whole => {}
            }
            match self.open.get(&head.block).and_then(|open| open.next(head.block, self.last)) {
                Some(next) => self.heads.push(Reverse(next)),
                None => self.close(head.block, few),
            }
        }
    }

    /// Opens the blocks whose rows can come next; when the next one has to be.
    fn open_blocks(&mut self, few: &mut dyn Few) -> Result<Option<BootNanos>, ReadError> {
        while let Some(&index) = self.waiting.last() {
            let Some(first) = self.recording.blocks.get(index as usize).map(|info| info.first) else { break };
            if self.heads.peek().is_some_and(|head| first > head.0.time) {
                return Ok(Some(first));
            }
            self.waiting.pop();
            let Some(columns) = self.read(index, false, few)? else { continue };
            let rows = columns.rows.in_order(few.open(index, &columns).into_iter());
            let open = Open { rows, at: 0, columns: Some(columns), whole: false };
            self.bytes += open.memory();
            let next = open.next(index, self.last);
            self.open.insert(index, open);
            match next {
                Some(next) => self.heads.push(Reverse(next)),
                None => self.close(index, few),
            }
            self.keep_within_budget(index);
        }
        Ok(None)
    }

    /// Shows rows of a block from the first on, as long as they are the next and nothing else is asked; the last one.
    fn run(
        &mut self,
        first: EventId,
        is_next: &dyn Fn(EventId) -> bool,
        few: &mut dyn Few,
    ) -> Result<(EventId, Next), ReadError> {
        let Some(mut open) = self.open.remove(&first.block) else { return Ok((first, Next::Row)) };
        let mut id = first;
        let flow = loop {
            let whole = open.whole;
            let Some(columns) = self.columns(first.block, &mut open, few)? else { break Next::Row };
            let flow = few.show(id, columns, whole);
            if flow == Next::Whole && !whole {
                self.drop_columns(&mut open);
                open.whole = true;
                continue;
            }
            open.at += 1;
            match open.next(first.block, self.last) {
                Some(next) if flow == Next::Row && is_next(next) => id = next,
                _ => break flow,
            }
        };
        self.open.insert(first.block, open);
        Ok((id, flow))
    }

    /// Takes in the rows that are asked for now, behind `shown`, whose block has no head at the time.
    fn add_late(&mut self, shown: EventId, few: &mut dyn Few) -> Result<(), ReadError> {
        for (block, range) in few.late() {
            let Some(mut open) = self.open.remove(&block) else { continue };
            let mut rows = open.rows.split_off(open.at.min(open.rows.len()));
            if let Some(columns) = self.columns(block, &mut open, few)? {
                let id = |row: u32| EventId { time: BootNanos(columns.rows.time(row as usize)), block, row };
                rows.extend(range.filter(|&row| id(row) > shown));
                rows.sort_unstable();
                rows.dedup();
                rows = columns.rows.in_order(rows.into_iter());
                (open.rows, open.at) = (rows, 0);
            }
            if block != shown.block {
                self.heads.retain(|head| head.0.block != block);
                self.heads.extend(open.next(block, self.last).map(Reverse));
            }
            self.open.insert(block, open);
        }
        Ok(())
    }

    /// A block's columns, read again where they were dropped.
    fn columns<'o>(
        &mut self,
        block: u32,
        open: &'o mut Open,
        few: &dyn Few,
    ) -> Result<Option<&'o Columns>, ReadError> {
        if open.columns.is_none() {
            open.columns = self.read(block, open.whole, few)?;
            self.bytes += open.memory();
        }
        Ok(open.columns.as_ref())
    }

    fn read(&mut self, block: u32, whole: bool, few: &dyn Few) -> Result<Option<Columns>, ReadError> {
        if whole {
            return self.reader.read(block as usize, Wanted::ALL);
        }
        let always = Wanted::TIMES.with(Wanted::THREADS).with(Wanted::FLAGS);
        let wanted = always.with(Wanted::NUMBERS).with(Wanted::FIELDS).with(few.asks());
        self.reader.read_few(block as usize, wanted, &|code| few.needs(code))
    }

    fn close(&mut self, block: u32, few: &mut dyn Few) {
        if let Some(mut open) = self.open.remove(&block) {
            self.drop_columns(&mut open);
        }
        few.close(block);
    }

    fn drop_columns(&mut self, open: &mut Open) {
        self.bytes = self.bytes.saturating_sub(open.memory());
        if let Some(columns) = open.columns.take() {
            self.reader.take_back(columns);
        }
    }

    /// Drops columns of other blocks, those needed last first.
    fn keep_within_budget(&mut self, except: u32) {
        if self.bytes <= BUDGET {
            return;
        }
        let mut order: Vec<EventId> = self.heads.iter().map(|head| head.0).collect();
        order.sort_unstable();
        for head in order.into_iter().rev().filter(|head| head.block != except) {
            if self.bytes <= BUDGET / 2 {
                break;
            }
            if let Some(open) = self.open.get_mut(&head.block)
                && open.columns.is_some()
            {
                self.bytes = self.bytes.saturating_sub(open.memory());
                open.columns = None;
            }
        }
    }
}

impl Open {
    /// The next row to be shown.
    fn next(&self, block: u32, last: BootNanos) -> Option<EventId> {
        let row = *self.rows.get(self.at)?;
        let time = BootNanos(self.columns.as_ref()?.rows.time(row as usize));
        (time <= last).then_some(EventId { time, block, row })
    }

    /// Bytes that its columns take.
    fn memory(&self) -> usize {
        self.columns.as_ref().map_or(0, |columns| columns.rows.memory())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{
        ContainerUid, Direction, Event, EventFlags, Origin, OwnedEvent, StoreOptions, StoreWriter, TaskKey,
    };

    /// Asks for each third row of a block, and from the first of these on for all; sees every seventh whole.
    #[derive(Default)]
    struct Third {
        rows: HashMap<u32, u32>,
        late: Vec<(u32, Range<u32>)>,
        seen: Vec<(EventId, OwnedEvent)>,
    }

    impl Few for Third {
        fn asks(&self) -> Wanted {
            Wanted::default()
        }

        fn needs(&self, code: EventCode) -> bool {
            code == EventCode(1)
        }

        fn open(&mut self, block: u32, columns: &Columns) -> Vec<u32> {
            let rows = columns.len() as u32;
            self.rows.insert(block, rows);
            (0..rows).filter(|row| row % 3 == 1).collect()
        }

        fn show(&mut self, id: EventId, columns: &Columns, whole: bool) -> Next {
            if !whole && id.row.is_multiple_of(7) {
                return Next::Whole;
            }
            self.seen.extend(columns.with(id.row as usize, |event| (id, OwnedEvent::from_event(event))));
            match self.rows.remove(&id.block) {
                Some(rows) => {
                    self.late.push((id.block, 0..rows));
                    Next::Late
                }
                None => Next::Row,
            }
        }

        fn late(&mut self) -> Vec<(u32, Range<u32>)> {
            std::mem::take(&mut self.late)
        }

        fn close(&mut self, block: u32) {
            assert!(!self.rows.contains_key(&block), "it was shown a row of each");
        }
    }

    #[test]
    fn rows_come_in_order_as_they_are_also_where_memory_is_short() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::open(dir.path(), Origin::default(), StoreOptions::default()).unwrap();
        for at in 0..3000u64 {
            let tid = 100 + (at % 5) as u32;
            let event = Event {
                time: BootNanos(1000 + at * 10),
                duration: None,
                task: TaskKey { tgid: 100, tid, start: BootNanos(7) },
                code: EventCode((at % 4) as u16),
                flags: EventFlags(0),
                cpu: 0,
                ret: at as i64 % 9,
                args: &[at, 2],
                fields: &[],
            };
            writer.push(ContainerUid(1 + at * 7 % 4), &event).unwrap();
        }
        writer.seal().unwrap();
        let recording = Recording::open(dir.path()).unwrap();
        let mut third = Third::default();
        recording.show_few(&Query::default(), &|_| true, &mut third).unwrap();
        let mut expected = Vec::new();
        let mut begun = vec![false; recording.blocks().len()];
        recording
            .walk(&Query::default(), None, Direction::Forward, &mut |id, _, event| {
                let begun = &mut begun[id.block as usize];
                *begun |= id.row % 3 == 1;
                expected.extend(begun.then(|| (id, OwnedEvent::from_event(event))));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(expected.len() > 2900);
        let ids = |rows: &[(EventId, OwnedEvent)]| rows.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(ids(&third.seen), ids(&expected));
        for ((id, seen), (_, expected)) in third.seen.iter().zip(&expected) {
            let told = (seen.time, seen.task, seen.code);
            assert_eq!(told, (expected.time, expected.task, expected.code));
            assert!(seen == expected || expected.code != EventCode(1) && !id.row.is_multiple_of(7), "{id:?}");
        }
    }
}
