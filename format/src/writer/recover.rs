//! Opens a store for writing, and first brings home what an earlier writer left.
//!
//! Rules: a file that an earlier writer left is never changed. Rows and records that are only in the stage go into
//! blocks of the new segment, marked as recovered and with the time base of the boot they belong to; when those are
//! synced the stage files are removed. A crash in between repeats it: rows that are in blocks already are known by
//! their numbers.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    time::Instant,
};

use ed25519_dalek::SigningKey;

use super::{
    STAGE_STEPS, StoreOptions, StoreStats, StoreWriter, catalog::CatalogParts, containers::Containers,
    disk::Disk, held::Held, retention::Keeping, rotate::segment_header, stage_limit,
};
use crate::{
    BootNanos, ContainerRecord, DefectKind, Event, Loss, LossCause, OpenError, Origin, WriteError,
    block::{STORE_SCOPE, flag},
    catalog::Part,
    events::encode::EventEncoder,
    file,
    keeping::{FileId, KeptFile},
    keys,
    meta::Record,
    reader::{
        scan::{self, Loaded},
        told,
    },
    segment::{
        SegmentHeader,
        chain::{Link, Previous},
        file::SegmentWriter,
        records::SegmentRecords,
    },
    stage::{
        StageHeader,
        file::{StageError, StageFile, StageWriter},
        row::{Item, Taker},
    },
    store::{self, KEPT, KEPT_NEW, SEGMENTS, STAGES, path_of},
};

/// What is known of a store before a new writer writes to it.
#[derive(Default)]
struct Past {
    last: Option<SegmentHeader>,
    /// What the new segment says of the last.
    previous: Option<Previous>,
    held: Held,
    catalog: CatalogParts,
    keeping: Keeping,
    /// Files that are there and have a tombstone: a crash came before they were removed.
    gone: Vec<FileId>,
    next_sequence: u64,
    next_uid: u64,
    /// Latest time in its blocks, base included.
    latest: u64,
    rows: HashMap<u64, Counters>,
    records: HashMap<u64, ContainerRecord>,
    /// Gaps and clock readings of segments that are not sealed: the stage may have them too.
    others: Vec<Record>,
    /// Each with whether some of it was changed after it was written.
    stages: Vec<(StageFile, bool)>,
    /// There is a stage file of which nothing can be read.
    has_lost_stage: bool,
    stage_numbers: Vec<u64>,
}

/// A container's counters, as its blocks tell them.
#[derive(Default, Clone, Copy)]
struct Counters {
    next_row: u64,
    next_block: u64,
    lost: u64,
}

pub(super) fn open(dir: &Path, mut origin: Origin, options: StoreOptions) -> Result<StoreWriter, OpenError> {
    let (lock, store) = store::open_for_writing(dir, origin.store_uuid)?;
    origin.store_uuid = store.uuid;
    let past = read_past(dir)?;
    let reading = |source| OpenError::reading(dir, source);
    let time_base = time_base(&past, &origin).map_err(reading)?;
    let key_error = |action| {
        let path = dir.join("key");
        move |source| OpenError::Io { action, path, source }
    };
    let stage_header = StageHeader {
        boot_id: origin.boot_id,
        time_base,
        number: past.stage_numbers.last().map_or(0, |n| n.saturating_add(1)),
    };
    let mut first = segment_header(&origin, past.next_sequence, time_base, past.next_uid);
    if let Some(last) = &past.last {
        keys::settle(dir, &last.link.public_key).map_err(key_error("change"))?;
    }
    let key = keys::prepare(dir).map_err(key_error("prepare"))?;
    first.link = link(dir, &past, &key, &store.uuid);
    let segment_path = SEGMENTS.path(dir, past.next_sequence);
    let io_error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { action, path, source }
    };
    let segment =
        SegmentWriter::create(segment_path.clone(), &first).map_err(io_error("create", &segment_path))?;
    keys::promote(dir).map_err(key_error("change"))?;
    let stage_path = STAGES.path(dir, stage_header.number);
    let stage = StageWriter::create(dir, &stage_header, stage_limit(&options) / STAGE_STEPS)
        .map_err(io_error("create", &stage_path))?;
    let mut writer = StoreWriter {
        dir: dir.to_owned(),
        _lock: lock,
        records: SegmentRecords::new(origin.clone()),
        loose: vec![Record::Origin(origin.clone())],
        loose_stage: stage_header.number,
        origin,
        options,
        time_base,
        segment,
        stage,
        stage_begun: None,
        old_stages: past.stage_numbers.clone(),
        containers: Containers::default(),
        encoder: EventEncoder::new().map_err(io_error("prepare compression for", dir))?,
        payload: Vec::new(),
        spare: Vec::new(),
        open_bytes: 0,
        next_uid: past.next_uid,
        held: Held::default(),
        catalog: CatalogParts::default(),
        keeping: Keeping::default(),
        pinned: None,
        closed_at: None,
        tended: None,
        nothing_to_free: false,
        gone: Vec::new(),
        disk: Disk::default(),
        segment_begun: Instant::now(),
        last_sync: Instant::now(),
        key,
        checkpoints: 0,
        final_at: None,
        last_checkpoint: Instant::now(),
        stats: StoreStats::default(),
    };
    for (&uid, counters) in &past.rows {
        writer.containers.entry(uid).go_on(counters.next_row, counters.next_block, counters.lost);
    }
    writer.bring_home(&past, time_base).map_err(opening)?;
    writer.containers.values_mut().for_each(|entry| entry.states.taken_over());
    writer.containers.let_go();
    writer.take_over(past).map_err(opening)?;
    writer.write_catalog();
    Ok(writer)
}

/// The link of the segment that follows, which has this key.
fn link(dir: &Path, past: &Past, key: &SigningKey, store_uuid: &[u8; 16]) -> Link {
    let public_key = key.verifying_key().to_bytes();
    let mut link = Link { previous: past.previous, public_key, ..Link::unsigned(past.next_sequence) };
    let before = match &past.last {
        Some(last) => keys::find(dir, &last.link.public_key),
        // That nothing came before it, a first one says itself.
        None => Some(key.clone()),
    };
    if let Some(before) = before {
        link.endorse(store_uuid, &before);
    }
    link
}

/// A write that failed while opening.
fn opening(error: WriteError) -> OpenError {
    match error {
        WriteError::Io { action, path, source } => OpenError::Io { action, path, source },
        other => OpenError::Io {
            action: "recover into",
            path: std::path::PathBuf::new(),
            source: io::Error::other(other.to_string()),
        },
    }
}

/// Reads what is there. Damage is stepped over: readers report it, the writer only must not write over it.
fn read_past(dir: &Path) -> Result<Past, OpenError> {
    let mut past = Past::default();
    let reading = |source| OpenError::reading(dir, source);
    for number in KEPT_NEW.list(dir).map_err(reading)? {
        // A copy that was not finished; its sources are still there.
        std::fs::remove_file(KEPT_NEW.path(dir, number)).map_err(reading)?;
    }
    let sequences = SEGMENTS.list(dir).map_err(reading)?;
    past.add_kept_files(dir, &sequences).map_err(reading)?;
    for &sequence in &sequences {
        past.next_sequence = sequence.saturating_add(1);
        match scan::load(&SEGMENTS.path(dir, sequence), true) {
            Ok(loaded) => {
                if Some(&sequence) == sequences.last() {
                    // Who was killed may not have synced it, and nothing may rest on what a power cut can still take away: the
                    // next segment names all of it, and stages go whose rows are in it.
                    file::sync_data(&loaded.file).map_err(reading)?;
                }
                past.add_segment(loaded, sequence).map_err(reading)?;
            }
            Err(scan::LoadError::Open(error @ OpenError::Version { .. })) => return Err(error),
            Err(scan::LoadError::Open(OpenError::Io { action, path, source })) => {
                return Err(OpenError::Io { action, path, source });
            }
            Err(_) => past.add_unreadable(FileId::Segment(sequence), &SEGMENTS.path(dir, sequence)),
        }
    }
    for id in past.keeping.tombstones.keys() {
        if past.held.remove(*id).is_some() {
            past.catalog.remove(*id);
            past.gone.push(*id);
        }
    }
    past.count_evicted();
    past.stage_numbers = STAGES.list(dir).map_err(reading)?;
    for number in past.stage_numbers.clone() {
        match StageFile::read(&STAGES.path(dir, number)) {
            Ok((stage, damage)) => past.stages.push((stage, damage.is_corrupt())),
            Err(StageError::Io(source)) => {
                return Err(OpenError::reading(&STAGES.path(dir, number), source));
            }
            Err(StageError::Gone) => {}
            Err(StageError::Defect(defect)) => past.has_lost_stage |= defect.kind == DefectKind::Corrupt,
        }
    }
    Ok(past)
}

/// A kept file of which nothing signed tells is not taken over, or this recorder would sign what it says. Where it says what it
/// is a copy of, a crash left it, and it goes; else nobody knows what it is, and it stays where it is, unused.
fn drop_spare(kept: &Loaded) -> io::Result<()> {
    let is_copy = kept.records.iter().any(|record| matches!(record, Record::Tombstone(_)));
    if is_copy { std::fs::remove_file(&kept.path) } else { Ok(()) }
}

impl Past {
    fn add_unreadable(&mut self, id: FileId, path: &Path) {
        let length = std::fs::metadata(path).map_or(0, |about| about.len());
        self.catalog.insert(id, Part::unreadable(id, length));
    }

    fn add_kept_files(&mut self, dir: &Path, segments: &[u64]) -> io::Result<()> {
        let numbers = KEPT.list(dir)?;
        let mut told = None;
        for &number in &numbers {
            self.keeping.next_kept = number.saturating_add(1);
            let path = KEPT.path(dir, number);
            let Ok(loaded) = scan::load(&path, true) else {
                self.add_unreadable(FileId::Kept(number), &path);
                continue;
            };
            if told::is_spare(&loaded, &numbers, segments) {
                let told = told.get_or_insert_with(|| told::kept_files(dir, segments));
                if !told.contains(&number) {
                    drop_spare(&loaded)?;
                    continue;
                }
            }
            self.add_kept(&loaded, number);
        }
        Ok(())
    }

    fn add_kept(&mut self, loaded: &Loaded, number: u64) {
        let id = FileId::Kept(number);
        self.catalog.insert(id, Part::of(id, loaded));
        let bytes = loaded.file.metadata().map_or(0, |about| about.len());
        self.held.add(id, bytes, &loaded.entries);
        for record in &loaded.records {
            self.keeping.learn(record, id);
            if let Record::Container(container) = record {
                self.records.insert(container.uid.0, (**container).clone());
            }
        }
        self.count(loaded);
    }

    /// Takes over where containers stand.
    fn count(&mut self, loaded: &Loaded) {
        for entry in &loaded.entries {
            self.latest = self.latest.max(entry.last.saturating_add(entry.base));
            if entry.container == STORE_SCOPE {
                continue;
            }
            self.next_uid = self.next_uid.max(entry.container.saturating_add(1));
            let counters = self.rows.entry(entry.container).or_default();
            counters.next_row = counters.next_row.max(entry.first_row + u64::from(entry.rows));
            counters.next_block = counters.next_block.max(entry.number.saturating_add(1));
            counters.lost = counters.lost.max(entry.lost);
        }
    }

    /// Numbers go on behind what retention removed too.
    fn count_evicted(&mut self) {
        let mut there: HashMap<u64, (u64, u64)> = HashMap::new();
        for block in self.held.files().flat_map(|(_, file)| &file.blocks) {
            let (rows, blocks) = there.entry(block.container).or_default();
            (*rows, *blocks) = (*rows + block.rows, *blocks + 1);
        }
        for (uid, (eviction, _)) in &self.keeping.evictions {
            let (rows, blocks) = there.get(uid).copied().unwrap_or_default();
            let counters = self.rows.entry(*uid).or_default();
            counters.next_row = counters.next_row.max(rows.saturating_add(eviction.events));
            counters.next_block = counters.next_block.max(blocks.saturating_add(eviction.blocks));
            self.next_uid = self.next_uid.max(uid.saturating_add(1));
        }
    }

    /// Latest time of all, base included: of the blocks, and of rows that are only in the stage.
    fn latest(&self) -> io::Result<u64> {
        let mut latest = Latest { past: self, base: 0, time: self.latest };
        for (stage, _) in &self.stages {
            latest.base = stage.header.time_base;
            stage.for_each(&mut latest, |_, _| {})?;
        }
        Ok(latest.time)
    }

    /// The number behind the last row of a container that is in a block.
    fn next_row(&self, container: u64) -> u64 {
        self.rows.get(&container).map_or(0, |counters| counters.next_row)
    }

    fn add_segment(&mut self, loaded: Loaded, sequence: u64) -> io::Result<()> {
        let id = FileId::Segment(sequence);
        self.catalog.insert(id, Part::of(id, &loaded));
        loaded.records.iter().for_each(|record| self.keeping.learn(record, id));
        self.held.add(id, loaded.file.metadata()?.len(), &loaded.entries);
        let tree = loaded.tree()?;
        self.previous = Some(Previous { sequence, size: tree.size(), root: tree.root() });
        self.count(&loaded);
        for record in loaded.records {
            match record {
                Record::Container(container) => {
                    self.next_uid = self.next_uid.max(container.uid.0.saturating_add(1));
                    self.records.insert(container.uid.0, *container);
                }
                other if !loaded.sealed => self.others.push(other),
                _ => {}
            }
        }
        self.next_uid = self.next_uid.max(loaded.header.next_uid);
        self.last = Some(loaded.header);
        Ok(())
    }
}

/// Finds the latest time of what is only in the stage.
struct Latest<'a> {
    past: &'a Past,
    base: u64,
    time: u64,
}

impl Taker for Latest<'_> {
    fn wants_from(&self, container: u64) -> u64 {
        self.past.next_row(container)
    }

    fn take(&mut self, item: Item<'_>) {
        if let Item::Event(_, _, event, _) = item {
            self.time = self.time.max(event.time.0.saturating_add(self.base));
        }
    }
}

/// What to add to this boot's times so that they lie behind all earlier ones and, where the wall clock allows, as
/// far behind as they really are.
fn time_base(past: &Past, origin: &Origin) -> io::Result<u64> {
    let Some(last) = &past.last else { return Ok(0) };
    if last.boot_id == origin.boot_id {
        return Ok(last.time_base);
    }
    let elapsed = file::wall_clock().saturating_sub(last.created_real).max(0).cast_unsigned();
    let then = last.time_base.saturating_add(last.created_boot);
    let by_clock = then.saturating_add(elapsed).saturating_sub(file::boot_clock());
    let staged = past.stages.iter().map(|(stage, _)| stage.header.time_base).max().unwrap_or(0);
    Ok(by_clock.max(past.latest()?.saturating_add(1)).max(staged))
}

/// A record's bytes, by which it is known again.
fn bytes_of(record: &Record, base: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut record = record.clone();
    record.rebase(base);
    record.encode(&mut bytes);
    bytes
}

/// Takes home what one stage file holds.
struct Home<'a> {
    writer: &'a mut StoreWriter,
    past: &'a Past,
    base: u64,
    /// Records that are there already.
    known: &'a mut HashSet<Vec<u8>>,
    /// What went wrong first.
    failed: Option<WriteError>,
    /// First and last time of an event in it.
    times: Option<(BootNanos, BootNanos)>,
}

impl Taker for Home<'_> {
    fn wants_from(&self, container: u64) -> u64 {
        self.past.next_row(container)
    }

    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Event(uid, row, event, class) => {
                let (first, last) = self.times.unwrap_or((event.time, event.time));
                self.times = Some((first.min(event.time), last.max(event.time)));
                if let Err(error) = self.writer.restore(uid, row, &event, class, self.past) {
                    self.failed.get_or_insert(error);
                }
            }
            Item::Record(record) => self.record(record),
        }
    }
}

impl Home<'_> {
    fn record(&mut self, record: Record) {
        if self.known.insert(bytes_of(&record, self.base)) {
            self.writer.restore_record(record);
        }
    }

    /// Tells of what was in this file and cannot be read any more: the file goes, and nobody could tell later.
    fn damaged(&mut self) -> io::Result<()> {
        let is_told =
            |record: &Record| matches!(record, Record::Loss(loss) if loss.cause == LossCause::Corrupt);
        if self.times.is_none() && self.past.others.iter().any(is_told) {
            // A recorder that was killed in its turn has done all of this before.
            return Ok(());
        }
        let latest = BootNanos(self.past.latest()?.saturating_sub(self.base));
        let (from, to) = self.times.unwrap_or((latest, latest));
        self.record(Record::Loss(damage_between(from, to)));
        Ok(())
    }
}

/// An unknown number of events of anybody, which were recorded between two times.
fn damage_between(from: BootNanos, to: BootNanos) -> Loss {
    Loss { container: None, cause: LossCause::Corrupt, cpu: None, from, to, count: None }
}

impl StoreWriter {
    /// Writes what the stages hold beyond the blocks, and then removes them.
    fn bring_home(&mut self, past: &Past, time_base: u64) -> Result<(), WriteError> {
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        known.extend(past.others.iter().map(|record| bytes_of(record, 0)));
        let mut failed = None;
        for (stage, is_corrupt) in &past.stages {
            let base = stage.header.time_base;
            if base != self.time_base {
                self.cut_recovered()?;
                self.time_base = base;
            }
            let mut home = Home { writer: self, past, base, known: &mut known, failed: None, times: None };
            let mut is_damaged = *is_corrupt;
            let mut result = stage.for_each(&mut home, |_, _| is_damaged = true);
            if is_damaged {
                result = result.and_then(|()| home.damaged());
            }
            failed = failed.or(home.failed);
            result.map_err(|source| self.stage_error("read", source))?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.cut_recovered()?;
        self.time_base = time_base;
        if past.has_lost_stage {
            let now = BootNanos(file::boot_clock());
            self.restore_record(Record::Loss(damage_between(now, now)));
        }
        self.sync()
    }

    /// Takes over what the store keeps, and ends removals that a crash interrupted.
    fn take_over(&mut self, past: Past) -> Result<(), WriteError> {
        (self.held, self.keeping, self.catalog) = (past.held, past.keeping, past.catalog);
        let pins = self.pin_records();
        let here = self.here();
        let tombstones = past.gone.iter().filter_map(|id| self.keeping.tombstones.get(id));
        let told: Vec<Record> = tombstones.map(|(t, _)| Record::Tombstone(Box::new(*t))).collect();
        // Only segments are believed, and the crash may have come before they were told.
        let untold = self.keeping.evictions.values().filter(|(_, from)| matches!(from, FileId::Kept(_)));
        let untold = untold.map(|(eviction, _)| Record::Eviction(*eviction));
        let mut told: Vec<Record> = told.into_iter().chain(untold).collect();
        told.extend(self.untold_kept(&past.gone));
        self.put_keeping(&[pins, told.clone()].concat())?;
        if !told.is_empty() {
            self.put_checkpoint(false)?;
        }
        self.segment.sync().map_err(|source| self.segment_error("sync", source))?;
        told.iter().for_each(|record| self.keeping.learn(record, here));
        for id in past.gone {
            let path = path_of(&self.dir, id);
            std::fs::remove_file(&path).map_err(|source| WriteError::Io {
                action: "remove",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// Kept files of which no segment tells what is in them: a crash came first.
    fn untold_kept(&self, gone: &[FileId]) -> Vec<Record> {
        let numbers = self.held.files().filter_map(|(id, _)| match id {
            FileId::Kept(number) => Some(number),
            FileId::Segment(_) => None,
        });
        let numbers = numbers.filter(|number| {
            !self.keeping.kept.contains_key(number) && !gone.contains(&FileId::Kept(*number))
        });
        let told = numbers.filter_map(|number| {
            let loaded = scan::load(&KEPT.path(&self.dir, number), true).ok()?;
            let tree = loaded.tree().ok()?;
            Some(Record::Kept(KeptFile { number, size: tree.size(), root: tree.root() }))
        });
        told.collect()
    }

    fn restore(
        &mut self,
        uid: u64,
        row: u64,
        event: &Event<'_>,
        class: u8,
        past: &Past,
    ) -> Result<(), WriteError> {
        let entry = self.containers.entry(uid);
        if row < entry.next_row {
            return Ok(());
        }
        if entry.open.is_full_for(event) || (entry.open.rows() > 0 && row != entry.next_row) {
            self.cut(uid, flag::RECOVERED)?;
        }
        let stage = self.stage.number();
        let entry = self.containers.entry(uid);
        if let Some(record) = past.records.get(&uid) {
            let mut record = Record::Container(Box::new(record.clone()));
            record.debase(self.time_base);
            entry.know_record(record);
        }
        entry.pending_since(stage, event.time);
        entry.next_row = row + 1;
        entry.open.push(event, class);
        self.next_uid = self.next_uid.max(uid.saturating_add(1));
        Ok(())
    }

    fn restore_record(&mut self, record: Record) {
        let stage = self.stage.number();
        match record {
            Record::Container(container) => {
                let uid = container.uid.0;
                let entry = self.containers.entry(uid);
                entry.pending_since(stage, container.first_seen);
                entry.put_record(*container);
                self.next_uid = self.next_uid.max(uid.saturating_add(1));
            }
            Record::Loss(loss) if loss.container.is_some() => {
                let uid = loss.container.unwrap_or_default().0;
                let entry = self.containers.entry(uid);
                entry.pending_since(stage, BootNanos(loss.to.0));
                entry.lost = entry.lost.saturating_add(loss.count.unwrap_or(0));
                entry.losses.push(loss);
            }
            Record::Origin(_) => {}
            other => self.put_loose(other),
        }
    }
}
