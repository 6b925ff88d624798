//! File descriptors: what a process's numbers are open on.
//!
//! A table maps numbers to open file descriptions; `dup` and `fork` make several numbers share one description,
//! threads and `CLONE_FILES` share a table. A number that was never seen opened is not in the table: unknown, which
//! is told from closed only by what happens later.

use std::collections::BTreeMap;

use afterimage_format::BootNanos;

use crate::{
    codec::{Stored, stored_enum, stored_struct},
    sockaddr::SocketAddress,
    symbols,
    text::{self, Safe},
};

/// An open file description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FdInfo {
    /// What it is open on.
    pub kind: FdKind,
    /// Open flags (`O_*`), where known.
    pub flags: Option<u64>,
    /// When it was opened, or first seen.
    pub opened: BootNanos,
    /// It was there before it was first seen: how it came to be is not known.
    pub inherited: bool,
    /// Bytes read through it since.
    pub read: u64,
    /// Bytes written through it since.
    pub written: u64,
    /// How many descriptors, of all tables, refer to it.
    pub(crate) refs: u32,
}

/// What a description is open on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FdKind {
    /// Not known.
    Unknown,
    /// A file, directory or device.
    File {
        /// Its path: the kernel's, or where `claimed` the program's made absolute.
        path: Vec<u8>,
        /// The kernel's own path was not recorded.
        claimed: bool,
    },
    /// A socket.
    Socket(Box<Socket>),
    /// One end of a pipe.
    Pipe(Pipe),
    /// An anonymous file in memory, by the name given to it.
    Memfd {
        /// The name.
        name: Vec<u8>,
    },
    /// An epoll instance.
    Epoll,
    /// An event counter.
    Eventfd,
    /// A signal queue.
    Signalfd,
    /// A timer.
    Timerfd,
    /// An inotify instance.
    Inotify,
    /// A fanotify group.
    Fanotify,
    /// An io_uring instance.
    IoUring,
    /// A process.
    Pidfd {
        /// Its id as the caller named it; `None` where not known.
        pid: Option<u32>,
    },
    /// A userfaultfd.
    Userfaultfd,
    /// A bpf map, program or link.
    Bpf,
    /// A performance counter.
    Perf,
    /// A file system context or detached mount.
    Mount,
    /// A seccomp listener.
    SeccompListener,
    /// A Landlock rule set.
    Landlock,
    /// A POSIX message queue.
    MessageQueue {
        /// Its name.
        name: Vec<u8>,
    },
    /// What `/proc` calls it, when it is none of these.
    Other {
        /// As the link in `/proc/PID/fd` reads.
        target: Vec<u8>,
    },
}

/// What a terminal is called that was opened by its master: which number it has is not recorded.
pub(crate) const UNNAMED_TERMINAL: &[u8] = b"/dev/pts/?";

/// One end of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipe {
    /// Which pipe: two ends of the same pipe have the same id within their container.
    pub id: PipeId,
    /// Whether this end is written to; `None` where not known.
    pub writes: Option<bool>,
}

/// Identity of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PipeId {
    /// Seen made.
    Made(u64),
    /// Found open: its inode.
    Inode(u64),
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// `AF_*`; 0 where not known.
    pub family: u16,
    /// `SOCK_*` without flags; 0 where not known.
    pub kind: u16,
    /// Protocol number.
    pub protocol: u32,
    /// How far it has come.
    pub state: SocketState,
    /// Its own address.
    pub local: Option<SocketAddress>,
    /// Its peer's address.
    pub peer: Option<SocketAddress>,
    /// It came from `accept`: the peer opened the connection.
    pub accepted: bool,
    /// Directions shut down: bit 0 reading, bit 1 writing.
    pub shut: u8,
    /// The other end of a `socketpair`: the pair's id within its container.
    pub pair: Option<u64>,
}

/// How far a socket has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// Not known.
    Unknown,
    /// Made.
    New,
    /// Has an address of its own.
    Bound,
    /// Waits for connections.
    Listening,
    /// `connect` has not come to its end.
    Connecting,
    /// Connected.
    Connected,
    /// `connect` failed.
    Failed,
}

/// A number in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The description's id in its container.
    pub(crate) description: u64,
    /// Closed by exec.
    pub cloexec: bool,
}

/// A table of descriptors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FdTable {
    pub(crate) slots: BTreeMap<i32, Slot>,
    /// How many processes share it.
    pub(crate) refs: u32,
    /// The number closed last and what it was: the event that closes is described after it was applied.
    pub(crate) last_closed: Option<(i32, Vec<u8>)>,
}

stored_struct!(FdInfo { kind, flags, opened, inherited, read, written, refs });
stored_enum!(FdKind {
    0 => Unknown,
    1 => File { path, claimed },
    2 => Socket(socket),
    3 => Pipe(pipe),
    4 => Memfd { name },
    5 => Epoll,
    6 => Eventfd,
    7 => Signalfd,
    8 => Timerfd,
    9 => Inotify,
    10 => Fanotify,
    11 => IoUring,
    12 => Pidfd { pid },
    13 => Userfaultfd,
    14 => Bpf,
    15 => Perf,
    16 => Mount,
    17 => SeccompListener,
    18 => Landlock,
    19 => MessageQueue { name },
    20 => Other { target },
});
stored_struct!(Pipe { id, writes });
stored_enum!(PipeId { 0 => Made(id), 1 => Inode(id) });
stored_struct!(Socket { family, kind, protocol, state, local, peer, accepted, shut, pair });
stored_enum!(SocketState {
    0 => Unknown, 1 => New, 2 => Bound, 3 => Listening, 4 => Connecting, 5 => Connected, 6 => Failed,
});
stored_struct!(Slot { description, cloexec });
stored_struct!(FdTable { slots, refs, last_closed });

impl Stored for Box<Socket> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_ref().put(out);
    }

    fn get(input: &mut crate::codec::Input<'_>) -> Result<Self, crate::codec::SnapshotError> {
        Socket::get(input).map(Self::new)
    }
}

mod number {
    pub(super) const UNIX: u16 = 1;
    pub(super) const INET: u16 = 2;
    pub(super) const INET6: u16 = 10;
    pub(super) const NETLINK: u16 = 16;
    pub(super) const PACKET: u16 = 17;
    pub(super) const VSOCK: u16 = 40;
    pub(super) const STREAM: u16 = 1;
    pub(super) const DGRAM: u16 = 2;
    pub(super) const RAW: u16 = 3;
    pub(super) const UDP: u32 = 17;
    pub(super) const ICMP: u32 = 1;
    pub(super) const ICMPV6: u32 = 58;
    pub(super) const MPTCP: u32 = 262;
    pub(super) const SCTP: u32 = 132;
}

impl Socket {
    /// A socket that was just made.
    pub fn new(family: u16, kind: u16, protocol: u32) -> Self {
        Self {
            family,
            kind,
            protocol,
            state: SocketState::New,
            local: None,
            peer: None,
            accepted: false,
            shut: 0,
            pair: None,
        }
    }

    /// A socket that a request of an io_uring made: of what family is not recorded.
    pub(crate) fn of_ring(accepted: bool) -> Self {
        let state = if accepted { SocketState::Connected } else { SocketState::Unknown };
        Self { state, accepted, ..Self::new(0, 0, 0) }
    }

    /// Its protocol in one word: `tcp`, `udp`, `unix`, `netlink`, ...; `socket` where not known.
    pub fn protocol_name(&self) -> &'static str {
        match (self.family, self.kind, self.protocol) {
            (number::INET | number::INET6, number::STREAM, number::SCTP) => "sctp",
            (number::INET | number::INET6, number::STREAM, number::MPTCP) => "mptcp",
            (number::INET | number::INET6, number::STREAM, _) => "tcp",
            (number::INET | number::INET6, number::DGRAM, number::ICMP | number::ICMPV6) => "icmp",
            (number::INET | number::INET6, number::DGRAM, 0 | number::UDP) => "udp",
            (number::INET | number::INET6, number::RAW, _) => "raw",
            (number::INET | number::INET6, ..) => "ip",
            (number::UNIX, ..) => "unix",
            (number::NETLINK, ..) => "netlink",
            (number::PACKET, ..) => "packet",
            (number::VSOCK, ..) => "vsock",
            _ => "socket",
        }
    }

    /// Whether a call that sends can connect it (`MSG_FASTOPEN`): not where it is known to be one of datagrams, or of another family
    /// than IP.
    pub(crate) fn may_connect_by_sending(&self) -> bool {
        matches!(self.family, 0 | number::INET | number::INET6) && matches!(self.kind, 0 | number::STREAM)
    }

    /// Whether it can carry bytes to another host.
    pub fn is_network(&self) -> bool {
        matches!(self.family, number::INET | number::INET6 | number::PACKET | number::VSOCK)
    }
}

impl FdKind {
    /// What it is, in one word: `file`, `tcp`, `pipe`, ...
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Other { .. } => "unknown",
            Self::File { .. } => "file",
            Self::Socket(socket) => socket.protocol_name(),
            Self::Pipe(_) => "pipe",
            Self::Memfd { .. } => "memfd",
            Self::Epoll => "epoll",
            Self::Eventfd => "eventfd",
            Self::Signalfd => "signalfd",
            Self::Timerfd => "timerfd",
            Self::Inotify => "inotify",
            Self::Fanotify => "fanotify",
            Self::IoUring => "io_uring",
            Self::Pidfd { .. } => "pidfd",
            Self::Userfaultfd => "userfaultfd",
            Self::Bpf => "bpf",
            Self::Perf => "perf",
            Self::Mount => "mount",
            Self::SeccompListener => "seccomp",
            Self::Landlock => "landlock",
            Self::MessageQueue { .. } => "mqueue",
        }
    }

    /// The path of a file.
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::File { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The socket.
    pub fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    /// What it takes from a budget besides its own size.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::File { path: bytes, .. }
            | Self::Memfd { name: bytes }
            | Self::MessageQueue { name: bytes }
            | Self::Other { target: bytes } => bytes.len(),
            Self::Socket(_) => size_of::<Socket>() + 256,
            _ => 0,
        }
    }

    /// From the text of a link in `/proc/PID/fd`: `/path`, `socket:[1]`, `pipe:[1]`, `anon_inode:[eventpoll]`.
    pub fn from_proc(target: &[u8], flags: Option<u64>) -> Self {
        const WRITE_ONLY: u64 = 1;
        const ACCESS: u64 = 3;
        let inode = |prefix: &[u8]| {
            let digits = target.strip_prefix(prefix)?.strip_suffix(b"]")?;
            std::str::from_utf8(digits).ok()?.parse::<u64>().ok()
        };
        if let Some(inode) = inode(b"pipe:[") {
            let writes = flags.map(|f| f & ACCESS == WRITE_ONLY);
            return Self::Pipe(Pipe { id: PipeId::Inode(inode), writes });
        }
        if inode(b"socket:[").is_some() {
            let mut socket = Socket::new(0, 0, 0);
            socket.state = SocketState::Unknown;
            return Self::Socket(Box::new(socket));
        }
        if let Some(name) = memory_name(target) {
            return Self::Memfd { name: name.to_vec() };
        }
        if target.starts_with(b"/") {
            return Self::File { path: target.to_vec(), claimed: false };
        }
        match target {
            b"anon_inode:[eventpoll]" => Self::Epoll,
            b"anon_inode:[eventfd]" => Self::Eventfd,
            b"anon_inode:[signalfd]" => Self::Signalfd,
            b"anon_inode:[timerfd]" => Self::Timerfd,
            b"anon_inode:inotify" => Self::Inotify,
            b"anon_inode:[fanotify]" => Self::Fanotify,
            b"anon_inode:[io_uring]" => Self::IoUring,
            b"anon_inode:[pidfd]" | b"pidfd:[pidfd]" => Self::Pidfd { pid: None },
            b"anon_inode:[userfaultfd]" => Self::Userfaultfd,
            b"anon_inode:bpf-map" | b"anon_inode:bpf-prog" | b"anon_inode:bpf_link" => Self::Bpf,
            b"anon_inode:[perf_event]" => Self::Perf,
            _ => Self::Other { target: target.to_vec() },
        }
    }
}

/// The name under which something was made in memory, of what the kernel calls it: `memfd:NAME` as it is recorded, which no file's path is,
/// `/memfd:NAME (deleted)` in `/proc`.
pub fn memory_name(path: &[u8]) -> Option<&[u8]> {
    let name = path.strip_prefix(b"/").unwrap_or(path).strip_prefix(b"memfd:")?;
    Some(name.strip_suffix(b" (deleted)").unwrap_or(name))
}

impl FdInfo {
    /// A description that was just opened.
    pub(crate) fn new(kind: FdKind, flags: Option<u64>, opened: BootNanos) -> Self {
        Self { kind, flags, opened, inherited: false, read: 0, written: 0, refs: 0 }
    }

    /// The bytes of its label; of most files this is the path as it is.
    pub(crate) fn into_label(self) -> Vec<u8> {
        match self.kind {
            FdKind::File { path, .. } if text::shows_as_it_is(&path) => path,
            _ => self.label().into_string().into_bytes(),
        }
    }

    /// What it is in a few words: a path, `tcp 127.0.0.1:4444`, `tcp listening 0.0.0.0:80`, `pipe`, `memfd:name`.
    pub fn label(&self) -> Safe {
        match &self.kind {
            FdKind::File { path, .. } => text::escape(path),
            FdKind::Memfd { name } => Safe::format(format_args!("memfd:{}", text::escape(name))),
            FdKind::MessageQueue { name } => Safe::format(format_args!("mqueue:{}", text::escape(name))),
            FdKind::Other { target } => text::escape(target),
            FdKind::Pidfd { pid: Some(pid) } => Safe::format(format_args!("pidfd {pid}")),
            FdKind::Socket(socket) => socket.label(),
            other => Safe::literal(other.word()),
        }
    }
}

impl Socket {
    /// As [`FdInfo::label`].
    pub fn label(&self) -> Safe {
        let word = self.protocol_name();
        let address = |a: &SocketAddress| {
            let text = a.seen_by(word).into_string();
            // `unix unix:/run/x` says it twice.
            text.strip_prefix(word).and_then(|t| t.strip_prefix(':')).map(str::to_owned).unwrap_or(text)
        };
        match (self.state, &self.local, &self.peer) {
            (SocketState::Listening, Some(local), _) => {
                Safe::format(format_args!("{word} listening {}", address(local)))
            }
            (SocketState::Listening, None, _) => Safe::format(format_args!("{word} listening")),
            (_, _, Some(peer)) if peer.is_named() => Safe::format(format_args!("{word} {}", address(peer))),
            (_, Some(local), _) if local.is_named() => {
                Safe::format(format_args!("{word} {}", address(local)))
            }
            _ if self.pair.is_some() => Safe::format(format_args!("{word} pair")),
            _ if self.family == 0 => Safe::literal(word),
            _ if word == "socket" => {
                Safe::format(format_args!("{}", symbols::FAMILY.symbol(self.family.into())))
            }
            _ => Safe::literal(word),
        }
    }
}
