//! Processes made, programs executed, processes ended.

use afterimage_format::{
    BootNanos, ContainerUid, Event, EventCode, EventFlags, FieldFlags, FieldTag, layout,
};

use super::{World, calls, sharing, state::State};
use crate::{
    budget::Limits,
    bytes::Bytes,
    fds::{FdInfo, FdKind},
    paths,
    process::{End, Exec, Hardening, Namespaces, Origin, Process, ProcessKey, Thread},
    sockaddr::SocketAddress,
};

/// Namespaces by their `CLONE_NEW*` bit.
pub(super) mod new_ns {
    pub(crate) const MNT: u64 = 0x0002_0000;
    pub(crate) const CGROUP: u64 = 0x0200_0000;
    pub(crate) const UTS: u64 = 0x0400_0000;
    pub(crate) const IPC: u64 = 0x0800_0000;
    pub(crate) const USER: u64 = 0x1000_0000;
    pub(crate) const PID: u64 = 0x2000_0000;
    pub(crate) const NET: u64 = 0x4000_0000;
}

/// Close-on-exec in open flags.
const O_CLOEXEC: u64 = 0o2_000_000;
/// Threads remembered of one process.
const THREADS: usize = 4096;

impl World {
    /// A task was made by a thread of `parent`.
    pub(super) fn fork(&mut self, uid: ContainerUid, parent: ProcessKey, event: &Event<'_>) {
        let number = |at| event.number(at);
        let Some(tgid) = number(layout::fork::CHILD_TGID).and_then(|n| u32::try_from(n).ok()) else { return };
        let start = BootNanos(number(layout::fork::CHILD_START).unwrap_or(0));
        self.homes.change(tgid);
        self.edit_for(uid, parent, |state| touch(state, parent, event));
        let shares = number(layout::fork::SHARES).filter(|bits| *bits != layout::UNKNOWN);
        if tgid == parent.tgid {
            let tid = number(layout::fork::CHILD_TID).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            let maker = event.task.tid;
            self.edit_for(uid, parent, |state| {
                let vtid = event.number(layout::fork::CHILD_VPID).and_then(|n| u32::try_from(n).ok());
                add_thread(state, parent, tid, Thread { start, vtid });
                sharing::begin_thread(state, parent, maker, tid);
                if let Some(shares) = shares {
                    sharing::forked_thread(state, parent, tid, shares);
                }
            });
            return;
        }
        let key = ProcessKey { tgid, start };
        match self.holders.get(&tgid).copied() {
            // Its own events came before the fork's: nothing more is to be learnt than who made it.
            Some((home, holder)) if holder == key => {
                self.edit(home, |state| {
                    if let Some(child) = state.processes.get_mut(&key) {
                        child.parent = Some(parent);
                    }
                });
                return;
            }
            Some((home, holder)) => {
                self.edit(home, |state| state.end(holder, End::Unseen { before: event.time }));
            }
            None => {}
        }
        let child = self.edit_for(uid, parent, |state| make_child(state, parent, key, event)).flatten();
        if let Some(child) = child {
            self.add(uid, child);
            if let Some(shares) = shares {
                self.edit_for(uid, parent, |state| {
                    sharing::forked(state, (parent, event.task.tid), key, shares);
                });
            }
        }
    }

    /// A program was executed, or a process was found when recording began.
    pub(super) fn exec(&mut self, uid: ContainerUid, key: ProcessKey, event: &Event<'_>) {
        let limits = self.limits;
        let parent = self.named_parent(event);
        self.edit_for(uid, key, |state| {
            touch(state, key, event);
            exec(state, key, event, &limits);
            let Some(process) = state.processes.get_mut(&key) else { return };
            process.parent = process.parent.or(parent);
        });
        self.number(uid, key);
    }

    /// A thread ended, and with the last one the process.
    pub(super) fn exit(&mut self, uid: ContainerUid, key: ProcessKey, event: &Event<'_>) {
        self.homes.change(key.tgid);
        self.edit_for(uid, key, |state| {
            touch(state, key, event);
            let last = event.number(layout::exit::GROUP_DEAD).map(|dead| dead != 0);
            if last.unwrap_or(event.task.tid == event.task.tgid) {
                let raw = event.number(layout::exit::RAW).unwrap_or(0);
                let raw = u32::try_from(raw).unwrap_or(u32::MAX);
                state.end(key, End::Exited { time: event.time, status: event.ret, raw });
            } else {
                if let Some(process) = state.processes.get_mut(&key) {
                    process.threads.remove(&event.task.tid);
                }
                sharing::end_thread(state, key, event.task.tid);
            }
        });
    }

    /// The parent that the kernel named in an exec's numbers.
    fn named_parent(&self, event: &Event<'_>) -> Option<ProcessKey> {
        let tgid =
            event.number(layout::exec::PPID).and_then(|n| u32::try_from(n).ok()).filter(|&n| n != 0)?;
        match event.number(layout::exec::PPID_START).filter(|&n| n != 0) {
            Some(start) => Some(ProcessKey { tgid, start: BootNanos(start) }),
            None => self.holders.get(&tgid).map(|(_, key)| *key),
        }
    }
}

/// What every event of a process tells.
pub(super) fn touch(state: &mut State, key: ProcessKey, event: &Event<'_>) {
    if let Some(process) = state.processes.get_mut(&key) {
        touch_process(process, event);
    }
}

/// The same of a process that was found already.
pub(super) fn touch_process(process: &mut Process, event: &Event<'_>) {
    process.events += 1;
    process.last_seen = event.time;
    process.setup = event.flags.contains(EventFlags::SETUP);
    process.payload |= !process.setup;
}

fn add_thread(state: &mut State, key: ProcessKey, tid: u32, thread: Thread) {
    let Some(process) = state.processes.get_mut(&key) else { return };
    process.threads_seen = process.threads_seen.saturating_add(1);
    if process.threads.len() < THREADS {
        process.threads.insert(tid, thread);
    } else {
        state.overflow.others += 1;
    }
}

/// The child as it is right after the fork: its parent's twin but for what the fork's numbers tell.
fn make_child(state: &mut State, parent: ProcessKey, key: ProcessKey, event: &Event<'_>) -> Option<Process> {
    if state.processes.contains_key(&key) {
        return None;
    }
    let from = state.processes.share(&parent)?;
    let mut child = Process::new(key, from.container, Origin::Forked, event.time);
    child.parent = Some(parent);
    let small = |at| event.number(at).and_then(|n| u32::try_from(n).ok());
    child.vpid = small(layout::fork::CHILD_VPID);
    child.pgid = from.pgid;
    child.sid = from.sid;
    child.tty = from.tty;
    child.setup = event.flags.contains(EventFlags::SETUP);
    child.payload = !child.setup;
    child.credentials = from.credentials;
    child.hardening = from.hardening;
    child.namespaces = from.namespaces;
    let new = event.number(layout::fork::NEW_NS).unwrap_or(0);
    child.namespaces.enter(new);
    let is_inside = new & new_ns::PID != 0;
    let same = from.namespaces.pid.filter(|_| !is_inside);
    child.namespaces.pid = event.number(layout::fork::CHILD_NS_PID).or(same);
    let outside = from.namespaces.pid.filter(|_| is_inside);
    child.outer = outside.zip(small(layout::fork::CHILD_PID_FOR_MAKER));
    let current = from.execs.last().or(from.inherited.as_ref());
    child.inherited = current.map(|exec| state.share_exec(exec));
    let tid = event.task.tid;
    child.cwd = from.cwd_of(tid).map(|cwd| state.keep(cwd));
    child.root = from.root_of(tid).map(|root| state.keep(root));
    child.environment = from.environment.as_ref().map(|environment| state.keep_shared(environment));
    child.table = state.copy_table(from.table_of(tid));
    if let Some((_, name)) = from.comms.last() {
        state.name_child(&mut child, event.time, name);
    }
    Some(child)
}

fn exec(state: &mut State, key: ProcessKey, event: &Event<'_>, limits: &Limits) {
    let is_snapshot = event.code == EventCode::PROCESS;
    if !is_snapshot {
        sharing::execute(state, key);
        let table = state.processes.get(&key).map_or(0, |p| p.table);
        state.close_on_exec(table);
    }
    let image = calls::kernel_path(state, key, event).unwrap_or_default();
    if let Some(exec) = read_exec(event, image.into(), is_snapshot).and_then(|exec| state.pay_exec(exec)) {
        state.push_exec(key, exec, limits);
    }
    if let Some(comm) = event.bytes(FieldTag::COMM) {
        state.push_comm(key, event.time, comm, limits);
    }
    if let Some(cwd) = event.bytes(FieldTag::CWD) {
        let old = state.processes.get_mut(&key).and_then(|p| p.cwd.take());
        let root = state.processes.get(&key).and_then(|p| p.root.as_deref());
        // One that lies outside of the root is told from the container's.
        let cwd = paths::from_kernel(root, old.as_deref().map(|old| (Some(old), &b""[..])), cwd);
        state.places.add(&cwd);
        let cwd = state.replace(old, &cwd);
        if let Some(process) = state.processes.get_mut(&key) {
            process.cwd = cwd;
        }
    }
    if let Some(environment) = event.bytes(FieldTag::ENVP) {
        let old = state.processes.get_mut(&key).and_then(|p| p.environment.take());
        let environment = state.replace(old, environment);
        if let Some(process) = state.processes.get_mut(&key) {
            process.environment = environment;
        }
    }
    let Some(process) = state.processes.get_mut(&key) else { return };
    let small = |at| event.number(at).and_then(|n| u32::try_from(n).ok());
    process.vpid = small(layout::exec::VPID).or(process.vpid);
    process.pgid = small(layout::exec::PGID).or(process.pgid);
    process.sid = small(layout::exec::SID).or(process.sid);
    process.tty = event.number(layout::exec::TTY).or(process.tty);
    process.namespaces = read_namespaces(event, process.namespaces);
    let c = &mut process.credentials;
    c.uid = small(layout::exec::UID);
    c.gid = small(layout::exec::GID);
    c.euid = small(layout::exec::EUID);
    c.egid = small(layout::exec::EGID);
    (c.suid, c.sgid) = if is_snapshot { (None, None) } else { (c.euid, c.egid) };
    c.loginuid = small(layout::exec::LOGINUID).or(c.loginuid);
    c.inheritable = event.number(layout::exec::CAP_INHERITABLE);
    c.permitted = event.number(layout::exec::CAP_PERMITTED);
    c.effective = event.number(layout::exec::CAP_EFFECTIVE);
    if !is_snapshot {
        process.hardening = Hardening { keep_capabilities: false, ..process.hardening };
        process.threads.clear();
    }
}

/// What an event says was executed; `None` where it says nothing.
fn read_exec(event: &Event<'_>, image: Bytes, snapshot: bool) -> Option<Exec> {
    let bytes = |tag| event.bytes(tag).map(Bytes::from).unwrap_or_default();
    let mut filename = bytes(FieldTag::FILENAME);
    if filename == image {
        filename = Bytes::default();
    }
    let argv = event.field(FieldTag::ARGV);
    let argv_cut = argv.is_some_and(|f| {
        f.flags.contains(FieldFlags::TRUNCATED)
            || usize::try_from(f.full_len).is_ok_and(|full| full > f.bytes.len())
    });
    let exec = Exec {
        time: event.time,
        image,
        filename,
        interpreter: bytes(FieldTag::INTERP),
        argv: bytes(FieldTag::ARGV),
        argv_cut,
        flags: event.number(layout::exec::EXE_FLAGS).unwrap_or(0),
        inode: event.number(layout::exec::EXE_INO),
        device: event.number(layout::exec::EXE_DEV),
        size: event.number(layout::exec::EXE_SIZE),
        mode: event.number(layout::exec::EXE_MODE),
        ctime: event.number(layout::exec::EXE_CTIME),
        mtime: event.number(layout::exec::EXE_MTIME),
        setup: event.flags.contains(EventFlags::SETUP),
        snapshot,
        id: 0,
    };
    (exec.bytes() > 0 || exec.inode.is_some()).then_some(exec)
}

fn read_namespaces(event: &Event<'_>, before: Namespaces) -> Namespaces {
    let told = |at, old: Option<u64>| event.number(at).or(old);
    Namespaces {
        pid: told(layout::exec::NS_PID, before.pid),
        mnt: told(layout::exec::NS_MNT, before.mnt),
        net: told(layout::exec::NS_NET, before.net),
        uts: told(layout::exec::NS_UTS, before.uts),
        ipc: told(layout::exec::NS_IPC, before.ipc),
        cgroup: told(layout::exec::NS_CGROUP, before.cgroup),
        user: told(layout::exec::NS_USER, before.user),
        changed: 0,
    }
}

impl Namespaces {
    /// Entered other namespaces of these kinds: which ones is not known until the next exec tells. Its pid namespace is the one in
    /// which it was born: what `unshare` and `setns` enter is that of the children it will have.
    pub(super) fn enter(&mut self, bits: u64) {
        self.changed |= bits;
        let kinds = [
            (new_ns::MNT, &mut self.mnt),
            (new_ns::NET, &mut self.net),
            (new_ns::UTS, &mut self.uts),
            (new_ns::IPC, &mut self.ipc),
            (new_ns::CGROUP, &mut self.cgroup),
            (new_ns::USER, &mut self.user),
        ];
        for (bit, inode) in kinds {
            if bits & bit != 0 {
                *inode = None;
            }
        }
    }
}

/// A descriptor that was open when recording began.
pub(super) fn open_fd(state: &mut State, key: ProcessKey, event: &Event<'_>) {
    let Some(fd) = event.number(layout::open_fd::FD).and_then(|fd| i32::try_from(fd).ok()) else { return };
    let Some(table) = state.processes.get(&key).map(|p| p.table) else { return };
    let flags = event.number(layout::open_fd::FLAGS);
    let mut kind = FdKind::from_proc(event.bytes(FieldTag::TARGET).unwrap_or_default(), flags);
    if let FdKind::Socket(socket) = &mut kind {
        let address = |tag| event.bytes(tag).and_then(SocketAddress::parse);
        socket.local = address(FieldTag::LOCAL);
        socket.peer = address(FieldTag::PEER).filter(SocketAddress::is_named);
        let told = socket.local.as_ref().or(socket.peer.as_ref());
        socket.family = told.map_or(0, SocketAddress::family);
        if socket.peer.is_some() {
            socket.state = crate::fds::SocketState::Connected;
        }
    }
    let cloexec = flags.is_some_and(|f| f & O_CLOEXEC != 0);
    let mut info = FdInfo::new(kind, flags, event.time);
    info.inherited = true;
    state.open(table, fd, info, cloexec);
}
