//! Hash trees of RFC 6962 over the blocks of a segment, and pruned trees that prove some of them.
//!
//! A pruned tree of some leaves is the list of the hashes of all largest subtrees without any of them, in the order
//! of a walk from left to right: together with the leaves it gives the root, and nothing else of the others.

use sha2::{Digest, Sha256};

use crate::payload::Hash;

/// The hash of a leaf over these bytes.
pub(crate) fn leaf(bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// A tree that grows leaf by leaf and keeps only what its root needs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tree {
    /// Roots of full subtrees, largest first: one for each bit of the size.
    full: Vec<Hash>,
    size: u64,
}

impl Tree {
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut size = self.size;
        while size & 1 == 1
            && let Some(left) = self.full.pop()
        {
            hash = node(&left, &hash);
            size >>= 1;
        }
        self.full.push(hash);
        self.size += 1;
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn root(&self) -> Hash {
        self.full.iter().rev().copied().reduce(|right, left| node(&left, &right)).unwrap_or_else(empty)
    }
}

/// A tree of which some leaves and the roots of the largest subtrees without any of them are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partial<'a> {
    pub(crate) size: u64,
    /// Place and hash of the known leaves, rising.
    pub(crate) leaves: &'a [(u64, Hash)],
    /// The other subtrees' roots from left to right; none for a whole tree.
    pub(crate) pruned: &'a [Hash],
}

impl Partial<'_> {
    /// The root; `None` when the parts do not fit together.
    pub(crate) fn root(&self) -> Option<Hash> {
        self.prune(&[]).map(|(root, _)| root)
    }

    /// The root, and the pruned tree that proves the leaves at these rising places alone; `None` when the parts do
    /// not fit together.
    pub(crate) fn prune(&self, wanted: &[u64]) -> Option<(Hash, Vec<Hash>)> {
        let fits = self.leaves.is_sorted_by(|a, b| a.0 < b.0)
            && self.leaves.last().is_none_or(|last| last.0 < self.size);
        if !fits || self.size == 0 {
            return None;
        }
        let mut walk = Walk { rest: self.pruned.iter(), pruned: Vec::new() };
        let root = walk.subtree(0, self.size, self.leaves, wanted)?;
        walk.rest.next().is_none().then_some((root, walk.pruned))
    }
}

/// A walk over a partial tree that prunes it further.
struct Walk<'a> {
    rest: std::slice::Iter<'a, Hash>,
    pruned: Vec<Hash>,
}

impl Walk<'_> {
    /// The root of the `size` leaves from place `begin` on. Every call uses up a leaf or a hash, or halves the size:
    /// at most 64 deep.
    fn subtree(&mut self, begin: u64, size: u64, leaves: &[(u64, Hash)], wanted: &[u64]) -> Option<Hash> {
        let kept = self.pruned.len();
        let root = match leaves {
            [] if wanted.is_empty() => *self.rest.next()?,
            [] => return None,
            [(place, leaf)] if size == 1 => (*place == begin).then_some(*leaf)?,
            _ if size == 1 => return None,
            _ => {
                let half = 1u64 << (63 - (size - 1).leading_zeros());
                let middle = begin.checked_add(half)?;
                let (left, right) = leaves.split_at(leaves.partition_point(|(place, _)| *place < middle));
                let (wanted_left, wanted_right) = wanted.split_at(wanted.partition_point(|&p| p < middle));
                let left = self.subtree(begin, half, left, wanted_left)?;
                let right = self.subtree(middle, size - half, right, wanted_right)?;
                node(&left, &right)
            }
        };
        if wanted.is_empty() {
            self.pruned.truncate(kept);
            self.pruned.push(root);
        }
        Some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf(&[i as u8, (i >> 8) as u8])).collect()
    }

    fn root(leaves: &[Hash]) -> Hash {
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    }

    fn numbered(leaves: &[Hash]) -> Vec<(u64, Hash)> {
        (0..).zip(leaves.iter().copied()).collect()
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            _ => {
                // The largest power of two below the count.
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_rfc() {
        for count in 0..70 {
            assert_eq!(root(&leaves(count)), by_definition(&leaves(count)), "{count} leaves");
        }
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        // Test vectors of certificate-transparency's merkletree tests.
        assert_eq!(hex(root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let two = root(&[leaf(b""), leaf(&[0])]);
        assert_eq!(hex(two), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn a_pruned_tree_proves_its_leaves_and_no_others_also_when_pruned_twice() {
        for count in 1..40usize {
            let all = leaves(count);
            let size = count as u64;
            let whole = Partial { size, leaves: &numbered(&all), pruned: &[] };
            for pattern in [1usize, 2, 3, 5, 0x55, 0xf0, 0x8001, usize::MAX] {
                let places: Vec<u64> = (0..size).filter(|i| (pattern >> i) & 1 == 1).collect();
                let (top, pruned) = whole.prune(&places).unwrap();
                assert_eq!(top, root(&all));
                let some: Vec<(u64, Hash)> = places.iter().map(|&i| (i, all[i as usize])).collect();
                assert!(pruned.iter().all(|hash| !some.iter().any(|(_, leaf)| leaf == hash)));
                let part = Partial { size, leaves: &some, pruned: &pruned };
                assert_eq!(part.root(), Some(top));
                for index in 0..some.len() {
                    let mut other = some.clone();
                    other[index].1[3] ^= 1;
                    assert_ne!(Partial { leaves: &other, ..part }.root(), Some(top));
                    let mut moved = some.clone();
                    moved[index].0 += 1;
                    assert_ne!(Partial { leaves: &moved, ..part }.root(), Some(top));
                }
                let mut more = pruned.clone();
                more.push([0; 32]);
                assert_eq!(Partial { pruned: &more, ..part }.root(), None);
                let fewer: Vec<u64> = places.iter().copied().step_by(2).collect();
                assert_eq!(part.prune(&fewer), whole.prune(&fewer));
            }
        }
        let absurd = Partial { size: u64::MAX, leaves: &[(u64::MAX - 1, [0; 32])], pruned: &[] };
        assert_eq!(absurd.root(), None);
    }
}
