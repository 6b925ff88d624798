//! Where threads act, for whoever passes events over: an event that only counts tells nothing of a thread that is where the
//! last one found it.

use afterimage_format::{ContainerUid, TaskKey};

use super::{World, is_of};

/// So many of the last changes are remembered: one event makes few.
const REMEMBERED: usize = 32;

/// How often a process came, went, ended or moved, and which id it had at the last times. No part of the state: equal states
/// have come about differently.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes {
    count: u64,
    /// The id of each change, by its number.
    last: [u32; REMEMBERED],
    /// The changes before this one were of several processes, or are remembered no longer.
    from: u64,
}

impl PartialEq for Homes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Homes {
    /// A process with this id came, went, ended or moved.
    pub(super) fn change(&mut self, tgid: u32) {
        if let Some(last) = self.last.get_mut(self.count as usize % REMEMBERED) {
            *last = tgid;
        }
        self.count += 1;
        self.from = self.from.max(self.count.saturating_sub(REMEMBERED as u64));
    }

    /// Any process may have.
    pub(super) fn change_all(&mut self) {
        self.count += 1;
        self.from = self.count;
    }
}

impl World {
    /// As long as it stays the same, so does what [`Self::is_at_home`] says of all threads.
    pub fn homes(&self) -> u64 {
        self.homes.count
    }

    /// The ids of the processes that what [`Self::is_at_home`] says can have changed for since [`Self::homes`] was `since`;
    /// `None` where that is not known: it can be all.
    pub fn homes_since(&self, since: u64) -> Option<impl Iterator<Item = u32>> {
        let Homes { count, last, from } = &self.homes;
        let of = |number: u64| last.get(number as usize % REMEMBERED).copied();
        (since >= *from).then(|| (since..*count).filter_map(of))
    }

    /// Whether a thread belongs to a process that is known, in this container: an event of it that changes nothing else
    /// ([`super::changes_state`]) tells nothing new of who is where.
    pub fn is_at_home(&self, uid: ContainerUid, task: TaskKey) -> bool {
        let Some((home, key)) = self.holders.get(&task.tgid) else { return false };
        let holder = || self.containers.get(home).and_then(|state| state.processes.get(key));
        *home == uid && holder().is_some_and(|process| is_of(process, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, exec, exit, fork};

    const BOX: ContainerUid = ContainerUid(7);

    #[test]
    fn who_came_or_went_is_told_as_long_as_it_is_remembered() {
        let mut world = World::new();
        let mut apply = |event: afterimage_format::OwnedEvent| {
            let before = world.homes();
            event.with(|event| world.apply(BOX, event));
            world.homes_since(before).map(|ids| ids.collect::<std::collections::BTreeSet<u32>>())
        };
        assert_eq!(apply(exec(1, 1, "/bin/sh", &["sh"])), Some([1].into()));
        assert_eq!(apply(fork(2, 1, 2)), Some([2].into()));
        assert_eq!(apply(call(3, 2, "getpid", &[], 2)), Some([].into()));
        assert_eq!(apply(exit(4, 2, 0)), Some([2].into()));
        let before = world.homes();
        (0..REMEMBERED as u32).for_each(|at| fork(5, 1, 100 + at).with(|event| world.apply(BOX, event)));
        assert!(world.homes_since(before).is_none(), "each changed more than once");
        let before = world.homes();
        world.forget(BOX);
        assert!(world.homes_since(before).is_none(), "all of a container");
        let now = world.homes();
        assert_eq!(world.homes_since(now).map(Iterator::count), Some(0));
    }
}
