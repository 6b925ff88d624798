//! Where processes are: which directories are, or were, somebody's working directory or root, or lie above one.
//!
//! A renamed directory takes along who is in it. Most of what is renamed is a file, and nobody's place: that is known without looking at
//! all processes.

use std::{collections::HashSet, hash::BuildHasher as _};

use super::state::State;
use crate::{
    paths::is_below,
    process::{Process, ProcessKey},
    renames::renamed,
};

/// Directories that are told apart. Where there are more, every rename looks at all processes.
const MOST: usize = 65_536;

/// Hashes of these directories: nothing is told from them but that a directory is none of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    known: HashSet<u64, foldhash::fast::RandomState>,
    hasher: foldhash::fast::FixedState,
    /// Nothing was renamed yet: it is not worth to know them.
    is_known: bool,
    is_full: bool,
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
        if !self.is_known || self.is_full || !self.known.insert(self.hasher.hash_one(path)) {
            return;
        }
        let above = path.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/');
        let above: Vec<u64> =
            above.filter_map(|(at, _)| Some(self.hasher.hash_one(path.get(..at)?))).collect();
        self.known.extend(above);
        if self.known.len() > MOST {
            (self.known, self.is_full) = (HashSet::default(), true);
        }
    }

    fn may_have(&self, path: &[u8]) -> bool {
        self.is_full || self.known.contains(&self.hasher.hash_one(path))
    }
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

/// Sees to it that the places are known: from the first rename on.
pub(super) fn learn(state: &mut State) {
    if state.places.is_known {
        return;
    }
    let mut known = Places { is_known: true, ..Places::default() };
    for (_, cwd, root) in state.processes.values().flat_map(places) {
        cwd.into_iter().chain(root).for_each(|path| known.add(path));
    }
    state.places = known;
}

/// Who is in a directory that was given another name; with `swaps` the other one has its name now.
pub(super) fn moved(state: &State, (from, to): (&[u8], &[u8]), swaps: bool) -> Vec<Moved> {
    let is_place = |path: &[u8]| path.len() > 1 && state.places.may_have(path);
    if from == to || !(is_place(from) || swaps && is_place(to)) {
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
