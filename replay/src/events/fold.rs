//! Folds restarted calls: a call that a signal interrupts returns twice, first with a result between -512 and
//! -516 that no program ever sees, then again, under its own number or as `restart_syscall`. Shown is one call
//! with the second's time and result, as strace shows it.
//!
//! A row that waits for its continuation holds back all later ones, so that the order stays; when too many are
//! held back, or its thread goes on to something else, it is shown as what it is: interrupted.

use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
};

use afterimage_format::{EventCode, EventFlags};

use super::{EventRow, walk::Item};

/// Rows held back at most.
const HELD: usize = 8_192;
/// Events of the same thread, such as a signal handler's, after which nothing is continued any more.
const PATIENCE: u32 = 64;
/// `restart_syscall` of x86-64, i386 and x32.
const RESTART_SYSCALL: [EventCode; 3] = [EventCode(219), EventCode(0x1000), EventCode(0x2000 + 219)];

/// Where finished rows go.
pub(super) type Emit<'a> = dyn FnMut(Item) -> ControlFlow<()> + 'a;

enum Slot {
    Ready(Item),
    Waiting(Box<EventRow>),
    Gone,
}

struct Wait {
    /// Number of the waiting slot, counted from the first ever.
    slot: u64,
    /// Events of the thread since.
    since: u32,
}

/// Folds a stream of rows.
#[derive(Default)]
pub(super) struct Folder {
    slots: VecDeque<Slot>,
    /// Number of the first slot.
    first: u64,
    waits: HashMap<u32, Wait>,
}

impl Folder {
    /// Takes the next row; hands on what is finished.
    pub(super) fn push(&mut self, item: Item, emit: &mut Emit<'_>) -> ControlFlow<()> {
        let item = match item {
            Item::Event(row) => self.event(row),
            gap @ Item::Gap(_) => Some(Slot::Ready(gap)),
        };
        match item {
            Some(Slot::Ready(item)) if self.slots.is_empty() => emit(item)?,
            Some(slot) => self.slots.push_back(slot),
            None => {}
        }
        self.drain(emit)
    }

    /// Whether any row waits for its continuation.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waits.is_empty()
    }

    /// Whether a row of this thread waits for its continuation.
    pub(super) fn waits_for(&self, tid: u32) -> bool {
        self.waits.contains_key(&tid)
    }

    /// Hands on everything; nothing more comes.
    pub(super) fn finish(&mut self, emit: &mut Emit<'_>) -> ControlFlow<()> {
        self.waits.clear();
        for slot in self.slots.drain(..) {
            match slot {
                Slot::Ready(item) => emit(item)?,
                Slot::Waiting(row) => emit(Item::Event(row))?,
                Slot::Gone => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn event(&mut self, mut row: Box<EventRow>) -> Option<Slot> {
        let tid = row.event.task.tid;
        if let Some(wait) = self.waits.get_mut(&tid) {
            wait.since += 1;
            let (slot, since) = (wait.slot, wait.since);
            let held = self.waiting(slot);
            let is_restart = RESTART_SYSCALL.contains(&row.event.code);
            let is_same =
                held.is_some_and(|h| h.event.code == row.event.code && h.event.args == row.event.args);
            if is_restart || is_same {
                let original = self.take(slot);
                if let Some(original) = original.filter(|_| is_restart) {
                    row = original.continued_by(*row);
                }
                self.waits.remove(&tid);
            } else if since > PATIENCE || row.event.code == EventCode::EXIT {
                self.give_up(tid);
            }
        }
        if row.event.flags.contains(EventFlags::RESTART) {
            self.give_up(tid);
            let slot = self.first + self.slots.len() as u64;
            self.waits.insert(tid, Wait { slot, since: 0 });
            return Some(Slot::Waiting(row));
        }
        Some(Slot::Ready(Item::Event(row)))
    }

    fn index(&self, slot: u64) -> Option<usize> {
        usize::try_from(slot.checked_sub(self.first)?).ok()
    }

    fn waiting(&self, slot: u64) -> Option<&EventRow> {
        match self.slots.get(self.index(slot)?)? {
            Slot::Waiting(row) => Some(row),
            _ => None,
        }
    }

    /// The row that waits in `slot`, which is gone then.
    fn take(&mut self, slot: u64) -> Option<Box<EventRow>> {
        let index = self.index(slot)?;
        match std::mem::replace(self.slots.get_mut(index)?, Slot::Gone) {
            Slot::Waiting(row) => Some(row),
            _ => None,
        }
    }

    /// The thread's waiting row, if any, is shown as it is.
    fn give_up(&mut self, tid: u32) {
        let Some(wait) = self.waits.remove(&tid) else { return };
        let Some(index) = self.index(wait.slot) else { return };
        if let Some(slot) = self.slots.get_mut(index)
            && let Slot::Waiting(row) = std::mem::replace(slot, Slot::Gone)
        {
            *slot = Slot::Ready(Item::Event(row));
        }
    }

    fn drain(&mut self, emit: &mut Emit<'_>) -> ControlFlow<()> {
        if self.slots.len() > HELD
            && let Some(Slot::Waiting(row)) = self.slots.front()
        {
            self.give_up(row.event.task.tid);
        }
        while let Some(slot) = self.slots.front() {
            if matches!(slot, Slot::Waiting(_)) {
                break;
            }
            self.first += 1;
            if let Some(Slot::Ready(item)) = self.slots.pop_front() {
                emit(item)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use afterimage_format::{BootNanos, ClockMap, ContainerUid, OwnedEvent, TaskKey};
    use afterimage_model::{
        describe::{Named, TaskKind, TaskNumber},
        text::Safe,
    };

    use super::*;
    use crate::{events::row::Whose, time::Clock};

    const POLL: u16 = 7;
    const READ: u16 = 0;
    const WRITE: u16 = 1;
    const RESTART: u16 = 219;

    fn row(tid: u32, nr: u16, ret: i64) -> Item {
        let restart = (-516..=-512).contains(&ret);
        let event = OwnedEvent {
            time: BootNanos(0),
            duration: None,
            task: TaskKey { tgid: tid, tid, start: BootNanos(0) },
            code: EventCode(nr),
            flags: if restart { EventFlags::RESTART } else { EventFlags::default() },
            cpu: 0,
            ret,
            args: vec![u64::from(nr)],
            fields: Vec::new(),
        };
        let whose = Whose {
            uid: ContainerUid(1),
            id: Safe::default(),
            label: Safe::default(),
            start: BootNanos(0),
            days: false,
        };
        let clock = Clock::new(&ClockMap::default(), false);
        Item::Event(Box::new(EventRow {
            event,
            whose: Arc::new(whose),
            clock: Arc::new(clock),
            process: None,
            name: Safe::default(),
            detail: Safe::default(),
            tasks: Vec::new(),
            facts: None,
            wanted: true,
        }))
    }

    /// Call numbers and results that come out for those that go in.
    fn fold(calls: &[(u32, u16, i64)]) -> Vec<(u32, u16, i64)> {
        let mut out = Vec::new();
        let mut emit = |item| {
            if let Item::Event(row) = item {
                out.push((row.event.task.tid, row.event.code.0, row.event.ret));
            }
            ControlFlow::Continue(())
        };
        let mut folder = Folder::default();
        for &(tid, nr, ret) in calls {
            assert!(folder.push(row(tid, nr, ret), &mut emit).is_continue());
        }
        assert!(folder.finish(&mut emit).is_continue());
        out
    }

    #[test]
    fn interrupted_call_and_its_continuation_are_one() {
        assert_eq!(fold(&[(1, POLL, -516), (1, RESTART, 1)]), [(1, POLL, 1)]);
        assert_eq!(fold(&[(1, READ, -512), (1, READ, 5)]), [(1, READ, 5)]);
        assert_eq!(fold(&[(1, POLL, -516), (1, RESTART, -516), (1, RESTART, 0)]), [(1, POLL, 0)]);
    }

    #[test]
    fn the_end_of_an_interrupted_wait_tells_who_was_waited_for() {
        const WAIT4: u16 = 61;
        let child = || TaskNumber { name: "result", number: 7, kind: TaskKind::Task, task: Named::NotKnown };
        let Item::Event(mut end) = row(1, WAIT4, 7) else { panic!() };
        (end.tasks, end.detail) = (vec![child()], Safe::literal("-1 -> 7"));
        let mut told = Vec::new();
        let mut emit = |item| {
            if let Item::Event(row) = item {
                told.push((row.detail, row.tasks));
            }
            ControlFlow::Continue(())
        };
        let mut folder = Folder::default();
        for item in [row(1, WAIT4, -512), Item::Event(end)] {
            assert!(folder.push(item, &mut emit).is_continue());
        }
        assert!(folder.finish(&mut emit).is_continue());
        assert_eq!(told, [(Safe::literal("-1 -> 7"), vec![child()])]);
    }

    #[test]
    fn handler_in_between_stays_in_its_place() {
        let calls = [(1, READ, -512), (1, WRITE, 1), (2, WRITE, 2), (1, READ, 5)];
        assert_eq!(fold(&calls), [(1, WRITE, 1), (2, WRITE, 2), (1, READ, 5)]);
    }

    #[test]
    fn call_that_is_never_continued_is_shown_where_it_was() {
        let exit = EventCode::EXIT.0;
        assert_eq!(
            fold(&[(1, READ, -512), (2, WRITE, 2), (1, exit, -9)]),
            [(1, READ, -512), (2, WRITE, 2), (1, exit, -9)]
        );
        assert_eq!(fold(&[(1, READ, -512)]), [(1, READ, -512)]);
        let mut calls = vec![(1, READ, -512)];
        calls.extend([(1, WRITE, 1); 100]);
        assert_eq!(fold(&calls), calls);
    }

    #[test]
    fn endless_wait_holds_back_a_bounded_number_of_rows() {
        let mut calls = vec![(1, POLL, -516)];
        calls.extend(vec![(2, WRITE, 1); HELD * 2]);
        calls.push((1, RESTART, 0));
        assert_eq!(fold(&calls), calls);
    }
}
