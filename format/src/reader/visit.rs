//! Events in order for whoever can do without many of them: a row that is passed over is never made an event.

use std::ops::ControlFlow;

use super::{BlockInfo, Columns, Query, Recording, merge};
use crate::{ContainerUid, Direction, Event, EventId, ReadError};

/// Who is shown events in order of time.
pub trait Visitor {
    /// The rows of a block are about to come. All its columns are there.
    fn open(&mut self, block: u32, columns: &Columns);

    /// Whether a row need not be shown. Asked for each row when its turn has come.
    fn passes(&mut self, id: EventId) -> bool;

    /// An event that was not passed over.
    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()>;

    /// No more rows of a block come.
    fn close(&mut self, block: u32);
}

/// Wants every event.
pub(super) struct Every<F>(pub(super) F);

impl<F: FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>> Visitor for Every<F> {
    fn open(&mut self, _: u32, _: &Columns) {}

    fn passes(&mut self, _: EventId) -> bool {
        false
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        (self.0)(id, uid, event)
    }

    fn close(&mut self, _: u32) {}
}

impl Recording {
    /// As [`Self::walk_blocks`], for a visitor that passes rows over.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn show_blocks(
        &self,
        query: &Query,
        wanted: &dyn Fn(&BlockInfo) -> bool,
        visitor: &mut dyn Visitor,
    ) -> Result<(), ReadError> {
        let mut merge = merge::Merge::of(self, query, None, Direction::Forward, wanted);
        merge.show(visitor)
    }
}
