//! Which rows a walk over a recording can pass over: those that no filter can match and that tell the state nothing that
//! filters ask.
//!
//! A read tells how much went through a descriptor and that its process was there still. Nobody asks for the first but
//! what learns names from reads ([`Tracker::listens`]), and the second is nothing new once another event told it and
//! no process has come, gone or moved since ([`afterimage_model::World::homes`]).

use std::collections::HashMap;

use afterimage_format::{Columns, ContainerUid, Event, EventCode, EventId, FieldTag, TaskKey};
use afterimage_model::{changes_state, moves_bytes};

use crate::{rows::Bits, shape, shape::Io, tracker::Tracker};

/// What can be passed over of the blocks that are being read.
#[derive(Debug)]
pub struct Sieve {
    blocks: HashMap<u32, Block>,
    /// The block that was asked for last, taken out of the others.
    current: Option<(u32, Block)>,
    /// For each code, what an event of it tells.
    tells: Vec<Tells>,
}

/// What events of a code tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Nothing but that they were.
    Nothing,
    /// How much was read or written.
    Amounts,
    /// More.
    Much,
}

#[derive(Debug)]
struct Block {
    container: ContainerUid,
    /// These rows somebody wants to see.
    wanted: Bits,
    /// These rows can be passed over.
    over: Bits,
    /// Of these, those that read or write.
    amounts: Bits,
    /// Each row's thread, by its position.
    thread: Vec<u32>,
    /// When each thread was last found where it is, as [`afterimage_model::World::homes`] counts; nothing where never.
    found: Vec<Option<u64>>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self::new()
    }
}

impl Sieve {
    /// Nothing open.
    pub fn new() -> Self {
        let tells = |code| {
            let code = EventCode(code);
            match () {
                () if changes_state(code) => Tells::Much,
                () if moves_bytes(code) || shape::of(code).io != Io::None => Tells::Amounts,
                () => Tells::Nothing,
            }
        };
        Self { blocks: HashMap::new(), current: None, tells: (0..=u16::MAX).map(tells).collect() }
    }

    /// A block whose rows are about to come, and which of them somebody wants to see in any case.
    pub fn open(&mut self, block: u32, columns: &Columns, wanted: Bits) {
        let (thread, threads) = columns.tasks();
        let (mut over, mut amounts) = (Bits::none(columns.len()), Bits::none(columns.len()));
        for (row, code) in columns.codes().iter().enumerate() {
            let tells = self.tells.get(usize::from(*code)).copied().unwrap_or(Tells::Much);
            if tells == Tells::Much || wanted.has(row) || columns.tags(row).any(is_learnt) {
                continue;
            }
            over.insert(row);
            if tells == Tells::Amounts {
                amounts.insert(row);
            }
        }
        let found = vec![None; threads.len()];
        let container = columns.container();
        let thread = thread.to_vec();
        self.blocks.insert(block, Block { container, wanted, over, amounts, thread, found });
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

    /// Whether somebody wants to see a row.
    pub fn wants(&mut self, id: EventId) -> bool {
        self.block(id.block).is_none_or(|block| block.wanted.has(id.row as usize))
    }

    /// Whether a row tells nothing, the state being what it is before it.
    pub fn passes(&mut self, id: EventId, tracker: &Tracker) -> bool {
        let Some(block) = self.block(id.block) else { return false };
        let row = id.row as usize;
        if !block.over.has(row) {
            return false;
        }
        let found = block.thread.get(row).and_then(|thread| *block.found.get(*thread as usize)?);
        found == Some(tracker.world().homes())
            && !(block.amounts.has(row) && tracker.listens(block.container))
    }

    /// A row that was not passed over, after the state took it in.
    pub fn seen(&mut self, id: EventId, event: &Event<'_>, tracker: &Tracker) {
        let Some(block) = self.block(id.block) else { return };
        let homes = tracker.world().homes();
        let thread = block.thread.get(id.row as usize).copied().unwrap_or(u32::MAX);
        if let Some(found) = block.found.get_mut(thread as usize).filter(|found| **found != Some(homes)) {
            let task: TaskKey = event.task;
            *found = tracker.world().is_at_home(block.container, task).then_some(homes);
        }
    }
}

/// Whether the state learns from a field whatever the call does.
fn is_learnt(tag: FieldTag) -> bool {
    matches!(tag, FieldTag::KPATH | FieldTag::SOCKADDR | FieldTag::PEER | FieldTag::LOCAL | FieldTag::FDS)
}
