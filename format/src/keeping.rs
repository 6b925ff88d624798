//! What a store keeps and what it removed: pins, tombstones, evictions. Their times have the base added.

use crate::{
    BootNanos, ContainerUid,
    bytes::{Input, Malformed},
    payload::Hash,
    segment::chain::Link,
};

/// Holds events against eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Given by the store.
    pub id: u64,
    /// Whose events; empty for everybody's.
    pub containers: Vec<ContainerUid>,
    /// From when on; `None` from the beginning.
    pub begin: Option<BootNanos>,
    /// Until when; `None` without end: then only what lies before the pin is sure to fit.
    pub end: Option<BootNanos>,
    /// Who or what asked for it, for people: bytes from the outside.
    pub label: Vec<u8>,
}

impl Pin {
    /// Whether it holds events of `container` between these times.
    pub fn holds(&self, container: ContainerUid, first: BootNanos, last: BootNanos) -> bool {
        (self.containers.is_empty() || self.containers.contains(&container))
            && self.begin.is_none_or(|begin| last >= begin)
            && self.end.is_none_or(|end| first <= end)
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
