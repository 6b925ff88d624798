//! Containers in which a process may have another root directory than the container's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use afterimage_format::{ContainerUid, EventCode, EventFlags, Recording, Wanted};
use afterimage_model::syscalls;

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
    blocks.into_keys().collect()
}
