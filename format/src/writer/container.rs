//! What the writer holds of one container.

use super::states::Wanted;
use crate::{BootNanos, ContainerRecord, Loss, events::ingest::OpenBlock, meta::Record};

/// A container's pending rows and records, and its counters.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) open: OpenBlock,
    /// The latest record, while it may have to be repeated.
    record: Option<ContainerRecord>,
    /// The record has changed since it was last written to a block.
    changed: bool,
    /// The segment that has the latest record.
    written_in: Option<u64>,
    /// Gaps that are not in a block yet.
    pub(super) losses: Vec<Loss>,
    pub(super) lost: u64,
    /// Number of the next row to come.
    pub(super) next_row: u64,
    /// Number of the next block.
    pub(super) next_block: u64,
    /// Time of the first thing pending.
    pub(super) since: u64,
    /// The stage file of the first thing pending.
    pub(super) stage: Option<u64>,
    pub(super) finished: bool,
    /// When its state is wanted.
    pub(super) states: Wanted,
}

/// Where a container's rows and blocks go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    next_row: u64,
    next_block: u64,
    lost: u64,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            open: OpenBlock::new(),
            record: None,
            changed: false,
            written_in: None,
            losses: Vec::new(),
            lost: 0,
            next_row: 0,
            next_block: 0,
            since: 0,
            stage: None,
            finished: false,
            states: Wanted::default(),
        }
    }
}

impl Container {
    /// Notes that something is pending from now on.
    pub(super) fn pending_since(&mut self, stage: u64, time: BootNanos) {
        if self.stage.is_none() {
            (self.stage, self.since) = (Some(stage), time.0);
        }
        self.finished = false;
    }

    /// One that had ended, of which something comes late.
    pub(super) fn again(numbers: Numbers) -> Self {
        let Numbers { next_row, next_block, lost } = numbers;
        let mut states = Wanted::default();
        // Whoever is asked for its state has forgotten it.
        states.taken_over();
        Self { next_row, next_block, lost, states, ..Self::default() }
    }

    /// Goes on where an earlier writer ended.
    pub(super) fn go_on(&mut self, next_row: u64, next_block: u64, lost: u64) {
        (self.next_row, self.next_block, self.lost, self.finished) = (next_row, next_block, lost, true);
    }

    /// What is to be kept of it when it has ended and all of it is written.
    pub(super) fn ended(&self) -> Option<Numbers> {
        let Self { next_row, next_block, lost, .. } = *self;
        (self.finished && !self.has_pending()).then_some(Numbers { next_row, next_block, lost })
    }

    pub(super) fn has_pending(&self) -> bool {
        self.open.rows() > 0 || self.changed || !self.losses.is_empty()
    }

    pub(super) fn put_record(&mut self, record: ContainerRecord) {
        self.changed = true;
        match &mut self.record {
            Some(known) => known.absorb(record),
            None => self.record = Some(record),
        }
    }

    /// Notes a record that an earlier segment has: to be repeated in later ones.
    pub(super) fn know_record(&mut self, record: Record) {
        if self.record.is_none()
            && let Record::Container(record) = record
        {
            self.record = Some(*record);
        }
    }

    /// The records that a block of segment `sequence` has to carry now.
    pub(super) fn records_for(&self, sequence: u64) -> Vec<Record> {
        let needed = self.changed || self.written_in != Some(sequence);
        let record = self.record.as_ref().filter(|_| needed);
        let record = record.map(|r| Record::Container(Box::new(r.clone())));
        record.into_iter().chain(self.losses.iter().map(|&l| Record::Loss(l))).collect()
    }

    /// Everything pending is in a block of segment `sequence`; changes the open block for an empty one.
    pub(super) fn cut_done(&mut self, sequence: u64, spare: OpenBlock) -> OpenBlock {
        let cut = std::mem::replace(&mut self.open, spare);
        self.losses.clear();
        self.changed = false;
        self.written_in = Some(sequence);
        self.stage = None;
        self.next_block += 1;
        cut
    }

    /// A new segment begins: a container that has ended is not repeated in it.
    pub(super) fn segment_rotated(&mut self) {
        if self.ended().is_some() {
            self.record = None;
        }
    }
}
