//! Copies everything that can be read of one or several recordings of a store into one new file: to put extracts
//! together again, and to recover what a crash or a damaged disk left.
//!
//! Blocks are copied unchanged with their proofs. Several recordings can have the same rows: of those the copy that has
//! most of them is taken. Of a store, segments whose header is damaged are walked too; nothing proves what is in them.

use std::{
    collections::{HashMap, HashSet},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    Incident, ReadError, Recording,
    block::{BlockHeader, HEADER_LEN, STORE_SCOPE, kind},
    copy::{BlockCopy, CopyError, corrupt, is_common},
    extract::rows_beside,
    file,
    meta::Record,
    proof::provenance,
    reader::scan::{self, Loaded},
    segment::{BlockEntry, SegmentHeader},
};

/// What a merged or recovered file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Containers with a record or events, without the host and engines' helpers.
    pub containers: u64,
    /// Events copied.
    pub events: u64,
    /// Blocks copied.
    pub blocks: u64,
    /// Events copied that were in no block yet, but in the stage.
    pub staged_events: u64,
    /// Events of segments whose header is damaged.
    pub salvaged_events: u64,
    /// Blocks left out because another copy of their rows was taken.
    pub duplicates: u64,
    /// Blocks left out because they are damaged.
    pub damaged_blocks: u64,
    /// Events in those, as far as their headers tell.
    pub damaged_events: u64,
    /// Size of the new file.
    pub bytes: u64,
}

/// Recordings could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A recording could not be read.
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
    /// The recordings are of different stores: their containers have numbers and proofs of their own.
    #[error("`{}` is of another store than `{}`", other.display(), first.display())]
    OtherStore {
        /// The first recording.
        first: PathBuf,
        /// One of another store.
        other: PathBuf,
    },
}

/// A file that is copied from.
struct Origin<'a> {
    loaded: &'a Loaded,
    /// Numbers of blocks that nothing proves.
    unproven: HashSet<usize>,
    salvaged: bool,
}

/// Blocks that are copied: file and number in it; no file for the stage.
type Chosen = HashSet<(Option<usize>, usize)>;

/// A block that could be copied.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    container: u64,
    first_row: u64,
    rows: u32,
    number: u64,
    root: [u8; 32],
    unproven: bool,
    /// File and number in it; `None` for the stage.
    at: Option<(usize, usize)>,
    staged: usize,
}

/// Copies all of `recordings`, which are of one store, into the new file `out`, which carries what was told of them besides what they carry
/// themselves. `progress` is told bytes done and in all.
///
/// # Errors
/// [`MergeError`]; nothing is left behind at `out` then.
pub fn merge(
    recordings: &[&Recording],
    incidents: &[Incident],
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MergeReport, MergeError> {
    let Some(first) = recordings.first() else { return Ok(MergeReport::default()) };
    for other in recordings {
        if other.store_uuid() != first.store_uuid() {
            let (first, other) = (first.path().to_owned(), other.path().to_owned());
            return Err(MergeError::OtherStore { first, other });
        }
    }
    let header = SegmentHeader { store_uuid: first.store_uuid(), ..first.extract_header() };
    let salvaged: Vec<Loaded> = recordings.iter().flat_map(|recording| salvage(recording)).collect();
    let copy = BlockCopy::create(out.to_owned(), &header)?;
    let merged = copy_all(copy, (recordings, incidents), &salvaged, progress);
    if merged.is_err() {
        // Made by us a moment ago, under a name that was free.
        let _ = std::fs::remove_file(out);
    }
    merged
}

/// Segments that could not be opened because of their header.
fn salvage(recording: &Recording) -> Vec<Loaded> {
    let read: HashSet<&Path> = recording.segments().map(|loaded| loaded.path.as_path()).collect();
    let header = recording.extract_header();
    let unread = recording.segment_paths().into_iter().filter(|path| !read.contains(path.as_path()));
    unread.filter_map(|path| scan::salvage(&path, header.clone()).ok()).collect()
}

fn copy_all(
    mut copy: BlockCopy,
    (recordings, incidents): (&[&Recording], &[Incident]),
    salvaged: &[Loaded],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<MergeReport, MergeError> {
    let mut origins = Vec::new();
    let intact = recordings.iter().flat_map(|recording| recording.segments());
    for (loaded, salvaged) in intact.map(|l| (l, false)).chain(salvaged.iter().map(|l| (l, true))) {
        let unproven = provenance(loaded).map_err(|source| reading(loaded, source))?.unproven;
        origins.push(Origin { loaded, unproven: unproven.into_iter().collect(), salvaged });
    }
    let staged: Vec<(&BlockEntry, &[u8])> = recordings.iter().flat_map(|r| r.staged_blocks()).collect();
    let mut report = MergeReport::default();
    let (chosen, left_out) = choose(&origins, &staged, &mut report)?;
    for recording in recordings {
        copy.add_links(recording.gone_links());
    }
    let total = origins.iter().map(|origin| origin.loaded.end).sum();
    let mut done = 0;
    for (number, origin) in origins.iter().enumerate() {
        progress(done, total);
        done += origin.loaded.end;
        let before = copy.events();
        let wanted = |n: usize, _: &BlockEntry| chosen.contains(&(Some(number), n));
        copy.add(origin.loaded, &wanted)?;
        report.salvaged_events += if origin.salvaged { copy.events() - before } else { 0 };
    }
    let before = copy.events();
    for (number, (_, block)) in staged.iter().enumerate() {
        if chosen.contains(&(None, number)) {
            copy.add_unproven(block)?;
        }
    }
    report.staged_events = copy.events() - before;
    let mut loose = loose(&copy, recordings);
    loose.extend(left_out.iter().filter_map(corrupt).map(Record::Loss));
    loose.extend(incidents.iter().cloned().map(Record::Incident));
    copy.add_records(&loose)?;
    let done = copy.finish(true)?;
    progress(total, total);
    let uids = recordings.iter().flat_map(|r| r.containers()).filter(|c| c.record.is_container());
    report.containers = uids.map(|c| c.record.uid).collect::<HashSet<_>>().len() as u64;
    (report.events, report.blocks, report.bytes) = (done.events, done.blocks, done.bytes);
    Ok(report)
}

/// Records that are in no copied block.
fn loose(copy: &BlockCopy, recordings: &[&Recording]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for recording in recordings {
        let told = recording.staged_records().iter().filter(|record| {
            matches!(record, Record::Container(_) | Record::Loss(_) | Record::Clock(_) | Record::Origin(_))
        });
        records.extend(told.cloned());
        let missing = recording.containers().iter().filter(|container| {
            !copy.has_record(container.record.uid.0) && recording.has_record(container.record.uid)
        });
        records.extend(missing.map(|container| Record::Container(Box::new(container.record.clone()))));
        records.extend(recording.evictions().iter().copied().map(Record::Eviction));
        let containers = recording.containers().iter();
        records.extend(containers.filter_map(|container| rows_beside(recording, container, copy)));
    }
    let mut seen = HashSet::new();
    records.retain(|record| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        seen.insert(bytes)
    });
    records
}

/// Chooses among copies of the same rows: none that nothing proves where others that are proven have all its rows, then those
/// with most rows, and of these one that is proven. Gives the damaged ones, too, of whose rows there is no whole copy.
fn choose(
    origins: &[Origin<'_>],
    staged: &[(&BlockEntry, &[u8])],
    report: &mut MergeReport,
) -> Result<(Chosen, Vec<BlockEntry>), MergeError> {
    let mut damaged: Vec<BlockEntry> = Vec::new();
    let mut of: HashMap<u64, Vec<Candidate>> = HashMap::new();
    let mut add = |entry: &BlockEntry, root, unproven, at, staged| {
        of.entry(entry.container).or_default().push(Candidate {
            container: entry.container,
            first_row: entry.first_row,
            rows: entry.rows,
            number: entry.number,
            root,
            unproven,
            at,
            staged,
        });
    };
    for (file, origin) in origins.iter().enumerate() {
        for (number, entry) in origin.loaded.entries.iter().enumerate() {
            let of_container = entry.container != STORE_SCOPE
                && matches!(entry.kind, kind::EVENTS | kind::META | kind::STATE);
            if !of_container && !is_common(entry) {
                continue;
            }
            let bytes = file::read_at_most(&origin.loaded.file, entry.offset, entry.len as usize);
            let bytes = bytes.map_err(|source| reading(origin.loaded, source))?;
            match BlockHeader::parse(&bytes) {
                Ok(header) if crate::copy::is_whole(&bytes) => {
                    let unproven = origin.unproven.contains(&number);
                    add(entry, header.root, unproven, Some((file, number)), 0);
                }
                _ => {
                    report.damaged_blocks += 1;
                    report.damaged_events += u64::from(entry.rows);
                    damaged.push(*entry);
                }
            }
        }
        // Walking passed over these: only their headers are whole.
        for entry in &origin.loaded.damaged {
            report.damaged_blocks += 1;
            report.damaged_events += u64::from(entry.rows);
            damaged.push(*entry);
        }
    }
    for (number, (entry, bytes)) in staged.iter().enumerate() {
        let root = BlockHeader::parse(bytes.get(..HEADER_LEN).unwrap_or(bytes)).map_or([0; 32], |h| h.root);
        add(entry, root, true, None, number);
    }
    leave_out_copied(&mut damaged, &of);
    let mut chosen = HashSet::new();
    for mut candidates in of.into_values() {
        let proven = runs(candidates.iter().filter(|c| !c.unproven));
        let all = candidates.len();
        candidates.retain(|c| {
            let has = |run: &Range<u64>| run.start <= c.first_row && c.end() <= run.end;
            !c.unproven || c.rows == 0 || !proven.iter().any(has)
        });
        report.duplicates += (all - candidates.len()) as u64;
        candidates.sort_by_key(|c| (c.first_row, std::cmp::Reverse(c.rows), c.unproven, c.number, c.root));
        let mut next = 0;
        let mut roots = HashSet::new();
        for candidate in candidates {
            let known = if candidate.rows == 0 || candidate.container == STORE_SCOPE {
                !roots.insert((candidate.number, candidate.root))
            } else {
                candidate.first_row < next
            };
            if known {
                report.duplicates += 1;
                continue;
            }
            next = next.max(candidate.end());
            chosen.insert(match candidate.at {
                Some((file, number)) => (Some(file), number),
                None => (None, candidate.staged),
            });
        }
    }
    Ok((chosen, damaged))
}

/// Leaves out damaged blocks of whose rows there is a whole copy, and all but one of the same rows.
fn leave_out_copied(damaged: &mut Vec<BlockEntry>, whole: &HashMap<u64, Vec<Candidate>>) {
    let is_elsewhere = |entry: &BlockEntry| {
        let end = entry.first_row.saturating_add(u64::from(entry.rows));
        let copies = runs(whole.get(&entry.container).into_iter().flatten());
        copies.iter().any(|run| run.start <= entry.first_row && end <= run.end)
    };
    damaged.retain(|entry| !is_elsewhere(entry));
    damaged.sort_by_key(|entry| (entry.container, entry.first_row, entry.rows));
    damaged.dedup_by_key(|entry| (entry.container, entry.first_row, entry.rows));
}

impl Candidate {
    /// The number behind its last row.
    fn end(&self) -> u64 {
        self.first_row.saturating_add(u64::from(self.rows))
    }
}

/// The rows of these, as few runs as say it.
fn runs<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<Range<u64>> {
    let mut rows: Vec<Range<u64>> = candidates.filter(|c| c.rows > 0).map(|c| c.first_row..c.end()).collect();
    rows.sort_by_key(|run| (run.start, run.end));
    let mut runs: Vec<Range<u64>> = Vec::new();
    for run in rows {
        match runs.last_mut() {
            Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
            _ => runs.push(run),
        }
    }
    runs
}

fn reading(loaded: &Loaded, source: io::Error) -> MergeError {
    MergeError::Read(ReadError::Io { path: loaded.path.clone(), source })
}

impl From<CopyError> for MergeError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read { path, source } => Self::Read(ReadError::Io { path, source }),
            CopyError::Write { action, path, source } => Self::Io { action, path, source },
        }
    }
}
