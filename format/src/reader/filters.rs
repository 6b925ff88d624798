//! Reads only the blocks that a question needs: what can be in each, and events of chosen ones.

use std::ops::ControlFlow;

use super::{BlockInfo, Query, Recording, Segment, blocks::header_as_indexed, merge};
use crate::{
    ContainerUid, Direction, Event, EventId, ReadError, block,
    events::{decode::EventDecoder, filter::BlockFilter},
    payload::Payload,
};

/// Of so many blocks the filters are kept in memory, some 30 MiB; those of more are read again by whoever asks again.
const KEPT_FILTERS: usize = 40_000;

impl Recording {
    /// Calls `visit` with every block of [`Self::blocks`] and what can be in it, as far as the file says. Reads no
    /// events.
    pub fn filters(&self, visit: &mut dyn FnMut(&BlockInfo, Option<&BlockFilter>)) {
        self.filters_kept(KEPT_FILTERS, visit);
    }

    /// As [`Self::filters`]; of more than so many blocks they are in memory a segment at a time.
    pub(super) fn filters_kept(&self, most: usize, visit: &mut dyn FnMut(&BlockInfo, Option<&BlockFilter>)) {
        let mut decoder = EventDecoder::new().ok();
        let forgets = self.blocks.len() > most;
        let mut before: Option<&Segment> = None;
        for block in &self.blocks {
            if forgets
                && let Some(segment) = self.place(block.index).and_then(|place| self.segment_of(&place))
            {
                if let Some(before) = before.filter(|before| !std::ptr::eq(*before, segment)) {
                    before.forget_filters();
                }
                before = Some(segment);
            }
            let filter = decoder.as_mut().and_then(|decoder| self.filter(block.index, decoder));
            visit(block, filter.as_ref());
        }
        if let Some(last) = before {
            last.forget_filters();
        }
    }

    /// Calls `visit` with the strings of a block one behind the other, without their ends, and then, where
    /// `with_data` asks for it, in the same way with its payloads and data. False when the block is damaged.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn texts(
        &self,
        index: usize,
        with_data: bool,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, ReadError> {
        let (Some(place), Ok(mut decoder)) = (self.place(index), EventDecoder::new()) else {
            return Ok(false);
        };
        let bytes = self.block_bytes(&place)?;
        let read = header_as_indexed(&bytes, &place.entry)
            .and_then(|header| block::checked_payload(&header, &bytes))
            .and_then(Payload::parse)
            .and_then(|payload| decoder.texts(&payload, with_data, visit));
        Ok(read.is_ok())
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
        let mut merge = merge::Merge::of(self, query, None, Direction::Forward, wanted);
        while let Some((_, flow)) = merge.next(visit)? {
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}
