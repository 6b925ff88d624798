//! Containers that have ended are forgotten when the state of all does not fit: no event of theirs is to come.

use afterimage_format::{BootNanos, ContainerUid, Recording};
use afterimage_model::World;

use crate::Tracker;

/// Containers of a recording that are not forgotten yet.
#[derive(Debug)]
pub struct Ended {
    /// Last event and container, the first to end last.
    ends: Vec<(BootNanos, ContainerUid)>,
    /// Something of one that was forgotten had not been kept.
    lacked: bool,
}

impl Ended {
    /// All of a recording that is read in order of time.
    pub fn new(recording: &Recording) -> Self {
        let all = recording.containers().iter();
        let others = all.filter(|summary| summary.record.uid != ContainerUid::HOST);
        let mut ends: Vec<_> =
            others.filter_map(|summary| Some((summary.range?.1, summary.record.uid))).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        Self { ends, lacked: false }
    }

    /// Makes room before an event at `now`, where there is little.
    pub fn make_room(&mut self, tracker: &mut Tracker, now: BootNanos) {
        while !tracker.world().has_room() {
            let Some((_, uid)) = self.ends.pop_if(|(end, _)| *end < now) else { return };
            self.lacked |= lacks(tracker.world(), uid);
            tracker.forget(uid);
        }
    }

    /// Whether something was not known for lack of room, so that what asks for it may have been missed.
    pub fn lacked(&self, world: &World) -> bool {
        self.lacked || world.lacks_room()
    }
}

fn lacks(world: &World, uid: ContainerUid) -> bool {
    world.overflow(uid).any()
}

#[cfg(test)]
mod tests;
