//! Pins: what retention must not remove.

use super::{StoreWriter, held::HeldBlock};
use crate::{BootNanos, ContainerUid, Pin, WriteError, keeping::FileId, meta::Record};

/// A pin was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// What it would hold is more than the budget leaves for pins.
    #[error("the pin would hold `{needed}` bytes, `{available}` are left for pins in the store's budget")]
    DoesNotFit {
        /// Bytes that it would hold now.
        needed: u64,
        /// Bytes that are left for pins.
        available: u64,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl StoreWriter {
    /// Holds events of `containers` (of all where there are none) between `begin` and `end` against eviction, and gives the
    /// pin's number. Pins can take three quarters of the budget. What is written later counts too: when pins have
    /// outgrown that, those that hold what is written now are closed ([`super::StoreStats::pins_closed`]).
    ///
    /// # Errors
    /// [`PinError::DoesNotFit`], and nothing is held; or it could not be written.
    pub fn pin(
        &mut self,
        containers: &[ContainerUid],
        begin: Option<BootNanos>,
        end: Option<BootNanos>,
        label: &[u8],
    ) -> Result<u64, PinError> {
        let base = |time: BootNanos| BootNanos(time.0.saturating_add(self.time_base));
        let pin = Pin {
            id: self.keeping.next_pin,
            containers: containers.to_vec(),
            begin: begin.map(base),
            end: end.map(base),
            label: label.to_vec(),
        };
        if self.options.budget_bytes > 0 {
            let held = self.pinned_bytes(&self.keeping.pins);
            let mut all = self.keeping.pins.clone();
            all.push(pin.clone());
            let needed = self.pinned_bytes(&all).saturating_sub(held);
            let available = self.pin_budget().saturating_sub(held);
            if needed > available {
                return Err(PinError::DoesNotFit { needed, available });
            }
        }
        let record = Record::Pin(pin.clone());
        self.put_keeping(std::slice::from_ref(&record))?;
        self.sync()?;
        self.keeping.learn(&record, FileId::Segment(self.segment.sequence()));
        Ok(pin.id)
    }

    /// Takes a pin away; false when there is none of this number.
    ///
    /// # Errors
    /// [`WriteError`]: then it still holds.
    pub fn unpin(&mut self, id: u64) -> Result<bool, WriteError> {
        if !self.keeping.pins.iter().any(|pin| pin.id == id) {
            return Ok(false);
        }
        let record = Record::Unpin(id);
        self.put_keeping(std::slice::from_ref(&record))?;
        self.sync()?;
        self.keeping.learn(&record, FileId::Segment(self.segment.sequence()));
        Ok(true)
    }

    /// All pins. Their times have the store's time base added.
    pub fn pins(&self) -> &[Pin] {
        &self.keeping.pins
    }

    fn pin_budget(&self) -> u64 {
        self.options.budget_bytes / 4 * 3
    }

    /// Bytes on disk that these pins hold.
    fn pinned_bytes(&self, pins: &[Pin]) -> u64 {
        let entries = self.segment.entries().iter().enumerate();
        let active = entries.filter_map(|(number, entry)| HeldBlock::of(number, entry));
        let active: u64 = active.filter(|block| block.is_pinned(pins)).map(|block| block.bytes).sum();
        active + self.held.bytes_of(|block| block.is_pinned(pins))
    }

    /// When pins hold more than they may, ends those that would hold still more: the newest first.
    pub(super) fn close_pins(&mut self, now: BootNanos) -> Result<(), WriteError> {
        let now = BootNanos(now.0.saturating_add(self.time_base));
        while self.pinned_bytes(&self.keeping.pins) > self.pin_budget() {
            let open = |pin: &&Pin| pin.end.is_none_or(|end| end > now);
            let Some(pin) = self.keeping.pins.iter().rev().find(open) else { break };
            let record = Record::Pin(Pin { end: Some(now), ..pin.clone() });
            self.put_keeping(std::slice::from_ref(&record))?;
            self.keeping.learn(&record, FileId::Segment(self.segment.sequence()));
            self.stats.pins_closed += 1;
        }
        Ok(())
    }
}
