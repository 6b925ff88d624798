//! Keyframes: one container's state in parts that follow each other in a recording.
//!
//! A keyframe has what is needed to go on from it: the processes that run with everything that is theirs, and their
//! ancestors. Processes that ended are told once, in the keyframe after their end; those of earlier ones are in these. Mounts
//! are told once as well, and all of them in each segment's first keyframe. So a keyframe is as large as what happens now, and
//! the whole state is the last keyframe with the ended processes and the mounts of those before.

mod columns;
mod first;
mod mount_table;
mod table;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use afterimage_format::{BootNanos, ContainerUid};

use self::{
    columns::Reader,
    table::{TableReader, TableWriter},
};
use super::{
    World,
    state::{Map, PROCESS, State},
};
use crate::{
    budget::{Budget, Limits},
    codec::{Input, SnapshotError, Stored},
    mounts::Mount,
    process::{Exec, Origin, Process, ProcessKey},
};

/// The version written, and the oldest that is read.
const VERSION: u64 = 2;
const OLDEST: u64 = 1;
/// A process that has ended can still be told of by its last threads: so long it stays. Nanoseconds.
const LINGER: u64 = 1_000_000_000;

impl World {
    /// The state of one container as a keyframe, and how many of its bytes the next one repeats. Empty where the container
    /// is not known. With `all_mounts` also of those that keyframes before it have.
    pub fn keyframe(&self, uid: ContainerUid, all_mounts: bool) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let Some(state) = self.containers.get(&uid) else { return (out, 0) };
        let needed = state.needed();
        let (mut live, mut ended): (Vec<&Process>, Vec<&Process>) =
            state.processes.values().partition(|process| needed.contains(&process.key));
        live.sort_unstable_by_key(|process| process.key);
        let place: HashMap<ProcessKey, usize> =
            state.ended.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        // The newest first, as they are wanted.
        ended.sort_unstable_by_key(|process| std::cmp::Reverse(place.get(&process.key).copied()));
        VERSION.put(&mut out);
        uid.put(&mut out);
        state.shed.put(&mut out);
        let mut part = Vec::new();
        state.put_live(&live, &mut part);
        let mut table = TableWriter::new(&live, true);
        for process in &live {
            table.put_holder(self.holders.get(&process.key.tgid) == Some(&(uid, process.key)));
        }
        table.finish(&mut part);
        part.put(&mut out);
        let repeated = out.len();
        let told = if all_mounts { 0 } else { state.mounts_told };
        part.clear();
        mount_table::put(state.mounts.operations().get(told..).unwrap_or_default(), &mut part);
        (told as u64).put(&mut out);
        part.put(&mut out);
        TableWriter::new(&ended, false).finish(&mut out);
        (out, repeated)
    }

    /// Forgets what the keyframes so far have and the next one need not repeat: to be called when one was kept.
    pub fn shed(&mut self, uid: ContainerUid) {
        self.edit(uid, |state| {
            state.mounts_told = state.mounts.operations().len();
            let needed = state.needed();
            let horizon = state.last.0.saturating_sub(LINGER);
            let processes = &state.processes;
            let is_past = |key: &ProcessKey| {
                let end = processes.get(key).and_then(Process::ended);
                end.is_some_and(|end| end.0 < horizon) && !needed.contains(key)
            };
            let (past, stays) = state.ended.iter().partition(|key| is_past(key));
            state.ended = stays;
            for key in Vec::<ProcessKey>::from(past) {
                state.shed += u64::from(state.remove(key).is_some());
            }
        });
    }
}

impl State {
    /// What is besides the processes and the mounts: descriptors, and what was counted.
    fn put_live(&self, live: &[&Process], out: &mut Vec<u8>) {
        let place = |key: &ProcessKey| live.binary_search_by_key(key, |process| process.key).ok();
        let ended: Vec<u64> = self.ended.iter().filter_map(place).map(|place| place as u64).collect();
        ended.put(out);
        self.tables.put(out);
        self.descriptions.put(out);
        self.next_id.put(out);
        self.overflow.put(out);
        self.events.put(out);
        self.last.put(out);
    }

    /// As it was put, with the processes that are the last that had their ids.
    fn get_live(input: &mut Input<'_>, uid: ContainerUid) -> Result<(Self, Vec<ProcessKey>), SnapshotError> {
        let ended = Vec::<u64>::get(input)?;
        let mut state = Self {
            tables: Stored::get(input)?,
            descriptions: Stored::get(input)?,
            next_id: Stored::get(input)?,
            overflow: Stored::get(input)?,
            events: Stored::get(input)?,
            last: Stored::get(input)?,
            ..Self::default()
        };
        let mut table = TableReader::new(Reader::new(input)?, &blank(uid), |_| None)?;
        let (mut keys, mut holders) = (Vec::new(), Vec::new());
        while table.left() > 0 {
            let mut process = table.next()?;
            table.live(Arc::make_mut(&mut process))?;
            for exec in process.execs.iter().chain(&process.inherited) {
                *state.exec_refs.entry(exec.id).or_default() += 1;
            }
            if table.holder()? {
                holders.push(process.key);
            }
            if state.processes.contains_key(&process.key) {
                return Err(input.invalid());
            }
            keys.push(process.key);
            state.processes.insert_shared(process.key, process);
        }
        while let Some((place, apart, shares)) = table.apart()? {
            let process = keys.get(place).and_then(|key| state.processes.get_mut(key));
            let process = process.ok_or_else(|| input.invalid())?;
            (process.apart, process.shares) = (apart, shares);
        }
        for place in ended {
            let key = usize::try_from(place).ok().and_then(|place| keys.get(place));
            state.ended.push_back(*key.ok_or_else(|| input.invalid())?);
        }
        if !table.is_done() {
            return Err(input.invalid());
        }
        state.check(input)?;
        Ok((state, holders))
    }

    /// The processes that run and all their ancestors.
    fn needed(&self) -> HashSet<ProcessKey> {
        let mut needed = HashSet::new();
        for process in self.processes.values().filter(|process| process.is_running() || process.table != 0) {
            let mut next = Some(process.key);
            while let Some(process) = next.and_then(|key| self.processes.get(&key))
                && needed.insert(process.key)
            {
                next = process.parent;
            }
        }
        needed
    }
}

/// A state that is being put together: from the newest keyframe back to the oldest that is wanted.
#[derive(Debug)]
pub struct Restoring {
    world: World,
    uid: ContainerUid,
    execs: Map<u64, Arc<Exec>>,
    /// Ended processes that earlier keyframes have.
    shed: u64,
    /// Mounts that earlier keyframes have.
    mounts: u64,
    /// The ended processes with their ends, the last that was added last.
    ends: Vec<(Option<BootNanos>, ProcessKey)>,
    is_full: bool,
}

/// A process of a container of which nothing is known.
fn blank(uid: ContainerUid) -> Process {
    let key = ProcessKey { tgid: 0, start: BootNanos(0) };
    Process::new(key, uid, Origin::Seen, BootNanos(0))
}

/// A keyframe's parts.
struct Parts<'a> {
    version: u64,
    uid: ContainerUid,
    shed: u64,
    live: Input<'a>,
    /// Mounts before those that are in it.
    mounts_before: u64,
    /// Those; in the part of what lives in version 1.
    mounts: Option<Input<'a>>,
    ended: Input<'a>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8], base: u64) -> Result<Self, SnapshotError> {
        let mut input = Input::with_base(bytes, base);
        let version = u64::get(&mut input)?;
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(SnapshotError::Version { found: version, supported: VERSION });
        }
        let uid = ContainerUid::get(&mut input)?;
        let shed = u64::get(&mut input)?;
        let live = input.part()?;
        let (mounts_before, mounts) =
            if version == 1 { (0, None) } else { (u64::get(&mut input)?, Some(input.part()?)) };
        let ended = if version == 1 { first::ended(&mut input)? } else { input };
        Ok(Self { version, uid, shed, live, mounts_before, mounts, ended })
    }

    /// The state, and the processes that are the last that had their ids.
    fn state(&mut self) -> Result<(State, Vec<ProcessKey>), SnapshotError> {
        let Some(mounts) = &mut self.mounts else { return first::live(&mut self.live) };
        let mounts = mount_table::get(mounts)?;
        let (mut state, holders) = State::get_live(&mut self.live, self.uid)?;
        state.mounts = mounts.into();
        state.budget = Budget::with_used(state.cost());
        Ok((state, holders))
    }

    /// So many mounts before the others, as far as they are in it, and how many are before these.
    fn mounts_before(&mut self, others: u64) -> Result<Option<(u64, Vec<Mount>)>, SnapshotError> {
        let before = self.mounts_before;
        let Some(wanted) = others.checked_sub(before).filter(|wanted| *wanted > 0) else { return Ok(None) };
        let mut mounts = match &mut self.mounts {
            Some(mounts) => mount_table::get(mounts)?,
            None => first::live(&mut self.live)?.0.mounts.operations().to_vec(),
        };
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if mounts.len() < wanted {
            return Ok(None);
        }
        mounts.truncate(wanted);
        Ok(Some((before, mounts)))
    }
}

impl Restoring {
    /// Begins with the newest keyframe. `base` is added to its times.
    ///
    /// # Errors
    /// [`SnapshotError`]: the bytes are no keyframe of a version this program reads.
    pub fn begin(limits: Limits, bytes: &[u8], base: u64) -> Result<Self, SnapshotError> {
        let mut parts = Parts::read(bytes, base)?;
        let (state, holders) = parts.state()?;
        let all = state.processes.values().flat_map(|p| p.execs.iter().chain(&p.inherited));
        let execs = all.map(|exec| (exec.id, Arc::clone(exec))).collect();
        let mut world = World::with_limits(limits);
        world.used = state.budget.used();
        let end = |key: &ProcessKey| (state.processes.get(key).and_then(Process::ended), *key);
        let ends = state.ended.iter().rev().map(end).collect();
        world.containers.insert(parts.uid, state);
        world.holders.extend(holders.into_iter().map(|key| (key.tgid, (parts.uid, key))));
        world.number_all(parts.uid);
        let mut this = Self {
            world,
            uid: parts.uid,
            execs,
            shed: parts.shed,
            mounts: parts.mounts_before,
            ends,
            is_full: false,
        };
        let fits = limits.container_bytes / PROCESS as u64;
        let expected = usize::try_from(this.shed.min(fits)).unwrap_or_default();
        this.ends.reserve(expected);
        this.execs.reserve(expected);
        this.world.holders.reserve(expected);
        this.world.edit(this.uid, |state| state.reserve(expected));
        this.add_ended(&mut parts)?;
        Ok(this)
    }

    /// Whether an earlier keyframe has anything that is wanted.
    pub fn wants_earlier(&self) -> bool {
        self.mounts > 0 || (self.shed > 0 && !self.is_full)
    }

    /// Adds the processes that ended before an earlier keyframe, the newest of those not yet given, and its mounts.
    ///
    /// # Errors
    /// [`SnapshotError`]; what was added before stays.
    pub fn earlier(&mut self, bytes: &[u8], base: u64) -> Result<(), SnapshotError> {
        let mut parts = self.mounts_of(bytes, base)?;
        if self.is_full {
            return Ok(());
        }
        self.shed = parts.shed;
        self.add_ended(&mut parts)
    }

    /// Adds nothing but the mounts of an earlier keyframe.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(super) fn earlier_mounts(&mut self, bytes: &[u8], base: u64) -> Result<(), SnapshotError> {
        self.mounts_of(bytes, base).map(drop)
    }

    fn mounts_of<'a>(&mut self, bytes: &'a [u8], base: u64) -> Result<Parts<'a>, SnapshotError> {
        let mut parts = Parts::read(bytes, base)?;
        if parts.uid != self.uid {
            return Err(parts.live.invalid());
        }
        if let Some((before, mounts)) = parts.mounts_before(self.mounts)? {
            self.mounts = before;
            self.world.edit(self.uid, |state| state.put_mounts_before(mounts));
        }
        Ok(parts)
    }

    /// Whether mounts are missing.
    pub(super) fn lacks_mounts(&self) -> bool {
        self.mounts > 0
    }

    /// The state as who wrote the newest keyframe had it then: what is in keyframes is not in it any more.
    pub(super) fn finish_as_kept(self) -> World {
        let (uid, shed) = (self.uid, self.shed);
        let mut world = self.finish();
        world.edit(uid, |state| state.shed = shed);
        world.shed(uid);
        world
    }

    /// The state.
    pub fn finish(mut self) -> World {
        let left = if self.is_full { self.shed } else { 0 };
        let mounts = self.mounts;
        // In the order of their ends, whatever the keyframes say: the first are forgotten first.
        let mut ends = self.ends;
        ends.reverse();
        ends.sort_by_key(|(end, _)| *end);
        self.world.edit(self.uid, |state| {
            state.overflow.forgotten = state.overflow.forgotten.saturating_add(left);
            // An extract may begin behind the keyframe that told of these.
            state.overflow.others = state.overflow.others.saturating_add(mounts);
            // Some are gone where mounts took their room.
            let is_whole = ends.len() == state.ended.len();
            let there = ends.iter().map(|(_, key)| *key);
            state.ended = there.filter(|key| is_whole || state.processes.contains_key(key)).collect();
        });
        self.world
    }

    fn add_ended(&mut self, parts: &mut Parts<'_>) -> Result<(), SnapshotError> {
        if parts.version == 1 {
            for process in first::processes(&mut parts.ended, &self.execs)?.into_iter().rev() {
                self.add_one(Arc::new(process), &parts.ended)?;
            }
            return Ok(());
        }
        let execs = std::mem::take(&mut self.execs);
        let find = |id: u64| execs.get(&id).map(Arc::clone);
        let table = TableReader::new(Reader::new(&mut parts.ended)?, &blank(self.uid), find);
        self.execs = execs;
        let mut table = table?;
        while !self.is_full && table.left() > 0 {
            let process = table.next()?;
            self.add_one(process, &parts.ended)?;
        }
        self.shed = self.shed.saturating_add(table.left() as u64);
        if self.is_full || table.is_done() { Ok(()) } else { Err(parts.ended.invalid()) }
    }

    fn add_one(&mut self, process: Arc<Process>, input: &Input<'_>) -> Result<(), SnapshotError> {
        let is_bare = process.table == 0
            && !process.is_apart()
            && process.threads.is_empty()
            && process.environment.is_none();
        if !is_bare || process.is_running() || process.container != self.uid {
            return Err(input.invalid());
        }
        if self.is_full {
            self.shed = self.shed.saturating_add(1);
        } else {
            for exec in process.execs.iter().chain(&process.inherited) {
                self.execs.entry(exec.id).or_insert_with(|| Arc::clone(exec));
            }
            self.add(process);
        }
        Ok(())
    }

    /// Adds a process that ended before all that are there, when there is room.
    fn add(&mut self, process: Arc<Process>) {
        let (key, end) = (process.key, process.ended());
        let added = self.world.edit(self.uid, |state| {
            let before = state.ended.len();
            let is_there = state.put_before(process);
            is_there.then_some(state.ended.len() > before)
        });
        match added.flatten() {
            Some(is_new) => {
                if is_new {
                    self.ends.push((end, key));
                }
                self.world.holders.entry(key.tgid).or_insert((self.uid, key));
                self.world.number(self.uid, key);
            }
            _ => {
                self.is_full = true;
                self.shed = self.shed.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
