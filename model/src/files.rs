//! Files with their provenance: what was done to each, by whom, how much, and what was written.
//!
//! One record per path as the container sees it. A path is the kernel's where it was recorded; of calls that leave
//! no open file (`unlink`, `rename`, `chmod`, failed opens) it is what the program claimed, made absolute. Acts of
//! the same kind by the same process that follow each other are one act with a count.

mod content;
mod record;

use std::collections::{BTreeMap, HashMap};

use afterimage_format::{ContainerUid, Event, EventCode, EventFlags, FieldTag, layout};

pub use content::{Assembled, Content, Piece};
pub use record::{Act, ActKind, Existence, FileRecord};

use crate::{
    World, class,
    describe::payload,
    fds::FdKind,
    process::ProcessKey,
    symbols,
    syscalls::{self, ArgKind},
};

const AT_FDCWD: i32 = -100;
const ACCESS_MODE: u64 = 3;
const O_CREAT: u64 = 0o100;
const O_EXCL: u64 = 0o200;
const O_TRUNC: u64 = 0o1000;
const O_APPEND: u64 = 0o2000;
const PROT_EXEC: u64 = 4;

/// How much is remembered of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Files.
    pub files: usize,
    /// Acts of one file.
    pub acts: usize,
    /// Bytes of written content, of all files together.
    pub content: usize,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { files: 32_768, acts: 64, content: 16 << 20 }
    }
}

/// The files of the containers whose events were applied.
#[derive(Debug, Default)]
pub struct Files {
    limits: FileLimits,
    containers: BTreeMap<ContainerUid, FileSet>,
}

/// The files of one container.
#[derive(Debug, Default)]
struct FileSet {
    records: BTreeMap<Vec<u8>, FileRecord>,
    /// Where the next write through an open file goes, by the description's id.
    positions: HashMap<u64, Position>,
    content: usize,
    dropped: u64,
}

/// A position in a file that is being written in order.
#[derive(Debug, Clone, Copy)]
struct Position {
    at: u64,
    /// Known since the file was empty; positions set by `lseek` are seen only where that call is recorded.
    known: bool,
}

impl Files {
    /// Nothing known, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing known.
    pub fn with_limits(limits: FileLimits) -> Self {
        Self { limits, containers: BTreeMap::new() }
    }

    /// Takes in an event that `world` has applied already.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) {
        let Some(process) = world.process_of_task(event.task) else { return };
        let set = self.containers.entry(container).or_default();
        let mut look = Look { world, event, process: process.key, set, limits: self.limits };
        if event.code == EventCode::EXEC {
            look.executed();
        } else if matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
            look.ring();
        } else if event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN) {
            look.call();
        }
    }

    /// The files of a container, by path.
    pub fn list(&self, container: ContainerUid) -> impl Iterator<Item = &FileRecord> {
        self.containers.get(&container).into_iter().flat_map(|set| set.records.values())
    }

    /// One file.
    pub fn get(&self, container: ContainerUid, path: &[u8]) -> Option<&FileRecord> {
        self.containers.get(&container)?.records.get(path)
    }

    /// Files and acts that were left out for lack of room.
    pub fn dropped(&self, container: ContainerUid) -> u64 {
        self.containers.get(&container).map_or(0, |set| set.dropped)
    }
}

/// One event being looked at.
struct Look<'a> {
    world: &'a World,
    event: &'a Event<'a>,
    process: ProcessKey,
    set: &'a mut FileSet,
    limits: FileLimits,
}

impl Look<'_> {
    fn arg(&self, at: usize) -> u64 {
        self.event.args.get(at).copied().unwrap_or(0)
    }

    fn fd(&self, at: usize) -> i32 {
        self.arg(at) as i32
    }

    /// A claimed path made absolute, from the nth directory argument.
    fn claimed(&self, tag: FieldTag, nth: usize) -> Option<Vec<u8>> {
        let path = self.event.bytes(tag)?;
        let args = syscalls::signature(self.event.code)?.args;
        let mut directories = args.iter().enumerate().filter(|(_, a)| a.kind == ArgKind::Dirfd);
        let dirfd = directories.nth(nth).and_then(|(at, _)| self.event.args.get(at)).map(|&fd| fd as i32);
        Some(self.world.resolve(self.event.task, dirfd.filter(|&fd| fd != AT_FDCWD), path))
    }

    /// The event's path and whether the kernel told it.
    fn path(&self) -> Option<(Vec<u8>, bool)> {
        match self.event.bytes(FieldTag::KPATH) {
            Some(real) => Some((real.to_vec(), true)),
            None => Some((self.claimed(FieldTag::PATH, 0)?, false)),
        }
    }

    /// The path of an open file.
    fn open_path(&self, fd: i32) -> Option<(Vec<u8>, bool)> {
        match &self.world.fd(self.event.task, fd)?.kind {
            FdKind::File { path, claimed } => Some((path.clone(), !claimed)),
            _ => None,
        }
    }

    /// Notes an act on a path; `bytes` moved by it.
    fn note(&mut self, path: Option<(Vec<u8>, bool)>, kind: ActKind, bytes: u64) -> Option<&mut FileRecord> {
        let (path, kernel) = path?;
        if !self.set.records.contains_key(&path) && self.set.records.len() >= self.limits.files {
            self.set.dropped += 1;
            return None;
        }
        let time = self.event.time;
        let record =
            self.set.records.entry(path).or_insert_with_key(|path| FileRecord::new(path.clone(), time));
        record.kernel_path |= kernel;
        record.setup |= self.event.flags.contains(EventFlags::SETUP);
        let act = Act { time, last: time, by: self.process, kind, bytes, count: 1, result: self.event.ret };
        if !record.note(act, self.limits.acts) {
            self.set.dropped += 1;
        }
        Some(record)
    }

    fn executed(&mut self) {
        let Some(image) = self.event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec) else { return };
        let flags = self.event.number(layout::exec::EXE_FLAGS);
        let script = flags.unwrap_or(0) & layout::exec::EXE_SCRIPT != 0;
        let size = self.event.number(layout::exec::EXE_SIZE);
        if flags.unwrap_or(0) & layout::exec::EXE_MEMFD == 0
            && let Some(record) = self.note(Some((image, true)), ActKind::Executed, 0)
        {
            record.size = size.or(record.size);
            record.upper_layer = match flags {
                Some(f) if f & layout::exec::EXE_UPPER_LAYER != 0 => Some(true),
                Some(f) if f & layout::exec::EXE_LOWER_LAYER != 0 => Some(false),
                _ => record.upper_layer,
            };
        }
        if script && let Some(name) = self.event.bytes(FieldTag::FILENAME) {
            let path = self.world.resolve(self.event.task, None, name);
            self.note(Some((path, false)), ActKind::Executed, 0);
        }
    }

    fn call(&mut self) {
        let name = syscalls::base_name(self.event.code);
        if self.event.ret < 0 {
            self.refused(name);
            return;
        }
        match name {
            "open" => self.opened(self.arg(1)),
            "openat" => self.opened(self.arg(2)),
            "openat2" => self.opened(class::open_how_flags(self.event).unwrap_or(0)),
            "creat" => self.opened(0o1101),
            "read" | "pread64" | "readv" | "preadv" | "preadv2" => self.moved(0, ActKind::Read),
            "write" | "writev" => self.written(None),
            "pwrite64" | "pwritev" | "pwritev2" => self.written(Some(self.arg(3))),
            "sendfile" | "sendfile64" => {
                self.moved(1, ActKind::Read);
                self.moved(0, ActKind::Written);
            }
            "splice" | "copy_file_range" => {
                self.moved(0, ActKind::Read);
                self.moved(2, ActKind::Written);
            }
            "lseek" => self.sought(),
            "mmap" | "mmap2" if self.arg(2) & PROT_EXEC != 0 => {
                let path = self.open_path(self.fd(4));
                self.note(path, ActKind::Mapped, 0);
            }
            "truncate" => self.note_path(ActKind::Truncated),
            "ftruncate" => {
                let path = self.open_path(self.fd(0));
                self.note(path, ActKind::Truncated, 0);
            }
            "chmod" => self.note_path(ActKind::ModeSet { mode: self.mode(1) }),
            "fchmodat" | "fchmodat2" => self.note_path(ActKind::ModeSet { mode: self.mode(2) }),
            "fchmod" => {
                let path = self.open_path(self.fd(0));
                self.note(path, ActKind::ModeSet { mode: self.mode(1) }, 0);
            }
            "chown" | "lchown" | "fchownat" | "chown32" | "lchown32" => self.note_path(ActKind::OwnerSet),
            "unlink" | "unlinkat" | "rmdir" => self.note_path(ActKind::Deleted),
            "mkdir" | "mkdirat" => self.made_directory(),
            "mknod" | "mknodat" => self.note_path(ActKind::Created),
            "rename" | "renameat" | "renameat2" => self.renamed(),
            "link" | "linkat" | "symlink" | "symlinkat" => self.linked(name),
            _ => {}
        }
    }

    /// Requests of an io_uring: opens by their completion, changes of names by the request itself.
    fn ring(&mut self) {
        let operation = self.event.number(layout::uring::OPCODE).and_then(|op| symbols::URING_OP.name_of(op));
        let kind = match (self.event.code, operation) {
            (EventCode::URING_COMPLETE, Some("IORING_OP_OPENAT" | "IORING_OP_OPENAT2")) => {
                let path = self.event.bytes(FieldTag::KPATH).map(|path| (path.to_vec(), true));
                self.note(path, ActKind::OpenedForReading, 0);
                return;
            }
            (EventCode::URING_SUBMIT, Some("IORING_OP_UNLINKAT")) => ActKind::Deleted,
            (EventCode::URING_SUBMIT, Some("IORING_OP_MKDIRAT")) => ActKind::Created,
            _ => return,
        };
        let dirfd = self.event.number(layout::uring::FD).map(|fd| fd as i32).filter(|&fd| fd >= 0);
        if let Some(path) = self.event.bytes(FieldTag::PATH) {
            let path = self.world.resolve(self.event.task, dirfd, path);
            self.note(Some((path, false)), kind, 0);
        }
    }

    fn mode(&self, at: usize) -> u32 {
        (self.arg(at) & 0o7777) as u32
    }

    fn note_path(&mut self, kind: ActKind) {
        let path = self.path();
        self.note(path, kind, 0);
    }

    /// An open or a change that was not allowed.
    fn refused(&mut self, name: &str) {
        const REFUSALS: [i64; 3] = [-1, -13, -30];
        let tries = matches!(
            name,
            "open"
                | "openat"
                | "openat2"
                | "creat"
                | "unlink"
                | "unlinkat"
                | "rename"
                | "renameat"
                | "renameat2"
                | "chmod"
                | "fchmodat"
                | "fchmodat2"
                | "mkdir"
                | "mkdirat"
                | "truncate"
                | "mknod"
                | "mknodat"
        );
        if tries && REFUSALS.contains(&self.event.ret) {
            self.note_path(ActKind::Refused);
        }
    }

    fn opened(&mut self, flags: u64) {
        let writes = flags & ACCESS_MODE != 0;
        let path = self.path();
        let kind = match (writes, flags & O_CREAT != 0) {
            (true, true) => ActKind::Created,
            (true, false) => ActKind::OpenedForWriting,
            (false, _) => ActKind::OpenedForReading,
        };
        let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
        let empties = flags & O_TRUNC != 0 && writes;
        let Some(record) = self.note(path, kind, 0) else { return };
        if exclusive {
            record.existence = Existence::Made;
        } else if kind == ActKind::Created && record.existence == Existence::Unknown {
            record.existence = Existence::MaybeMade;
        } else if kind != ActKind::Created && record.existence == Existence::Unknown {
            record.existence = Existence::Found;
        }
        if exclusive || empties {
            let freed = record.content.clear();
            self.set.content = self.set.content.saturating_sub(freed);
        }
        if writes && let Some((id, _)) = self.world.description(self.event.task, self.event.ret as i32) {
            let known = (exclusive || empties) && flags & O_APPEND == 0;
            self.remember_position(id, Position { at: 0, known });
        }
    }

    fn remember_position(&mut self, id: u64, position: Position) {
        const MOST: usize = 65_536;
        if self.set.positions.len() < MOST || self.set.positions.contains_key(&id) {
            self.set.positions.insert(id, position);
        } else {
            self.set.dropped += 1;
        }
    }

    /// Bytes moved through the descriptor in an argument.
    fn moved(&mut self, at: usize, kind: ActKind) {
        let bytes = u64::try_from(self.event.ret).unwrap_or(0);
        let path = self.open_path(self.fd(at));
        self.note(path, kind, bytes);
        if kind == ActKind::Written
            && let Some((id, _)) = self.world.description(self.event.task, self.fd(at))
        {
            self.set.positions.remove(&id);
        }
    }

    /// A write with its payload; `at` where the call itself says where.
    fn written(&mut self, at: Option<u64>) {
        let bytes = u64::try_from(self.event.ret).unwrap_or(0);
        let Some(path) = self.open_path(self.fd(0)) else { return };
        let name = path.0.clone();
        if self.note(Some(path), ActKind::Written, bytes).is_none() {
            return;
        }
        let offset = match (at, self.world.description(self.event.task, self.fd(0))) {
            (Some(at), _) => Some(at),
            (None, Some((id, _))) => self.set.positions.get_mut(&id).and_then(|position| {
                let here = position.known.then_some(position.at);
                position.at = position.at.saturating_add(bytes);
                here
            }),
            (None, None) => None,
        };
        let parts = self.event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD);
        let kept: Vec<u8> = payload::contiguous(parts);
        if self.set.content.saturating_add(kept.len()) > self.limits.content {
            self.set.dropped += 1;
            return;
        }
        self.set.content += kept.len();
        if let Some(record) = self.set.records.get_mut(&name) {
            record.content.push(Piece { time: self.event.time, offset, len: bytes, bytes: kept });
        }
    }

    fn sought(&mut self) {
        if let (Some((id, _)), Ok(at)) =
            (self.world.description(self.event.task, self.fd(0)), u64::try_from(self.event.ret))
            && let Some(position) = self.set.positions.get_mut(&id)
        {
            *position = Position { at, known: true };
        }
    }

    fn made_directory(&mut self) {
        let path = self.path();
        if let Some(record) = self.note(path, ActKind::Created, 0) {
            record.existence = Existence::Made;
            record.directory = true;
        }
    }

    fn renamed(&mut self) {
        let (Some(from), Some(to)) = (self.path(), self.claimed(FieldTag::PATH2, 1)) else { return };
        let old = self.set.records.remove(&from.0);
        if let Some(replaced) = self.set.records.remove(&to) {
            self.set.content = self.set.content.saturating_sub(replaced.content.kept());
        }
        let mut record = old.unwrap_or_else(|| FileRecord::new(to.clone(), self.event.time));
        record.formerly.push(std::mem::replace(&mut record.path, to.clone()));
        if record.formerly.last() == Some(&to) {
            // It was not known by its old name.
            record.formerly.pop();
            record.formerly.push(from.0);
        }
        self.set.records.insert(to.clone(), record);
        self.note(Some((to, false)), ActKind::Renamed, 0);
    }

    fn linked(&mut self, name: &str) {
        let is_symlink = name.starts_with("symlink");
        let nth = usize::from(!is_symlink);
        let Some(target) = self.claimed(FieldTag::PATH, 0) else { return };
        let path = self.claimed(FieldTag::PATH2, nth).map(|path| (path, false));
        if let Some(record) = self.note(path, ActKind::Linked, 0) {
            record.existence = Existence::Made;
            record.link_to = Some(target);
        }
    }
}

#[cfg(test)]
mod tests;
