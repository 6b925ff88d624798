//! The states of the containers that are being recorded, kept beside the store so that it gets its keyframes.
//!
//! Each container has a world of its own: a reader that rolls over one container's events comes to the same state.

use std::collections::HashMap;

use afterimage_format::{ContainerUid, Event, StoreWriter, WriteError};

use crate::{World, budget::Limits};

/// Memory for one container's state and for all. What is in a keyframe already is not kept.
const CONTAINER: u64 = 8 << 20;
const ALL: u64 = 48 << 20;

/// The states.
#[derive(Debug, Default)]
pub struct Keeper {
    worlds: HashMap<ContainerUid, World, foldhash::fast::RandomState>,
    used: u64,
}

impl Keeper {
    /// Gives the store a container's state when it wants one: to be called before each event of it is pushed.
    ///
    /// # Errors
    /// [`WriteError`]: the keyframe was not written; another one is wanted later.
    pub fn before(&mut self, store: &mut StoreWriter, uid: ContainerUid) -> Result<(), WriteError> {
        if !store.has_rows(uid) {
            // Only who has seen all of it knows the state.
            self.worlds.entry(uid).or_insert_with(|| {
                let limits =
                    Limits { container_bytes: CONTAINER, total_bytes: CONTAINER, ..Limits::default() };
                World::with_limits(limits)
            });
        } else if store.wants_state(uid) {
            let Some(world) = self.worlds.get_mut(&uid) else { return store.push_state(uid, &[], 0) };
            let (state, repeated) = world.keyframe(uid);
            store.push_state(uid, &state, repeated)?;
            self.used = self.used.saturating_sub(world.used());
            world.shed(uid);
            self.used += world.used();
        }
        Ok(())
    }

    /// Takes in an event that was pushed.
    pub fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        let Some(world) = self.worlds.get_mut(&uid) else { return };
        let before = world.used();
        world.apply(uid, event);
        self.used = (self.used + world.used()).saturating_sub(before);
        if self.used > ALL {
            self.forget(uid);
        }
    }

    /// Forgets a container: it has ended, or there is no room for it. It gets no more keyframes.
    pub fn forget(&mut self, uid: ContainerUid) {
        if let Some(world) = self.worlds.remove(&uid) {
            self.used = self.used.saturating_sub(world.used());
        }
    }
}
