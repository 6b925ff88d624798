//! Containers in which a process may have another root directory than the container's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use afterimage_format::{ContainerUid, EventCode, EventFlags, Recording, Wanted};
use afterimage_model::{Restoring, budget::Limits, syscalls};

/// Calls that give a process another root.
const CALLS: [&str; 2] = ["chroot", "pivot_root"];

/// The containers in whose recording a process that was no part of the set-up called `chroot` or `pivot_root`, in order, for
/// [`crate::Frame::rooted`]. Only blocks that have such a call are read; one that cannot be read counts as if it had.
pub fn rooted(recording: &Recording) -> Arc<[ContainerUid]> {
    let codes: BTreeSet<EventCode> =
        CALLS.iter().flat_map(|name| syscalls::codes_by_name(name)).copied().collect();
    let mut blocks: BTreeMap<ContainerUid, Vec<usize>> = BTreeMap::new();
    recording.filters(&mut |block, filter| {
        if filter.is_none_or(|filter| filter.codes().any(|code| codes.contains(&code))) {
            blocks.entry(block.container).or_default().push(block.index);
        }
    });
    let mut reader = recording.column_reader();
    let mut calls = |index: usize| {
        let only = |code| codes.contains(&code);
        let Ok(Some(columns)) = reader.read_of(index, Wanted::RESULTS, &only) else { return true };
        let flags = columns.flags();
        let is_setup =
            |row| flags.get(row).is_some_and(|flags| EventFlags(*flags).contains(EventFlags::SETUP));
        let mut rows = columns.codes().iter().zip(columns.results()).enumerate();
        rows.any(|(row, (code, ret))| codes.contains(&EventCode(*code)) && *ret >= 0 && !is_setup(row))
    };
    blocks.retain(|_, blocks| blocks.iter().any(|index| calls(*index)));
    let mut rooted: BTreeSet<ContainerUid> = blocks.into_keys().collect();
    rooted.extend(begun_without(recording).filter(|uid| had_any(recording, *uid)));
    rooted.into_iter().collect()
}

/// The containers whose first events are not in the recording.
fn begun_without(recording: &Recording) -> impl Iterator<Item = ContainerUid> {
    let mut first: BTreeMap<ContainerUid, u64> = BTreeMap::new();
    for block in recording.blocks() {
        let row = first.entry(block.container).or_insert(u64::MAX);
        *row = block.first_row.min(*row);
    }
    first.into_iter().filter(|(_, row)| *row > 0).map(|(uid, _)| uid)
}

/// Whether any process of a container had another root when the recording of it begins, as far as a keyframe tells.
fn had_any(recording: &Recording, uid: ContainerUid) -> bool {
    let Some(first) = recording.keyframes_of(uid).first() else { return false };
    let Ok(Some(bytes)) = recording.state(first) else { return true };
    let Ok(restoring) = Restoring::begin(Limits::default(), &bytes, first.base) else { return true };
    restoring
        .finish()
        .processes(uid)
        .iter()
        .any(|process| process.root.is_some() || process.has_threads_apart())
}
