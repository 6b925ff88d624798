//! Calls that open, close, copy and use descriptors.

use afterimage_format::{Event, EventCode, FieldTag, layout};

use super::{
    calls::{Call, Effect, absolute, kernel_path},
    sharing,
    state::State,
};
use crate::{
    describe::descriptors,
    fds::{FdInfo, FdKind, Pipe, PipeId, Socket, SocketState, UNNAMED_TERMINAL},
    process::{Process, ProcessKey},
    sockaddr::SocketAddress,
    streams,
    symbols::{FCNTL, IOCTL, URING_OP},
    syscalls::{self, ArgKind},
};

const O_CLOEXEC: u64 = 0o2_000_000;
const AT_FDCWD: i32 = -100;
const EBADF: i64 = -9;
/// Status flags that `F_SETFL` can change: `O_APPEND|O_NONBLOCK|O_ASYNC|O_DIRECT|O_NOATIME`.
const SETFL: u64 = 0o2000 | 0o4000 | 0o20000 | 0o40000 | 0o1_000_000;

/// The kernel's path of a descriptor that is used, where the table does not know it.
pub(super) fn learn_path(state: &mut State, call: &Call<'_>) {
    if call.event.ret < 0 {
        return;
    }
    if call.event.field(FieldTag::KPATH).is_none() {
        return;
    }
    let Some(signature) = syscalls::signature(call.event.code) else { return };
    // Of calls that open, the path is that of the new descriptor.
    if signature.args.first().map(|a| a.kind) != Some(ArgKind::Fd) {
        return;
    }
    let Some(path) = kernel_path(state, call.key, call.event) else { return };
    let fd = call.fd(0);
    match state.info(call.table, fd).map(|info| &info.kind) {
        None if fd >= 0 => {
            let kind = FdKind::File { path, claimed: false };
            let info = FdInfo { inherited: true, ..FdInfo::new(kind, None, call.event.time) };
            state.open(call.table, fd, info, false);
        }
        Some(FdKind::Unknown | FdKind::File { claimed: true, .. }) => {
            state.set_kind(call.table, fd, FdKind::File { path, claimed: false });
        }
        _ => {}
    }
}

/// A request of an io_uring: what it opened, what it asks to close.
///
/// Requests can be about files in slots of the ring's own, which have no descriptor; the events do not tell which are. A
/// descriptor that is open already is none that a request made: its result was a slot. To close slots is asked with
/// descriptor 0, so that to close that one is not believed.
pub(super) fn ring(state: &mut State, key: ProcessKey, event: &Event<'_>) {
    let Some(table) = state.processes.get(&key).map(|p| p.table_of(event.task.tid)) else { return };
    let operation = event.number(layout::uring::OPCODE).and_then(|op| URING_OP.name_of(op));
    let result = i32::try_from(event.ret).ok().filter(|&fd| fd >= 0);
    let open = |state: &mut State, kind| {
        if let Some(fd) = result {
            state.open(table, fd, FdInfo::new(kind, None, event.time), false);
        }
    };
    match (event.code, operation) {
        (EventCode::URING_COMPLETE, Some("IORING_OP_OPENAT" | "IORING_OP_OPENAT2")) => {
            // Without a path the number is a slot of the ring's own table, or nothing is known of it.
            if let Some(path) = kernel_path(state, key, event) {
                let known = result.and_then(|fd| state.info(table, fd)).and_then(|info| info.kind.path());
                if known != Some(path.as_slice()) {
                    open(state, FdKind::File { path, claimed: false });
                }
            }
        }
        // A number that is open already is none that the kernel gave out: it is a slot of the ring's own table.
        (EventCode::URING_COMPLETE, Some(made @ ("IORING_OP_SOCKET" | "IORING_OP_ACCEPT")))
            if result.is_some_and(|fd| state.info(table, fd).is_none()) =>
        {
            open(state, FdKind::Socket(Box::new(Socket::of_ring(made == "IORING_OP_ACCEPT"))));
        }
        // A slot's file gets a descriptor: which file it is no event tells.
        (EventCode::URING_COMPLETE, Some("IORING_OP_FIXED_FD_INSTALL")) => open(state, FdKind::Unknown),
        (EventCode::URING_SUBMIT, Some("IORING_OP_CLOSE")) => {
            let fd = event.number(layout::uring::FD).and_then(|fd| i32::try_from(fd).ok());
            if let Some(fd) = fd.filter(|&fd| fd > 0) {
                state.close_and_remember(table, fd);
            }
        }
        _ => {}
    }
}

/// Whatever `close` returns, the descriptor is gone, unless there was none.
pub(super) fn close(state: &mut State, call: &Call<'_>) {
    if call.event.ret != EBADF {
        state.close_and_remember(call.table, call.fd(0));
    }
}

pub(super) fn apply(state: &mut State, call: &Call<'_>, effect: Effect) {
    match effect {
        Effect::Open { flags, dirfd } => open(state, call, call.arg(flags), dirfd),
        Effect::OpenHow => open(state, call, crate::class::open_how_flags(call.event).unwrap_or(0), true),
        Effect::Creat => open(state, call, 0o1101, false),
        Effect::Make { kind, flags, cloexec } => {
            let flags = call.arg(flags);
            let closes = match cloexec {
                0 => true,
                u64::MAX => false,
                bit => flags & bit != 0,
            };
            make(state, call, kind.fd_kind(), closes);
        }
        Effect::Memfd => {
            let name = call.event.bytes(FieldTag::PATH).unwrap_or_default().to_vec();
            make(state, call, FdKind::Memfd { name }, call.arg(1) & 1 != 0);
        }
        Effect::Bpf => bpf(state, call),
        Effect::MessageQueue => {
            let name = call.event.bytes(FieldTag::PATH).unwrap_or_default().to_vec();
            make(state, call, FdKind::MessageQueue { name }, true);
        }
        Effect::PidfdOpen => {
            let pid = u32::try_from(call.arg(0)).ok();
            make(state, call, FdKind::Pidfd { pid }, true);
        }
        Effect::CloseRange => close_range(state, call),
        Effect::Dup => duplicate(state, call, call.new_fd(), false),
        Effect::DupTo { flags } => {
            let cloexec = flags.is_some_and(|at| call.arg(at) & O_CLOEXEC != 0);
            duplicate(state, call, Some(call.fd(1)), cloexec);
        }
        Effect::Fcntl => fcntl(state, call),
        Effect::Ioctl => ioctl(state, call),
        Effect::Pipe { flags } => pipe(state, call, flags.map_or(0, |at| call.arg(at))),
        Effect::Read => transfer(state, call, (call.fd(0), false), result(call)),
        Effect::Receive => transfer(state, call, (call.fd(0), false), streams::moved(call.event)),
        // Each message may have an address of its own: none of them is the socket's.
        Effect::Messages { writes } => {
            let ways = (writes, streams::moved(call.event));
            moved(state, call.key, (call.table, call.fd(0)), ways, None);
        }
        Effect::Write => transfer(state, call, (call.fd(0), true), result(call)),
        Effect::Copy { from, to } => {
            transfer(state, call, (call.fd(from), false), result(call));
            transfer(state, call, (call.fd(to), true), result(call));
        }
        _ => {}
    }
}

/// Opens what the call made.
fn make(state: &mut State, call: &Call<'_>, kind: FdKind, cloexec: bool) {
    if let Some(fd) = call.new_fd() {
        state.open(call.table, fd, FdInfo::new(kind, None, call.event.time), cloexec);
    }
}

fn open(state: &mut State, call: &Call<'_>, flags: u64, has_dirfd: bool) {
    let Some(fd) = call.new_fd() else { return };
    let flags = flags & 0xffff_ffff;
    let kind = match (kernel_path(state, call.key, call.event), call.event.bytes(FieldTag::PATH)) {
        (Some(path), _) => FdKind::File { path, claimed: false },
        (None, Some(path)) => {
            let dirfd = if has_dirfd { call.fd(0) } else { AT_FDCWD };
            let (process, tid) = (state.processes.get(&call.key), call.event.task.tid);
            let base = if dirfd == AT_FDCWD {
                process.and_then(|p| p.cwd_of(tid))
            } else {
                state.info(call.table, dirfd).and_then(|info| info.kind.path())
            };
            FdKind::File { path: absolute(process.and_then(|p| p.root_of(tid)), base, path), claimed: true }
        }
        (None, None) => FdKind::Unknown,
    };
    state.open(call.table, fd, FdInfo::new(kind, Some(flags), call.event.time), flags & O_CLOEXEC != 0);
}

/// Commands of `bpf` that return a descriptor.
fn bpf(state: &mut State, call: &Call<'_>) {
    const MAKING: [u64; 13] = [0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36];
    if MAKING.contains(&(call.arg(0) & 0xffff_ffff)) {
        make(state, call, FdKind::Bpf, true);
    }
}

fn close_range(state: &mut State, call: &Call<'_>) {
    const UNSHARE: u64 = 2;
    const CLOEXEC: u64 = 4;
    let flags = call.arg(2);
    if flags & UNSHARE != 0 {
        sharing::own_table(state, call.key, call.event.task.tid);
    }
    let Some(table) = state.processes.get(&call.key).map(|p| p.table_of(call.event.task.tid)) else { return };
    let first = i32::try_from(call.arg(0) & 0xffff_ffff).unwrap_or(i32::MAX);
    let last = i32::try_from(call.arg(1) & 0xffff_ffff).unwrap_or(i32::MAX);
    if first > last {
        return;
    }
    let Some(found) = state.tables.get(&table) else { return };
    let fds: Vec<i32> = found.slots.range(first..=last).map(|(fd, _)| *fd).collect();
    for fd in fds {
        if flags & CLOEXEC == 0 {
            state.close(table, fd);
        } else if let Some(slot) = state.slot_mut(table, fd) {
            slot.cloexec = true;
        }
    }
}

fn duplicate(state: &mut State, call: &Call<'_>, new: Option<i32>, cloexec: bool) {
    if let Some(new) = new {
        state.duplicate(call.table, call.fd(0), new, cloexec, call.event.time);
    }
}

fn fcntl(state: &mut State, call: &Call<'_>) {
    let fd = call.fd(0);
    match FCNTL.name_of(call.arg(1)) {
        Some("F_DUPFD") => duplicate(state, call, call.new_fd(), false),
        Some("F_DUPFD_CLOEXEC") => duplicate(state, call, call.new_fd(), true),
        Some("F_SETFD") => set_cloexec(state, call, fd, call.arg(2) & 1 != 0),
        Some("F_GETFD") => set_cloexec(state, call, fd, call.event.ret & 1 != 0),
        Some("F_SETFL") => {
            if let Some(info) = state.info_mut(call.table, fd) {
                info.flags = info.flags.map(|old| old & !SETFL | call.arg(2) & SETFL);
            }
        }
        Some("F_GETFL") => {
            if let Some(info) = state.info_mut(call.table, fd) {
                info.flags = info.flags.or(u64::try_from(call.event.ret).ok());
            }
        }
        _ => {}
    }
}

fn ioctl(state: &mut State, call: &Call<'_>) {
    match IOCTL.name_of(call.arg(1)) {
        Some("FIOCLEX") => set_cloexec(state, call, call.fd(0), true),
        Some("FIONCLEX") => set_cloexec(state, call, call.fd(0), false),
        Some("SECCOMP_IOCTL_NOTIF_ADDFD") => given(state, call),
        Some("TIOCGPTPEER") => {
            let terminal = FdKind::Other { target: UNNAMED_TERMINAL.to_vec() };
            make(state, call, terminal, call.arg(2) & O_CLOEXEC != 0);
        }
        _ => {}
    }
}

/// A seccomp listener put a descriptor into the process that waits for it, perhaps in place of another. Which one waits is not
/// recorded, nor what it was given: the number is unknown in each that may be it.
fn given(state: &mut State, call: &Call<'_>) {
    let Some(fd) = call.new_fd() else { return };
    let others =
        || state.processes.values().filter(|process| process.is_running() && process.key != call.key);
    let filters = |process: &Process| process.hardening.seccomp_filters;
    // Most containers have a filter of their runtime's: who has more has one of its own.
    let own = call.key;
    let least =
        state.processes.values().filter(|process| process.is_running()).map(filters).min().unwrap_or(0);
    let above = if others().any(|process| filters(process) > least) { least } else { 0 };
    let may_be = others().filter(|process| filters(process) > above);
    let caller =
        state.processes.get(&own).filter(|process| filters(process) > 0 && !process.threads.is_empty());
    let tables = |process: &Process| {
        let apart = process.apart.values().filter_map(|apart| apart.table);
        std::iter::once(process.table).chain(apart).collect::<Vec<u64>>()
    };
    let mut tables: Vec<u64> = may_be.chain(caller).flat_map(tables).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        if state.slot(table, fd).is_some() {
            state.open(table, fd, FdInfo::new(FdKind::Unknown, None, call.event.time), false);
        }
    }
}

fn set_cloexec(state: &mut State, call: &Call<'_>, fd: i32, cloexec: bool) {
    if let Some(slot) = state.slot_mut(call.table, fd) {
        slot.cloexec = cloexec;
    }
}

fn pipe(state: &mut State, call: &Call<'_>, flags: u64) {
    let mut fds = descriptors(call.event.bytes(FieldTag::FDS).unwrap_or_default());
    let (Some(read), Some(write)) = (fds.next(), fds.next()) else { return };
    let id = PipeId::Made(state.next_id());
    for (fd, writes) in [(read, false), (write, true)] {
        let kind = FdKind::Pipe(Pipe { id, writes: Some(writes) });
        let info = FdInfo::new(kind, Some(flags | u64::from(writes)), call.event.time);
        state.open(call.table, fd, info, flags & O_CLOEXEC != 0);
    }
}

/// How much a call moved that says that by its result.
fn result(call: &Call<'_>) -> u64 {
    u64::try_from(call.event.ret).unwrap_or(0)
}

/// Bytes moved through a descriptor.
fn transfer(state: &mut State, call: &Call<'_>, (fd, writes): (i32, bool), moved: u64) {
    let address = call.event.bytes(FieldTag::SOCKADDR).and_then(SocketAddress::parse);
    // Only sockets have messages with addresses: one that came unseen, from another process, is known by them.
    if let Some(address) = address.as_ref().filter(|address| address.is_named() && fd >= 0) {
        super::socket_calls::learn(state, call, fd);
        if let Some(FdKind::Socket(socket)) = state.info_mut(call.table, fd).map(|info| &mut info.kind)
            && socket.family == 0
        {
            socket.family = address.family();
        }
    }
    self::moved(state, call.key, (call.table, fd), (writes, moved), address);
}

/// So many bytes went through a descriptor of a process.
pub(super) fn moved(
    state: &mut State,
    key: ProcessKey,
    (table, fd): (u64, i32),
    (writes, moved): (bool, u64),
    address: Option<SocketAddress>,
) {
    let Some(info) = state.info_mut(table, fd) else { return };
    let count = if writes { &mut info.written } else { &mut info.read };
    *count = count.saturating_add(moved);
    let (mut network, mut file) = (false, false);
    match &mut info.kind {
        FdKind::Socket(socket) => {
            network = socket.is_network();
            if socket.state == SocketState::Connecting && moved > 0 {
                socket.state = SocketState::Connected;
            }
            // A datagram socket without a fixed peer: the last it spoke with.
            if let Some(address) = address.filter(|a| socket.state != SocketState::Connected && a.is_named())
            {
                socket.peer = Some(address);
            }
        }
        FdKind::File { .. } | FdKind::Memfd { .. } => file = true,
        _ => {}
    }
    let Some(process) = state.processes.get_mut(&key) else { return };
    let sum = match (network, file, writes) {
        (true, _, true) => &mut process.bytes_sent,
        (true, _, false) => &mut process.bytes_received,
        (_, true, true) => &mut process.bytes_written,
        _ => return,
    };
    *sum = sum.saturating_add(moved);
}
