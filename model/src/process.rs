//! Processes: who they were, what they executed, with which rights, and how they ended.

use std::{collections::BTreeMap, sync::Arc};

use afterimage_format::{BootNanos, ContainerUid, TaskKey, layout};

use crate::{
    bytes::Bytes,
    codec::{stored_enum, stored_struct},
    describe,
    text::{self, Safe},
};

pub use crate::{
    credentials::Credentials,
    world::{TreeRow, World},
};

/// One process, told apart from every other of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Thread group id.
    pub tgid: u32,
    /// Start of its first thread; 0 where not known.
    pub start: BootNanos,
}

/// A process as events have shown it. What they did not show is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its identity.
    pub key: ProcessKey,
    /// The container it was last seen in.
    pub container: ContainerUid,
    /// How it became known.
    pub origin: Origin,
    /// Its parent: who forked it, or who the kernel named as its parent at an exec.
    pub parent: Option<ProcessKey>,
    /// Its id in its own pid namespace.
    pub vpid: Option<u32>,
    /// The pid namespace of who made it and its id there, where that is not its own namespace.
    pub(crate) outer: Option<(u64, u32)>,
    /// Its process group, initial namespace.
    pub pgid: Option<u32>,
    /// Its session, initial namespace.
    pub sid: Option<u32>,
    /// Its controlling terminal as [`layout::exec::TTY`]; 0 for none.
    pub tty: Option<u64>,
    /// First event of it or about it.
    pub first_seen: BootNanos,
    /// Last event of it.
    pub last_seen: BootNanos,
    /// Its end.
    pub end: End,
    /// It belonged to the container's set-up when last seen.
    pub setup: bool,
    /// It did something that was no set-up, or was there before recording began.
    pub payload: bool,
    /// What it executed itself, oldest first.
    pub execs: Vec<Arc<Exec>>,
    /// What it ran when it was forked.
    pub inherited: Option<Arc<Exec>>,
    /// Executions that are not in `execs` for lack of room.
    pub execs_dropped: u64,
    /// Its names (`comm`) with the time each was first seen, oldest first.
    pub comms: Vec<(BootNanos, Bytes)>,
    /// Its rights.
    pub credentials: Credentials,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its working directory, from the container's root.
    pub cwd: Option<Bytes>,
    /// Its root directory after `chroot` and `pivot_root`, from the container's; `None` for the container's own, empty where it
    /// is another and not known which.
    pub root: Option<Bytes>,
    /// Its environment as it was when its program began, each variable ended by a NUL; forgotten at its end.
    pub(crate) environment: Option<Bytes>,
    /// Its live threads but the first.
    pub threads: BTreeMap<u32, Thread>,
    /// Threads it ever had, the first included.
    pub threads_seen: u32,
    /// Events of it.
    pub events: u64,
    /// Bytes it wrote to sockets.
    pub bytes_sent: u64,
    /// Bytes it read from sockets.
    pub bytes_received: u64,
    /// Bytes it wrote to files.
    pub bytes_written: u64,
    /// Seccomp mode it set, `no_new_privs` and `keepcaps`, as far as seen.
    pub hardening: Hardening,
    /// Its table of descriptors.
    pub(crate) table: u64,
    /// What threads have for themselves, by thread.
    pub(crate) apart: BTreeMap<u32, Apart>,
    /// Processes of a container with the same number share root and working directory; 0 for none.
    pub(crate) shares: u64,
    /// Its forks tell what those that it made share with it: what its calls claim of that is not asked.
    pub(crate) forks_tell: bool,
}

/// What a thread has for itself that the others of its process share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Apart {
    /// Its table of descriptors.
    pub(crate) table: Option<u64>,
    /// Its root and working directory.
    pub(crate) directories: Option<Directories>,
}

/// Where paths begin, as [`Process::cwd`] and [`Process::root`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Directories {
    pub(crate) cwd: Option<Bytes>,
    pub(crate) root: Option<Bytes>,
}

impl Directories {
    /// Bytes of both.
    pub(crate) fn bytes(&self) -> usize {
        [&self.cwd, &self.root].into_iter().flatten().map(|bytes| bytes.len()).sum()
    }
}

/// How a process became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its fork was seen.
    Forked,
    /// It was there when recording began.
    Snapshot,
    /// An event of it came first: its beginning was not seen.
    Seen,
}

/// Whether and how a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Not seen to have ended.
    Running,
    /// Ended.
    Exited {
        /// When.
        time: BootNanos,
        /// Exit code, or minus the signal.
        status: i64,
        /// Raw `exit_code`.
        raw: u32,
    },
    /// Its id was given to another process: it ended at the latest then, unseen.
    Unseen {
        /// When the other process was first seen.
        before: BootNanos,
    },
}

/// A thread other than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Its start; 0 where not known.
    pub start: BootNanos,
    /// Its id in its process's pid namespace.
    pub(crate) vtid: Option<u32>,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exec {
    /// When.
    pub time: BootNanos,
    /// The image's path from the kernel.
    pub image: Bytes,
    /// The name given to exec, where it differs: claimed; for a script, the script.
    pub filename: Bytes,
    /// The interpreter, for a script.
    pub interpreter: Bytes,
    /// Arguments, each ended by a NUL.
    pub argv: Bytes,
    /// The arguments were cut.
    pub argv_cut: bool,
    /// Bits of [`layout::exec::EXE_FLAGS`].
    pub flags: u64,
    /// Inode of the image.
    pub inode: Option<u64>,
    /// Device of the image.
    pub device: Option<u64>,
    /// Size of the image.
    pub size: Option<u64>,
    /// Mode of the image.
    pub mode: Option<u64>,
    /// Change time of the image, nanoseconds since 1970.
    pub ctime: Option<u64>,
    /// Modification time of the image, nanoseconds since 1970.
    pub mtime: Option<u64>,
    /// It belonged to the container's set-up.
    pub setup: bool,
    /// Told by `/proc` when recording began: when it happened is not known.
    pub snapshot: bool,
    /// Tells executions of a container apart: forked processes share their parent's.
    pub(crate) id: u64,
}

/// Inodes of a process's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// pid.
    pub pid: Option<u64>,
    /// Mount.
    pub mnt: Option<u64>,
    /// Network.
    pub net: Option<u64>,
    /// UTS.
    pub uts: Option<u64>,
    /// IPC.
    pub ipc: Option<u64>,
    /// cgroup.
    pub cgroup: Option<u64>,
    /// User.
    pub user: Option<u64>,
    /// `CLONE_NEW*` bits of namespaces entered since the inodes were last told: those inodes are `None`, but for the pid namespace,
    /// which only children enter.
    pub changed: u64,
}

/// What a process did to confine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardening {
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Seccomp filters installed.
    pub seccomp_filters: u32,
    /// Seccomp strict mode.
    pub seccomp_strict: bool,
    /// `PR_SET_KEEPCAPS`.
    pub keep_capabilities: bool,
}

stored_struct!(ProcessKey { tgid, start });
stored_struct!(Process {
    key, container, origin, parent, vpid, pgid, sid, tty, first_seen, last_seen, end, setup, payload, execs_dropped, comms, credentials, namespaces, cwd, root, environment, threads, threads_seen, events, bytes_sent, bytes_received,
    bytes_written, hardening, table,
} without { outer, execs, inherited, apart, shares, forks_tell });
stored_struct!(Apart { table, directories });
stored_struct!(Directories { cwd, root });
stored_enum!(Origin { 0 => Forked, 1 => Snapshot, 2 => Seen });
stored_enum!(End { 0 => Running, 1 => Exited { time, status, raw }, 2 => Unseen { before } });
stored_struct!(Thread { start } without { vtid });
stored_struct!(Exec {
    time,
    image,
    filename,
    interpreter,
    argv,
    argv_cut,
    flags,
    inode,
    device,
    size,
    mode,
    ctime,
    mtime,
    setup,
    snapshot,
    id,
});
stored_struct!(Namespaces { pid, mnt, net, uts, ipc, cgroup, user, changed });
stored_struct!(Hardening { no_new_privs, seccomp_filters, seccomp_strict, keep_capabilities });

impl From<TaskKey> for ProcessKey {
    /// The process of a thread; its start is known only when the thread is its first.
    fn from(task: TaskKey) -> Self {
        let start = if task.tid == task.tgid { task.start } else { BootNanos(0) };
        Self { tgid: task.tgid, start }
    }
}

/// What tells a process and its threads in pid namespaces beyond the id in its own: what keyframes have apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inside {
    /// As [`Process::outer`].
    pub(crate) outer: Option<(u64, u32)>,
    /// Ids of its threads in its own namespace, by their tid.
    pub(crate) threads: BTreeMap<u32, u32>,
}

stored_struct!(Inside { outer, threads });

impl Process {
    /// `None` where there is nothing of that.
    pub(crate) fn inside(&self) -> Option<Inside> {
        let threads = self.threads.iter().filter_map(|(tid, thread)| Some((*tid, thread.vtid?)));
        let inside = Inside { outer: self.outer, threads: threads.collect() };
        (inside != Inside::default()).then_some(inside)
    }

    /// As [`Self::inside`] told it; of threads that are known.
    pub(crate) fn set_inside(&mut self, inside: Inside) {
        self.outer = inside.outer;
        for (tid, vtid) in inside.threads {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.vtid = Some(vtid);
            }
        }
    }

    pub(crate) fn new(key: ProcessKey, container: ContainerUid, origin: Origin, time: BootNanos) -> Self {
        Self {
            key,
            container,
            origin,
            parent: None,
            vpid: None,
            outer: None,
            pgid: None,
            sid: None,
            tty: None,
            first_seen: time,
            last_seen: time,
            end: End::Running,
            setup: false,
            payload: false,
            execs: Vec::new(),
            inherited: None,
            execs_dropped: 0,
            comms: Vec::new(),
            credentials: Credentials::default(),
            namespaces: Namespaces::default(),
            cwd: None,
            root: None,
            environment: None,
            threads: BTreeMap::new(),
            threads_seen: 1,
            events: 0,
            bytes_sent: 0,
            bytes_received: 0,
            bytes_written: 0,
            hardening: Hardening::default(),
            table: 0,
            apart: BTreeMap::new(),
            shares: 0,
            forks_tell: false,
        }
    }

    /// Whether not all of its threads have the same, or it shares with other processes what most do not.
    pub(crate) fn is_apart(&self) -> bool {
        !self.apart.is_empty() || self.shares != 0
    }

    /// Whether a thread has something for itself: descriptors, or root and working directory.
    pub fn has_threads_apart(&self) -> bool {
        !self.apart.is_empty()
    }

    /// The table of descriptors of a thread.
    pub(crate) fn table_of(&self, tid: u32) -> u64 {
        self.apart.get(&tid).and_then(|apart| apart.table).unwrap_or(self.table)
    }

    /// The working directory of a thread.
    pub fn cwd_of(&self, tid: u32) -> Option<&[u8]> {
        let own = self.apart.get(&tid).and_then(|apart| apart.directories.as_ref());
        own.map_or(&self.cwd, |own| &own.cwd).as_deref()
    }

    /// The root directory of a thread, as [`Self::root`].
    pub fn root_of(&self, tid: u32) -> Option<&[u8]> {
        let own = self.apart.get(&tid).and_then(|apart| apart.directories.as_ref());
        own.map_or(&self.root, |own| &own.root).as_deref()
    }

    /// What it runs: its last execution, else what it was forked with.
    pub fn exec(&self) -> Option<&Exec> {
        self.execs.last().or(self.inherited.as_ref()).map(Arc::as_ref)
    }

    /// Its name now: the last `comm`, else the last component of what it runs.
    pub fn comm(&self) -> Option<&[u8]> {
        let own = self.comms.last().map(|(_, name)| name.as_slice());
        own.or_else(|| self.exec().map(|e| crate::paths::file_name(&e.image)).filter(|n| !n.is_empty()))
    }

    /// Its name at a moment, an execution at that moment included; before the first that is known, that one.
    pub fn comm_at(&self, at: BootNanos) -> Option<&[u8]> {
        let known = self.comms.partition_point(|(since, _)| *since <= at);
        let then = self.comms.get(known.saturating_sub(1)).map(|(_, name)| name.as_slice());
        then.or_else(|| self.comm())
    }

    /// Its command line; where no execution was seen, its name in brackets; else its id.
    pub fn title(&self) -> Safe {
        match (self.exec(), self.comm()) {
            (Some(exec), _) => exec.command_line(self.comm()),
            (None, Some(comm)) => Safe::format(format_args!("[{}]", text::escape(comm))),
            (None, None) => Safe::format(format_args!("[{}]", self.key.tgid)),
        }
    }

    /// As [`Self::title`], and what it ran before that: `sh -i [was /tmp/.update, upper layer]`.
    pub fn title_with_past(&self) -> Safe {
        /// Programs that are named; of more it is told how many.
        const NAMED: usize = 3;
        let mut past: Vec<(&[u8], Vec<&'static str>)> = Vec::new();
        let (earlier, last) = match self.execs.split_last() {
            Some((last, earlier)) => (earlier, last.program()),
            None => return self.title(),
        };
        for exec in earlier.iter().filter(|exec| !exec.setup && exec.program() != last) {
            let program = (exec.program(), describe::image_marks(exec.flags));
            if !past.contains(&program) {
                past.push(program);
            }
        }
        if past.is_empty() {
            return self.title();
        }
        let more = past.len().saturating_sub(NAMED);
        let told = past.iter().take(NAMED).map(|(program, marks)| {
            let marks: String = marks.iter().map(|mark| format!(", {mark}")).collect();
            format!("{}{marks}", text::escape(program))
        });
        let told: Vec<String> = told.collect();
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        Safe::format(format_args!("{} [was {}{more}]", self.title(), told.join("; ")))
    }

    /// Its environment as it was when its program began; nothing after its end.
    pub fn environment(&self) -> impl Iterator<Item = &[u8]> {
        describe::arguments(self.environment_block())
    }

    /// As [`Self::environment`], each variable ended by a NUL.
    pub fn environment_block(&self) -> &[u8] {
        self.environment.as_deref().unwrap_or_default()
    }

    /// Its root directory where that is not the container's: the path, or that it is not known.
    pub fn other_root(&self) -> Option<Safe> {
        self.other_root_of(self.key.tgid)
    }

    /// As [`Self::other_root`], of a thread.
    pub fn other_root_of(&self, tid: u32) -> Option<Safe> {
        self.root_of(tid).map(|root| match root {
            b"" => Safe::literal("not known"),
            root => text::escape(root),
        })
    }

    /// Its id as it sees it itself, else the kernel's.
    pub fn pid_inside(&self) -> u32 {
        self.vpid.unwrap_or(self.key.tgid)
    }

    /// Whether it has not been seen to end.
    pub fn is_running(&self) -> bool {
        self.end == End::Running
    }

    /// When it ended, exactly or at the latest.
    pub fn ended(&self) -> Option<BootNanos> {
        match self.end {
            End::Running => None,
            End::Exited { time, .. } => Some(time),
            End::Unseen { before } => Some(before),
        }
    }

    /// When it began: its start where known, else when it was first seen.
    pub fn began(&self) -> BootNanos {
        if self.key.start.0 == 0 { self.first_seen } else { self.key.start }
    }
}

impl Exec {
    /// The path of the program: for a script the script as claimed, else the kernel's path of the image.
    pub fn program(&self) -> &[u8] {
        let script = self.flags & layout::exec::EXE_SCRIPT != 0 && !self.filename.is_empty();
        if script || self.image.is_empty() { &self.filename } else { &self.image }
    }

    /// The name given to exec: what differs from the image's path is kept apart.
    pub fn filename(&self) -> &[u8] {
        if self.filename.is_empty() { &self.image } else { &self.filename }
    }

    /// As [`describe::command_line`]; `comm` stands in where neither path nor arguments were recorded.
    pub fn command_line(&self, comm: Option<&[u8]>) -> Safe {
        describe::Command {
            image: &self.image,
            filename: self.filename(),
            argv: Some(&self.argv),
            cut: self.argv_cut,
            flags: self.flags,
            comm,
        }
        .line()
    }

    /// The arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        describe::arguments(&self.argv)
    }

    /// What it takes from a budget besides its own size.
    pub(crate) fn bytes(&self) -> usize {
        self.image.len() + self.filename.len() + self.interpreter.len() + self.argv.len()
    }
}
