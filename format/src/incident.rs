//! Incidents: why something was pinned, and what. An extract carries the words of the recorder that pinned it.

use crate::{BootNanos, ContainerUid};

/// What happened, and what was kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The trigger's id.
    pub id: String,
    /// Trigger, alert and pins as JSON. Most of it is foreign text.
    pub document: Vec<u8>,
}

impl Incident {
    /// Longest document.
    pub const MAX_DOCUMENT: usize = 900 << 10;
}

/// How many rows a container had in the recording that a part of it was copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowsOf {
    pub(crate) container: ContainerUid,
    pub(crate) rows: u64,
}

/// A part of a container's recording, in times of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Whose.
    pub container: ContainerUid,
    /// From when on; `None` from the beginning.
    pub begin: Option<BootNanos>,
    /// Until when; `None` to the end.
    pub end: Option<BootNanos>,
}

impl Part {
    /// All of a container's recording.
    pub fn all(container: ContainerUid) -> Self {
        Self { container, begin: None, end: None }
    }

    /// Whether it has something of a block of its container with these times.
    pub(crate) fn touches(&self, first: BootNanos, last: BootNanos) -> bool {
        self.begin.is_none_or(|begin| last >= begin) && self.end.is_none_or(|end| first <= end)
    }
}
