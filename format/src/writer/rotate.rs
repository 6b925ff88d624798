//! Syncing, and changing to new segments and stage files.

use std::time::Instant;

use super::{STAGE_STEPS, STAGE_WORTH, StoreWriter};
use crate::{
    BootNanos, Origin, WriteError,
    block::{BlockHeader, kind},
    events::column,
    file,
    keeping::FileId,
    keys,
    meta::Record,
    note::Checkpoint,
    payload::PayloadWriter,
    segment::{
        SegmentHeader,
        chain::{Link, Previous},
        file::SegmentWriter,
        origin_kind,
        records::SegmentRecords,
    },
    stage::{StageHeader, file::StageWriter},
    store::{SEGMENTS, STAGES},
};

impl StoreWriter {
    /// Makes everything written so far durable, and removes stage files that are not needed any more.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.stage.sync().map_err(|source| self.stage_error("sync", source))?;
        self.sync_segment()?;
        self.last_sync = Instant::now();
        let pending = self.containers.iter().filter_map(|(_, e)| e.stage);
        let loose = (!self.loose.is_empty()).then_some(self.loose_stage);
        let needed = pending.chain(loose).chain([self.stage.number()]).min().unwrap_or(u64::MAX);
        self.remove_stages(needed)
    }

    pub(super) fn sync_segment(&mut self) -> Result<(), WriteError> {
        self.segment.sync().map_err(|source| {
            self.disk.sync_failed = true;
            self.segment_error("sync", source)
        })
    }

    /// Removes the stage files left behind whose number is below `needed`.
    pub(super) fn remove_stages(&mut self, needed: u64) -> Result<(), WriteError> {
        while let Some(&number) = self.old_stages.first().filter(|&&n| n < needed) {
            let path = STAGES.path(&self.dir, number);
            if let Err(source) = std::fs::remove_file(&path)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(WriteError::Io { action: "remove", path, source });
            }
            self.old_stages.remove(0);
        }
        Ok(())
    }

    /// Begins a new stage file when the present one is large or old; blocks with rows in older files are cut by age, and those
    /// files then go: some of them at once.
    pub(super) fn rotate_stage(&mut self, now: BootNanos) -> Result<(), WriteError> {
        let begun = *self.stage_begun.get_or_insert(now);
        let ages = if self.stage.len() >= STAGE_WORTH { 1 } else { 4 };
        let old = now.0.saturating_sub(begun.0) > self.options.block_age.saturating_mul(ages);
        if self.stage.len() < self.stage_limit() && !old {
            return Ok(());
        }
        if old && self.stage.is_empty() {
            self.stage_begun = Some(now);
            return Ok(());
        }
        // Loose records have no age of their own.
        self.cut_loose()?;
        let header = StageHeader {
            boot_id: self.origin.boot_id,
            time_base: self.time_base,
            number: self.stage.number() + 1,
        };
        let next =
            StageWriter::create(&self.dir, &header, self.stage_limit() / STAGE_STEPS).map_err(|source| {
                WriteError::Io { action: "create", path: STAGES.path(&self.dir, header.number), source }
            })?;
        let mut left = std::mem::replace(&mut self.stage, next);
        self.old_stages.push(left.number());
        let trimmed = left.trim().and_then(|()| left.sync());
        trimmed.map_err(|source| self.stage_error("sync", source))?;
        self.stage_begun = Some(now);
        self.sync()
    }

    /// Cuts all blocks and begins the next segment: rows of the one before are in none of the next.
    pub(super) fn leave_segment(&mut self) -> Result<(), WriteError> {
        if !self.segment.is_sealed() {
            self.cut_all(0)?;
        }
        self.rotate_segment()
    }

    /// Seals the present segment and begins the next.
    pub(super) fn rotate_segment(&mut self) -> Result<(), WriteError> {
        let key = keys::prepare(&self.dir).map_err(|source| self.key_error("prepare", source))?;
        if !self.segment.is_sealed() {
            self.seal_segment()?;
        }
        let sequence = self.segment.sequence() + 1;
        let path = SEGMENTS.path(&self.dir, sequence);
        let mut header = segment_header(&self.origin, sequence, self.time_base, self.next_uid);
        let tree = self.segment.tree();
        let before = Previous { sequence: sequence - 1, size: tree.size(), root: tree.root() };
        header.link.previous = Some(before);
        header.link.public_key = key.verifying_key().to_bytes();
        header.link.endorse(&self.origin.store_uuid, &self.key);
        let next = SegmentWriter::create(path.clone(), &header).map_err(|source| WriteError::Io {
            action: "create",
            path,
            source,
        })?;
        let left = std::mem::replace(&mut self.segment, next);
        let sealed = left.len();
        self.held.add(FileId::Segment(sequence - 1), sealed, left.entries());
        self.list_file(FileId::Segment(sequence - 1));
        self.segment_begun = Instant::now();
        let promoted = keys::promote(&self.dir).map_err(|source| self.key_error("change", source));
        (self.key, self.checkpoints, self.final_at) = (key, 0, None);
        self.stats.bytes += sealed;
        self.records = SegmentRecords::new(self.origin.clone());
        self.loose.insert(0, Record::Origin(self.origin.clone()));
        self.containers.values_mut().for_each(|entry| entry.segment_rotated());
        promoted?;
        self.put_keeping(&self.pin_records())?;
        self.cut_loose()
    }

    fn key_error(&self, action: &'static str, source: std::io::Error) -> WriteError {
        WriteError::Io { action, path: self.dir.join("key"), source }
    }

    /// Appends a signed statement of the blocks so far and gives its text.
    pub(super) fn put_checkpoint(&mut self, last: bool) -> Result<String, WriteError> {
        let tree = self.segment.tree();
        let boot = file::boot_clock();
        let note = Checkpoint {
            store_uuid: self.origin.store_uuid,
            sequence: self.segment.sequence(),
            size: tree.size(),
            root: tree.root(),
            number: self.checkpoints,
            boot,
            real: file::wall_clock(),
            last,
        }
        .sign(&self.key);
        let mut payload = Vec::new();
        let mut columns = PayloadWriter::new().map_err(|source| self.segment_error("write", source))?;
        columns.column(column::NOTE, note.as_bytes());
        let root = columns.finish(&mut payload);
        let mut header = BlockHeader {
            earliest: boot,
            first: boot,
            last: boot,
            base: self.time_base,
            number: self.checkpoints,
            ..BlockHeader::of_store(kind::CHECKPOINT, 0, root)
        };
        self.segment
            .append(&mut header, &payload, &[])
            .map_err(|source| self.segment_error("write", source))?;
        self.checkpoints += 1;
        self.last_checkpoint = Instant::now();
        Ok(note)
    }

    pub(super) fn seal_segment(&mut self) -> Result<(), WriteError> {
        // The last one is there when sealing failed behind it.
        if self.final_at != Some(self.segment.tree().size()) {
            self.put_checkpoint(true)?;
            self.final_at = Some(self.segment.tree().size());
        }
        let records = self.records.encode();
        self.segment.seal(&records).map_err(|source| self.segment_error("seal", source))?;
        self.stats.segments += 1;
        Ok(())
    }
}

/// The header of a segment of a store that begins now.
pub(super) fn segment_header(origin: &Origin, sequence: u64, time_base: u64, next_uid: u64) -> SegmentHeader {
    SegmentHeader {
        incompat: 0,
        ro_compat: 0,
        compat: 0,
        store_uuid: origin.store_uuid,
        boot_id: origin.boot_id,
        time_base,
        created_boot: file::boot_clock(),
        created_real: file::wall_clock(),
        next_uid,
        origin_kind: origin_kind::STORE,
        link: Link::unsigned(sequence),
    }
}
