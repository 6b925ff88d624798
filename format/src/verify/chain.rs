//! The segments of a store one after the other: each must be the one that the next was made after.

use std::{collections::BTreeMap, io, path::Path};

use super::{Finding, FindingKind, Signer, VerifyOptions, VerifyReport, blocks::Continuity, segment};
use crate::{
    OpenError,
    note::Checkpoint,
    reader::scan::{self, LoadError, Loaded},
    segment::chain::Link,
    store::{self, SEGMENTS, StoreFile},
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
        }
    }

    /// Verifies a single file.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), OpenError> {
        let loaded = scan::walk(path, false).map_err(|error| match error {
            LoadError::Open(error) => error,
            LoadError::Empty => OpenError::NotARecording { path: path.to_owned() },
        })?;
        self.uuid = loaded.header.store_uuid;
        self.total = loaded.end;
        self.segment(&loaded, false)
    }

    /// Verifies a store.
    pub(super) fn store(&mut self, dir: &Path) -> Result<(), OpenError> {
        let reading = |source| OpenError::Io { action: "read", path: dir.to_owned(), source };
        let store = StoreFile::read(dir)?;
        let numbers = SEGMENTS.list(dir).map_err(reading)?;
        match store {
            Some(store) => self.uuid = store.uuid,
            None if numbers.is_empty() => return Err(OpenError::NotARecording { path: dir.to_owned() }),
            None => self.found(
                FindingKind::BadSegment,
                &dir.join("STORE"),
                None,
                "the store's identity file is not there".to_owned(),
            ),
        }
        let live = store::is_live(dir);
        self.total = numbers
            .iter()
            .filter_map(|&n| std::fs::metadata(SEGMENTS.path(dir, n)).ok())
            .map(|about| about.len())
            .sum();
        for &number in &numbers {
            let path = SEGMENTS.path(dir, number);
            let active = live && Some(&number) == numbers.last();
            match scan::walk(&path, true) {
                Ok(loaded) => self.store_segment(&loaded, number, active)?,
                Err(LoadError::Empty) if Some(&number) == numbers.last() => {}
                Err(LoadError::Open(OpenError::Io { source, .. }))
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(LoadError::Open(error @ OpenError::Io { .. })) => return Err(error),
                Err(LoadError::Open(error)) => {
                    self.unreadable.push(number);
                    self.found(FindingKind::BadSegment, &path, Some(number), error.to_string());
                }
                Err(LoadError::Empty) => {
                    self.unreadable.push(number);
                    self.found(FindingKind::BadSegment, &path, Some(number), "it is empty".to_owned());
                }
            }
        }
        self.follow(dir);
        Ok(())
    }

    fn store_segment(&mut self, loaded: &Loaded, number: u64, active: bool) -> Result<(), OpenError> {
        let header = &loaded.header;
        if self.uuid != [0; 16] && header.store_uuid != self.uuid {
            let detail = "a segment of another store".to_owned();
            self.found(FindingKind::ForeignSegment, &loaded.path, Some(number), detail);
            self.unreadable.push(number);
            return Ok(());
        }
        if header.link.sequence != number {
            let detail = format!("it is segment `{}` under another one's name", header.link.sequence);
            self.found(FindingKind::ReorderedSegment, &loaded.path, Some(number), detail);
        }
        self.segment(loaded, active)
    }

    fn segment(&mut self, loaded: &Loaded, active: bool) -> Result<(), OpenError> {
        let (done, total) = (self.done, self.total);
        let progress = &mut *self.progress;
        let mut here = 0;
        let checked = segment::check(loaded, active, &mut self.continuity, &mut |bytes| {
            here += bytes;
            progress(done + here, total);
        });
        let checked =
            checked.map_err(|source| OpenError::Io { action: "read", path: loaded.path.clone(), source })?;
        self.done += here;
        let report = checked.report;
        self.report.blocks += report.blocks;
        self.report.signed_blocks += report.signed_blocks;
        self.report.events += report.events;
        self.report.findings.extend(checked.findings);
        if checked.is_extract {
            self.extract_chain(&loaded.path, &checked.links);
        } else {
            self.links.insert(report.sequence, loaded.header.link);
            self.roots.insert(report.sequence, checked.roots);
        }
        self.report.segments.push(report);
        Ok(())
    }

    fn found(&mut self, kind: FindingKind, path: &Path, sequence: Option<u64>, detail: String) {
        self.report.findings.push(Finding {
            kind,
            path: path.to_owned(),
            sequence,
            block: None,
            offset: None,
            container: None,
            detail,
        });
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

    /// Compares what each segment says of the one before with what was found there.
    fn follow(&mut self, dir: &Path) {
        let links: Vec<Link> = self.links.values().copied().collect();
        let mut before: Option<Link> = None;
        for link in links {
            let path = SEGMENTS.path(dir, link.sequence);
            match (link.previous, before) {
                (None, None) => {}
                (None, Some(_)) => {
                    let detail = "it says that it is the first".to_owned();
                    self.found(FindingKind::BrokenChain, &path, Some(link.sequence), detail);
                }
                (Some(previous), before) => self.compare(&path, &link, previous.sequence, before),
            }
            before = Some(link);
        }
    }

    fn compare(&mut self, path: &Path, link: &Link, previous: u64, before: Option<Link>) {
        let Some(before) = before.filter(|b| b.sequence == previous) else {
            if !self.unreadable.contains(&previous) {
                let detail = format!("segment `{previous}`, which came before, is not there");
                self.found(FindingKind::MissingSegment, path, Some(previous), detail);
            }
            return;
        };
        let said = link.previous.map(|p| (p.size, p.root)).unwrap_or_default();
        let found = self.roots.get(&previous).cloned().unwrap_or_default();
        let size = found.last().map_or(0, |whole| whole.0);
        if said.0 > size {
            let detail = format!("it had `{}` blocks when the next began, and has `{size}`", said.0);
            self.found(FindingKind::CutSegment, path, Some(previous), detail);
        } else if !found.contains(&said) {
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
            if !holds {
                let detail =
                    format!("segment `{}` had `{}` blocks that are not there", kept.sequence, kept.size);
                self.found(FindingKind::CheckpointMismatch, Path::new(""), Some(kept.sequence), detail);
            }
        }
    }

    pub(super) fn finish(mut self) -> VerifyReport {
        self.kept_elsewhere();
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
        }
        self.report
    }
}
