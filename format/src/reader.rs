//! Opens recordings: one file or a store's directory. Opening never writes.

use std::path::Path;

use crate::{
    Anchor, BootNanos, Class, ClockMap, ContainerRecord, ContainerUid, Defect, Direction, Event, EventId,
    Loss, OpenError, OwnedEvent, ReadError,
};

/// A recording: everything that one path holds, a single trace file or a whole store.
#[derive(Debug)]
pub struct Recording {}

/// A container as a recording knows it.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// The latest record, facts of all records accumulated.
    pub record: ContainerRecord,
    /// Events kept.
    pub events: u64,
    /// Events lost, throttled included.
    pub lost: u64,
    /// First and last event's time.
    pub range: Option<(BootNanos, BootNanos)>,
}

/// Where a recording was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Identifies the store.
    pub store_uuid: [u8; 16],
    /// `/proc/sys/kernel/random/boot_id`, raw.
    pub boot_id: [u8; 16],
    /// Host name: bytes from the outside.
    pub hostname: Vec<u8>,
    /// Kernel release (`uname -r`): bytes from the outside.
    pub kernel: Vec<u8>,
    /// Machine (`uname -m`).
    pub machine: Vec<u8>,
    /// Sources that could not be recorded here, each with its reason (missing hooks or members), as text.
    pub degraded: Vec<Vec<u8>>,
    /// The recorder's version.
    pub recorder: Vec<u8>,
}

/// Which events to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only these containers; empty for all.
    pub containers: Vec<ContainerUid>,
    /// From here, inclusive.
    pub begin: Option<BootNanos>,
    /// To here, inclusive.
    pub end: Option<BootNanos>,
}

/// A block's index entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// Position among [`Recording::blocks`].
    pub index: usize,
    /// Whose.
    pub container: ContainerUid,
    /// Rows.
    pub rows: u32,
    /// First event's time.
    pub first: BootNanos,
    /// Last event's time.
    pub last: BootNanos,
    /// Bytes on disk.
    pub stored: u64,
}

impl Recording {
    /// Opens a trace file (`.aft`, `.aftx`) or a store's directory.
    ///
    /// # Errors
    /// [`OpenError`] when the path is not a recording of a version this program reads, or cannot be read.
    /// Damage inside is not an error: it is listed by [`Self::defects`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let _ = path;
        unimplemented!()
    }

    /// Where it was made.
    pub fn origin(&self) -> &Origin {
        unimplemented!()
    }

    /// Every container in it, by first sign, the host (uid 0) first where it has events.
    pub fn containers(&self) -> &[ContainerSummary] {
        unimplemented!()
    }

    /// Every gap, by time.
    pub fn losses(&self) -> &[Loss] {
        unimplemented!()
    }

    /// Boot time to wall clock.
    pub fn clock(&self) -> &ClockMap {
        unimplemented!()
    }

    /// What is damaged, so far as opening and reading has found.
    pub fn defects(&self) -> Vec<Defect> {
        unimplemented!()
    }

    /// The recorder had it open, or did not close it properly (crash): no seal at the end.
    pub fn unsealed(&self) -> bool {
        unimplemented!()
    }

    /// The index of all blocks, by container and time.
    pub fn blocks(&self) -> &[BlockInfo] {
        unimplemented!()
    }

    /// Number of events a query would read at most, from the index alone.
    pub fn count_hint(&self, query: &Query) -> u64 {
        let _ = query;
        unimplemented!()
    }

    /// Calls `visit` with every matching event in order of time (ties: by CPU order as recorded), stopping early
    /// when it returns `ControlFlow::Break`. Damaged blocks are skipped and become defects.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn for_each(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(ContainerUid, &Event<'_>) -> std::ops::ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let _ = (query, visit);
        unimplemented!()
    }

    /// Up to `limit` matching events that `keep` wants, the nearest to the anchor first: forward in rising order,
    /// backward in falling order. The anchor's time is included, the anchor's event is not.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn page(
        &self,
        query: &Query,
        from: Anchor,
        direction: Direction,
        limit: usize,
        keep: &mut dyn FnMut(ContainerUid, &Event<'_>) -> bool,
    ) -> Result<Vec<(EventId, ContainerUid, OwnedEvent)>, ReadError> {
        let _ = (query, from, direction, limit, keep);
        unimplemented!()
    }

    /// How many events of each class (by [`Class::ALL`]) fall into each of `columns` equal parts of
    /// `begin..end`, of one container or of all.
    pub fn density(
        &self,
        container: Option<ContainerUid>,
        begin: BootNanos,
        end: BootNanos,
        columns: usize,
    ) -> Vec<[u32; Class::COUNT]> {
        let _ = (container, begin, end, columns);
        unimplemented!()
    }

    /// Looks for what was written since opening. True when there is more than before; ids of events of a part
    /// that was not sealed may then have changed.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn refresh(&mut self) -> Result<bool, ReadError> {
        unimplemented!()
    }

    /// First and last event's time.
    pub fn time_range(&self) -> Option<(BootNanos, BootNanos)> {
        unimplemented!()
    }

    /// First and last event's time of the sealed part: ids of events in it do not change any more.
    pub fn sealed_range(&self) -> Option<(BootNanos, BootNanos)> {
        unimplemented!()
    }
}
