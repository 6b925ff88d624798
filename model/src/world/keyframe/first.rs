//! Keyframes of version 1, which are still read: processes as a snapshot has them, one after the other.

use std::{collections::HashMap, sync::Arc};

use super::super::state::{Map, State};
use crate::{
    budget::Budget,
    codec::{Input, SnapshotError, Stored},
    process::{Exec, Process, ProcessKey},
};

/// The state without the processes that ended, and the processes that are the last that had their ids.
pub(super) fn live(input: &mut Input<'_>) -> Result<(State, Vec<ProcessKey>), SnapshotError> {
    let mut state = State::get_first(input)?;
    state.check(input)?;
    state.budget = Budget::with_used(state.cost());
    let holders = Vec::<ProcessKey>::get(input)?;
    if !input.is_done() || !holders.iter().all(|key| state.processes.contains_key(key)) {
        return Err(input.invalid());
    }
    Ok((state, holders))
}

/// The part of the processes that ended: the last one.
pub(super) fn ended<'a>(input: &mut Input<'a>) -> Result<Input<'a>, SnapshotError> {
    let part = input.part()?;
    if input.is_done() { Ok(part) } else { Err(input.invalid()) }
}

/// These processes, the oldest first.
pub(super) fn processes(
    input: &mut Input<'_>,
    known: &Map<u64, Arc<Exec>>,
) -> Result<Vec<Process>, SnapshotError> {
    let read = Vec::<Exec>::get(input)?.into_iter().map(|exec| (exec.id, Arc::new(exec)));
    let own: HashMap<u64, Arc<Exec>> = read.collect();
    let all = Vec::<Ended>::get(input)?;
    if !input.is_done() {
        return Err(input.invalid());
    }
    let find =
        |id: u64| known.get(&id).or_else(|| own.get(&id)).map(Arc::clone).ok_or_else(|| input.invalid());
    let with_execs = |ended: Ended| {
        let mut process = ended.process;
        process.execs = ended.execs.into_iter().map(find).collect::<Result<_, SnapshotError>>()?;
        process.inherited = ended.inherited.map(find).transpose()?;
        Ok(process)
    };
    all.into_iter().map(with_execs).collect()
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
