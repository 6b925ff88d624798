//! Keeps the store within its budget and age.
//!
//! What goes is chosen block by block ([`super::held`]); a file goes when the blocks that stay were copied, unchanged
//! and with their proofs, into a `kept` file. In this order, so that a crash anywhere loses nothing:
//!
//! 1. the kept file is written with the tombstones of its sources in it, synced, and given its name;
//! 2. the tombstones and what each container lost go into the present segment, which is synced;
//! 3. the sources are removed.
//!
//! A source whose tombstone is in a kept file counts as gone, whether it is there or not.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use super::{StoreWriter, held::Marks};
use crate::{
    BootNanos, ContainerUid, Eviction, EvictionReason, Pin, WriteError,
    block::{STORE_SCOPE, kind},
    copy::{BlockCopy, CopyError, is_common},
    events::{encode::Around, ingest::OpenBlock},
    file,
    keeping::{FileId, Tombstone},
    meta::Record,
    reader::scan::{self, LoadError, Loaded},
    segment::{SegmentHeader, chain::Link, origin_kind},
    store::{KEPT, KEPT_NEW, SEGMENTS},
};

/// Tombstones that are kept: as many segments back the chain can be followed.
const TOMBSTONES: usize = 4096;

/// What the store keeps and removed.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    pub(super) pins: Vec<Pin>,
    pub(super) next_pin: u64,
    /// Tombstones, and the file that tells of each.
    pub(super) tombstones: BTreeMap<FileId, (Tombstone, FileId)>,
    /// What each container lost, and the file that tells of it.
    pub(super) evictions: BTreeMap<u64, (Eviction, FileId)>,
    pub(super) next_kept: u64,
}

impl Keeping {
    /// Takes over what a file tells.
    pub(super) fn learn(&mut self, record: &Record, from: FileId) {
        match record {
            Record::Pin(pin) => {
                self.next_pin = self.next_pin.max(pin.id.saturating_add(1));
                self.pins.retain(|known| known.id != pin.id);
                self.pins.push(pin.clone());
            }
            Record::Unpin(id) => {
                self.next_pin = self.next_pin.max(id.saturating_add(1));
                self.pins.retain(|known| known.id != *id);
            }
            Record::Tombstone(tombstone) => {
                self.tombstones.insert(tombstone.file, (**tombstone, from));
            }
            Record::Eviction(eviction) => {
                self.evictions.insert(eviction.container.0, (*eviction, from));
            }
            _ => {}
        }
    }
}

/// A file's path.
pub(super) fn path_of(dir: &std::path::Path, id: FileId) -> PathBuf {
    match id {
        FileId::Kept(number) => KEPT.path(dir, number),
        FileId::Segment(number) => SEGMENTS.path(dir, number),
    }
}

impl StoreWriter {
    /// Bytes of everything that counts against the budget.
    pub(super) fn total_bytes(&self) -> u64 {
        self.held.bytes() + self.segment.len() + self.stage.disk_bytes() + self.old_stage_bytes()
    }

    fn old_stage_bytes(&self) -> u64 {
        let sizes = self.old_stages.iter().filter_map(|&number| {
            std::fs::metadata(crate::store::STAGES.path(&self.dir, number)).ok().map(|about| about.len())
        });
        sizes.sum()
    }

    /// Removes what is too old or over the budget.
    pub(super) fn enforce(&mut self, now: BootNanos) -> Result<(), WriteError> {
        if self.options.max_age > 0 {
            let now = now.0.saturating_add(self.time_base);
            let horizon = BootNanos(now.saturating_sub(self.options.max_age));
            let mut marks = Marks::new();
            self.held.mark_old(horizon, &self.keeping.pins, &mut marks);
            self.evict(&marks, 0, EvictionReason::Age)?;
        }
        let budget = self.options.budget_bytes;
        if budget > 0 && self.total_bytes() > budget {
            self.close_pins(now)?;
            self.free(self.total_bytes() - budget + budget / 16, EvictionReason::Budget)?;
        }
        Ok(())
    }

    /// Frees `need` bytes, as far as what is not pinned suffices.
    pub(super) fn free(&mut self, need: u64, reason: EvictionReason) -> Result<(), WriteError> {
        let pins = &self.keeping.pins;
        let loose = self.held.bytes_of(|block| !block.is_pinned(pins));
        let mut marks = Marks::new();
        self.held.mark_over(loose.saturating_sub(need), pins, &mut marks);
        self.evict(&marks, need, reason)
    }

    /// Removes marked blocks, the files with most of them first, until `need` bytes are free; all where that is 0. Files
    /// with few marked blocks are left alone: copying the rest would cost more than it frees.
    fn evict(&mut self, marks: &Marks, need: u64, reason: EvictionReason) -> Result<(), WriteError> {
        let mut files: Vec<(FileId, u64, u64)> = Vec::new();
        for (id, file) in self.held.files() {
            let marked = |number: usize| marks.contains(&(id, number));
            let gone: u64 = file.blocks.iter().filter(|b| marked(b.number)).map(|b| b.bytes).sum();
            let stays: u64 = file.blocks.iter().filter(|b| !marked(b.number)).map(|b| b.bytes).sum();
            // A file with nothing left in it that is anybody's goes whole.
            if gone > 0 || stays == 0 {
                files.push((id, if stays == 0 { file.bytes } else { gone }, stays));
            }
        }
        // By the share that goes, then by age.
        files.sort_by(|a, b| (b.1 * (a.1 + a.2)).cmp(&(a.1 * (b.1 + b.2))).then(a.0.cmp(&b.0)));
        let mut freed = 0;
        let mut chosen = Vec::new();
        for (id, gone, stays) in files {
            if need > 0 && freed >= need {
                break;
            }
            if need == 0 && gone < stays {
                continue;
            }
            freed += gone;
            chosen.push((id, stays));
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for (id, stays) in chosen {
            batch.push(id);
            batch_bytes += stays;
            if batch_bytes >= self.segment_limit() {
                self.remove_files(&std::mem::take(&mut batch), marks, reason)?;
                batch_bytes = 0;
            }
        }
        self.remove_files(&batch, marks, reason)
    }

    /// Copies what stays of these files into a kept file, tells of it, and removes them.
    fn remove_files(
        &mut self,
        files: &[FileId],
        marks: &Marks,
        reason: EvictionReason,
    ) -> Result<(), WriteError> {
        if files.is_empty() {
            return Ok(());
        }
        let number = self.keeping.next_kept;
        let stays = |id: FileId| {
            let blocks = self.held.get(id).map_or(&[][..], |file| file.blocks.as_slice());
            blocks.iter().any(|block| !marks.contains(&(id, block.number)))
        };
        let anything = files.iter().any(|&id| stays(id));
        let mut tombstones = Vec::new();
        if anything {
            self.keeping.next_kept += 1;
            tombstones = self.write_kept(number, files, marks, reason)?;
        } else {
            for &id in files {
                tombstones.push(self.tombstone(id, None, 0, reason));
            }
        }
        self.tell(files, marks, &tombstones, reason)?;
        for &id in files {
            let path = path_of(&self.dir, id);
            if let Err(source) = std::fs::remove_file(&path)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(WriteError::Io { action: "remove", path, source });
            }
            self.held.remove(id);
        }
        Ok(())
    }

    fn tombstone(
        &self,
        id: FileId,
        loaded: Option<(&Loaded, u64)>,
        moved_blocks: u64,
        reason: EvictionReason,
    ) -> Tombstone {
        let own;
        let (loaded, moved_to) = match loaded {
            Some((loaded, number)) => (Some(loaded), Some(number)),
            None => {
                own = scan::load(&path_of(&self.dir, id), true).ok();
                (own.as_ref(), None)
            }
        };
        let tree = loaded.and_then(|l| l.tree().ok()).unwrap_or_default();
        Tombstone {
            file: id,
            link: loaded.filter(|_| matches!(id, FileId::Segment(_))).map(|l| l.header.link),
            size: tree.size(),
            root: tree.root(),
            moved_to,
            moved_blocks,
            reason,
            real: file::wall_clock(),
        }
    }

    fn write_kept(
        &mut self,
        number: u64,
        files: &[FileId],
        marks: &Marks,
        reason: EvictionReason,
    ) -> Result<Vec<Tombstone>, WriteError> {
        let new = KEPT_NEW.path(&self.dir, number);
        let written = self.copy_kept(number, new.clone(), files, marks, reason);
        let (tombstones, copied) = match written {
            Ok(written) => written,
            Err(error) => {
                // Half a copy is of no use; the sources are still there.
                let _ = std::fs::remove_file(&new);
                return Err(error);
            }
        };
        let path = KEPT.path(&self.dir, number);
        let named = std::fs::rename(&new, &path).and_then(|()| file::sync_dir(&self.dir));
        named.map_err(|source| WriteError::Io { action: "rename", path, source })?;
        self.held.add(FileId::Kept(number), copied.bytes, &copied.entries);
        self.stats.moved_bytes += copied.bytes;
        Ok(tombstones)
    }

    fn copy_kept(
        &self,
        number: u64,
        new: PathBuf,
        files: &[FileId],
        marks: &Marks,
        reason: EvictionReason,
    ) -> Result<(Vec<Tombstone>, crate::copy::Copied), WriteError> {
        let header = SegmentHeader {
            incompat: 0,
            ro_compat: 0,
            compat: 0,
            store_uuid: self.origin.store_uuid,
            boot_id: self.origin.boot_id,
            time_base: 0,
            created_boot: file::boot_clock(),
            created_real: file::wall_clock(),
            next_uid: self.next_uid,
            origin_kind: origin_kind::KEPT,
            link: Link::unsigned(number),
        };
        let mut copy = BlockCopy::create(new, &header).map_err(copying)?;
        let mut tombstones = Vec::new();
        let mut records = Vec::new();
        for &id in files {
            let path = path_of(&self.dir, id);
            let loaded = scan::load(&path, true).map_err(|error| loading(error, path))?;
            let mut kept = HashSet::new();
            if let Some(file) = self.held.get(id) {
                kept.extend(file.blocks.iter().map(|b| b.number).filter(|&n| !marks.contains(&(id, n))));
            }
            let moved =
                copy.add(&loaded, &|n, entry| kept.contains(&n) || is_common(entry)).map_err(copying)?;
            let owners: HashSet<u64> =
                kept.iter().filter_map(|&n| loaded.entries.get(n)).map(|e| e.container).collect();
            let of_owner = |record: &&Record| matches!(record, Record::Container(container) if owners.contains(&container.uid.0));
            records.extend(loaded.records.iter().filter(of_owner).cloned());
            tombstones.push(self.tombstone(id, Some((&loaded, number)), moved, reason));
        }
        records.extend(tombstones.iter().map(|tombstone| Record::Tombstone(Box::new(*tombstone))));
        copy.add_keeping(&records).map_err(copying)?;
        let copied = copy.finish(false).map_err(copying)?;
        Ok((tombstones, copied))
    }

    /// Writes into the present segment what is removed, and again what the removed files told, and syncs.
    fn tell(
        &mut self,
        files: &[FileId],
        marks: &Marks,
        tombstones: &[Tombstone],
        reason: EvictionReason,
    ) -> Result<(), WriteError> {
        let here = FileId::Segment(self.segment.sequence());
        let mut records: Vec<Record> = Vec::new();
        let mut lost: BTreeMap<u64, Eviction> = BTreeMap::new();
        for &id in files {
            let blocks = self.held.get(id).map_or(&[][..], |file| file.blocks.as_slice());
            for block in blocks.iter().filter(|block| marks.contains(&(id, block.number))) {
                let container = ContainerUid(block.container);
                let nothing = Eviction { container, events: 0, blocks: 0, until: BootNanos(0), reason };
                let known = self.keeping.evictions.get(&block.container).map_or(nothing, |(e, _)| *e);
                let eviction = lost.entry(block.container).or_insert(known);
                eviction.events += block.rows;
                eviction.blocks += 1;
                eviction.until = eviction.until.max(block.last);
                eviction.reason = reason;
                self.stats.evicted_events += block.rows;
            }
        }
        // What the removed files alone told is told again.
        let orphaned = |from: &FileId| files.contains(from);
        let older = self.keeping.tombstones.values().filter(|(_, from)| orphaned(from));
        records.extend(older.map(|(tombstone, _)| Record::Tombstone(Box::new(*tombstone))));
        let told = self
            .keeping
            .evictions
            .iter()
            .filter(|(uid, (_, from))| orphaned(from) && !lost.contains_key(uid) && self.held.has(**uid));
        records.extend(told.map(|(_, (eviction, _))| Record::Eviction(*eviction)));
        records.extend(tombstones.iter().map(|tombstone| Record::Tombstone(Box::new(*tombstone))));
        records.extend(lost.values().map(|eviction| Record::Eviction(*eviction)));
        self.put_keeping(&records)?;
        self.segment.sync().map_err(|source| self.segment_error("sync", source))?;
        records.iter().for_each(|record| self.keeping.learn(record, here));
        self.keeping.evictions.retain(|_, (_, from)| !files.contains(from));
        while self.keeping.tombstones.len() > TOMBSTONES {
            self.keeping.tombstones.pop_first();
        }
        Ok(())
    }

    /// Appends records of what the store keeps as a block.
    pub(super) fn put_keeping(&mut self, records: &[Record]) -> Result<(), WriteError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut encoded = Vec::new();
        records.iter().for_each(|record| {
            record.encode(&mut encoded);
        });
        let around = Around { container: STORE_SCOPE, records: &encoded, ..Around::default() };
        self.payload.clear();
        let mut header = self.encoder.encode(&OpenBlock::new(), &around, &mut self.payload);
        header.kind = kind::KEEPING;
        if let Err(source) = self.segment.append(&mut header, &self.payload, &[]) {
            return Err(self.segment_error("write", source));
        }
        self.records.add(records.iter().cloned(), 0);
        Ok(())
    }
}

fn copying(error: CopyError) -> WriteError {
    match error {
        CopyError::Read { path, source } => WriteError::Io { action: "read", path, source },
        CopyError::Write { action, path, source } => WriteError::Io { action, path, source },
    }
}

fn loading(error: LoadError, path: PathBuf) -> WriteError {
    let source = match error {
        LoadError::Open(crate::OpenError::Io { source, .. }) => source,
        LoadError::Open(other) => std::io::Error::other(other.to_string()),
        LoadError::Empty => std::io::ErrorKind::UnexpectedEof.into(),
    };
    WriteError::Io { action: "read", path, source }
}
