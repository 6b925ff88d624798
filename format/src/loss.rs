//! Events that could not be recorded, or that a copy could not take with it: where, why and how many.

use crate::{BootNanos, ContainerUid};

/// A gap: between `from` and `to`, `count` events of `container` are missing for `cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Whose events; `None` where that is not known.
    pub container: Option<ContainerUid>,
    /// Why.
    pub cause: LossCause,
    /// The CPU, where it is known.
    pub cpu: Option<u16>,
    /// The last moment known to be complete before the gap.
    pub from: BootNanos,
    /// The first moment known to be complete after it.
    pub to: BootNanos,
    /// How many events; `None` when only the gap is known (recorder not running).
    pub count: Option<u64>,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// The data ring was full.
    RingFull,
    /// The control ring was full.
    ControlRingFull,
    /// The container's rate budget was used up: throttled on purpose.
    Throttled,
    /// A kernel map was full.
    MapFull,
    /// The recorder was not running.
    RecorderDown,
    /// The disk was full or refused the write.
    DiskFull,
    /// A record from the kernel could not be understood.
    Malformed,
    /// The programs were detached.
    Detached,
    /// The kernel's counts of what was lost could not be read to the end.
    CountsUnread,
    /// Somebody else changed what steers the programs or their rings: what was not recorded meanwhile is not known.
    MapsChanged,
    /// They were recorded, and were damaged in what this was copied from, or in what a recorder that was killed had left when the
    /// next one took it over: neither the kernel nor the recorder lost them.
    Corrupt,
    /// A cause of a later version.
    Other(u16),
}

impl LossCause {
    const TABLE: [(Self, u16, &'static str); 11] = [
        (Self::RingFull, 1, "ring full"),
        (Self::ControlRingFull, 2, "control ring full"),
        (Self::Throttled, 3, "throttled"),
        (Self::MapFull, 4, "kernel map full"),
        (Self::RecorderDown, 5, "recorder not running"),
        (Self::DiskFull, 6, "disk full"),
        (Self::Malformed, 7, "malformed record"),
        (Self::Detached, 8, "programs detached"),
        (Self::CountsUnread, 9, "counts of losses not read"),
        (Self::MapsChanged, 10, "maps changed by others"),
        (Self::Corrupt, 11, "damaged in what this was copied from"),
    ];

    /// Whether the events had been recorded and are damaged evidence, not lost.
    pub fn is_damage(self) -> bool {
        self == Self::Corrupt
    }

    /// What became of the events: `lost`, or `corrupt`.
    pub fn word(self) -> &'static str {
        if self.is_damage() { "corrupt" } else { "lost" }
    }

    /// The code in the file.
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            known => Self::TABLE.iter().find(|(c, ..)| *c == known).map_or(0, |(_, code, _)| *code),
        }
    }

    /// From the code in the file; never fails.
    pub fn from_code(code: u16) -> Self {
        Self::TABLE.iter().find(|(_, c, _)| *c == code).map_or(Self::Other(code), |(cause, ..)| *cause)
    }

    /// The words for it.
    pub fn as_str(self) -> &'static str {
        Self::TABLE.iter().find(|(c, ..)| *c == self).map_or("other cause", |(.., text)| text)
    }
}
