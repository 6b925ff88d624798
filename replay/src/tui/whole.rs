//! A container's whole life, read once: its processes, files and conversations, for the screens that show lists.

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    World,
    files::{FileRecord, Files},
    net::{Conversation, Network},
    process::{Process, ProcessKey},
    text::{Safe, escape},
};

use crate::tui::{feed::ProcessRow, text::safe};

/// Everything that a whole life came to.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) uid: ContainerUid,
    pub(crate) world: World,
    pub(crate) files: Files,
    /// The files, in order of their paths.
    paths: Vec<Vec<u8>>,
    pub(crate) network: Network,
    pub(crate) tree: Vec<ProcessRow>,
}

impl Whole {
    pub(crate) fn new(
        uid: ContainerUid,
        world: World,
        files: Files,
        network: Network,
        tree: Vec<ProcessRow>,
    ) -> Self {
        let paths = files.list(uid).map(|record| record.path.clone()).collect();
        Self { uid, world, files, paths, network, tree }
    }

    pub(crate) fn file_count(&self) -> usize {
        self.paths.len()
    }

    pub(crate) fn file(&self, at: usize) -> Option<&FileRecord> {
        self.files.get(self.uid, self.paths.get(at)?)
    }

    pub(crate) fn conversations(&self) -> &[Conversation] {
        self.network.conversations(self.uid)
    }

    /// `412 sh`, or the id alone.
    pub(crate) fn named(&self, key: ProcessKey) -> Safe {
        match self.world.process(key).and_then(Process::comm) {
            Some(comm) => safe!("{} {}", key.tgid, escape(comm)),
            None => safe!("{}", key.tgid),
        }
    }

    /// The processes from the outermost to this one.
    pub(crate) fn ancestry(&self, process: &Process) -> Safe {
        const SHOWN: usize = 12;
        let name = |process: &Process| {
            process.comm().map_or_else(|| safe!("{}", process.key.tgid), escape).into_string()
        };
        let mut names: Vec<String> = self.world.ancestors(process).take(SHOWN).map(name).collect();
        names.reverse();
        names.push(name(process));
        safe!("{}", names.join(" > "))
    }
}

/// When the last process of the tree's row was there.
pub(crate) fn end_of(row: &ProcessRow, last: BootNanos) -> BootNanos {
    row.ended.map_or(last, |(time, _)| time)
}
