//! Keeps the store within its budget and age.
//!
//! What goes is chosen block by block ([`super::held`]); a file goes when the blocks that stay were copied, unchanged
//! and with their proofs, into a `kept` file. In this order, so that a crash anywhere loses nothing:
//!
//! 1. the kept file is written with the tombstones of its sources in it, synced, and given its name;
//! 2. the tombstones, what each container lost, and the kept file's root go into the present segment, and a checkpoint behind
//!    them; it is synced;
//! 3. the sources are removed. A removal that nothing signed is none of ours.
//!
//! A source whose tombstone is in a kept file counts as gone, whether it is there or not, once that was told and signed; a
//! kept file that was not is none while all its sources are there.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    StoreWriter,
    held::{self, HeldBlock, Marks},
};
use crate::{
    BootNanos, ContainerUid, Eviction, EvictionReason, Loss, Pin, WriteError,
    block::{STORE_SCOPE, kind},
    copy::{BlockCopy, CopyError, is_common},
    events::{encode::Around, ingest::OpenBlock},
    file,
    keeping::{self, FileId, KEPT_SHIFT, KeptFile, PinIndex, Tombstone},
    meta::Record,
    reader::scan::{self, Loaded},
    segment::{BlockEntry, SegmentHeader, origin_kind},
    store::{KEPT, KEPT_NEW, path_of},
};

/// What need not be done at once is done this often.
const TEND: Duration = Duration::from_secs(1);
/// Gaps of nobody in particular that are told again one by one.
const GAPS: usize = 64;
/// Records of one block.
const RECORDS_BYTES: usize = 1 << 20;

/// A file that is to be removed.
#[derive(Debug)]
struct Leaving {
    id: FileId,
    /// `None` when it cannot be read.
    loaded: Option<Loaded>,
    /// Numbers of the blocks that stay.
    kept: HashSet<usize>,
}

impl Leaving {
    fn tombstone(&self, moved_to: Option<u64>, moved_blocks: u64, reason: EvictionReason) -> Tombstone {
        let tree = self.loaded.as_ref().and_then(|loaded| loaded.tree().ok()).unwrap_or_default();
        let link = self.loaded.as_ref().map(|loaded| loaded.header.link);
        Tombstone {
            file: self.id,
            link: link.filter(|_| matches!(self.id, FileId::Segment(_))),
            size: tree.size(),
            root: tree.root(),
            moved_to,
            moved_blocks,
            reason,
            real: file::wall_clock(),
        }
    }
}

/// Files whose remains are in a kept file already, where there is one, and that are to be removed when that was told.
#[derive(Debug)]
struct Removal {
    leaving: Vec<Leaving>,
    tombstones: Vec<Tombstone>,
    evictions: Vec<Eviction>,
    kept: Option<KeptFile>,
    /// It was told; files that are still there are to be removed.
    is_told: bool,
}

/// What the store keeps and removed.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// What could not be told yet, the disk being full for one: nothing else is removed before it. Copied again, the blocks that
    /// stay would be there twice.
    removal: Option<Removal>,
    /// The next removal that keeps something is not told, as if the disk were full.
    #[cfg(test)]
    pub(super) refuses: bool,
    pub(super) pins: Vec<Pin>,
    /// There were pins, and an old file may tell of them.
    pub(super) had_pins: bool,
    /// Tombstones, and the file that tells of each.
    pub(super) tombstones: BTreeMap<FileId, (Tombstone, FileId)>,
    /// Kept files that are there, and the file that tells of each.
    pub(super) kept: BTreeMap<u64, (KeptFile, FileId)>,
    /// What each container lost, and the file that tells of it.
    pub(super) evictions: BTreeMap<u64, (Eviction, FileId)>,
    pub(super) next_kept: u64,
}

impl Keeping {
    /// Takes over what a file tells.
    pub(super) fn learn(&mut self, record: &Record, from: FileId) {
        match record {
            Record::Pin(pin) => {
                self.had_pins = true;
                self.pins.retain(|known| known.id != pin.id);
                self.pins.push(pin.clone());
            }
            // A segment begins with all that hold.
            Record::Unpin(id) if id.is_empty() => self.pins.clear(),
            Record::Unpin(id) => self.pins.retain(|known| known.id != *id),
            Record::Tombstone(tombstone) => {
                let numbers = [Some(tombstone.file), tombstone.moved_to.map(FileId::Kept)];
                for number in numbers.into_iter().flatten() {
                    if let FileId::Kept(number) = number {
                        self.next_kept = self.next_kept.max(number.saturating_add(1));
                    }
                }
                if let FileId::Kept(number) = tombstone.file {
                    self.kept.remove(&number);
                }
                self.tombstones.insert(tombstone.file, (**tombstone, from));
            }
            Record::Kept(file) => {
                self.kept.insert(file.number, (*file, from));
            }
            Record::Eviction(eviction) => {
                // They are sums: what an older file says is less.
                let known = self.evictions.get(&eviction.container.0);
                if known.is_none_or(|(known, _)| known.blocks <= eviction.blocks) {
                    self.evictions.insert(eviction.container.0, (*eviction, from));
                }
            }
            _ => {}
        }
    }
}

impl Keeping {
    /// Forgets the oldest tombstones beyond the limit.
    fn forget_oldest(&mut self) {
        if let Some(horizon) = keeping::horizon(self.tombstones.keys().copied()) {
            self.tombstones.retain(|file, _| file.rank() >= horizon);
        }
    }
}

impl StoreWriter {
    /// The present segment.
    pub(super) fn here(&self) -> FileId {
        FileId::Segment(self.segment.sequence())
    }

    /// Bytes of everything that counts against the budget.
    pub(super) fn total_bytes(&self) -> u64 {
        let rows = self.stage.disk_bytes() + self.old_stage_bytes();
        self.held.bytes() + self.segment.len() + rows + self.catalog.bytes()
    }

    fn old_stage_bytes(&self) -> u64 {
        let sizes = self.old_stages.iter().filter_map(|&number| {
            std::fs::metadata(crate::store::STAGES.path(&self.dir, number)).ok().map(|about| about.len())
        });
        sizes.sum()
    }

    /// Removes what is too old or over the budget, and what the disk has no room for. The budget and the last look at the disk are
    /// looked at each time, the rest once a second.
    pub(super) fn enforce(&mut self, now: BootNanos) -> Result<(), WriteError> {
        // What is marked below must be there.
        self.finish_removal()?;
        let due = self.tended.is_none_or(|at| at.elapsed() >= TEND);
        if due {
            self.tended = Some(Instant::now());
            self.lapse_pins()?;
            self.close_pins(now)?;
            self.remove_old(now)?;
            self.remove_beyond_share()?;
        }
        self.yield_space()?;
        let budget = self.options.budget_bytes;
        if budget == 0 {
            return Ok(());
        }
        if self.stage.disk_bytes() + self.old_stage_bytes() > budget / 8 {
            self.cut_staged()?;
        }
        // What is freed now makes room for one more segment, and for the copies that are made on the way.
        let high = budget.saturating_sub(self.segment_limit());
        let total = self.total_bytes();
        let over = total.saturating_sub(high);
        if over > 0 && (due || !self.nothing_to_free) {
            self.free(over.saturating_add(self.segment_limit()), EvictionReason::Budget)?;
            self.nothing_to_free = self.total_bytes() >= total;
        }
        Ok(())
    }

    fn remove_old(&mut self, now: BootNanos) -> Result<(), WriteError> {
        if self.options.max_age == 0 {
            return Ok(());
        }
        let horizon = BootNanos(self.store_time(now).0.saturating_sub(self.options.max_age));
        let mut marks = Marks::new();
        let old = self.held.mark_old(horizon, &PinIndex::new(&self.keeping.pins), &mut marks);
        self.remove_in_batches(&old, &marks, EvictionReason::Age)
    }

    fn remove_beyond_share(&mut self) -> Result<(), WriteError> {
        let most = self.share_limit();
        if most == u64::MAX {
            return Ok(());
        }
        let mut marks = Marks::new();
        self.held.mark_over(u64::MAX, most, &PinIndex::new(&self.keeping.pins), &mut marks);
        let bytes = self.held.marked_bytes(&marks);
        // Not for every block: what is taken apart is copied.
        if bytes < self.segment_limit() {
            return Ok(());
        }
        self.evict(&marks, bytes, EvictionReason::Budget)
    }

    fn share_limit(&self) -> u64 {
        let percent = u64::from(self.options.container_share);
        match self.options.budget_bytes {
            0 => u64::MAX,
            _ if !(1..100).contains(&percent) => u64::MAX,
            budget => budget / 100 * percent,
        }
    }

    /// Frees `need` bytes, as far as what is not pinned suffices.
    pub(super) fn free(&mut self, need: u64, reason: EvictionReason) -> Result<(), WriteError> {
        let pins = PinIndex::new(&self.keeping.pins);
        let loose = self.held.bytes_of(|block| !block.is_pinned(&pins));
        let mut marks = Marks::new();
        self.held.mark_over(loose.saturating_sub(need), self.share_limit(), &pins, &mut marks);
        self.evict(&marks, need, reason)
    }

    /// Removes marked blocks, the files with most of them first, until `need` bytes are free.
    fn evict(&mut self, marks: &Marks, need: u64, reason: EvictionReason) -> Result<(), WriteError> {
        let marked = |id: FileId, block: &HeldBlock| marks.contains(&(id, block.number));
        let latest = self.held.files().flat_map(|(id, file)| {
            file.blocks.iter().filter(move |block| marked(id, block)).map(|block| block.last)
        });
        let latest = latest.max().unwrap_or_default();
        let mut files: Vec<(FileId, u64, u64)> = Vec::new();
        for (id, file) in self.held.files().filter(|(_, file)| !file.stuck) {
            let gone: u64 = file.blocks.iter().filter(|b| marked(id, b)).map(|b| b.bytes).sum();
            let stays: u64 = file.blocks.iter().filter(|b| !marked(id, b)).map(|b| b.bytes).sum();
            // A file without blocks of anybody tells of gaps and that nothing happened: it goes with its neighbours.
            let empty = file.blocks.is_empty() && file.last <= latest;
            if gone > 0 || empty {
                files.push((id, if stays == 0 { file.bytes } else { gone }, stays));
            }
        }
        // By the share that goes, then by age.
        files.sort_by(|a, b| (b.1 * (a.1 + a.2)).cmp(&(a.1 * (b.1 + b.2))).then(a.0.cmp(&b.0)));
        let mut freed = 0;
        let enough = files.iter().position(|(_, gone, _)| {
            freed += gone;
            freed >= need
        });
        let files: Vec<FileId> =
            files.iter().take(enough.map_or(usize::MAX, |n| n + 1)).map(|f| f.0).collect();
        self.remove_in_batches(&files, marks, reason)
    }

    /// Removes these files, at most as many at a time as their remains fill a segment.
    fn remove_in_batches(
        &mut self,
        files: &[FileId],
        marks: &Marks,
        reason: EvictionReason,
    ) -> Result<(), WriteError> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for &id in files {
            let blocks = self.held.get(id).map_or(&[][..], |file| file.blocks.as_slice());
            let stays = blocks.iter().filter(|b| !marks.contains(&(id, b.number))).map(|b| b.bytes);
            let stays: u64 = stays.sum();
            if batch_bytes + stays > self.segment_limit() && !batch.is_empty() {
                self.remove_files(&std::mem::take(&mut batch), marks, reason)?;
                batch_bytes = 0;
            }
            batch.push(id);
            batch_bytes += stays;
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
        debug_assert!(self.keeping.removal.is_none(), "`enforce` finishes it before it removes more");
        let mut leaving = Vec::new();
        let pins = PinIndex::new(&self.keeping.pins);
        for &id in files {
            let blocks = self.held.get(id).map_or(&[][..], |file| file.blocks.as_slice());
            let kept: HashSet<usize> =
                blocks.iter().map(|block| block.number).filter(|&n| !marks.contains(&(id, n))).collect();
            let pinned = blocks.iter().any(|block| block.is_pinned(&pins));
            match scan::load(&path_of(&self.dir, id), true) {
                Ok(loaded) => leaving.push(Leaving { id, loaded: Some(loaded), kept }),
                // What cannot be read cannot be taken apart: it goes whole, unless somebody holds some of it.
                Err(_) if pinned => self.held.set_stuck(id),
                Err(_) => leaving.push(Leaving { id, loaded: None, kept: HashSet::new() }),
            }
        }
        if leaving.is_empty() {
            return Ok(());
        }
        let evictions = self.evictions_of(&leaving, reason);
        let (tombstones, kept) = if leaving.iter().any(|file| !file.kept.is_empty()) {
            let number = self.keeping.next_kept.max(self.segment.sequence() << KEPT_SHIFT);
            self.keeping.next_kept = number + 1;
            let (tombstones, kept) = self.write_kept(number, &leaving, &evictions, reason)?;
            (tombstones, Some(kept))
        } else {
            (leaving.iter().map(|file| file.tombstone(None, 0, reason)).collect(), None)
        };
        self.keeping.removal = Some(Removal { leaving, tombstones, evictions, kept, is_told: false });
        self.finish_removal()
    }

    /// Tells of what is to be removed, and removes it. What fails is tried again before anything else is removed.
    fn finish_removal(&mut self) -> Result<(), WriteError> {
        let Some(mut removal) = self.keeping.removal.take() else { return Ok(()) };
        let done = self.remove_told(&mut removal);
        if done.is_err() {
            self.keeping.removal = Some(removal);
            return done;
        }
        self.note_gone(removal.evictions.iter().map(|eviction| eviction.container.0).collect());
        Ok(())
    }

    fn remove_told(&mut self, removal: &mut Removal) -> Result<(), WriteError> {
        if !removal.is_told {
            self.tell(removal)?;
            removal.is_told = true;
            // Readers of a catalog take its word for it that this was told.
            if let Some(kept) = removal.kept {
                self.list_file(FileId::Kept(kept.number));
            }
        }
        // Those that are held no more went at an earlier try.
        let left = removal.leaving.iter().filter(|file| self.held.get(file.id).is_some());
        let left: Vec<&Leaving> = left.collect();
        for file in left {
            let path = path_of(&self.dir, file.id);
            if let Err(source) = std::fs::remove_file(&path)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(WriteError::Io { action: "remove", path, source });
            }
            self.stats.evicted_events += self.evicted_blocks(file).map(|block| block.rows).sum::<u64>();
            self.held.remove(file.id);
            self.catalog.remove(file.id);
        }
        Ok(())
    }

    /// Notes which of these containers have nothing in the store any more.
    fn note_gone(&mut self, losers: BTreeSet<u64>) {
        let open: HashSet<u64> = self.segment.entries().iter().map(|entry| entry.container).collect();
        for uid in losers {
            let is_there = open.contains(&uid)
                || self.containers.get(uid).is_some_and(|container| !container.finished)
                || self.held.of_container(uid).next().is_some();
            if !is_there {
                self.containers.forget(uid);
                self.gone.push(ContainerUid(uid));
            }
        }
    }

    /// Containers that ended and of which retention has removed everything since this was last asked.
    pub fn take_gone(&mut self) -> Vec<ContainerUid> {
        std::mem::take(&mut self.gone)
    }

    fn write_kept(
        &mut self,
        number: u64,
        leaving: &[Leaving],
        evictions: &[Eviction],
        reason: EvictionReason,
    ) -> Result<(Vec<Tombstone>, KeptFile), WriteError> {
        let new = KEPT_NEW.path(&self.dir, number);
        let path = KEPT.path(&self.dir, number);
        let written = self.copy_kept(number, new.clone(), leaving, (evictions, reason)).and_then(|written| {
            let named = std::fs::rename(&new, &path).and_then(|()| {
                // Nothing was told of it yet: under its name it would be one more copy.
                file::sync_dir(&self.dir).inspect_err(|_| drop(std::fs::remove_file(&path)))
            });
            named.map_err(|source| WriteError::Io { action: "rename", path, source })?;
            Ok(written)
        });
        let (tombstones, copied) = match written {
            Ok(written) => written,
            Err(error) => {
                // Half a copy is of no use; the sources are still there.
                let _ = std::fs::remove_file(&new);
                return Err(error);
            }
        };
        self.held.add(FileId::Kept(number), copied.bytes, &copied.entries);
        self.stats.moved_bytes += copied.bytes;
        let kept = KeptFile { number, size: copied.entries.len() as u64, root: copied.root };
        Ok((tombstones, kept))
    }

    fn copy_kept(
        &self,
        number: u64,
        new: PathBuf,
        leaving: &[Leaving],
        (evictions, reason): (&[Eviction], EvictionReason),
    ) -> Result<(Vec<Tombstone>, crate::copy::Copied), WriteError> {
        let header = SegmentHeader::of_copy(
            (self.origin.store_uuid, self.origin.boot_id),
            origin_kind::KEPT,
            self.next_uid,
            number,
        );
        let mut copy = BlockCopy::create(new, &header).map_err(copying)?;
        let mut tombstones = Vec::new();
        let mut records = Vec::new();
        for file in leaving {
            let Some(loaded) = &file.loaded else {
                tombstones.push(file.tombstone(None, 0, reason));
                continue;
            };
            let kept = |n: usize, entry: &BlockEntry| file.kept.contains(&n) || is_common(entry);
            let moved = copy.add(loaded, &kept).map_err(copying)?;
            let owners: HashSet<u64> =
                file.kept.iter().filter_map(|&n| loaded.entries.get(n)).map(|e| e.container).collect();
            let of_owner = |record: &&Record| matches!(record, Record::Container(container) if owners.contains(&container.uid.0));
            records.extend(loaded.records.iter().filter(of_owner).cloned());
            tombstones.push(file.tombstone(Some(number), moved, reason));
        }
        records.extend(tombstones.iter().map(|tombstone| Record::Tombstone(Box::new(*tombstone))));
        records.extend(evictions.iter().copied().map(Record::Eviction));
        copy.add_keeping(&records).map_err(copying)?;
        let copied = copy.finish(false).map_err(copying)?;
        Ok((tombstones, copied))
    }

    fn evicted_blocks<'a>(&'a self, file: &'a Leaving) -> impl Iterator<Item = &'a HeldBlock> {
        let blocks = self.held.get(file.id).map_or(&[][..], |file| file.blocks.as_slice());
        blocks.iter().filter(|block| !file.kept.contains(&block.number))
    }

    /// What will have been removed of each container that loses something with these files.
    fn evictions_of(&self, leaving: &[Leaving], reason: EvictionReason) -> Vec<Eviction> {
        let mut lost: BTreeMap<u64, Eviction> = BTreeMap::new();
        for block in leaving.iter().flat_map(|file| self.evicted_blocks(file)) {
            let container = ContainerUid(block.container);
            let nothing = Eviction { container, events: 0, blocks: 0, until: BootNanos(0), reason };
            let known = self.keeping.evictions.get(&block.container).map_or(nothing, |(e, _)| *e);
            let eviction = lost.entry(block.container).or_insert(known);
            eviction.events += block.rows;
            eviction.blocks += 1;
            eviction.until = eviction.until.max(block.last);
            eviction.reason = reason;
        }
        lost.into_values().collect()
    }

    /// Writes into the present segment what is removed, and again what the removed files told, signs it, and syncs.
    fn tell(&mut self, removal: &Removal) -> Result<(), WriteError> {
        let Removal { leaving, tombstones, evictions, kept, .. } = removal;
        let here = self.here();
        let files: Vec<FileId> = leaving.iter().map(|file| file.id).collect();
        let mut records: Vec<Record> = Vec::new();
        // What the removed files alone told is told again.
        let orphaned = |from: &FileId| files.contains(from);
        let older = self.keeping.tombstones.values().filter(|(_, from)| orphaned(from));
        records.extend(older.map(|(tombstone, _)| Record::Tombstone(Box::new(*tombstone))));
        let stays = |file: &KeptFile| !files.contains(&FileId::Kept(file.number));
        let older = self.keeping.kept.values().filter(|(file, from)| orphaned(from) && stays(file));
        records.extend(older.map(|(file, _)| Record::Kept(*file)));
        let told = self.keeping.evictions.iter().filter(|(uid, (_, from))| {
            let again = evictions.iter().any(|eviction| eviction.container.0 == **uid);
            orphaned(from) && !again && self.may_go_on(**uid, &files)
        });
        records.extend(told.map(|(_, (eviction, _))| Record::Eviction(*eviction)));
        records.extend(tombstones.iter().map(|tombstone| Record::Tombstone(Box::new(*tombstone))));
        records.extend(evictions.iter().copied().map(Record::Eviction));
        records.extend(kept.map(Record::Kept));
        if kept.is_none() {
            self.put_gaps(leaving)?;
        }
        self.put_keeping(&records)?;
        #[cfg(test)]
        if kept.is_some() && std::mem::take(&mut self.keeping.refuses) {
            let source = std::io::Error::other("refused");
            return Err(WriteError::Io { action: "sync", path: self.dir.clone(), source });
        }
        self.put_checkpoint(false)?;
        self.segment.sync().map_err(|source| self.segment_error("sync", source))?;
        records.iter().for_each(|record| self.keeping.learn(record, here));
        self.keeping.evictions.retain(|_, (_, from)| !files.contains(from));
        self.keeping.forget_oldest();
        Ok(())
    }

    /// Writes again the gaps of nobody in particular that the removed files alone tell of, and that can be in the life of what
    /// is left. Many become one of each cause.
    fn put_gaps(&mut self, leaving: &[Leaving]) -> Result<(), WriteError> {
        let leaves = |id: FileId| leaving.iter().any(|file| file.id == id);
        let held = self.held.files().filter(|(id, _)| !leaves(*id));
        let held = held.flat_map(|(_, file)| &file.blocks).map(|block| block.first);
        let here = held::first_event(self.segment.entries());
        let Some(oldest) = held.chain(here).min() else { return Ok(()) };
        let told = leaving.iter().filter_map(|file| file.loaded.as_ref()).flat_map(|loaded| &loaded.records);
        let mut gaps: Vec<Loss> = told
            .filter_map(|record| if let Record::Loss(loss) = record { Some(*loss) } else { None })
            .filter(|loss| loss.container.is_none() && loss.to >= oldest)
            .collect();
        gaps.sort_by_key(|gap| (gap.from, gap.to, gap.cause.code()));
        gaps.dedup();
        if gaps.len() > GAPS {
            let mut of: BTreeMap<u16, Loss> = BTreeMap::new();
            for gap in gaps {
                let sum = of.entry(gap.cause.code()).or_insert(Loss { count: Some(0), cpu: None, ..gap });
                (sum.from, sum.to) = (sum.from.min(gap.from), sum.to.max(gap.to));
                sum.count = sum.count.zip(gap.count).map(|(a, b)| a.saturating_add(b));
            }
            gaps = of.into_values().collect();
        }
        let records: Vec<Record> = gaps.into_iter().map(Record::Loss).collect();
        self.put_records(kind::META, &records)
    }

    /// Whether anything of a container is left besides in these files, or may come.
    fn may_go_on(&self, uid: u64, without: &[FileId]) -> bool {
        let held = self.held.files().filter(|(id, _)| !without.contains(id));
        let mut blocks = held.flat_map(|(_, file)| &file.blocks);
        blocks.any(|block| block.container == uid)
            || self.segment.entries().iter().any(|entry| entry.container == uid)
            || self.containers.get(uid).is_some_and(|container| !container.finished)
    }

    /// Appends records of what the store keeps, as blocks.
    pub(super) fn put_keeping(&mut self, records: &[Record]) -> Result<(), WriteError> {
        self.put_records(kind::KEEPING, records)
    }

    /// Appends records of the whole store whose times have the base added, as blocks of this kind.
    fn put_records(&mut self, kind: u8, records: &[Record]) -> Result<(), WriteError> {
        let mut encoded = Vec::new();
        let mut first = 0;
        for (number, record) in records.iter().enumerate() {
            record.encode(&mut encoded);
            if encoded.len() >= RECORDS_BYTES || number + 1 == records.len() {
                self.put_record_block(kind, &encoded)?;
                encoded.clear();
                self.records.add(records.get(first..=number).unwrap_or(&[]).iter().cloned(), 0);
                first = number + 1;
            }
        }
        Ok(())
    }

    fn put_record_block(&mut self, kind: u8, encoded: &[u8]) -> Result<(), WriteError> {
        let around = Around { container: STORE_SCOPE, records: encoded, ..Around::default() };
        self.payload.clear();
        let mut header = self.encoder.encode(&OpenBlock::new(), &around, &mut self.payload);
        header.kind = kind;
        let written = self.segment.append(&mut header, &self.payload, &[]);
        written.map_err(|source| self.segment_error("write", source))
    }
}

fn copying(error: CopyError) -> WriteError {
    match error {
        CopyError::Read { path, source } => WriteError::Io { action: "read", path, source },
        CopyError::Write { action, path, source } => WriteError::Io { action, path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeping::TOMBSTONES;

    #[test]
    fn a_kept_file_is_remembered_as_gone_longer_than_what_was_moved_into_it() {
        let mut keeping = Keeping::default();
        let mut gone = |file, moved_to| {
            let reason = EvictionReason::Budget;
            let (link, size, root, moved_blocks, real) = (None, 0, [0; 32], 0, 0);
            let told = Tombstone { file, link, size, root, moved_to, moved_blocks, reason, real };
            keeping.learn(&Record::Tombstone(Box::new(told)), FileId::Segment(9));
        };
        // Made beside segment 100: of segment 99 and the kept file before it.
        gone(FileId::Segment(99), Some(100 << KEPT_SHIFT));
        gone(FileId::Kept(50 << KEPT_SHIFT), Some(100 << KEPT_SHIFT));
        gone(FileId::Kept(100 << KEPT_SHIFT), None);
        (101..101 + TOMBSTONES as u64 - 1).for_each(|number| gone(FileId::Segment(number), None));
        keeping.forget_oldest();
        assert_eq!(keeping.tombstones.len(), TOMBSTONES);
        assert!(!keeping.tombstones.contains_key(&FileId::Segment(99)));
        assert!(!keeping.tombstones.contains_key(&FileId::Kept(50 << KEPT_SHIFT)));
        assert!(keeping.tombstones.contains_key(&FileId::Kept(100 << KEPT_SHIFT)));
    }
}
