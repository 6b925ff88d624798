//! The states of the containers that are being recorded, kept beside the store so that it gets its keyframes.
//!
//! Each container has a world of its own: a reader that rolls over one container's events comes to the same state. Calls that
//! change nothing but counts are only counted until something else happens.

use std::{collections::HashMap, time::Instant};

use afterimage_format::{
    BootNanos, ContainerUid, Event, ReadError, Recording, StateDue, StoreWriter, WriteError,
};

use crate::{
    World,
    budget::Limits,
    world::{Resumed, Tally, resumed},
};

pub use crate::world::resumable;

/// Memory for one container's state and for all. What is in a keyframe already is not kept.
const CONTAINER: u64 = 8 << 20;
const ALL: u64 = 48 << 20;

/// The states.
#[derive(Debug, Default)]
pub struct Keeper {
    kept: HashMap<ContainerUid, Kept, foldhash::fast::RandomState>,
    used: u64,
}

/// One container: its state, and what was counted since.
#[derive(Debug)]
struct Kept {
    world: World,
    tally: Tally,
}

impl Kept {
    fn new(world: World) -> Self {
        Self { world, tally: Tally::default() }
    }
}

/// Of one container's world.
fn limits() -> Limits {
    Limits { container_bytes: CONTAINER, total_bytes: CONTAINER, ..Limits::default() }
}

impl Keeper {
    /// Gives the store a container's state when it wants one: to be called before each event of it is pushed.
    ///
    /// # Errors
    /// [`WriteError`]: the keyframe was not written; another one is wanted later.
    pub fn before(&mut self, store: &mut StoreWriter, uid: ContainerUid) -> Result<(), WriteError> {
        match store.state_due(uid) {
            StateDue::NotNow => {}
            // Only who has seen all of it knows the state.
            StateDue::Nothing => {
                self.kept.entry(uid).or_insert_with(|| Kept::new(World::with_limits(limits())));
            }
            StateDue::Now { is_first } => {
                let Some(kept) = self.kept.get_mut(&uid) else { return store.push_state(uid, &[], 0) };
                self.used = self.used.saturating_sub(kept.world.used());
                kept.tally.tell(uid, &mut kept.world);
                let (state, repeated) = kept.world.keyframe(uid, is_first);
                let pushed = store.push_state(uid, &state, repeated);
                if pushed.is_ok() {
                    kept.world.shed(uid);
                }
                self.used += kept.world.used();
                return pushed;
            }
        }
        Ok(())
    }

    /// Takes in an event that was pushed.
    pub fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        let Some(Kept { world, tally }) = self.kept.get_mut(&uid) else { return };
        if tally.takes(event) {
            return;
        }
        let before = world.used();
        tally.tell(uid, world);
        if !tally.takes(event) {
            world.apply(uid, event);
        }
        self.used = (self.used + world.used()).saturating_sub(before);
        if self.used > ALL {
            self.forget(uid);
        }
    }

    /// Goes on with a container of an earlier writer, from what that one had recorded before it was killed; `false` where that
    /// does not tell the state, or reading it takes longer than `until`: it gets no more keyframes.
    ///
    /// # Errors
    /// [`ReadError`]: the recording cannot be read.
    pub fn resume(
        &mut self,
        store: &mut StoreWriter,
        recording: &Recording,
        uid: ContainerUid,
        until: Instant,
    ) -> Result<bool, ReadError> {
        let base = store.store_time(BootNanos(0)).0;
        let Some(Resumed { world, latest }) = resumed(recording, uid, base, limits(), until)? else {
            return Ok(false);
        };
        let used = self.used + world.used();
        // Some of it may not be in the store any more: then it has not so many events.
        if used > ALL || !store.state_known(uid, world.events(uid), latest) {
            return Ok(false);
        }
        self.used = used;
        self.kept.insert(uid, Kept::new(world));
        Ok(true)
    }

    /// Forgets a container: it has ended, or there is no room for it. It gets no more keyframes.
    pub fn forget(&mut self, uid: ContainerUid) {
        if let Some(kept) = self.kept.remove(&uid) {
            self.used = self.used.saturating_sub(kept.world.used());
        }
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{OwnedEvent, StoreOptions};

    use super::*;
    use crate::testing::{call, exec, exit, fork};

    const BOX: ContainerUid = ContainerUid(3);

    fn options() -> StoreOptions {
        StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() }
    }

    fn record(store: &mut StoreWriter, keeper: &mut Keeper, uid: ContainerUid, events: &[OwnedEvent]) {
        for event in events {
            event.with(|event| {
                keeper.before(store, uid).unwrap();
                store.push(uid, event).unwrap();
                keeper.apply(uid, event);
            });
        }
        store.commit(events.last().unwrap().time).unwrap();
    }

    /// A shell that runs one program after the other, each of which reads.
    fn shell(programs: u32) -> Vec<OwnedEvent> {
        let mut events = vec![exec(1_000, 1, "/bin/sh", &["sh"])];
        for pid in 10..10 + programs {
            let time = 2_000 + u64::from(pid) * 10_000_000;
            events.push(fork(time, 1, pid));
            events.push(exec(time + 1, pid, "/bin/cat", &["cat", &pid.to_string()]));
            events.extend((0..20).map(|read| call(time + 2 + read, pid, "read", &[0, 0, 16], 16)));
            events.push(exit(time + 30, pid, 0));
        }
        events
    }

    #[test]
    fn a_container_that_another_recorder_began_gets_the_keyframes_it_would_have_got() {
        let dir = tempfile::tempdir().unwrap();
        let origin = |boot| afterimage_format::Origin { boot_id: [boot; 16], ..Default::default() };
        let mut store = StoreWriter::open(dir.path(), origin(1), options()).unwrap();
        record(&mut store, &mut Keeper::default(), BOX, &[exec(5, 1, "/bin/true", &["true"])]);
        store.finish_container(BOX).unwrap();
        store.seal().unwrap();

        // Of the next boot: times are moved. Killed in the midst of it.
        let mut store = StoreWriter::open(dir.path(), origin(2), options()).unwrap();
        assert_ne!(store.store_time(BootNanos(0)), BootNanos(0));
        let events = shell(4_000);
        const KILLED: usize = 60_000;
        let own = ContainerUid(store.next_uid().0);
        assert_eq!(own, ContainerUid(4));
        let mut keeper = Keeper::default();
        record(&mut store, &mut keeper, own, &events[..KILLED]);
        drop(store);

        let mut store = StoreWriter::open(dir.path(), origin(2), options()).unwrap();
        let recording = Recording::open(dir.path()).unwrap();
        let before = recording.keyframes_of(own).len();
        assert!(before > 0);
        let mut next = Keeper::default();
        assert!(!next.resume(&mut store, &recording, own, Instant::now()).unwrap(), "there is no time");
        let later = Instant::now() + std::time::Duration::from_secs(600);
        assert!(next.resume(&mut store, &recording, own, later).unwrap());
        let kept = next.kept.get_mut(&own).unwrap();
        let ended = keeper.kept.get_mut(&own).unwrap();
        ended.tally.tell(own, &mut ended.world);
        assert_eq!(kept.world.keyframe(own, true), ended.world.keyframe(own, true));
        assert!(
            !next.resume(&mut store, &recording, ContainerUid(99), later).unwrap(),
            "nothing is known of it"
        );
        record(&mut store, &mut next, own, &events[KILLED..]);
        store.seal().unwrap();

        // What the keyframes tell behind that is what the events tell.
        let recording = Recording::open(dir.path()).unwrap();
        let keyframes = recording.keyframes_of(own);
        assert!(keyframes.len() > before + 1 && keyframes[before].row == KILLED as u64, "{keyframes:?}");
        let behind = BootNanos(u64::MAX);
        let (newest, world) =
            crate::nearest(&recording, own, behind, Limits::default()).unwrap().expect("a state");
        let mut full = World::new();
        let query = afterimage_format::Query { containers: vec![own], ..Default::default() };
        let forward = afterimage_format::Direction::Forward;
        let mut rows = 0;
        let all = &mut |_, uid, event: &Event<'_>| {
            if rows < newest.row {
                full.apply(uid, event);
                rows += 1;
            }
            std::ops::ControlFlow::Continue(())
        };
        recording.walk(&query, None, forward, all).unwrap();
        assert_eq!(world, full);
    }
}
