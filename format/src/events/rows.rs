//! The rows of a decoded block, and how one of them is lent as an event.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::{
    BootNanos, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_FIELDS, TaskKey,
    limits, reader::StringId,
};

/// A field of a decoded row: where its bytes lie.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FieldAt {
    pub(super) begin: u32,
    pub(super) len: u32,
    pub(super) full_len: u32,
    pub(super) tag: u8,
    pub(super) flags: u8,
}

/// The rows of a block, by task and time.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) container: ContainerUid,
    pub(super) time: Vec<u64>,
    pub(super) task: Vec<u32>,
    pub(super) tasks: Vec<TaskKey>,
    pub(super) code: Vec<u16>,
    pub(super) ret: Vec<i64>,
    pub(super) flags: Vec<u32>,
    pub(super) cpu: Vec<u16>,
    pub(super) class: Vec<u8>,
    /// Empty when no row has one.
    pub(super) duration: Vec<Option<u64>>,
    pub(super) arg_end: Vec<u32>,
    pub(super) args: Vec<u64>,
    pub(super) field_end: Vec<u32>,
    pub(super) fields: Vec<FieldAt>,
    pub(super) bytes: Vec<u8>,
}

/// Room for the fields of nearly all events.
const FEW_FIELDS: usize = 2;
const NO_FIELD: Field<'static> = Field { tag: FieldTag(0), flags: FieldFlags(0), full_len: 0, bytes: &[] };

impl Rows {
    /// Empties it and keeps its memory for the rows of another block.
    pub(super) fn clear(&mut self) {
        self.time.clear();
        self.task.clear();
        self.tasks.clear();
        self.code.clear();
        self.ret.clear();
        self.flags.clear();
        self.cpu.clear();
        self.class.clear();
        self.duration.clear();
        self.arg_end.clear();
        self.args.clear();
        self.field_end.clear();
        self.fields.clear();
        self.bytes.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    pub(crate) fn codes(&self) -> &[u16] {
        &self.code
    }

    pub(crate) fn results(&self) -> &[i64] {
        &self.ret
    }

    pub(crate) fn times(&self) -> &[u64] {
        &self.time
    }

    pub(crate) fn cpus(&self) -> &[u16] {
        &self.cpu
    }

    pub(crate) fn flags(&self) -> &[u32] {
        &self.flags
    }

    pub(crate) fn tasks(&self) -> (&[u32], &[TaskKey]) {
        (&self.task, &self.tasks)
    }

    /// The first field of a row with this tag: equal strings of a block lie at one place.
    pub(crate) fn string(&self, row: usize, tag: FieldTag) -> Option<StringId> {
        let at = span(&self.field_end, row, &self.fields)?.iter().find(|at| at.tag == tag.0)?;
        Some(StringId(at.begin, at.len))
    }

    /// A row's numbers.
    pub(crate) fn numbers(&self, row: usize) -> &[u64] {
        span(&self.arg_end, row, &self.args).unwrap_or(&[])
    }

    /// The tags of a row's fields.
    pub(crate) fn tags(&self, row: usize) -> impl Iterator<Item = FieldTag> + '_ {
        let fields = span(&self.field_end, row, &self.fields).unwrap_or(&[]);
        fields.iter().map(|at| FieldTag(at.tag))
    }

    pub(crate) fn time(&self, row: usize) -> u64 {
        self.time.get(row).copied().unwrap_or(0)
    }

    /// The class's number that the recorder gave this row.
    pub(crate) fn class(&self, row: usize) -> u8 {
        self.class.get(row).copied().unwrap_or(u8::MAX)
    }

    /// Row numbers in order of time.
    pub(crate) fn by_time(&self) -> Vec<u32> {
        let rows = 0..self.time.len() as u32;
        if self.time.is_sorted() {
            return rows.collect();
        }
        self.in_order(rows)
    }

    /// These rows, which rise, in order of time.
    pub(crate) fn in_order(&self, rows: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
        const ROW_BITS: u32 = limits::BLOCK_ROWS.trailing_zeros();
        const { assert!(limits::BLOCK_ROWS.is_power_of_two()) };
        let times = || rows.clone().map(|row| self.time(row as usize));
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        if (last - first).leading_zeros() < ROW_BITS {
            // A stable merge sort: the rows are rising runs already, one per task.
            let mut rows: Vec<u32> = rows.collect();
            rows.sort_by_key(|&row| self.time(row as usize));
            return rows;
        }
        // Time and row in one number: what is compared lies together.
        let keyed = times().zip(rows.clone()).map(|(time, row)| (time - first) << ROW_BITS | u64::from(row));
        let mut keys: Vec<u64> = keyed.collect();
        sort_above(&mut keys, ROW_BITS, u64::BITS - (last - first).leading_zeros());
        keys.into_iter().map(|key| key as u32 & ((1 << ROW_BITS) - 1)).collect()
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn memory(&self) -> usize {
        fn of<T>(values: &Vec<T>) -> usize {
            values.capacity() * size_of::<T>()
        }
        let times = of(&self.time) + of(&self.duration) + of(&self.ret);
        let tasks = of(&self.task) + of(&self.tasks) + of(&self.cpu);
        let kinds = of(&self.code) + of(&self.flags) + of(&self.class);
        let fields = of(&self.field_end) + of(&self.fields) + of(&self.bytes);
        times + tasks + kinds + of(&self.arg_end) + of(&self.args) + fields
    }

    /// Lends a row as an event.
    #[inline]
    pub(crate) fn with<R>(&self, row: usize, f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        let at = lent(&self.field_end, row, &self.fields)?;
        // Most events have few fields: clearing room for all that are possible costs more than all the rest.
        if at.len() > FEW_FIELDS {
            return self.with_many(row, at, f);
        }
        let mut fields = [NO_FIELD; FEW_FIELDS];
        self.lend_fields(at, &mut fields)?;
        self.lend(row, fields.get(..at.len())?, f)
    }

    #[inline(never)]
    fn with_many<R>(&self, row: usize, at: &[FieldAt], f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        let mut fields = [NO_FIELD; MAX_FIELDS];
        self.lend_fields(at, &mut fields)?;
        self.lend(row, fields.get(..at.len())?, f)
    }

    #[inline]
    fn lend_fields<'a>(&'a self, at: &[FieldAt], fields: &mut [Field<'a>]) -> Option<()> {
        for (lent, at) in fields.iter_mut().zip(at) {
            let begin = at.begin as usize;
            *lent = Field {
                tag: FieldTag(at.tag),
                flags: FieldFlags(at.flags),
                full_len: at.full_len,
                bytes: self.bytes.get(begin..begin + at.len as usize)?,
            };
        }
        Some(())
    }

    #[inline]
    fn lend<R>(&self, row: usize, fields: &[Field<'_>], f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        let task = self.task.get(row).and_then(|task| self.tasks.get(*task as usize));
        Some(f(&Event {
            time: BootNanos(self.time(row)),
            duration: self.duration.get(row).copied().flatten(),
            task: task.copied().unwrap_or_default(),
            code: EventCode(*self.code.get(row)?),
            flags: EventFlags(self.flags.get(row).copied().unwrap_or(0)),
            cpu: self.cpu.get(row).copied().unwrap_or(0),
            ret: self.ret.get(row).copied().unwrap_or(0),
            args: lent(&self.arg_end, row, &self.args)?,
            fields,
        }))
    }

    /// Moves all times by `base`, for recordings of several boots.
    pub(crate) fn rebase(&mut self, base: u64) {
        if base == 0 {
            return;
        }
        self.time.iter_mut().for_each(|t| *t = t.saturating_add(base));
        self.tasks.iter_mut().filter(|t| t.start.0 != 0).for_each(|t| {
            t.start.0 = t.start.0.saturating_add(base);
        });
        let mut begin = 0usize;
        for (code, &end) in self.code.iter().zip(&self.arg_end) {
            if let Some(index) = crate::layout::boot_time_index(EventCode(*code))
                && let Some(value) = self.args.get_mut(begin..end as usize).and_then(|a| a.get_mut(index))
                && *value != crate::layout::UNKNOWN
                && *value != 0
            {
                *value = value.saturating_add(base);
            }
            begin = end as usize;
        }
    }
}

/// Sorts keys by so many bits above the lowest ones, in which they rise already.
fn sort_above(keys: &mut Vec<u64>, lowest: u32, bits: u32) {
    /// A digit's bits: its counts fit into the nearest cache.
    const DIGIT: u32 = 11;
    /// With more digits than these, or fewer keys than a digit has values, merging the runs that there are is faster.
    const MOST_DIGITS: u32 = 4;
    let digits = bits.div_ceil(DIGIT);
    if digits > MOST_DIGITS || keys.len() < 1 << DIGIT {
        keys.sort();
        return;
    }
    let mut sorted = vec![0; keys.len()];
    for digit in 0..digits {
        let of = |key: u64| (key >> (lowest + digit * DIGIT)) as usize % (1 << DIGIT);
        let mut begins = [0u32; 1 << DIGIT];
        for &key in keys.iter() {
            if let Some(count) = begins.get_mut(of(key)) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for begin in &mut begins {
            sum += std::mem::replace(begin, sum);
        }
        for &key in keys.iter() {
            let Some(begin) = begins.get_mut(of(key)) else { continue };
            if let Some(to) = sorted.get_mut(*begin as usize) {
                *to = key;
            }
            *begin += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

/// As [`span`], and nothing where the column was not decoded.
#[inline]
fn lent<'a, T>(ends: &[u32], row: usize, items: &'a [T]) -> Option<&'a [T]> {
    if ends.is_empty() { Some(&[]) } else { span(ends, row, items) }
}

/// The part of `items` that belongs to `row`, by the rows' ends.
#[inline]
fn span<'a, T>(ends: &[u32], row: usize, items: &'a [T]) -> Option<&'a [T]> {
    let begin = if row == 0 { 0 } else { *ends.get(row - 1)? };
    items.get(begin as usize..*ends.get(row)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_of_time_whatever_the_times() {
        for (count, bits) in
            [(10u64, 40), (5_000, 9), (5_000, 21), (5_000, 22), (5_000, 44), (5_000, 45), (5_000, 63)]
        {
            let time = |row: u64| 7 + (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits));
            let rows = Rows { time: (0..count).map(time).collect(), ..Rows::default() };
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|row| rows.time(*row as usize));
            assert_eq!(rows.by_time(), expected, "{count} rows within {bits} bits");
        }
    }
}
