//! A container's processes in the order of a tree.

use std::sync::Arc;

use afterimage_format::ContainerUid;

use super::{World, state::Map};
use crate::process::{Process, ProcessKey};

/// A row of a process tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreeRow<'a> {
    /// The process, as it was at this moment whatever becomes of the state.
    pub process: &'a Arc<Process>,
    /// How deep it stands: 0 for a root.
    pub depth: usize,
    /// How many processes started by it follow below it, directly.
    pub children: usize,
}

impl World {
    /// The processes of a container, each followed by those it started, in order of their beginning. Processes
    /// whose parent is not of the container, or not known, are roots: the first process, those that entered later
    /// (`exec` sessions), and those whose beginning was missed. Processes that only set the container up are left
    /// out.
    pub fn tree(&self, uid: ContainerUid) -> Vec<TreeRow<'_>> {
        rows(self.shared(uid).filter(|process| process.payload).collect())
    }

    /// As [`Self::tree`], with the processes that only set the container up.
    pub fn tree_with_setup(&self, uid: ContainerUid) -> Vec<TreeRow<'_>> {
        rows(self.shared(uid).collect())
    }

    fn shared(&self, uid: ContainerUid) -> impl Iterator<Item = &Arc<Process>> {
        self.containers.get(&uid).into_iter().flat_map(|state| state.processes.shared())
    }
}

/// Where a process stands among all, by their positions in order of their beginning.
struct Kin<'a> {
    all: Vec<&'a Arc<Process>>,
    /// The first of those that each started.
    first: Vec<Option<usize>>,
    /// The next that the same one started.
    next: Vec<Option<usize>>,
    roots: Vec<usize>,
}

impl<'a> Kin<'a> {
    fn of(mut all: Vec<&'a Arc<Process>>) -> Self {
        all.sort_by_cached_key(|process| (process.began(), process.key));
        let place: Map<ProcessKey, usize> = all.iter().enumerate().map(|(at, p)| (p.key, at)).collect();
        let (mut first, mut next, mut roots) = (vec![None; all.len()], vec![None; all.len()], Vec::new());
        // From the last to the first, each before those that began later.
        for (at, process) in all.iter().enumerate().rev() {
            match process.parent.and_then(|parent| place.get(&parent)).filter(|parent| **parent != at) {
                Some(parent) => next[at] = first[*parent].replace(at),
                None => roots.push(at),
            }
        }
        roots.reverse();
        Self { all, first, next, roots }
    }

    /// Those that one started, in order.
    fn below(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first[at], |at| self.next[*at])
    }

    /// Depth first, without recursion: a hostile trace can be as deep as it has processes.
    fn walk(&self, roots: &[usize], placed: &mut [bool], out: &mut Vec<TreeRow<'a>>) {
        let mut stack: Vec<(usize, usize)> = roots.iter().rev().map(|at| (*at, 0)).collect();
        while let Some((at, depth)) = stack.pop() {
            if std::mem::replace(&mut placed[at], true) {
                continue;
            }
            let from = stack.len();
            stack.extend(self.below(at).map(|below| (below, depth + 1)));
            stack[from..].reverse();
            out.push(TreeRow { process: self.all[at], depth, children: stack.len() - from });
        }
    }
}

fn rows(processes: Vec<&Arc<Process>>) -> Vec<TreeRow<'_>> {
    let kin = Kin::of(processes);
    let mut out = Vec::with_capacity(kin.all.len());
    let mut placed = vec![false; kin.all.len()];
    kin.walk(&kin.roots, &mut placed, &mut out);
    // Processes that are each other's parents, in a trace that lies, are reached from no root.
    for at in 0..kin.all.len() {
        if !placed[at] {
            kin.walk(&[at], &mut placed, &mut out);
        }
    }
    out
}
