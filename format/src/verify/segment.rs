//! One file: its blocks, its checkpoints or proofs, its footer.

use ed25519_dalek::VerifyingKey;

use super::{Finding, FindingKind, SegmentReport, SegmentState, blocks};
use crate::{
    BootNanos, ContainerUid, DefectKind,
    block::{BlockHeader, HEADER_LEN, STORE_SCOPE, kind},
    bytes::Malformed,
    catalog::merged::Merged,
    events::decode::EventDecoder,
    file,
    keeping::FileId,
    limits,
    merkle::{self, Tree},
    meta::Record,
    note::Checkpoint,
    proof::{Group, provenance, read_checkpoint},
    reader::scan::Loaded,
    segment::{
        BlockEntry, FooterRepeated, TRAILER_LEN, chain::Link, origin_kind, parse_footer, parse_leaves,
        records::decode_records,
    },
};

/// Checkpoints further apart than this many nanoseconds are told: two and a half times the interval.
const SILENCE: u64 = 150_000_000_000;

/// What was found out about one file.
pub(super) struct Checked {
    pub(super) report: SegmentReport,
    pub(super) findings: Vec<Finding>,
    /// Roots after each number of blocks that a checkpoint may ask for: of the whole, and at each checkpoint.
    pub(super) roots: Vec<(u64, [u8; 32])>,
    pub(super) links: Vec<Link>,
    /// Links of the segments that its proofs name, and the roots that were signed there.
    pub(super) sources: Vec<(Link, (u64, [u8; 32]))>,
    /// Files that blocks of it say were removed.
    pub(super) removed: Vec<FileId>,
    pub(super) is_extract: bool,
}

/// A file being checked.
struct Check<'a> {
    loaded: &'a Loaded,
    findings: Vec<Finding>,
    tree: Tree,
    roots: Vec<(u64, [u8; 32])>,
    signed: u64,
    checkpoints: u64,
    last_checkpoint: Option<String>,
    last_boot: Option<u64>,
    /// The last block is the checkpoint that ends a segment.
    has_last: bool,
    events: u64,
    /// Files that it says were removed.
    removed: Vec<FileId>,
}

/// Checks a file that was opened by walking.
pub(super) fn check(
    loaded: &Loaded,
    active: bool,
    (continuity, place): (&mut blocks::Continuity, usize),
    progress: &mut dyn FnMut(u64),
) -> std::io::Result<Checked> {
    let mut check = Check {
        loaded,
        findings: Vec::new(),
        tree: Tree::default(),
        roots: Vec::new(),
        signed: 0,
        checkpoints: 0,
        last_checkpoint: None,
        last_boot: None,
        has_last: false,
        events: 0,
        removed: Vec::new(),
    };
    let is_extract = loaded.header.origin_kind != origin_kind::STORE;
    check.defects(active);
    let mut decoder = EventDecoder::new()?;
    let footer = loaded.agreeing_footer()?;
    let leaves = footer.as_ref().and_then(|footer| parse_leaves(footer).ok());
    let repeated = footer.as_ref().and_then(|footer| FooterRepeated::parse(footer).ok());
    for (number, entry) in loaded.entries.iter().enumerate() {
        let bytes = file::read_at_most(&loaded.file, entry.offset, entry.len as usize)?;
        if let Some(repeated) = repeated.as_ref().filter(|_| entry.kind == kind::EVENTS)
            && !blocks::is_repeated(&bytes, &mut decoder, repeated.get(number))
        {
            let detail = "the footer repeats other counters or another filter than the block has".to_owned();
            check.found(FindingKind::BadFooter, Some(number as u64), detail);
        }
        let leaf = leaves.as_ref().and_then(|leaves| leaves.get(number));
        if leaf.is_some_and(|leaf| *leaf != merkle::leaf(bytes.get(..HEADER_LEN).unwrap_or(&bytes))) {
            let detail = "the footer has another hash of the block".to_owned();
            check.found(FindingKind::BadFooter, Some(number as u64), detail);
        }
        check.block(number as u64, entry, &bytes, &mut decoder, is_extract);
        let at = blocks::Place { segment: place, block: number as u64, offset: entry.offset };
        continuity.follow(entry, at);
        progress(u64::from(entry.len));
    }
    if let Some(footer) = footer.as_ref() {
        check.footer_records(footer);
    }
    let provenance = provenance(loaded)?;
    if is_extract {
        check.proofs(&provenance.groups);
        for (number, Malformed(what)) in &provenance.damaged {
            check.found(FindingKind::BadProof, Some(*number as u64), (*what).to_owned());
        }
    }
    if !provenance.unproven.is_empty() {
        let first = provenance.unproven.first().map(|&n| n as u64);
        let (blocks, yet) = (provenance.unproven.len(), if is_extract { "" } else { " yet" });
        let detail = format!("`{blocks}` blocks are not covered by a signature{yet}");
        check.found(FindingKind::NotSignedYet, first, detail);
    }
    let state = check.state(is_extract, active);
    let sources = provenance.groups.iter().filter_map(|group| {
        let checkpoint = Checkpoint::parse(&group.note).ok()?;
        Some((group.link, (checkpoint.size, checkpoint.root)))
    });
    let sources = if is_extract { sources.collect() } else { Vec::new() };
    Ok(Checked { sources, ..check.finish(state, is_extract, provenance.links) })
}

/// Whether it is of a block with events.
fn is_rows(entry: &BlockEntry) -> bool {
    entry.kind == kind::EVENTS && entry.rows > 0
}

impl Check<'_> {
    fn found(&mut self, kind: FindingKind, block: Option<u64>, detail: String) {
        let entry = block.and_then(|b| self.loaded.entries.get(usize::try_from(b).ok()?)).copied();
        self.findings.push(Finding {
            kind,
            path: self.loaded.path.clone(),
            sequence: Some(self.loaded.header.link.sequence),
            block,
            offset: entry.map(|e| e.offset),
            container: entry.filter(|e| e.container != STORE_SCOPE).map(|e| ContainerUid(e.container)),
            range: entry.filter(is_rows).map(|e| e.times()),
            detail,
        });
    }

    /// What walking has found already.
    fn defects(&mut self, active: bool) {
        for defect in &self.loaded.defects {
            let kind = match defect.kind {
                DefectKind::Torn if active => continue,
                DefectKind::Torn if self.loaded.has_trailer => FindingKind::BadBytes,
                DefectKind::Torn => FindingKind::TornTail,
                DefectKind::Unknown => FindingKind::Unknown,
                _ => FindingKind::BadBytes,
            };
            let first = self.findings.len();
            match self.blocks_at(defect.offset).as_slice() {
                [] => self.found(kind, None, defect.detail.clone()),
                of => {
                    of.iter().for_each(|(entry, source)| self.was_block(kind, entry, source, &defect.detail))
                }
            }
            for finding in self.findings.iter_mut().skip(first) {
                finding.offset = finding.offset.or(Some(defect.offset));
            }
        }
        if let Some(what) = self.loaded.footer_disagrees() {
            self.found(FindingKind::BadFooter, None, what.to_owned());
        }
    }

    /// The blocks with events that were where walking found none, as the footer or their own headers tell, and which of the two.
    fn blocks_at(&self, offset: u64) -> Vec<(BlockEntry, &'static str)> {
        let loaded = self.loaded;
        let next =
            loaded.entries.iter().map(|entry| entry.offset).find(|&at| at > offset).unwrap_or(u64::MAX);
        let is_here =
            |entry: &&BlockEntry| (offset..next).contains(&entry.offset) && entry.container != STORE_SCOPE;
        let listed = loaded.footer_entries().iter().filter(is_here).map(|entry| (*entry, "by the footer"));
        let listed: Vec<_> = listed.collect();
        if !listed.is_empty() {
            return listed;
        }
        loaded.damaged.iter().filter(is_here).map(|entry| (*entry, "by its header")).collect()
    }

    fn was_block(&mut self, kind: FindingKind, entry: &BlockEntry, source: &str, detail: &str) {
        let rows = entry.rows;
        self.found(kind, None, format!("{detail}: {source}, a block with `{rows}` events"));
        if let Some(finding) = self.findings.last_mut() {
            finding.offset = Some(entry.offset);
            finding.container = Some(ContainerUid(entry.container));
            finding.range = is_rows(entry).then(|| entry.times());
        }
    }

    fn block(
        &mut self,
        number: u64,
        entry: &BlockEntry,
        bytes: &[u8],
        decoder: &mut EventDecoder,
        is_extract: bool,
    ) {
        match blocks::check(bytes, decoder) {
            Ok((header, records)) => {
                self.events += u64::from(header.rows);
                for record in records {
                    if let Record::Tombstone(tombstone) = record {
                        self.removed.push(tombstone.file);
                    }
                }
            }
            Err(Malformed(what)) => self.found(FindingKind::BadBlock, Some(number), what.to_owned()),
        }
        self.has_last = false;
        if entry.kind == kind::CHECKPOINT && !is_extract {
            match read_checkpoint(bytes) {
                Ok((note, checkpoint)) => self.checkpoint(number, &note, &checkpoint),
                Err(Malformed(what)) => {
                    self.found(FindingKind::BadCheckpoint, Some(number), what.to_owned());
                }
            }
        }
        let head = bytes.get(..HEADER_LEN).unwrap_or(bytes);
        self.tree.push(merkle::leaf(head));
    }

    fn checkpoint(&mut self, number: u64, note: &str, checkpoint: &Checkpoint) {
        let header = &self.loaded.header;
        let (uuid, sequence) = (header.store_uuid, header.link.sequence);
        let key = VerifyingKey::from_bytes(&header.link.public_key).ok();
        let wrong = if checkpoint.store_uuid != uuid || checkpoint.sequence != sequence {
            Some("it is of another segment".to_owned())
        } else if !key.is_some_and(|key| Checkpoint::is_signed(note, &key)) {
            Some("the signature is not of the segment's key".to_owned())
        } else if checkpoint.size != number {
            Some(format!("it was made after `{}` blocks and lies after `{number}`", checkpoint.size))
        } else if checkpoint.root != self.tree.root() {
            Some("the blocks before it are not those that were signed".to_owned())
        } else if checkpoint.number != self.checkpoints {
            Some(format!("it is number `{}` in place of `{}`", checkpoint.number, self.checkpoints))
        } else if self.last_boot.is_some_and(|last| checkpoint.boot < last) {
            Some("it is older than the one before".to_owned())
        } else {
            None
        };
        match wrong {
            Some(wrong) => self.found(FindingKind::BadCheckpoint, Some(number), wrong),
            None => {
                self.signed = number;
                self.last_checkpoint = Some(note.to_owned());
            }
        }
        if let Some(silent) = self.last_boot.and_then(|last| checkpoint.boot.checked_sub(last))
            && silent > SILENCE
        {
            let seconds = silent / 1_000_000_000;
            self.found(FindingKind::Silence, Some(number), format!("no checkpoint for `{seconds}` seconds"));
        }
        self.roots.push((checkpoint.size, checkpoint.root));
        self.last_boot = Some(checkpoint.boot);
        self.checkpoints += 1;
        self.has_last = checkpoint.last;
    }

    /// The footer's records must be those of the blocks, merged: readers take them from there.
    fn footer_records(&mut self, footer: &[u8]) {
        if self.findings.iter().any(|finding| finding.kind.is_damage()) {
            // Blocks that cannot be read may have told what the footer repeats.
            return;
        }
        let mut told = Vec::new();
        let read = parse_footer(footer, u64::MAX)
            .and_then(|footer| decode_records(&footer.records, 0, &mut told, &mut 0));
        // Where writing failed, a footer can name the machine and no block does.
        let has_origin = self.loaded.records.iter().any(|record| matches!(record, Record::Origin(_)));
        let counts = |record: &Record| has_origin || !matches!(record, Record::Origin(_));
        let (mut said, mut is) = (Merged::default(), Merged::default());
        told.into_iter().filter(counts).for_each(|record| said.add(record));
        self.loaded.records.iter().filter(|r| counts(r)).for_each(|record| is.add(record.clone()));
        if read.is_err() || !said.agrees(&is) {
            let detail = "the footer tells other things of containers, gaps or pins than the blocks";
            self.found(FindingKind::BadFooter, None, detail.to_owned());
        }
    }

    /// Proofs of an extract.
    fn proofs(&mut self, groups: &[Group]) {
        for group in groups {
            let first = group.entries.first().map(|&n| n as u64);
            let proven = Checkpoint::parse(&group.note).ok().is_some_and(|checkpoint| {
                let key = VerifyingKey::from_bytes(&group.link.public_key).ok();
                checkpoint.store_uuid == group.store_uuid
                    && group.store_uuid == self.loaded.header.store_uuid
                    && checkpoint.sequence == group.link.sequence
                    && checkpoint.size == group.size
                    && group.partial().root() == Some(checkpoint.root)
                    && key.is_some_and(|key| Checkpoint::is_signed(&group.note, &key))
            });
            if proven {
                self.signed += group.entries.len() as u64;
            } else {
                let detail = format!("the proof from segment `{}` does not hold", group.link.sequence);
                self.found(FindingKind::BadProof, first, detail);
            }
        }
    }

    fn state(&mut self, is_extract: bool, active: bool) -> SegmentState {
        if is_extract {
            if !self.loaded.has_trailer {
                self.found(FindingKind::CutSegment, None, "the file has no seal".to_owned());
            }
            return match self.loaded.header.origin_kind {
                origin_kind::KEPT => SegmentState::Kept,
                _ => SegmentState::Extract,
            };
        }
        if self.has_last && !self.loaded.has_trailer && !active {
            let kind = if self.seal_is_torn() { FindingKind::TornTail } else { FindingKind::BadFooter };
            self.found(kind, None, "the last checkpoint is there and the seal is not".to_owned());
        }
        match (self.loaded.has_trailer, active) {
            (true, _) => {
                if !self.has_last {
                    let detail = "a sealed segment without its last checkpoint".to_owned();
                    self.found(FindingKind::CutSegment, None, detail);
                }
                SegmentState::Sealed
            }
            (false, true) => SegmentState::Active,
            (false, false) => {
                let detail = "the recorder did not seal this segment".to_owned();
                self.found(FindingKind::Unfinished, None, detail);
                SegmentState::Unfinished
            }
        }
    }

    /// Whether what lies behind the last block is of a seal whose writing was cut: footer and trailer are one write.
    fn seal_is_torn(&self) -> bool {
        let end = self.loaded.end;
        let Ok(rest) = file::read_at_most(&self.loaded.file, end, limits::FOOTER_BYTES + TRAILER_LEN) else {
            return false;
        };
        if rest.len() < HEADER_LEN || file::has_unwritten_sector(&rest, end) {
            return true;
        }
        let Some(footer) = BlockHeader::parse(&rest).ok().filter(|head| head.kind == kind::FOOTER) else {
            return false;
        };
        let trailer = rest.get(footer.total_len()..).unwrap_or(&[]);
        trailer.len() < TRAILER_LEN || trailer.iter().all(|&byte| byte == 0)
    }

    fn finish(mut self, state: SegmentState, is_extract: bool, links: Vec<Link>) -> Checked {
        let loaded = self.loaded;
        let rows = || loaded.entries.iter().filter(|e| e.kind == kind::EVENTS && e.rows > 0);
        let first = rows().map(|e| e.first.saturating_add(e.base)).min();
        let last = rows().map(|e| e.last.saturating_add(e.base)).max();
        self.roots.push((self.tree.size(), self.tree.root()));
        Checked {
            report: SegmentReport {
                path: loaded.path.clone(),
                sequence: loaded.header.link.sequence,
                state,
                blocks: loaded.entries.len() as u64,
                signed_blocks: self.signed,
                checkpoints: self.checkpoints,
                last_checkpoint: self.last_checkpoint,
                events: self.events,
                root: self.tree.root(),
                public_key: loaded.header.link.public_key,
                range: first.zip(last).map(|(a, b)| (BootNanos(a), BootNanos(b))),
            },
            findings: self.findings,
            roots: self.roots,
            links,
            sources: Vec::new(),
            removed: self.removed,
            is_extract,
        }
    }
}
