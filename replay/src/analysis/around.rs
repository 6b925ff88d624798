//! What rows of streams and conversations need besides themselves: to tell times and names.

use afterimage_format::BootNanos;
use afterimage_model::{
    World,
    process::ProcessKey,
    text::{Safe, escape},
};

use crate::{output::Cell, time, trace::Trace};

/// The recording, the state and the container that rows are of.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The recording.
    pub trace: &'a Trace,
    /// Tells names of processes.
    pub world: &'a World,
    /// The container's start.
    pub start: BootNanos,
}

impl Around<'_> {
    pub(super) fn offset(&self, at: BootNanos) -> String {
        time::offset(i128::from(at.0) - i128::from(self.start.0))
    }

    pub(super) fn moment(&self, at: BootNanos) -> Cell {
        let text = Safe::format(format_args!("{}", self.offset(at)));
        Cell::both(text, self.trace.clock.rfc3339(at))
    }

    /// What a process was called at a moment.
    pub(super) fn name_at(&self, key: ProcessKey, at: BootNanos) -> Option<Safe> {
        self.world.process(key).and_then(|process| process.comm_at(at)).map(escape)
    }
}
