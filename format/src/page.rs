//! Places in a recording, for readers that show a part of it and move.

use crate::BootNanos;

/// Where an event is: stable for a recording that no longer changes. Ordered as [`crate::Recording::for_each`]
/// visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The event's time.
    pub time: BootNanos,
    /// Its block's position among [`crate::Recording::blocks`].
    pub block: u32,
    /// Its row in that block.
    pub row: u32,
}

/// Where to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// A moment: events at that very time are read.
    Time(BootNanos),
    /// An event: it is not read itself.
    Event(EventId),
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To later events.
    Forward,
    /// To earlier events.
    Backward,
}
