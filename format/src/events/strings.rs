//! The string table of a block being built.
//!
//! Contents are chosen by whoever is recorded, so the hash is keyed per table: nobody can make strings collide.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Distinct strings in order of their first appearance.
#[derive(Debug)]
pub(super) struct StringTable {
    hasher: RandomState,
    /// Id + 1 by hash, 0 for free; a power of two long, at most three quarters full.
    slots: Vec<u32>,
    /// Upper half of each string's hash, to compare before comparing bytes and to grow without hashing again.
    hashes: Vec<u64>,
    /// End of each string in `bytes`.
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

const FIRST_SLOTS: usize = 16;

impl StringTable {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            slots: vec![0; FIRST_SLOTS],
            hashes: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.hashes.clear();
        self.ends.clear();
        self.bytes.clear();
    }

    /// The id of `string`, a new one when it was not there.
    pub(super) fn intern(&mut self, string: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(string);
        let mut slot = self.slot(hash);
        loop {
            match self.slots[slot] {
                0 => break,
                taken if self.is(taken - 1, hash, string) => return taken - 1,
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len() as u32);
        self.hashes.push(hash);
        self.slots[slot] = id + 1;
        if self.ends.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        id
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn is(&self, id: u32, hash: u64, string: &[u8]) -> bool {
        self.hashes[id as usize] == hash && self.get(id) == string
    }

    /// The string `id`.
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let begin = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[begin as usize..self.ends[id] as usize]
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for id in 0..self.hashes.len() {
            let mut slot = self.slot(self.hashes[id]);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = id as u32 + 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Length of the string `id`.
    pub(super) fn length(&self, id: u32) -> u32 {
        self.get(id).len() as u32
    }

    /// Calls `visit` with each string.
    pub(super) fn each(&self, mut visit: impl FnMut(&[u8])) {
        (0..self.len() as u32).for_each(|id| visit(self.get(id)));
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_has_one_id_also_after_growing() {
        let mut table = StringTable::new();
        let name = |i: u32| format!("/usr/lib/{i}").into_bytes();
        let ids: Vec<_> = (0..1000).map(|i| table.intern(&name(i))).collect();
        assert_eq!(ids, (0..1000).collect::<Vec<_>>());
        assert_eq!(table.intern(b""), 1000);
        for i in 0..1000 {
            assert_eq!(table.intern(&name(i)), i);
            assert_eq!(table.get(i), name(i));
        }
        assert_eq!(table.len(), 1001);
        assert_eq!(table.length(7), 10);
    }
}
