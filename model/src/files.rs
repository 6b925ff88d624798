//! Files with their provenance: what was done to each, by whom, how much, and what was written.
//!
//! One record per file, by the path as the container sees it: a name that is removed, or given to another file, and
//! then made again is another file with a record of its own, so that nothing is hidden by doing something to its name.
//! What is done through an open file is done to the file that was opened, whatever its name is by then. What lies in a
//! directory has its new name with it. A path is the
//! kernel's where it was recorded; of calls that leave no open file (`unlink`, `rename`, `chmod`, failed opens) it is
//! what the program claimed, made absolute. Acts of the same kind by the same process that follow each other are one
//! act with a count.
//!
//! What was done before a range ([`Files::counting_from`]) moves what is known of files, their names, their content and
//! whether they were there, and is counted nowhere.
//!
//! Memory is bounded by [`FileLimits`]. Where there is no room for a record of each file that had a name, the last
//! record carries on for them all and says for how many; [`LeftOut`] counts what is in no record.

mod content;
mod look;
mod record;
mod set;

use std::collections::BTreeMap;

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, EventFlags};

pub use content::{Assembled, Content, Piece};
pub use record::{Act, ActKind, Existence, FileId, FileRecord};

use crate::World;
use look::Look;
use set::FileSet;

/// How much is remembered of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Files, and names that are known to be nobody's.
    pub files: usize,
    /// Files that had the same name, each with a record of its own; at least two.
    pub lives: usize,
    /// Acts of one file.
    pub acts: usize,
    /// Acts of all files together.
    pub all_acts: usize,
    /// Room for written content, of all files together, bytes.
    pub content: usize,
    /// How often a name was given to a file, for [`Files::holders`]; nothing is remembered of that by default.
    pub names: usize,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { files: 32_768, lives: 256, acts: 4_096, all_acts: 262_144, content: 16 << 20, names: 0 }
    }
}

/// What there was no room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Acts on files that have no record.
    pub unlisted: u64,
    /// Bytes that these wrote.
    pub unlisted_written: u64,
    /// Acts that are counted in their file's record, but are not among its acts.
    pub acts: u64,
    /// Renames of directories that were too much work, so that what lay in them is still listed where it was.
    pub directories: u64,
    /// Bytes written whose content was not kept, though the recording may have it.
    pub content: u64,
    /// Times that a name was given to a file and [`Files::holders`] does not tell.
    pub names: u64,
}

impl LeftOut {
    /// Whether there was room for everything.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The files of the containers whose events were applied.
#[derive(Debug, Default, Clone)]
pub struct Files {
    limits: FileLimits,
    /// Acts before it are not counted.
    begin: BootNanos,
    containers: BTreeMap<ContainerUid, FileSet>,
}

impl Files {
    /// Nothing known, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing known.
    pub fn with_limits(limits: FileLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Acts before `begin` are not counted, and files to which nothing was done since have [`FileRecord::is_counted`] unset.
    /// To be said before the first event.
    #[must_use]
    pub fn counting_from(self, begin: Option<BootNanos>) -> Self {
        Self { begin: begin.unwrap_or_default(), ..self }
    }

    /// Takes in an event that `world` has applied already.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) {
        let Some(process) = world.process_of_task(event.task) else { return };
        let (limits, begin) = (self.limits, self.begin);
        let set = self.containers.entry(container).or_insert_with(|| FileSet::new(limits, begin));
        set.is_at(event.time);
        let mut look = Look { world, event, container, process: process.key, set };
        if event.code == EventCode::EXEC {
            look.executed();
        } else if matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
            look.ring();
        } else if event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN) {
            look.call();
        }
    }

    /// The files of a container, by path; those of one path in the order in which they had it.
    pub fn list(&self, container: ContainerUid) -> impl Iterator<Item = &FileRecord> {
        self.containers.get(&container).into_iter().flat_map(FileSet::list)
    }

    /// The file that has a path, or was the last to have it.
    pub fn get(&self, container: ContainerUid, path: &[u8]) -> Option<&FileRecord> {
        self.named(container, path).last()
    }

    /// All files that had a path until it was removed or given to another, in order.
    pub fn named(&self, container: ContainerUid, path: &[u8]) -> impl Iterator<Item = &FileRecord> {
        self.containers.get(&container).into_iter().flat_map(|set| set.named(path))
    }

    /// Each name that files of a container had, with the files that it was given to and when, in order: from then on that name
    /// was that file's. Only where [`FileLimits::names`] leaves room for it.
    pub fn holders(
        &self,
        container: ContainerUid,
    ) -> impl Iterator<Item = (&[u8], Vec<(BootNanos, &FileRecord)>)> {
        self.containers.get(&container).into_iter().flat_map(FileSet::holders)
    }

    /// One file.
    pub fn by_id(&self, container: ContainerUid, id: FileId) -> Option<&FileRecord> {
        self.containers.get(&container)?.record(id)
    }

    /// What there was no room for.
    pub fn left_out(&self, container: ContainerUid) -> LeftOut {
        self.containers.get(&container).map_or_else(LeftOut::default, |set| set.left_out)
    }
}

#[cfg(test)]
mod tests;
