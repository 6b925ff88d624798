//! Calls that change nothing but counts: gathered for whoever needs the state now and then only, and told to it in one go
//! before anything else happens or somebody looks.
//!
//! What is told is what the calls one by one would have: counts add up, and between two calls of a process that only count
//! nothing of what they count for can change unless an event says so, which ends the gathering. A thread is taken for
//! its process's, but for its descriptors.

use afterimage_format::{BootNanos, ContainerUid, Event, EventFlags, FieldTag, TaskKey};

use super::{
    World,
    calls::{self, Effect},
    changes_state, fd_calls,
    state::State,
};
use crate::{
    process::{Origin, Process, ProcessKey},
    streams,
};

/// Processes whose calls are gathered at once: about what runs at the same time.
const PROCESSES: usize = 16;
/// Descriptors of one process's threads that bytes go through.
const DESCRIPTORS: usize = 16;

/// What one container's processes did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    runs: Vec<Run>,
    /// The run that was added to last.
    at: usize,
    /// Time of the last event.
    last: BootNanos,
}

/// What one process did.
#[derive(Debug)]
pub(super) struct Run {
    /// Who began it, and when.
    pub(super) task: TaskKey,
    pub(super) begin: BootNanos,
    pub(super) last: BootNanos,
    pub(super) events: u64,
    /// The last event belonged to the set-up; one of them did not.
    pub(super) setup: bool,
    pub(super) payload: bool,
    /// Thread, descriptor, whether it was written to, and how much: a thread may have descriptors of its own.
    pub(super) moved: Vec<(u32, i32, bool, u64)>,
}

impl Tally {
    /// Takes an event that only counts; `false` when it is another, or there is no room.
    pub(crate) fn takes(&mut self, event: &Event<'_>) -> bool {
        if changes_state(event.code) {
            return false;
        }
        // The kernel's path of a descriptor, and whom a socket speaks with, are learnt.
        if event.bytes(FieldTag::KPATH).is_some() || event.bytes(FieldTag::SOCKADDR).is_some() {
            return false;
        }
        let setup = event.flags.contains(EventFlags::SETUP);
        let Some(run) = self.run(event) else { return false };
        if !run.moves(event) {
            return false;
        }
        (run.last, run.setup) = (event.time, setup);
        run.events += 1;
        run.payload |= !setup;
        self.last = event.time;
        true
    }

    /// The run that an event belongs to.
    fn run(&mut self, event: &Event<'_>) -> Option<&mut Run> {
        let task = event.task;
        if self.runs.get(self.at).is_none_or(|run| run.task != task) {
            self.at = match self.runs.iter().position(|run| run.task.tgid == task.tgid) {
                // The same id, but not the same process.
                Some(at) if !self.runs.get(at).is_some_and(|run| is_same(run.task, task)) => return None,
                Some(at) => at,
                None if self.runs.len() >= PROCESSES => return None,
                None => {
                    let (begin, moved) = (event.time, Vec::new());
                    self.runs.push(Run {
                        task,
                        begin,
                        last: begin,
                        events: 0,
                        setup: false,
                        payload: false,
                        moved,
                    });
                    self.runs.len() - 1
                }
            };
        }
        self.runs.get_mut(self.at)
    }

    /// Tells a world everything.
    pub(crate) fn tell(&mut self, uid: ContainerUid, world: &mut World) {
        self.at = 0;
        for run in self.runs.drain(..).filter(|run| run.events > 0) {
            world.tell(uid, &run, self.last);
        }
    }
}

/// Whether two threads of one id can be told from each other as those of two processes.
fn is_same(one: TaskKey, other: TaskKey) -> bool {
    let first = |task: TaskKey| task.tid == task.tgid;
    !(first(one) && first(other)) || one.start == other.start
}

impl Run {
    /// Adds what an event moved; `false` when there is no room.
    fn moves(&mut self, event: &Event<'_>) -> bool {
        let moved = u64::try_from(event.ret).unwrap_or(0);
        if moved == 0 || event.flags.contains(EventFlags::SIGRETURN) {
            return true;
        }
        let fd = |at: usize| event.args.get(at).copied().unwrap_or(0) as i32;
        let tid = event.task.tid;
        match calls::effect(event.code) {
            Effect::Receive if streams::peeks(event) => true,
            Effect::Read | Effect::Receive => self.add(tid, &[(fd(0), false)], moved),
            Effect::Write => self.add(tid, &[(fd(0), true)], moved),
            Effect::Copy { from, to } => self.add(tid, &[(fd(from), false), (fd(to), true)], moved),
            _ => true,
        }
    }

    fn add(&mut self, tid: u32, ways: &[(i32, bool)], bytes: u64) -> bool {
        if self.moved.len() + ways.len() > DESCRIPTORS {
            return false;
        }
        for &(fd, writes) in ways {
            match self.moved.iter_mut().find(|(by, of, way, _)| (*by, *of, *way) == (tid, fd, writes)) {
                Some((.., sum)) => *sum = sum.saturating_add(bytes),
                None => self.moved.push((tid, fd, writes, bytes)),
            }
        }
        true
    }
}

impl World {
    /// Takes in what a process did; `last` is the time of the container's last event.
    fn tell(&mut self, uid: ContainerUid, run: &Run, last: BootNanos) {
        let touch = |process: &mut Process| {
            process.events += run.events;
            process.last_seen = run.last;
            process.setup = run.setup;
            process.payload |= run.payload;
        };
        let moved = |state: &mut State, key: ProcessKey| {
            for &(tid, fd, writes, bytes) in &run.moved {
                let Some(table) = state.processes.get(&key).map(|process| process.table_of(tid)) else {
                    return;
                };
                fd_calls::moved(state, key, (table, fd), (writes, bytes), None);
            }
        };
        let at_home = self.edit_at_home(uid, run.task, touch, |state, key, _| {
            state.events += run.events;
            state.last = last;
            moved(state, key);
        });
        if at_home.is_some() || !self.begin(uid, run.events, last) {
            return;
        }
        let Some(key) = self.process_of(uid, run.task, Origin::Seen, run.begin) else { return };
        self.edit_for(uid, key, |state| {
            let Some(process) = state.processes.get_mut(&key) else { return };
            touch(process);
            moved(state, key);
        });
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::OwnedEvent;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        testing::{Build, call, exec, fork},
        world::tests::any_event,
    };

    const BOX: ContainerUid = ContainerUid(7);

    /// The world and how many events were gathered, told when `looks` says so and at the end.
    fn gathered(events: &[OwnedEvent], looks: impl Fn(usize) -> bool) -> (World, usize) {
        let (mut world, mut tally, mut taken) = (World::new(), Tally::default(), 0);
        for (at, event) in events.iter().enumerate() {
            event.with(|event| {
                if tally.takes(event) {
                    taken += 1;
                } else {
                    tally.tell(BOX, &mut world);
                    world.apply(BOX, event);
                }
            });
            if looks(at) {
                tally.tell(BOX, &mut world);
            }
        }
        tally.tell(BOX, &mut world);
        (world, taken)
    }

    fn applied(events: &[OwnedEvent]) -> World {
        let mut world = World::new();
        events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
        world
    }

    proptest! {
        #[test]
        fn what_is_gathered_is_what_the_events_tell(
            mut events in prop::collection::vec(any_event(), 1..200),
            quiet in prop::collection::vec((1_u32..20, 0_usize..4, 0_u64..12, -2_i64..50, any::<bool>()), 0..200),
            step in 1_usize..40,
        ) {
            let calls = quiet.into_iter().enumerate().map(|(at, (pid, name, fd, ret, setup))| {
                let mut event = call(0, pid, ["read", "write", "getpid", "sendfile"][name], &[fd, fd / 2], ret);
                if setup {
                    event.flags = event.flags.with(EventFlags::SETUP);
                }
                (at, event)
            });
            for (at, event) in calls.collect::<Vec<_>>() {
                events.insert((at * 7) % (events.len() + 1), event);
            }
            for (at, event) in events.iter_mut().enumerate() {
                event.time = BootNanos(100_000 + at as u64);
            }
            let (world, _) = gathered(&events, |at| at % step == 0);
            prop_assert_eq!(world, applied(&events));
        }
    }

    #[test]
    fn calls_that_only_count_do_not_touch_the_state() {
        let mut events = vec![
            exec(1, 1, "/bin/sh", &["sh"]),
            fork(2, 1, 2),
            call(3, 1, "openat", &[0xffff_ff9c, 0, 0, 0], 3).with_kpath("/a"),
        ];
        for at in 0..100 {
            events.push(call(10 + at, 1 + (at % 2) as u32, "read", &[3], 5));
        }
        let (world, taken) = gathered(&events, |_| false);
        assert_eq!(taken, 100);
        assert_eq!(world, applied(&events));
        let info = world.fds(world.process_by_pid(1).unwrap()).pop().map(|(.., info)| info.read);
        assert_eq!(info, Some(250), "of the process that opened it");
    }
}
