//! A container's whole life, or what there was of it by a moment, read once: its processes, files and conversations, for the screens that show lists.

use std::sync::Arc;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    World,
    files::{FileId, FileRecord, Files},
    net::{Conversation, Network},
    process::{Process, ProcessKey},
    text::{Safe, escape},
};

use crate::{
    analysis::{file_acts::with_lives, images::Images},
    tui::{feed::ProcessRow, text::safe},
};

/// Everything that a whole life came to.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) uid: ContainerUid,
    /// The moment up to which it was read; none where all was.
    pub(crate) until: Option<BootNanos>,
    pub(crate) world: World,
    pub(crate) files: Files,
    /// The files, in order of their paths, each with which of its path it is.
    order: Vec<(FileId, (u64, u64))>,
    /// The images that were executed, their bytes held against their hashes.
    pub(crate) images: Arc<Images>,
    pub(crate) network: Network,
    pub(crate) tree: Vec<ProcessRow>,
}

impl Whole {
    pub(crate) fn new(
        (uid, until): (ContainerUid, Option<BootNanos>),
        world: World,
        (files, images): (Files, Arc<Images>),
        network: Network,
        tree: Vec<ProcessRow>,
    ) -> Self {
        let order = with_lives(files.list(uid)).into_iter().map(|(file, life)| (file.id, life)).collect();
        Self { uid, until, world, files, order, images, network, tree }
    }

    pub(crate) fn file_count(&self) -> usize {
        self.order.len()
    }

    /// Which of the files that had its path it is, and how many these are.
    pub(crate) fn life(&self, at: usize) -> Option<(u64, u64)> {
        Some(self.order.get(at)?.1)
    }

    pub(crate) fn file(&self, at: usize) -> Option<&FileRecord> {
        self.files.by_id(self.uid, self.order.get(at)?.0)
    }

    pub(crate) fn conversations(&self) -> &[Conversation] {
        self.network.conversations(self.uid)
    }

    /// `412 sh` as it was called at a moment, or the id alone.
    pub(crate) fn named(&self, key: ProcessKey, at: BootNanos) -> Safe {
        match self.world.process(key).and_then(|process| process.comm_at(at)) {
            Some(comm) => safe!("{} {}", key.tgid, escape(comm)),
            None => safe!("{}", key.tgid),
        }
    }

    /// The processes from the outermost to this one, each as it was called when it made the next.
    pub(crate) fn ancestry(&self, process: &Process) -> Safe {
        const SHOWN: usize = 12;
        let id = |process: &Process| safe!("{}", process.key.tgid);
        let mut names = vec![process.comm().map_or_else(|| id(process), escape).into_string()];
        let mut child = process;
        for parent in self.world.ancestors(process).take(SHOWN) {
            let then = parent.comm_at(child.began());
            names.push(then.map_or_else(|| id(parent), escape).into_string());
            child = parent;
        }
        names.reverse();
        safe!("{}", names.join(" > "))
    }
}

/// When the last process of the tree's row was there.
pub(crate) fn end_of(row: &ProcessRow, last: BootNanos) -> BootNanos {
    row.ended().map_or(last, |(time, _)| time)
}
