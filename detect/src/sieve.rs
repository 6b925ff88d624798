//! Which rows a walk over a recording can pass over: those that no filter can match and that tell the state nothing that
//! filters ask.
//!
//! A read tells how much went through a descriptor and that its process was there still. Nobody asks for the first but
//! what learns names from reads ([`Tracker::listens`]), and the second is nothing new once another event told it and
//! no process has come, gone or moved since ([`afterimage_model::World::homes`]).
//!
//! Where only processes are asked for, opens and closes tell nothing either ([`Sieve::of`]).
//!
//! Such a row that somebody wants to see is shown without the state taking it in; and where a filter asks who the process is
//! and it is the wrong one, none of its rows is wanted before it executes something else or takes another name.

use std::collections::HashMap;

use afterimage_format::{Columns, ContainerUid, Event, EventCode, EventFlags, EventId, FieldTag, TaskKey};
use afterimage_model::{changes_descriptors_only, changes_state, fails_without_effect, moves_bytes};

use crate::{filter::Filter, rows::Bits, shape, shape::Io, tracker::Tracker};

/// What can be passed over of the blocks that are being read.
#[derive(Debug)]
pub struct Sieve {
    blocks: HashMap<u32, Block>,
    /// The block that was asked for last, taken out of the others.
    current: Option<(u32, Block)>,
    /// For each code, what an event of it tells.
    tells: Vec<Tells>,
    /// Whether any process was found to be none that is wanted.
    has_misses: bool,
}

/// What events of a code tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Nothing but that they were.
    Nothing,
    /// How much was read or written.
    Amounts,
    /// More where the call succeeded, nothing where it failed.
    Success,
    /// Descriptors, and nobody asks for these.
    Descriptors,
    /// More.
    Much,
}

#[derive(Debug)]
struct Block {
    container: ContainerUid,
    /// These rows somebody wants to see.
    wanted: Bits,
    /// These rows tell nothing that is asked, as long as their thread is where it was found.
    quiet: Bits,
    /// Of these, those that read or write.
    amounts: Bits,
    /// Each row's thread, by its position.
    thread: Vec<u32>,
    /// When each thread was last found where it is, as [`afterimage_model::World::homes`] counts; nothing where never.
    found: Vec<Option<u64>>,
    /// When each thread's process was found to be none that the filter wants, counted the same way.
    misses: Vec<Option<u64>>,
    /// The threads of each process.
    of_process: Vec<(u32, u32)>,
}

impl Block {
    fn thread(&self, row: usize) -> usize {
        self.thread.get(row).map_or(usize::MAX, |thread| *thread as usize)
    }

    /// Whether a row tells nothing, the state being what it is before it.
    fn is_quiet(&self, row: usize, tracker: &Tracker) -> bool {
        self.quiet.has(row)
            && self.found.get(self.thread(row)).copied().flatten() == Some(tracker.world().homes())
            && !(self.amounts.has(row) && tracker.listens(self.container))
    }

    /// What was found out about the process of these threads is to be found out again.
    fn changes(&mut self, tgid: u32) {
        let from = self.of_process.partition_point(|(process, _)| *process < tgid);
        let own = self.of_process.get(from..).unwrap_or_default();
        for (_, thread) in own.iter().take_while(|(process, _)| *process == tgid) {
            if let Some(miss) = self.misses.get_mut(*thread as usize) {
                *miss = None;
            }
        }
    }
}

impl Default for Sieve {
    fn default() -> Self {
        Self::new()
    }
}

impl Sieve {
    /// Nothing open; whatever the state knows can be asked, also what an event's row shows.
    pub fn new() -> Self {
        Self::asked(false)
    }

    /// Nothing open; the state is asked by these filters and by nobody else.
    pub fn of<'f>(filters: impl IntoIterator<Item = &'f Filter>) -> Self {
        Self::asked(filters.into_iter().all(Filter::asks_processes_only))
    }

    fn asked(processes_only: bool) -> Self {
        let tells = |code| {
            let code = EventCode(code);
            match () {
                () if processes_only && changes_descriptors_only(code) => Tells::Descriptors,
                () if changes_state(code) && fails_without_effect(code) => Tells::Success,
                () if changes_state(code) => Tells::Much,
                () if moves_bytes(code) || shape::of(code).io != Io::None => Tells::Amounts,
                () => Tells::Nothing,
            }
        };
        let tells = (0..=u16::MAX).map(tells).collect();
        Self { blocks: HashMap::new(), current: None, tells, has_misses: false }
    }

    /// A block whose rows are about to come, and which of them somebody wants to see in any case.
    pub fn open(&mut self, block: u32, columns: &Columns, wanted: Bits) {
        let (thread, threads) = columns.tasks();
        let (mut quiet, mut amounts) = (Bits::none(columns.len()), Bits::none(columns.len()));
        let flags = columns.flags();
        for (row, (code, result)) in columns.codes().iter().zip(columns.results()).enumerate() {
            let tells = self.tells.get(usize::from(*code)).copied().unwrap_or(Tells::Much);
            let much = tells == Tells::Much || tells == Tells::Success && *result >= 0;
            if much || tells != Tells::Descriptors && columns.tags(row).any(is_learnt) {
                continue;
            }
            // Whoever wants one of the two returns of a restarted call wants both.
            let restarts =
                flags.get(row).is_some_and(|flags| EventFlags(*flags).contains(EventFlags::RESTART));
            if restarts && wanted.has(row) {
                continue;
            }
            quiet.insert(row);
            if tells == Tells::Amounts {
                amounts.insert(row);
            }
        }
        let (found, misses) = (vec![None; threads.len()], vec![None; threads.len()]);
        let mut of_process: Vec<(u32, u32)> = (0..).zip(threads).map(|(at, task)| (task.tgid, at)).collect();
        of_process.sort_unstable();
        let container = columns.container();
        let thread = thread.to_vec();
        let opened = Block { container, wanted, quiet, amounts, thread, found, misses, of_process };
        self.blocks.insert(block, opened);
    }

    /// No more rows of a block come.
    pub fn close(&mut self, block: u32) {
        self.blocks.remove(&block);
        self.current.take_if(|(current, _)| *current == block);
    }

    fn block(&mut self, number: u32) -> Option<&mut Block> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != number) {
            if let Some((number, block)) = self.current.take() {
                self.blocks.insert(number, block);
            }
            self.current = Some((number, self.blocks.remove(&number)?));
        }
        self.current.as_mut().map(|(_, block)| block)
    }

    /// Whether a row is of no use to anybody, the state being what it is before it.
    pub fn passes(&mut self, id: EventId, tracker: &Tracker) -> bool {
        let Some(block) = self.block(id.block) else { return false };
        let row = id.row as usize;
        let is_missed =
            || block.misses.get(block.thread(row)).copied().flatten() == Some(tracker.world().homes());
        block.quiet.has(row) && (!block.wanted.has(row) || is_missed()) && block.is_quiet(row, tracker)
    }

    /// Takes a row that was not passed over into the state, where it tells anything; whether somebody wants to see it, and its
    /// process is not known to be the wrong one.
    pub fn apply(
        &mut self,
        id: EventId,
        uid: ContainerUid,
        event: &Event<'_>,
        tracker: &mut Tracker,
    ) -> bool {
        let row = id.row as usize;
        if let Some(block) = self.block(id.block).filter(|block| block.is_quiet(row, tracker)) {
            tracker.leave();
            return block.wanted.has(row);
        }
        let is_wanted = self.block(id.block).is_none_or(|block| block.wanted.has(row));
        tracker.take(uid, event, is_wanted);
        let changes = changes_process(event.code);
        if self.has_misses && changes {
            // Blocks of a container can overlap.
            let others = self.blocks.values_mut().chain(self.current.as_mut().map(|(_, block)| block));
            others.filter(|block| block.container == uid).for_each(|block| block.changes(event.task.tgid));
        }
        let Some(block) = self.block(id.block) else { return true };
        let homes = tracker.world().homes();
        let thread = block.thread(row);
        let is_missed = !changes && block.misses.get(thread).copied().flatten() == Some(homes);
        if let Some(found) = block.found.get_mut(thread).filter(|found| **found != Some(homes)) {
            let task: TaskKey = event.task;
            *found = tracker.world().is_at_home(block.container, task).then_some(homes);
        }
        is_wanted && !is_missed
    }

    /// The process of a row that was applied is none that is looked for ([`crate::OfProcess`]).
    pub fn misses(&mut self, id: EventId, tracker: &Tracker) {
        let Some(block) = self.block(id.block) else { return };
        let row = id.row as usize;
        let thread = block.thread(row);
        if block.is_quiet(row, tracker)
            && let Some(miss) = block.misses.get_mut(thread)
        {
            *miss = Some(tracker.world().homes());
            self.has_misses = true;
        }
    }
}

/// Whether an event of this code can make its process another: what only opens, closes and uses descriptors cannot.
fn changes_process(code: EventCode) -> bool {
    let shape = shape::of(code);
    changes_state(code) && (code.as_syscall().is_none() || shape.fd_arg.is_none() && !shape.makes_fd)
}

/// Whether the state learns from a field whatever the call does.
fn is_learnt(tag: FieldTag) -> bool {
    matches!(tag, FieldTag::KPATH | FieldTag::SOCKADDR | FieldTag::PEER | FieldTag::LOCAL | FieldTag::FDS)
}
