//! The state of one container: its processes, tables of descriptors and open file descriptions, within a budget.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
};

use afterimage_format::BootNanos;

use super::{
    numbers::{self, Numbers},
    places::Places,
    processes::Processes,
};
use crate::{
    budget::{Budget, Limits, Overflow},
    bytes::Bytes,
    fds::{FdInfo, FdTable, Slot},
    process::{Apart, Directories, Exec, Process, ProcessKey},
};

/// Looked up several times for each event. Keys are numbers that the kernel gives out.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a process costs besides its strings and descriptors, its table included.
pub(super) const PROCESS: usize = size_of::<Process>() + size_of::<FdTable>() + 128;
/// What an execution costs besides its strings.
const EXEC: usize = size_of::<Exec>() + 16;
/// What a name costs besides its bytes.
const COMM: usize = 40;
/// What a descriptor costs.
const SLOT: usize = 48;
/// What a thread costs that has something for itself, besides strings and descriptors.
pub(super) const APART: usize = size_of::<Apart>() + size_of::<FdTable>() + 64;
/// What a description costs besides its strings.
const DESCRIPTION: usize = size_of::<FdInfo>() + 32;

/// One container.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) processes: Processes,
    /// Ended processes in order of their ends: the first to be forgotten.
    pub(crate) ended: VecDeque<ProcessKey>,
    pub(crate) tables: Map<u64, FdTable>,
    pub(crate) descriptions: Map<u64, FdInfo>,
    /// How many processes refer to an execution, by its id.
    pub(crate) exec_refs: Map<u64, u32>,
    /// The next id for a table, a description, a pipe or a pair.
    pub(crate) next_id: u64,
    pub(crate) mounts: crate::mounts::Mounts,
    /// Where processes are.
    pub(super) places: Places,
    pub(crate) overflow: Overflow,
    pub(crate) events: u64,
    pub(crate) last: BootNanos,
    pub(crate) budget: Budget,
    /// Ended processes that were left to keyframes.
    pub(crate) shed: u64,
    /// Mounts, from the first on, that keyframes have.
    pub(crate) mounts_told: usize,
    /// Processes taken out since the world last looked: they hold no id any more.
    pub(crate) removed: Vec<(ProcessKey, Numbers)>,
    /// The process whose event is being applied: not forgotten meanwhile.
    pub(crate) pinned: Option<ProcessKey>,
}

impl State {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes room, forgetting ended processes for it when there is none.
    pub(super) fn room(&mut self, bytes: usize) -> bool {
        loop {
            if self.budget.take(bytes) {
                return true;
            }
            // Not the one that is being changed: it may have ended, and still be told about.
            let Some(at) = self.ended.iter().position(|key| Some(*key) != self.pinned) else { return false };
            if self.ended.remove(at).and_then(|key| self.remove(key)).is_some() {
                self.overflow.forgotten += 1;
            }
        }
    }

    /// A copy of `bytes` that is paid for; empty when there is no room.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.room(bytes.len()) {
            return bytes.into();
        }
        self.overflow.strings += 1;
        Bytes::default()
    }

    /// The same bytes for somebody else, who pays for them too: either can be forgotten first.
    pub(crate) fn keep_shared(&mut self, bytes: &Bytes) -> Bytes {
        if self.room(bytes.len()) {
            return bytes.clone();
        }
        self.overflow.strings += 1;
        Bytes::default()
    }

    /// Replaces a string that was paid for.
    pub(crate) fn replace(&mut self, old: Option<Bytes>, new: &[u8]) -> Option<Bytes> {
        self.budget.give(old.map_or(0, |o| o.len()));
        Some(self.keep(new))
    }

    /// Adds a process whose strings, executions and table are paid for already, giving it a table when it has none.
    pub(crate) fn insert(&mut self, mut process: Process) -> Option<ProcessKey> {
        let key = process.key;
        if self.processes.contains_key(&key) {
            self.discard(&process);
            return Some(key);
        }
        if !self.room(PROCESS) {
            self.overflow.processes += 1;
            self.discard(&process);
            return None;
        }
        if process.table == 0 {
            process.table = self.new_table();
        }
        [&process.cwd, &process.root].into_iter().flatten().for_each(|path| self.places.add(path));
        self.processes.insert(key, process);
        Some(key)
    }

    /// Puts a process that ended before all others back, when there is room for it without forgetting another. True when
    /// it is there now.
    pub(super) fn put_before(&mut self, process: Arc<Process>) -> bool {
        let key = process.key;
        if self.processes.contains_key(&key) {
            return true;
        }
        let execs = || process.execs.iter().chain(&process.inherited);
        let mut cost = PROCESS + own_strings(&process);
        for exec in execs() {
            let refs = self.exec_refs.entry(exec.id).or_default();
            *refs += 1;
            if *refs == 1 {
                cost += EXEC + exec.bytes();
            }
        }
        if !self.budget.take(cost) {
            for exec in execs() {
                self.forget_ref(exec.id);
            }
            return false;
        }
        self.processes.insert_shared(key, process);
        self.ended.push_front(key);
        true
    }

    /// There will be so many more processes, each with an execution.
    pub(super) fn reserve(&mut self, more: usize) {
        self.processes.reserve(more);
        self.exec_refs.reserve(more);
        self.ended.reserve(more);
    }

    fn new_table(&mut self) -> u64 {
        let id = self.next_id();
        self.tables.insert(id, FdTable { refs: 1, ..FdTable::default() });
        id
    }

    /// Takes a process out, with everything that was paid for it.
    pub(crate) fn remove(&mut self, key: ProcessKey) -> Option<Process> {
        let process = self.processes.remove(&key)?;
        self.budget.give(PROCESS);
        self.discard(&process);
        self.removed.push((key, numbers::of(&process)));
        Some(process)
    }

    /// Gives back what a process that is no longer there paid besides itself.
    fn discard(&mut self, process: &Process) {
        self.release_table(process.table);
        for table in process.apart.values().filter_map(|apart| apart.table) {
            self.release_table(table);
        }
        self.budget.give(own_strings(process));
        for exec in process.execs.iter().chain(&process.inherited) {
            self.release_exec(exec);
        }
    }

    /// Marks a process ended.
    pub(crate) fn end(&mut self, key: ProcessKey, end: crate::process::End) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        if !process.is_running() {
            return;
        }
        process.end = end;
        let environment = process.environment.take();
        process.threads.clear();
        let table = std::mem::take(&mut process.table);
        let apart = std::mem::take(&mut process.apart);
        process.shares = 0;
        apart.into_values().for_each(|apart| self.release_apart(apart));
        self.budget.give(environment.map_or(0, |e| e.len()));
        self.ended.push_back(key);
        self.release_table(table);
    }

    /// Gives back what a thread had for itself.
    pub(super) fn release_apart(&mut self, apart: Apart) {
        self.budget.give(APART + apart.directories.map_or(0, |directories| directories.bytes()));
        if let Some(table) = apart.table {
            self.release_table(table);
        }
    }

    /// Pays for an execution and gives it its id; `None` when there is no room.
    pub(crate) fn pay_exec(&mut self, mut exec: Exec) -> Option<Arc<Exec>> {
        if !self.room(EXEC + exec.bytes()) {
            self.overflow.others += 1;
            return None;
        }
        exec.id = self.next_id();
        self.exec_refs.insert(exec.id, 1);
        Some(Arc::new(exec))
    }

    /// One more process refers to an execution of this container.
    pub(crate) fn share_exec(&mut self, exec: &Arc<Exec>) -> Arc<Exec> {
        *self.exec_refs.entry(exec.id).or_default() += 1;
        Arc::clone(exec)
    }

    fn release_exec(&mut self, exec: &Exec) {
        if self.forget_ref(exec.id) {
            self.budget.give(EXEC + exec.bytes());
        }
    }

    /// One process less refers to an execution; whether it was the last.
    fn forget_ref(&mut self, id: u64) -> bool {
        let Some(refs) = self.exec_refs.get_mut(&id) else { return false };
        *refs = refs.saturating_sub(1);
        let is_last = *refs == 0;
        if is_last {
            self.exec_refs.remove(&id);
        }
        is_last
    }

    /// Adds an execution to a process's history.
    pub(crate) fn push_exec(&mut self, key: ProcessKey, exec: Arc<Exec>, limits: &Limits) {
        let Some(process) = self.processes.get_mut(&key) else {
            self.release_exec(&exec);
            return;
        };
        process.execs.push(exec);
        let mut dropped = None;
        if process.execs.len() > limits.execs.max(2) {
            // The first says where it came from, the last what it is: those in between go.
            dropped = Some(process.execs.remove(1));
            process.execs_dropped += 1;
        }
        let inherited = process.inherited.take();
        for exec in dropped.iter().chain(&inherited) {
            self.release_exec(exec);
        }
    }

    /// Adds a name to a process's history when it differs from the last.
    pub(crate) fn push_comm(&mut self, key: ProcessKey, time: BootNanos, name: &[u8], limits: &Limits) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        if process.comms.last().is_some_and(|(_, last)| **last == *name) {
            return;
        }
        if process.comms.len() >= limits.comms.max(2) {
            let (_, old) = process.comms.remove(1);
            self.budget.give(COMM + old.len());
            self.overflow.others += 1;
        }
        if !self.room(COMM + name.len()) {
            self.overflow.others += 1;
        } else if let Some(process) = self.processes.get_mut(&key) {
            process.comms.push((time, name.into()));
        }
    }

    /// Opens descriptor `fd` of a table on something new.
    pub(crate) fn open(&mut self, table: u64, fd: i32, info: FdInfo, cloexec: bool) {
        let Some(found) = self.tables.get_mut(&table) else { return };
        if let Some(slot) = found.slots.remove(&fd) {
            self.budget.give(SLOT);
            self.release_description(slot.description);
        }
        if fd < 0 {
            return;
        }
        if !self.room(SLOT + DESCRIPTION + info.kind.bytes()) {
            self.overflow.descriptors += 1;
            return;
        }
        let id = self.next_id();
        self.descriptions.insert(id, FdInfo { refs: 1, ..info });
        if let Some(table) = self.tables.get_mut(&table) {
            table.slots.insert(fd, Slot { description: id, cloexec });
        }
    }

    /// Makes `new` refer to what `old` refers to; where that is not known, to something not known.
    pub(crate) fn duplicate(&mut self, table: u64, old: i32, new: i32, cloexec: bool, time: BootNanos) {
        if new < 0 {
            return;
        }
        let Some(description) = self.slot(table, old).map(|s| s.description) else {
            let mut unknown = FdInfo::new(crate::fds::FdKind::Unknown, None, time);
            unknown.inherited = true;
            // Both are the same unknown thing: the old number is entered too.
            self.open(table, old, unknown, false);
            if self.slot(table, old).is_some() {
                self.duplicate(table, old, new, cloexec, time);
            } else {
                self.close(table, new);
            }
            return;
        };
        if old == new {
            return;
        }
        // Taken before the old use of `new` is closed, which may be the same description.
        if let Some(info) = self.descriptions.get_mut(&description) {
            info.refs += 1;
        }
        self.close(table, new);
        if !self.room(SLOT) {
            self.overflow.descriptors += 1;
            self.release_description(description);
            return;
        }
        if let Some(table) = self.tables.get_mut(&table) {
            table.slots.insert(new, Slot { description, cloexec });
        }
    }

    /// Makes a number of a table what it is in another, or closes it.
    pub(super) fn put_slot(&mut self, table: u64, fd: i32, slot: Option<Slot>) {
        // Taken before the old use of the number is closed, which may be the same description.
        let slot = slot.filter(|slot| match self.descriptions.get_mut(&slot.description) {
            Some(info) => {
                info.refs += 1;
                true
            }
            None => false,
        });
        self.close(table, fd);
        let Some(slot) = slot else { return };
        // Of a process that has ended there is no table.
        let has_table = self.tables.contains_key(&table);
        if !has_table || !self.room(SLOT) {
            self.overflow.descriptors += u64::from(has_table);
            self.release_description(slot.description);
        } else if let Some(table) = self.tables.get_mut(&table) {
            table.slots.insert(fd, slot);
        }
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, table: u64, fd: i32) {
        let Some(slot) = self.tables.get_mut(&table).and_then(|t| t.slots.remove(&fd)) else { return };
        self.budget.give(SLOT);
        self.release_description(slot.description);
    }

    fn release_description(&mut self, id: u64) {
        let Some(info) = self.descriptions.get_mut(&id) else { return };
        info.refs = info.refs.saturating_sub(1);
        if info.refs == 0 {
            self.budget.give(DESCRIPTION + info.kind.bytes());
            self.descriptions.remove(&id);
        }
    }

    /// Closes a descriptor, and remembers what it was for the event that closes it.
    pub(crate) fn close_and_remember(&mut self, table: u64, fd: i32) {
        let Some(found) = self.tables.get_mut(&table) else { return };
        let (old, slot) = (found.last_closed.take(), found.slots.remove(&fd));
        self.budget.give(old.map_or(0, |(_, label)| label.len()));
        let Some(slot) = slot else { return };
        self.budget.give(SLOT);
        let Entry::Occupied(mut entry) = self.descriptions.entry(slot.description) else { return };
        let is_known = entry.get().kind != crate::fds::FdKind::Unknown;
        let label = if entry.get().refs > 1 {
            entry.get_mut().refs -= 1;
            entry.get().label().into_string().into_bytes()
        } else {
            let info = entry.remove();
            self.budget.give(DESCRIPTION + info.kind.bytes());
            info.into_label()
        };
        if !is_known {
            return;
        }
        let label = if self.room(label.len()) {
            label
        } else {
            self.overflow.strings += 1;
            Vec::new()
        };
        if let Some(table) = self.tables.get_mut(&table) {
            table.last_closed = Some((fd, label));
        }
    }

    /// Changes a description's kind, paying the difference.
    pub(crate) fn set_kind(&mut self, table: u64, fd: i32, kind: crate::fds::FdKind) {
        let Some(id) = self.slot(table, fd).map(|s| s.description) else { return };
        let Some(old) = self.descriptions.get(&id).map(|info| info.kind.bytes()) else { return };
        self.budget.give(old);
        let kind = if self.room(kind.bytes()) {
            kind
        } else {
            self.overflow.descriptors += 1;
            crate::fds::FdKind::Unknown
        };
        if let Some(info) = self.descriptions.get_mut(&id) {
            info.kind = kind;
        }
    }

    /// One more process uses a table.
    pub(crate) fn share_table(&mut self, table: u64) {
        if let Some(table) = self.tables.get_mut(&table) {
            table.refs += 1;
        }
    }

    /// One process less uses a table.
    pub(crate) fn release_table(&mut self, id: u64) {
        let Some(table) = self.tables.get_mut(&id) else { return };
        table.refs = table.refs.saturating_sub(1);
        if table.refs > 0 {
            return;
        }
        let Some(table) = self.tables.remove(&id) else { return };
        self.budget.give(table.slots.len() * SLOT + table.last_closed.map_or(0, |(_, label)| label.len()));
        for slot in table.slots.values() {
            self.release_description(slot.description);
        }
    }

    /// A copy of a table, for one process.
    pub(crate) fn copy_table(&mut self, id: u64) -> u64 {
        let slots = self.tables.get(&id).map(|t| t.slots.clone()).unwrap_or_default();
        if !self.room(slots.len() * SLOT) {
            self.overflow.descriptors += slots.len() as u64;
            return self.new_table();
        }
        for slot in slots.values() {
            if let Some(info) = self.descriptions.get_mut(&slot.description) {
                info.refs += 1;
            }
        }
        let new = self.new_table();
        if let Some(table) = self.tables.get_mut(&new) {
            table.slots = slots;
        }
        new
    }

    /// Closes what exec closes.
    pub(crate) fn close_on_exec(&mut self, table: u64) {
        let Some(found) = self.tables.get(&table) else { return };
        let closing: Vec<i32> = found.slots.iter().filter(|(_, s)| s.cloexec).map(|(fd, _)| *fd).collect();
        for fd in closing {
            self.close(table, fd);
        }
    }

    pub(crate) fn slot(&self, table: u64, fd: i32) -> Option<&Slot> {
        self.tables.get(&table)?.slots.get(&fd)
    }

    pub(crate) fn slot_mut(&mut self, table: u64, fd: i32) -> Option<&mut Slot> {
        self.tables.get_mut(&table)?.slots.get_mut(&fd)
    }

    pub(crate) fn info(&self, table: u64, fd: i32) -> Option<&FdInfo> {
        self.descriptions.get(&self.slot(table, fd)?.description)
    }

    pub(crate) fn info_mut(&mut self, table: u64, fd: i32) -> Option<&mut FdInfo> {
        let id = self.slot(table, fd)?.description;
        self.descriptions.get_mut(&id)
    }
}

/// Bytes of a process's own strings, with what a name costs.
fn own_strings(process: &Process) -> usize {
    let comms: usize = process.comms.iter().map(|(_, name)| COMM + name.len()).sum();
    let strings = [&process.cwd, &process.root, &process.environment];
    let directories = |apart: &Apart| apart.directories.as_ref().map_or(0, Directories::bytes);
    let apart: usize = process.apart.values().map(|apart| APART + directories(apart)).sum();
    comms + apart + strings.into_iter().flatten().map(|bytes| bytes.len()).sum::<usize>()
}

impl State {
    /// What everything in it costs: the budget's use, counted anew.
    pub(crate) fn cost(&self) -> u64 {
        let mut bytes = self.mounts.cost();
        let mut seen = HashSet::new();
        for process in self.processes.values() {
            bytes += PROCESS + own_strings(process);
            for exec in process.execs.iter().chain(&process.inherited) {
                if seen.insert(exec.id) {
                    bytes += EXEC + exec.bytes();
                }
            }
        }
        for table in self.tables.values() {
            bytes +=
                table.slots.len() * SLOT + table.last_closed.as_ref().map_or(0, |(_, label)| label.len());
        }
        bytes += self.descriptions.values().map(|info| DESCRIPTION + info.kind.bytes()).sum::<usize>();
        bytes as u64
    }
}

/// A process on its way from one container to another, with copies of what it referred to.
pub(crate) struct Moved {
    process: Process,
    descriptors: Vec<(i32, bool, FdInfo)>,
}

impl State {
    /// Takes a process out with what its descriptors are.
    pub(crate) fn take_out(&mut self, key: ProcessKey) -> Option<Moved> {
        let table = self.processes.get(&key)?.table;
        let slots = self.tables.get(&table).map(|t| t.slots.clone()).unwrap_or_default();
        let descriptors = slots
            .into_iter()
            .filter_map(|(fd, slot)| {
                Some((fd, slot.cloexec, self.descriptions.get(&slot.description)?.clone()))
            })
            .collect();
        self.ended.retain(|k| *k != key);
        Some(Moved { process: self.remove(key)?, descriptors })
    }

    /// Takes such a process in, paying for everything anew. Descriptions it shared with others are its own now.
    pub(crate) fn take_in(
        &mut self,
        moved: Moved,
        uid: afterimage_format::ContainerUid,
    ) -> Option<ProcessKey> {
        let Moved { mut process, descriptors } = moved;
        let key = process.key;
        if self.processes.contains_key(&key) {
            return Some(key);
        }
        process.container = uid;
        // What is another root where it was is this container's own.
        process.root = None;
        process.apart.clear();
        process.shares = 0;
        process.table = 0;
        let (execs, inherited) = (std::mem::take(&mut process.execs), process.inherited.take());
        process.execs = execs.iter().filter_map(|e| self.pay_exec(e.as_ref().clone())).collect();
        process.inherited = inherited.and_then(|e| self.pay_exec(e.as_ref().clone()));
        if !self.room(own_strings(&process)) {
            self.overflow.strings += 1;
            process.comms.clear();
            process.cwd = None;
            process.root = None;
            process.environment = None;
        }
        let running = process.is_running();
        self.insert(process)?;
        let table = self.processes.get(&key)?.table;
        for (fd, cloexec, info) in descriptors {
            self.open(table, fd, FdInfo { inherited: true, ..info }, cloexec);
        }
        if !running {
            self.ended.push_back(key);
        }
        Some(key)
    }
}

impl State {
    /// Gives a child that is not inserted yet its parent's name.
    pub(crate) fn name_child(&mut self, child: &mut Process, time: BootNanos, name: &[u8]) {
        if self.room(COMM + name.len()) {
            child.comms.push((time, name.into()));
        } else {
            self.overflow.others += 1;
        }
    }
}

impl State {
    /// Remembers an operation on the mount tree, when there is room.
    pub(crate) fn push_mount(&mut self, mount: crate::mounts::Mount) {
        if self.mounts.is_full() || !self.room(mount.cost()) {
            self.overflow.others += 1;
        } else {
            self.mounts.push(mount);
        }
    }
    /// Remembers operations that were before all others, when there is room for them.
    pub(super) fn put_mounts_before(&mut self, mounts: Vec<crate::mounts::Mount>) {
        let count = mounts.len() as u64;
        if !self.room(mounts.iter().map(crate::mounts::Mount::cost).sum()) {
            self.overflow.others += count;
        } else {
            self.mounts.put_before(mounts);
        }
    }
}
