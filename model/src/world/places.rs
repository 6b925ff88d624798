//! Where processes are: which directories are, or were, somebody's working directory or root, or lie above one.
//!
//! A renamed directory takes along who is in it. Most of what is renamed is a file, and nobody's place: that is known without looking at
//! all processes. Looks at all of them are rationed by the events that there were, because whoever is recorded decides how often they
//! are needed, and a recorder follows the state of everybody.

use std::{collections::HashSet, hash::BuildHasher as _};

use super::state::State;
use crate::{
    paths::is_below,
    process::{Process, ProcessKey},
    renames::renamed,
};

/// After so many more the places are learned anew: most that were added are nobody's any more.
const MORE: usize = 8192;
/// Processes that may be looked at, from the beginning and for each event.
const LOOKS: u64 = 1_000_000;
const LOOKS_EACH: u64 = 64;

/// Hashes of these directories: nothing is told from them but that a directory is none of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// From the first rename on: before it is not worth to know them.
    known: Option<HashSet<u64, foldhash::fast::RandomState>>,
    /// How many may be known.
    room: usize,
    hasher: foldhash::fast::FixedState,
    /// Processes that were looked at.
    looks: u64,
}

/// Made of the processes, and as much as these are the same.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// Somebody is there from now on.
    pub(super) fn add(&mut self, path: &[u8]) {
        let Self { known: Some(known), room, hasher, .. } = self else { return };
        if !insert(known, hasher, path) {
            return;
        }
        if known.len() > *room {
            self.known = None;
        }
    }

    fn may_have(&self, path: &[u8]) -> bool {
        self.known.as_ref().is_none_or(|known| known.contains(&self.hasher.hash_one(path)))
    }
}

/// Adds a directory and all above it; `false` where it is there.
fn insert(
    known: &mut HashSet<u64, foldhash::fast::RandomState>,
    hasher: &foldhash::fast::FixedState,
    path: &[u8],
) -> bool {
    if !known.insert(hasher.hash_one(path)) {
        return false;
    }
    let above = path.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/');
    known.extend(above.filter_map(|(at, _)| Some(hasher.hash_one(path.get(..at)?))));
    true
}

/// What stands for the threads that have no working directory and root of their own.
pub(super) const OTHERS: u32 = 0;

/// The working directories and roots of a process, each with a thread that has it.
fn places(process: &Process) -> impl Iterator<Item = (u32, Option<&[u8]>, Option<&[u8]>)> {
    let apart = process.apart.iter().filter_map(|(tid, apart)| {
        let own = apart.directories.as_ref()?;
        Some((*tid, own.cwd.as_deref(), own.root.as_deref()))
    });
    std::iter::once((OTHERS, process.cwd.as_deref(), process.root.as_deref())).chain(apart)
}

/// Who is in a directory that has another name, and its working directory and root where these have.
pub(super) struct Moved {
    pub(super) key: ProcessKey,
    /// A thread that has these, [`OTHERS`] for those that have none of their own.
    pub(super) tid: u32,
    pub(super) cwd: Option<Vec<u8>>,
    pub(super) root: Option<Vec<u8>>,
}

/// Takes a look at all processes, where it may be taken; where it may not, something is not known.
fn look(state: &mut State) -> bool {
    let places = &mut state.places;
    let looks = places.looks + state.processes.len() as u64;
    let may = looks <= LOOKS + LOOKS_EACH.saturating_mul(state.events);
    if may {
        places.looks = looks;
    } else {
        state.overflow.others += 1;
    }
    may
}

/// Sees to it that the places are known; `false` where they are not.
fn learn(state: &mut State) -> bool {
    if state.places.known.is_some() {
        return true;
    }
    if !look(state) {
        return false;
    }
    let mut known = HashSet::default();
    let running = state.processes.values().filter(|process| process.is_running());
    for (_, cwd, root) in running.flat_map(places) {
        for path in cwd.into_iter().chain(root) {
            insert(&mut known, &state.places.hasher, path);
        }
    }
    state.places.room = known.len() + MORE;
    state.places.known = Some(known);
    true
}

/// Who is in a directory that was given another name; with `swaps` the other one has its name now.
pub(super) fn moved(state: &mut State, (from, to): (&[u8], &[u8]), swaps: bool) -> Vec<Moved> {
    if from == to || !learn(state) {
        return Vec::new();
    }
    let is_place = |path: &[u8]| path.len() > 1 && state.places.may_have(path);
    if !(is_place(from) || swaps && is_place(to)) || !look(state) {
        return Vec::new();
    }
    let new = |path: &[u8]| {
        if is_below(path, from) {
            renamed(path, from, to)
        } else if swaps && is_below(path, to) {
            renamed(path, to, from)
        } else {
            None
        }
    };
    let running = state.processes.values().filter(|process| process.is_running());
    let all = running.flat_map(|process| places(process).map(move |place| (process.key, place)));
    let moved = all.map(|(key, (tid, cwd, root))| Moved {
        key,
        tid,
        cwd: cwd.and_then(new),
        root: root.and_then(new),
    });
    moved.filter(|new| new.cwd.is_some() || new.root.is_some()).collect()
}
