//! One container's state as bytes, so that any moment is the last snapshot before it and the events since.

use std::{collections::HashMap, sync::Arc};

use afterimage_format::ContainerUid;

use super::{
    World,
    places::Places,
    state::{Map, State},
};
use crate::{
    budget::Budget,
    codec::{Input, SnapshotError, Stored},
    process::{Exec, Process, ProcessKey},
};

/// The version written and read.
const VERSION: u64 = 2;

impl World {
    /// The state of one container, at the moment of the last event applied. Empty where the container is not known.
    pub fn save(&self, uid: ContainerUid) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(state) = self.containers.get(&uid) {
            VERSION.put(&mut out);
            uid.put(&mut out);
            state.put(&mut out);
            let mut holders: Vec<_> =
                self.holders.values().filter(|(home, _)| *home == uid).map(|(_, key)| *key).collect();
            holders.sort_unstable();
            holders.put(&mut out);
        }
        out
    }

    /// A world that knows what one container's snapshot says.
    ///
    /// # Errors
    /// [`SnapshotError`]: the bytes are no snapshot of a version this program reads.
    pub fn load(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut world = Self::new();
        world.restore(bytes)?;
        Ok(world)
    }

    /// Replaces what is known of a snapshot's container by what the snapshot says.
    ///
    /// # Errors
    /// [`SnapshotError`]; the world is then as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut input = Input::new(bytes);
        let found = u64::get(&mut input)?;
        if found != VERSION {
            return Err(SnapshotError::Version { found, supported: VERSION });
        }
        let uid = ContainerUid::get(&mut input)?;
        let state = State::get(&mut input)?;
        let holders = Vec::<ProcessKey>::get(&mut input)?;
        if !input.is_done() || !holders.iter().all(|key| state.processes.contains_key(key)) {
            return Err(input.invalid());
        }
        self.forget(uid);
        self.used = self.used.saturating_add(state.budget.used());
        self.containers.insert(uid, state);
        for key in holders {
            self.holders.insert(key.tgid, (uid, key));
        }
        self.number_all(uid);
        Ok(())
    }
}

impl Stored for State {
    fn put(&self, out: &mut Vec<u8>) {
        self.put_part(&self.sorted(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let mut state = Self::get_first(input)?;
        state.get_apart(input)?;
        state.check(input)?;
        state.budget = Budget::with_used(state.cost());
        Ok(state)
    }
}

impl State {
    /// As version 1 has it, unchecked.
    pub(super) fn get_first(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let mut state = Self {
            processes: Stored::get(input)?,
            ended: Stored::get(input)?,
            tables: Stored::get(input)?,
            descriptions: Stored::get(input)?,
            exec_refs: Map::default(),
            next_id: Stored::get(input)?,
            places: Places::default(),
            mounts: Stored::get(input)?,
            overflow: Stored::get(input)?,
            events: Stored::get(input)?,
            last: Stored::get(input)?,
            shed: 0,
            mounts_told: 0,
            budget: Budget::default(),
            removed: Vec::new(),
            pinned: None,
        };
        let execs: HashMap<u64, Arc<Exec>> =
            Vec::<Exec>::get(input)?.into_iter().map(|exec| (exec.id, Arc::new(exec))).collect();
        let mut keys: Vec<_> = state.processes.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let own = Vec::<u64>::get(input)?;
            let inherited = Option::<u64>::get(input)?;
            let mut find = |id: u64| {
                let found = execs.get(&id).map(Arc::clone);
                if found.is_some() {
                    *state.exec_refs.entry(id).or_default() += 1;
                }
                found.ok_or_else(|| input.invalid())
            };
            let own = own.into_iter().map(&mut find).collect::<Result<Vec<_>, _>>()?;
            let inherited = inherited.map(&mut find).transpose()?;
            if let Some(process) = state.processes.get_mut(&key) {
                process.execs = own;
                process.inherited = inherited;
            }
        }
        Ok(state)
    }

    /// What threads have for themselves, which processes share directories, and ids in pid namespaces.
    fn get_apart(&mut self, input: &mut Input<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count()? {
            let key = ProcessKey::get(input)?;
            let process = self.processes.get_mut(&key).ok_or_else(|| input.invalid())?;
            (process.apart, process.shares) = (Stored::get(input)?, Stored::get(input)?);
        }
        for _ in 0..input.count()? {
            let key = ProcessKey::get(input)?;
            let process = self.processes.get_mut(&key).ok_or_else(|| input.invalid())?;
            process.set_inside(Stored::get(input)?);
        }
        Ok(())
    }
}

/// What these processes executed, each execution once.
pub(super) fn put_execs(processes: &[&Process], out: &mut Vec<u8>) {
    let all = processes.iter().flat_map(|p| p.execs.iter().chain(&p.inherited));
    let mut execs: Vec<&Exec> = all.map(Arc::as_ref).collect();
    execs.sort_unstable_by_key(|e| e.id);
    execs.dedup_by_key(|e| e.id);
    (execs.len() as u64).put(out);
    for exec in execs {
        exec.put(out);
    }
}

/// Which of them are a process's.
pub(super) fn put_exec_ids(process: &Process, out: &mut Vec<u8>) {
    process.execs.iter().map(|e| e.id).collect::<Vec<_>>().put(out);
    process.inherited.as_ref().map(|e| e.id).put(out);
}

impl State {
    fn sorted(&self) -> Vec<&Process> {
        let mut out: Vec<_> = self.processes.values().collect();
        out.sort_unstable_by_key(|p| p.key);
        out
    }

    /// The state with these processes only, in order of their identity; the others have ended.
    pub(super) fn put_part(&self, processes: &[&Process], out: &mut Vec<u8>) {
        (processes.len() as u64).put(out);
        for process in processes {
            process.key.put(out);
            process.put(out);
        }
        let is_there = |key: &&ProcessKey| processes.binary_search_by_key(*key, |p| p.key).is_ok();
        self.ended.iter().filter(is_there).copied().collect::<Vec<_>>().put(out);
        self.tables.put(out);
        self.descriptions.put(out);
        self.next_id.put(out);
        self.mounts.put(out);
        self.overflow.put(out);
        self.events.put(out);
        self.last.put(out);
        put_execs(processes, out);
        for process in processes {
            put_exec_ids(process, out);
        }
        let apart: Vec<&&Process> = processes.iter().filter(|process| process.is_apart()).collect();
        (apart.len() as u64).put(out);
        for process in apart {
            process.key.put(out);
            process.apart.put(out);
            process.shares.put(out);
        }
        let inside: Vec<_> =
            processes.iter().filter_map(|process| Some((process.key, process.inside()?))).collect();
        (inside.len() as u64).put(out);
        for (key, inside) in inside {
            key.put(out);
            inside.put(out);
        }
    }

    /// Counts of references that a snapshot claims must be true: wrong ones would leak or free too early.
    pub(super) fn check(&self, input: &Input<'_>) -> Result<(), SnapshotError> {
        let mut tables: HashMap<u64, u32> = HashMap::new();
        for (key, process) in self.processes.iter() {
            if process.key != *key {
                return Err(input.invalid());
            }
            if process.table != 0 {
                *tables.entry(process.table).or_default() += 1;
            }
            for table in process.apart.values().filter_map(|apart| apart.table) {
                *tables.entry(table).or_default() += 1;
            }
        }
        let mut descriptions: HashMap<u64, u32> = HashMap::new();
        for (id, table) in &self.tables {
            if tables.get(id) != Some(&table.refs) {
                return Err(input.invalid());
            }
            for slot in table.slots.values() {
                *descriptions.entry(slot.description).or_default() += 1;
            }
        }
        let right = self.tables.len() == tables.len()
            && self.descriptions.len() == descriptions.len()
            && self.descriptions.iter().all(|(id, info)| descriptions.get(id) == Some(&info.refs))
            && self.ended.iter().all(|key| self.processes.contains_key(key));
        if right { Ok(()) } else { Err(input.invalid()) }
    }
}
