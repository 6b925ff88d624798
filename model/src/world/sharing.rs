//! What processes and threads have in common: tables of descriptors, and root and working directory.
//!
//! The threads of a process share all of it, until one calls `unshare`. What processes share the kernel tells when they fork; in older
//! recordings it is what their `clone` claimed, known when it returns to the parent: the child may have done something by then.

use std::collections::BTreeMap;

use super::{
    calls::Call,
    lifecycle::new_ns,
    state::{APART, State},
};
use crate::{
    bytes::Bytes,
    fds::{FdKind, Slot},
    process::{Apart, Directories, Process, ProcessKey},
};

const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;
const CLONE_THREAD: u64 = 0x1_0000;
/// A new mount or user namespace is for who has root and working directory for itself.
const OWN_DIRECTORIES: u64 = CLONE_FS | new_ns::MNT | new_ns::USER;
/// `unshare`.
pub(super) fn unshare(state: &mut State, key: ProcessKey, tid: u32, flags: u64) {
    if flags & CLONE_FILES != 0 {
        own_table(state, key, tid);
    }
    if flags & OWN_DIRECTORIES != 0 {
        own_directories(state, key, tid);
    }
}

/// Whether a thread is not the only one of its process, as far as is known.
fn has_others(process: &Process, tid: u32) -> bool {
    tid != process.key.tgid || !process.threads.is_empty()
}

/// Pays for a thread that has something for itself; without room it is taken for one that has not.
fn begin_apart(state: &mut State) -> bool {
    let has_room = state.room(APART);
    state.overflow.others += u64::from(!has_room);
    has_room
}

/// Gives a thread a table of its own.
pub(super) fn own_table(state: &mut State, key: ProcessKey, tid: u32) {
    let Some(process) = state.processes.get(&key) else { return };
    let (table, is_apart, is_thread) =
        (process.table_of(tid), process.apart.contains_key(&tid), has_others(process, tid));
    let is_own = state.tables.get(&table).is_none_or(|table| table.refs <= 1);
    if is_own && (!is_thread || process.table != table) {
        return;
    }
    if is_thread && !is_apart && !begin_apart(state) {
        return;
    }
    let own = state.copy_table(table);
    let Some(process) = state.processes.get_mut(&key) else { return };
    let left = if is_thread {
        process.apart.entry(tid).or_default().table.replace(own)
    } else {
        Some(std::mem::replace(&mut process.table, own))
    };
    if let Some(left) = left {
        state.release_table(left);
    }
}

/// Gives a thread root and working directory of its own.
fn own_directories(state: &mut State, key: ProcessKey, tid: u32) {
    let Some(process) = state.processes.get(&key) else { return };
    if !has_others(process, tid) {
        if let Some(process) = state.processes.get_mut(&key).filter(|process| process.shares != 0) {
            process.shares = 0;
        }
        return;
    }
    let known = process.apart.get(&tid);
    if known.is_some_and(|apart| apart.directories.is_some()) {
        return;
    }
    let (is_apart, cwd, root) = (known.is_some(), process.cwd.clone(), process.root.clone());
    if !is_apart && !begin_apart(state) {
        return;
    }
    let own = Directories {
        cwd: cwd.map(|cwd| state.keep_shared(&cwd)),
        root: root.map(|root| state.keep_shared(&root)),
    };
    match state.processes.get_mut(&key) {
        Some(process) => process.apart.entry(tid).or_default().directories = Some(own),
        None => state.budget.give(own.bytes()),
    }
}

/// A thread begins with what the one that made it has.
pub(super) fn begin_thread(state: &mut State, key: ProcessKey, maker: u32, tid: u32) {
    let Some(process) = state.processes.get(&key) else { return };
    let Some(of_maker) = process.apart.get(&maker).cloned() else { return };
    if !begin_apart(state) {
        return;
    }
    if let Some(table) = of_maker.table {
        state.share_table(table);
    }
    let directories = of_maker.directories.map(|of_maker| Directories {
        cwd: of_maker.cwd.map(|cwd| state.keep_shared(&cwd)),
        root: of_maker.root.map(|root| state.keep_shared(&root)),
    });
    let own = Apart { table: of_maker.table, directories };
    let old = state.processes.get_mut(&key).map(|process| process.apart.insert(tid, own));
    if let Some(Some(old)) = old {
        state.release_apart(old);
    }
}

/// A thread ended.
pub(super) fn end_thread(state: &mut State, key: ProcessKey, tid: u32) {
    let apart = state.processes.get_mut(&key).filter(|process| !process.apart.is_empty());
    if let Some(apart) = apart.and_then(|process| process.apart.remove(&tid)) {
        state.release_apart(apart);
    }
}

/// A thread executed a program: the process is it alone now, with a table of its own.
pub(super) fn execute(state: &mut State, key: ProcessKey) {
    let Some(process) = state.processes.get_mut(&key) else { return };
    if !process.apart.is_empty() {
        // Whoever executes takes the first thread's id. The others have ended before, so that only its old one is left.
        let tid = process.threads.keys().next().copied().filter(|_| process.threads.len() == 1);
        let tid = tid.unwrap_or(key.tgid);
        let mut apart = std::mem::take(&mut process.apart);
        if let Some(own) = apart.remove(&tid) {
            let table = own.table.map(|own| std::mem::replace(&mut process.table, own));
            let directories = own.directories.map(|own| Directories {
                cwd: std::mem::replace(&mut process.cwd, own.cwd),
                root: std::mem::replace(&mut process.root, own.root),
            });
            state.release_apart(Apart { table, directories });
        }
        apart.into_values().for_each(|apart| state.release_apart(apart));
    }
    let Some(table) = state.processes.get(&key).map(|process| process.table) else { return };
    if state.tables.get(&table).is_some_and(|table| table.refs > 1) {
        let own = state.copy_table(table);
        state.release_table(table);
        if let Some(process) = state.processes.get_mut(&key) {
            process.table = own;
        }
    }
}

/// A process was made that has this in common with who made it.
pub(super) fn forked(state: &mut State, (parent, maker): (ProcessKey, u32), child: ProcessKey, shares: u64) {
    let Some(process) = state.processes.get_mut(&parent) else { return };
    process.forks_tell = true;
    let ours = process.table_of(maker);
    if shares & CLONE_FILES != 0
        && state.tables.contains_key(&ours)
        && let Some(theirs) = state.processes.get(&child).map(|child| child.table)
    {
        give_table(state, child, (theirs, ours));
    }
    if shares & CLONE_FS != 0 {
        join_directories(state, (parent, maker), child);
    }
}

/// A process has another table, which others have as well.
fn give_table(state: &mut State, key: ProcessKey, (old, new): (u64, u64)) {
    state.share_table(new);
    state.release_table(old);
    if let Some(process) = state.processes.get_mut(&key) {
        process.table = new;
    }
}

/// From now on root and working directory of the two are the same.
fn join_directories(state: &mut State, (parent, maker): (ProcessKey, u32), child: ProcessKey) {
    let Some(process) = state.processes.get(&parent) else { return };
    // Of a thread that has its own, nobody follows who else has them.
    if process.apart.get(&maker).is_some_and(|apart| apart.directories.is_some()) {
        return;
    }
    let group = if process.shares == 0 { state.next_id() } else { process.shares };
    for key in [parent, child] {
        if let Some(process) = state.processes.get_mut(&key) {
            process.shares = group;
        }
    }
}

/// A thread was made that has this in common with who made it.
pub(super) fn forked_thread(state: &mut State, key: ProcessKey, tid: u32, shares: u64) {
    if let Some(process) = state.processes.get_mut(&key) {
        process.forks_tell = true;
    }
    if shares & CLONE_FILES == 0 {
        own_table(state, key, tid);
    }
    if shares & CLONE_FS == 0 {
        own_directories(state, key, tid);
    }
}

/// The parent's return from `clone`: what the child, known since the fork, claims to share with it.
pub(super) fn cloned(state: &mut State, call: &Call<'_>, three: bool) {
    if state.processes.get(&call.key).is_some_and(|process| process.forks_tell) {
        return;
    }
    let flags = if three { crate::class::open_how_flags(call.event).unwrap_or(0) } else { call.arg(0) };
    if flags & CLONE_THREAD != 0 {
        new_thread(state, call, flags);
        return;
    }
    if flags & (CLONE_FILES | CLONE_FS) == 0 {
        return;
    }
    let is_child = |p: &&Process| {
        p.parent == Some(call.key)
            && (i64::from(p.key.tgid) == call.event.ret || p.vpid.map(i64::from) == Some(call.event.ret))
    };
    let children = state.processes.values().filter(is_child);
    let child = children.max_by_key(|child| child.first_seen).map(|child| child.key);
    if flags & CLONE_FILES != 0 {
        share_table(state, call, child);
    }
    if flags & CLONE_FS != 0
        && let Some(child) = child
    {
        share_directories(state, call, child);
    }
}

/// A thread that was made without what threads share.
fn new_thread(state: &mut State, call: &Call<'_>, flags: u64) {
    let Some(process) = state.processes.get(&call.key) else { return };
    let Ok(tid) = u32::try_from(call.event.ret) else { return };
    // Its id in a namespace of its own does not tell which thread it is.
    if !process.threads.contains_key(&tid) {
        return;
    }
    if flags & CLONE_FILES == 0 {
        own_table(state, call.key, tid);
    }
    if flags & CLONE_FS == 0 {
        own_directories(state, call.key, tid);
    }
}

fn share_table(state: &mut State, call: &Call<'_>, child: Option<ProcessKey>) {
    let ours = call.table;
    let runs = |child: &&Process| child.is_running() && child.execs.is_empty();
    let Some(child) = child.and_then(|child| state.processes.get(&child)).filter(runs) else {
        // What it did with the table is gone with the copy that it had here.
        forget_names(state, ours);
        return;
    };
    let (key, theirs, forked) = (child.key, child.table, child.first_seen);
    if theirs == ours || !state.tables.contains_key(&ours) {
        return;
    }
    let slots = |state: &State, table: u64| -> BTreeMap<i32, Slot> {
        state.tables.get(&table).map(|table| table.slots.clone()).unwrap_or_default()
    };
    let (own, other) = (slots(state, ours), slots(state, theirs));
    let is_later = |state: &State, slot: &Slot| {
        state.descriptions.get(&slot.description).is_some_and(|info| info.opened > forked)
    };
    for fd in own.keys().chain(other.keys()) {
        let (mine, its) = (own.get(fd), other.get(fd));
        // What another of our threads opened meanwhile stays; all else that differs the child did.
        if mine != its && !mine.is_some_and(|slot| is_later(state, slot)) {
            state.put_slot(ours, *fd, its.copied());
        }
    }
    give_table(state, key, (theirs, ours));
}

/// Makes all descriptors of a table unknown.
pub(super) fn forget_names(state: &mut State, table: u64) {
    let Some(found) = state.tables.get(&table) else { return };
    let fds: Vec<i32> = found.slots.keys().copied().collect();
    for fd in fds {
        state.set_kind(table, fd, FdKind::Unknown);
    }
}

fn share_directories(state: &mut State, call: &Call<'_>, child: ProcessKey) {
    let Some(process) = state.processes.get(&child) else { return };
    let (cwd, root, runs) = (process.cwd.clone(), process.root.clone(), process.is_running());
    set_cwd(state, call.who(), cwd.as_deref());
    match root {
        Some(root) => set_root(state, call.who(), Some(root.to_vec())),
        None => set_root(state, call.who(), Some(b"/".to_vec())),
    }
    if runs {
        join_directories(state, call.who(), child);
    }
}

/// Which directory of a process.
#[derive(Clone, Copy)]
enum Which {
    Cwd,
    Root,
}

/// A thread has another working directory, and so have all with which it shares it; `None` where it is not known which.
pub(super) fn set_cwd(state: &mut State, who: (ProcessKey, u32), cwd: Option<&[u8]>) {
    set(state, who, Which::Cwd, cwd);
}

/// A thread has another root, and so have all with which it shares it; `None` where it is not known which.
pub(super) fn set_root(state: &mut State, who: (ProcessKey, u32), path: Option<Vec<u8>>) {
    let path = path.filter(|path| path.starts_with(b"/")).unwrap_or_default();
    set(state, who, Which::Root, Some(path.as_slice()).filter(|path| *path != b"/"));
}

fn set(state: &mut State, (key, tid): (ProcessKey, u32), which: Which, path: Option<&[u8]>) {
    let Some(process) = state.processes.get(&key) else { return };
    let is_own = process.apart.get(&tid).is_some_and(|apart| apart.directories.is_some());
    let group = if is_own { 0 } else { process.shares };
    let in_group = |process: &&Process| process.shares == group && process.is_running() && process.key != key;
    let others: Vec<ProcessKey> = match group {
        0 => Vec::new(),
        _ => state.processes.values().filter(in_group).map(|process| process.key).collect(),
    };
    set_one(state, (key, tid), which, path);
    for other in others {
        set_one(state, (other, other.tgid), which, path);
    }
}

/// The directories that somebody is in have other names.
pub(super) fn moved(state: &mut State, who: (ProcessKey, u32), cwd: Option<&[u8]>, root: Option<&[u8]>) {
    for (which, path) in [(Which::Cwd, cwd), (Which::Root, root)] {
        if path.is_some() {
            set_one(state, who, which, path);
        }
    }
}

fn set_one(state: &mut State, (key, tid): (ProcessKey, u32), which: Which, path: Option<&[u8]>) {
    let old = state.processes.get_mut(&key).and_then(|process| place(process, tid, which).take());
    let new = match path {
        Some(path) => {
            state.places.add(path);
            state.replace(old, path)
        }
        None => {
            state.budget.give(old.map_or(0, |old| old.len()));
            None
        }
    };
    if let Some(process) = state.processes.get_mut(&key) {
        *place(process, tid, which) = new;
    }
}

fn place(process: &mut Process, tid: u32, which: Which) -> &mut Option<Bytes> {
    let own = process.apart.get_mut(&tid).and_then(|apart| apart.directories.as_mut());
    match (own, which) {
        (Some(own), Which::Cwd) => &mut own.cwd,
        (Some(own), Which::Root) => &mut own.root,
        (None, Which::Cwd) => &mut process.cwd,
        (None, Which::Root) => &mut process.root,
    }
}
