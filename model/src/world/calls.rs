//! What each system call does to the state: from its number to one of a few effects.

use std::sync::OnceLock;

use afterimage_format::{Event, EventCode, EventFlags, FieldFlags, FieldTag};

use super::{fd_calls, lifecycle, process_calls, socket_calls, state::State, targets};
use crate::{
    budget::Limits,
    credentials::IdCall,
    fds::FdKind,
    paths, peer,
    process::{Process, ProcessKey},
    syscalls::{self, ArgKind},
};

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// Opens a file; the argument with the flags.
    Open {
        flags: usize,
        dirfd: bool,
    },
    /// Opens a file by `struct open_how`.
    OpenHow,
    Creat,
    /// Makes a descriptor of a plain kind; the argument with the flags, and the flag that closes on exec.
    Make {
        kind: Kind,
        flags: usize,
        cloexec: u64,
    },
    Memfd,
    Bpf,
    MessageQueue,
    PidfdOpen,
    Seccomp,
    Close,
    CloseRange,
    Dup,
    /// `dup2`, `dup3`: the argument with the flags, where there are any.
    DupTo {
        flags: Option<usize>,
    },
    Fcntl,
    Ioctl,
    /// Two ends in field `FDS`; the argument with the flags.
    Pipe {
        flags: Option<usize>,
    },
    /// Reads through the descriptor of argument 0.
    Read,
    /// As that, or only looks at what is read later.
    Receive,
    /// Moves messages through the socket of argument 0; how much is in the fields.
    Messages {
        writes: bool,
    },
    /// Writes through the descriptor of argument 0.
    Write,
    /// Moves bytes from one descriptor to another.
    Copy {
        from: usize,
        to: usize,
    },
    Socket,
    Socketpair,
    Bind,
    Connect,
    Listen,
    Accept,
    /// `getsockname`, `getpeername`: the kernel tells addresses.
    Addresses,
    Shutdown,
    Chdir,
    Fchdir,
    /// Gives something another name.
    Rename,
    Chroot,
    Ids(IdCall),
    Capset,
    Prctl,
    Setpgid,
    Setsid,
    Unshare,
    Setns,
    Clone {
        three: bool,
    },
    Mount,
    Umount,
    MoveMount,
    Pivot,
    MountSetattr,
}

/// Kinds that a call makes without telling more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Epoll,
    Eventfd,
    Signalfd,
    Timerfd,
    Inotify,
    Fanotify,
    IoUring,
    Userfaultfd,
    Perf,
    Mount,
    Landlock,
    SecretMemory,
}

impl Kind {
    pub(super) fn fd_kind(self) -> FdKind {
        match self {
            Self::Unknown => FdKind::Unknown,
            Self::Epoll => FdKind::Epoll,
            Self::Eventfd => FdKind::Eventfd,
            Self::Signalfd => FdKind::Signalfd,
            Self::Timerfd => FdKind::Timerfd,
            Self::Inotify => FdKind::Inotify,
            Self::Fanotify => FdKind::Fanotify,
            Self::IoUring => FdKind::IoUring,
            Self::Userfaultfd => FdKind::Userfaultfd,
            Self::Perf => FdKind::Perf,
            Self::Mount => FdKind::Mount,
            Self::Landlock => FdKind::Landlock,
            Self::SecretMemory => FdKind::Memfd { name: b"secretmem".to_vec() },
        }
    }
}

/// `O_CLOEXEC`, which most calls use for close-on-exec.
const CLOEXEC: u64 = 0o2_000_000;
/// A mask for calls whose descriptors always are closed on exec.
const ALWAYS: u64 = 0;
/// Numbers per ABI in the table of effects.
const SPAN: usize = 0x1000;
/// ABIs in the table.
const ABIS: usize = 3;

pub(super) fn effect(code: EventCode) -> Effect {
    static TABLE: OnceLock<Vec<Effect>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = vec![Effect::Nothing; SPAN * ABIS];
        for (code, signature) in syscalls::all() {
            if let Some(slot) = table.get_mut(usize::from(code.0)) {
                *slot = by_name(signature.name);
            }
        }
        table
    });
    table.get(usize::from(code.0)).copied().unwrap_or(Effect::Nothing)
}

const fn make(kind: Kind, flags: usize, cloexec: u64) -> Effect {
    Effect::Make { kind, flags, cloexec }
}

fn by_name(name: &str) -> Effect {
    match name {
        "chdir" => Effect::Chdir,
        "fchdir" => Effect::Fchdir,
        "rename" | "renameat" | "renameat2" => Effect::Rename,
        "chroot" => Effect::Chroot,
        "setuid" | "setuid32" => Effect::Ids(IdCall::Setuid),
        "setgid" | "setgid32" => Effect::Ids(IdCall::Setgid),
        "setreuid" | "setreuid32" => Effect::Ids(IdCall::Setreuid),
        "setregid" | "setregid32" => Effect::Ids(IdCall::Setregid),
        "setresuid" | "setresuid32" => Effect::Ids(IdCall::Setresuid),
        "setresgid" | "setresgid32" => Effect::Ids(IdCall::Setresgid),
        "capset" => Effect::Capset,
        "prctl" => Effect::Prctl,
        "seccomp" => Effect::Seccomp,
        "setpgid" => Effect::Setpgid,
        "setsid" => Effect::Setsid,
        "unshare" => Effect::Unshare,
        "setns" => Effect::Setns,
        "clone" => Effect::Clone { three: false },
        "clone3" => Effect::Clone { three: true },
        "mount" => Effect::Mount,
        "umount" | "umount2" => Effect::Umount,
        "move_mount" => Effect::MoveMount,
        "pivot_root" => Effect::Pivot,
        "mount_setattr" => Effect::MountSetattr,
        other => of_descriptors(other),
    }
}

fn of_descriptors(name: &str) -> Effect {
    match name {
        "open" => Effect::Open { flags: 1, dirfd: false },
        "openat" => Effect::Open { flags: 2, dirfd: true },
        "open_by_handle_at" => Effect::Open { flags: 2, dirfd: false },
        "openat2" => Effect::OpenHow,
        "creat" => Effect::Creat,
        "memfd_create" => Effect::Memfd,
        "memfd_secret" => make(Kind::SecretMemory, 0, CLOEXEC),
        "epoll_create" => make(Kind::Epoll, 0, u64::MAX),
        "epoll_create1" => make(Kind::Epoll, 0, CLOEXEC),
        "eventfd" => make(Kind::Eventfd, 0, u64::MAX),
        "eventfd2" => make(Kind::Eventfd, 1, CLOEXEC),
        "signalfd" => make(Kind::Signalfd, 0, u64::MAX),
        "signalfd4" => make(Kind::Signalfd, 3, CLOEXEC),
        "timerfd_create" => make(Kind::Timerfd, 1, CLOEXEC),
        "inotify_init" => make(Kind::Inotify, 0, u64::MAX),
        "inotify_init1" => make(Kind::Inotify, 0, CLOEXEC),
        "fanotify_init" => make(Kind::Fanotify, 0, 1),
        "userfaultfd" => make(Kind::Userfaultfd, 0, CLOEXEC),
        "io_uring_setup" => make(Kind::IoUring, 0, ALWAYS),
        "perf_event_open" => make(Kind::Perf, 4, 8),
        "fsopen" => make(Kind::Mount, 1, 1),
        "fsmount" => make(Kind::Mount, 1, 1),
        "fspick" => make(Kind::Mount, 2, 1),
        "open_tree" | "open_tree_attr" => make(Kind::Mount, 2, CLOEXEC),
        "landlock_create_ruleset" => make(Kind::Landlock, 2, ALWAYS),
        "pidfd_getfd" => make(Kind::Unknown, 2, ALWAYS),
        "pidfd_open" => Effect::PidfdOpen,
        "bpf" => Effect::Bpf,
        "mq_open" => Effect::MessageQueue,
        "close" => Effect::Close,
        "close_range" => Effect::CloseRange,
        "dup" => Effect::Dup,
        "dup2" => Effect::DupTo { flags: None },
        "dup3" => Effect::DupTo { flags: Some(2) },
        "fcntl" | "fcntl64" => Effect::Fcntl,
        "ioctl" => Effect::Ioctl,
        "pipe" => Effect::Pipe { flags: None },
        "pipe2" => Effect::Pipe { flags: Some(1) },
        "read" | "pread64" | "readv" | "preadv" | "preadv2" => Effect::Read,
        "recvfrom" | "recvmsg" => Effect::Receive,
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" => Effect::Write,
        "recvmmsg" | "recvmmsg_time64" => Effect::Messages { writes: false },
        "sendmmsg" => Effect::Messages { writes: true },
        "sendfile" | "sendfile64" => Effect::Copy { from: 1, to: 0 },
        "splice" | "copy_file_range" => Effect::Copy { from: 0, to: 2 },
        "socket" => Effect::Socket,
        "socketpair" => Effect::Socketpair,
        "bind" => Effect::Bind,
        "connect" => Effect::Connect,
        "listen" => Effect::Listen,
        "accept" | "accept4" => Effect::Accept,
        "getsockname" | "getpeername" => Effect::Addresses,
        "shutdown" => Effect::Shutdown,
        _ => Effect::Nothing,
    }
}

/// A call as its effects look at it.
pub(super) struct Call<'a> {
    pub(super) event: &'a Event<'a>,
    pub(super) key: ProcessKey,
    /// The process's table of descriptors.
    pub(super) table: u64,
    pub(super) limits: &'a Limits,
}

impl Call<'_> {
    pub(super) fn arg(&self, at: usize) -> u64 {
        self.event.args.get(at).copied().unwrap_or(0)
    }

    /// An argument that is a descriptor.
    pub(super) fn fd(&self, at: usize) -> i32 {
        self.arg(at) as i32
    }

    /// The result, when it is a descriptor.
    pub(super) fn new_fd(&self) -> Option<i32> {
        i32::try_from(self.event.ret).ok().filter(|&fd| fd >= 0)
    }

    /// The process and its thread.
    pub(super) fn who(&self) -> (ProcessKey, u32) {
        (self.key, self.event.task.tid)
    }

    pub(super) fn process<'s>(&self, state: &'s mut State) -> Option<&'s mut Process> {
        state.processes.get_mut(&self.key)
    }
}

/// Applies an event other than a fork, an exec or an exit.
pub(super) fn apply(state: &mut State, key: ProcessKey, event: &Event<'_>, limits: &Limits) {
    lifecycle::touch(state, key, event);
    let Some(table) = state.processes.get(&key).map(|p| p.table_of(event.task.tid)) else { return };
    apply_touched(state, (key, table), event, limits);
}

/// The same where what every event tells of its process was taken in, and its table is known.
pub(super) fn apply_touched(
    state: &mut State,
    (key, table): (ProcessKey, u64),
    event: &Event<'_>,
    limits: &Limits,
) {
    if event.code == EventCode::OPEN_FD {
        lifecycle::open_fd(state, key, event);
        return;
    }
    if matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
        fd_calls::ring(state, key, event);
        return;
    }
    if event.code.as_syscall().is_none() || event.flags.contains(EventFlags::SIGRETURN) {
        return;
    }
    let call = Call { event, key, table, limits };
    fd_calls::learn_path(state, &call);
    if peer::opens_fast(event) {
        socket_calls::open_fast(state, &call);
    }
    match effect(event.code) {
        Effect::Nothing => {}
        // Closing and connecting do something even where they fail.
        Effect::Close => fd_calls::close(state, &call),
        Effect::Connect => socket_calls::connect(state, &call),
        _ if event.ret < 0 => {}
        effect @ (Effect::Socket
        | Effect::Socketpair
        | Effect::Bind
        | Effect::Listen
        | Effect::Accept
        | Effect::Addresses
        | Effect::Shutdown) => socket_calls::apply(state, &call, effect),
        effect @ (Effect::Chdir
        | Effect::Fchdir
        | Effect::Rename
        | Effect::Chroot
        | Effect::Ids(_)
        | Effect::Capset
        | Effect::Prctl
        | Effect::Seccomp
        | Effect::Setpgid
        | Effect::Setsid
        | Effect::Unshare
        | Effect::Setns
        | Effect::Clone { .. }
        | Effect::Mount
        | Effect::Umount
        | Effect::MoveMount
        | Effect::Pivot
        | Effect::MountSetattr) => process_calls::apply(state, &call, effect),
        effect => fd_calls::apply(state, &call, effect),
    }
}

/// A path that was named in a root, from the container's. `base` is the directory that it is relative to, where that is known.
pub(super) fn absolute(root: Option<&[u8]>, base: Option<&[u8]>, path: &[u8]) -> Vec<u8> {
    paths::join_in(root, base, path)
}

/// The kernel's path of what an event opened or executed, from the container's root. A process that is being set up has the
/// root that it is given by its runtime.
pub(super) fn kernel_path(state: &State, key: ProcessKey, event: &Event<'_>) -> Option<Vec<u8>> {
    let field = event.field(FieldTag::KPATH)?;
    let process = state.processes.get(&key);
    let tid = event.task.tid;
    let root = process.and_then(|process| process.root_of(tid));
    // What was cut was cut at the root's end.
    if root.is_none() || field.flags.contains(FieldFlags::TRUNCATED) {
        return Some(field.bytes.to_vec());
    }
    let claimed = event.bytes(FieldTag::PATH).or_else(|| event.bytes(FieldTag::FILENAME));
    let base = match targets::directory(event, ArgKind::Path) {
        Some(fd) => process
            .and_then(|process| state.info(process.table_of(tid), fd))
            .and_then(|info| info.kind.path()),
        None => process.and_then(|process| process.cwd_of(tid)),
    };
    Some(paths::from_kernel(root, claimed.map(|path| (base, path)), field.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_with_an_effect_is_a_system_call() {
        let known = |name| !syscalls::codes_by_name(name).is_empty();
        // Names are found by their numbers: one that is misspelt would never be reached.
        for name in [
            "openat",
            "open_by_handle_at",
            "memfd_secret",
            "landlock_create_ruleset",
            "fcntl64",
            "sendfile64",
        ] {
            assert!(known(name), "{name}");
            assert_ne!(effect(syscalls::codes_by_name(name)[0]), Effect::Nothing, "{name}");
        }
        assert_eq!(effect(syscalls::by_name("getpid").unwrap()), Effect::Nothing);
        assert_eq!(effect(syscalls::by_name("open(i386)").unwrap()), Effect::Open { flags: 1, dirfd: false });
    }
}
