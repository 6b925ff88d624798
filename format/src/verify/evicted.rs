//! What retention removed, as far as segments tell it and sign it: only that is believed, not the files that it wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    Eviction,
    keeping::{self, FileId, KeptFile, Tombstone},
    meta::Record,
    reader::told,
};

/// What segments tell of removals, and sign.
#[derive(Debug, Default)]
pub(super) struct Evicted {
    pub(super) tombstones: BTreeMap<FileId, Tombstone>,
    /// Every one that was told of a file, where they differ.
    told: HashMap<FileId, Vec<Tombstone>>,
    /// What retention wrote, as often as that was told.
    kept: HashMap<u64, Vec<KeptFile>>,
    /// Kept files that were told of.
    known_kept: BTreeSet<u64>,
    evictions: BTreeMap<u64, Eviction>,
}

impl Evicted {
    /// Learns what a segment tells; newer ones come first.
    pub(super) fn learn(&mut self, records: &[Record]) {
        for record in records {
            self.known_kept.extend(told::kept_file(record));
            match record {
                Record::Tombstone(tombstone) => {
                    self.tombstones.entry(tombstone.file).or_insert(**tombstone);
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
        let is_missing = |number: &u64| {
            let id = FileId::Kept(*number);
            !read.contains(&id) && !self.is_gone(id) && !self.is_forgotten(id)
        };
        self.known_kept.iter().copied().filter(is_missing).collect()
    }

    /// Whether a kept file was told of.
    pub(super) fn knows_kept(&self, number: u64) -> bool {
        self.known_kept.contains(&number)
    }

    /// A file so old that its tombstone may be gone too.
    pub(super) fn is_forgotten(&self, id: FileId) -> bool {
        keeping::horizon(self.tombstones.keys().copied()).is_some_and(|horizon| id.rank() < horizon)
    }

    /// The segment before which nothing tells any more which of them were removed, where segments are missing there that are
    /// not among those `listed`.
    pub(super) fn forgotten_before(&self, listed: &[u64]) -> Option<u64> {
        let (age, is_kept, _) = keeping::horizon(self.tombstones.keys().copied())?;
        let before = age.saturating_add(u64::from(is_kept));
        let told = self.tombstones.keys().filter_map(|id| match id {
            FileId::Segment(number) => Some(*number),
            FileId::Kept(_) => None,
        });
        let known: HashSet<u64> =
            told.chain(listed.iter().copied()).filter(|number| *number < before).collect();
        ((known.len() as u64) < before).then_some(before)
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
