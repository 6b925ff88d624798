//! Which blocks a search reads: those in which anything can match, and those that the state at these needs.

use std::collections::HashSet;

use afterimage_format::{BlockInfo, BootNanos, ContainerUid};

use super::Filters;
use crate::trace::Trace;

/// Blocks of a recording, by their positions.
#[derive(Debug)]
pub(super) struct Selection {
    wanted: Vec<bool>,
    /// The containers of these, those around them, and the host.
    containers: HashSet<ContainerUid>,
    /// The end of the last of these; nothing is read behind it.
    last: Option<BootNanos>,
}

impl Selection {
    /// Whether an event of this block can match.
    pub(super) fn wants(&self, block: u32) -> bool {
        self.wanted.get(block as usize).copied().unwrap_or(true)
    }

    /// The blocks in which any event can match, by their positions.
    pub(super) fn wanted(&self) -> impl Iterator<Item = usize> {
        self.wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(index, _)| index)
    }

    /// Whether the block has to be read.
    pub(super) fn reads(&self, block: &BlockInfo) -> bool {
        self.last.is_some_and(|last| block.first <= last) && self.containers.contains(&block.container)
    }
}

impl Filters {
    /// The blocks in which all filters can match; `None` where every event has to be read.
    pub(super) fn select(&self, trace: &Trace, only: Option<ContainerUid>) -> Option<Selection> {
        if self.is_empty() || self.iter().any(|filter| filter.counts_events() || filter.needs_survey()) {
            return None;
        }
        let recording = &trace.recording;
        let frame = self.ready(trace, only).ok()?;
        let is_asked = |block: &BlockInfo| only.is_none_or(|uid| uid == block.container);
        let mut wanted: Vec<bool> = recording.blocks().iter().map(is_asked).collect();
        for filter in self.iter() {
            let mut passes = vec![false; wanted.len()];
            for index in filter.prefilter(&frame).blocks(recording) {
                passes[index] = true;
            }
            wanted.iter_mut().zip(passes).for_each(|(wanted, passes)| *wanted &= passes);
        }
        let selected = || recording.blocks().iter().filter(|block| wanted[block.index]);
        let outer = |uid: &ContainerUid| {
            recording.containers().iter().find(|s| s.record.uid == *uid).and_then(|s| s.record.outer)
        };
        let own: HashSet<ContainerUid> = selected().map(|block| block.container).collect();
        let around = |uid: ContainerUid| std::iter::successors(Some(uid), outer).take(8);
        let containers = own.into_iter().flat_map(around).chain([ContainerUid::HOST]).collect();
        let last = selected().map(|block| block.last).max();
        Some(Selection { wanted, containers, last })
    }
}

#[cfg(test)]
mod tests;
