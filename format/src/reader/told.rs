//! What segments tell of removals, as far as it is signed: what lies behind the last checkpoint is of a removal that a crash
//! interrupted, or anybody's. Whether the signatures are right is for `verify` to say.

use std::{collections::HashSet, path::Path};

use super::scan::{self, Loaded};
use crate::{keeping::FileId, meta::Record, store::SEGMENTS};

/// Takes away what tells of removals behind the last checkpoint of a segment that was opened by walking, where the first
/// `checkpointed` records are covered: retention signs what it tells before it removes anything. What the next segment
/// endorses counts no more than that, since it is made after whatever was there.
pub(super) fn drop_unsigned(records: &mut Vec<Record>, checkpointed: usize) {
    let is_removal =
        |record: &Record| matches!(record, Record::Tombstone(_) | Record::Kept(_) | Record::Eviction(_));
    let mut place = 0..;
    records.retain(|record| place.next().is_some_and(|at| at < checkpointed) || !is_removal(record));
}

/// The kept file that a segment's record is about.
pub(crate) fn kept_file(record: &Record) -> Option<u64> {
    match record {
        Record::Kept(file) => Some(file.number),
        Record::Tombstone(tombstone) => tombstone.moved_to,
        _ => None,
    }
}

/// Whether a kept file holds nothing that is not there besides: all that it says was removed is there. Retention tells of it
/// before it removes anything; where no segment does, a crash came first, and it is a copy that nobody needs.
pub(crate) fn is_spare(loaded: &Loaded, kept: &[u64], segments: &[u64]) -> bool {
    loaded.records.iter().all(|record| match record {
        Record::Tombstone(tombstone) => match tombstone.file {
            FileId::Kept(number) => kept.binary_search(&number).is_ok(),
            FileId::Segment(number) => segments.binary_search(&number).is_ok(),
        },
        _ => true,
    })
}

/// The kept files of which segments tell.
pub(crate) fn kept_files(dir: &Path, segments: &[u64]) -> HashSet<u64> {
    let loaded = segments.iter().filter_map(|&number| scan::load(&SEGMENTS.path(dir, number), true).ok());
    loaded.flat_map(|loaded| loaded.records).filter_map(|record| kept_file(&record)).collect()
}
