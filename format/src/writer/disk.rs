//! What the writer does when the disk is short of space or refuses writes.
//!
//! Three stages, by what is free on the file system against [`super::StoreOptions::reserve_bytes`]:
//!
//! 1. *low*, below twice the reserve: everything is recorded; the store gives up its own oldest events, but not more
//!    than down to a quarter of its budget: who fills the disk must not be able to erase the past;
//! 2. *shedding*, below the reserve: only programs, processes, connections and privileges are recorded;
//! 3. *stopped*, below a quarter of it, or when a write failed, whatever the reason: nothing is recorded.
//!
//! What is not recorded is counted for each container and written as a loss as soon as something can be written. A
//! stopped writer tries once a second, and goes on when that works. Nothing that was accepted is given up: it waits in
//! memory.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::StoreWriter;
use crate::{BootNanos, Class, ContainerUid, EvictionReason, Loss, LossCause, WriteError, file};

/// How often the file system is looked at, and a stopped writer tries again. It is looked at as well whenever so small a part of
/// the reserve was written: who writes fast must not get from enough to nothing between two looks.
#[cfg(not(test))]
const LOOK: Duration = Duration::from_secs(1);
#[cfg(test)]
const LOOK: Duration = Duration::ZERO;
const PART_OF_RESERVE: u64 = 8;
/// Containers whose refused events are counted one by one; beyond, all others are counted together.
const CONTAINERS: usize = 65_536;
/// Without a budget, a store on a full disk gives up events down to this many segments.
const FLOOR_SEGMENTS: u64 = 4;

/// How much room a store has to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Enough.
    #[default]
    Enough,
    /// The file system is nearly full; everything is recorded.
    Low,
    /// Only what matters most is recorded.
    Shedding,
    /// Nothing is recorded.
    Stopped,
}

impl Space {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Low => "low",
            Self::Shedding => "shedding",
            Self::Stopped => "stopped",
        }
    }
}

/// Events refused since the last loss was written.
#[derive(Debug, Clone, Copy)]
struct Refused {
    from: BootNanos,
    to: BootNanos,
    count: u64,
}

impl Refused {
    /// Counts one more event of a container.
    fn count(all: &mut HashMap<Option<u64>, Self>, uid: u64, time: BootNanos) {
        let full = all.len() >= CONTAINERS && !all.contains_key(&Some(uid));
        let key = if full { None } else { Some(uid) };
        let entry = all.entry(key).or_insert(Self { from: time, to: time, count: 0 });
        (entry.from, entry.to) = (entry.from.min(time), entry.to.max(time));
        entry.count += 1;
    }

    fn loss(self, uid: Option<u64>) -> Loss {
        Loss {
            container: uid.map(ContainerUid),
            cause: LossCause::DiskFull,
            cpu: None,
            from: self.from,
            to: self.to,
            count: Some(self.count),
        }
    }
}

/// The disk as the writer sees it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    space: Space,
    /// Bytes free when it was last looked at.
    free: u64,
    looked: Option<Instant>,
    /// Bytes of the store then.
    bytes: u64,
    /// Nothing was given up since.
    is_news: bool,
    /// A write failed, and none has worked since.
    failed: bool,
    /// It was a sync: what was written since the one before may not be on the disk.
    pub(super) sync_failed: bool,
    /// The store cannot be brought back into its budget.
    over_budget: bool,
    refused: HashMap<Option<u64>, Refused>,
    /// Those of them that came since the last commit, where somebody wants to know.
    news: HashMap<Option<u64>, Refused>,
    /// When they were last told.
    told: Option<Instant>,
}

/// The stage by free bytes and reserve; one is left only with some room to spare.
fn space_of(free: u64, reserve: u64, now: Space) -> Space {
    let margin = |space: Space| if now >= space { reserve / 4 } else { 0 };
    if reserve == 0 {
        Space::Enough
    } else if free < reserve / 4 + margin(Space::Stopped) {
        Space::Stopped
    } else if free < reserve + margin(Space::Shedding) {
        Space::Shedding
    } else if free < reserve.saturating_mul(2) + margin(Space::Low) {
        Space::Low
    } else {
        Space::Enough
    }
}

/// What is recorded while shedding.
const fn matters(class: Class) -> bool {
    matches!(class, Class::Exec | Class::Net | Class::Priv)
}

impl StoreWriter {
    /// How much room there is.
    pub fn space(&self) -> Space {
        self.disk.space
    }

    /// Bytes free on the file system, as last seen; `None` before the first look.
    pub fn free_bytes(&self) -> Option<u64> {
        self.disk.looked.map(|_| self.disk.free)
    }

    /// Whether an event of this class is recorded now.
    pub(super) fn admits(&self, class: Class) -> Result<(), WriteError> {
        match self.disk.space {
            Space::Enough | Space::Low => Ok(()),
            Space::Shedding if matters(class) => Ok(()),
            space => Err(WriteError::NoSpace { space }),
        }
    }

    /// Counts an event that is not recorded.
    pub(super) fn refuse(&mut self, uid: u64, time: BootNanos) {
        Refused::count(&mut self.disk.refused, uid, time);
        if self.options.losses.is_some() {
            Refused::count(&mut self.disk.news, uid, time);
        }
        self.stats.refused += 1;
    }

    /// Tells who wants to know of the events refused since the last time.
    pub(super) fn tell_news_of_refused(&mut self) {
        for (uid, refused) in std::mem::take(&mut self.disk.news) {
            self.tell_loss(refused.loss(uid));
        }
    }

    /// Looks at the file system once a second, and when much was written. True when the writer is stopped and does not try now.
    pub(super) fn rests(&mut self) -> bool {
        let due = self.disk.looked.is_none_or(|at| at.elapsed() >= LOOK);
        let part = self.options.reserve_bytes / PART_OF_RESERVE;
        let bytes = if part > 0 { self.total_bytes() } else { 0 };
        self.disk.bytes = self.disk.bytes.min(bytes);
        if due || bytes.saturating_sub(self.disk.bytes) > part {
            self.disk.looked = Some(Instant::now());
            (self.disk.bytes, self.disk.is_news) = (bytes, true);
            if let Ok(free) = file::free_bytes(&self.dir) {
                self.disk.free = free;
            }
            self.set_space();
        }
        self.disk.space == Space::Stopped && !due
    }

    fn set_space(&mut self) {
        let by_room = space_of(self.disk.free, self.options.reserve_bytes, self.disk.space);
        let stopped = self.disk.failed || self.disk.over_budget;
        self.disk.space = if stopped { Space::Stopped } else { by_room };
    }

    /// Notes how a commit went; when it went well, writes what was refused before.
    pub(super) fn committed(&mut self, done: Result<(), WriteError>) -> Result<(), WriteError> {
        let done = done.and_then(|()| self.try_again()).and_then(|()| self.tell_refused());
        self.disk.failed = matches!(done, Err(WriteError::Io { .. }));
        let budget = self.options.budget_bytes;
        self.disk.over_budget = budget > 0 && self.nothing_to_free && self.total_bytes() > budget;
        self.set_space();
        done
    }

    /// After a failure, writes and syncs something: only when that works there is room again. What a failed sync left
    /// behind is not trusted with what comes: that goes into a new segment.
    fn try_again(&mut self) -> Result<(), WriteError> {
        if !self.disk.failed {
            return Ok(());
        }
        if std::mem::take(&mut self.disk.sync_failed) {
            self.rotate_segment().inspect_err(|_| self.disk.sync_failed = true)?;
        }
        self.put_checkpoint(false)?;
        self.sync()
    }

    /// Writes what was refused as losses of the containers, while shedding once a second.
    fn tell_refused(&mut self) -> Result<(), WriteError> {
        let stays_stopped = self.disk.space == Space::Stopped && !self.disk.failed;
        let due = self.disk.told.is_none_or(|at| at.elapsed() >= LOOK);
        if self.disk.refused.is_empty() || stays_stopped || !(due || self.disk.space < Space::Shedding) {
            return Ok(());
        }
        self.disk.told = Some(Instant::now());
        for (uid, refused) in std::mem::take(&mut self.disk.refused) {
            self.write_loss(&refused.loss(uid))?;
        }
        self.flush_stage()
    }

    /// Gives up the store's oldest events while the file system is nearly full.
    pub(super) fn yield_space(&mut self) -> Result<(), WriteError> {
        let reserve = self.options.reserve_bytes;
        let is_news = std::mem::take(&mut self.disk.is_news);
        if reserve == 0 || self.disk.space < Space::Low || !is_news {
            return Ok(());
        }
        let floor = match self.options.budget_bytes {
            0 => self.segment_limit().saturating_mul(FLOOR_SEGMENTS),
            budget => budget / 4,
        };
        let most = self.total_bytes().saturating_sub(floor);
        let need = reserve.saturating_mul(2).saturating_sub(self.disk.free);
        match need.min(most).min(self.segment_limit().saturating_mul(FLOOR_SEGMENTS)) {
            0 => Ok(()),
            need => self.free(need, EvictionReason::DiskFull),
        }
    }
}

#[cfg(test)]
mod tests;
