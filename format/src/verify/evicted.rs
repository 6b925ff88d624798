//! What retention removed, as far as signed segments tell: only they are believed, not the files that it wrote.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    Eviction,
    keeping::{FileId, TOMBSTONES, Tombstone},
    meta::Record,
};

/// What segments tell of removals.
#[derive(Debug, Default)]
pub(super) struct Evicted {
    pub(super) tombstones: BTreeMap<FileId, Tombstone>,
    evictions: BTreeMap<u64, Eviction>,
}

impl Evicted {
    pub(super) fn learn(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Tombstone(tombstone) => {
                    self.tombstones.insert(tombstone.file, **tombstone);
                }
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

    /// The tombstone of a segment.
    pub(super) fn of_segment(&self, sequence: u64) -> Option<&Tombstone> {
        self.tombstones.get(&FileId::Segment(sequence))
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

    /// Whether something was moved into a kept file that is not among those `read`.
    pub(super) fn is_behind(&self, read: &HashSet<FileId>) -> bool {
        self.tombstones.values().filter_map(|tombstone| tombstone.moved_to).any(|number| {
            let id = FileId::Kept(number);
            !read.contains(&id) && !self.is_gone(id)
        })
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
