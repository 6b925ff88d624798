//! States of containers, from which a reader rolls forward.

use std::ops::ControlFlow;

use super::{
    BlockInfo, Query, Recording,
    blocks::{Place, header_as_indexed},
    merge,
};
use crate::{
    BootNanos, ContainerUid, Direction, Event, EventId, ReadError, block, bytes::Malformed,
    events::decode::EventDecoder, payload::Payload,
};

/// A container's state as its recorder knew it, between two of its blocks.
#[derive(Debug, Clone, Copy)]
pub struct Keyframe {
    /// Whose.
    pub container: ContainerUid,
    /// Number of the container's first row that it does not know.
    pub row: u64,
    /// The latest time of the rows that it knows.
    pub at: BootNanos,
    /// To be added to the times in it.
    pub base: u64,
    /// Bytes on disk.
    pub stored: u64,
    place: Place,
}

impl Keyframe {
    pub(super) fn at(place: Place) -> Self {
        let entry = &place.entry;
        Self {
            container: ContainerUid(entry.container),
            row: entry.first_row,
            at: BootNanos(entry.last.saturating_add(entry.base)),
            base: entry.base,
            stored: u64::from(entry.len),
            place,
        }
    }
}

/// By container and row, each once: beside a writer the same one can be met before and after it was moved.
pub(super) fn in_order(mut keyframes: Vec<Keyframe>) -> Vec<Keyframe> {
    keyframes.sort_by_key(|keyframe| (keyframe.container, keyframe.row));
    keyframes.dedup_by_key(|keyframe| (keyframe.container, keyframe.row));
    keyframes
}

/// Whether those of each container are by time as well, as they are except in a damaged or hostile file.
pub(super) fn are_by_time(keyframes: &[Keyframe]) -> bool {
    keyframes.is_sorted_by(|a, b| a.container != b.container || a.at <= b.at)
}

impl Recording {
    /// Every keyframe, by container and row.
    pub fn keyframes(&self) -> &[Keyframe] {
        &self.keyframes
    }

    /// The keyframes of a container by row: the last of them knows most.
    pub fn keyframes_of(&self, uid: ContainerUid) -> &[Keyframe] {
        let begin = self.keyframes.partition_point(|keyframe| keyframe.container < uid);
        let end = self.keyframes.partition_point(|keyframe| keyframe.container <= uid);
        self.keyframes.get(begin..end).unwrap_or(&[])
    }

    /// The keyframes of a container that know nothing of `time` and later, by row.
    pub fn keyframes_before(&self, uid: ContainerUid, time: BootNanos) -> &[Keyframe] {
        let all = self.keyframes_of(uid);
        let end = match self.keyframes_by_time {
            true => all.partition_point(|keyframe| keyframe.at < time),
            false => all.iter().rposition(|keyframe| keyframe.at < time).map_or(0, |at| at + 1),
        };
        all.get(..end).unwrap_or(&[])
    }

    /// The bytes of a keyframe, as they were given to the writer; `None` when it is damaged, which becomes a defect.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn state(&self, keyframe: &Keyframe) -> Result<Option<Vec<u8>>, ReadError> {
        let bytes = self.block_bytes(&keyframe.place)?;
        let Ok(mut decoder) = EventDecoder::new() else { return Ok(None) };
        let state = header_as_indexed(&bytes, &keyframe.place.entry).and_then(|header| {
            let payload = Payload::parse(block::checked_payload(&header, &bytes)?)?;
            decoder.state(&payload)
        });
        match state {
            Ok(state) => Ok(Some(state)),
            Err(Malformed(what)) => {
                self.found_damage(&keyframe.place, what);
                Ok(None)
            }
        }
    }

    /// Calls `visit` with every event of a keyframe's container that the keyframe does not know, up to and including
    /// `end`, in order of time.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn walk_behind(
        &self,
        keyframe: &Keyframe,
        end: Option<BootNanos>,
        visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let query = Query { containers: vec![keyframe.container], begin: None, end };
        let is_wanted = |block: &BlockInfo| block.first_row >= keyframe.row;
        let mut merge = merge::Merge::of(self, &query, None, Direction::Forward, &is_wanted);
        while let Some((_, flow)) = merge.next(visit)? {
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}
