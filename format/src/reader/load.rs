//! Puts a recording together from its segments and its stage.
//!
//! Order matters beside a writer: the stage is read *before* the segments, so that rows that move from one to the
//! other meanwhile are seen twice rather than never; row numbers tell which are the same.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use super::{
    BlockInfo, CatalogUse, ContainerSummary, Keyframe, Origin, Recording,
    blocks::{Cache, Indexed, Place, Source},
    keyframes,
    opened::{Listed, Segment, open_listed},
    range_of,
    scan::{self, LoadError, Loaded},
    told,
};
use crate::{
    BootNanos, ClockMap, ClockPair, ContainerRecord, ContainerUid, Defect, DefectKind, Engine, Event,
    Eviction, Loss, OpenError, ReadError, Role,
    block::{STORE_SCOPE, kind, seal_block},
    bytes::Malformed,
    catalog::Catalog,
    events::{
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
    },
    incident::RowsOf,
    keeping::{self, FileId, Tombstone},
    limits,
    meta::Record,
    segment::{BlockEntry, origin_kind, records::cost},
    stage::{
        file::{StageError, StageFile},
        row::{Item, Taker},
    },
    store::{self, KEPT, SEGMENTS, STAGES, StoreFile},
};

pub(super) fn open(path: &Path) -> Result<Recording, OpenError> {
    let about = std::fs::metadata(path).map_err(|source| OpenError::Io {
        action: "open",
        path: path.to_owned(),
        source,
    })?;
    let mut recording = Recording {
        path: path.to_owned(),
        is_store: about.is_dir(),
        segments: Vec::new(),
        staged: Vec::new(),
        staged_records: Vec::new(),
        indexed: Vec::new(),
        blocks: Vec::new(),
        order: OnceLock::new(),
        keyframes: Vec::new(),
        keyframes_by_time: true,
        containers: Vec::new(),
        losses: Vec::new(),
        pins: Vec::new(),
        incidents: Vec::new(),
        evictions: Vec::new(),
        recorded: HashSet::new(),
        gone: Vec::new(),
        clock: ClockMap::default(),
        origin: Origin::default(),
        defects: Vec::new(),
        found: Mutex::default(),
        cache: Mutex::default(),
        live: false,
        unsealed: false,
        unfinished: Vec::new(),
        sealed_range: None,
        catalog: CatalogUse::Absent,
    };
    load(&mut recording)?;
    Ok(recording)
}

/// Loads again what can have changed. True when there is more than before.
pub(super) fn refresh(recording: &mut Recording) -> Result<bool, ReadError> {
    let before = measure(recording);
    load(recording).map_err(|error| match error {
        OpenError::Io { path, source, .. } => ReadError::Io { path, source },
        other => ReadError::Io { path: recording.path.clone(), source: io::Error::other(other.to_string()) },
    })?;
    Ok(measure(recording) != before)
}

/// What grows when something was written.
fn measure(recording: &Recording) -> impl PartialEq + use<> {
    let rows: u64 = recording.blocks.iter().map(|b| u64::from(b.rows)).sum();
    let records: Vec<ContainerRecord> = recording.containers.iter().map(|c| c.record.clone()).collect();
    let ends = recording.blocks.iter().map(|b| (b.first, b.last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let is_open = (recording.unsealed, recording.live);
    (rows, records, recording.losses.len(), recording.clock.pairs().len(), is_open, ends)
}

fn load(recording: &mut Recording) -> Result<(), OpenError> {
    let mut build = Build::default();
    let path = recording.path.clone();
    if recording.is_store {
        let mut known = std::mem::take(&mut recording.segments);
        for _ in 0..TRIES {
            build = Build::default();
            build.store(&path, known)?;
            let Some(number) = build.kept_meanwhile() else { break };
            // Retention moved blocks while this looked.
            build.defect(&KEPT.path(&path, number), DefectKind::Missing, "blocks that retention kept");
            known = Vec::new();
        }
    } else {
        let loaded = scan::load(&path, false).map_err(|error| match error {
            LoadError::Open(error) => error,
            LoadError::Empty => OpenError::NotARecording { path: path.clone() },
        })?;
        build.segment(Segment::new(loaded, false));
    }
    build.finish(recording);
    Ok(())
}

/// Containers with staged rows that are gathered at once.
const OPEN_BLOCKS: usize = 1024;

/// A recording while it is put together.
#[derive(Default)]
struct Build {
    segments: Vec<Segment>,
    staged: Vec<(BlockEntry, Vec<u8>)>,
    staged_bytes: usize,
    staged_records: Vec<Record>,
    indexed: Vec<Indexed>,
    blocks: Vec<BlockInfo>,
    keyframes: Vec<Keyframe>,
    records: Vec<Record>,
    seen: HashSet<Vec<u8>>,
    seen_bytes: usize,
    /// Where each container stands, by the blocks.
    stands: HashMap<u64, Stand, foldhash::fast::RandomState>,
    /// What the catalog lists, and whether it was used.
    listed: HashMap<FileId, Listed>,
    catalog: CatalogUse,
    defects: Vec<Defect>,
    uuid: [u8; 16],
    live: bool,
    unsealed: bool,
    unfinished: Vec<PathBuf>,
    sealed_blocks: usize,
    tombstones: HashMap<FileId, Tombstone>,
    /// Segments with nothing in them.
    empty: Vec<PathBuf>,
    /// Segments that should be there by their numbers.
    gaps: Vec<(u64, PathBuf)>,
}

/// A container, as the headers of its blocks tell.
#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    /// Number of the next row and of the next block.
    rows: u64,
    number: u64,
    /// Events lost.
    lost: u64,
    /// Events, and the times of the first and the last.
    events: u64,
    range: Option<(BootNanos, BootNanos)>,
}

/// How often a store is read that retention changes meanwhile.
const TRIES: u32 = 8;
/// Most segments missing one behind the other that are named one by one.
const MOST_GAPS: u64 = 1000;

/// Whether it is a copy without its end. Copies are written whole before they have their name, so that no crash tears them.
fn is_cut_copy(loaded: &Loaded) -> bool {
    loaded.header.origin_kind != origin_kind::STORE && !loaded.has_trailer
}

/// Whether a defect is told by saying that a copy has no end.
fn ends_a_copy(loaded: &Loaded, defect: &Defect) -> bool {
    defect.kind == DefectKind::Torn && is_cut_copy(loaded)
}

/// What a file's header says that it is.
fn file_id(loaded: &Loaded) -> FileId {
    let number = loaded.header.link.sequence;
    if loaded.header.origin_kind == origin_kind::KEPT {
        FileId::Kept(number)
    } else {
        FileId::Segment(number)
    }
}

impl Build {
    fn store(&mut self, dir: &Path, kept: Vec<Segment>) -> Result<(), OpenError> {
        let reading = |source| OpenError::reading(dir, source);
        let store = StoreFile::read(dir);
        // Before the stage: what dies with the writer may be in neither, never what is left by one that lives.
        let live = store::is_live(dir);
        let stages = self.read_stages(dir, live)?;
        let numbers = SEGMENTS.list(dir).map_err(reading)?;
        let store = match store {
            Ok(Some(store)) => Some(store),
            Ok(None) if numbers.is_empty() => return Err(OpenError::NotARecording { path: dir.to_owned() }),
            Ok(None) => {
                self.defect(&dir.join("STORE"), DefectKind::Missing, "the store's identity file");
                None
            }
            Err(error) if numbers.is_empty() => return Err(error),
            Err(error) => {
                self.defects.push(StoreFile::defect(dir, error)?);
                // Where one file is damaged, each is asked what it is itself.
                self.catalog = CatalogUse::Ignored("the store's identity file is damaged");
                None
            }
        };
        self.live = live;
        self.uuid = store.map_or([0; 16], |store| store.uuid);
        let mut known: BTreeMap<FileId, Segment> =
            kept.into_iter().filter(|s| s.loaded.sealed).map(|s| (file_id(&s.loaded), s)).collect();
        let kept_numbers = KEPT.list(dir).map_err(reading)?;
        if self.catalog == CatalogUse::Absent {
            self.open_catalog(dir, store, (&kept_numbers, &numbers), &mut known);
        }
        self.kept_files(dir, (&kept_numbers, &numbers), &mut known, store)?;
        let last = numbers.last().copied();
        let mut before = None;
        for number in numbers {
            let path = SEGMENTS.path(dir, number);
            self.gap_before(dir, before, number);
            before = Some(number);
            let id = FileId::Segment(number);
            if self.is_moved(id) {
                continue;
            }
            let Some(segment) = self.store_file(&path, id, &mut known, store)? else { continue };
            let is_last = Some(number) == last;
            let being_written = live && is_last;
            // A kill tears nothing: that nobody went on behind the last one is no damage either.
            if !(segment.loaded.sealed || being_written) {
                self.unfinished.push(path);
            }
            self.follows(dir, &segment);
            if is_last {
                self.unsealed = !segment.loaded.sealed;
            }
            self.segment(segment);
        }
        if live {
            self.defects.retain(|d| {
                d.kind != DefectKind::Torn || Some(&d.path) != self.segments.last().map(|s| &s.loaded.path)
            });
        }
        self.missing();
        self.stages(stages).map_err(reading)?;
        if store.is_none() && self.segments.is_empty() {
            // Nothing could be read: what the first file says is why.
            StoreFile::read(dir)?;
        }
        Ok(())
    }

    /// Compares what a segment says of the one before with what is there of that.
    fn follows(&mut self, dir: &Path, segment: &Segment) {
        let Some(said) = segment.loaded.header.link.previous else { return };
        let before = self.segments.last().map(|before| &before.loaded);
        let before = before.filter(|b| !b.sealed && b.header.link.sequence == said.sequence);
        let (path, end, found) = match before {
            Some(before) => (before.path.clone(), before.end, before.entries.len() as u64),
            None => (SEGMENTS.path(dir, said.sequence), 0, 0),
        };
        if said.size > found && (before.is_some() || self.empty.contains(&path)) {
            let what = format!("it had `{}` blocks when the next began, and has `{found}`", said.size);
            self.defects.push(defect_at(&path, end, DefectKind::Missing, &what));
        }
    }

    /// Takes the catalog's word for the files that it lists, when it lists the ones that are there.
    fn open_catalog(
        &mut self,
        dir: &Path,
        store: Option<StoreFile>,
        (kept, segments): (&[u64], &[u64]),
        known: &mut BTreeMap<FileId, Segment>,
    ) {
        let catalog = match Catalog::read(dir) {
            Ok(Some(catalog)) => catalog,
            Ok(None) => return,
            Err(Malformed(why)) => {
                self.catalog = CatalogUse::Ignored(why);
                return;
            }
        };
        let files = catalog.files.len();
        let opened = match catalog.disagrees(store.map(|store| store.uuid), kept, segments) {
            Some(why) => Err(why),
            None => open_listed(dir, catalog.files, known),
        };
        match opened {
            Ok(listed) => {
                let blocks = listed.values().map(Listed::blocks).sum();
                self.blocks.reserve_exact(blocks);
                self.indexed.reserve_exact(blocks);
                self.listed = listed;
                self.catalog = CatalogUse::Used { files };
                catalog.records.into_iter().for_each(|record| self.told(record));
            }
            Err(why) => self.catalog = CatalogUse::Ignored(why),
        }
    }

    /// A file of the store: as it is known, as the catalog lists it, or as it says itself.
    fn store_file(
        &mut self,
        path: &Path,
        id: FileId,
        known: &mut BTreeMap<FileId, Segment>,
        store: Option<StoreFile>,
    ) -> Result<Option<Segment>, OpenError> {
        let listed = self.listed.remove(&id);
        let in_catalog = listed.is_some();
        if let Some(Listed::Sealed(segment)) = listed {
            return Ok(Some(*segment));
        }
        if let Some(segment) = known.remove(&id).filter(|segment| !segment.in_catalog) {
            return Ok(Some(segment));
        }
        let (FileId::Kept(number) | FileId::Segment(number)) = id;
        match self.load_segment(path, number, store) {
            Ok(segment) => Ok(segment.map(|mut segment| {
                segment.in_catalog = in_catalog;
                segment
            })),
            // Retention may remove a file between listing and opening.
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds what retention kept: it is older than all segments.
    fn kept_files(
        &mut self,
        dir: &Path,
        (numbers, segments): (&[u64], &[u64]),
        known: &mut BTreeMap<FileId, Segment>,
        store: Option<StoreFile>,
    ) -> Result<(), OpenError> {
        let mut files = Vec::new();
        for &number in numbers {
            files.extend(self.store_file(&KEPT.path(dir, number), FileId::Kept(number), known, store)?);
        }
        // A catalog lists those only of which segments tell.
        let is_spare = |s: &Segment| !s.in_catalog && told::is_spare(&s.loaded, numbers, segments);
        if files.iter().any(is_spare) {
            let told = told::kept_files(dir, segments);
            files.retain(|s| told.contains(&s.loaded.header.link.sequence) || !is_spare(s));
        }
        // A newer one can say that an older one was moved into it.
        for segment in &files {
            for record in &segment.loaded.records {
                if let Record::Tombstone(tombstone) = record {
                    self.tombstones.insert(tombstone.file, **tombstone);
                }
            }
        }
        for segment in files {
            if !self.is_moved(file_id(&segment.loaded)) {
                self.segment(segment);
            }
        }
        Ok(())
    }

    /// Whether a file's blocks are in a kept file: what is left of it was to be removed.
    fn is_moved(&self, id: FileId) -> bool {
        self.tombstones.get(&id).is_some_and(|tombstone| tombstone.moved_to.is_some())
    }

    /// A kept file that has what was moved out of a file that is not there, and was not read.
    fn kept_meanwhile(&self) -> Option<u64> {
        let read: HashSet<FileId> = self.segments.iter().map(|segment| file_id(&segment.loaded)).collect();
        let moved = self.tombstones.values().filter(|tombstone| !read.contains(&tombstone.file));
        let kept = moved.filter_map(|tombstone| tombstone.moved_to);
        kept.filter(|&number| {
            let id = FileId::Kept(number);
            !read.contains(&id) && !self.tombstones.contains_key(&id)
        })
        .max()
    }

    /// Notes segments that should be before another.
    fn gap_before(&mut self, dir: &Path, before: Option<u64>, number: u64) {
        let first = before.map_or(0, |before| before.saturating_add(1));
        let gap = first.max(number.saturating_sub(MOST_GAPS))..number;
        self.gaps.extend(gap.map(|n| (n, SEGMENTS.path(dir, n))));
    }

    /// Reports segments that are not there and have no tombstone.
    fn missing(&mut self) {
        // Tombstones of the very oldest are gone too.
        let horizon = keeping::horizon(self.tombstones.keys().copied());
        for (number, path) in std::mem::take(&mut self.gaps) {
            let id = FileId::Segment(number);
            let is_forgotten = horizon.is_some_and(|horizon| id.rank() < horizon);
            if !is_forgotten && !self.tombstones.contains_key(&id) {
                self.defect(&path, DefectKind::Missing, "a segment before others");
            }
        }
    }

    /// A segment of the store; `None` when it cannot be used, which is then a defect.
    fn load_segment(
        &mut self,
        path: &Path,
        number: u64,
        store: Option<StoreFile>,
    ) -> Result<Option<Segment>, OpenError> {
        let loaded = match scan::load(path, true) {
            Ok(loaded) => loaded,
            Err(LoadError::Empty) => {
                self.empty.push(path.to_owned());
                return Ok(None);
            }
            Err(LoadError::Open(OpenError::Damaged { defect, .. })) => {
                self.defects.push(defect);
                return Ok(None);
            }
            Err(LoadError::Open(OpenError::NotARecording { .. })) => {
                self.defect(path, DefectKind::Corrupt, "no segment header");
                return Ok(None);
            }
            Err(LoadError::Open(OpenError::Version { found, .. })) => {
                self.defect(path, DefectKind::Unknown, &format!("format version `{found}`"));
                return Ok(None);
            }
            Err(LoadError::Open(error)) => return Err(error),
        };
        if store.is_some_and(|store| store.uuid != loaded.header.store_uuid) {
            self.defect(path, DefectKind::Corrupt, "a segment of another store");
            return Ok(None);
        }
        if loaded.header.link.sequence != number {
            let found = loaded.header.link.sequence;
            self.defect(path, DefectKind::Corrupt, &format!("the header says it is segment `{found}`"));
            return Ok(None);
        }
        Ok(Some(Segment::new(loaded, false)))
    }

    fn defect(&mut self, path: &Path, kind: DefectKind, detail: &str) {
        self.defects.push(defect_at(path, 0, kind, detail));
    }

    /// Adds a segment's blocks and records.
    fn segment(&mut self, segment: Segment) {
        let number = self.segments.len() as u32;
        let loaded = &segment.loaded;
        self.defects.extend(loaded.defects.iter().filter(|defect| !ends_a_copy(loaded, defect)).cloned());
        if is_cut_copy(loaded) {
            let what = "the file has no seal: its end is missing";
            self.defects.push(defect_at(&loaded.path, loaded.end, DefectKind::Missing, what));
        }
        self.unsealed = !loaded.sealed;
        // They were there: who counts the rows of their container misses them.
        let rows_of = |entry: &BlockEntry| RowsOf {
            container: ContainerUid(entry.container),
            rows: entry.first_row.saturating_add(u64::from(entry.rows)),
        };
        let damaged = loaded.damaged.iter().filter(|entry| entry.has_rows());
        self.records.extend(damaged.map(|entry| Record::Rows(rows_of(entry))));
        let is_next = self.blocks.len() == self.sealed_blocks;
        for (index, entry) in loaded.entries.iter().enumerate() {
            self.block(entry, Source::Segment(number), index);
        }
        if loaded.sealed && is_next {
            self.sealed_blocks = self.blocks.len();
        }
        if !segment.in_catalog {
            loaded.records.clone().into_iter().for_each(|record| self.told(record));
        }
        self.segments.push(segment);
    }

    /// Takes a record of a file.
    fn told(&mut self, record: Record) {
        if let Record::Tombstone(tombstone) = &record {
            self.tombstones.insert(tombstone.file, **tombstone);
        }
        self.record(record);
    }

    fn block(&mut self, entry: &BlockEntry, source: Source, number: usize) {
        if entry.kind >= kind::IGNORABLE || entry.container == STORE_SCOPE {
            return;
        }
        let stand = self.stands.entry(entry.container).or_default();
        stand.rows = stand.rows.max(entry.first_row + u64::from(entry.rows));
        stand.number = stand.number.max(entry.number.saturating_add(1));
        stand.lost = stand.lost.max(entry.lost);
        if entry.kind == kind::STATE {
            self.keyframes.push(Keyframe::at(Place { source, number, entry: *entry }));
        }
        if !entry.has_rows() {
            return;
        }
        let (first, last) = entry.times();
        stand.events += u64::from(entry.rows);
        stand.range = Some(stand.range.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        self.blocks.push(BlockInfo {
            index: self.blocks.len(),
            container: ContainerUid(entry.container),
            first_row: entry.first_row,
            rows: entry.rows,
            first,
            last,
            stored: u64::from(entry.len),
        });
        self.indexed.push(Indexed { source, number: number as u32 });
    }

    /// Notes a record unless it is there already: blocks and stage can both have it. True when it was not.
    fn record(&mut self, record: Record) -> bool {
        // The same pin can be made again after it was taken away; no stage has them.
        let counts_once = !matches!(record, Record::Pin(_) | Record::Unpin(_));
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let known = counts_once && self.seen.contains(&bytes);
        if known || self.seen_bytes > limits::ALL_RECORDS_BYTES {
            return false;
        }
        self.seen_bytes += cost(bytes.len());
        if counts_once {
            self.seen.insert(bytes);
        }
        self.records.push(record);
        if self.seen_bytes > limits::ALL_RECORDS_BYTES {
            self.defect(Path::new(""), DefectKind::Unknown, "more metadata records than a reader keeps");
        }
        true
    }

    fn read_stages(&mut self, dir: &Path, live: bool) -> Result<Vec<StageFile>, OpenError> {
        let mut stages = Vec::new();
        let mut bytes = 0;
        for number in STAGES.list(dir).map_err(|error| OpenError::reading(dir, error))? {
            let path = STAGES.path(dir, number);
            if bytes > limits::ALL_STAGES_BYTES {
                self.defect(&path, DefectKind::Unknown, "more stage files than a reader keeps");
                break;
            }
            match StageFile::read(&path) {
                Ok((stage, damage)) => {
                    bytes += stage.len();
                    self.defects.extend(damage.told(live));
                    stages.push(stage);
                }
                Err(StageError::Gone) => {}
                Err(StageError::Io(error)) => return Err(OpenError::reading(&path, error)),
                Err(StageError::Defect(defect)) if !live => self.defects.push(defect),
                Err(StageError::Defect(_)) => {}
            }
        }
        Ok(stages)
    }

    /// Adds what is only in the stage: rows become blocks in memory, each as soon as it is full.
    fn stages(&mut self, stages: Vec<StageFile>) -> io::Result<()> {
        let mut encoder = EventEncoder::new()?;
        for stage in stages {
            let base = stage.header.time_base;
            let mut damaged = Vec::new();
            let mut staging = Staging { build: self, encoder: &mut encoder, base, open: BTreeMap::new() };
            stage.for_each(&mut staging, |offset, Malformed(what)| damaged.push((offset, what)))?;
            let mut open = staging.open;
            let path = STAGES.path(Path::new(""), stage.header.number);
            self.defects.extend(
                damaged.into_iter().map(|(at, what)| defect_at(&path, at, DefectKind::Corrupt, what)),
            );
            self.staged_blocks(&mut encoder, &mut open, base);
            if self.staged_bytes > limits::STAGED_BYTES {
                self.defect(&path, DefectKind::Unknown, "more staged rows than a reader keeps");
                break;
            }
        }
        Ok(())
    }

    fn staged_blocks(
        &mut self,
        encoder: &mut EventEncoder,
        open: &mut BTreeMap<u64, (u64, OpenBlock)>,
        base: u64,
    ) {
        for (uid, (first_row, block)) in std::mem::take(open) {
            self.staged_block(encoder, uid, first_row, &block, base);
        }
    }

    fn staged_block(
        &mut self,
        encoder: &mut EventEncoder,
        uid: u64,
        first_row: u64,
        block: &OpenBlock,
        base: u64,
    ) {
        if block.rows() == 0 {
            return;
        }
        let mut payload = Vec::new();
        // An extract copies it as it is: it continues what is in the segments.
        let Stand { number, lost, .. } = self.stands.get(&uid).copied().unwrap_or_default();
        let around = Around { container: uid, first_row, base, number, lost, ..Around::default() };
        let mut header = encoder.encode(block, &around, &mut payload);
        let mut bytes = Vec::new();
        seal_block(&mut header, &payload, &mut bytes);
        let entry = BlockEntry::of(0, &header);
        self.block(&entry, Source::Memory(self.staged.len() as u32), 0);
        self.staged_bytes += bytes.len();
        self.staged.push((entry, bytes));
        self.unsealed = true;
    }

    fn finish(mut self, recording: &mut Recording) {
        let mut origin = None;
        let mut pins = BTreeMap::new();
        let mut incidents = BTreeMap::new();
        let mut evictions = HashMap::new();
        let mut clock: Vec<ClockPair> = Vec::new();
        let mut losses: Vec<Loss> = Vec::new();
        let mut containers: BTreeMap<u64, ContainerRecord> = BTreeMap::new();
        for record in std::mem::take(&mut self.records) {
            match record {
                Record::Origin(found) => origin = Some(found),
                Record::Clock(pair) => clock.push(pair),
                Record::Loss(loss) => losses.push(loss),
                Record::Tombstone(_) | Record::Kept(_) => {}
                Record::Rows(told) => {
                    let stand = self.stands.entry(told.container.0).or_default();
                    stand.rows = stand.rows.max(told.rows);
                }
                Record::Eviction(eviction) => {
                    let known = evictions.entry(eviction.container).or_insert(eviction);
                    if known.blocks <= eviction.blocks {
                        *known = eviction;
                    }
                }
                Record::Pin(pin) => {
                    pins.insert(pin.id.clone(), pin);
                }
                Record::Incident(incident) => {
                    incidents.insert(incident.id.clone(), incident);
                }
                Record::Unpin(id) if id.is_empty() => pins.clear(),
                Record::Unpin(id) => {
                    pins.remove(&id);
                }
                Record::Container(record) => match containers.get_mut(&record.uid.0) {
                    Some(known) => known.absorb(*record),
                    None => {
                        containers.insert(record.uid.0, *record);
                    }
                },
            }
        }
        losses.sort_by_key(|l| (l.from, l.to, l.container));
        losses.retain(|loss| !loss.cause.is_damage() || !self.has_all_rows(loss.container, &evictions));
        let recorded = containers.keys().map(|&uid| ContainerUid(uid)).collect();
        let sealed = self.blocks.get(..self.sealed_blocks).unwrap_or(&[]);
        recording.sealed_range = range_of(sealed.iter());
        recording.containers = self.summaries(containers, &losses);
        recording.origin = origin.unwrap_or_else(|| Origin { store_uuid: self.uuid, ..Origin::default() });
        recording.clock = ClockMap::new(clock);
        recording.losses = losses;
        recording.pins = pins.into_values().collect();
        recording.incidents = incidents.into_values().collect();
        recording.recorded = recorded;
        let gone = self.tombstones.values().filter(|tombstone| matches!(tombstone.file, FileId::Segment(_)));
        recording.gone = gone.filter_map(|tombstone| tombstone.link).collect();
        recording.evictions = evictions.into_values().collect();
        recording.evictions.sort_by_key(|eviction: &Eviction| eviction.container);
        recording.catalog = self.catalog;
        recording.segments = self.segments;
        recording.staged = self.staged;
        recording.staged_records = self.staged_records;
        recording.indexed = self.indexed;
        recording.blocks = self.blocks;
        recording.order = OnceLock::new();
        recording.keyframes = keyframes::in_order(self.keyframes);
        recording.keyframes_by_time = keyframes::are_by_time(&recording.keyframes);
        recording.defects = self.defects;
        recording.live = self.live;
        recording.unsealed = self.unsealed;
        recording.unfinished = self.unfinished;
        recording.found = Mutex::default();
        recording.cache = Mutex::new(Cache::default());
    }

    /// Whether all rows of a container are there but what was evicted: what was damaged in one copy came from another.
    fn has_all_rows(
        &self,
        container: Option<ContainerUid>,
        evictions: &HashMap<ContainerUid, Eviction>,
    ) -> bool {
        let stand = container.and_then(|uid| self.stands.get(&uid.0)).copied();
        let evicted = container.and_then(|uid| evictions.get(&uid)).map_or(0, |eviction| eviction.events);
        stand.is_some_and(|stand| stand.rows <= stand.events.saturating_add(evicted))
    }

    fn summaries(
        &self,
        mut records: BTreeMap<u64, ContainerRecord>,
        losses: &[Loss],
    ) -> Vec<ContainerSummary> {
        let mut lost: HashMap<u64, u64> = HashMap::new();
        for loss in losses {
            if let Some(uid) = loss.container.filter(|_| !loss.cause.is_damage()) {
                let sum = lost.entry(uid.0).or_default();
                *sum = sum.saturating_add(loss.count.unwrap_or(0));
            }
        }
        // A container whose record is gone or never came is still one.
        for (&uid, stand) in &self.stands {
            if let Some((first, _)) = stand.range {
                records.entry(uid).or_insert_with(|| unknown_container(uid, first));
            }
        }
        let mut summaries: Vec<ContainerSummary> = records
            .into_values()
            .map(|record| {
                let uid = record.uid.0;
                let stand = self.stands.get(&uid).copied().unwrap_or_default();
                ContainerSummary {
                    events: stand.events,
                    rows: stand.rows,
                    lost: lost.get(&uid).copied().unwrap_or(0).max(stand.lost),
                    range: stand.range,
                    record,
                }
            })
            .filter(|s| s.record.uid != ContainerUid::HOST || s.events > 0 || s.lost > 0)
            .collect();
        summaries.sort_by_key(|s| (s.record.uid != ContainerUid::HOST, s.record.first_seen, s.record.uid));
        summaries
    }
}

/// Takes what one stage file holds.
struct Staging<'a> {
    build: &'a mut Build,
    encoder: &'a mut EventEncoder,
    base: u64,
    /// The first row and the rows of containers whose block is not full.
    open: BTreeMap<u64, (u64, OpenBlock)>,
}

impl Taker for Staging<'_> {
    fn wants_from(&self, container: u64) -> u64 {
        self.build.stands.get(&container).map_or(0, |stand| stand.rows)
    }

    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Event(uid, row, event, class) => self.row(uid, row, &event, class),
            Item::Record(mut record) => {
                record.rebase(self.base);
                if self.build.record(record.clone()) {
                    self.build.staged_records.push(record);
                }
            }
        }
    }
}

impl Staging<'_> {
    fn row(&mut self, uid: u64, row: u64, event: &Event<'_>, class: u8) {
        if self.build.staged_bytes > limits::STAGED_BYTES {
            return;
        }
        let stand = self.build.stands.entry(uid).or_default();
        if row < stand.rows {
            return;
        }
        stand.rows = row.saturating_add(1);
        let (first, block) = self.open.entry(uid).or_insert_with(|| (row, OpenBlock::new()));
        if block.is_full_for(event) || row != first.saturating_add(block.rows() as u64) {
            let full = std::mem::replace(block, OpenBlock::new());
            let first = std::mem::replace(first, row);
            self.build.staged_block(self.encoder, uid, first, &full, self.base);
        }
        block.push(event, class);
        if self.open.len() > OPEN_BLOCKS {
            self.build.staged_blocks(self.encoder, &mut self.open, self.base);
        }
    }
}

fn defect_at(path: &Path, offset: u64, kind: DefectKind, detail: &str) -> Defect {
    Defect { path: path.to_owned(), offset, kind, detail: detail.to_owned() }
}

fn unknown_container(uid: u64, first: BootNanos) -> ContainerRecord {
    if ContainerUid(uid) == ContainerUid::HOST {
        return ContainerRecord::host(first);
    }
    ContainerRecord {
        uid: ContainerUid(uid),
        engine: Engine::Unknown,
        role: Role::Unknown,
        id: Vec::new(),
        cgroup_path: Vec::new(),
        ..ContainerRecord::host(first)
    }
}
