//! Keyframes: one container's state in parts that follow each other in a recording.
//!
//! A keyframe has what is needed to go on from it: the processes that run with everything that is theirs, and their
//! ancestors. Processes that ended are told once, in the keyframe after their end; those of earlier ones are in these. So
//! a keyframe is as large as what happens now, and the whole state is the last keyframe with the ended processes of
//! those before.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use afterimage_format::ContainerUid;

use super::{
    World,
    snapshot::{put_exec_ids, put_execs},
    state::State,
};
use crate::{
    budget::Limits,
    codec::{Input, SnapshotError, Stored},
    process::{Exec, Process, ProcessKey},
};

/// The version written and read.
const VERSION: u64 = 1;
/// A process that has ended can still be told of by its last threads: so long it stays. Nanoseconds.
const LINGER: u64 = 1_000_000_000;

impl World {
    /// The state of one container as a keyframe, and how many of its bytes the next one repeats. Empty where the container
    /// is not known.
    pub fn keyframe(&self, uid: ContainerUid) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let Some(state) = self.containers.get(&uid) else { return (out, 0) };
        let needed = state.needed();
        let (mut live, mut ended): (Vec<&Process>, Vec<&Process>) =
            state.processes.values().partition(|process| needed.contains(&process.key));
        live.sort_unstable_by_key(|process| process.key);
        let place: HashMap<ProcessKey, usize> =
            state.ended.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        ended.sort_unstable_by_key(|process| place.get(&process.key).copied());
        VERSION.put(&mut out);
        uid.put(&mut out);
        state.shed.put(&mut out);
        let mut part = Vec::new();
        state.put_part(&live, &mut part);
        let holds = |key: &ProcessKey| self.holders.get(&key.tgid) == Some(&(uid, *key));
        let holders: Vec<ProcessKey> = live.iter().map(|process| process.key).filter(holds).collect();
        holders.put(&mut part);
        part.put(&mut out);
        let repeated = out.len();
        part.clear();
        put_execs(&ended, &mut part);
        (ended.len() as u64).put(&mut part);
        for process in ended {
            // Read as an [`Ended`].
            process.put(&mut part);
            put_exec_ids(process, &mut part);
        }
        part.put(&mut out);
        (out, repeated)
    }

    /// Forgets what the keyframes so far have and the next one need not repeat: to be called when one was kept.
    pub fn shed(&mut self, uid: ContainerUid) {
        self.edit(uid, |state| {
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
    execs: HashMap<u64, Arc<Exec>>,
    /// Ended processes that earlier keyframes have.
    shed: u64,
    is_full: bool,
}

/// A keyframe's parts.
struct Parts<'a> {
    uid: ContainerUid,
    shed: u64,
    live: Input<'a>,
    ended: Input<'a>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8], base: u64) -> Result<Self, SnapshotError> {
        let mut input = Input::with_base(bytes, base);
        let found = u64::get(&mut input)?;
        if found != VERSION {
            return Err(SnapshotError::Version { found, supported: VERSION });
        }
        let parts = Self {
            uid: ContainerUid::get(&mut input)?,
            shed: u64::get(&mut input)?,
            live: input.part()?,
            ended: input.part()?,
        };
        if input.is_done() { Ok(parts) } else { Err(input.invalid()) }
    }
}

impl Restoring {
    /// Begins with the newest keyframe. `base` is added to its times.
    ///
    /// # Errors
    /// [`SnapshotError`]: the bytes are no keyframe of a version this program reads.
    pub fn begin(limits: Limits, bytes: &[u8], base: u64) -> Result<Self, SnapshotError> {
        let mut parts = Parts::read(bytes, base)?;
        let state = State::get(&mut parts.live)?;
        let holders = Vec::<ProcessKey>::get(&mut parts.live)?;
        if !parts.live.is_done() || !holders.iter().all(|key| state.processes.contains_key(key)) {
            return Err(parts.live.invalid());
        }
        let all = state.processes.values().flat_map(|p| p.execs.iter().chain(&p.inherited));
        let execs = all.map(|exec| (exec.id, Arc::clone(exec))).collect();
        let mut world = World::with_limits(limits);
        world.used = state.budget.used();
        world.containers.insert(parts.uid, state);
        world.holders.extend(holders.into_iter().map(|key| (key.tgid, (parts.uid, key))));
        let mut this = Self { world, uid: parts.uid, execs, shed: parts.shed, is_full: false };
        this.add_ended(&mut parts.ended)?;
        Ok(this)
    }

    /// Whether an earlier keyframe has anything that is wanted.
    pub fn wants_earlier(&self) -> bool {
        self.shed > 0 && !self.is_full
    }

    /// Adds the processes that ended before an earlier keyframe, the newest of those not yet given.
    ///
    /// # Errors
    /// [`SnapshotError`]; what was added before stays.
    pub fn earlier(&mut self, bytes: &[u8], base: u64) -> Result<(), SnapshotError> {
        let mut parts = Parts::read(bytes, base)?;
        if parts.uid != self.uid {
            return Err(parts.live.invalid());
        }
        self.shed = parts.shed;
        self.add_ended(&mut parts.ended)
    }

    /// The state.
    pub fn finish(mut self) -> World {
        let left = if self.is_full { self.shed } else { 0 };
        self.world.edit(self.uid, |state| {
            state.overflow.forgotten = state.overflow.forgotten.saturating_add(left);
            // In the order of their ends, whatever the keyframes say: the first are forgotten first.
            let mut ended: Vec<ProcessKey> = std::mem::take(&mut state.ended).into();
            let end = |key: &ProcessKey| state.processes.get(key).and_then(Process::ended);
            ended.sort_by_cached_key(end);
            state.ended = ended.into();
        });
        self.world
    }

    fn add_ended(&mut self, input: &mut Input<'_>) -> Result<(), SnapshotError> {
        let read = Vec::<Exec>::get(input)?.into_iter().map(|exec| (exec.id, Arc::new(exec)));
        let own: HashMap<u64, Arc<Exec>> = read.collect();
        let all = Vec::<Ended>::get(input)?;
        if !input.is_done() {
            return Err(input.invalid());
        }
        let invalid = || input.invalid();
        for ended in all.into_iter().rev() {
            let mut find = |id: u64| {
                let known =
                    self.execs.get(&id).or_else(|| own.get(&id)).map(Arc::clone).ok_or_else(invalid)?;
                Ok(Arc::clone(self.execs.entry(id).or_insert(known)))
            };
            let mut process = ended.process;
            process.execs = ended.execs.into_iter().map(&mut find).collect::<Result<_, SnapshotError>>()?;
            process.inherited = ended.inherited.map(&mut find).transpose()?;
            let bare = process.table == 0 && process.threads.is_empty() && process.environment.is_none();
            if !bare || process.is_running() || process.container != self.uid {
                return Err(invalid());
            }
            if self.is_full {
                self.shed = self.shed.saturating_add(1);
            } else {
                self.add(process);
            }
        }
        Ok(())
    }

    /// Adds a process that ended before all that are there, when there is room.
    fn add(&mut self, process: Process) {
        let key = process.key;
        let added = self.world.edit(self.uid, |state| state.put_before(process));
        match added {
            Some(true) => {
                self.world.holders.entry(key.tgid).or_insert((self.uid, key));
            }
            _ => {
                self.is_full = true;
                self.shed = self.shed.saturating_add(1);
            }
        }
    }
}

/// An ended process with the ids of what it executed.
struct Ended {
    process: Process,
    execs: Vec<u64>,
    inherited: Option<u64>,
}

impl Stored for Ended {
    fn put(&self, out: &mut Vec<u8>) {
        self.process.put(out);
        self.execs.put(out);
        self.inherited.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        Ok(Self { process: Stored::get(input)?, execs: Stored::get(input)?, inherited: Stored::get(input)? })
    }
}

#[cfg(test)]
mod tests;
