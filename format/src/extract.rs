//! Copies chosen containers of a recording into a file of their own.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use crate::{
    ContainerUid, ReadError, Recording,
    copy::{BlockCopy, CopyError, is_common},
    meta::Record,
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
    let wanted: HashSet<u64> = containers.iter().map(|uid| uid.0).collect();
    let copy = BlockCopy::create(out.to_owned(), &recording.extract_header())?;
    let copied = copy_all(copy, recording, &wanted);
    if copied.is_err() {
        // Made by us a moment ago, under a name that was free.
        let _ = std::fs::remove_file(out);
    }
    copied
}

fn copy_all(
    mut copy: BlockCopy,
    recording: &Recording,
    wanted: &HashSet<u64>,
) -> Result<ExtractReport, ExtractError> {
    for loaded in recording.segments() {
        copy.add(loaded, &|_, entry| is_common(entry) || wanted.contains(&entry.container))?;
    }
    copy.add_links(recording.gone_links());
    for (_, block) in recording.staged_blocks().filter(|(entry, _)| wanted.contains(&entry.container)) {
        copy.add_unproven(block)?;
    }
    let belongs = |record: &&Record| match record {
        Record::Container(container) => wanted.contains(&container.uid.0),
        Record::Loss(loss) => loss.container.is_none_or(|uid| wanted.contains(&uid.0)),
        Record::Origin(_) | Record::Clock(_) => true,
        Record::Tombstone(_) | Record::Eviction(_) | Record::Pin(_) | Record::Unpin(_) => false,
    };
    let mut loose: Vec<Record> = recording.staged_records().iter().filter(belongs).cloned().collect();
    // Retention keeps records of containers apart from their blocks.
    let summaries = recording.containers().iter().filter(|c| wanted.contains(&c.record.uid.0));
    let missing =
        summaries.filter(|c| !copy.has_record(c.record.uid.0) && recording.has_record(c.record.uid));
    loose.extend(missing.map(|c| Record::Container(Box::new(c.record.clone()))));
    let evictions = recording.evictions().iter().filter(|eviction| wanted.contains(&eviction.container.0));
    loose.extend(evictions.copied().map(Record::Eviction));
    copy.add_records(&loose)?;
    let done = copy.finish(true)?;
    Ok(ExtractReport {
        containers: wanted.len() as u64,
        events: done.events,
        blocks: done.blocks,
        bytes: done.bytes,
    })
}

impl From<CopyError> for ExtractError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read { path, source } => Self::Read(ReadError::Io { path, source }),
            CopyError::Write { action, path, source } => Self::Io { action, path, source },
        }
    }
}
