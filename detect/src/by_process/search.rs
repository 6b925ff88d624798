//! The search itself: which rows it is shown, and what it makes of them.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use afterimage_format::{
    BootNanos, Columns, ContainerRecord, ContainerUid, Event, EventCode, EventFlags, EventId, Few, Next,
    Recording, TaskKey, Wanted,
};
use afterimage_model::{
    World, budget::Limits, changes_descriptors_only, changes_state, fails_without_effect,
};

use super::{ByProcess, Parted};
use crate::{context::EventContext, ended::Ended, rows::Bits, tracker::Tracker};

/// Threads that are moved behind rows that were left out, at most: where there are more, all events are looked at.
const MOST_LATE: usize = 1000;

/// Filters ask what a process executed last.
fn limits() -> Limits {
    Limits { execs: 2, ..Limits::default() }
}

/// What events of a code can do to processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// Something, where the call succeeded.
    Success,
    Always,
}

impl Effect {
    fn of(code: EventCode) -> Self {
        match () {
            () if !changes_state(code) || changes_descriptors_only(code) => Self::Nothing,
            () if fails_without_effect(code) => Self::Success,
            () => Self::Always,
        }
    }
}

/// A thread in an open block.
#[derive(Debug)]
struct Thread {
    task: TaskKey,
    /// Its rows here.
    rows: Range<u32>,
    /// The last of them.
    last: EventId,
    /// Whether it is where the state has it.
    is_home: bool,
    /// Whether each of its next rows is shown.
    all: bool,
    /// The number of changes up to which it was asked whether its process is the right one, and the answer.
    answer: Option<(u64, bool)>,
}

#[derive(Debug)]
struct Block<'s> {
    container: ContainerUid,
    record: Option<&'s ContainerRecord>,
    /// Rows that pass as far as columns say.
    wanted: Bits,
    threads: Vec<Thread>,
}

/// A container, and what is known of it.
type Of<'s> = (ContainerUid, Option<&'s ContainerRecord>);

fn open<'b, 's>(blocks: &'b mut [Option<Box<Block<'s>>>], number: u32) -> Option<&'b mut Block<'s>> {
    blocks.get_mut(number as usize)?.as_deref_mut()
}

pub(super) struct Search<'s, 'f> {
    by: &'s ByProcess<'f>,
    wanted: &'s dyn Fn(u32) -> bool,
    found: &'s mut dyn FnMut(EventId, EventFlags) -> bool,
    records: HashMap<ContainerUid, &'s ContainerRecord>,
    /// For each code.
    effects: Vec<Effect>,
    tracker: Tracker,
    ended: Ended,
    /// By their numbers, those that are open.
    blocks: Vec<Option<Box<Block<'s>>>>,
    /// The threads of open blocks: process, block, position among the block's threads.
    threads: BTreeSet<(u32, u32, u32)>,
    own: bool,
    /// [`afterimage_model::World::homes`] when it was asked last.
    homes: u64,
    /// How many events were taken into the state.
    changes: u64,
    /// Rows that are to be shown as well.
    late: Vec<(u32, Range<u32>)>,
    lates: usize,
    /// Whether what is found is right.
    is_sure: bool,
}

impl Few for Search<'_, '_> {
    fn asks(&self) -> Wanted {
        let all = self.by.filters.iter().map(|filter| filter.rows.wanted());
        all.fold(Wanted::default(), Wanted::with)
    }

    fn needs(&self, code: EventCode) -> bool {
        // Results are asked for by name.
        let asks =
            |filter: &Parted<'_>| filter.rows.wanted().has(Wanted::RESULTS) && filter.rows.admits_code(code);
        self.effect(code) != Effect::Nothing || self.by.filters.iter().any(asks)
    }

    fn open(&mut self, block: u32, columns: &Columns) -> Vec<u32> {
        let mut shown = Bits::none(columns.len());
        let results = columns.results();
        for (row, &code) in columns.codes().iter().enumerate() {
            match self.effect(EventCode(code)) {
                Effect::Nothing => {}
                Effect::Success if results.get(row).is_some_and(|&result| result < 0) => {}
                _ => shown.insert(row),
            }
        }
        let container = columns.container();
        let record = self.records.get(&container).copied();
        let wanted = match (self.wanted)(block) {
            true => self.by_columns(columns, record),
            false => Bits::none(columns.len()),
        };
        shown.or(&wanted);
        let threads = self.threads_of(block, columns, &mut shown);
        // Up to its last row a block stays open: any thread may turn out to act elsewhere before that.
        let last = threads.iter().map(|thread| thread.last).max();
        last.into_iter().for_each(|last| shown.insert(last.row as usize));
        if let Some(slot) = self.blocks.get_mut(block as usize) {
            *slot = Some(Box::new(Block { container, record, wanted, threads }));
        }
        shown.rows().map(|row| row as u32).collect()
    }

    fn show(&mut self, id: EventId, columns: &Columns, whole: bool) -> Next {
        self.ended.make_room(&mut self.tracker, id.time);
        self.settle(id);
        let row = id.row as usize;
        let code = columns.codes().get(row).copied().unwrap_or(0);
        let is_plain = self.effect(EventCode(code)) == Effect::Nothing;
        let at = columns.tasks().0.get(row).copied().unwrap_or(0) as usize;
        let Some(block) = open(&mut self.blocks, id.block) else { return Next::Row };
        let (of, is_wanted) = ((block.container, block.record), block.wanted.has(row));
        let Some(thread) = block.threads.get_mut(at) else { return Next::Row };
        thread.is_home = thread.is_home || self.tracker.world().is_at_home(of.0, thread.task);
        if is_plain && thread.is_home {
            let known = thread.answer.filter(|(at, _)| self.own || *at == self.changes);
            let holds =
                !is_wanted || known.map_or_else(|| self.ask((id, of), columns, at), |(_, holds)| holds);
            return self.tell(is_wanted && holds, id, columns);
        }
        if is_plain && !whole {
            return Next::Whole;
        }
        thread.is_home = true;
        let holds = columns.with(row, |event| self.take((id, of, at), event, is_wanted)) == Some(true);
        self.tell(holds, id, columns)
    }

    fn late(&mut self) -> Vec<(u32, Range<u32>)> {
        std::mem::take(&mut self.late)
    }

    fn close(&mut self, block: u32) {
        let closed = self.blocks.get_mut(block as usize).and_then(Option::take);
        let Some(closed) = closed else { return };
        for (at, thread) in (0u32..).zip(closed.threads) {
            self.threads.remove(&(thread.task.tgid, block, at));
        }
    }
}

impl<'s, 'f> Search<'s, 'f> {
    /// Nothing read yet.
    pub(super) fn new(
        by: &'s ByProcess<'f>,
        recording: &'s Recording,
        wanted: &'s dyn Fn(u32) -> bool,
        found: &'s mut dyn FnMut(EventId, EventFlags) -> bool,
    ) -> Self {
        Self {
            by,
            wanted,
            found,
            records: recording.containers().iter().map(|s| (s.record.uid, &s.record)).collect(),
            effects: (0..=u16::MAX).map(|code| Effect::of(EventCode(code))).collect(),
            tracker: Tracker::from_world(World::with_limits(limits())),
            ended: Ended::new(recording),
            blocks: std::iter::repeat_with(|| None).take(recording.blocks().len()).collect(),
            threads: BTreeSet::new(),
            own: by.filters.iter().all(|filter| filter.own),
            homes: 0,
            changes: 0,
            late: Vec::new(),
            lates: 0,
            is_sure: true,
        }
    }

    /// Whether not all was known for lack of room; `None` where what was found may be wrong.
    pub(super) fn lacked(&self) -> Option<bool> {
        self.is_sure.then(|| self.ended.lacked(self.tracker.world()))
    }

    fn effect(&self, code: EventCode) -> Effect {
        self.effects.get(usize::from(code.0)).copied().unwrap_or(Effect::Always)
    }

    /// The rows that pass as far as columns say.
    fn by_columns(&mut self, columns: &Columns, record: Option<&ContainerRecord>) -> Bits {
        let mut wanted = Bits::all(columns.len());
        for filter in &self.by.filters {
            let rows = filter.rows.rows(columns, record);
            // Of rows that change processes all is asked at the event.
            let code = |row: usize| EventCode(columns.codes().get(row).copied().unwrap_or(0));
            let mut doubt = rows.may.clone();
            doubt.and_not(&rows.sure);
            self.is_sure &= doubt.rows().all(|row| self.effect(code(row)) != Effect::Nothing);
            wanted.and(&rows.may);
        }
        wanted
    }

    /// The threads of a block that is opened; the first row of each is shown.
    fn threads_of(&mut self, block: u32, columns: &Columns, shown: &mut Bits) -> Vec<Thread> {
        let (of_row, tasks) = columns.tasks();
        let mut begin = 0;
        let threads = (0u32..).zip(tasks).map(|(at, &task)| {
            // Rows are in order of threads.
            let end = begin + of_row[begin..].partition_point(|&of| of <= at);
            if begin < end {
                shown.insert(begin);
                self.threads.insert((task.tgid, block, at));
            }
            let rows = std::mem::replace(&mut begin, end) as u32..end as u32;
            let row = end.saturating_sub(1);
            let time = BootNanos(columns.times().get(row).copied().unwrap_or(0));
            let last = EventId { time, block, row: row as u32 };
            Thread { task, rows, last, is_home: false, all: false, answer: None }
        });
        threads.collect()
    }

    /// Whether the process of a row's thread is the right one.
    fn ask(&mut self, (id, of): (EventId, Of<'_>), columns: &Columns, at: usize) -> bool {
        let holds = columns.with(id.row as usize, |event| {
            let cx = EventContext::new(event, of, &self.tracker, self.by.frame, 1);
            self.by.filters.iter().all(|filter| filter.process.iter().all(|node| node.holds(&cx)))
        });
        let holds = holds == Some(true);
        let thread = open(&mut self.blocks, id.block).and_then(|block| block.threads.get_mut(at));
        if let Some(thread) = thread {
            thread.answer = Some((self.changes, holds));
        }
        holds
    }

    /// Takes an event into the state; whether it passes.
    fn take(&mut self, (id, of, at): (EventId, Of<'_>, usize), event: &Event<'_>, is_wanted: bool) -> bool {
        self.tracker.take(of.0, event, is_wanted);
        self.changes += 1;
        if self.own {
            self.forget(event.task.tgid);
        }
        self.settle(id);
        self.check(id, (id.block, at as u32));
        is_wanted && {
            let cx = EventContext::new(event, of, &self.tracker, self.by.frame, 1);
            self.by.filters.iter().all(|filter| filter.filter.matches(&cx))
        }
    }

    /// Tells of an event that was found.
    fn tell(&mut self, is_found: bool, id: EventId, columns: &Columns) -> Next {
        let flags = columns.flags().get(id.row as usize).copied().unwrap_or(0);
        if !self.is_sure || is_found && !(self.found)(id, EventFlags(flags)) {
            return Next::Stop;
        }
        if self.late.is_empty() { Next::Row } else { Next::Late }
    }

    /// Takes notice of the processes that came, went, ended or moved.
    fn settle(&mut self, id: EventId) {
        let now = self.tracker.world().homes();
        if now == self.homes {
            return;
        }
        let moved: Option<Vec<u32>> = self.tracker.world().homes_since(self.homes).map(Iterator::collect);
        self.homes = now;
        let all = || self.threads.iter().map(|(tgid, ..)| *tgid).collect::<BTreeSet<u32>>();
        for tgid in moved.unwrap_or_else(|| all().into_iter().collect()) {
            self.forget(tgid);
            self.of_process(tgid).into_iter().for_each(|thread| self.check(id, thread));
        }
    }

    /// The threads of a process: block, and position among its threads.
    fn of_process(&self, tgid: u32) -> Vec<(u32, u32)> {
        let own = self.threads.range((tgid, 0, 0)..=(tgid, u32::MAX, u32::MAX));
        own.map(|(_, block, at)| (*block, *at)).collect()
    }

    /// Something happened to a process: what is known of its threads is asked again.
    fn forget(&mut self, tgid: u32) {
        for (block, at) in self.of_process(tgid) {
            let thread = open(&mut self.blocks, block).and_then(|block| block.threads.get_mut(at as usize));
            if let Some(thread) = thread {
                thread.answer = None;
            }
        }
    }

    /// Looks whether a thread that has rows still is where the state has it: if not, the next ones tell something.
    fn check(&mut self, id: EventId, (number, at): (u32, u32)) {
        let Some(block) = open(&mut self.blocks, number) else { return };
        let Some(thread) = block.threads.get_mut(at as usize) else { return };
        let is_asked = thread.is_home && thread.last > id;
        if !is_asked || self.tracker.world().is_at_home(block.container, thread.task) {
            return;
        }
        thread.is_home = false;
        if !std::mem::replace(&mut thread.all, true) {
            self.late.push((number, thread.rows.clone()));
            self.lates += 1;
            self.is_sure &= self.lates <= MOST_LATE;
        }
    }
}
