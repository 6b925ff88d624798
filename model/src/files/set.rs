//! The files of one container: which of them has which name, and which are open.

use std::collections::BTreeMap;

use afterimage_format::BootNanos;

use super::{Act, ActKind, FileId, FileLimits, FileRecord, LeftOut};
use crate::renames::{self, Renames};

/// Open files that are remembered.
const MOST_OPEN: usize = 65_536;

/// A name and the files that had it.
#[derive(Debug, Default, Clone)]
struct Name {
    /// Those that had it before, the first first.
    past: Vec<FileId>,
    /// The one that has it, or was the last to have it.
    now: Option<FileId>,
}

/// An open file description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) file: FileId,
    /// Which of the files that the record stands for.
    pub(super) life: u64,
    /// Where the next read or write goes, where known. Positions set by `lseek` are seen only where it is recorded.
    pub(super) at: Option<u64>,
}

/// A file without one of its names, until it is given another.
#[derive(Debug)]
pub(super) struct Taken {
    file: FileId,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// The files of one container.
#[derive(Debug, Clone)]
pub(super) struct FileSet {
    limits: FileLimits,
    /// Acts before it are not counted.
    begin: BootNanos,
    records: BTreeMap<FileId, FileRecord>,
    /// Names that have no file are known to be nobody's.
    names: BTreeMap<Vec<u8>, Name>,
    /// By the description's id.
    open: BTreeMap<u64, Open>,
    next: u64,
    /// Room that content takes.
    content: usize,
    acts: usize,
    renames: Renames,
    holders: Holders,
    pub(super) left_out: LeftOut,
}

/// Which file got which name when, as far as that is asked for.
#[derive(Debug, Default, Clone)]
struct Holders {
    /// The time of the event that is looked at.
    now: BootNanos,
    by_name: BTreeMap<Vec<u8>, Vec<(BootNanos, FileId)>>,
    count: usize,
    /// The records that stand for those that are no more.
    joined: BTreeMap<FileId, FileId>,
}

impl FileSet {
    pub(super) fn new(limits: FileLimits, begin: BootNanos) -> Self {
        // One that has a name, and one that stands for all that had it.
        let limits = FileLimits { lives: limits.lives.max(2), ..limits };
        Self {
            limits,
            begin,
            records: BTreeMap::new(),
            names: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 0,
            content: 0,
            acts: 0,
            renames: Renames::default(),
            holders: Holders::default(),
            left_out: LeftOut::default(),
        }
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &FileRecord> {
        // A file with several names is listed once, by the first.
        self.names.iter().flat_map(|(path, name)| self.of(name).filter(move |record| record.path == *path))
    }

    pub(super) fn named(&self, path: &[u8]) -> impl Iterator<Item = &FileRecord> {
        self.names.get(path).into_iter().flat_map(|name| self.of(name))
    }

    fn of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a FileRecord> {
        name.past.iter().chain(&name.now).filter_map(|id| self.records.get(id))
    }

    pub(super) fn record(&self, id: FileId) -> Option<&FileRecord> {
        self.records.get(&id)
    }

    pub(super) fn record_mut(&mut self, id: FileId) -> Option<&mut FileRecord> {
        self.records.get_mut(&id)
    }

    /// The file that has a name, or had it last.
    pub(super) fn holder(&self, path: &[u8]) -> Option<&FileRecord> {
        self.records.get(&self.names.get(path)?.now?)
    }

    /// Whether a name is known to be nobody's: what has it next is made then.
    pub(super) fn is_free(&self, path: &[u8]) -> bool {
        match (self.names.get(path), self.holder(path)) {
            (Some(_), None) => true,
            (_, holder) => holder.is_some_and(FileRecord::is_gone),
        }
    }

    /// The file that has a name. Where it is gone, that is another one.
    pub(super) fn with_name(&mut self, path: &[u8], time: BootNanos) -> Option<FileId> {
        match self.holder(path) {
            Some(holder) if !holder.is_gone() => Some(holder.id),
            _ => self.begin(path, time),
        }
    }

    /// Begins another file with a name.
    pub(super) fn begin(&mut self, path: &[u8], time: BootNanos) -> Option<FileId> {
        if let Some(holder) = self.names.get(path).and_then(|name| name.now) {
            self.unlink(holder, path);
        }
        let full = self.records.len() >= self.limits.files;
        let name = self.names.get_mut(path);
        if let Some(name) = name.filter(|name| full || name.past.len() + 1 >= self.limits.lives)
            && let Some(id) = name.now.or_else(|| name.past.pop())
        {
            name.now = Some(id);
            let freed = self.records.get_mut(&id).map_or(0, FileRecord::carry_on);
            self.content = self.content.saturating_sub(freed);
            return Some(id);
        }
        if full {
            return None;
        }
        let id = FileId(self.next);
        self.next += 1;
        self.records.insert(id, FileRecord::new(id, path.to_vec(), time));
        self.give(path, id);
        Some(id)
    }

    /// Gives a name to a file; the one that had it is one of the past.
    fn give(&mut self, path: &[u8], id: FileId) {
        if let Some(holder) = self.names.get(path).and_then(|name| name.now) {
            self.unlink(holder, path);
        }
        let name = self.names.entry(path.to_vec()).or_default();
        name.past.extend(name.now.replace(id));
        self.holds(path, id);
    }

    /// The event that is looked at is from then.
    pub(super) fn is_at(&mut self, now: BootNanos) {
        self.holders.now = now;
    }

    /// Remembers that a file has a name from now on.
    fn holds(&mut self, path: &[u8], id: FileId) {
        if self.limits.names == 0 {
            return;
        }
        if self.holders.count >= self.limits.names {
            self.left_out.names += 1;
            return;
        }
        self.holders.count += 1;
        self.holders.by_name.entry(path.to_vec()).or_default().push((self.holders.now, id));
    }

    /// Each name with the files that it was given to, and when.
    pub(super) fn holders(&self) -> impl Iterator<Item = (&[u8], Vec<(BootNanos, &FileRecord)>)> {
        let record = |id: FileId| {
            let mut id = id;
            while let Some(into) = self.holders.joined.get(&id) {
                id = *into;
            }
            self.records.get(&id)
        };
        self.holders.by_name.iter().map(move |(path, spans)| {
            (path.as_slice(), spans.iter().filter_map(|(at, id)| Some((*at, record(*id)?))).collect())
        })
    }

    /// Takes a name from a file that has others; `false` where it has none.
    pub(super) fn unlink(&mut self, id: FileId, path: &[u8]) -> bool {
        let has_others = self.records.get_mut(&id).is_some_and(|record| record.is_called_no_more(path));
        if has_others {
            self.free(id, path);
        }
        has_others
    }

    /// Gives a file one more name, or its first; `false` where there is no room for that.
    pub(super) fn link(&mut self, id: FileId, to: &[u8]) -> bool {
        let crowded = self.names.len() > self.limits.files.saturating_mul(2);
        let Some(record) = self.records.get_mut(&id) else { return false };
        if record.nameless {
            record.nameless = false;
            let from = record.path.clone();
            let taken = self.take(id, from, to.to_vec());
            self.put(vec![taken]);
            return true;
        }
        if crowded || !record.is_also_called(to) {
            return false;
        }
        self.give(to, id);
        true
    }

    /// A name is not a file's any more.
    fn free(&mut self, id: FileId, path: &[u8]) {
        if let Some(name) = self.names.get_mut(path) {
            name.now = name.now.filter(|now| *now != id);
            name.past.retain(|past| *past != id);
        }
        self.forget_if_crowded(path);
    }

    /// Takes a file's name, to give it another.
    pub(super) fn take(&mut self, file: FileId, old: Vec<u8>, new: Vec<u8>) -> Taken {
        self.free(file, &old);
        Taken { file, old, new }
    }

    /// Takes the names of all that lies in a directory, which is to be called `to`. Those that are gone were gone before.
    pub(super) fn take_below(&mut self, from: &[u8], to: &[u8], time: BootNanos) -> Vec<Taken> {
        let Some(names) = self.renames.below(&self.names, from) else {
            self.left_out.directories += u64::from(self.counts(time));
            return Vec::new();
        };
        let mut taken = Vec::new();
        for old in names {
            let holder = self.holder(&old).filter(|record| !record.is_gone()).map(|record| record.id);
            if let (Some(file), Some(new)) = (holder, renames::renamed(&old, from, to)) {
                taken.push(self.take(file, old, new));
            }
        }
        taken
    }

    /// Gives the files that were taken their new names.
    pub(super) fn put(&mut self, taken: Vec<Taken>) {
        for Taken { file, old, new } in taken {
            let Some(record) = self.records.get_mut(&file) else { continue };
            record.is_called(old, &new);
            self.give(&new, file);
            self.make_room(&new);
        }
    }

    /// That a name is nobody's is remembered as far as there is room.
    pub(super) fn forget_if_crowded(&mut self, path: &[u8]) {
        let nobody = self.names.get(path).is_some_and(|name| name.now.is_none() && name.past.is_empty());
        if nobody && self.names.len() > self.limits.files.saturating_mul(2) {
            self.names.remove(path);
        }
    }

    /// Where too many files had a name, the one before the last stands for itself and for the one before it.
    fn make_room(&mut self, path: &[u8]) {
        let Some(name) = self.names.get_mut(path).filter(|name| name.past.len() >= self.limits.lives) else {
            return;
        };
        let Some(id) = name.past.pop() else { return };
        let (Some(&into), Some(gone)) = (name.past.last(), self.records.remove(&id)) else { return };
        if self.limits.names > 0 {
            self.holders.joined.insert(id, into);
        }
        self.content = self.content.saturating_sub(gone.content.room());
        let Some(record) = self.records.get_mut(&into) else { return };
        self.content = self.content.saturating_sub(record.content.room());
        let mut acts = gone.acts.clone();
        record.join(gone);
        let room = self.limits.acts.saturating_sub(record.acts.len());
        if acts.len() > room {
            let over = (acts.len() - room) as u64;
            acts.truncate(room);
            record.acts_dropped += over;
            self.left_out.acts += over;
            self.acts = self.acts.saturating_sub(over as usize);
        }
        record.acts.append(&mut acts);
    }

    /// Notes an act on a file.
    pub(super) fn note(&mut self, id: FileId, act: Act) {
        let counts = self.counts(act.time);
        let Some(record) = self.records.get_mut(&id) else { return };
        record.moves(act.kind);
        if !counts {
            record.kinds_before |= act.kind.bit();
            return;
        }
        let is_new = !record.was(act.kind);
        record.count(&act);
        if record.fold(&act) {
            return;
        }
        // However many acts there are: one of each kind is kept.
        let full = record.acts.len() >= self.limits.acts || self.acts >= self.limits.all_acts;
        if full && !is_new {
            record.acts_dropped += 1;
            self.left_out.acts += 1;
            return;
        }
        record.acts.push(act);
        self.acts += 1;
    }

    /// Whether what is done at this time is counted.
    pub(super) fn counts(&self, time: BootNanos) -> bool {
        self.begin <= time
    }

    /// Notes that there was no room for a file.
    pub(super) fn refuse(&mut self, time: BootNanos, kind: ActKind, bytes: u64) {
        if !self.counts(time) {
            return;
        }
        self.left_out.unlisted += 1;
        if kind == ActKind::Written {
            self.left_out.unlisted_written = self.left_out.unlisted_written.saturating_add(bytes);
        }
    }

    /// How much content there is room for.
    pub(super) fn room(&self) -> usize {
        self.limits.content.saturating_sub(self.content)
    }

    /// Content took room, or gave it back.
    pub(super) fn took(&mut self, taken: usize, freed: usize) {
        self.content = self.content.saturating_add(taken).saturating_sub(freed);
    }

    pub(super) fn opened(&self, description: u64) -> Option<Open> {
        self.open.get(&description).copied()
    }

    pub(super) fn opened_mut(&mut self, description: u64) -> Option<&mut Open> {
        self.open.get_mut(&description)
    }

    /// Remembers an open file; `is_open` tells which still are.
    pub(super) fn remember(&mut self, description: u64, open: Open, is_open: impl Fn(u64) -> bool) {
        if self.open.len() >= MOST_OPEN {
            self.open.retain(|id, _| is_open(*id));
            // Where nearly as many really are open, the older ones go by their names.
            let many = self.open.len() > MOST_OPEN / 2;
            if let Some(middle) = self.open.keys().nth(MOST_OPEN / 4).copied().filter(|_| many) {
                self.open = self.open.split_off(&middle);
            }
        }
        self.open.insert(description, open);
    }
}
