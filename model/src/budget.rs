//! Bounds on the memory that a hostile stream of events can make the model take.
//!
//! Every object costs its bytes from the container's budget and from the whole world's. When a container's budget
//! is used up, its oldest ended processes are forgotten first; what then still does not fit is not kept, and
//! counted in [`Overflow`]: state that is missing for lack of room is told from state that was never seen.

use crate::codec::stored_struct;

/// How much memory a world may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for one container.
    pub container_bytes: u64,
    /// Bytes for all containers together.
    pub total_bytes: u64,
    /// Containers.
    pub containers: usize,
    /// Executions remembered of one process; later ones replace all but the first.
    pub execs: usize,
    /// Names (`comm`) remembered of one process.
    pub comms: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { container_bytes: 32 << 20, total_bytes: 128 << 20, containers: 65_536, execs: 32, comms: 16 }
    }
}

/// What did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overflow {
    /// Ended processes that were forgotten.
    pub forgotten: u64,
    /// Processes that were not kept at all.
    pub processes: u64,
    /// Descriptors that were not kept.
    pub descriptors: u64,
    /// Byte strings that were not kept.
    pub strings: u64,
    /// Other things that were not kept: executions, names, mounts.
    pub others: u64,
}

impl Overflow {
    /// Whether anything is missing for lack of room.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

stored_struct!(Overflow { forgotten, processes, descriptors, strings, others });

/// Bytes used of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    used: u64,
    limit: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::with_used(0)
    }
}

impl Budget {
    /// So many bytes used already.
    pub(crate) fn with_used(used: u64) -> Self {
        Self { used, limit: u64::MAX }
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Takes `bytes` when they fit.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.used.saturating_add(bytes) <= self.limit;
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes as u64);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }
}
