//! A file that retention removed and that is there all the same: a crash came before it went, or it is just going.
//! Readers may still show what is in it, so it must be the file that was removed.

use std::{io, path::Path};

use super::{Finding, FindingKind, blocks::Continuity, segment};
use crate::{
    keeping::Tombstone,
    reader::scan::{LoadError, Loaded},
};

/// Compares the file with all that was told of its removal.
pub(super) fn check(path: &Path, walked: Result<Loaded, LoadError>, told: &[Tombstone]) -> Vec<Finding> {
    match walked {
        Ok(loaded) => compare(&loaded, told)
            .unwrap_or_else(|error| vec![differs(path, &format!("it cannot be read: {error}"))]),
        // It could not be read when it was removed, either.
        Err(_) if told.iter().all(|tombstone| tombstone.size == 0) => Vec::new(),
        Err(_) => vec![differs(path, "nothing in it can be read")],
    }
}

fn compare(loaded: &Loaded, told: &[Tombstone]) -> io::Result<Vec<Finding>> {
    // What else is in the store says nothing of its blocks any more.
    let mut own = Continuity::default();
    let mut findings = segment::check(loaded, false, (&mut own, 0), &mut |_| {})?.findings;
    findings.retain(|finding| finding.kind.is_damage());
    let tree = loaded.tree()?;
    let is_removed = |tombstone: &Tombstone| {
        (tombstone.size, tombstone.root) == (tree.size(), tree.root())
            && tombstone.link.is_none_or(|link| link == loaded.header.link)
    };
    // Blocks that are damaged are why it differs.
    if findings.is_empty() && !told.iter().all(is_removed) {
        findings.push(differs(&loaded.path, "its blocks are others"));
    }
    Ok(findings)
}

fn differs(path: &Path, why: &str) -> Finding {
    let detail = format!("retention removed a file of this name, and this is not that: {why}");
    Finding::of_file(FindingKind::BadProof, path, detail)
}
