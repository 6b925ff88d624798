//! Grouping by task or code: a stable counting sort that writer and reader share.

use std::ops::Range;

/// Rows grouped by a small key: all rows of key 0 in order, then all of key 1, ...
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The rows' numbers.
    pub(super) rows: Vec<u32>,
    /// Where each group ends in `rows`.
    pub(super) ends: Vec<u32>,
    /// How many rows have each key, in `rows` or not.
    pub(super) sizes: Vec<u32>,
}

/// Keys of a byte, which most are.
pub(super) const BYTE: usize = 256;

impl Groups {
    /// Groups all rows by `keys`, which are below `count`.
    pub(super) fn of(keys: &[u32], count: usize) -> Self {
        let mut groups = Self::default();
        groups.refill(keys, count);
        groups
    }

    /// As [`Self::of`], in the memory that it has.
    pub(super) fn refill<K: Copy + Into<u64>>(&mut self, keys: &[K], count: usize) {
        self.count(keys, count);
        if count == 1 {
            self.rows.extend(0..keys.len() as u32);
            self.ends.push(keys.len() as u32);
            return;
        }
        self.begin(|_| true);
        for (row, &key) in (0..).zip(keys) {
            self.put(key.into() as usize, row);
        }
    }

    /// As [`Self::refill`], with the rows of the chosen keys only, which are fewer: the groups of others are empty.
    pub(super) fn refill_chosen<K: Copy + Into<u64>>(&mut self, keys: &[K], chosen: &[bool]) {
        self.count(keys, chosen.len());
        self.begin(|key| chosen.get(key).copied().unwrap_or(false));
        let mut is_chosen = [false; BYTE];
        is_chosen.iter_mut().zip(chosen).for_each(|(to, chosen)| *to = *chosen);
        let is_chosen = |key: usize| match chosen.len() <= BYTE {
            true => is_chosen[key % BYTE],
            false => chosen.get(key).copied().unwrap_or(false),
        };
        // First which of 64 rows are: what is asked of each row must not depend on the one before.
        for (part, keys) in (0u32..).zip(keys.chunks(64)) {
            let mut left = bits(keys, is_chosen);
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                if let Some(&key) = keys.get(bit as usize) {
                    self.put(key.into() as usize, part * 64 + bit);
                }
            }
        }
    }

    /// Counts how many rows have each key.
    fn count<K: Copy + Into<u64>>(&mut self, keys: &[K], count: usize) {
        self.rows.clear();
        self.ends.clear();
        self.sizes.clear();
        self.sizes.resize(count, 0);
        if count > BYTE {
            for &key in keys {
                if let Some(size) = self.sizes.get_mut(key.into() as usize) {
                    *size += 1;
                }
            }
            return;
        }
        // Side by side: to count a key that was counted a moment ago is to wait for that.
        let mut lanes = [[0u32; BYTE]; 4];
        let (fours, rest) = keys.as_chunks::<4>();
        for keys in fours {
            for (lane, &key) in lanes.iter_mut().zip(keys) {
                lane[key.into() as usize % BYTE] += 1;
            }
        }
        for &key in rest {
            lanes[0][key.into() as usize % BYTE] += 1;
        }
        for lane in &lanes {
            self.sizes.iter_mut().zip(lane).for_each(|(size, own)| *size += own);
        }
    }

    /// Makes room for the groups: each ends, for now, where it begins.
    fn begin(&mut self, has_rows: impl Fn(usize) -> bool) {
        let mut sum = 0;
        for (key, &size) in self.sizes.iter().enumerate() {
            self.ends.push(sum);
            if has_rows(key) {
                sum += size;
            }
        }
        self.rows.resize(sum as usize, 0);
    }

    fn put(&mut self, key: usize, row: u32) {
        if let Some(slot) = self.ends.get_mut(key) {
            if let Some(to) = self.rows.get_mut(*slot as usize) {
                *to = row;
            }
            *slot += 1;
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

/// A bit for each of at most 64 keys, the first one's lowest: whether it is so of that key.
#[inline]
fn bits<K: Copy + Into<u64>>(keys: &[K], is: impl Fn(usize) -> bool) -> u64 {
    let bit = |(at, &key): (u32, &K)| u64::from(is(key.into() as usize)) << at;
    // Of just eight, each has its place from the start.
    let (eights, rest) = keys.as_chunks::<8>();
    let all =
        eights.iter().rev().fold(0, |all, eight| all << 8 | (0..).zip(eight).map(bit).fold(0, |a, b| a | b));
    (eights.len() as u32 * 8..).zip(rest).map(bit).fold(all, |all, bit| all | bit)
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

    #[test]
    fn groups_that_were_not_chosen_are_empty_and_the_others_as_ever() {
        for count in [1u32, 3, 5, 256, 300] {
            let keys: Vec<u32> = (0..1000).map(|row| row * row % 7919 % count).collect();
            let all = Groups::of(&keys, count as usize);
            for third in 0..3 {
                let chosen: Vec<bool> = (0..count).map(|key| key % 3 == third).collect();
                let mut some = Groups::default();
                some.refill_chosen(&keys, &chosen);
                assert_eq!(some.sizes, all.sizes);
                for ((key, all), some) in (0..).zip(all.iter()).zip(some.iter()) {
                    assert_eq!(some, if key % 3 == third { all } else { &[] }, "{key} of {count}");
                }
            }
        }
    }
}
