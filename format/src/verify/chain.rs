//! The segments of a store one after the other: each must be the one that the next was made after.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    Finding, FindingKind, SegmentState, Signer, VerifyOptions, VerifyReport, blocks::Continuity,
    catalog::CatalogCheck, evicted::Evicted, leftover, segment, stage,
};
use crate::{
    ClockMap, ClockPair, ContainerUid, Eviction, Loss, LossCause, OpenError,
    block::kind,
    keeping::{self, FileId},
    meta::Record,
    note::Checkpoint,
    reader::{
        scan::{self, LoadError, Loaded},
        told,
    },
    segment::{chain::Link, origin_kind},
    store::{self, KEPT, SEGMENTS, StoreFile, path_of},
};

/// Verifies one recording.
pub(super) struct Verifier<'a> {
    options: &'a VerifyOptions,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    report: VerifyReport,
    continuity: Continuity,
    uuid: [u8; 16],
    /// Links found, by segment.
    links: BTreeMap<u64, Link>,
    /// Roots found of each segment, by number of blocks.
    roots: BTreeMap<u64, Vec<(u64, [u8; 32])>>,
    /// Segments that were there and could not be checked.
    unreadable: Vec<u64>,
    /// What retention removed.
    evicted: Evicted,
    /// Files that were read.
    read: HashSet<FileId>,
    /// Numbers of segments that were begun and have nothing in them.
    empty: Vec<u64>,
    /// Numbers of the kept files and of the segments there are.
    kept: Vec<u64>,
    numbers: Vec<u64>,
    /// What kept files say was removed.
    said_by_kept: Vec<(PathBuf, FileId)>,
    /// What proofs of kept files rest on.
    sources: Vec<(PathBuf, Link, (u64, [u8; 32]))>,
    /// A file was listed and then not there.
    vanished: bool,
    /// Readings of the clock in all files.
    clock: Vec<ClockPair>,
    /// It is an extract: it has not all blocks of any segment.
    is_part: bool,
    /// The first segment that something here is of.
    first: Option<u64>,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(options: &'a VerifyOptions, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self {
            options,
            progress,
            done: 0,
            total: 0,
            report: VerifyReport::default(),
            continuity: Continuity::default(),
            uuid: [0; 16],
            links: BTreeMap::new(),
            roots: BTreeMap::new(),
            unreadable: Vec::new(),
            evicted: Evicted::default(),
            read: HashSet::new(),
            empty: Vec::new(),
            kept: Vec::new(),
            numbers: Vec::new(),
            said_by_kept: Vec::new(),
            sources: Vec::new(),
            vanished: false,
            clock: Vec::new(),
            is_part: false,
            first: None,
        }
    }

    /// Verifies a single file.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), OpenError> {
        let loaded = scan::walk(path, false).map_err(|error| match error {
            LoadError::Open(error) => error,
            LoadError::Empty => OpenError::NotARecording { path: path.to_owned() },
        })?;
        self.uuid = loaded.header.store_uuid;
        self.is_part = loaded.header.origin_kind != origin_kind::STORE;
        self.total = loaded.end;
        self.segment(&loaded, false)?;
        // What lies between the blocks of a kept file is in other files.
        if loaded.header.origin_kind != origin_kind::KEPT {
            // An extract tells what was evicted of its containers.
            self.evicted.learn(&loaded.records);
            let corrupt = self.damaged_sources(&loaded);
            self.missing_blocks(&corrupt, false);
            self.tell_evicted(path);
        }
        Ok(())
    }

    /// Tells of blocks that an extract says were damaged where it was copied from, unless it has all rows of their container
    /// from another copy. Gives how many events these had of each container.
    fn damaged_sources(&mut self, loaded: &Loaded) -> HashMap<ContainerUid, u64> {
        let rows_of = |uid: ContainerUid| -> u64 {
            let own = loaded.entries.iter().filter(|e| e.kind == kind::EVENTS && e.container == uid.0);
            own.map(|entry| u64::from(entry.rows)).sum()
        };
        let told: HashMap<ContainerUid, u64> =
            loaded.records.iter().fold(HashMap::new(), |mut told, record| {
                if let Record::Rows(rows) = record {
                    let most = told.entry(rows.container).or_default();
                    *most = rows.rows.max(*most);
                }
                told
            });
        let mut known = HashSet::new();
        let mut events_of: HashMap<ContainerUid, u64> = HashMap::new();
        for record in &loaded.records {
            let Record::Loss(Loss {
                container: Some(uid), cause: LossCause::Corrupt, from, to, count, ..
            }) = record
            else {
                continue;
            };
            let evicted = self.evicted.containers().find(|e| e.container == *uid).map_or(0, |e| e.events);
            let is_there = told.get(uid).is_some_and(|&rows| rows <= rows_of(*uid).saturating_add(evicted));
            if is_there || !known.insert((*uid, *from, *to, *count)) {
                continue;
            }
            let sum = events_of.entry(*uid).or_default();
            *sum = sum.saturating_add(count.unwrap_or(0));
            let events =
                count.map_or_else(|| "an unknown number of".to_owned(), |count| format!("`{count}`"));
            let detail =
                format!("{events} events were in a block that was damaged where this was copied from");
            self.found(FindingKind::DamagedSource, &loaded.path, None, detail);
            if let Some(finding) = self.report.findings.last_mut() {
                finding.container = Some(*uid);
                finding.range = Some((*from, *to));
            }
        }
        events_of
    }

    /// Verifies a store.
    pub(super) fn store(&mut self, dir: &Path) -> Result<(), OpenError> {
        let reading = |source| OpenError::reading(dir, source);
        let store = StoreFile::read(dir);
        let numbers = SEGMENTS.list(dir).map_err(reading)?;
        match store {
            Ok(Some(store)) => self.uuid = store.uuid,
            Ok(None) if numbers.is_empty() => {
                return Err(OpenError::NotARecording { path: dir.to_owned() });
            }
            Ok(None) => self.found(
                FindingKind::BadSegment,
                &dir.join("STORE"),
                None,
                "the store's identity file is not there".to_owned(),
            ),
            Err(error) if numbers.is_empty() => return Err(error),
            Err(error) => {
                let defect = StoreFile::defect(dir, error)?;
                self.found(FindingKind::BadSegment, &defect.path, None, defect.detail);
            }
        }
        let live = store::is_live(dir);
        self.kept = KEPT.list(dir).map_err(reading)?;
        self.numbers = numbers;
        let (mut catalog, damaged) = CatalogCheck::read(dir, &self.kept, &self.numbers);
        let catalog_path = dir.join(crate::catalog::NAME);
        if let Some(what) = damaged {
            self.found(FindingKind::BadCatalog, &catalog_path, None, what.to_owned());
        }
        for (id, path, length) in self.list(dir) {
            let differs = if self.is_spare(id, &path) {
                self.spare(&path, live);
                self.done += length;
                catalog.lists(id).then_some("it lists a file that nothing signed tells of")
            } else {
                let walked = scan::walk(&path, true);
                let differs = walked.as_ref().ok().and_then(|loaded| catalog.file(id, loaded));
                self.walked(id, (&path, length), walked, live)?;
                differs
            };
            if let Some(what) = differs {
                let detail = format!("{what} `{}`", path.display());
                self.found(FindingKind::BadCatalog, &catalog_path, None, detail);
            }
        }
        let listed = catalog.listed(self.uuid);
        if let Some(what) = catalog.finish() {
            self.found(FindingKind::BadCatalog, &catalog_path, None, what.to_owned());
        }
        self.follow(dir);
        self.removals(dir, live);
        if !live {
            self.only_listed(dir, &listed);
        }
        let staged = stage::check(dir, live, &self.continuity.ends())?;
        self.report.findings.extend(staged);
        self.missing_blocks(&HashMap::new(), true);
        self.tell_evicted(dir);
        Ok(())
    }

    /// A kept file that readers do not use: nothing signed tells of it, and its blocks are all where they were. As readers find
    /// out: by its footer.
    fn is_spare(&self, id: FileId, path: &Path) -> bool {
        let FileId::Kept(number) = id else { return false };
        let is_told = self.evicted.knows_kept(number) || self.evicted.is_gone(id);
        !is_told && scan::load(path, true).is_ok_and(|kept| told::is_spare(&kept, &self.kept, &self.numbers))
    }

    /// Readers do not use it. A recorder that is at work is about to tell of it.
    fn spare(&mut self, path: &Path, live: bool) {
        if !live {
            let detail = "a copy of blocks of which no segment tells: the recorder ended before it removed them elsewhere";
            self.found(FindingKind::Unfinished, path, None, detail.to_owned());
        }
    }

    /// A file of the store, as far as it could be read.
    fn walked(
        &mut self,
        id: FileId,
        (path, length): (&Path, u64),
        walked: Result<Loaded, LoadError>,
        live: bool,
    ) -> Result<(), OpenError> {
        let is_last = Some(id) == self.numbers.last().map(|&number| FileId::Segment(number));
        match walked {
            Err(LoadError::Open(OpenError::Io { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                self.vanished = true;
            }
            walked if self.evicted.is_gone(id) => {
                let findings = leftover::check(path, walked, self.evicted.told_of(id));
                self.report.findings.extend(findings);
                self.done += length;
            }
            Ok(loaded) => self.store_file(&loaded, id, live && is_last)?,
            Err(LoadError::Empty) if is_last => {}
            Err(LoadError::Empty) => self.nothing_in(path, id),
            Err(LoadError::Open(error @ OpenError::Io { .. })) => return Err(error),
            Err(LoadError::Open(error)) => self.unreadable(path, id, error.to_string()),
        }
        Ok(())
    }

    /// What was kept must be there, and segments must tell what kept files say was removed.
    fn removals(&mut self, dir: &Path, live: bool) {
        for number in self.evicted.missing_kept(&self.read) {
            let detail = "blocks that retention kept were moved into it, and it is not there".to_owned();
            self.found(FindingKind::MissingSegment, &KEPT.path(dir, number), Some(number), detail);
        }
        for (path, id) in std::mem::take(&mut self.said_by_kept) {
            if !self.evicted.is_gone(id) && !self.evicted.is_forgotten(id) {
                // A recorder that is at work is about to say it.
                self.vanished |= live;
                let name = path_of(dir, id);
                let name = name.file_name().unwrap_or_default().display();
                let detail = format!("it says that `{name}` was removed, and no segment says so");
                self.found(FindingKind::BadProof, &path, None, detail);
            }
        }
    }

    /// What the catalog lists and is not there, where neither the chain nor a removal tells of it: the end of a store has nobody
    /// else to miss it. A recorder that is at work makes and removes files meanwhile; of one that a crash stopped while it removed
    /// them the tombstones are signed before the files go.
    fn only_listed(&mut self, dir: &Path, listed: &[FileId]) {
        let known_kept = self.evicted.missing_kept(&self.read);
        let last = self.numbers.last().copied();
        let is_missing = |id: &&FileId| match **id {
            FileId::Segment(number) => Some(number) > last,
            FileId::Kept(number) => !self.kept.contains(&number) && !known_kept.contains(&number),
        };
        let missing: Vec<FileId> = listed
            .iter()
            .filter(is_missing)
            .filter(|&&id| !self.evicted.is_gone(id) && !self.evicted.is_forgotten(id))
            .copied()
            .collect();
        for id in missing {
            let number = match id {
                FileId::Segment(number) | FileId::Kept(number) => number,
            };
            let detail = "the store's catalog, which nothing signs, lists it, and it is not there: it was taken away, or this is a copy that was made before there was one";
            self.found(FindingKind::MissingSegment, &path_of(dir, id), Some(number), detail.to_owned());
        }
    }

    /// The files of a store in order, with their lengths; learns what segments tell of those that are gone.
    fn list(&mut self, dir: &Path) -> Vec<(FileId, PathBuf, u64)> {
        let mut files = Vec::new();
        let kept = self.kept.iter().map(|&n| FileId::Kept(n));
        for id in kept.chain(self.numbers.iter().map(|&n| FileId::Segment(n))) {
            let path = path_of(dir, id);
            match std::fs::metadata(&path) {
                Ok(about) => {
                    self.total += about.len();
                    files.push((id, path, about.len()));
                }
                Err(_) => self.vanished = true,
            }
        }
        // Footers are quick to read; each is compared with its blocks when these are walked.
        for &number in self.numbers.iter().rev() {
            if let Ok(loaded) = scan::load(&SEGMENTS.path(dir, number), true) {
                self.evicted.learn(&loaded.records);
            }
        }
        files
    }

    /// A file without anything: the recorder ended when it made it. Whether there was more, the next one tells.
    fn nothing_in(&mut self, path: &Path, id: FileId) {
        let FileId::Segment(number) = id else { return self.unreadable(path, id, "it is empty".to_owned()) };
        self.empty.push(number);
        let detail = "nothing is in it: the recorder ended when it began this segment".to_owned();
        self.found(FindingKind::Unfinished, path, Some(number), detail);
    }

    fn unreadable(&mut self, path: &Path, id: FileId, detail: String) {
        let sequence = match id {
            FileId::Segment(number) => Some(number),
            FileId::Kept(_) => None,
        };
        self.unreadable.extend(sequence);
        self.found(FindingKind::BadSegment, path, sequence, detail);
    }

    /// Retention changed the store while it was read: what seems to be missing may have been moved.
    pub(super) fn changed_meanwhile(&self) -> bool {
        self.vanished || !self.evicted.missing_kept(&self.read).is_empty()
    }

    /// Tells of blocks that are missing by their numbers.
    fn missing_blocks(&mut self, corrupt: &HashMap<ContainerUid, u64>, is_store: bool) {
        let continuity = std::mem::take(&mut self.continuity);
        for (kind, container, place, range, detail) in
            continuity.gaps(&self.evicted.blocks(), corrupt, is_store)
        {
            let Some(segment) = self.report.segments.get(place.segment) else { continue };
            self.report.findings.push(Finding {
                kind,
                path: segment.path.clone(),
                sequence: Some(segment.sequence),
                block: Some(place.block),
                offset: Some(place.offset),
                container: Some(container),
                range,
                detail,
            });
        }
    }

    /// Tells what retention removed.
    fn tell_evicted(&mut self, dir: &Path) {
        if let Some(before) = self.evicted.forgotten_before(&self.numbers) {
            let detail = format!(
                "which segments before `{before}` were removed is not told any more: only the newest `{}` removals are",
                keeping::TOMBSTONES
            );
            self.found(FindingKind::Evicted, dir, None, detail);
        }
        for (first, last, reason, moved) in self.evicted.runs() {
            let which = if first == last { String::new() } else { format!(" to `{last}`") };
            let detail =
                format!("segments `{first}`{which} were removed ({reason}), `{moved}` blocks of them kept");
            self.found(FindingKind::Evicted, dir, Some(first), detail);
        }
        let containers: Vec<Eviction> = self.evicted.containers().copied().collect();
        for eviction in containers {
            let detail = format!(
                "`{}` events in `{}` blocks were removed ({})",
                eviction.events,
                eviction.blocks,
                eviction.reason.as_str()
            );
            self.found(FindingKind::Evicted, dir, None, detail);
            if let Some(finding) = self.report.findings.last_mut() {
                finding.container = Some(eviction.container);
            }
        }
    }

    fn store_file(&mut self, loaded: &Loaded, id: FileId, active: bool) -> Result<(), OpenError> {
        let header = &loaded.header;
        let number = match id {
            FileId::Segment(number) | FileId::Kept(number) => number,
        };
        self.read.insert(id);
        if self.uuid == [0; 16] {
            // Of which store the others have to be, where nothing else says it.
            self.uuid = header.store_uuid;
        }
        if header.store_uuid != self.uuid {
            let detail = "a segment of another store".to_owned();
            self.found(FindingKind::ForeignSegment, &loaded.path, Some(number), detail);
            if matches!(id, FileId::Segment(_)) {
                self.unreadable.push(number);
            }
            return Ok(());
        }
        let is_kept = header.origin_kind == origin_kind::KEPT;
        if header.link.sequence != number || is_kept != matches!(id, FileId::Kept(_)) {
            let detail = format!("it is segment `{}` under another one's name", header.link.sequence);
            self.found(FindingKind::ReorderedSegment, &loaded.path, Some(number), detail);
        }
        self.segment(loaded, active)?;
        let (FileId::Kept(number), Some(report)) = (id, self.report.segments.last()) else { return Ok(()) };
        match self.evicted.is_as_kept(number, report.blocks, report.root) {
            // The segment's signature covers what has no proof of its own.
            Some(true) => self
                .report
                .findings
                .retain(|found| found.kind != FindingKind::NotSignedYet || found.path != loaded.path),
            Some(false) => {
                let detail = "its blocks are not those that retention wrote, as a segment tells".to_owned();
                self.found(FindingKind::BadProof, &loaded.path, Some(number), detail);
            }
            None if self.evicted.knows_kept(number) => {}
            None => {
                let detail = "no segment tells of it, and what it says was removed is not there".to_owned();
                self.found(FindingKind::BadProof, &loaded.path, Some(number), detail);
            }
        }
        Ok(())
    }

    fn segment(&mut self, loaded: &Loaded, active: bool) -> Result<(), OpenError> {
        self.clock.extend(loaded.records.iter().filter_map(|record| match record {
            Record::Clock(pair) => Some(*pair),
            _ => None,
        }));
        let (done, total) = (self.done, self.total);
        let progress = &mut *self.progress;
        let mut here = 0;
        let place = (&mut self.continuity, self.report.segments.len());
        let checked = segment::check(loaded, active, place, &mut |bytes| {
            here += bytes;
            progress(done + here, total);
        });
        let checked = checked.map_err(|source| OpenError::reading(&loaded.path, source))?;
        self.done += here;
        let report = checked.report;
        self.report.blocks += report.blocks;
        self.report.signed_blocks += report.signed_blocks;
        self.report.events += report.events;
        self.report.findings.extend(checked.findings);
        let own = (!checked.is_extract).then_some(report.sequence);
        let sources = checked.sources.iter().map(|(link, _)| link.sequence);
        self.first = self.first.into_iter().chain(own).chain(sources).min();
        if report.state == SegmentState::Kept {
            let path = &loaded.path;
            self.said_by_kept.extend(checked.removed.iter().map(|&id| (path.clone(), id)));
            self.sources.extend(checked.sources.iter().map(|&(link, root)| (path.clone(), link, root)));
        } else if checked.is_extract {
            self.extract_chain(&loaded.path, &checked.links);
            for (link, root) in checked.sources {
                self.roots.entry(link.sequence).or_default().push(root);
                self.follows_from_chain(&loaded.path, link);
            }
        } else {
            self.links.insert(report.sequence, loaded.header.link);
            self.roots.insert(report.sequence, checked.roots);
        }
        self.report.segments.push(report);
        Ok(())
    }

    fn found(&mut self, kind: FindingKind, path: &Path, sequence: Option<u64>, detail: String) {
        self.report.findings.push(Finding { sequence, ..Finding::of_file(kind, path, detail) });
    }

    /// The links that an extract brings: each must be endorsed by the one before.
    fn extract_chain(&mut self, path: &Path, links: &[Link]) {
        for pair in links.windows(2) {
            let [before, after] = pair else { continue };
            let follows = after.previous.is_some_and(|p| p.sequence == before.sequence);
            if !(follows && after.is_endorsed(&self.uuid, &before.public_key)) {
                let detail = "the key is not endorsed by the one before".to_owned();
                self.found(FindingKind::ChainRestart, path, Some(after.sequence), detail);
            }
        }
        self.links.extend(links.iter().map(|link| (link.sequence, *link)));
    }

    /// A proof is worth what its key is: it must be that of the chain's link.
    fn follows_from_chain(&mut self, path: &Path, link: Link) {
        if self.links.get(&link.sequence) == Some(&link) {
            return;
        }
        if self.links.keys().next().is_some_and(|oldest| link.sequence < *oldest) {
            return self.key_unknown(path, link.sequence);
        }
        let detail = "its proof is not by the key that the chain has for that segment".to_owned();
        self.found(FindingKind::BadProof, path, Some(link.sequence), detail);
    }

    /// A proof by the key of a segment that is gone too long: whose key it is cannot be told. Who asks for a key has no proof.
    fn key_unknown(&mut self, path: &Path, sequence: u64) {
        let detail = "the segment it was copied from is gone too long for its key to be checked".to_owned();
        let asked = self.options.key.is_some();
        let kind = if asked { FindingKind::BadProof } else { FindingKind::NotSignedYet };
        self.found(kind, path, Some(sequence), detail);
    }

    /// Takes links and roots of segments that are gone from their tombstones.
    fn follow_gone(&mut self) {
        for tombstone in self.evicted.tombstones.values() {
            if let (FileId::Segment(number), Some(link)) = (tombstone.file, tombstone.link) {
                self.links.entry(number).or_insert(link);
                self.roots.entry(number).or_insert_with(|| vec![(tombstone.size, tombstone.root)]);
            }
        }
        for (path, link, root) in std::mem::take(&mut self.sources) {
            let sequence = Some(link.sequence);
            match self.links.get(&link.sequence) {
                Some(known) if *known == link => {
                    let roots = self.roots.entry(link.sequence).or_default();
                    // The whole segment's stays the last.
                    roots.insert(0, root);
                }
                None if self.evicted.is_forgotten(FileId::Segment(link.sequence)) => {
                    self.key_unknown(&path, link.sequence)
                }
                _ => {
                    let detail = "its proof is not by the key of the segment it was copied from";
                    self.found(FindingKind::BadProof, &path, sequence, detail.to_owned());
                }
            }
        }
    }

    /// Compares what each segment says of the one before with what was found there.
    fn follow(&mut self, dir: &Path) {
        self.follow_gone();
        let links: Vec<Link> = self.links.values().copied().collect();
        let mut before: Option<Link> = None;
        for link in links {
            let path = SEGMENTS.path(dir, link.sequence);
            match (link.previous, before) {
                (None, None) => self.first(&path, &link),
                (None, Some(_)) => {
                    let detail = "it says that it is the first".to_owned();
                    self.found(FindingKind::BrokenChain, &path, Some(link.sequence), detail);
                }
                (Some(previous), before) => self.compare(dir, &link, previous.sequence, before),
            }
            before = Some(link);
        }
    }

    /// The first segment of a chain has number 0, but where a crash left only empty ones before it: then its own key says so.
    fn first(&mut self, path: &Path, link: &Link) {
        let sequence = link.sequence;
        let without = self.empty.iter().chain(&self.unreadable).filter(|&&number| number < sequence).count();
        let says_so = sequence == 0 || link.is_endorsed(&self.uuid, &link.public_key);
        if (without as u64) < sequence || !says_so {
            let detail = format!("it says that it is the first, and `{sequence}` came before");
            self.found(FindingKind::MissingSegment, path, Some(sequence), detail);
        }
    }

    fn compare(&mut self, dir: &Path, link: &Link, previous: u64, before: Option<Link>) {
        let path = &SEGMENTS.path(dir, link.sequence);
        let Some(before) = before.filter(|b| b.sequence == previous) else {
            let is_forgotten = self.evicted.is_forgotten(FileId::Segment(previous));
            if !self.unreadable.contains(&previous) && !is_forgotten {
                let detail = format!("it came before segment `{}`, and is not there", link.sequence);
                self.found(
                    FindingKind::MissingSegment,
                    &SEGMENTS.path(dir, previous),
                    Some(previous),
                    detail,
                );
            }
            return;
        };
        let said = link.previous.map(|p| (p.size, p.root)).unwrap_or_default();
        let found = self.roots.get(&previous).cloned().unwrap_or_default();
        let size = found.last().map_or(0, |whole| whole.0);
        if said.0 > size {
            let detail = format!("it had `{}` blocks when the next began, and has `{size}`", said.0);
            self.found(FindingKind::CutSegment, path, Some(previous), detail);
        } else if found.last() != Some(&said) {
            let detail = "it is not the segment that the next was made after".to_owned();
            self.found(FindingKind::BrokenChain, path, Some(previous), detail);
        }
        if !link.is_endorsed(&self.uuid, &before.public_key) {
            let detail = "the key is not endorsed by the one before".to_owned();
            self.found(FindingKind::ChainRestart, path, Some(link.sequence), detail);
        }
    }

    /// Checkpoints that were kept elsewhere.
    fn kept_elsewhere(&mut self) {
        for note in &self.options.checkpoints {
            let Ok(kept) = Checkpoint::parse(note) else {
                let detail = "a checkpoint kept elsewhere cannot be read".to_owned();
                self.found(FindingKind::CheckpointMismatch, Path::new(""), None, detail);
                continue;
            };
            let roots = self.roots.get(&kept.sequence);
            let holds = kept.store_uuid == self.uuid
                && roots.is_some_and(|roots| roots.contains(&(kept.size, kept.root)));
            let gone = self.evicted.of_segment(kept.sequence).filter(|gone| kept.size < gone.size);
            if let Some(gone) = gone.filter(|_| !holds && kept.store_uuid == self.uuid) {
                let detail = format!(
                    "the blocks that the checkpoint tells of were removed ({})",
                    gone.reason.as_str()
                );
                self.found(FindingKind::Evicted, Path::new(""), Some(kept.sequence), detail);
            } else if !holds && self.is_part && self.links.contains_key(&kept.sequence) {
                let detail = format!(
                    "a part of segment `{}` cannot be compared with it: compare the store",
                    kept.sequence
                );
                self.found(FindingKind::CheckpointMismatch, Path::new(""), Some(kept.sequence), detail);
            } else if !holds {
                let detail =
                    format!("segment `{}` had `{}` blocks that are not there", kept.sequence, kept.size);
                self.found(FindingKind::CheckpointMismatch, Path::new(""), Some(kept.sequence), detail);
            }
        }
    }

    pub(super) fn finish(mut self) -> VerifyReport {
        self.kept_elsewhere();
        self.report.clock = ClockMap::new(std::mem::take(&mut self.clock));
        let signed = self.links.values().any(|link| link.public_key != [0; 32]);
        self.report.signer = match self.options.key {
            _ if !signed => Signer::Unsigned,
            None => Signer::NotPinned,
            Some(key) => match self.links.values().find(|link| link.public_key == key) {
                Some(link) => Signer::Pinned { from: link.sequence },
                None => Signer::Other,
            },
        };
        if self.options.key.is_some() && !matches!(self.report.signer, Signer::Pinned { .. }) {
            let detail = "no segment has the key asked for".to_owned();
            self.found(FindingKind::WrongKey, Path::new(""), None, detail);
        } else if self.options.key.is_some() && self.is_part && self.report.signed_blocks == 0 {
            // The links of a chain can be copied beside anything.
            let detail = "the chain has the key asked for, and nothing here is signed".to_owned();
            self.found(FindingKind::WrongKey, Path::new(""), None, detail);
        }
        if let (Signer::Pinned { from }, Some(first)) = (self.report.signer, self.first)
            && first < from
        {
            let detail = format!("the key asked for proves nothing of what is older than segment `{from}`");
            self.found(FindingKind::NotSignedYet, Path::new(""), Some(first), detail);
        }
        self.report
    }
}
