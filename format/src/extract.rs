//! Copies chosen containers of a recording into a file of their own.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use crate::{
    ContainerUid, ReadError, Recording,
    block::{BlockHeader, STORE_SCOPE, checked_payload, kind},
    bytes::Malformed,
    events::{
        decode::EventDecoder,
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
    },
    file,
    meta::Record,
    payload::Payload,
    proof::{chain_block, proof_block, provenance},
    reader::scan::Loaded,
    segment::{
        file::SegmentWriter,
        records::{SegmentRecords, decode_records},
    },
};

/// What an extract holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtractReport {
    /// Containers copied.
    pub containers: u64,
    /// Events copied.
    pub events: u64,
    /// Blocks copied.
    pub blocks: u64,
    /// Size of the new file.
    pub bytes: u64,
}

/// An extract could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The recording could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new file could not be written. An existing one is never overwritten.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The recording has no such container.
    #[error("the recording has no container `{}`", uid.0)]
    NoSuchContainer {
        /// The one asked for.
        uid: ContainerUid,
    },
}

/// Copies the blocks and records of `containers`, and nothing of any other, into the new file `out` (`.aftx`).
/// Readings of the clock, the machine's description and gaps of unknown containers belong to every container.
/// Damaged blocks are not copied. Blocks that a checkpoint covers keep their proof, so that the extract verifies alone.
///
/// # Errors
/// [`ExtractError`]; nothing is left behind at `out` then.
pub fn extract(
    recording: &Recording,
    containers: &[ContainerUid],
    out: &Path,
) -> Result<ExtractReport, ExtractError> {
    for &uid in containers {
        if !recording.containers().iter().any(|c| c.record.uid == uid) {
            return Err(ExtractError::NoSuchContainer { uid });
        }
    }
    let at = |action| move |source| ExtractError::Io { action, path: out.to_owned(), source };
    let header = recording.extract_header();
    let mut copy = Copy {
        segment: SegmentWriter::create(out.to_owned(), &header).map_err(at("create"))?,
        records: SegmentRecords::default(),
        report: ExtractReport { containers: containers.len() as u64, ..ExtractReport::default() },
    };
    let wanted: HashSet<u64> = containers.iter().map(|uid| uid.0).collect();
    let copied = copy.all(recording, &wanted);
    if copied.is_err() {
        // Made by us a moment ago, under a name that was free.
        let _ = std::fs::remove_file(out);
    }
    copied?;
    Ok(copy.report)
}

/// An extract being written.
struct Copy {
    segment: SegmentWriter,
    records: SegmentRecords,
    report: ExtractReport,
}

impl Copy {
    fn all(&mut self, recording: &Recording, wanted: &HashSet<u64>) -> Result<(), ExtractError> {
        let mut links = BTreeMap::new();
        let mut unproven = Vec::new();
        let mut newest = None;
        for loaded in recording.segments() {
            let provenance = provenance(loaded).map_err(|source| read_error(loaded, source))?;
            let chosen = self.choose(loaded, wanted)?;
            for group in &provenance.groups {
                if let Some(group) = group.restrict(|number| chosen.contains_key(&number)) {
                    for number in &group.entries {
                        self.block(chosen.get(number).map_or(&[], Vec::as_slice))?;
                    }
                    self.proof(proof_block(&group))?;
                    newest = newest.max(Some(group.link.sequence));
                }
            }
            links.extend(provenance.links.into_iter().map(|link| (link.sequence, link)));
            unproven.extend(provenance.unproven.iter().filter_map(|n| chosen.get(n).cloned()));
        }
        links.retain(|&sequence, _| newest.is_some_and(|newest| sequence <= newest));
        for block in &unproven {
            self.block(block)?;
        }
        for (entry, block) in recording.staged_blocks().filter(|(e, _)| wanted.contains(&e.container)) {
            debug_assert!(entry.rows > 0);
            self.block(block)?;
        }
        self.loose(recording, wanted)?;
        if !links.is_empty() {
            self.proof(chain_block(&links.into_values().collect::<Vec<_>>()))?;
        }
        self.segment.seal(&self.records.encode()).map_err(|source| self.error("seal", source))?;
        self.report.bytes = self.segment.len();
        Ok(())
    }

    /// The bytes of the wanted blocks of a segment that are whole, by number.
    fn choose(
        &self,
        loaded: &Loaded,
        wanted: &HashSet<u64>,
    ) -> Result<BTreeMap<usize, Vec<u8>>, ExtractError> {
        let mut chosen = BTreeMap::new();
        for (number, entry) in loaded.entries.iter().enumerate() {
            let common = entry.container == STORE_SCOPE && entry.kind == kind::META;
            if !(common || wanted.contains(&entry.container)) {
                continue;
            }
            let bytes = file::read_at_most(&loaded.file, entry.offset, entry.len as usize)
                .map_err(|source| read_error(loaded, source))?;
            if is_whole(&bytes) {
                chosen.insert(number, bytes);
            }
        }
        Ok(chosen)
    }

    /// Records that are in no block yet.
    fn loose(&mut self, recording: &Recording, wanted: &HashSet<u64>) -> Result<(), ExtractError> {
        let mut loose = Vec::new();
        for record in recording.staged_records() {
            let belongs = match record {
                Record::Container(container) => wanted.contains(&container.uid.0),
                Record::Loss(loss) => loss.container.is_none_or(|uid| wanted.contains(&uid.0)),
                Record::Origin(_) | Record::Clock(_) => true,
            };
            if belongs {
                record.encode(&mut loose);
                self.records.add([record.clone()], 0);
            }
        }
        self.staged_records(&loose).map_err(|source| self.error("write", source))
    }

    fn proof(&mut self, block: io::Result<(BlockHeader, Vec<u8>)>) -> Result<(), ExtractError> {
        let written = block.and_then(|(mut header, payload)| self.segment.append(&mut header, &payload, &[]));
        written.map_err(|source| self.error("write", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> ExtractError {
        ExtractError::Io { action, path: self.segment.path().to_owned(), source }
    }

    /// Copies one block as it is.
    fn block(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        let parsed = BlockHeader::parse(bytes).and_then(|header| {
            let payload = Payload::parse(checked_payload(&header, bytes)?)?;
            let mut decoder = EventDecoder::new().map_err(|_| Malformed("no memory"))?;
            let counts = decoder.counts(&payload)?;
            let mut records = Vec::new();
            decode_records(&decoder.records(&payload)?, header.base, &mut records)?;
            Ok((header, records, counts))
        });
        let Ok((header, records, counts)) = parsed else { return Ok(()) };
        self.records.add(records, 0);
        self.segment.append_sealed(&header, bytes, &counts).map_err(|source| self.error("write", source))?;
        self.report.blocks += 1;
        self.report.events += u64::from(header.rows);
        Ok(())
    }

    /// Writes the records that are in no block yet as a block.
    fn staged_records(&mut self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let around = Around { container: STORE_SCOPE, records, ..Around::default() };
        let mut payload = Vec::new();
        let mut header = EventEncoder::new()?.encode(&OpenBlock::new(), &around, &mut payload);
        self.segment.append(&mut header, &payload, &[])
    }
}

/// Whether a block is what was hashed.
fn is_whole(bytes: &[u8]) -> bool {
    let root = BlockHeader::parse(bytes).and_then(|header| {
        let payload = Payload::parse(checked_payload(&header, bytes)?)?;
        Ok(payload.root() == header.root)
    });
    root.unwrap_or(false)
}

fn read_error(loaded: &Loaded, source: io::Error) -> ExtractError {
    ExtractError::Read(ReadError::Io { path: loaded.path.clone(), source })
}
