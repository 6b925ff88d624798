//! A container's processes in the order of a tree.

use std::collections::{HashMap, HashSet};

use afterimage_format::ContainerUid;

use super::World;
use crate::process::{Process, ProcessKey};

/// A row of a process tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreeRow<'a> {
    /// The process.
    pub process: &'a Process,
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
        rows(self.processes(uid).into_iter().filter(|p| p.payload).collect())
    }

    /// As [`Self::tree`], with the processes that only set the container up.
    pub fn tree_with_setup(&self, uid: ContainerUid) -> Vec<TreeRow<'_>> {
        rows(self.processes(uid))
    }
}

fn rows(processes: Vec<&Process>) -> Vec<TreeRow<'_>> {
    let here: HashSet<ProcessKey> = processes.iter().map(|p| p.key).collect();
    let mut children: HashMap<ProcessKey, Vec<&Process>> = HashMap::new();
    let mut roots = Vec::new();
    for process in &processes {
        match process.parent.filter(|p| here.contains(p) && *p != process.key) {
            Some(parent) => children.entry(parent).or_default().push(process),
            None => roots.push(*process),
        }
    }
    let order = |p: &&Process| (p.began(), p.key);
    roots.sort_by_key(order);
    for list in children.values_mut() {
        list.sort_by_key(order);
    }
    let mut out = Vec::with_capacity(processes.len());
    let mut placed = HashSet::new();
    walk(roots, &children, &mut placed, &mut out);
    // Processes that are each other's parents, in a trace that lies, are reached from no root.
    let left: Vec<&Process> = processes.iter().filter(|p| !placed.contains(&p.key)).copied().collect();
    for process in left {
        if !placed.contains(&process.key) {
            walk(vec![process], &children, &mut placed, &mut out);
        }
    }
    out
}

/// Depth first, without recursion: a hostile trace can be as deep as it has processes.
fn walk<'a>(
    roots: Vec<&'a Process>,
    children: &HashMap<ProcessKey, Vec<&'a Process>>,
    placed: &mut HashSet<ProcessKey>,
    out: &mut Vec<TreeRow<'a>>,
) {
    let mut stack: Vec<(&Process, usize)> = roots.into_iter().rev().map(|p| (p, 0)).collect();
    while let Some((process, depth)) = stack.pop() {
        if !placed.insert(process.key) {
            continue;
        }
        let below = children.get(&process.key).map(Vec::as_slice).unwrap_or_default();
        out.push(TreeRow { process, depth, children: below.len() });
        stack.extend(below.iter().rev().map(|p| (*p, depth + 1)));
    }
}
