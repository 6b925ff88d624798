//! What a store keeps and what it removed: pins, tombstones, evictions. Their times have the base added.

use std::collections::HashMap;

use crate::{
    BootNanos, ContainerUid,
    bytes::{Input, Malformed},
    payload::Hash,
    segment::chain::Link,
};

/// Holds events against eviction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// Chosen by who asks for it: the same id again changes the pin.
    pub id: String,
    /// Whose events: a container and its neighbours; empty for everybody's.
    pub containers: Vec<ContainerUid>,
    /// From when on, in times of the store; `None` from the beginning.
    pub begin: Option<BootNanos>,
    /// Until when, in times of the store; `None` without end: then only what lies before the pin is sure to fit.
    pub end: Option<BootNanos>,
    /// Who or what asked for it, for people: bytes from the outside.
    pub reason: Vec<u8>,
    /// When the pin itself lapses, wall clock in nanoseconds since 1970; `None` when it is taken away.
    pub until: Option<i64>,
}

impl Pin {
    /// Whether it holds events of `container` between these times.
    pub fn holds(&self, container: ContainerUid, first: BootNanos, last: BootNanos) -> bool {
        (self.containers.is_empty() || self.containers.contains(&container))
            && self.begin.is_none_or(|begin| last >= begin)
            && self.end.is_none_or(|end| first <= end)
    }
}

/// Pins by container, to ask about many blocks.
#[derive(Debug, Default)]
pub(crate) struct PinIndex {
    of: HashMap<ContainerUid, Vec<(BootNanos, BootNanos)>>,
    /// Of pins that hold everybody's.
    all: Vec<(BootNanos, BootNanos)>,
}

impl PinIndex {
    pub(crate) fn new<'a>(pins: impl IntoIterator<Item = &'a Pin>) -> Self {
        let mut index = Self::default();
        for pin in pins {
            let range = (pin.begin.unwrap_or(BootNanos(0)), pin.end.unwrap_or(BootNanos(u64::MAX)));
            if pin.containers.is_empty() {
                index.all.push(range);
            }
            pin.containers.iter().for_each(|uid| index.of.entry(*uid).or_default().push(range));
        }
        index
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of.is_empty()
    }

    /// Whether some pin holds events of `container` between these times.
    pub(crate) fn holds(&self, container: ContainerUid, first: BootNanos, last: BootNanos) -> bool {
        let own = self.of.get(&container).map_or(&[][..], Vec::as_slice);
        own.iter().chain(&self.all).any(|(begin, end)| last >= *begin && first <= *end)
    }
}

/// Why events were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The store's budget.
    Budget,
    /// Their age.
    Age,
    /// The disk was full.
    DiskFull,
    /// A reason of a later version.
    Other(u16),
}

impl EvictionReason {
    /// The code in the file.
    pub const fn code(self) -> u16 {
        match self {
            Self::Budget => 1,
            Self::Age => 2,
            Self::DiskFull => 3,
            Self::Other(code) => code,
        }
    }

    /// From the code in the file; never fails.
    pub const fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Budget,
            2 => Self::Age,
            3 => Self::DiskFull,
            other => Self::Other(other),
        }
    }

    /// The words for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Age => "age",
            Self::DiskFull => "disk full",
            Self::Other(_) => "other reason",
        }
    }
}

/// What retention removed of a container so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eviction {
    /// Whose.
    pub container: ContainerUid,
    /// Events removed.
    pub events: u64,
    /// Blocks removed.
    pub blocks: u64,
    /// Time of the latest of them.
    pub until: BootNanos,
    /// Why the latest of them was.
    pub reason: EvictionReason,
}

/// Tombstones that are kept: as many segments back the chain can be followed.
pub(crate) const TOMBSTONES: usize = 4096;

/// A file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileId {
    /// Blocks that retention kept of older files.
    Kept(u64),
    /// A segment.
    Segment(u64),
}

/// Says that a file was removed on purpose, and what the chain needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) file: FileId,
    /// Of a segment.
    pub(crate) link: Option<Link>,
    /// Blocks that it had and their root.
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// The file that has what was kept of it, and how many blocks.
    pub(crate) moved_to: Option<u64>,
    pub(crate) moved_blocks: u64,
    pub(crate) reason: EvictionReason,
    /// Wall clock.
    pub(crate) real: i64,
}

/// A file of kept blocks as retention wrote it: its blocks and their root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptFile {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Numbers of kept files begin anew with each segment, so that none is ever used twice.
pub(crate) const KEPT_SHIFT: u32 = 20;

impl FileId {
    /// The segment that was written when the file was made.
    pub(crate) const fn age(self) -> u64 {
        match self {
            Self::Kept(number) => number >> KEPT_SHIFT,
            Self::Segment(number) => number,
        }
    }

    /// The order in which tombstones are forgotten. A kept file's is younger than those of the files whose blocks were moved
    /// into it: without it, these would tell of a file that is missing.
    pub(crate) const fn rank(self) -> Rank {
        match self {
            Self::Kept(number) => (self.age(), true, number),
            Self::Segment(number) => (self.age(), false, number),
        }
    }
}

/// A file's place in the order of [`FileId::rank`].
pub(crate) type Rank = (u64, bool, u64);

/// The rank below which tombstones may have been forgotten, where these are left.
pub(crate) fn horizon(tombstones: impl Iterator<Item = FileId>) -> Option<Rank> {
    let mut ranks: Vec<Rank> = tombstones.map(FileId::rank).collect();
    let older = ranks.len().checked_sub(TOMBSTONES)?;
    // What older files still tell of besides is no reason to expect all in between.
    Some(*ranks.select_nth_unstable(older).1)
}

impl Tombstone {
    /// The link's bytes; empty without one.
    pub(crate) fn link_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(link) = &self.link {
            link.encode(&mut out);
        }
        out
    }

    /// The inverse of [`Self::link_bytes`].
    pub(crate) fn parse_link(bytes: &[u8]) -> Result<Option<Link>, Malformed> {
        if bytes.is_empty() { Ok(None) } else { Link::parse(&mut Input::new(bytes)).map(Some) }
    }
}
