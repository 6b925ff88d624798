//! Keyframes: a container's state as whoever records it knows it, written between two of its blocks. What is in it is
//! not looked at here.
//!
//! One is wanted before a container's first row in a segment where it has rows before, and again behind so many rows
//! that what keyframes repeat takes a small part of the bytes. Not of a container that an earlier writer had rows of: whoever is
//! asked now has not seen them, unless it says that it has.

use super::StoreWriter;
use crate::{
    BootNanos, ContainerUid, Space, WriteError,
    block::{BlockHeader, kind},
    file, limits,
};

/// Rows between two keyframes, at least and at most: a block and what a reader rolls over in a moment.
const ROWS_MIN: u64 = limits::CUT_ROWS as u64;
const ROWS_MAX: u64 = 500_000;
/// Rows that pay for ten bytes that keyframes repeat.
const ROWS_FOR_TEN_BYTES: u64 = 33;

/// States that need not stand alone behind one that does, with it: a reader may have to read so many.
const STATES_BEHIND_FIRST: u32 = 32;

/// What a keyframe takes that tells nothing.
const HEADER: u64 = crate::block::HEADER_LEN as u64;

/// When a container's state is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// An earlier writer had rows of it.
    taken_over: bool,
    /// The segment in which the state was asked for last, or that has the first row.
    segment: Option<u64>,
    /// Number of the row before which that was.
    row: u64,
    /// Rows until the next.
    rows: u64,
    /// Time of the latest row.
    latest: u64,
    /// The segment that has the last state that stands alone, and the states written since, that one included.
    alone: Option<(u64, u32)>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { taken_over: false, segment: None, row: 0, rows: ROWS_MIN, latest: 0, alone: None }
    }
}

impl Wanted {
    /// An earlier writer had rows of the container.
    pub(super) fn taken_over(&mut self) {
        self.taken_over = true;
    }

    /// The state behind the latest row, of this time, is known after all: it is wanted before the next.
    fn known(&mut self, latest: BootNanos) {
        *self = Self { segment: Some(u64::MAX), latest: latest.0, ..Self::default() };
    }

    /// A row was taken.
    pub(super) fn pushed(&mut self, sequence: u64, time: BootNanos) {
        self.segment.get_or_insert(sequence);
        self.latest = self.latest.max(time.0);
    }

    /// Whether the state is wanted before the row of this number.
    fn is_due(&self, sequence: u64, next_row: u64) -> bool {
        let begins = self.segment.is_some_and(|segment| segment != sequence);
        !self.taken_over && (begins || next_row.saturating_sub(self.row) >= self.rows)
    }

    /// Whether the state that is asked for next is to stand alone.
    fn is_first(&self, sequence: u64) -> bool {
        !self.alone.is_some_and(|(segment, states)| segment == sequence && states < STATES_BEHIND_FIRST)
    }

    /// A state was written.
    fn written(&mut self, sequence: u64) {
        let states = if self.is_first(sequence) { 0 } else { self.alone.map_or(0, |(_, states)| states) };
        self.alone = Some((sequence, states + 1));
    }

    /// The state was asked for, and repeats so many bytes.
    fn asked(&mut self, sequence: u64, next_row: u64, bytes: u64) {
        (self.segment, self.row) = (Some(sequence), next_row);
        self.rows = (bytes.saturating_mul(ROWS_FOR_TEN_BYTES) / 10).clamp(ROWS_MIN, ROWS_MAX);
    }
}

/// Whether a container's state is to be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateDue {
    /// The container has no rows, of this writer or of an earlier one.
    Nothing,
    /// Not before the next event.
    NotNow,
    /// Its state, after all events of it that were pushed, is to be given to [`StoreWriter::push_state`] before the next is
    /// pushed.
    Now {
        /// It is to stand alone: it is the first in its segment, or there were many behind the last that did.
        is_first: bool,
    },
}

impl StoreWriter {
    /// Whether the state of a container is to be written before its next event.
    pub fn state_due(&self, uid: ContainerUid) -> StateDue {
        match self.containers.get(uid.0).filter(|entry| entry.next_row > 0) {
            None if self.containers.has_ended(uid.0) => StateDue::NotNow,
            None => StateDue::Nothing,
            Some(entry)
                if entry.states.is_due(self.segment.sequence(), entry.next_row)
                    && self.space() < Space::Shedding =>
            {
                StateDue::Now { is_first: entry.states.is_first(self.segment.sequence()) }
            }
            Some(_) => StateDue::NotNow,
        }
    }

    /// Who records a container that an earlier writer had rows of has come to know its state all the same, behind so many
    /// `rows`, the latest of this time: it gets keyframes again. `false` where it has other rows: that is another state.
    pub fn state_known(&mut self, uid: ContainerUid, rows: u64, latest: BootNanos) -> bool {
        let entry = self.containers.entry(uid.0);
        let is_its = rows > 0 && entry.next_row == rows;
        if is_its {
            entry.states.known(latest);
        }
        is_its
    }

    /// Writes the state of a container after all events of it that were pushed: a keyframe, from which readers roll
    /// forward. It is not in the stage: a kill can lose it, and nothing with it. No bytes: the state is not known, and is
    /// asked for again later. Of the bytes so many `repeated` ones will be in the next as well, if nothing changes: they
    /// say how often the state is asked for. What a keyframe tells once costs the same however many there are.
    ///
    /// # Errors
    /// [`WriteError`]; nothing is written then, and it is asked for again later.
    pub fn push_state(&mut self, uid: ContainerUid, state: &[u8], repeated: usize) -> Result<(), WriteError> {
        let begun = file::cpu_clock();
        let written = self.write_state(uid.0, state);
        let sequence = self.segment.sequence();
        if let Some(entry) = self.containers.get_mut(uid.0) {
            let part = repeated.min(state.len()) as u64;
            let whole = state.len().max(1) as u64;
            let repeated = |bytes: u64| HEADER + bytes.saturating_sub(HEADER).saturating_mul(part) / whole;
            let bytes =
                written.as_ref().map_or(u64::MAX, |&bytes| if bytes == 0 { 0 } else { repeated(bytes) });
            entry.states.asked(sequence, entry.next_row, bytes);
        }
        self.stats.encode_time += file::cpu_clock().saturating_sub(begun);
        written.map(drop)
    }

    fn write_state(&mut self, uid: u64, state: &[u8]) -> Result<u64, WriteError> {
        if state.is_empty() {
            return Ok(0);
        }
        let (found, limit) = (state.len(), limits::STATE_BYTES);
        if found > limit {
            return Err(WriteError::TooLarge { what: "bytes of state", found, limit });
        }
        self.cut(uid, 0)?;
        let base = self.time_base;
        let Some(entry) = self.containers.get_mut(uid) else { return Ok(0) };
        self.payload.clear();
        let root = self.encoder.encode_state(state, &mut self.payload);
        let latest = entry.states.latest;
        let mut header = BlockHeader {
            container: uid,
            first_row: entry.next_row,
            earliest: latest,
            first: latest,
            last: latest,
            base,
            lost: entry.lost,
            number: entry.next_block,
            ..BlockHeader::of_store(kind::STATE, 0, root)
        };
        let appended = self.segment.append(&mut header, &self.payload, &[]);
        let bytes = appended.map(|_| header.total_len() as u64);
        let bytes = bytes.map_err(|source| self.segment_error("write", source))?;
        if let Some(entry) = self.containers.get_mut(uid) {
            entry.next_block += 1;
            entry.states.written(self.segment.sequence());
        }
        self.stats.blocks += 1;
        self.stats.keyframes += 1;
        self.stats.keyframe_bytes += bytes;
        Ok(bytes)
    }
}
