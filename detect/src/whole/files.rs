//! What became of a container's files.

use std::collections::BTreeMap;

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, FieldTag, layout::artifact};
use afterimage_model::{
    World, artifacts,
    files::{ActKind, FileId, FileLimits, FileRecord, Files},
};

use crate::value::Value;

/// How often names of a container's files are given to a file, at most.
const NAMES: usize = 131_072;
/// Hashes of executed images that are remembered of one container.
const IMAGES: usize = 4_096;

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) written: bool,
    pub(crate) executed: bool,
    pub(crate) deleted: bool,
    /// Of what it was whenever it was executed, each once.
    pub(crate) sha256: Vec<String>,
}

/// Of a file to which nothing of the kind was done.
static NOTHING: Fate = Fate { written: false, executed: false, deleted: false, sha256: Vec::new() };

/// The files of a container by the names that they had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileTable {
    fates: Vec<Fate>,
    /// For each name, since when which file had it, in order of time.
    holders: BTreeMap<Vec<u8>, Vec<(BootNanos, usize)>>,
    is_partial: bool,
}

impl FileTable {
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(crate) fn len(&self) -> usize {
        self.holders.len()
    }

    /// What became of the file that had a name at a time, or of the first that was known to have it after that; `None` where there
    /// was no room to know.
    pub(crate) fn fate(&self, name: &[u8], at: BootNanos) -> Option<&Fate> {
        match self.holders.get(name).and_then(|holders| holder(holders, at)) {
            Some(file) => self.fates.get(file),
            None if self.is_partial => None,
            None => Some(&NOTHING),
        }
    }

    /// Every value that a field can have in this container; `None` for fields of others.
    pub(crate) fn values(&self, field: &str) -> Option<Box<dyn Iterator<Item = Value<'_>> + '_>> {
        let both = |is: fn(&Fate) -> bool| -> Box<dyn Iterator<Item = Value<'_>>> {
            let any = self.fates.iter().any(is).then_some(Value::Bool(true));
            Box::new([Value::Bool(false)].into_iter().chain(any))
        };
        Some(match field {
            "file.written" => both(|fate| fate.written),
            "file.executed" => both(|fate| fate.executed),
            "file.deleted" => both(|fate| fate.deleted),
            "file.sha256" => {
                let hashes = self.fates.iter().flat_map(|fate| &fate.sha256);
                Box::new(hashes.map(|hash| Value::text(hash.as_bytes())))
            }
            _ => return None,
        })
    }
}

/// Who held a name at a time, else who was the first to be known to.
fn holder(holders: &[(BootNanos, usize)], at: BootNanos) -> Option<usize> {
    let later = holders.partition_point(|(since, _)| *since <= at);
    let (_, file) = holders.get(later.saturating_sub(1))?;
    Some(*file)
}

/// What is gathered on the way.
#[derive(Debug)]
pub(super) struct FilesGathered {
    files: Files,
    /// When an image was executed, from which path, and its hash.
    images: Vec<(BootNanos, Vec<u8>, String)>,
    images_left_out: bool,
}

impl FilesGathered {
    pub(super) fn new() -> Self {
        let limits = FileLimits { acts: 0, all_acts: 0, content: 0, names: NAMES, ..FileLimits::default() };
        Self { files: Files::with_limits(limits), images: Vec::new(), images_left_out: false }
    }

    pub(super) fn apply(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) {
        if event.code == EventCode::ARTIFACT {
            self.image(world, event);
            return;
        }
        self.files.apply(world, uid, event);
    }

    fn image(&mut self, world: &World, event: &Event<'_>) {
        let Some(hash) = event.bytes(FieldTag::HASH) else { return };
        let (Some(path), Some(at)) = (world.kernel_path_of(event), event.number(artifact::EXECUTED)) else {
            return;
        };
        let image = (BootNanos(at), path, artifacts::hex(hash));
        // A large one comes in pieces.
        if self.images.contains(&image) {
            return;
        }
        if self.images.len() < IMAGES { self.images.push(image) } else { self.images_left_out = true }
    }

    pub(super) fn finish(self, uid: ContainerUid) -> FileTable {
        let left_out = self.files.left_out(uid);
        let lost = left_out.unlisted > 0 || left_out.names > 0 || left_out.directories > 0;
        let mut table = FileTable { is_partial: lost || self.images_left_out, ..FileTable::default() };
        let mut places: BTreeMap<FileId, usize> = BTreeMap::new();
        for (name, holders) in self.files.holders(uid) {
            let held = holders.into_iter().map(|(since, record)| {
                let place = *places.entry(record.id).or_insert_with(|| {
                    table.fates.push(fate(record));
                    table.fates.len() - 1
                });
                (since, place)
            });
            let held = held.collect();
            table.holders.insert(name.to_vec(), held);
        }
        for (at, path, hash) in self.images {
            let file = table.holders.get(&path).and_then(|holders| holder(holders, at));
            let known = file.and_then(|file| table.fates.get_mut(file));
            if let Some(fate) = known.filter(|fate| !fate.sha256.contains(&hash)) {
                fate.sha256.push(hash);
            }
        }
        table
    }
}

fn fate(record: &FileRecord) -> Fate {
    let was = |kinds: &[ActKind]| kinds.iter().any(|kind| record.was(*kind));
    Fate {
        written: was(&[ActKind::Written, ActKind::MappedForWriting]),
        executed: was(&[ActKind::Executed, ActKind::Mapped]),
        deleted: was(&[ActKind::Deleted]),
        sha256: Vec::new(),
    }
}
