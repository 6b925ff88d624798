//! How much went through a container's conversations.

use std::collections::HashMap;

use afterimage_format::{ContainerUid, Event, EventFlags};
use afterimage_model::{
    World,
    net::{Conversation, ConversationKey, Network},
};

use crate::value::Value;

/// Bytes that a conversation moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Into the container.
    pub(crate) received: u64,
    /// Out of it.
    pub(crate) sent: u64,
}

/// The conversations of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetTable {
    moved: HashMap<ConversationKey, Moved>,
    is_partial: bool,
}

impl NetTable {
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(crate) fn len(&self) -> usize {
        self.moved.len()
    }

    /// What a conversation moved; none where there is no such, or there was no room for it.
    pub(crate) fn of(&self, key: &ConversationKey) -> Option<Moved> {
        self.moved.get(key).copied()
    }

    /// Every value that a field can have in this container; `None` for fields of others.
    pub(crate) fn values(&self, field: &str) -> Option<Box<dyn Iterator<Item = Value<'_>> + '_>> {
        let part: fn(&Moved) -> u64 = match field {
            "net.bytes_in" => |moved| moved.received,
            "net.bytes_out" => |moved| moved.sent,
            _ => return None,
        };
        Some(Box::new(self.moved.values().map(part).map(Value::number)))
    }
}

/// What is gathered on the way: as `afterimage net` counts it, without what a runtime did to set the container up.
#[derive(Debug, Default)]
pub(super) struct NetGathered {
    network: Network,
}

impl NetGathered {
    pub(super) fn apply(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) {
        if !event.flags.contains(EventFlags::SETUP) {
            self.network.apply(world, uid, event);
        }
    }

    pub(super) fn finish(self, uid: ContainerUid) -> NetTable {
        let moved = |own: &Conversation| Moved { received: own.received, sent: own.sent };
        let all = self.network.keyed(uid).map(|(key, own)| (key.clone(), moved(own)));
        NetTable { moved: all.collect(), is_partial: self.network.dropped(uid) > 0 }
    }
}
