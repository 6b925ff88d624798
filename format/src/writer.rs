//! Writes a store: stage, open blocks, segments.
//!
//! The way of an event: into its container's open block and into the stage's batch ([`StoreWriter::push`]); the
//! batch is handed to the operating system ([`StoreWriter::commit`]): from then on a kill loses nothing; every
//! sync interval stage and segment are synced: from then on a power cut loses nothing. When a block is full or old,
//! or its container has ended, it is encoded and appended to the segment. A stage file is removed when every row in
//! it is in a block that is synced.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;

use crate::{
    BootNanos, Class, Classify, ClockPair, ContainerRecord, ContainerUid, Event, Loss, OpenError, Origin,
    WriteError,
    block::{STORE_SCOPE, flag},
    events::{
        encode::{Around, EventEncoder},
        ingest::{OpenBlock, check_size},
    },
    file, limits,
    meta::Record,
    segment::{file::SegmentWriter, records::SegmentRecords},
    stage::file::StageWriter,
    store::StoreLock,
};

mod catalog;
mod container;
mod containers;
mod disk;
mod held;
mod pins;
mod recover;
mod retention;
mod rotate;
mod states;

use catalog::CatalogParts;
use containers::Containers;
use disk::Disk;
pub use disk::Space;
use held::Held;
pub use pins::PinError;
use pins::PinnedSum;
use retention::Keeping;
pub use states::StateDue;

/// How a store is written.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A new segment is begun at this size. Bytes.
    pub segment_bytes: u64,
    /// An open block is cut at this age. Nanoseconds.
    pub block_age: u64,
    /// Group commit interval (`fdatasync`). Nanoseconds.
    pub sync_interval: u64,
    /// The whole store may take this much, pins included. Bytes; 0 for no limit.
    pub budget_bytes: u64,
    /// Events older than this are removed. Nanoseconds; 0 for no limit.
    pub max_age: u64,
    /// So much of the file system is to stay free: below twice this much the store gives up old events, below it only
    /// what matters most is recorded, below a quarter of it nothing. Bytes; 0 to find out by failing.
    pub reserve_bytes: u64,
    /// No container may take more than this part of the budget. Percent; 0 or 100 for no limit of its own.
    pub container_share: u8,
    /// Which class an event counts in, for the timeline counters.
    pub classify: Classify,
    /// Who is told of each loss as soon as it is known, also where it cannot be written: what is refused, and not yet told in
    /// the store, comes with every commit.
    pub losses: Option<mpsc::Sender<Loss>>,
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
    /// Keyframes written.
    pub keyframes: u64,
    /// Bytes of keyframes on disk.
    pub keyframe_bytes: u64,
    /// CPU time spent encoding blocks: sorting, columns, compression, hashes. Nanoseconds.
    pub encode_time: u64,
    /// CPU time spent compressing and writing the stage. Nanoseconds.
    pub stage_time: u64,
    /// Events that retention removed.
    pub evicted_events: u64,
    /// Bytes that retention copied to keep them.
    pub moved_bytes: u64,
    /// Events that were refused because the disk was full.
    pub refused: u64,
    /// Pins that had to be ended early because they had outgrown their part of the budget.
    pub pins_closed: u64,
}

/// Where there is an age, as many segments make it up at least.
const SEGMENTS_OF_AGE: u64 = 16;
/// No segment is left for a new one below this.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// A checkpoint is written this often.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// A batch of the stage is handed over at this size also without a commit.
const BATCH_BYTES: usize = 4 << 20;
/// A stage file is left for a new one at this size; space for it is reserved in steps. Whoever opens the store reads all that
/// the stages hold, most of which is in blocks already: small files go sooner.
const STAGE_BYTES: u64 = 8 << 20;
/// One with so many bytes is left when it is as old as a block may be, a smaller one later: a new file costs as much as a sync.
const STAGE_WORTH: u64 = 1 << 20;
const STAGE_BYTES_MIN: u64 = 64 << 10;
const STAGE_STEPS: u64 = 4;
/// This many emptied blocks are kept for their memory, of those that had at least so many rows.
const SPARE_BLOCKS: usize = 4;
const SPARE_ROWS: usize = 4096;
/// Rows of all open blocks may take this much; above, the largest block is cut.
const OPEN_BYTES: usize = 64 << 20;

/// A part of a commit.
type Step = fn(&mut StoreWriter, BootNanos) -> Result<(), WriteError>;

/// The one writer of a store. Dropping it without [`Self::seal`] leaves what a kill -9 would leave.
#[derive(Debug)]
pub struct StoreWriter {
    dir: PathBuf,
    _lock: StoreLock,
    origin: Origin,
    options: StoreOptions,
    time_base: u64,
    segment: SegmentWriter,
    /// What the footer of this segment will repeat.
    records: SegmentRecords,
    stage: StageWriter,
    /// When the present stage file was begun.
    stage_begun: Option<BootNanos>,
    /// Stage files left behind whose rows are not all in synced blocks.
    old_stages: Vec<u64>,
    containers: Containers,
    /// Records of the whole store that are not in a block yet, and the stage file of the first of them.
    loose: Vec<Record>,
    loose_stage: u64,
    encoder: EventEncoder,
    payload: Vec<u8>,
    /// Emptied blocks whose memory is used again.
    spare: Vec<OpenBlock>,
    /// Bytes in all open blocks, about.
    open_bytes: usize,
    next_uid: u64,
    held: Held,
    catalog: CatalogParts,
    keeping: Keeping,
    /// Ended containers of which nothing is left, to be told.
    gone: Vec<ContainerUid>,
    /// What pins hold, as last summed up, and as it was when one was closed.
    pinned: Option<PinnedSum>,
    closed_at: Option<u64>,
    /// When retention last looked at everything, and whether it found nothing that could go.
    tended: Option<Instant>,
    nothing_to_free: bool,
    disk: Disk,
    segment_begun: Instant,
    last_sync: Instant,
    /// Signs this segment's checkpoints.
    key: SigningKey,
    /// Checkpoints in this segment, and the blocks before the one that ends it.
    checkpoints: u64,
    final_at: Option<u64>,
    last_checkpoint: Instant,
    stats: StoreStats,
}

impl Default for StoreOptions {
    /// Segments of 64 MiB, blocks of 5 s, a sync every 500 ms, no limits, no classes.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            block_age: 5_000_000_000,
            sync_interval: 500_000_000,
            budget_bytes: 0,
            max_age: 0,
            container_share: 0,
            reserve_bytes: 0,
            classify: |_| Class::Other,
            losses: None,
        }
    }
}

impl StoreWriter {
    /// Opens the store in `dir`, making it when there is none; a second writer is refused. What an earlier writer
    /// left unsealed is recovered into blocks of the new segment and marked.
    ///
    /// # Errors
    /// [`OpenError`]: not writable, another version, in use.
    pub fn open(dir: &Path, origin: Origin, options: StoreOptions) -> Result<Self, OpenError> {
        recover::open(dir, origin, options)
    }

    /// Takes one event over. After the next [`Self::commit`] it survives a kill -9 of this process.
    ///
    /// # Errors
    /// [`WriteError`]; the event is then not in the store. One that is too large the caller counts as lost; all others
    /// the store counts itself, and writes them as losses for a full disk as soon as it can.
    pub fn push(&mut self, container: ContainerUid, event: &Event<'_>) -> Result<(), WriteError> {
        let bytes = check_size(event)?;
        let class = (self.options.classify)(event);
        let taken = self.admits(class).and_then(|()| self.take(container, (event, bytes), class));
        if taken.is_err() {
            self.refuse(container.0, event.time);
        }
        taken
    }

    fn take(
        &mut self,
        container: ContainerUid,
        (event, bytes): (&Event<'_>, usize),
        class: Class,
    ) -> Result<(), WriteError> {
        let entry = self.containers.entry(container.0);
        if entry.open.is_full_with(event, bytes) {
            self.cut(container.0, 0)?;
        }
        if self.stage.pending() >= BATCH_BYTES {
            self.flush_stage()?;
        }
        let (stage, sequence) = (self.stage.number(), self.segment.sequence());
        let entry = self.containers.entry(container.0);
        entry.pending_since(stage, event.time);
        entry.states.pushed(sequence, event.time);
        self.stage.event(container.0, entry.next_row, event, class as u8);
        let before = entry.open.raw_bytes();
        entry.open.push(event, class as u8);
        entry.next_row += 1;
        self.open_bytes += entry.open.raw_bytes() - before;
        self.next_uid = self.next_uid.max(container.0.saturating_add(1));
        self.stats.events += 1;
        Ok(())
    }

    /// Writes what is known of a container now; it is repeated in each later segment that has its events.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_container(&mut self, record: &ContainerRecord) -> Result<(), WriteError> {
        let uid = record.uid.0;
        self.stage_record(&Record::Container(Box::new(record.clone())))?;
        let stage = self.stage.number();
        let entry = self.containers.entry(uid);
        entry.pending_since(stage, record.first_seen);
        entry.put_record(record.clone());
        self.next_uid = self.next_uid.max(uid.saturating_add(1));
        Ok(())
    }

    /// Writes a gap, in position.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_loss(&mut self, loss: &Loss) -> Result<(), WriteError> {
        self.tell_loss(*loss);
        self.write_loss(loss)
    }

    /// Tells who wants to know.
    fn tell_loss(&self, loss: Loss) {
        if let Some(losses) = &self.options.losses {
            // Who wanted to know may have gone.
            let _ = losses.send(loss);
        }
    }

    /// A gap of which was told before.
    fn write_loss(&mut self, loss: &Loss) -> Result<(), WriteError> {
        self.stage_record(&Record::Loss(*loss))?;
        let stage = self.stage.number();
        match loss.container {
            Some(uid) => {
                let entry = self.containers.entry(uid.0);
                entry.pending_since(stage, loss.to);
                entry.lost = entry.lost.saturating_add(loss.count.unwrap_or(0));
                entry.losses.push(*loss);
            }
            None => self.put_loose(Record::Loss(*loss)),
        }
        Ok(())
    }

    /// Writes a clock reading.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put_clock(&mut self, pair: ClockPair) -> Result<(), WriteError> {
        self.stage_record(&Record::Clock(pair))?;
        self.put_loose(Record::Clock(pair));
        Ok(())
    }

    fn put_loose(&mut self, record: Record) {
        if self.loose.is_empty() {
            self.loose_stage = self.stage.number();
        }
        self.loose.push(record);
    }

    fn stage_record(&mut self, record: &Record) -> Result<(), WriteError> {
        if self.stage.record(record) {
            return Ok(());
        }
        let limit = limits::RECORD_BYTES;
        Err(WriteError::TooLarge { what: "bytes of metadata", found: limit + 1, limit })
    }

    /// Hands everything pushed so far to the operating system (the stage), cuts blocks that are full or old,
    /// syncs when the interval has passed, rotates the segment when it is full. Call it after each drain, some
    /// hundred times a second at most. `now` is the time of the last event that can no longer be preceded. When the disk
    /// is full it fails, and the writer stops ([`Self::space`]); calling it goes on to try once a second.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn commit(&mut self, now: BootNanos) -> Result<(), WriteError> {
        self.tell_news_of_refused();
        if self.rests() {
            return Ok(());
        }
        // Each is tried, whatever became of the one before: on a full disk the last ones make room.
        const STEPS: [Step; 8] = [
            |writer, _| writer.flush_stage(),
            StoreWriter::cut_old,
            StoreWriter::cut_many,
            |writer, _| if writer.is_sync_due() { writer.sync() } else { Ok(()) },
            |writer, _| {
                if writer.is_checkpoint_due() { writer.put_checkpoint(false).map(drop) } else { Ok(()) }
            },
            StoreWriter::rotate_stage,
            |writer, _| if writer.is_segment_full() { writer.leave_segment() } else { Ok(()) },
            StoreWriter::enforce,
        ];
        let mut done = Ok(());
        for step in STEPS {
            let result = step(self, now);
            done = done.and(result);
        }
        self.tend_catalog();
        self.containers.tend();
        self.committed(done)
    }

    fn is_sync_due(&self) -> bool {
        self.last_sync.elapsed() >= Duration::from_nanos(self.options.sync_interval)
    }

    fn is_checkpoint_due(&self) -> bool {
        self.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL
    }

    fn is_segment_full(&self) -> bool {
        // A reader takes so many blocks and no more; half of it leaves room for the containers that are open.
        let crowded = self.segment.tree().size() >= limits::SEGMENT_BLOCKS as u64 / 2;
        let full = crowded || self.segment.len() >= self.segment_limit();
        self.segment.is_sealed() || full || self.is_segment_old()
    }

    /// A segment is left early where events have an age at which they go: it goes as a whole.
    fn is_segment_old(&self) -> bool {
        let age = Duration::from_nanos(self.options.max_age / SEGMENTS_OF_AGE);
        self.options.max_age > 0 && !self.segment.entries().is_empty() && self.segment_begun.elapsed() >= age
    }

    /// Appends a signed checkpoint over all blocks written so far and gives its text (a C2SP signed note): whoever
    /// keeps it elsewhere can later prove that nothing before it was changed or cut off. [`Self::commit`] writes one
    /// every minute, also when nothing happens.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn checkpoint(&mut self) -> Result<String, WriteError> {
        self.put_checkpoint(false)
    }

    /// Verifies the checkpoints of the present segment; each segment has another key, endorsed by the one before.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Cuts the container's open block: it has ended.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish_container(&mut self, uid: ContainerUid) -> Result<(), WriteError> {
        self.cut(uid.0, 0)?;
        if let Some(entry) = self.containers.get_mut(uid.0) {
            entry.finished = true;
            // Its room is for others: of each container that ever was, this would be the most that is held.
            let room = std::mem::replace(&mut entry.open, OpenBlock::new());
            keep_spare(&mut self.spare, room, true);
            self.containers.one_ended();
        }
        Ok(())
    }

    /// Cuts all blocks, writes the footer, syncs, and closes.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn seal(mut self) -> Result<PathBuf, WriteError> {
        self.flush_stage()?;
        self.cut_all(0)?;
        self.seal_segment()?;
        self.old_stages.push(self.stage.number());
        self.remove_stages(u64::MAX)?;
        self.list_file(self.here());
        self.write_catalog();
        Ok(self.segment.path().to_owned())
    }

    /// What was done so far.
    pub fn stats(&self) -> StoreStats {
        StoreStats { bytes: self.stats.bytes + self.segment.len(), ..self.stats }
    }

    /// The store's own identity.
    pub fn store_uuid(&self) -> [u8; 16] {
        self.origin.store_uuid
    }

    /// The next free container uid of this store: uids are never reused, also across restarts.
    pub fn next_uid(&self) -> ContainerUid {
        ContainerUid(self.next_uid.max(ContainerUid::HOST.0 + 1))
    }

    /// A stage file's size: a small part of the budget too.
    fn stage_limit(&self) -> u64 {
        stage_limit(&self.options)
    }

    /// A segment's size: a small part of the budget, so that retention has something to choose from.
    fn segment_limit(&self) -> u64 {
        match self.options.budget_bytes {
            0 => self.options.segment_bytes,
            budget => self.options.segment_bytes.min(budget / 16).max(SEGMENT_BYTES_MIN),
        }
    }

    fn flush_stage(&mut self) -> Result<(), WriteError> {
        if self.stage.is_flushed() {
            return Ok(());
        }
        let begun = file::cpu_clock();
        let written = self.stage.flush().map_err(|source| self.stage_error("write", source))?;
        self.stats.stage_bytes += written;
        self.stats.stage_time += file::cpu_clock().saturating_sub(begun);
        Ok(())
    }

    fn stage_error(&self, action: &'static str, source: std::io::Error) -> WriteError {
        WriteError::Io { action, path: self.stage.path().to_owned(), source }
    }

    fn segment_error(&self, action: &'static str, source: std::io::Error) -> WriteError {
        WriteError::Io { action, path: self.segment.path().to_owned(), source }
    }

    /// Appends what is pending of a container as one block; nothing when nothing is.
    fn cut(&mut self, uid: u64, flags: u8) -> Result<(), WriteError> {
        let (sequence, base) = (self.segment.sequence(), self.time_base);
        let Some(entry) = self.containers.get_mut(uid).filter(|e| e.has_pending()) else { return Ok(()) };
        let begun = file::cpu_clock();
        let records = entry.records_for(sequence);
        let mut encoded = Vec::new();
        records.iter().for_each(|record| {
            record.encode(&mut encoded);
        });
        let around = Around {
            container: uid,
            first_row: entry.next_row - entry.open.rows() as u64,
            number: entry.next_block,
            lost: entry.lost,
            base,
            flags,
            records: &encoded,
        };
        self.payload.clear();
        let mut header = self.encoder.encode(&entry.open, &around, &mut self.payload);
        if entry.open.rows() == 0 {
            (header.earliest, header.first, header.last) = (entry.since, entry.since, entry.since);
        }
        if let Err(source) = self.segment.append(&mut header, &self.payload, self.encoder.repeated()) {
            return Err(self.segment_error("write", source));
        }
        let open_bytes = entry.open.raw_bytes();
        // Who had few rows will hardly need the room of many soon.
        let busy = entry.open.rows() > SPARE_ROWS;
        let spare = busy.then(|| self.spare.pop()).flatten().unwrap_or_else(OpenBlock::new);
        let cut = entry.cut_done(sequence, spare);
        keep_spare(&mut self.spare, cut, busy);
        self.open_bytes = self.open_bytes.saturating_sub(open_bytes);
        self.records.add(records, base);
        self.stats.blocks += 1;
        self.stats.encode_time += file::cpu_clock().saturating_sub(begun);
        Ok(())
    }

    /// Appends the records of the whole store that are pending as one block.
    fn cut_loose(&mut self) -> Result<(), WriteError> {
        if self.loose.is_empty() {
            return Ok(());
        }
        let mut encoded = Vec::new();
        self.loose.iter().for_each(|record| {
            record.encode(&mut encoded);
        });
        let around =
            Around { container: STORE_SCOPE, base: self.time_base, records: &encoded, ..Around::default() };
        self.payload.clear();
        let empty = OpenBlock::new();
        let mut header = self.encoder.encode(&empty, &around, &mut self.payload);
        if let Err(source) = self.segment.append(&mut header, &self.payload, self.encoder.repeated()) {
            return Err(self.segment_error("write", source));
        }
        self.records.add(std::mem::take(&mut self.loose), self.time_base);
        self.stats.blocks += 1;
        Ok(())
    }

    fn cut_all(&mut self, flags: u8) -> Result<(), WriteError> {
        let mut uids: Vec<u64> =
            self.containers.iter().filter(|(_, e)| e.has_pending()).map(|(uid, _)| uid).collect();
        uids.sort_unstable();
        uids.into_iter().try_for_each(|uid| self.cut(uid, flags))?;
        self.cut_loose()
    }

    fn cut_old(&mut self, now: BootNanos) -> Result<(), WriteError> {
        let limit = now.0.saturating_sub(self.options.block_age);
        let mut uids: Vec<u64> = self
            .containers
            .iter()
            .filter(|(_, e)| e.has_pending() && e.since <= limit)
            .map(|(uid, _)| uid)
            .collect();
        uids.sort_unstable();
        uids.into_iter().try_for_each(|uid| self.cut(uid, 0))
    }

    /// Cuts all blocks that have rows in a stage file that was left, and removes those files.
    fn cut_staged(&mut self) -> Result<(), WriteError> {
        let present = self.stage.number();
        let left = self.containers.iter().filter(|(_, e)| e.stage.is_some_and(|stage| stage < present));
        let mut uids: Vec<u64> = left.map(|(uid, _)| uid).collect();
        uids.sort_unstable();
        uids.into_iter().try_for_each(|uid| self.cut(uid, 0))?;
        self.cut_loose()?;
        self.sync()
    }

    /// Cuts some of the largest where all together are above their bound.
    fn cut_many(&mut self, _: BootNanos) -> Result<(), WriteError> {
        /// Each is sought among all.
        const CUTS: usize = 8;
        let mut cuts = 0;
        while self.open_bytes > OPEN_BYTES && cuts < CUTS {
            self.cut_largest()?;
            cuts += 1;
        }
        Ok(())
    }

    fn cut_largest(&mut self) -> Result<(), WriteError> {
        let largest = self.containers.iter().max_by_key(|(_, e)| e.open.raw_bytes()).map(|(uid, _)| uid);
        largest.map_or(Ok(()), |uid| self.cut(uid, 0))
    }

    /// Cuts what an earlier writer had left in the stage.
    fn cut_recovered(&mut self) -> Result<(), WriteError> {
        self.cut_all(flag::RECOVERED)
    }
}

fn stage_limit(options: &StoreOptions) -> u64 {
    match options.budget_bytes {
        0 => STAGE_BYTES,
        budget => STAGE_BYTES.min(budget / 32).max(STAGE_BYTES_MIN),
    }
}

/// Keeps a block's room for the next one that needs it.
fn keep_spare(spare: &mut Vec<OpenBlock>, mut block: OpenBlock, large: bool) {
    if large && spare.len() < SPARE_BLOCKS {
        block.clear();
        spare.push(block);
    }
}

#[cfg(test)]
mod tests;
