//! Grouping by code or shape: a stable counting sort that writer and reader share.

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
    /// Groups `rows` (in this order) by `keys[row]`, all below `count`; a key that is not is left out.
    pub(super) fn of(keys: &[u32], rows: impl Iterator<Item = u32> + Clone, count: usize) -> Self {
        let mut next = vec![0u32; count + 1];
        for row in rows.clone() {
            let Some(key) = keys.get(row as usize) else { continue };
            if let Some(slot) = next.get_mut(*key as usize + 1) {
                *slot += 1;
            }
        }
        for index in 1..next.len() {
            next[index] += next[index - 1];
        }
        let mut sorted = vec![0u32; next.last().copied().unwrap_or(0) as usize];
        for row in rows {
            let Some(key) = keys.get(row as usize).filter(|k| (**k as usize) < count) else { continue };
            if let Some(slot) = next.get_mut(*key as usize) {
                if let Some(to) = sorted.get_mut(*slot as usize) {
                    *to = row;
                }
                *slot += 1;
            }
        }
        // Each group's begin has moved to its end.
        next.pop();
        Self { rows: sorted, ends: next }
    }

    /// As [`Self::of`] with all rows in order, in the memory that it has; all keys are below `count`.
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

/// Rows by code and within that by shape: the rows, and each run's end and shape. Rows without fields are in runs
/// of a shape without tags.
pub(super) fn by_two(
    codes: &[u32],
    code_count: usize,
    shapes: &[u32],
    shape_count: usize,
) -> (Vec<u32>, Vec<(u32, u32)>) {
    let by_shape = Groups::of(shapes, 0..shapes.len() as u32, shape_count);
    let rows = Groups::of(codes, by_shape.rows.iter().copied(), code_count).rows;
    let key = |row: u32| (codes.get(row as usize), shapes.get(row as usize));
    let mut runs = Vec::new();
    let mut end = 0u32;
    for run in rows.chunk_by(|&a, &b| key(a) == key(b)) {
        end += run.len() as u32;
        let shape = run.first().and_then(|&row| shapes.get(row as usize));
        runs.push((end, shape.copied().unwrap_or(0)));
    }
    (rows, runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_within() {
        let groups = Groups::of(&[1, 0, 3, 1, 0, 1], 0..6, 4);
        let got: Vec<_> = groups.iter().map(<[u32]>::to_vec).collect();
        assert_eq!(got, [vec![1, 4], vec![0, 3, 5], vec![], vec![2]]);
    }

    #[test]
    fn memory_that_was_used_before_tells_nothing() {
        let mut groups = Groups::default();
        for (keys, count) in [(&[1, 0, 3, 1, 0, 1][..], 4), (&[0, 0], 1), (&[2, 1, 0], 3), (&[], 2)] {
            groups.refill(keys, count);
            let fresh = Groups::of(keys, 0..keys.len() as u32, count);
            assert_eq!((groups.rows.clone(), groups.ends.clone()), (fresh.rows, fresh.ends));
        }
    }

    #[test]
    fn a_key_out_of_range_is_left_out() {
        let groups = Groups::of(&[1, 9, 0, 2], 0..4, 2);
        assert_eq!(groups.rows, [2, 0]);
    }
}
