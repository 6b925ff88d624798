//! A life as it is read: processes, files and conversations, as far as the reading has come.

use std::sync::Arc;

use afterimage_format::{BootNanos, ContainerUid, Event, EventFlags};
use afterimage_model::{World, files::Files, net::Network};

use super::moment::tree;
use crate::{analysis::images::Images, tui::whole::Whole};

/// What was read so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Life {
    pub(super) world: World,
    files: Files,
    network: Network,
    /// Events of the container's set-up.
    pub(super) setup: u64,
}

impl Life {
    /// Takes the next event in.
    pub(super) fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        self.world.apply(uid, event);
        // What a runtime does to set a container up is none of its own acts.
        if event.flags.contains(EventFlags::SETUP) {
            self.setup += 1;
        } else {
            self.files.apply(&self.world, uid, event);
            self.network.apply(&self.world, uid, event);
        }
    }

    /// Everything that it came to, for the lists.
    /// `until` is the moment up to which it was read; nothing where to its end.
    pub(super) fn whole(self, uid: ContainerUid, until: Option<BootNanos>, images: Arc<Images>) -> Whole {
        let tree = tree(&self.world, uid);
        Whole::new((uid, until), self.world, (self.files, images), self.network, tree)
    }
}
