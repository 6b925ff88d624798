//! What a filter may ask about the world around an event: processes, descriptors, sockets, names.
//!
//! [`Facts`] is what the matcher sees of the state at an event's moment. The moment is just *after* the event for
//! what it made (an exec's program, an open's descriptor) and just *before* it for what it ended (a closed
//! descriptor, an ended process), as in Falco.

use std::net::IpAddr;

use afterimage_format::{BootNanos, ContainerUid, Event, TaskKey};
use afterimage_model::{describe::FdNames, net::ConversationKey};

/// The state at the moment of an event.
pub trait Facts {
    /// The process that a thread belongs to.
    fn process(&self, task: TaskKey) -> Option<Process<'_>>;

    /// The living process with this process id in the initial pid namespace.
    fn process_by_pid(&self, pid: u32) -> Option<Process<'_>>;

    /// What a descriptor of a thread's process is open on.
    fn descriptor(&self, task: TaskKey, fd: i32) -> Option<Descriptor<'_>>;

    /// Calls `visit` with every open descriptor of a thread's process.
    fn descriptors(&self, task: TaskKey, visit: &mut dyn FnMut(i32, &Descriptor<'_>));

    /// How many threads live in a thread's process.
    fn threads(&self, task: TaskKey) -> Option<u64>;

    /// The name of a user (or group) in a container, where a read of its `/etc/passwd` (`/etc/group`) was recorded.
    fn account(&self, container: ContainerUid, account: Account) -> Option<&[u8]>;

    /// Calls `visit` with every domain name that an answer seen in this container gave this address.
    fn domains(&self, container: ContainerUid, address: IpAddr, visit: &mut dyn FnMut(&[u8]));

    /// The server name that the TLS client said on this connection.
    fn server_name(&self, _container: ContainerUid, _socket: &Socket) -> Option<&[u8]> {
        None
    }

    /// The conversation that an event on a descriptor of its process belongs to, whose program told this address.
    fn conversation(&self, _event: &Event<'_>, _fd: i32, _told: Option<&[u8]>) -> Option<ConversationKey> {
        None
    }

    /// What names descriptors in an event's row; nothing where there is no state.
    fn names(&self) -> Option<&dyn FdNames> {
        None
    }
}

/// A user or group by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// A user.
    User(u32),
    /// A group.
    Group(u32),
}

/// A process as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process<'a> {
    /// Its leader.
    pub key: TaskKey,
    /// Its parent, where known.
    pub parent: Option<TaskKey>,
    /// The leader's `comm`.
    pub comm: Option<&'a [u8]>,
    /// The path of its program, from the kernel.
    pub exe_path: Option<&'a [u8]>,
    /// Its arguments, each ended by a NUL, the first one included.
    pub argv: Option<&'a [u8]>,
    /// Its environment, each ended by a NUL.
    pub env: Option<&'a [u8]>,
    /// Its working directory.
    pub cwd: Option<&'a [u8]>,
    /// Its root directory, where that is not the container's; empty where it is not known which it is.
    pub root: Option<&'a [u8]>,
    /// Process id in its own pid namespace.
    pub vpid: Option<u32>,
    /// Parent's process id, initial namespace.
    pub ppid: Option<u32>,
    /// Process group, initial namespace.
    pub pgid: Option<u32>,
    /// Session, initial namespace.
    pub sid: Option<u32>,
    /// Controlling terminal, kernel's `dev_t`; 0 for none.
    pub tty: Option<u64>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Effective group id.
    pub egid: Option<u32>,
    /// Audit login user id; 4294967295 when unset.
    pub loginuid: Option<u32>,
    /// Capability sets: inheritable, permitted, effective.
    pub caps: [Option<u64>; 3],
    /// When it executed its program, where that was seen.
    pub executed: Option<BootNanos>,
    /// Program file: inode number.
    pub exe_ino: Option<u64>,
    /// Program file: change time, nanoseconds since 1970.
    pub exe_ctime: Option<u64>,
    /// Program file: modification time, nanoseconds since 1970.
    pub exe_mtime: Option<u64>,
    /// `EXE_FLAGS` of [`afterimage_format::layout::exec`].
    pub exe_flags: Option<u64>,
    /// When it was made, where that is known.
    pub start: Option<BootNanos>,
    /// When it ended, as far as that was seen.
    pub exit: Option<BootNanos>,
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DescriptorKind {
    /// A file that is no directory.
    File,
    /// A directory.
    Directory,
    /// A socket, its family by [`Socket::family`].
    Socket,
    /// One end of a pipe, or a fifo.
    Pipe,
    /// An eventfd.
    Event,
    /// A signalfd.
    Signal,
    /// An epoll.
    Epoll,
    /// An inotify or fanotify.
    Inotify,
    /// A timerfd.
    Timer,
    /// A bpf map, program or link.
    Bpf,
    /// A userfaultfd.
    Userfault,
    /// An io_uring.
    IoUring,
    /// A memfd.
    Memfd,
    /// A pidfd.
    Pidfd,
    /// Something else, or not known.
    #[default]
    Unknown,
}

/// A descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor<'a> {
    /// What it is open on.
    pub kind: DescriptorKind,
    /// The file's path from the kernel, a memfd's name, a unix socket's path.
    pub path: Option<&'a [u8]>,
    /// The path as the program claimed it when it opened the file.
    pub claimed: Option<&'a [u8]>,
    /// The socket.
    pub socket: Option<Socket>,
    /// Inode, where known.
    pub ino: Option<u64>,
    /// Device of the file system, kernel's `dev_t`, where known.
    pub dev: Option<u64>,
    /// The file is on an overlay's upper layer, or on a lower one; `None` where it is not known.
    pub upper_layer: Option<bool>,
    /// When it was opened, or first seen.
    pub opened: Option<BootNanos>,
    /// When what it is called last changed: opened, bound, connected, another peer.
    pub renamed: Option<BootNanos>,
}

/// A socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Socket {
    /// Its family.
    pub family: Family,
    /// Its protocol above IP.
    pub protocol: Option<Protocol>,
    /// Its own end.
    pub local: Option<(IpAddr, u16)>,
    /// The other end.
    pub remote: Option<(IpAddr, u16)>,
    /// Which part it has.
    pub role: Role,
    /// A connection was made or accepted.
    pub connected: bool,
}

/// A socket's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Family {
    /// `AF_INET`, and `AF_INET6` between mapped addresses.
    Ipv4,
    /// `AF_INET6`.
    Ipv6,
    /// `AF_UNIX`.
    Unix,
    /// `AF_NETLINK`.
    Netlink,
    /// Another one.
    #[default]
    Other,
}

/// A protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
    /// Raw IP.
    Raw,
}

/// A socket's part in its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// It has none yet.
    #[default]
    None,
    /// It connected or sent first.
    Client,
    /// It accepted.
    Server,
    /// It listens.
    Listener,
}

impl Socket {
    /// The client's end.
    pub fn client(&self) -> Option<(IpAddr, u16)> {
        match self.role {
            Role::Client => self.local,
            Role::Server => self.remote,
            Role::None | Role::Listener => None,
        }
    }

    /// The server's end; of a listener its own.
    pub fn server(&self) -> Option<(IpAddr, u16)> {
        match self.role {
            Role::Client => self.remote,
            Role::Server | Role::Listener => self.local,
            Role::None => None,
        }
    }

    /// Whether its ends are IP addresses.
    pub fn is_ip(&self) -> bool {
        matches!(self.family, Family::Ipv4 | Family::Ipv6)
    }
}
