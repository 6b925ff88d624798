//! Writes a store: stage, open blocks, segments.

use std::path::{Path, PathBuf};

use crate::{
    BootNanos, Classify, ClockPair, ContainerRecord, ContainerUid, Event, Loss, OpenError, Origin, WriteError,
};

/// How a store is written.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A new segment is begun at this size. Bytes.
    pub segment_bytes: u64,
    /// An open block is cut at this age. Nanoseconds.
    pub block_age: u64,
    /// Group commit interval (`fdatasync`). Nanoseconds.
    pub sync_interval: u64,
    /// The whole store may take this much. Bytes; 0 for no limit.
    pub budget_bytes: u64,
    /// Which class an event counts in, for the timeline counters.
    pub classify: Classify,
}

/// What a writer did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Events accepted.
    pub events: u64,
    /// Bytes of segments on disk, written by this writer.
    pub bytes: u64,
    /// Bytes written to the stage.
    pub stage_bytes: u64,
    /// Blocks written.
    pub blocks: u64,
    /// Segments sealed.
    pub segments: u64,
}

/// The one writer of a store. Dropping it without [`Self::seal`] leaves what a kill -9 would leave.
#[derive(Debug)]
pub struct StoreWriter {}

impl StoreWriter {
    /// Opens the store in `dir`, making it when there is none; a second writer is refused. What an earlier writer
    /// left unsealed is recovered into blocks of the new segment and marked.
    ///
    /// # Errors
    /// [`OpenError`]: not writable, another version, in use.
    pub fn open(dir: &Path, origin: Origin, options: StoreOptions) -> Result<Self, OpenError> {
        let _ = (dir, origin, options);
        unimplemented!()
    }

    /// Takes one event over. After the next [`Self::commit`] it survives a kill -9 of this process.
    ///
    /// # Errors
    /// [`WriteError`]; the event is then not in the store, and the caller counts it as lost.
    pub fn push(&mut self, container: ContainerUid, event: &Event<'_>) -> Result<(), WriteError> {
        let _ = (container, event);
        unimplemented!()
    }

    /// Writes what is known of a container now; it is repeated in each later segment that has its events.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_container(&mut self, record: &ContainerRecord) -> Result<(), WriteError> {
        let _ = record;
        unimplemented!()
    }

    /// Writes a gap, in position.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_loss(&mut self, loss: &Loss) -> Result<(), WriteError> {
        let _ = loss;
        unimplemented!()
    }

    /// Writes a clock reading.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_clock(&mut self, pair: ClockPair) -> Result<(), WriteError> {
        let _ = pair;
        unimplemented!()
    }

    /// Hands everything pushed so far to the operating system (the stage), cuts blocks that are full or old,
    /// syncs when the interval has passed, rotates the segment when it is full. Call it after each drain, some
    /// hundred times a second at most. `now` is the time of the last event that can no longer be preceded.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn commit(&mut self, now: BootNanos) -> Result<(), WriteError> {
        let _ = now;
        unimplemented!()
    }

    /// Cuts the container's open block: it has ended.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish_container(&mut self, uid: ContainerUid) -> Result<(), WriteError> {
        let _ = uid;
        unimplemented!()
    }

    /// Cuts all blocks, writes the footer, syncs, and closes.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn seal(self) -> Result<PathBuf, WriteError> {
        unimplemented!()
    }

    /// What was done so far.
    pub fn stats(&self) -> StoreStats {
        unimplemented!()
    }

    /// The next free container uid of this store: uids are never reused, also across restarts.
    pub fn next_uid(&self) -> ContainerUid {
        unimplemented!()
    }
}
