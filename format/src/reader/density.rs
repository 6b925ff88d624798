//! How many events there are, when: counts per class over parts of a range.
//!
//! Counters of blocks are added up without decoding rows where their buckets are narrower than a column; a bucket
//! counts in the column that holds its middle. Where columns are narrower, rows are decoded and counted exactly.

use super::{BlockInfo, Query, Recording, blocks::Decoded};
use crate::{
    BootNanos, Class, ContainerUid,
    events::{
        counts::{Counts, class_index},
        decode::EventDecoder,
    },
};

/// Counts of each class in each of `columns` equal parts of `begin..end`.
pub(super) fn density(
    recording: &Recording,
    container: Option<ContainerUid>,
    begin: BootNanos,
    end: BootNanos,
    columns: usize,
) -> Vec<[u32; Class::COUNT]> {
    let mut grid = Grid {
        begin: begin.0,
        span: end.0.saturating_sub(begin.0),
        counts: vec![[0; Class::COUNT]; columns],
    };
    let Ok(mut decoder) = EventDecoder::new() else { return grid.counts };
    if grid.span == 0 || columns == 0 {
        return grid.counts;
    }
    let query = Query {
        containers: container.into_iter().collect(),
        begin: Some(begin),
        end: Some(BootNanos(end.0 - 1)),
    };
    for block in recording.blocks.iter().filter(|block| query.touches(block)) {
        match recording.counts(block.index, &mut decoder) {
            Some(counts) if grid.resolves(&counts, block) => grid.add_counts(&counts, block),
            _ => {
                if let Ok(Some(decoded)) = recording.decode(block.index, true, &mut decoder) {
                    grid.add_rows(&decoded);
                }
            }
        }
    }
    grid.counts
}

/// The columns of a timeline.
struct Grid {
    begin: u64,
    span: u64,
    counts: Vec<[u32; Class::COUNT]>,
}

impl Grid {
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
