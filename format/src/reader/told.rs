//! What segments tell of removals, as far as the chain signs it: what lies behind the last checkpoint of the last segment is
//! of a removal that a crash interrupted, or anybody's. Whether the signatures are right is for `verify` to say.

use std::{collections::HashSet, path::Path};

use super::scan::{self, Loaded};
use crate::{keeping::FileId, meta::Record, store::SEGMENTS};

/// Asked of each segment, from the newest to the oldest.
#[derive(Debug, Default)]
pub(crate) struct Signed {
    /// Segments that a later one says it was made after: its endorsement covers all that is in them.
    followed: HashSet<u64>,
}

impl Signed {
    /// The records of a segment that a checkpoint or the next segment covers.
    pub(crate) fn records<'a>(&mut self, loaded: &'a Loaded) -> &'a [Record] {
        let link = loaded.header.link;
        let is_unsigned = link.public_key == [0; 32];
        let is_covered = loaded.sealed || is_unsigned || self.followed.contains(&link.sequence);
        let count = if is_covered { loaded.records.len() } else { loaded.checkpointed };
        let signed = loaded.records.get(..count).unwrap_or(&[]);
        let gone = signed.iter().filter_map(|record| match record {
            Record::Tombstone(tombstone) => tombstone.link,
            _ => None,
        });
        self.followed.extend(gone.chain([link]).filter_map(|link| Some(link.previous?.sequence)));
        signed
    }
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
pub(super) fn kept_files(dir: &Path, segments: &[u64]) -> HashSet<u64> {
    let mut signed = Signed::default();
    let mut told = HashSet::new();
    for &number in segments.iter().rev() {
        if let Ok(loaded) = scan::load(&SEGMENTS.path(dir, number), true) {
            told.extend(signed.records(&loaded).iter().filter_map(kept_file));
        }
    }
    told
}
