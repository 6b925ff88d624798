//! What an event does to files.

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, EventFlags, FieldTag, layout};

use super::{
    Act, ActKind, Existence, FileId, FileRecord,
    content::Place,
    set::{FileSet, Open},
};
use crate::{
    World, class,
    describe::payload,
    fds::{FdInfo, FdKind, memory_name},
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
const O_PATH: u64 = 0o10_000_000;
const O_TMPFILE: u64 = 0o20_000_000;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_SHARED: u64 = 1;
const MAP_ANONYMOUS: u64 = 0x20;
const AT_SYMLINK_FOLLOW: u64 = 0x400;
const AT_EMPTY_PATH: u64 = 0x1000;
const RENAME_EXCHANGE: u64 = 2;
/// `pwritev2`: behind the file's end, wherever the call says.
const RWF_APPEND: u64 = 0x10;
/// `pwritev2`: where the descriptor is.
const HERE: u64 = u64::MAX;

/// What stands before its name.
const IN_MEMORY: &[u8] = b"memfd:";

/// What a file in memory is called here, as the kernel calls it. No path begins so but a relative one of which nobody knows from where.
fn in_memory(name: &[u8]) -> Vec<u8> {
    [IN_MEMORY, name].concat()
}

/// One event being looked at.
pub(super) struct Look<'a> {
    pub(super) world: &'a World,
    pub(super) event: &'a Event<'a>,
    pub(super) container: ContainerUid,
    pub(super) process: ProcessKey,
    pub(super) set: &'a mut FileSet,
}

impl<'a> Look<'a> {
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
        match self.world.kernel_path_of(self.event) {
            Some(real) => Some((real, true)),
            None => Some((self.claimed(FieldTag::PATH, 0)?, false)),
        }
    }

    /// What a descriptor that is open on a file is open on.
    fn open_file(&self, fd: i32) -> Option<(u64, &'a FdInfo)> {
        self.world
            .description(self.event.task, fd)
            .filter(|(_, info)| matches!(info.kind, FdKind::File { .. } | FdKind::Memfd { .. }))
    }

    /// The file that a descriptor is open on, and its description.
    fn by_fd(&mut self, fd: i32, kind: ActKind, bytes: u64) -> Option<(FileId, u64)> {
        let (description, info) = self.open_file(fd)?;
        let (path, claimed) = match &info.kind {
            FdKind::File { path, claimed } => (path, claimed),
            FdKind::Memfd { name } => return self.in_memory(description, name, (kind, bytes)),
            _ => return None,
        };
        let kernel = !claimed;
        if let Some(open) = self.set.opened(description)
            && let Some(record) = self.set.record_mut(open.file)
        {
            record.kernel_path |= kernel && record.path == *path;
            return Some((open.file, description));
        }
        // What was opened before is whatever has the name, or had it when it was last seen.
        let holder = self.set.holder(path).map(|record| record.id);
        let Some(file) = holder.or_else(|| self.set.begin(path, self.event.time)) else {
            self.set.refuse(self.event.time, kind, bytes);
            return None;
        };
        if let Some(record) = self.set.record_mut(file) {
            record.kernel_path |= kernel;
        }
        self.remember(description, file, None);
        Some((file, description))
    }

    /// The file in memory that a descriptor is open on, and its description. Several can have the same name: one whose making nobody saw
    /// is taken for none of those that are known.
    fn in_memory(
        &mut self,
        description: u64,
        name: &[u8],
        (kind, bytes): (ActKind, u64),
    ) -> Option<(FileId, u64)> {
        if let Some(open) = self.set.opened(description) {
            return Some((open.file, description));
        }
        let file = self.begin_in_memory(name, (kind, bytes))?;
        self.remember(description, file, None);
        Some((file, description))
    }

    /// Begins another file in memory.
    fn begin_in_memory(&mut self, name: &[u8], (kind, bytes): (ActKind, u64)) -> Option<FileId> {
        let Some(file) = self.set.begin(&in_memory(name), self.event.time) else {
            self.set.refuse(self.event.time, kind, bytes);
            return None;
        };
        let record = self.set.record_mut(file)?;
        (record.memory, record.kernel_path) = (true, true);
        Some(file)
    }

    /// `memfd_create`.
    fn made_in_memory(&mut self) {
        let Some((description, info)) = self.open_file(self.event.ret as i32) else { return };
        let FdKind::Memfd { name } = &info.kind else { return };
        let Some(file) = self.begin_in_memory(name, (ActKind::Created, 0)) else { return };
        self.empty(file);
        if let Some(record) = self.note(file, ActKind::Created, 0) {
            record.existence = Existence::Made;
        }
        self.remember(description, file, Some(0));
    }

    /// What is in memory was executed: it is told by its name, and the last of that name is meant.
    fn executed_in_memory(&mut self, image: &[u8], size: Option<u64>) {
        let name = memory_name(image).unwrap_or(image);
        let known = self.known_in_memory(name);
        let Some(file) = known.or_else(|| self.begin_in_memory(name, (ActKind::Executed, 0))) else { return };
        if let Some(record) = self.note(file, ActKind::Executed, 0) {
            record.size = size.or(record.size);
        }
    }

    fn remember(&mut self, description: u64, file: FileId, at: Option<u64>) {
        let life = self.set.record(file).map_or(1, |record| record.lives);
        let (world, container) = (self.world, self.container);
        let is_open = |id| world.is_open(container, id);
        self.set.remember(description, Open { file, life, at }, is_open);
    }

    /// Notes an act on a file.
    fn note(&mut self, id: FileId, kind: ActKind, bytes: u64) -> Option<&mut FileRecord> {
        let time = self.event.time;
        let act = Act { time, last: time, by: self.process, kind, bytes, count: 1, result: self.event.ret };
        self.set.note(id, act);
        let record = self.set.record_mut(id)?;
        record.setup |= self.event.flags.contains(EventFlags::SETUP);
        Some(record)
    }

    /// Notes an act on the file that has a path.
    fn note_at(&mut self, path: Option<(Vec<u8>, bool)>, kind: ActKind) -> Option<&mut FileRecord> {
        let (path, kernel) = path?;
        let id = match kind {
            // What was refused was done to nothing, so that it begins no other file.
            ActKind::Refused | ActKind::NotExecuted => self.set.holder(&path).map(|record| record.id),
            _ => None,
        };
        let Some(id) = id.or_else(|| self.set.with_name(&path, self.event.time)) else {
            self.set.refuse(self.event.time, kind, 0);
            return None;
        };
        let record = self.note(id, kind, 0)?;
        record.kernel_path |= kernel;
        Some(record)
    }

    /// Notes that a file was made where there was none.
    fn note_made(&mut self, path: Option<(Vec<u8>, bool)>, kind: ActKind) -> Option<&mut FileRecord> {
        let (path, kernel) = path?;
        // What was there is gone, though nobody was seen removing it.
        let there = self.set.holder(&path).is_some_and(|record| record.present || record.is_gone());
        let found = self.set.holder(&path).map(|record| record.id).filter(|_| !there);
        let Some(id) = found.or_else(|| self.set.begin(&path, self.event.time)) else {
            self.set.refuse(self.event.time, kind, 0);
            return None;
        };
        self.empty(id);
        let record = self.note(id, kind, 0)?;
        record.kernel_path |= kernel;
        record.existence = Existence::Made;
        Some(record)
    }

    /// Notes an act through a descriptor.
    fn note_fd(&mut self, fd: i32, kind: ActKind) -> Option<&mut FileRecord> {
        let (id, _) = self.by_fd(fd, kind, 0)?;
        self.note(id, kind, 0)
    }

    /// A file has no content any more.
    fn empty(&mut self, id: FileId) {
        let freed = self.set.record_mut(id).map_or(0, |record| record.content.begin(true));
        self.set.took(0, freed);
    }

    pub(super) fn executed(&mut self) {
        let Some(image) = self.world.kernel_path_of(self.event) else { return };
        let flags = self.event.number(layout::exec::EXE_FLAGS);
        let script = flags.unwrap_or(0) & layout::exec::EXE_SCRIPT != 0;
        let size = self.event.number(layout::exec::EXE_SIZE);
        if flags.unwrap_or(0) & layout::exec::EXE_MEMFD != 0 {
            // Whatever root the process has, this is below none.
            let image = self.event.bytes(FieldTag::KPATH).map_or(image, <[u8]>::to_vec);
            self.executed_in_memory(&image, size);
        } else if let Some(record) = self.note_at(Some((image, true)), ActKind::Executed) {
            record.size = size.or(record.size);
            record.upper_layer = match flags {
                Some(f) if f & layout::exec::EXE_UPPER_LAYER != 0 => Some(true),
                Some(f) if f & layout::exec::EXE_LOWER_LAYER != 0 => Some(false),
                _ => record.upper_layer,
            };
        }
        if script && let Some(name) = self.event.bytes(FieldTag::FILENAME) {
            let path = self.world.resolve(self.event.task, None, name);
            self.note_at(Some((path, false)), ActKind::Executed);
        }
    }

    pub(super) fn call(&mut self) {
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
            "read" | "readv" => self.read(0, true),
            "preadv2" => self.read(0, self.arg(3) == HERE),
            "pread64" | "preadv" => self.read(0, false),
            "write" | "writev" => self.written(0, None),
            "pwrite64" | "pwritev" => self.written(0, Some(Place::At(self.arg(3)))),
            "pwritev2" => {
                let appends = self.arg(5) & RWF_APPEND != 0;
                let place = if appends { Place::End } else { Place::At(self.arg(3)) };
                self.written(0, Some(place).filter(|_| appends || self.arg(3) != HERE));
            }
            "sendfile" | "sendfile64" => {
                self.read(1, self.arg(2) == 0);
                self.written(0, None);
            }
            "splice" | "copy_file_range" => {
                self.read(0, self.arg(1) == 0);
                self.written(2, Some(Place::Unknown).filter(|_| self.arg(3) != 0));
            }
            "lseek" => self.sought(),
            "memfd_create" => self.made_in_memory(),
            "mmap" | "mmap2" => self.mapped(),
            "truncate" => {
                let path = self.path();
                let id = self.note_at(path, ActKind::Truncated).map(|record| record.id);
                self.cut(id);
            }
            "ftruncate" => {
                let id = self.note_fd(self.fd(0), ActKind::Truncated).map(|record| record.id);
                self.cut(id);
            }
            "fallocate" => self.allocated(),
            "chmod" => self.note_path(ActKind::ModeSet { mode: self.mode(1) }),
            "fchmodat" | "fchmodat2" => self.note_path(ActKind::ModeSet { mode: self.mode(2) }),
            "fchmod" => {
                let mode = self.mode(1);
                self.note_fd(self.fd(0), ActKind::ModeSet { mode });
            }
            "fchown" | "fchown32" => {
                self.note_fd(self.fd(0), ActKind::OwnerSet);
            }
            "chown" | "lchown" | "fchownat" | "chown32" | "lchown32" => self.note_path(ActKind::OwnerSet),
            "unlink" | "unlinkat" | "rmdir" => {
                let path = self.path();
                self.removed(path);
            }
            "mkdir" | "mkdirat" => self.made_directory(),
            "mknod" | "mknodat" => {
                let path = self.path();
                self.note_made(path, ActKind::Created);
            }
            "rename" | "renameat" | "renameat2" => self.renamed(),
            "link" | "linkat" | "symlink" | "symlinkat" => self.linked(name),
            _ => {}
        }
    }

    /// Requests of an io_uring: opens by their completion, changes of names by the request itself.
    pub(super) fn ring(&mut self) {
        let operation = self.event.number(layout::uring::OPCODE).and_then(|op| symbols::URING_OP.name_of(op));
        let kind = match (self.event.code, operation) {
            (EventCode::URING_COMPLETE, Some("IORING_OP_OPENAT" | "IORING_OP_OPENAT2")) => {
                let path = self.world.kernel_path_of(self.event).map(|path| (path, true));
                self.note_at(path, ActKind::OpenedForReading);
                return;
            }
            (
                EventCode::URING_SUBMIT,
                Some("IORING_OP_WRITE" | "IORING_OP_WRITEV" | "IORING_OP_WRITE_FIXED"),
            ) => {
                // What it writes is not recorded.
                let fd = self.event.number(layout::uring::FD).map_or(-1, |fd| fd as i32);
                if let Some((id, _)) = self.by_fd(fd, ActKind::Written, 0)
                    && let Some(record) = self.set.record_mut(id)
                {
                    record.content.unseen();
                }
                return;
            }
            (EventCode::URING_SUBMIT, Some("IORING_OP_RENAMEAT")) => {
                let (from, to) = (self.world.path_of(self.event), self.world.second_path_of(self.event));
                // The directory of a new name that is relative is not recorded.
                if let (Some(from), Some(to)) = (from, to.filter(|to| to.starts_with(b"/"))) {
                    self.rename(&from, &to, false);
                }
                return;
            }
            (EventCode::URING_SUBMIT, Some("IORING_OP_UNLINKAT")) => ActKind::Deleted,
            (EventCode::URING_SUBMIT, Some("IORING_OP_MKDIRAT")) => ActKind::Created,
            _ => return,
        };
        let dirfd = self.event.number(layout::uring::FD).map(|fd| fd as i32).filter(|&fd| fd >= 0);
        if let Some(path) = self.event.bytes(FieldTag::PATH) {
            let path = self.world.resolve(self.event.task, dirfd, path);
            match kind {
                ActKind::Created => {
                    self.note_made(Some((path, false)), kind);
                }
                _ => self.removed(Some((path, false))),
            }
        }
    }

    fn mode(&self, at: usize) -> u32 {
        (self.arg(at) & 0o7777) as u32
    }

    fn note_path(&mut self, kind: ActKind) {
        let path = self.path();
        self.note_at(path, kind);
    }

    /// An open or a change that was not allowed.
    fn refused(&mut self, name: &str) {
        const REFUSALS: [i64; 3] = [-1, -13, -30];
        if matches!(name, "execve" | "execveat") {
            self.not_executed();
            return;
        }
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

    /// An execution that failed. What says nothing of the file is none of its acts: a program that was looked for where it is not,
    /// arguments that were too long, memory that was short.
    fn not_executed(&mut self) {
        /// Not allowed, and no program: `EPERM`, `ENOEXEC`, `EACCES`, `ETXTBSY`, `EINVAL`, `EISDIR`, `ELOOP`, `ELIBBAD`.
        const OF_FILE: [i64; 8] = [-1, -8, -13, -26, -22, -21, -40, -80];
        const ENOENT: i64 = -2;
        let by_descriptor = syscalls::base_name(self.event.code) == "execveat"
            && self.event.bytes(FieldTag::PATH).is_none_or(<[u8]>::is_empty);
        // Of a file that is there it is the interpreter that is not.
        let is_of_file = OF_FILE.contains(&self.event.ret)
            || self.event.ret == ENOENT
                && (by_descriptor
                    || self.path().is_some_and(|(path, _)| {
                        self.set.holder(&path).is_some_and(|record| record.present)
                    }));
        match (is_of_file, by_descriptor) {
            (false, _) => {}
            (true, true) => {
                self.note_fd(self.fd(0), ActKind::NotExecuted);
            }
            (true, false) => self.note_path(ActKind::NotExecuted),
        }
    }

    fn opened(&mut self, flags: u64) {
        // With `O_PATH` the kernel ignores nearly all other flags.
        let flags = if flags & O_PATH != 0 { 0 } else { flags };
        let writes = flags & ACCESS_MODE != 0;
        let Some(path) = self.path() else { return };
        let wish = flags & O_CREAT != 0;
        let nameless = flags & O_TMPFILE != 0 && path.1;
        // By its descriptor in `/proc`. The kernel's path of a file begins with a slash, whatever that is called.
        if path.1 && path.0.starts_with(IN_MEMORY) && self.opened_in_memory(&path.0, writes) {
            return;
        }
        let exclusive = wish && flags & O_EXCL != 0 || nameless;
        let is_known = self.set.holder(&path.0).is_some_and(|record| record.present);
        let kind = match (writes, wish && !is_known) {
            (_, true) => ActKind::OpenedOrCreated,
            (true, false) => ActKind::OpenedForWriting,
            (false, false) => ActKind::OpenedForReading,
        };
        let makes = exclusive || wish && self.set.is_free(&path.0);
        let noted = match makes {
            true => self.note_made(Some(path), ActKind::Created),
            false => self.note_at(Some(path), kind),
        };
        let Some(record) = noted else { return };
        if record.existence == Existence::Unknown && record.lives == 1 {
            let maybe = kind == ActKind::OpenedOrCreated;
            record.existence = if maybe { Existence::MaybeMade } else { Existence::Found };
        }
        record.nameless = nameless;
        let id = record.id;
        if flags & O_TRUNC != 0 && writes {
            self.empty(id);
        }
        if let Some((description, _)) = self.world.description(self.event.task, self.event.ret as i32) {
            self.remember(description, id, Some(0));
        }
    }

    /// A file in memory was opened again: the last of its name is meant. `false` where none is known.
    fn opened_in_memory(&mut self, path: &[u8], writes: bool) -> bool {
        let kind = if writes { ActKind::OpenedForWriting } else { ActKind::OpenedForReading };
        let Some(file) = memory_name(path).and_then(|name| self.known_in_memory(name)) else { return false };
        self.note(file, kind, 0);
        if let Some((description, _)) = self.world.description(self.event.task, self.event.ret as i32) {
            self.remember(description, file, Some(0));
        }
        true
    }

    /// The last file in memory of a name.
    fn known_in_memory(&self, name: &[u8]) -> Option<FileId> {
        self.set.holder(&in_memory(name)).filter(|record| record.memory).map(|record| record.id)
    }

    /// Bytes read through the descriptor in an argument, which then goes on there if it `moves`.
    fn read(&mut self, at: usize, moves: bool) {
        let bytes = u64::try_from(self.event.ret).unwrap_or(0);
        let Some((id, description)) = self.by_fd(self.fd(at), ActKind::Read, bytes) else { return };
        self.note(id, ActKind::Read, bytes);
        if moves && let Some(open) = self.set.opened_mut(description) {
            open.at = open.at.map(|at| at.saturating_add(bytes));
        }
    }

    /// Bytes written through the descriptor in an argument, with their payload; `place` where the call itself says
    /// where.
    fn written(&mut self, at: usize, place: Option<Place>) {
        let bytes = u64::try_from(self.event.ret).unwrap_or(0);
        let Some((id, description)) = self.by_fd(self.fd(at), ActKind::Written, bytes) else { return };
        self.note(id, ActKind::Written, bytes);
        let flags = self.open_file(self.fd(at)).and_then(|(_, info)| info.flags);
        let appends = flags.is_some_and(|flags| flags & O_APPEND != 0);
        let open = self.set.opened(description);
        let place = match (appends, place) {
            // Linux appends whatever place `pwrite` asks for.
            (true, Some(Place::At(_)) | None) => Place::End,
            (_, Some(place)) => place,
            (false, None) => open.and_then(|open| open.at).map_or(Place::Unknown, Place::At),
        };
        let kept: Vec<u8> =
            payload::contiguous(self.event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD));
        let (room, task, end) = (self.set.room(), self.event.task, self.event.time);
        let counts = self.set.counts(end);
        let begin = BootNanos(end.0.saturating_sub(self.event.duration.unwrap_or(0)));
        let Some(record) = self.set.record_mut(id) else { return };
        if counts {
            record.bytes_recorded = record.bytes_recorded.saturating_add(kept.len() as u64);
        }
        let mut taken = None;
        if open.is_some_and(|open| open.life != record.lives) {
            // It went to an earlier one of the files that the record stands for.
            self.set.left_out.content = self.set.left_out.content.saturating_add(bytes);
            return;
        }
        let is_append = place == Place::End;
        if bytes > 0 {
            taken = record.content.push((place, bytes), (begin, end, task), kept, room);
        }
        let after = if is_append { record.content.end() } else { None };
        match taken {
            Some(taken) => self.set.took(taken, 0),
            None if bytes > 0 => {
                self.set.left_out.content = self.set.left_out.content.saturating_add(bytes);
            }
            None => {}
        }
        if let Some(open) = self.set.opened_mut(description) {
            match place {
                // An append leaves the descriptor behind what it wrote; the others say where they write themselves.
                Place::End => open.at = after,
                Place::At(at) if open.at == Some(at) => open.at = Some(at.saturating_add(bytes)),
                _ => {}
            }
        }
    }

    fn cut(&mut self, id: Option<FileId>) {
        let (to, room) = (self.arg(1), self.set.room());
        let Some(record) = id.and_then(|id| self.set.record_mut(id)) else { return };
        let (taken, freed) = record.content.cut(to, room);
        self.set.took(taken, freed);
    }

    fn allocated(&mut self) {
        /// Room is set aside, nothing else.
        const KEEP_SIZE: u64 = 1;
        let (mode, to) = (self.arg(1), self.arg(2).saturating_add(self.arg(3)));
        if mode == KEEP_SIZE {
            return;
        }
        let room = self.set.room();
        let Some(record) = self.note_fd(self.fd(0), ActKind::Truncated) else { return };
        let extends = record.content.end().is_some_and(|end| end < to);
        let mut taken = (0, 0);
        match mode {
            0 if extends => taken = record.content.cut(to, room),
            0 => {}
            // Holes and moved ranges.
            _ => record.content.unseen(),
        }
        self.set.took(taken.0, taken.1);
    }

    fn mapped(&mut self) {
        let (protection, flags) = (self.arg(2), self.arg(3));
        if flags & MAP_ANONYMOUS != 0 {
            return;
        }
        let fd = self.fd(4);
        if protection & PROT_EXEC != 0 {
            self.note_fd(fd, ActKind::Mapped);
        }
        // `MAP_SHARED_VALIDATE` has this bit too, `MAP_PRIVATE` has not.
        if protection & PROT_WRITE != 0
            && flags & MAP_SHARED != 0
            && let Some(record) = self.note_fd(fd, ActKind::MappedForWriting)
        {
            record.content.unseen();
        }
    }

    fn sought(&mut self) {
        let Ok(at) = u64::try_from(self.event.ret) else { return };
        let Some((description, _)) = self.open_file(self.fd(0)) else { return };
        if let Some(open) = self.set.opened_mut(description) {
            open.at = Some(at);
        }
    }

    fn made_directory(&mut self) {
        let path = self.path();
        if let Some(record) = self.note_made(path, ActKind::Created) {
            record.directory = true;
        }
    }

    fn renamed(&mut self) {
        let (Some(from), Some(to)) = (self.path(), self.claimed(FieldTag::PATH2, 1)) else { return };
        let swaps = syscalls::base_name(self.event.code) == "renameat2" && self.arg(4) & RENAME_EXCHANGE != 0;
        self.rename(&from.0, &to, swaps);
    }

    fn rename(&mut self, from: &[u8], to: &[u8], swaps: bool) {
        if from == to {
            return;
        }
        let time = self.event.time;
        let file = self.set.with_name(from, time);
        if swaps {
            let other = self.set.with_name(to, time);
            let mut taken = self.set.take_below(from, to, time);
            taken.extend(self.set.take_below(to, from, time));
            for (file, from, to) in [(file, from, to), (other, to, from)] {
                let Some(file) = file else { continue };
                taken.push(self.set.take(file, from.to_vec(), to.to_vec()));
                self.note(file, ActKind::Renamed, 0);
            }
            self.set.put(taken);
            return;
        }
        let there = self.set.holder(to).filter(|record| !record.is_gone()).map(|record| record.id);
        // Two names of one file: nothing is done.
        if there.is_some() && there == file {
            return;
        }
        if let Some(replaced) = there {
            self.lost_name(replaced, to, ActKind::Replaced);
        }
        let Some(file) = file else {
            self.set.refuse(self.event.time, ActKind::Renamed, 0);
            return;
        };
        let mut taken = vec![self.set.take(file, from.to_vec(), to.to_vec())];
        taken.extend(self.set.take_below(from, to, time));
        self.set.put(taken);
        self.note(file, ActKind::Renamed, 0);
    }

    /// A name was taken from a file, which is there under its others, where it has any.
    fn lost_name(&mut self, id: FileId, path: &[u8], kind: ActKind) -> Option<&mut FileRecord> {
        let has_others = self.set.unlink(id, path);
        let record = self.note(id, kind, 0)?;
        if has_others {
            record.is_still_there();
        }
        Some(record)
    }

    /// A name was removed.
    fn removed(&mut self, path: Option<(Vec<u8>, bool)>) {
        let Some((path, kernel)) = path else { return };
        match self.set.holder(&path).filter(|record| !record.is_gone()).map(|record| record.id) {
            Some(id) => {
                if let Some(record) = self.lost_name(id, &path, ActKind::Deleted) {
                    record.kernel_path |= kernel;
                }
            }
            None => {
                self.note_at(Some((path, kernel)), ActKind::Deleted);
            }
        }
    }

    fn linked(&mut self, name: &str) {
        let is_symlink = name.starts_with("symlink");
        let nth = usize::from(!is_symlink);
        let path = self.claimed(FieldTag::PATH2, nth);
        if !is_symlink
            && let (Some(id), Some(path)) = (self.link_source(name), &path)
            && self.set.link(id, path)
        {
            self.note(id, ActKind::Linked, 0);
            return;
        }
        let Some(target) = self.claimed(FieldTag::PATH, 0) else { return };
        let path = path.map(|path| (path, false));
        if let Some(record) = self.note_made(path, ActKind::Linked) {
            record.link_to = Some(target);
            if !is_symlink {
                // It has another name already, and what was written by that.
                record.content.begin(false);
            }
        }
    }

    /// The file that a hard link is made of: by a descriptor, or by a name.
    fn link_source(&mut self, name: &str) -> Option<FileId> {
        let is_empty = self.event.bytes(FieldTag::PATH).is_none_or(<[u8]>::is_empty);
        if name == "linkat" && is_empty && self.arg(4) & AT_EMPTY_PATH != 0 {
            return self.by_fd(self.fd(0), ActKind::Linked, 0).map(|(id, _)| id);
        }
        let path = self.claimed(FieldTag::PATH, 0)?;
        let follows = name == "linkat" && self.arg(4) & AT_SYMLINK_FOLLOW != 0;
        match self.world.descriptor_at(self.event.task, &path).filter(|_| follows) {
            Some(fd) => self.by_fd(fd, ActKind::Linked, 0).map(|(id, _)| id),
            None => self.set.with_name(&path, self.event.time),
        }
    }
}
