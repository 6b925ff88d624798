//! Where threads act, for whoever passes events over: an event that only counts tells nothing of a thread that is where the
//! last one found it.

use afterimage_format::{ContainerUid, TaskKey};

use super::{World, is_of};

/// How often a process came, went, ended or moved. No part of the state: equal states have come about differently.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes(u64);

impl PartialEq for Homes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Homes {
    pub(super) fn change(&mut self) {
        self.0 += 1;
    }
}

impl World {
    /// As long as it stays the same, so does what [`Self::is_at_home`] says of all threads.
    pub fn homes(&self) -> u64 {
        self.homes.0
    }

    /// Whether a thread belongs to a process that is known, in this container: an event of it that changes nothing else
    /// ([`super::changes_state`]) tells nothing new of who is where.
    pub fn is_at_home(&self, uid: ContainerUid, task: TaskKey) -> bool {
        let Some((home, key)) = self.holders.get(&task.tgid) else { return false };
        let holder = || self.containers.get(home).and_then(|state| state.processes.get(key));
        *home == uid && holder().is_some_and(|process| is_of(process, task))
    }
}
