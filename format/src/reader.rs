//! Opens recordings: one file or a store's directory. Opening never writes.

use std::{
    collections::HashSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use crate::{
    Anchor, BootNanos, Class, ClockMap, ContainerRecord, ContainerUid, Defect, Direction, Event, EventId,
    Eviction, Incident, Loss, OpenError, OwnedEvent, Pin, ReadError,
    meta::Record,
    segment::{BlockEntry, chain::Link},
    store::{KEPT, Numbered, SEGMENTS},
};

mod blocks;
mod columns;
mod density;
mod few;
mod filters;
mod keyframes;
mod load;
mod merge;
mod opened;
mod order;
pub(crate) mod scan;
pub(crate) mod told;
mod visit;

pub use crate::events::filter::{BlockFilter, GramQuery};
pub use blocks::ColumnInfo;
use blocks::{Cache, Indexed};
pub use columns::{ColumnReader, Columns, StringId, Wanted};
pub use density::Histogram;
pub use few::{Few, Next};
pub use keyframes::Keyframe;
use opened::Segment;
use order::Order;
pub use visit::Visitor;

/// A recording: everything that one path holds, a single trace file or a whole store.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    /// A store's directory, not a file.
    is_store: bool,
    segments: Vec<Segment>,
    /// Blocks made in memory from what is only in the stage, with what an index would say of them.
    staged: Vec<(BlockEntry, Vec<u8>)>,
    /// Records that are only in the stage.
    staged_records: Vec<Record>,
    indexed: Vec<Indexed>,
    blocks: Vec<BlockInfo>,
    /// The same by container and time, once somebody asks [`Self::events_before`].
    order: OnceLock<Order>,
    /// By container and row.
    keyframes: Vec<Keyframe>,
    /// They are by time too.
    keyframes_by_time: bool,
    containers: Vec<ContainerSummary>,
    losses: Vec<Loss>,
    pins: Vec<Pin>,
    incidents: Vec<Incident>,
    evictions: Vec<Eviction>,
    /// Containers that have a record.
    recorded: HashSet<ContainerUid>,
    /// Links of segments that retention removed: proofs of what it kept rest on them.
    gone: Vec<Link>,
    clock: ClockMap,
    origin: Origin,
    /// Found when opening.
    defects: Vec<Defect>,
    /// Found while reading.
    found: Mutex<blocks::Found>,
    cache: Mutex<Cache>,
    live: bool,
    unsealed: bool,
    unfinished: Vec<PathBuf>,
    sealed_range: Option<(BootNanos, BootNanos)>,
    catalog: CatalogUse,
}

/// What a store's catalog was good for when it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CatalogUse {
    /// There is none.
    #[default]
    Absent,
    /// It stood for this many files, whose footers were not read.
    Used {
        /// How many.
        files: usize,
    },
    /// It is damaged, or of other files than those that are there; all footers were read.
    Ignored(&'static str),
}

/// A container as a recording knows it.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// The latest record, facts of all records accumulated.
    pub record: ContainerRecord,
    /// Events kept.
    pub events: u64,
    /// Events that the recorder kept, by their numbers and by what an extract tells of where it was copied from.
    pub rows: u64,
    /// Events lost, throttled included.
    pub lost: u64,
    /// First and last event's time.
    pub range: Option<(BootNanos, BootNanos)>,
}

/// Where a recording was made; by default nothing is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

impl Query {
    /// Whether a block can have matching events.
    fn touches(&self, block: &BlockInfo) -> bool {
        (self.containers.is_empty() || self.containers.contains(&block.container))
            && self.begin.is_none_or(|begin| begin <= block.last)
            && self.end.is_none_or(|end| end >= block.first)
    }
}

/// A block's index entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// Position among [`Recording::blocks`].
    pub index: usize,
    /// Whose.
    pub container: ContainerUid,
    /// Number of its first row among all rows of the container.
    pub first_row: u64,
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
        load::open(path)
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store that it is, or comes from.
    pub fn store_uuid(&self) -> [u8; 16] {
        self.segments.first().map_or(self.origin.store_uuid, |segment| segment.loaded.header.store_uuid)
    }

    /// The files of a store that hold blocks; none where a file was opened.
    pub(crate) fn segment_paths(&self) -> Vec<PathBuf> {
        let of = |kind: Numbered| {
            let numbers = if self.is_store { kind.list(&self.path).unwrap_or_default() } else { Vec::new() };
            numbers.into_iter().map(move |number| kind.path(&self.path, number))
        };
        of(KEPT).chain(of(SEGMENTS)).collect()
    }

    /// Where it was made.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Every container in it, by first sign, the host (uid 0) first where it has events.
    pub fn containers(&self) -> &[ContainerSummary] {
        &self.containers
    }

    /// Every gap, by time.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// What is held against eviction.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The incidents that an extract was made for.
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// What retention removed of containers that are still there.
    pub fn evictions(&self) -> &[Eviction] {
        &self.evictions
    }

    /// What retention removed of a container.
    pub fn eviction(&self, uid: ContainerUid) -> Option<&Eviction> {
        let at = self.evictions.binary_search_by_key(&uid, |eviction| eviction.container).ok()?;
        self.evictions.get(at)
    }

    /// Links of segments that retention removed.
    pub(crate) fn gone_links(&self) -> &[Link] {
        &self.gone
    }

    /// Whether the container's record is there, not only events of it.
    pub fn has_record(&self, uid: ContainerUid) -> bool {
        self.recorded.contains(&uid)
    }

    /// Boot time to wall clock.
    pub fn clock(&self) -> &ClockMap {
        &self.clock
    }

    /// What is damaged, so far as opening and reading has found.
    pub fn defects(&self) -> Vec<Defect> {
        let found = self.found.lock().map(|found| found.defects.clone()).unwrap_or_default();
        self.defects.iter().cloned().chain(found).collect()
    }

    /// What opening found damaged, without what reading has found since.
    pub fn defects_when_opened(&self) -> &[Defect] {
        &self.defects
    }

    /// How much damage is known: rises whenever reading finds more.
    pub fn damage_known(&self) -> usize {
        let found = self.found.lock().map(|found| found.defects.len() + found.unread.len());
        self.defects.len() + found.unwrap_or_default()
    }

    /// The blocks that could not be read, so far as reading has found: that there are events in their time is known, and
    /// nothing else of them.
    pub fn unread(&self) -> Vec<BlockInfo> {
        let found = self.found.lock().map(|found| found.unread.clone()).unwrap_or_default();
        found.into_iter().filter_map(|index| self.blocks.get(index).cloned()).collect()
    }

    /// Whether a block of this container could not be read.
    pub fn has_unread(&self, uid: ContainerUid) -> bool {
        let is_of = |index: &usize| self.blocks.get(*index).is_some_and(|block| block.container == uid);
        self.found.lock().is_ok_and(|found| found.unread.iter().any(is_of))
    }

    /// Tries again to read what could not be read of this recording when it was shorter, so that its damage stays known.
    pub fn read_again(&self, shorter: &Self) {
        let mut reader = self.column_reader();
        for old in shorter.unread() {
            let is_same = |block: &&BlockInfo| BlockInfo { index: old.index, ..(*block).clone() } == old;
            if let Some(block) = self.blocks.iter().find(is_same) {
                // Where the file cannot be read, the next reading of it says so.
                let _ = reader.read(block.index, Wanted::ALL);
            }
        }
    }

    /// A recorder had the store open when this was opened or refreshed. Never so of a copy, nor of a single file.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The recorder had it open, or did not close it properly (crash): no seal at the end.
    pub fn unsealed(&self) -> bool {
        self.unsealed
    }

    /// Segments of a store that a recorder did not finish: it was killed, or the machine's power was cut. All that was there when
    /// the next recorder began is there; what is torn or missing since is a defect. That nothing follows the last is none.
    pub fn unfinished(&self) -> &[PathBuf] {
        &self.unfinished
    }

    /// The index of all blocks with events, in the order they were written.
    pub fn blocks(&self) -> &[BlockInfo] {
        &self.blocks
    }

    /// Number of events a query would read at most, from the index alone.
    pub fn count_hint(&self, query: &Query) -> u64 {
        self.touched(query).iter().map(|block| u64::from(block.rows)).sum()
    }

    /// How many events of a container are in blocks that end before `time`, and where the first of the others that begin by then
    /// does: from there on, those before `time` have to be read to be counted.
    pub fn events_before(&self, uid: ContainerUid, time: BootNanos) -> (u64, Option<BootNanos>) {
        self.order().rows_before(&self.blocks, uid, time)
    }

    /// The blocks that a query touches, in the order they were written. Who asks a few things only looks at all of them, which
    /// takes less time than to put them in order.
    fn touched(&self, query: &Query) -> Vec<&BlockInfo> {
        match (self.order.get(), &query.containers[..]) {
            (Some(order), [uid]) => order.touched(&self.blocks, *uid, query),
            _ => self.blocks.iter().filter(|block| query.touches(block)).collect(),
        }
    }

    fn order(&self) -> &Order {
        self.order.get_or_init(|| Order::of(&self.blocks))
    }

    /// Calls `visit` with every matching event in order of time (ties: by block and row), stopping early when it
    /// returns `ControlFlow::Break`. Damaged blocks are skipped and become defects.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn for_each(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(ContainerUid, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut merge = merge::Merge::new(self, query, None, Direction::Forward);
        merge.show(&mut visit::Every(|_, container, event: &Event<'_>| visit(container, event)))
    }

    /// Calls `visit` with every matching event and its id, in the direction of reading from an anchor on, or from
    /// the first or last event. The anchor's time is included, the anchor's event is not.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn walk(
        &self,
        query: &Query,
        from: Option<Anchor>,
        direction: Direction,
        visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut merge = merge::Merge::new(self, query, from, direction);
        if direction == Direction::Forward {
            return merge.show(&mut visit::Every(visit));
        }
        while let Some((_, flow)) = merge.next(visit)? {
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Calls `visit` with every matching event block by block in the order of [`Self::blocks`], within a block in
    /// order of time: faster than [`Self::for_each`] where the order between containers does not matter.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn scan(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        blocks::scan(self, query, visit)
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
        let mut page = Vec::new();
        let mut merge = merge::Merge::new(self, query, Some(from), direction);
        while page.len() < limit {
            let next = merge.next(&mut |id, container, event| {
                keep(container, event).then(|| (id, container, OwnedEvent::from_event(event)))
            })?;
            match next {
                Some((_, Some(row))) => page.push(row),
                Some((_, None)) => {}
                None => break,
            }
        }
        Ok(page)
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
        density::density(self, container, begin, end, columns, 0).counts
    }

    /// As [`Self::density`], counted exactly as far as reading at most `rows` more rows can do it: blocks' counters do not fit
    /// a range's borders. Says where counts are not exact.
    pub fn histogram(
        &self,
        container: Option<ContainerUid>,
        begin: BootNanos,
        end: BootNanos,
        columns: usize,
        rows: u64,
    ) -> Histogram {
        density::density(self, container, begin, end, columns, rows)
    }

    /// Looks for what was written since opening. True when there is more than before; ids of events of a part
    /// that was not sealed may then have changed.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn refresh(&mut self) -> Result<bool, ReadError> {
        load::refresh(self)
    }

    /// What the store's catalog was good for.
    pub fn catalog(&self) -> CatalogUse {
        self.catalog
    }

    /// First and last event's time.
    pub fn time_range(&self) -> Option<(BootNanos, BootNanos)> {
        range_of(self.blocks.iter())
    }

    /// First and last event's time of the sealed part: ids of events in it do not change any more.
    pub fn sealed_range(&self) -> Option<(BootNanos, BootNanos)> {
        self.sealed_range
    }
}

/// First and last event's time of these blocks.
fn range_of<'a>(blocks: impl Iterator<Item = &'a BlockInfo>) -> Option<(BootNanos, BootNanos)> {
    blocks.map(|b| (b.first, b.last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
