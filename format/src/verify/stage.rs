//! What is in no block yet: no signature covers the stage, so it is told of and never believed.

use std::{collections::HashMap, path::Path};

use super::{Finding, FindingKind};
use crate::{
    Defect, DefectKind, OpenError,
    bytes::Malformed,
    stage::{
        file::{StageError, StageFile},
        row::Item,
    },
    store::STAGES,
};

/// Reads the stage files of a store; `ends` are the numbers behind the last rows that are in blocks. What a writer that
/// lives is just writing is not told of.
///
/// # Errors
/// A file that cannot be read, and which.
pub(super) fn check(dir: &Path, live: bool, ends: &HashMap<u64, u64>) -> Result<Vec<Finding>, OpenError> {
    let mut all = Vec::new();
    for number in STAGES.list(dir).map_err(|error| OpenError::reading(dir, error))? {
        let path = STAGES.path(dir, number);
        let mut found = |kind, offset, detail| {
            all.push(Finding { offset, ..Finding::of_file(kind, &path, detail) });
        };
        let (stage, damage) = match StageFile::read(&path) {
            Ok(read) => read,
            Err(StageError::Gone) => continue,
            Err(StageError::Io(error)) => return Err(OpenError::reading(&path, error)),
            Err(StageError::Defect(_)) if live => continue,
            Err(StageError::Defect(defect)) => {
                found(kind_of(&defect), Some(defect.offset), defect.detail);
                continue;
            }
        };
        let mut rows = 0u64;
        let mut count = |item: Item<'_>| {
            if let Item::Event(uid, row, _, _) = item {
                rows += u64::from(ends.get(&uid).is_none_or(|end| row >= *end));
            }
        };
        stage
            .for_each(&mut count, |at, Malformed(what)| {
                found(FindingKind::BadBytes, Some(at), what.to_owned());
            })
            .map_err(|error| OpenError::reading(&path, error))?;
        for defect in damage.told(live) {
            found(kind_of(&defect), Some(defect.offset), defect.detail);
        }
        if rows > 0 {
            let detail = format!("`{rows}` events are in no block yet: no signature covers them");
            found(FindingKind::NotSignedYet, None, detail);
        }
    }
    Ok(all)
}

fn kind_of(defect: &Defect) -> FindingKind {
    match defect.kind {
        DefectKind::Torn => FindingKind::TornTail,
        _ => FindingKind::BadBytes,
    }
}
