//! The state of containers as their events imply it, at the moment of the last event applied.
//!
//! Events are applied in order of time. What they did not show is unknown, never guessed: a process whose beginning
//! was missed has no parent and no arguments, a descriptor that was never seen opened has no kind. The state of
//! each container is kept, bounded and saved apart from the others'.

mod calls;
mod fd_calls;
mod homes;
mod keyframe;
mod lifecycle;
mod nearest;
mod numbers;
mod places;
mod process_calls;
mod processes;
mod quiet;
mod resumed;
mod sharing;
mod snapshot;
mod socket_calls;
mod state;
mod targets;
mod tree;

use std::collections::{BTreeMap, btree_map::Entry};

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, TaskKey};

use homes::Homes;
pub use keyframe::Restoring;
pub use nearest::nearest;
use numbers::Numbered;
pub(crate) use quiet::Tally;
pub use resumed::resumable;
pub(crate) use resumed::{Resumed, resumed};
pub use tree::TreeRow;

use crate::{
    budget::{Limits, Overflow},
    describe::{FdNames, Named},
    fds::{FdInfo, Slot},
    mounts::Mounts,
    process::{End, Origin, Process, ProcessKey},
    text::Safe,
};
use state::{Map, State};

/// Whether an event of this code can change more of the state than when a process last acted and how much went through
/// a descriptor: who follows only what happens, and does not ask for that, can leave the others out.
pub fn changes_state(code: EventCode) -> bool {
    use calls::Effect;
    let counts = || {
        use Effect::{Copy, Nothing, Read, Receive, Write};
        matches!(calls::effect(code), Nothing | Read | Receive | Write | Copy { .. })
    };
    code.as_syscall().is_none() || !counts()
}

/// Whether a call of this code that failed changed nothing of that.
pub fn fails_without_effect(code: EventCode) -> bool {
    use calls::Effect;
    code.as_syscall().is_some() && !matches!(calls::effect(code), Effect::Close | Effect::Connect)
}

/// Whether calls of this code change nothing but what descriptors there are and what they are open on: who the processes are is the
/// same after them. False where that is not certain.
pub fn changes_descriptors_only(code: EventCode) -> bool {
    use calls::Effect;
    let opens = || {
        use Effect::{Creat, Make, Memfd, MessageQueue, Open, OpenHow, PidfdOpen, Pipe};
        matches!(
            calls::effect(code),
            Open { .. } | OpenHow | Creat | Make { .. } | Memfd | MessageQueue | PidfdOpen | Pipe { .. }
        )
    };
    let handles = || {
        use Effect::{Close, CloseRange, Dup, DupTo, Fcntl};
        matches!(calls::effect(code), Close | CloseRange | Dup | DupTo { .. } | Fcntl)
    };
    let speaks = || {
        use Effect::{Accept, Addresses, Bind, Connect, Listen, Messages, Shutdown, Socket, Socketpair};
        matches!(
            calls::effect(code),
            Socket | Socketpair | Bind | Connect | Listen | Accept | Addresses | Shutdown | Messages { .. }
        )
    };
    code.as_syscall().is_some() && (opens() || handles() || speaks() || moves_bytes(code))
}

/// Whether calls of this code move bytes through descriptors.
pub fn moves_bytes(code: EventCode) -> bool {
    use calls::Effect;
    matches!(
        calls::effect(code),
        Effect::Read | Effect::Receive | Effect::Messages { .. } | Effect::Write | Effect::Copy { .. }
    )
}

/// Everything known at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    containers: BTreeMap<ContainerUid, State>,
    /// The process that last had an id, and where it is.
    holders: Map<u32, (ContainerUid, ProcessKey)>,
    numbered: Numbered,
    limits: Limits,
    /// Budget used by all containers.
    used: u64,
    /// Containers that were not kept.
    refused: u64,
    homes: Homes,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Nothing known, with the default limits.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Nothing known.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            containers: BTreeMap::new(),
            holders: Map::default(),
            numbered: Numbered::default(),
            limits,
            used: 0,
            refused: 0,
            homes: Homes::default(),
        }
    }

    /// Takes one event in. Events of all containers come in order of time.
    pub fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        if self.apply_at_home(uid, event) {
            return;
        }
        if !self.begin(uid, 1, event.time) {
            return;
        }
        let origin = if event.code == EventCode::PROCESS { Origin::Snapshot } else { Origin::Seen };
        let Some(key) = self.process_of(uid, event.task, origin, event.time) else { return };
        match event.code {
            EventCode::FORK => self.fork(uid, key, event),
            EventCode::EXEC | EventCode::PROCESS => self.exec(uid, key, event),
            EventCode::EXIT => self.exit(uid, key, event),
            _ => {
                let limits = self.limits;
                self.edit_for(uid, key, |state| calls::apply(state, key, event, &limits));
            }
        }
    }

    /// Takes in a call of a process that is known and acts in its container still, as nearly all are: what [`Self::apply`]
    /// does, with the container looked up once. False where it is none; nothing has changed then.
    fn apply_at_home(&mut self, uid: ContainerUid, event: &Event<'_>) -> bool {
        use EventCode as Code;
        if matches!(event.code, Code::FORK | Code::EXEC | Code::PROCESS | Code::EXIT) {
            return false;
        }
        let limits = self.limits;
        let apply = |state: &mut State, key: ProcessKey, table: u64| {
            state.events += 1;
            state.last = event.time;
            calls::apply_touched(state, (key, table), event, &limits);
        };
        self.edit_at_home(uid, event.task, |process| lifecycle::touch_process(process, event), apply)
            .is_some()
    }

    /// Changes a container for a process that is known and acts in it still: first the process, then the rest with its
    /// key and table. `None` where it is none of this; nothing has changed then.
    fn edit_at_home<R>(
        &mut self,
        uid: ContainerUid,
        task: TaskKey,
        touch: impl FnOnce(&mut Process),
        change: impl FnOnce(&mut State, ProcessKey, u64) -> R,
    ) -> Option<R> {
        let (home, key) = self.holders.get(&task.tgid).copied()?;
        if home != uid {
            return None;
        }
        self.edit(uid, |state| {
            let process = state.processes.get_mut(&key).filter(|process| is_of(process, task))?;
            touch(process);
            let table = process.table_of(task.tid);
            state.pinned = Some(key);
            let result = change(state, key, table);
            state.pinned = None;
            Some(result)
        })
        .flatten()
    }

    /// Counts so many events of a container, up to this time; `false` when it is not kept.
    fn begin(&mut self, uid: ContainerUid, events: u64, time: BootNanos) -> bool {
        let room = self.containers.len() < self.limits.containers;
        let state = match self.containers.entry(uid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) if room => free.insert(State::default()),
            Entry::Vacant(_) => {
                self.refused += events;
                return false;
            }
        };
        state.events += events;
        state.last = time;
        true
    }

    /// Changes one container's state, keeping the sum of all budgets.
    fn edit<R>(&mut self, uid: ContainerUid, change: impl FnOnce(&mut State) -> R) -> Option<R> {
        let state = self.containers.get_mut(&uid)?;
        let before = state.budget.used();
        let left = self.limits.total_bytes.saturating_sub(self.used);
        state.budget.set_limit(self.limits.container_bytes.min(before.saturating_add(left)));
        let result = change(state);
        state.budget.set_limit(u64::MAX);
        self.used = self.used.saturating_add(state.budget.used()).saturating_sub(before);
        for (key, numbers) in state.removed.drain(..) {
            self.homes.change(key.tgid);
            if self.holders.get(&key.tgid) == Some(&(uid, key)) {
                self.holders.remove(&key.tgid);
            }
            self.numbered.remove((uid, key), numbers);
        }
        Some(result)
    }

    /// As [`Self::edit`], for an event of one process.
    fn edit_for<R>(
        &mut self,
        uid: ContainerUid,
        key: ProcessKey,
        change: impl FnOnce(&mut State) -> R,
    ) -> Option<R> {
        self.edit(uid, |state| {
            state.pinned = Some(key);
            let result = change(state);
            state.pinned = None;
            result
        })
    }

    /// The process that a thread belongs to, made known when it is not yet, in the container where it acts at this time.
    fn process_of(
        &mut self,
        uid: ContainerUid,
        task: TaskKey,
        origin: Origin,
        time: BootNanos,
    ) -> Option<ProcessKey> {
        if let Some((home, key)) = self.holders.get(&task.tgid).copied() {
            if self.is_same(home, key, task) {
                if home != uid {
                    return self.migrate(home, uid, key);
                }
                return Some(key);
            }
            self.homes.change(task.tgid);
            self.edit(home, |state| state.end(key, End::Unseen { before: time }));
        }
        let process = Process::new(task.into(), uid, origin, time);
        self.add(uid, process)
    }

    /// Adds a process and makes it the holder of its id.
    fn add(&mut self, uid: ContainerUid, process: Process) -> Option<ProcessKey> {
        let key = self.edit(uid, |state| state.insert(process))??;
        self.homes.change(key.tgid);
        self.holders.insert(key.tgid, (uid, key));
        self.number(uid, key);
        Some(key)
    }

    /// Whether a thread belongs to the process that holds its id.
    fn is_same(&self, home: ContainerUid, key: ProcessKey, task: TaskKey) -> bool {
        let holder = self.containers.get(&home).and_then(|s| s.processes.get(&key));
        holder.is_some_and(|process| is_of(process, task))
    }

    /// Moves a process to the container it acts in now.
    fn migrate(&mut self, from: ContainerUid, to: ContainerUid, key: ProcessKey) -> Option<ProcessKey> {
        self.homes.change(key.tgid);
        let moved = self.edit(from, |state| state.take_out(key))??;
        let key = self.edit(to, |state| state.take_in(moved, to))??;
        self.holders.insert(key.tgid, (to, key));
        self.number(to, key);
        Some(key)
    }

    /// Forgets a container: it has ended and nothing will be asked of it again.
    pub fn forget(&mut self, uid: ContainerUid) {
        if let Some(state) = self.containers.remove(&uid) {
            self.homes.change_all();
            self.used = self.used.saturating_sub(state.budget.used());
            self.holders.retain(|_, (home, _)| *home != uid);
            self.numbered.forget(uid);
        }
    }

    /// Bytes that everything known takes.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// The containers that are known.
    pub fn containers(&self) -> impl Iterator<Item = ContainerUid> {
        self.containers.keys().copied()
    }

    /// The process that a thread belongs to.
    pub fn process_of_task(&self, task: TaskKey) -> Option<&Process> {
        self.home_of_task(task).map(|(_, process)| process)
    }

    /// The process that a thread belongs to, and the state of its container.
    fn home_of_task(&self, task: TaskKey) -> Option<(&State, &Process)> {
        let (uid, key) = self.holders.get(&task.tgid)?;
        let home = self.containers.get(uid);
        let holder = home.and_then(|state| Some((state, state.processes.get(key)?)));
        if let Some((state, process)) = holder.filter(|(_, process)| is_of(process, task)) {
            return Some((state, process));
        }
        let process = self.process(task.into())?;
        Some((self.containers.get(&process.container)?, process))
    }

    /// A process by its identity.
    pub fn process(&self, key: ProcessKey) -> Option<&Process> {
        if let Some((uid, holder)) = self.holders.get(&key.tgid)
            && *holder == key
        {
            return self.containers.get(uid)?.processes.get(&key);
        }
        self.containers.values().find_map(|s| s.processes.get(&key))
    }

    /// The process that last had an id (initial pid namespace).
    pub fn process_by_pid(&self, tgid: u32) -> Option<&Process> {
        let (uid, key) = self.holders.get(&tgid)?;
        self.containers.get(uid)?.processes.get(key)
    }

    /// The processes of a container, in order of their identity.
    pub fn processes(&self, uid: ContainerUid) -> Vec<&Process> {
        let mut out: Vec<_> =
            self.containers.get(&uid).map(|s| s.processes.values().collect()).unwrap_or_default();
        out.sort_by_key(|p: &&Process| p.key);
        out
    }

    /// The parent of a process, where it is known and remembered.
    pub fn parent(&self, process: &Process) -> Option<&Process> {
        self.process(process.parent?)
    }

    /// A process's parent, that one's parent, and so on. Ends at the first that is not known.
    pub fn ancestors<'a>(&'a self, process: &'a Process) -> impl Iterator<Item = &'a Process> {
        /// Deeper than any real tree: a loop made by a hostile trace ends here.
        const DEEPEST: usize = 1024;
        std::iter::successors(self.parent(process), |p| self.parent(p)).take(DEEPEST)
    }

    /// What a descriptor of a thread's process is open on; `None` where it was not seen opened.
    pub fn fd(&self, task: TaskKey, fd: i32) -> Option<&FdInfo> {
        let (state, process) = self.home_of_task(task)?;
        state.info(process.table_of(task.tid), fd)
    }

    /// The open file description behind a descriptor, with an id that tells it from all others of its container
    /// for as long as it is open, whoever shares it.
    pub fn description(&self, task: TaskKey, fd: i32) -> Option<(u64, &FdInfo)> {
        let (state, process) = self.home_of_task(task)?;
        let id = state.slot(process.table_of(task.tid), fd)?.description;
        Some((id, state.descriptions.get(&id)?))
    }

    /// Whether a description of a container is still open.
    pub(crate) fn is_open(&self, uid: ContainerUid, description: u64) -> bool {
        self.containers.get(&uid).is_some_and(|state| state.descriptions.contains_key(&description))
    }

    /// All descriptors of a process, in order.
    pub fn fds(&self, process: &Process) -> Vec<(i32, Slot, &FdInfo)> {
        let Some(state) = self.containers.get(&process.container) else { return Vec::new() };
        let Some(table) = state.tables.get(&process.table) else { return Vec::new() };
        let known =
            table.slots.iter().map(|(fd, slot)| (*fd, *slot, state.descriptions.get(&slot.description)));
        known.filter_map(|(fd, slot, info)| Some((fd, slot, info?))).collect()
    }

    /// Every socket of a container that waits for connections, with a process and a descriptor that has it.
    pub fn listeners(&self, uid: ContainerUid) -> Vec<(ProcessKey, i32, &FdInfo)> {
        let mut out = Vec::new();
        for process in self.processes(uid) {
            for (fd, _, info) in self.fds(process) {
                if info.kind.socket().is_some_and(|s| s.state == crate::fds::SocketState::Listening) {
                    out.push((process.key, fd, info));
                }
            }
        }
        out
    }

    /// Processes other than `of` that have an end of the same pipe or socket pair as this descriptor.
    pub fn peers(&self, of: &Process, info: &FdInfo) -> Vec<(ProcessKey, i32)> {
        use crate::fds::FdKind;
        let same = |other: &FdInfo| match (&info.kind, &other.kind) {
            (FdKind::Pipe(a), FdKind::Pipe(b)) => a.id == b.id,
            (FdKind::Socket(a), FdKind::Socket(b)) => a.pair.is_some() && a.pair == b.pair,
            _ => false,
        };
        let others = self.processes(of.container).into_iter().filter(|p| p.key != of.key);
        others
            .flat_map(|p| self.fds(p).into_iter().filter(|(.., i)| same(i)).map(|(fd, ..)| (p.key, fd)))
            .collect()
    }

    /// The mounts that were made inside a container.
    pub fn mounts(&self, uid: ContainerUid) -> Option<&Mounts> {
        self.containers.get(&uid).map(|s| &s.mounts)
    }

    /// Whether half of the memory for all containers is free.
    pub fn has_room(&self) -> bool {
        self.used <= self.limits.total_bytes / 2
    }

    /// What did not fit into memory for a container.
    pub fn overflow(&self, uid: ContainerUid) -> Overflow {
        self.containers.get(&uid).map(|s| s.overflow).unwrap_or_default()
    }

    /// Events of containers that were not kept at all for lack of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether something that happened is not known for lack of room.
    pub fn lacks_room(&self) -> bool {
        self.refused > 0 || self.containers().any(|uid| self.overflow(uid).any())
    }

    /// The last event's time of a container.
    pub fn time(&self, uid: ContainerUid) -> Option<BootNanos> {
        self.containers.get(&uid).map(|s| s.last)
    }

    /// Events of a container that were applied.
    pub fn events(&self, uid: ContainerUid) -> u64 {
        self.containers.get(&uid).map_or(0, |s| s.events)
    }

    /// A path as a thread's process means it: made absolute from its root, its working directory or a directory's descriptor
    /// where those are known.
    pub fn resolve(&self, task: TaskKey, dirfd: Option<i32>, path: &[u8]) -> Vec<u8> {
        let process = self.process_of_task(task);
        let base = match (process, dirfd) {
            (Some(_), Some(fd)) => self.fd(task, fd).and_then(|info| info.kind.path()),
            (Some(process), None) => process.cwd_of(task.tid),
            (None, _) => None,
        };
        calls::absolute(process.and_then(|process| process.root_of(task.tid)), base, path)
    }
}

/// Whether a thread belongs to the process that holds its id.
fn is_of(process: &Process, task: TaskKey) -> bool {
    let key = process.key;
    let told = task.tid == task.tgid && task.start.0 != 0 && key.start.0 != 0;
    if told {
        return task.start == key.start;
    }
    // A thread that started after the process had ended is another process's.
    process.ended().is_none_or(|end| task.start <= end)
}

impl FdNames for World {
    fn task_named(&self, task: TaskKey, number: u32, of: Option<u32>) -> Option<Named> {
        Some(self.named(task, number, of))
    }

    fn root(&self, task: TaskKey) -> Option<Safe> {
        self.process_of_task(task)?.other_root_of(task.tid)
    }

    fn fd_name(&self, task: TaskKey, fd: i32) -> Option<Safe> {
        if let Some(info) = self.fd(task, fd) {
            return (info.kind != crate::fds::FdKind::Unknown).then(|| info.label());
        }
        let process = self.process_of_task(task)?;
        let (closed, label) = self
            .containers
            .get(&process.container)?
            .tables
            .get(&process.table_of(task.tid))?
            .last_closed
            .as_ref()?;
        // The label is safe text already; passing it on as own words keeps its escapes as they are.
        // One without a label had no room for it.
        (*closed == fd && !label.is_empty())
            .then(|| Safe::format(format_args!("{}", String::from_utf8_lossy(label))))
    }
}

#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod root_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod tests;
