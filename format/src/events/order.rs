//! Grouping by task or code: a stable counting sort that writer and reader share.

use std::ops::Range;

/// Rows grouped by a small key: all rows of key 0 in order, then all of key 1, ...
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The rows' numbers.
    pub(super) rows: Vec<u32>,
    /// Where each group ends in `rows`.
    pub(super) ends: Vec<u32>,
}

impl Groups {
    /// Groups all rows by `keys`, which are below `count`.
    pub(super) fn of(keys: &[u32], count: usize) -> Self {
        let mut groups = Self::default();
        groups.refill(keys, count);
        groups
    }

    /// As [`Self::of`], in the memory that it has.
    pub(super) fn refill(&mut self, keys: &[u32], count: usize) {
        self.rows.clear();
        self.ends.clear();
        if count == 1 {
            self.rows.extend(0..keys.len() as u32);
            self.ends.push(keys.len() as u32);
            return;
        }
        let next = &mut self.ends;
        next.resize(count, 0);
        for key in keys {
            if let Some(slot) = next.get_mut(*key as usize) {
                *slot += 1;
            }
        }
        let mut sum = 0;
        for slot in next.iter_mut() {
            let begin = sum;
            sum += *slot;
            *slot = begin;
        }
        self.rows.resize(keys.len(), 0);
        for (row, key) in (0..).zip(keys) {
            if let Some(slot) = next.get_mut(*key as usize) {
                if let Some(to) = self.rows.get_mut(*slot as usize) {
                    *to = row;
                }
                *slot += 1;
            }
        }
    }

    /// Where each group lies in `rows`, empty ones included.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut begin = 0;
        self.ends.iter().map(move |&end| std::mem::replace(&mut begin, end as usize)..end as usize)
    }

    /// The groups in order, empty ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.ranges().map(|range| self.rows.get(range).unwrap_or(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_within() {
        let groups = Groups::of(&[1, 0, 3, 1, 0, 1], 4);
        let got: Vec<_> = groups.iter().map(<[u32]>::to_vec).collect();
        assert_eq!(got, [vec![1, 4], vec![0, 3, 5], vec![], vec![2]]);
    }

    #[test]
    fn memory_that_was_used_before_tells_nothing() {
        let mut groups = Groups::default();
        for (keys, count) in [(&[1, 0, 3, 1, 0, 1][..], 4), (&[0, 0], 1), (&[2, 1, 0], 3), (&[], 2)] {
            groups.refill(keys, count);
            let fresh = Groups::of(keys, count);
            assert_eq!((groups.rows.clone(), groups.ends.clone()), (fresh.rows, fresh.ends));
        }
    }
}
