//! Pins: what retention must not remove.
//!
//! Pins are records of the store. Each segment that begins where there ever were pins says anew which hold, so that none
//! comes back when the segment that took it away is removed before the one that made it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    StoreWriter,
    held::{HeldBlock, first_event},
};
use crate::{BootNanos, Pin, WriteError, file, keeping::PinIndex, meta::Record};

/// Most pins of a store.
const PINS: usize = 4096;
/// Most containers of a pin.
const CONTAINERS: usize = 4096;
/// Longest id and longest reason. Bytes.
const ID_BYTES: usize = 256;
const REASON_BYTES: usize = 4096;
/// How long the sum of what pins hold is believed.
const SUM_AGE: Duration = Duration::from_secs(1);

/// A pin was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// What it would hold is more than the budget leaves for pins.
    #[error(
        "the pin `{id}` would hold `{needed}` bytes, and of the `{limit}` bytes that pins may take in the store's \
         budget `{available}` are left"
    )]
    DoesNotFit {
        /// The pin.
        id: String,
        /// Bytes that it would hold now, besides what other pins hold.
        needed: u64,
        /// Bytes that are left for pins.
        available: u64,
        /// Bytes that all pins together may hold.
        limit: u64,
    },
    /// There are as many pins as there can be.
    #[error("the store has `{limit}` pins already, and can have no more")]
    TooMany {
        /// How many.
        limit: usize,
    },
    /// It is not one that can be written.
    #[error("a pin's {what} has `{found}` {unit}; between `{least}` and `{most}` are possible")]
    Refused {
        /// Which part of it.
        what: &'static str,
        /// Of what.
        unit: &'static str,
        /// How many it has.
        found: usize,
        /// How many it must have.
        least: usize,
        /// How many it can have.
        most: usize,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What all pins hold, as far as it was summed up.
#[derive(Debug, Clone, Copy)]
pub(super) struct PinnedSum {
    bytes: u64,
    at: Instant,
}

impl StoreWriter {
    /// Holds events against eviction, or changes the pin of this id. All pins together can hold three quarters of the
    /// budget. What is written later counts too: when pins have outgrown that, those that would hold what is written
    /// next end there ([`super::StoreStats::pins_closed`]). What is in a block already is never removed while it is
    /// pinned. The pin survives a power cut after the next [`Self::sync`] or the next commit that syncs.
    ///
    /// # Errors
    /// [`PinError`]; what was pinned before still is, and nothing more.
    pub fn pin(&mut self, pin: Pin) -> Result<(), PinError> {
        self.check_pin(&pin)?;
        if self.options.budget_bytes > 0 {
            let held = self.pinned_sum();
            let needed = self.held_alone(&pin);
            // The same pin as it was holds part of the sum; as it will be it counts from nothing.
            let before = self.keeping.pins.iter().find(|known| known.id == pin.id);
            let before = before.map_or(0, |known| self.held_alone(known));
            let limit = self.pin_budget();
            let available = limit.saturating_sub(held.saturating_sub(before));
            if needed > available {
                return Err(PinError::DoesNotFit { id: pin.id, needed, available, limit });
            }
        }
        self.put_pin(Record::Pin(pin))?;
        Ok(())
    }

    /// Takes a pin away; false when there is none of this id. As durable as [`Self::pin`].
    ///
    /// # Errors
    /// [`WriteError`]: then it still holds.
    pub fn unpin(&mut self, id: &str) -> Result<bool, WriteError> {
        if !self.keeping.pins.iter().any(|pin| pin.id == id) {
            return Ok(false);
        }
        self.put_pin(Record::Unpin(id.to_owned()))?;
        Ok(true)
    }

    /// All pins, in the order in which they were made or last changed.
    pub fn pins(&self) -> &[Pin] {
        &self.keeping.pins
    }

    /// Bytes on disk that pins hold, and how many they may.
    pub fn pinned_bytes(&mut self) -> (u64, u64) {
        (self.pinned_sum(), self.pin_budget())
    }

    /// Bytes that the store takes on disk, stage included.
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes()
    }

    /// The oldest event that is in a block, as a time of the store.
    pub fn oldest_event(&self) -> Option<BootNanos> {
        let held = self.held.files().filter_map(|(_, file)| file.first);
        held.min().or_else(|| first_event(self.segment.entries()))
    }

    /// Since when nothing was removed of any container, as a time of the store: the oldest event, or the youngest that was removed.
    pub fn whole_since(&self) -> Option<BootNanos> {
        let removed = self.keeping.evictions.values().map(|(eviction, _)| eviction.until);
        self.oldest_event().map(|oldest| removed.fold(oldest, Ord::max))
    }

    /// A time of this boot as a time of the store: what readers show and pins are made of.
    pub fn store_time(&self, time: BootNanos) -> BootNanos {
        BootNanos(time.0.saturating_add(self.time_base))
    }

    /// A wall clock time (nanoseconds since 1970) as a time of the store, as good as the wall clock.
    pub fn store_time_at(&self, real: i64) -> BootNanos {
        let now = self.store_time(BootNanos(file::boot_clock()));
        let ago = file::wall_clock().saturating_sub(real);
        BootNanos(now.0.saturating_add_signed(ago.saturating_neg()))
    }

    fn check_pin(&self, pin: &Pin) -> Result<(), PinError> {
        let parts = [
            ("id", "bytes", pin.id.len(), 1, ID_BYTES),
            ("reason", "bytes", pin.reason.len(), 0, REASON_BYTES),
            ("list", "containers", pin.containers.len(), 0, CONTAINERS),
        ];
        for (what, unit, found, least, most) in parts {
            if found < least || found > most {
                return Err(PinError::Refused { what, unit, found, least, most });
            }
        }
        let known = self.keeping.pins.iter().any(|known| known.id == pin.id);
        if !known && self.keeping.pins.len() >= PINS {
            return Err(PinError::TooMany { limit: PINS });
        }
        Ok(())
    }

    fn put_pin(&mut self, record: Record) -> Result<(), WriteError> {
        self.put_keeping(std::slice::from_ref(&record))?;
        let here = self.here();
        self.keeping.learn(&record, here);
        self.pinned = None;
        Ok(())
    }

    /// What a segment that begins now says of pins.
    pub(super) fn pin_records(&self) -> Vec<Record> {
        if !self.keeping.had_pins {
            return Vec::new();
        }
        let pins = self.keeping.pins.iter().cloned().map(Record::Pin);
        std::iter::once(Record::Unpin(String::new())).chain(pins).collect()
    }

    fn pin_budget(&self) -> u64 {
        match self.options.budget_bytes {
            0 => u64::MAX,
            budget => budget / 4 * 3,
        }
    }

    /// Bytes on disk that this pin holds and no other one does.
    fn held_alone(&self, pin: &Pin) -> u64 {
        let others = PinIndex::new(self.keeping.pins.iter().filter(|other| other.id != pin.id));
        let index = PinIndex::new([pin]);
        let alone = |block: &HeldBlock| block.is_pinned(&index) && !block.is_pinned(&others);
        let active: u64 = self.active_blocks().filter(alone).map(|block| block.bytes).sum();
        let held: u64 = if pin.containers.is_empty() {
            self.held.bytes_of(alone)
        } else {
            let of: BTreeSet<u64> = pin.containers.iter().map(|uid| uid.0).collect();
            let blocks = of.into_iter().flat_map(|uid| self.held.of_container(uid));
            blocks.filter(|block| alone(block)).map(|block| block.bytes).sum()
        };
        active + held
    }

    fn active_blocks(&self) -> impl Iterator<Item = HeldBlock> {
        let entries = self.segment.entries().iter().enumerate();
        entries.filter_map(|(number, entry)| HeldBlock::of(number, entry))
    }

    /// Bytes that all pins hold.
    fn pinned_sum(&mut self) -> u64 {
        if let Some(sum) = self.pinned.filter(|sum| sum.at.elapsed() < SUM_AGE) {
            return sum.bytes;
        }
        let index = PinIndex::new(&self.keeping.pins);
        let mut bytes = 0;
        if !index.is_empty() {
            let active = self.active_blocks().filter(|block| block.is_pinned(&index));
            bytes = active.map(|block| block.bytes).sum::<u64>();
            bytes += self.held.bytes_of(|block| block.is_pinned(&index));
        }
        self.pinned = Some(PinnedSum { bytes, at: Instant::now() });
        bytes
    }

    /// Takes away the pins that have lapsed.
    pub(super) fn lapse_pins(&mut self) -> Result<(), WriteError> {
        let now = file::wall_clock();
        let lapsed = self.keeping.pins.iter().filter(|pin| pin.until.is_some_and(|until| until <= now));
        let lapsed: Vec<String> = lapsed.map(|pin| pin.id.clone()).collect();
        lapsed.into_iter().try_for_each(|id| self.put_pin(Record::Unpin(id)))
    }

    /// When pins hold more than they may, ends the one of those still growing that holds most; another one when what
    /// they hold has grown on, and all when they hold seven eighths of the budget. What is pinned by then stays so.
    pub(super) fn close_pins(&mut self, now: BootNanos) -> Result<(), WriteError> {
        let budget = self.options.budget_bytes;
        if self.keeping.pins.is_empty() || budget == 0 {
            return Ok(());
        }
        let now = self.store_time(now);
        let sum = self.pinned_sum();
        if sum <= self.pin_budget() {
            self.closed_at = None;
            return Ok(());
        }
        if self.closed_at.is_some_and(|at| sum < at.saturating_add(budget / 32)) {
            return Ok(());
        }
        let open = |pin: &&Pin| pin.end.is_none_or(|end| end > now);
        let open: Vec<Pin> = self.keeping.pins.iter().filter(open).cloned().collect();
        let closing = if sum > budget / 8 * 7 {
            open
        } else {
            open.into_iter().max_by_key(|pin| self.held_alone(pin)).into_iter().collect()
        };
        for pin in closing {
            self.put_pin(Record::Pin(Pin { end: Some(now), ..pin }))?;
            self.stats.pins_closed += 1;
        }
        self.closed_at = Some(sum);
        Ok(())
    }
}
