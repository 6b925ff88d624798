//! The processes of a container. Copies of a state share those that did not change since: keeping a state for every so many
//! events costs the changes, not the whole.

use std::sync::Arc;

use super::state::Map;

use crate::{
    codec::{Input, SnapshotError, Stored},
    process::{Process, ProcessKey},
};

/// Processes by their identity.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Processes(Map<ProcessKey, Arc<Process>>);

impl Processes {
    pub(crate) fn get(&self, key: &ProcessKey) -> Option<&Process> {
        self.0.get(key).map(Arc::as_ref)
    }

    /// To change it; a process that another state shares is copied.
    pub(crate) fn get_mut(&mut self, key: &ProcessKey) -> Option<&mut Process> {
        self.0.get_mut(key).map(Arc::make_mut)
    }

    /// One as it is now, also while the others change.
    pub(crate) fn share(&self, key: &ProcessKey) -> Option<Arc<Process>> {
        self.0.get(key).cloned()
    }

    pub(crate) fn contains_key(&self, key: &ProcessKey) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: ProcessKey, process: Process) {
        self.0.insert(key, Arc::new(process));
    }

    pub(crate) fn insert_shared(&mut self, key: ProcessKey, process: Arc<Process>) {
        self.0.insert(key, process);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    pub(crate) fn remove(&mut self, key: &ProcessKey) -> Option<Process> {
        self.0.remove(key).map(Arc::unwrap_or_clone)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ProcessKey> {
        self.0.keys()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Process> {
        self.0.values().map(Arc::as_ref)
    }

    /// As they are, to be kept by whoever looks.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.0.values()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Process)> {
        self.0.iter().map(|(key, process)| (key, process.as_ref()))
    }
}

impl Stored for Processes {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        Stored::get(input).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{BootNanos, ContainerUid};

    use super::*;
    use crate::process::Origin;

    #[test]
    fn copies_share_what_did_not_change_and_nothing_else() {
        let process = |pid: u32| {
            let key = ProcessKey { tgid: pid, start: BootNanos(u64::from(pid)) };
            Process::new(key, ContainerUid(1), Origin::Seen, BootNanos(1))
        };
        let mut now = Processes::default();
        for pid in [1, 2] {
            now.insert(process(pid).key, process(pid));
        }
        let before = now.clone();
        now.get_mut(&process(2).key).unwrap().payload = true;
        let same =
            |pid| std::ptr::eq(now.get(&process(pid).key).unwrap(), before.get(&process(pid).key).unwrap());
        assert!(same(1) && !same(2));
        assert!(!before.get(&process(2).key).unwrap().payload && now != before);
    }
}
