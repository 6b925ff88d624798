//! How many events there are, when: counts per class over parts of a range.
//!
//! Counters of blocks are added up without decoding rows where their buckets are narrower than a column; a bucket
//! counts in the column that holds its middle. Where columns are narrower, rows are decoded and counted exactly. Blocks that lie
//! across the border of a column are counted exactly too, as far as the caller allows rows to be read for it, those
//! across the border of the range first; columns in which a bucket was counted that is not wholly theirs are marked.

use super::{BlockInfo, Query, Recording, blocks::Decoded};
use crate::{
    BootNanos, Class, ContainerUid,
    events::{
        counts::{Counts, class_index},
        decode::EventDecoder,
    },
};

/// Counts of events over equal parts of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Events of each class, by [`Class::ALL`], in each part.
    pub counts: Vec<[u32; Class::COUNT]>,
    /// Which parts may have events of a neighbour counted in them, or the other way round.
    pub approximate: Vec<bool>,
}

/// Counts of each class in each of `columns` equal parts of `begin..end`; up to `rows` rows are read to count exactly what
/// lies across the borders of these.
pub(super) fn density(
    recording: &Recording,
    container: Option<ContainerUid>,
    begin: BootNanos,
    end: BootNanos,
    columns: usize,
    rows: u64,
) -> Histogram {
    let mut grid = Grid {
        begin: begin.0,
        span: end.0.saturating_sub(begin.0),
        counts: vec![[0; Class::COUNT]; columns],
        approximate: vec![false; columns],
        rows,
    };
    let Ok(mut decoder) = EventDecoder::new() else { return grid.into_histogram() };
    if grid.span == 0 || columns == 0 {
        return grid.into_histogram();
    }
    let query = Query {
        containers: container.into_iter().collect(),
        begin: Some(begin),
        end: Some(BootNanos(end.0 - 1)),
    };
    let all = recording.touched(&query);
    let touched = || all.iter().copied();
    let is_cut = |block: &BlockInfo| block.first < begin || end <= block.last;
    for block in touched().filter(|block| is_cut(block)).chain(touched().filter(|block| !is_cut(block))) {
        match recording.counts(block.index, &mut decoder) {
            Some(counts) if grid.resolves(&counts, block) && !grid.can_read(&counts, block) => {
                grid.add_counts(&counts, block);
            }
            _ => {
                if let Ok(Some(decoded)) = recording.decode(block.index, true, &mut decoder) {
                    grid.add_rows(&decoded);
                }
            }
        }
    }
    grid.into_histogram()
}

/// The columns of a timeline.
struct Grid {
    begin: u64,
    span: u64,
    counts: Vec<[u32; Class::COUNT]>,
    approximate: Vec<bool>,
    /// How many rows may still be read to count exactly.
    rows: u64,
}

impl Grid {
    fn into_histogram(self) -> Histogram {
        Histogram { counts: self.counts, approximate: self.approximate }
    }

    /// First and last moment of a bucket, as far as its block has any.
    fn bounds(counts: &Counts, index: usize, block: &BlockInfo) -> (u64, u64) {
        let begin = counts.begin.saturating_add(counts.width().saturating_mul(index as u64));
        let last = begin.saturating_add(counts.width() - 1);
        (begin.clamp(block.first.0, block.last.0), last.clamp(block.first.0, block.last.0))
    }

    /// Whether a block's counters do not fit the columns, and its rows may be read instead.
    fn can_read(&mut self, counts: &Counts, block: &BlockInfo) -> bool {
        let is_across = |(index, bucket): (usize, &[u32; Class::COUNT])| {
            let (first, last) = Self::bounds(counts, index, block);
            bucket.iter().any(|&count| count > 0) && self.column(first) != self.column(last)
        };
        let rows = self.rows.checked_sub(u64::from(block.rows));
        let Some(left) = rows.filter(|_| counts.buckets.iter().enumerate().any(is_across)) else {
            return false;
        };
        self.rows = left;
        true
    }

    /// Marks the columns that a bucket lies in, where it is not wholly in one.
    fn mark(&mut self, (first, last): (u64, u64)) {
        let ends = [self.column(first), self.column(last)];
        if ends[0] == ends[1] {
            return;
        }
        for column in ends.into_iter().flatten() {
            if let Some(approximate) = self.approximate.get_mut(column) {
                *approximate = true;
            }
        }
    }

    fn column(&self, time: u64) -> Option<usize> {
        let offset = time.checked_sub(self.begin).filter(|&o| o < self.span)?;
        Some((u128::from(offset) * self.counts.len() as u128 / u128::from(self.span)) as usize)
    }

    /// Whether counters are fine enough: all of the block in one column, or a bucket at most half a column wide.
    fn resolves(&self, counts: &Counts, block: &BlockInfo) -> bool {
        let first = self.column(block.first.0);
        (first.is_some() && first == self.column(block.last.0))
            || counts.width() <= self.span / self.counts.len() as u64 / 2
    }

    fn add_counts(&mut self, counts: &Counts, block: &BlockInfo) {
        for (index, bucket) in counts.buckets.iter().enumerate() {
            if bucket.iter().any(|&count| count > 0) {
                self.mark(Self::bounds(counts, index, block));
            }
            let middle = counts
                .begin
                .saturating_add(counts.width().saturating_mul(index as u64))
                .saturating_add(counts.width() / 2)
                .clamp(block.first.0, block.last.0);
            let Some(column) = self.column(middle).and_then(|c| self.counts.get_mut(c)) else { continue };
            for (count, more) in column.iter_mut().zip(bucket) {
                *count = count.saturating_add(*more);
            }
        }
    }

    fn add_rows(&mut self, decoded: &Decoded) {
        for row in 0..decoded.rows().len() {
            let column = self.column(decoded.rows().time(row));
            let class = class_index(decoded.rows().class(row));
            let cell = column.and_then(|c| self.counts.get_mut(c)).and_then(|c| c.get_mut(class));
            if let Some(count) = cell {
                *count = count.saturating_add(1);
            }
        }
    }
}
