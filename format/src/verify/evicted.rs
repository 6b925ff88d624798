//! What retention removed, as far as signed segments tell: only they are believed, not the files that it wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    Eviction,
    keeping::{FileId, KeptFile, TOMBSTONES, Tombstone},
    meta::Record,
};

/// What segments tell of removals.
#[derive(Debug, Default)]
pub(super) struct Evicted {
    pub(super) tombstones: BTreeMap<FileId, Tombstone>,
    /// Every one that was told of a file, where they differ.
    told: HashMap<FileId, Vec<Tombstone>>,
    /// What retention wrote, as often as that was told.
    kept: HashMap<u64, Vec<KeptFile>>,
    evictions: BTreeMap<u64, Eviction>,
}

impl Evicted {
    pub(super) fn learn(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Tombstone(tombstone) => {
                    self.tombstones.insert(tombstone.file, **tombstone);
                    let told = self.told.entry(tombstone.file).or_default();
                    if !told.contains(tombstone) {
                        told.push(**tombstone);
                    }
                }
                Record::Kept(file) => self.kept.entry(file.number).or_default().push(*file),
                Record::Eviction(eviction) => {
                    let known = self.evictions.entry(eviction.container.0).or_insert(*eviction);
                    if known.blocks <= eviction.blocks {
                        *known = *eviction;
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn is_gone(&self, id: FileId) -> bool {
        self.tombstones.contains_key(&id)
    }

    /// All that was told of a file's removal.
    pub(super) fn told_of(&self, id: FileId) -> &[Tombstone] {
        self.told.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The tombstone of a segment.
    pub(super) fn of_segment(&self, sequence: u64) -> Option<&Tombstone> {
        self.tombstones.get(&FileId::Segment(sequence))
    }

    /// Whether a kept file of so many blocks with this root is what retention wrote; `None` where nothing tells it.
    pub(super) fn is_as_kept(&self, number: u64, size: u64, root: [u8; 32]) -> Option<bool> {
        let told = self.kept.get(&number)?;
        Some(told.iter().all(|file| *file == KeptFile { number, size, root }))
    }

    /// Kept files that have what was moved, are not among those `read`, and were not removed.
    pub(super) fn missing_kept(&self, read: &HashSet<FileId>) -> BTreeSet<u64> {
        let moved = self.tombstones.values().filter_map(|tombstone| tombstone.moved_to);
        let told = moved.chain(self.kept.keys().copied());
        told.filter(|&number| {
            let id = FileId::Kept(number);
            !read.contains(&id) && !self.is_gone(id) && !self.is_forgotten(id.age())
        })
        .collect()
    }

    /// A segment so old that its tombstone may be gone too.
    pub(super) fn is_forgotten(&self, sequence: u64) -> bool {
        let oldest = self.tombstones.keys().find_map(|id| match id {
            FileId::Segment(number) => Some(*number),
            FileId::Kept(_) => None,
        });
        self.tombstones.len() >= TOMBSTONES && oldest.is_some_and(|oldest| sequence < oldest)
    }

    /// Blocks removed of each container.
    pub(super) fn blocks(&self) -> HashMap<u64, u64> {
        self.evictions.iter().map(|(uid, eviction)| (*uid, eviction.blocks)).collect()
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &Eviction> {
        self.evictions.values()
    }

    /// Runs of segments that are gone: first, last, reason's words, blocks kept of them.
    pub(super) fn runs(&self) -> Vec<(u64, u64, &'static str, u64)> {
        let mut runs: Vec<(u64, u64, &'static str, u64)> = Vec::new();
        for tombstone in self.tombstones.values() {
            let FileId::Segment(number) = tombstone.file else { continue };
            let reason = tombstone.reason.as_str();
            match runs.last_mut() {
                Some((_, last, why, moved)) if last.checked_add(1) == Some(number) && *why == reason => {
                    *last = number;
                    *moved += tombstone.moved_blocks;
                }
                _ => runs.push((number, number, reason, tombstone.moved_blocks)),
            }
        }
        runs
    }
}
