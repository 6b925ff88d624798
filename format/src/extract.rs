//! Copies chosen containers of a recording into a file of their own.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use crate::{
    BlockInfo, ContainerSummary, ContainerUid, Incident, Part, ReadError, Recording,
    block::kind,
    copy::{BlockCopy, CopyError, is_common},
    incident::RowsOf,
    meta::Record,
    segment::BlockEntry,
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
/// Damaged blocks are not copied: they are among the recording's defects then, and the file tells of each as a gap with the
/// cause [`LossCause::Corrupt`](crate::LossCause::Corrupt). Blocks that a checkpoint covers keep their proof, so that the extract verifies alone.
///
/// # Errors
/// [`ExtractError`]; nothing is left behind at `out` then.
pub fn extract(
    recording: &Recording,
    containers: &[ContainerUid],
    out: &Path,
) -> Result<ExtractReport, ExtractError> {
    let parts: Vec<Part> = containers.iter().copied().map(Part::all).collect();
    extract_parts(recording, &parts, &[], out)
}

/// As [`extract`], with the blocks of these parts only: they are copied whole, with what they have beside a part. The
/// file tells how many events there were in all, and carries what was told of them.
///
/// # Errors
/// [`ExtractError`]; nothing is left behind at `out` then.
pub fn extract_parts(
    recording: &Recording,
    parts: &[Part],
    incidents: &[Incident],
    out: &Path,
) -> Result<ExtractReport, ExtractError> {
    let known: HashSet<ContainerUid> = recording.containers().iter().map(|c| c.record.uid).collect();
    if let Some(uid) = parts.iter().map(|part| part.container).find(|uid| !known.contains(uid)) {
        return Err(ExtractError::NoSuchContainer { uid });
    }
    let copy = BlockCopy::create(out.to_owned(), &recording.extract_header())?;
    let copied = copy_all(copy, recording, parts, incidents);
    if copied.is_err() {
        // Made by us a moment ago, under a name that was free.
        let _ = std::fs::remove_file(out);
    }
    copied
}

fn copy_all(
    mut copy: BlockCopy,
    recording: &Recording,
    parts: &[Part],
    incidents: &[Incident],
) -> Result<ExtractReport, ExtractError> {
    let mut wanted: HashMap<u64, Vec<&Part>> = HashMap::new();
    parts.iter().for_each(|part| wanted.entry(part.container.0).or_default().push(part));
    let keyframes = needed_keyframes(recording, &wanted);
    let touched = |entry: &BlockEntry| {
        if entry.kind == kind::STATE && keyframes.contains(&(entry.container, entry.first_row)) {
            return true;
        }
        let (first, last) = entry.times();
        let of_it = wanted.get(&entry.container);
        of_it.is_some_and(|parts| parts.iter().any(|part| part.touches(first, last)))
    };
    for loaded in recording.segments() {
        copy.add(loaded, &|_, entry| is_common(entry) || touched(entry))?;
    }
    copy.damaged().into_iter().for_each(|defect| recording.found(defect));
    copy.add_links(recording.gone_links());
    for (_, block) in recording.staged_blocks().filter(|(entry, _)| touched(entry)) {
        copy.add_unproven(block)?;
    }
    let belongs = |record: &&Record| match record {
        Record::Container(container) => wanted.contains_key(&container.uid.0),
        Record::Loss(loss) => loss.container.is_none_or(|uid| wanted.contains_key(&uid.0)),
        Record::Rows(rows) => wanted.contains_key(&rows.container.0),
        Record::Origin(_) | Record::Clock(_) | Record::Incident(_) => true,
        Record::Tombstone(_) | Record::Kept(_) | Record::Eviction(_) | Record::Pin(_) | Record::Unpin(_) => {
            false
        }
    };
    let mut loose: Vec<Record> = recording.staged_records().iter().filter(belongs).cloned().collect();
    // Retention keeps records of containers apart from their blocks.
    let summaries = recording.containers().iter().filter(|c| wanted.contains_key(&c.record.uid.0));
    let missing =
        summaries.filter(|c| !copy.has_record(c.record.uid.0) && recording.has_record(c.record.uid));
    loose.extend(missing.map(|c| Record::Container(Box::new(c.record.clone()))));
    let evictions =
        recording.evictions().iter().filter(|eviction| wanted.contains_key(&eviction.container.0));
    loose.extend(evictions.copied().map(Record::Eviction));
    loose.extend(incidents.iter().cloned().map(Record::Incident));
    let copied = recording.containers().iter().filter(|c| wanted.contains_key(&c.record.uid.0));
    loose.extend(copied.filter_map(|container| rows_beside(recording, container, &copy)));
    loose.extend(copy.gaps());
    copy.add_records(&loose)?;
    let done = copy.finish(true)?;
    Ok(ExtractReport {
        containers: wanted.len() as u64,
        events: done.events,
        blocks: done.blocks,
        bytes: done.bytes,
    })
}

/// How many rows a container had, where not all of them were copied and retention did not remove the others.
pub(crate) fn rows_beside(
    recording: &Recording,
    container: &ContainerSummary,
    copy: &BlockCopy,
) -> Option<Record> {
    let uid = container.record.uid;
    let evicted = recording.eviction(uid).map_or(0, |eviction| eviction.events);
    let rows = container.rows;
    (rows > copy.rows_of(uid.0).saturating_add(evicted))
        .then_some(Record::Rows(RowsOf { container: uid, rows }))
}

/// Of each part the keyframe before its first block: what began earlier is known from there.
fn needed_keyframes(recording: &Recording, wanted: &HashMap<u64, Vec<&Part>>) -> HashSet<(u64, u64)> {
    let mut blocks: HashMap<u64, Vec<&BlockInfo>> = HashMap::new();
    for block in recording.blocks().iter().filter(|block| wanted.contains_key(&block.container.0)) {
        blocks.entry(block.container.0).or_default().push(block);
    }
    let of_part = |part: &Part| {
        let touched = blocks.get(&part.container.0)?.iter().filter(|b| part.touches(b.first, b.last));
        let first = touched.map(|block| block.first_row).min()?;
        let before = recording.keyframes_of(part.container).iter().rev().find(|k| k.row <= first)?;
        Some((before.container.0, before.row))
    };
    wanted.values().flatten().filter_map(|part| of_part(part)).collect()
}

impl From<CopyError> for ExtractError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read { path, source } => Self::Read(ReadError::Io { path, source }),
            CopyError::Write { action, path, source } => Self::Io { action, path, source },
        }
    }
}
