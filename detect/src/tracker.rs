//! The state that filters ask, kept up to date event by event.
//!
//! Around the model's [`World`], which is the state *after* each event, it remembers what only the moment of the
//! event knows: what a descriptor was that the event closed, whether it changed a socket's ends, and which names DNS
//! answers gave to addresses.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use afterimage_format::{BootNanos, ContainerUid, Event, FieldTag, TaskKey};
use afterimage_model::{
    World,
    describe::FdNames,
    dns,
    fds::{self, FdInfo, FdKind, SocketState},
    net::ConversationKey,
    process::{self, ProcessKey},
    sockaddr::SocketAddress,
};

use crate::{
    facts::{Account, Descriptor, DescriptorKind, Facts, Family, Process, Protocol, Role, Socket},
    greetings::Greetings,
    shape::{self, Io, Shape},
};

/// Most addresses with names, of all containers.
const MAX_NAMED: usize = 100_000;
/// Most names of one address.
const MAX_NAMES: usize = 16;
/// Most descriptors whose last peer is remembered.
const MAX_PEERS: usize = 100_000;
/// Most users and groups with names, of all containers.
const MAX_ACCOUNTS: usize = 100_000;
/// Longest name of an account.
const MAX_ACCOUNT_NAME: usize = 64;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// How a TLS client begins: a handshake of version 3.
const GREETING: [u8; 2] = [22, 3];
/// Longest `comm`. A name made of a path is cut as the kernel cuts it.
const COMM: usize = 15;
/// `O_DIRECTORY`.
const DIRECTORY: u64 = 0o200_000;

/// The state at the last event.
#[derive(Debug, Default)]
pub struct Tracker {
    world: World,
    /// The descriptor that the last event closed.
    closed: Option<(u32, i32, FdInfo)>,
    /// The descriptor whose ends the last event changed, and when that was.
    moved: Option<(u32, i32, BootNanos)>,
    /// The last peer of each socket that sends datagrams.
    peers: HashMap<(u32, i32), SocketAddress>,
    names: HashMap<(ContainerUid, IpAddr), Vec<Vec<u8>>>,
    accounts: HashMap<(ContainerUid, Account), Vec<u8>>,
    greetings: Greetings,
    listens: Listens,
}

/// Containers in which reads and writes can tell more than how much was read and written: a file of accounts was opened,
/// somebody speaks with a DNS server, or a connection is being made.
#[derive(Debug, Default)]
struct Listens {
    /// What was before the first event is not known.
    all: bool,
    containers: BTreeSet<ContainerUid>,
}

impl Tracker {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a state.
    pub fn from_world(world: World) -> Self {
        Self { world, listens: Listens { all: true, ..Listens::default() }, ..Self::default() }
    }

    /// Reads and writes are told to it whatever goes through them: a filter asks what clients say first.
    pub fn listen_to_all(&mut self) {
        self.listens.all = true;
    }

    /// The state after the last event.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Takes one event in. Events of all containers come in order of time; filters are asked right after.
    pub fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        self.take(uid, event, true);
    }

    /// As [`Self::apply`]; where nobody is asked right after, what only an event's own filters ask of what it changed is not
    /// remembered.
    pub(crate) fn take(&mut self, uid: ContainerUid, event: &Event<'_>, is_asked: bool) {
        let shape = shape::of(event.code);
        let task = event.task;
        let fd = shape.fd_arg.and_then(|index| event.args.get(index)).map(|value| *value as u32 as i32);
        self.leave();
        if let Some(fd) = fd.filter(|_| shape.name == "close") {
            let known = if is_asked { self.world.fd(task, fd) } else { None };
            self.closed = known.map(|info| (task.tgid, fd, info.clone()));
            if !self.peers.is_empty() {
                self.peers.remove(&(task.tgid, fd));
            }
        }
        let renamed = fd.filter(|_| shape.renames);
        let before = renamed.filter(|_| is_asked).map(|fd| self.ends(task, fd));
        let homes = self.world.homes();
        self.world.apply(uid, event);
        self.listen(uid, event, shape, homes);
        if let Some(fd) = renamed {
            let elsewhere = self.sends_elsewhere(task, fd, shape, event);
            if elsewhere || before.is_some_and(|before| before != self.ends(task, fd)) {
                self.moved = Some((task.tgid, fd, event.time));
            }
        }
        if shape.io != Io::None && event.ret > 0 && event.field(FieldTag::PAYLOAD).is_some() {
            self.learn_greeting(uid, task, fd, event);
            if shape.io == Io::Read {
                self.learn_names(uid, task, fd, event);
                self.learn_accounts(uid, task, fd, event);
            }
        }
        if shape.category == "net" && (shape.makes_fd || shape.renames && shape.io == Io::None) {
            let begun = if shape.makes_fd { i32::try_from(event.ret).ok() } else { fd };
            self.begin_connection(uid, task, begun);
        }
    }

    /// An event that tells the state nothing is the last one: filters are asked at it.
    pub(crate) fn leave(&mut self) {
        self.closed = None;
        self.moved = None;
    }

    /// Whether a read or a write of this container can tell more than how much was read or written.
    pub fn listens(&self, uid: ContainerUid) -> bool {
        self.listens.all || self.listens.containers.contains(&uid)
    }

    /// Notices what makes reads and writes worth looking at, generously.
    fn listen(&mut self, uid: ContainerUid, event: &Event<'_>, shape: &Shape, homes: u64) {
        if self.listens(uid) {
            return;
        }
        let told = event.fields.iter().any(|field| match field.tag {
            FieldTag::PATH | FieldTag::KPATH | FieldTag::TARGET | FieldTag::CWD => {
                names_accounts(field.bytes)
            }
            FieldTag::SOCKADDR | FieldTag::PEER => field.bytes.get(2..4) == Some(&DNS_PORT.to_be_bytes()),
            _ => false,
        });
        let told = told || shape.name == "connect" && event.ret < 0;
        // Who came from elsewhere brought its descriptors along.
        let moved = self.world.homes() != homes && !self.listens.containers.is_empty();
        if told || moved && self.brings(event.task) {
            self.listens.containers.insert(uid);
        }
    }

    fn brings(&self, task: TaskKey) -> bool {
        let Some(process) = self.world.process_of_task(task) else { return false };
        self.world.fds(process).iter().any(|(.., info)| match &info.kind {
            FdKind::File { path, .. } => names_accounts(path),
            FdKind::Socket(socket) => {
                socket.state == SocketState::Connecting
                    || socket.peer.as_ref().and_then(SocketAddress::port) == Some(DNS_PORT)
            }
            _ => false,
        })
    }

    /// Forgets a container that has ended.
    pub fn forget(&mut self, uid: ContainerUid) {
        self.world.forget(uid);
        self.names.retain(|(own, _), _| *own != uid);
        self.accounts.retain(|(own, _), _| *own != uid);
        self.greetings.forget(uid);
    }

    fn ends(&self, task: TaskKey, fd: i32) -> Option<(Option<SocketAddress>, Option<SocketAddress>)> {
        let socket = self.world.fd(task, fd)?.kind.socket()?;
        Some((socket.local.clone(), socket.peer.clone()))
    }

    /// Whether any datagram goes to another peer than the last one of the socket.
    fn sends_elsewhere(&mut self, task: TaskKey, fd: i32, shape: &Shape, event: &Event<'_>) -> bool {
        if shape.io != Io::Write || event.ret < 0 {
            return false;
        }
        if self.peers.len() >= MAX_PEERS {
            self.peers.clear();
        }
        let told = event.fields.iter().filter(|field| field.tag == FieldTag::SOCKADDR);
        let mut elsewhere = false;
        for peer in told.filter_map(|field| SocketAddress::parse(field.bytes)) {
            elsewhere |= self.peers.insert((task.tgid, fd), peer.clone()) != Some(peer);
        }
        elsewhere
    }

    /// Learns names of users and groups when their file is read from its beginning. Only what was kept of the
    /// bytes is known: the first lines.
    fn learn_accounts(&mut self, uid: ContainerUid, task: TaskKey, fd: Option<i32>, event: &Event<'_>) {
        let Some(payload) = event.bytes(FieldTag::PAYLOAD) else { return };
        let Some(info) = fd.and_then(|fd| self.world.fd(task, fd)) else { return };
        let account: fn(u32) -> Account = match info.kind.path() {
            Some(b"/etc/passwd") => Account::User,
            Some(b"/etc/group") => Account::Group,
            _ => return,
        };
        if info.inherited || i64::try_from(info.read) != Ok(event.ret) {
            return;
        }
        for (name, number) in accounts(payload) {
            if self.accounts.len() < MAX_ACCOUNTS {
                self.accounts.insert((uid, account(number)), name.to_vec());
            }
        }
    }

    /// What a descriptor is, or was that the last event closed.
    fn info(&self, task: TaskKey, fd: i32) -> Option<&FdInfo> {
        let closed = self.closed.as_ref().filter(|(tgid, own, _)| (*tgid, *own) == (task.tgid, fd));
        self.world.fd(task, fd).or(closed.map(|(.., info)| info))
    }

    fn socket(&self, task: TaskKey, fd: Option<i32>) -> Option<&fds::Socket> {
        self.world.fd(task, fd?)?.kind.socket()
    }

    fn learn_greeting(&mut self, uid: ContainerUid, task: TaskKey, fd: Option<i32>, event: &Event<'_>) {
        // Looked at before the descriptor is looked up: few payloads are greetings.
        let Some(payload) = event.bytes(FieldTag::PAYLOAD).filter(|bytes| bytes.starts_with(&GREETING))
        else {
            return;
        };
        if let Some(socket) = self.socket(task, fd).map(socket_facts) {
            self.greetings.learn(uid, &socket, payload);
        }
    }

    /// What was said on an earlier connection between the same ends was said to somebody else.
    fn begin_connection(&mut self, uid: ContainerUid, task: TaskKey, fd: Option<i32>) {
        if self.greetings.is_empty() {
            return;
        }
        if let Some(socket) = self.socket(task, fd).map(socket_facts) {
            self.greetings.begin(uid, &socket);
        }
    }

    fn learn_names(&mut self, uid: ContainerUid, task: TaskKey, fd: Option<i32>, event: &Event<'_>) {
        let Some(payload) = event.bytes(FieldTag::PAYLOAD) else { return };
        let socket = self.socket(task, fd);
        let told = |tag| event.bytes(tag).and_then(SocketAddress::parse).and_then(|address| address.port());
        let port = told(FieldTag::PEER)
            .or_else(|| told(FieldTag::SOCKADDR))
            .or_else(|| socket.and_then(|s| s.peer.as_ref()).and_then(SocketAddress::port));
        if port != Some(DNS_PORT) {
            return;
        }
        let is_stream = socket.is_some_and(|s| s.protocol_name() == "tcp");
        let answers = if is_stream { dns::answers_of_stream(payload) } else { dns::answers(payload) };
        for (name, address) in answers {
            if self.names.len() >= MAX_NAMED && !self.names.contains_key(&(uid, address)) {
                continue;
            }
            let names = self.names.entry((uid, address)).or_default();
            if names.len() < MAX_NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
    }
}

/// Whether a path may be one of the files of accounts, however it is written.
fn names_accounts(path: &[u8]) -> bool {
    // Both have a `p`, which is looked for in each path that is opened: faster than the two words.
    memchr::memchr_iter(b'p', path).any(|at| {
        let (before, behind) = path.split_at(at);
        behind.starts_with(b"passwd") || before.ends_with(b"grou")
    })
}

/// The accounts that whole lines of `/etc/passwd` and `/etc/group` name: `name:password:number:...`.
fn accounts(text: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(&text[..0], |end| &text[..end]);
    whole.split(|b| *b == b'\n').filter_map(|line| {
        let mut parts = line.split(|b| *b == b':');
        let name = parts.next().filter(|name| !name.is_empty() && name.len() <= MAX_ACCOUNT_NAME)?;
        let number = std::str::from_utf8(parts.nth(1)?).ok()?.parse().ok()?;
        Some((name, number))
    })
}

impl Facts for Tracker {
    fn process(&self, task: TaskKey) -> Option<Process<'_>> {
        let process = self.world.process_of_task(task)?;
        // A thread may have directories of its own.
        let (cwd, root) = (process.cwd_of(task.tid), process.root_of(task.tid));
        Some(Process { cwd, root, ..process_facts(process) })
    }

    fn process_by_pid(&self, pid: u32) -> Option<Process<'_>> {
        self.world.process_by_pid(pid).filter(|process| process.is_running()).map(process_facts)
    }

    fn descriptor(&self, task: TaskKey, fd: i32) -> Option<Descriptor<'_>> {
        let info = self.info(task, fd)?;
        let mut descriptor = Descriptor { opened: Some(info.opened), ..descriptor_facts(info) };
        let moved = self.moved.filter(|(tgid, own, _)| (*tgid, *own) == (task.tgid, fd));
        if let Some((.., at)) = moved {
            descriptor.renamed = Some(at);
        }
        Some(descriptor)
    }

    fn descriptors(&self, task: TaskKey, visit: &mut dyn FnMut(i32, &Descriptor<'_>)) {
        let Some(process) = self.world.process_of_task(task) else { return };
        for (fd, _, info) in self.world.fds(process) {
            visit(fd, &descriptor_facts(info));
        }
    }

    fn threads(&self, task: TaskKey) -> Option<u64> {
        let process = self.world.process_of_task(task)?;
        u64::try_from(process.threads.len() + 1).ok()
    }

    fn account(&self, container: ContainerUid, account: Account) -> Option<&[u8]> {
        self.accounts.get(&(container, account)).map(Vec::as_slice)
    }

    fn domains(&self, container: ContainerUid, address: IpAddr, visit: &mut dyn FnMut(&[u8])) {
        self.names.get(&(container, address)).into_iter().flatten().for_each(|name| visit(name));
    }

    fn server_name(&self, container: ContainerUid, socket: &Socket) -> Option<&[u8]> {
        self.greetings.of(container, socket)
    }

    fn conversation(&self, event: &Event<'_>, fd: i32, told: Option<&[u8]>) -> Option<ConversationKey> {
        ConversationKey::of_event(self.info(event.task, fd)?.kind.socket()?, event, told)
    }

    fn names(&self) -> Option<&dyn FdNames> {
        Some(&self.world)
    }
}

fn leader(key: ProcessKey) -> TaskKey {
    TaskKey { tgid: key.tgid, tid: key.tgid, start: key.start }
}

fn process_facts(process: &process::Process) -> Process<'_> {
    let exec = process.exec();
    let rights = &process.credentials;
    let known = |bytes: &'_ [u8]| !bytes.is_empty();
    Process {
        key: leader(process.key),
        parent: process.parent.map(leader),
        comm: process.comm().map(|comm| &comm[..comm.len().min(COMM)]),
        exe_path: exec.map(|exec| exec.image.as_slice()).filter(|path| known(path)),
        argv: exec.map(|exec| exec.argv.as_slice()),
        // Forgotten at the end: that is no empty one.
        env: exec.filter(|_| process.is_running()).map(|_| process.environment_block()),
        cwd: process.cwd.as_deref(),
        root: process.root.as_deref(),
        vpid: process.vpid,
        ppid: process.parent.map(|parent| parent.tgid),
        pgid: process.pgid,
        sid: process.sid,
        tty: process.tty,
        euid: rights.euid,
        egid: rights.egid,
        loginuid: rights.loginuid,
        caps: [rights.inheritable, rights.permitted, rights.effective],
        executed: exec.filter(|exec| !exec.snapshot).map(|exec| exec.time),
        exe_ino: exec.and_then(|exec| exec.inode),
        exe_ctime: exec.and_then(|exec| exec.ctime),
        exe_mtime: exec.and_then(|exec| exec.mtime),
        exe_flags: exec.map(|exec| exec.flags),
        start: Some(process.key.start).filter(|start| start.0 != 0),
        exit: match process.end {
            process::End::Exited { time, .. } => Some(time),
            process::End::Running | process::End::Unseen { .. } => None,
        },
    }
}

fn descriptor_facts(info: &FdInfo) -> Descriptor<'_> {
    let plain = |kind| Descriptor { kind, ..Descriptor::default() };
    let named = |kind, path| Descriptor { kind, path: Some(path), ..Descriptor::default() };
    match &info.kind {
        FdKind::File { path, .. } => {
            let is_directory = info.flags.is_some_and(|flags| flags & DIRECTORY != 0);
            named(if is_directory { DescriptorKind::Directory } else { DescriptorKind::File }, path)
        }
        FdKind::Socket(socket) => Descriptor {
            kind: DescriptorKind::Socket,
            path: unix_path(socket),
            socket: Some(socket_facts(socket)),
            ..Descriptor::default()
        },
        FdKind::Memfd { name } => named(DescriptorKind::Memfd, name),
        FdKind::MessageQueue { name } => named(DescriptorKind::Unknown, name),
        FdKind::Other { target } => named(DescriptorKind::Unknown, target),
        FdKind::Pipe(_) => plain(DescriptorKind::Pipe),
        FdKind::Epoll => plain(DescriptorKind::Epoll),
        FdKind::Eventfd => plain(DescriptorKind::Event),
        FdKind::Signalfd => plain(DescriptorKind::Signal),
        FdKind::Timerfd => plain(DescriptorKind::Timer),
        FdKind::Inotify | FdKind::Fanotify => plain(DescriptorKind::Inotify),
        FdKind::IoUring => plain(DescriptorKind::IoUring),
        FdKind::Pidfd { .. } => plain(DescriptorKind::Pidfd),
        FdKind::Userfaultfd => plain(DescriptorKind::Userfault),
        FdKind::Bpf => plain(DescriptorKind::Bpf),
        _ => plain(DescriptorKind::Unknown),
    }
}

/// The path of a unix socket: its peer's where it has one, else its own.
fn unix_path(socket: &fds::Socket) -> Option<&[u8]> {
    [&socket.peer, &socket.local].into_iter().flatten().find_map(|address| match address {
        SocketAddress::UnixPath(path) | SocketAddress::UnixAbstract(path) => Some(path.as_slice()),
        _ => None,
    })
}

fn socket_facts(socket: &fds::Socket) -> Socket {
    let end = |address: &Option<SocketAddress>| {
        let address = address.as_ref().filter(|address| address.is_named())?;
        Some((address.ip()?, address.port()?))
    };
    let (local, remote) = (end(&socket.local), end(&socket.peer));
    let mapped = [local, remote].into_iter().flatten().any(|(address, _)| address.is_ipv4());
    let role = match socket.state {
        SocketState::Listening => Role::Listener,
        _ if socket.accepted => Role::Server,
        SocketState::Connected | SocketState::Connecting | SocketState::Failed => Role::Client,
        _ => Role::None,
    };
    Socket {
        family: match socket.family {
            1 => Family::Unix,
            2 => Family::Ipv4,
            10 if mapped => Family::Ipv4,
            10 => Family::Ipv6,
            16 => Family::Netlink,
            _ => Family::Other,
        },
        protocol: protocol(socket),
        local,
        remote,
        role,
        connected: socket.state == SocketState::Connected,
    }
}

fn protocol(socket: &fds::Socket) -> Option<Protocol> {
    const STREAM: u16 = 1;
    const DATAGRAM: u16 = 2;
    const RAW: u16 = 3;
    const ICMP: [u32; 2] = [1, 58];
    match socket.kind {
        STREAM => Some(Protocol::Tcp),
        _ if ICMP.contains(&socket.protocol) => Some(Protocol::Icmp),
        DATAGRAM => Some(Protocol::Udp),
        RAW => Some(Protocol::Raw),
        _ => None,
    }
}
