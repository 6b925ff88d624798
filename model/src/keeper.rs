//! The states of the containers that are being recorded, kept beside the store so that it gets its keyframes.
//!
//! Each container has a world of its own: a reader that rolls over one container's events comes to the same state. Calls that
//! change nothing but counts are only counted until something else happens.

use std::collections::HashMap;

use afterimage_format::{ContainerUid, Event, StateDue, StoreWriter, WriteError};

use crate::{World, budget::Limits, world::Tally};

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
    fn new() -> Self {
        let limits = Limits { container_bytes: CONTAINER, total_bytes: CONTAINER, ..Limits::default() };
        Self { world: World::with_limits(limits), tally: Tally::default() }
    }
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
                self.kept.entry(uid).or_insert_with(Kept::new);
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

    /// Forgets a container: it has ended, or there is no room for it. It gets no more keyframes.
    pub fn forget(&mut self, uid: ContainerUid) {
        if let Some(kept) = self.kept.remove(&uid) {
            self.used = self.used.saturating_sub(kept.world.used());
        }
    }
}
