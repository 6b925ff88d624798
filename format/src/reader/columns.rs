//! Some columns of a block, for questions that can be answered without making events of its rows.

use super::{Recording, blocks::header_as_indexed};
use crate::{
    ContainerUid, Event, EventCode, FieldTag, ReadError, TaskKey,
    block::{self, BlockHeader},
    bytes::Malformed,
    events::{decode::EventDecoder, rows::Rows},
};

/// Which columns to decode. Codes always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Wanted(u8);

impl Wanted {
    /// Results.
    pub const RESULTS: Self = Self(1);
    /// Times.
    pub const TIMES: Self = Self(2);
    /// CPUs.
    pub const CPUS: Self = Self(4);
    /// Numbers.
    pub const NUMBERS: Self = Self(8);
    /// Byte fields, and the results, which their lengths depend on.
    pub const FIELDS: Self = Self(16 | 1);
    /// Flags of events.
    pub const FLAGS: Self = Self(32);
    /// Threads.
    pub const THREADS: Self = Self(64);
    /// What can be decoded for the rows of some codes alone, or costs nothing.
    pub(crate) const BY_CODE_ALONE: Self =
        Self::RESULTS.with(Self::FLAGS).with(Self::CPUS).with(Self::THREADS);
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether all columns of `other` are wanted.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A string of a block: equal ones are the same string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StringId(pub(crate) u32, pub(crate) u32);

impl StringId {
    /// It as a number, [`u64::MAX`] for none.
    pub const fn as_number(self) -> u64 {
        (self.0 as u64) << 32 | self.1 as u64
    }
}

/// Some columns of a block. Rows have the numbers of [`crate::EventId::row`]; a column that was not wanted is empty.
#[derive(Debug)]
pub struct Columns {
    pub(super) rows: Rows,
}

impl Columns {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.codes().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.codes().is_empty()
    }

    /// Whose.
    pub fn container(&self) -> ContainerUid {
        self.rows.container
    }

    /// Each row's code.
    pub fn codes(&self) -> &[u16] {
        self.rows.codes()
    }

    /// Each row's result.
    pub fn results(&self) -> &[i64] {
        self.rows.results()
    }

    /// Each row's time.
    pub fn times(&self) -> &[u64] {
        self.rows.times()
    }

    /// Each row's CPU.
    pub fn cpus(&self) -> &[u16] {
        self.rows.cpus()
    }

    /// Each row's flags; empty also where no row has any.
    pub fn flags(&self) -> &[u32] {
        self.rows.flags()
    }

    /// Each row's thread as a position among the block's threads, which are distinct.
    pub fn tasks(&self) -> (&[u32], &[TaskKey]) {
        self.rows.tasks()
    }

    /// The first field of a row with this tag.
    pub fn string(&self, row: usize, tag: FieldTag) -> Option<StringId> {
        self.rows.string(row, tag)
    }

    /// A row's numbers.
    pub fn numbers(&self, row: usize) -> &[u64] {
        self.rows.numbers(row)
    }

    /// The tags of a row's fields.
    pub fn tags(&self, row: usize) -> impl Iterator<Item = FieldTag> + '_ {
        self.rows.tags(row)
    }

    /// Lends a row as an event: what was not wanted is zero or not there.
    pub fn with<R>(&self, row: usize, f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        self.rows.with(row, f)
    }
}

/// Decodes columns of blocks; keeps its buffers between them.
#[derive(Debug)]
pub struct ColumnReader<'r> {
    recording: &'r Recording,
    decoder: Option<EventDecoder>,
}

impl Recording {
    /// A reader of columns.
    pub fn column_reader(&self) -> ColumnReader<'_> {
        ColumnReader { recording: self, decoder: EventDecoder::new().ok() }
    }
}

impl ColumnReader<'_> {
    /// Takes back columns that are not needed any more: their memory is for the next block.
    pub fn take_back(&mut self, columns: Columns) {
        if let Some(decoder) = &mut self.decoder {
            decoder.take_back(columns.rows);
        }
    }

    /// Columns of the block of this index; `None` when it is damaged, which becomes a defect.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn read(&mut self, index: usize, wanted: Wanted) -> Result<Option<Columns>, ReadError> {
        self.read_columns(index, |decoder, header, payload| decoder.columns(header, payload, wanted, None))
    }

    /// As [`Self::read`] for who asks nothing of rows of other codes than those that `only` names: the results and flags
    /// of these may be 0.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn read_of(
        &mut self,
        index: usize,
        wanted: Wanted,
        only: &dyn Fn(EventCode) -> bool,
    ) -> Result<Option<Columns>, ReadError> {
        let only: &dyn Fn(u16) -> bool = &|code| only(EventCode(code));
        self.read_columns(index, |decoder, header, payload| {
            decoder.columns(header, payload, wanted, Some(only))
        })
    }

    /// As [`Self::read`] for who asks for results, numbers and fields only of the codes that `whole` names: of others they
    /// may be 0 or not there.
    pub(super) fn read_few(
        &mut self,
        index: usize,
        wanted: Wanted,
        whole: &dyn Fn(EventCode) -> bool,
    ) -> Result<Option<Columns>, ReadError> {
        let whole: &dyn Fn(u16) -> bool = &|code| whole(EventCode(code));
        self.read_columns(index, |decoder, header, payload| decoder.few(header, payload, wanted, whole))
    }

    fn read_columns(
        &mut self,
        index: usize,
        decode: impl FnOnce(&mut EventDecoder, &BlockHeader, &[u8]) -> Result<Rows, Malformed>,
    ) -> Result<Option<Columns>, ReadError> {
        let (Some(place), Some(decoder)) = (self.recording.place(index), &mut self.decoder) else {
            return Ok(None);
        };
        let bytes = self.recording.block_bytes(&place)?;
        let rows = header_as_indexed(&bytes, &place.entry).and_then(|header| {
            let payload = block::checked_payload(&header, &bytes)?;
            decode(decoder, &header, payload)
        });
        match rows {
            Ok(mut rows) => {
                rows.rebase(place.entry.base);
                Ok(Some(Columns { rows }))
            }
            Err(Malformed(what)) => {
                self.recording.found_unreadable(index, &place, what);
                Ok(None)
            }
        }
    }
}
