//! Reads only the blocks that a question needs: what can be in each, and events of chosen ones.

use std::ops::ControlFlow;

use super::{BlockInfo, Query, Recording, merge};
use crate::{
    ContainerUid, Direction, Event, EventId, ReadError,
    events::{decode::EventDecoder, filter::BlockFilter},
};

impl Recording {
    /// Calls `visit` with every block of [`Self::blocks`] and what can be in it, as far as the file says. Reads no
    /// events.
    pub fn filters(&self, visit: &mut dyn FnMut(&BlockInfo, Option<&BlockFilter>)) {
        let mut decoder = EventDecoder::new().ok();
        for block in &self.blocks {
            let filter = decoder.as_mut().and_then(|decoder| self.filter(block.index, decoder));
            visit(block, filter.as_ref());
        }
    }

    /// As [`Self::walk`] forward from the first event, of the blocks that `wanted` lets pass only.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn walk_blocks(
        &self,
        query: &Query,
        wanted: &dyn Fn(&BlockInfo) -> bool,
        visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut merge = merge::Merge::new(self, query, None, Direction::Forward);
        merge.only(wanted);
        while let Some((_, flow)) = merge.next(visit)? {
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}
