//! Copies blocks of sealed files into a new one, bytes unchanged, with the proofs that go with them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::PathBuf,
};

use crate::{
    ContainerUid, Defect, DefectKind, Loss, LossCause,
    block::{BlockHeader, STORE_SCOPE, checked_payload, kind},
    bytes::Malformed,
    events::{
        decode::EventDecoder,
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
    },
    file, limits,
    meta::Record,
    payload::{Hash, Payload},
    proof::{chain_block, proof_block, provenance, separator_block},
    reader::scan::Loaded,
    segment::{
        BlockEntry, SegmentHeader,
        chain::Link,
        file::SegmentWriter,
        records::{SegmentRecords, decode_records},
    },
};

/// A copy failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Read { path: PathBuf, source: io::Error },
    Write { action: &'static str, path: PathBuf, source: io::Error },
}

/// A file that blocks are copied into.
#[derive(Debug)]
pub(crate) struct BlockCopy {
    segment: SegmentWriter,
    records: SegmentRecords,
    /// Links of all sources, and the newest that a proof rests on.
    links: BTreeMap<u64, Link>,
    newest: Option<u64>,
    blocks: u64,
    events: u64,
    /// Rows of each container.
    rows: HashMap<u64, u64>,
    /// Wanted blocks that are not what was hashed, and were not copied.
    damaged: Vec<Defect>,
    /// What these would have held, as the index tells.
    left_out: Vec<BlockEntry>,
}

/// What a copy holds.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) blocks: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: Vec<BlockEntry>,
    /// Root of the tree over all blocks of the file.
    pub(crate) root: Hash,
}

impl BlockCopy {
    /// Makes the file, which must not exist.
    pub(crate) fn create(path: PathBuf, header: &SegmentHeader) -> Result<Self, CopyError> {
        let segment = SegmentWriter::create(path.clone(), header).map_err(|source| CopyError::Write {
            action: "create",
            path,
            source,
        })?;
        Ok(Self {
            segment,
            records: SegmentRecords::default(),
            links: BTreeMap::new(),
            newest: None,
            blocks: 0,
            events: 0,
            rows: HashMap::new(),
            damaged: Vec::new(),
            left_out: Vec::new(),
        })
    }

    /// Copies the wanted blocks of a file that are whole; gives how many.
    pub(crate) fn add(
        &mut self,
        loaded: &Loaded,
        wanted: &dyn Fn(usize, &BlockEntry) -> bool,
    ) -> Result<u64, CopyError> {
        let reading = |source| CopyError::Read { path: loaded.path.clone(), source };
        let read = |number: usize| match loaded.entries.get(number) {
            Some(entry) => {
                file::read_at_most(&loaded.file, entry.offset, entry.len as usize).map_err(reading)
            }
            None => Ok(Vec::new()),
        };
        let provenance = provenance(loaded).map_err(reading)?;
        let mut chosen = HashSet::new();
        for (number, entry) in loaded.entries.iter().enumerate().filter(|(n, e)| wanted(*n, e)) {
            if is_whole(&read(number)?) {
                chosen.insert(number);
            } else if self.damaged.len() < limits::DEFECTS {
                self.left_out.push(*entry);
                self.damaged.push(Defect {
                    path: loaded.path.clone(),
                    offset: entry.offset,
                    kind: DefectKind::Corrupt,
                    detail: "a block is not what was hashed, and was not copied".to_owned(),
                });
            }
        }
        // Walking passed over these and told of them; only their headers are whole.
        self.left_out.extend(loaded.damaged.iter().filter(|entry| wanted(usize::MAX, entry)));
        let before = self.blocks;
        for group in &provenance.groups {
            if let Some(group) = group.restrict(|number| chosen.contains(&number)) {
                for &number in &group.entries {
                    self.block(&read(number)?)?;
                }
                self.own(proof_block(&group))?;
                self.newest = self.newest.max(Some(group.link.sequence));
            }
        }
        self.links.extend(provenance.links.into_iter().map(|link| (link.sequence, link)));
        let mut unproven = false;
        for number in provenance.unproven.iter().filter(|number| chosen.contains(number)) {
            self.block(&read(*number)?)?;
            unproven = true;
        }
        if unproven {
            self.own(separator_block())?;
        }
        Ok(self.blocks - before)
    }

    /// Adds links of segments that are not among the files.
    pub(crate) fn add_links(&mut self, links: &[Link]) {
        self.links.extend(links.iter().map(|link| (link.sequence, *link)));
    }

    /// Copies a block that has no proof. Only behind all files.
    pub(crate) fn add_unproven(&mut self, block: &[u8]) -> Result<(), CopyError> {
        self.block(block)
    }

    /// Writes records that are in no copied block as a block of their own, behind all files. Their times have the base
    /// added.
    pub(crate) fn add_records(&mut self, records: &[Record]) -> Result<(), CopyError> {
        self.record_block(kind::META, records)
    }

    /// As [`Self::add_records`], as a block that no extract copies.
    pub(crate) fn add_keeping(&mut self, records: &[Record]) -> Result<(), CopyError> {
        self.record_block(kind::KEEPING, records)
    }

    fn record_block(&mut self, kind: u8, records: &[Record]) -> Result<(), CopyError> {
        self.records.add(records.iter().cloned(), 0);
        let mut encoded = Vec::new();
        for record in records {
            record.encode(&mut encoded);
            if encoded.len() > limits::CUT_BYTES {
                self.encoded_block(kind, &std::mem::take(&mut encoded))?;
            }
        }
        if encoded.is_empty() { Ok(()) } else { self.encoded_block(kind, &encoded) }
    }

    fn encoded_block(&mut self, kind: u8, encoded: &[u8]) -> Result<(), CopyError> {
        let around = Around { container: STORE_SCOPE, records: encoded, ..Around::default() };
        let mut payload = Vec::new();
        let header = EventEncoder::new().map(|mut e| e.encode(&OpenBlock::new(), &around, &mut payload));
        self.own(header.map(|header| (BlockHeader { kind, ..header }, payload)))
    }

    /// Wanted blocks that were damaged and are therefore not in the copy.
    pub(crate) fn damaged(&mut self) -> Vec<Defect> {
        std::mem::take(&mut self.damaged)
    }

    /// The gaps that damaged blocks leave in the copy, of which their container and times are known.
    pub(crate) fn gaps(&self) -> Vec<Record> {
        self.left_out.iter().filter_map(corrupt).map(Record::Loss).collect()
    }

    /// Events copied so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Rows copied of a container.
    pub(crate) fn rows_of(&self, uid: u64) -> u64 {
        self.rows.get(&uid).copied().unwrap_or(0)
    }

    /// Whether the copy has a record of this container.
    pub(crate) fn has_record(&self, uid: u64) -> bool {
        self.records.has_container(uid)
    }

    /// Ends the file; with the links of the chain where `chain` says so.
    pub(crate) fn finish(mut self, chain: bool) -> Result<Copied, CopyError> {
        let links: Vec<Link> = self.links.values().copied().collect();
        let needed = |link: &&Link| self.newest.is_some_and(|newest| link.sequence <= newest);
        let links: Vec<Link> = links.iter().filter(needed).copied().collect();
        if chain && !links.is_empty() {
            self.own(chain_block(&links))?;
        }
        let records = self.records.encode();
        self.segment.seal(&records).map_err(|source| self.error("seal", source))?;
        Ok(Copied {
            blocks: self.blocks,
            events: self.events,
            bytes: self.segment.len(),
            entries: self.segment.entries().to_vec(),
            root: self.segment.tree().root(),
        })
    }

    fn error(&self, action: &'static str, source: io::Error) -> CopyError {
        CopyError::Write { action, path: self.segment.path().to_owned(), source }
    }

    fn own(&mut self, block: io::Result<(BlockHeader, Vec<u8>)>) -> Result<(), CopyError> {
        let written = block.and_then(|(mut header, payload)| self.segment.append(&mut header, &payload, &[]));
        written.map_err(|source| self.error("write", source))
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        let parsed = BlockHeader::parse(bytes).and_then(|header| {
            let payload = Payload::parse(checked_payload(&header, bytes)?)?;
            let mut decoder = EventDecoder::new().map_err(|_| Malformed("no memory"))?;
            let repeated = decoder.repeated(&payload)?;
            let mut records = Vec::new();
            decode_records(&decoder.records(&payload)?, header.base, &mut records, &mut 0)?;
            Ok((header, records, repeated))
        });
        let Ok((header, records, repeated)) = parsed else { return Ok(()) };
        self.records.add(records, 0);
        self.segment
            .append_sealed(&header, bytes, &repeated)
            .map_err(|source| self.error("write", source))?;
        self.blocks += 1;
        self.events += u64::from(header.rows);
        *self.rows.entry(header.container).or_default() += u64::from(header.rows);
        Ok(())
    }
}

/// Whether a block of the store's scope goes with every copy: records of the machine, the clock, unknown gaps.
pub(crate) fn is_common(entry: &BlockEntry) -> bool {
    entry.container == STORE_SCOPE && entry.kind == kind::META
}

/// The gap that a block leaves which is damaged where it was copied from.
pub(crate) fn corrupt(entry: &BlockEntry) -> Option<Loss> {
    let (from, to) = entry.times();
    entry.has_rows().then(|| Loss {
        container: Some(ContainerUid(entry.container)),
        cause: LossCause::Corrupt,
        cpu: None,
        from,
        to,
        count: Some(u64::from(entry.rows)),
    })
}

/// Whether a block is what was hashed.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let root = BlockHeader::parse(bytes).and_then(|header| {
        let payload = Payload::parse(checked_payload(&header, bytes)?)?;
        Ok(payload.root() == header.root)
    });
    root.unwrap_or(false)
}
