//! Calls that make, name and connect sockets.

use afterimage_format::{Event, FieldTag};

use super::{
    calls::{Call, Effect},
    state::State,
};
use crate::{
    describe::descriptors,
    fds::{FdInfo, FdKind, Socket, SocketState},
    peer::{self, EALREADY, EINPROGRESS, EISCONN},
    sockaddr::SocketAddress,
};

const SOCK_CLOEXEC: u64 = 0o2_000_000;
const TYPE_MASK: u64 = 0xf;

/// An address from the kernel.
fn told(event: &Event<'_>, tag: FieldTag) -> Option<SocketAddress> {
    event.bytes(tag).and_then(SocketAddress::parse)
}

pub(super) fn apply(state: &mut State, call: &Call<'_>, effect: Effect) {
    match effect {
        Effect::Socket => {
            if let Some(fd) = call.new_fd() {
                open(state, call, fd, new_socket(call), call.arg(1) & SOCK_CLOEXEC != 0);
            }
        }
        Effect::Socketpair => pair(state, call),
        Effect::Bind => {
            let address = told(call.event, FieldTag::LOCAL).or_else(|| told(call.event, FieldTag::SOCKADDR));
            change(state, call, |socket| {
                socket.local = address;
                socket.state = SocketState::Bound;
            });
        }
        Effect::Listen => {
            let address = told(call.event, FieldTag::LOCAL);
            change(state, call, |socket| {
                socket.local = address.or(socket.local.take());
                socket.state = SocketState::Listening;
            });
        }
        Effect::Accept => accept(state, call),
        Effect::Addresses => change(state, call, |socket| addresses(socket, call.event)),
        Effect::Shutdown => {
            let directions = match call.arg(1) {
                0 => 1,
                1 => 2,
                2 => 3,
                _ => 0,
            };
            change(state, call, |socket| socket.shut |= directions);
        }
        _ => {}
    }
}

fn new_socket(call: &Call<'_>) -> Socket {
    let family = u16::try_from(call.arg(0) & 0xffff).unwrap_or(0);
    let kind = u16::try_from(call.arg(1) & TYPE_MASK).unwrap_or(0);
    Socket::new(family, kind, call.arg(2) as u32)
}

fn open(state: &mut State, call: &Call<'_>, fd: i32, socket: Socket, cloexec: bool) {
    let info = FdInfo::new(FdKind::Socket(Box::new(socket)), None, call.event.time);
    state.open(call.table, fd, info, cloexec);
}

/// Changes the socket in argument 0; one that was not known becomes known.
fn change(state: &mut State, call: &Call<'_>, change: impl FnOnce(&mut Socket)) {
    let fd = call.fd(0);
    learn(state, call, fd);
    let Some(info) = state.info_mut(call.table, fd) else { return };
    if let FdKind::Socket(socket) = &mut info.kind {
        change(socket);
        if socket.family == 0 {
            let known = socket.local.as_ref().or(socket.peer.as_ref());
            socket.family = known.map_or(0, SocketAddress::family);
        }
    }
}

/// A descriptor is a socket's, whatever it was taken for; what was not known of it, and of its copies, is that now.
pub(super) fn learn(state: &mut State, call: &Call<'_>, fd: i32) {
    let unknown = || {
        let mut socket = Socket::new(0, 0, 0);
        socket.state = SocketState::Unknown;
        FdKind::Socket(Box::new(socket))
    };
    match state.info(call.table, fd).map(|info| &info.kind) {
        Some(FdKind::Socket(_)) => {}
        Some(FdKind::Unknown) => state.set_kind(call.table, fd, unknown()),
        _ => {
            let info = FdInfo::new(unknown(), None, call.event.time);
            state.open(call.table, fd, FdInfo { inherited: true, ..info }, false);
        }
    }
}

fn addresses(socket: &mut Socket, event: &Event<'_>) {
    if let Some(local) = told(event, FieldTag::LOCAL) {
        socket.local = Some(local);
    }
    let peer = told(event, FieldTag::PEER).filter(SocketAddress::is_named);
    // A socket whose connection failed has an address without its port: that is no better than what is known.
    if let Some(peer) = peer.filter(|peer| socket.peer.is_none() || !peer::lacks_port(peer)) {
        socket.peer = Some(peer);
    }
}

/// A call that connects as it sends. On a socket of datagrams it only sends.
pub(super) fn open_fast(state: &mut State, call: &Call<'_>) {
    let socket = state.info(call.table, call.fd(0)).and_then(|info| info.kind.socket());
    if socket.is_none_or(Socket::may_connect_by_sending) {
        connect(state, call);
    }
}

/// `connect`: also its failure is worth knowing, and a connection under way has a peer.
pub(super) fn connect(state: &mut State, call: &Call<'_>) {
    let claimed = told(call.event, FieldTag::SOCKADDR);
    let after = match call.event.ret {
        0.. | EISCONN => SocketState::Connected,
        EINPROGRESS | EALREADY => SocketState::Connecting,
        ret if peer::is_interrupted(ret) => SocketState::Connecting,
        -9 | -88 => return,
        _ => SocketState::Failed,
    };
    change(state, call, |socket| {
        if claimed == Some(SocketAddress::Unspecified) && call.event.ret == 0 {
            socket.peer = None;
            socket.state = SocketState::Bound;
            return;
        }
        if after == SocketState::Failed
            && let Some(peer) = peer::of_socket(call.event)
        {
            // What it was connected to before, it still is: of datagram sockets, and where the call alone was wrong.
            socket.peer = Some(peer);
            return;
        }
        socket.state = after;
        socket.local = told(call.event, FieldTag::LOCAL).or(socket.local.take());
        socket.peer = peer::of_event(call.event).map(|peer| peer.address).or(socket.peer.take());
    });
}

fn accept(state: &mut State, call: &Call<'_>) {
    let Some(fd) = call.new_fd() else { return };
    let listener = state.info(call.table, call.fd(0)).and_then(|info| info.kind.socket());
    let mut socket = match listener {
        Some(l) => Socket::new(l.family, l.kind, l.protocol),
        None => Socket::new(0, 0, 0),
    };
    socket.state = SocketState::Connected;
    socket.accepted = true;
    socket.local = listener.and_then(|l| l.local.clone());
    socket.peer = told(call.event, FieldTag::SOCKADDR);
    addresses(&mut socket, call.event);
    if socket.family == 0 {
        let known = socket.local.as_ref().or(socket.peer.as_ref());
        socket.family = known.map_or(0, SocketAddress::family);
    }
    let cloexec = call.event.args.get(3).is_some_and(|flags| flags & SOCK_CLOEXEC != 0);
    open(state, call, fd, socket, cloexec);
}

fn pair(state: &mut State, call: &Call<'_>) {
    let mut fds = descriptors(call.event.bytes(FieldTag::FDS).unwrap_or_default());
    let (Some(first), Some(second)) = (fds.next(), fds.next()) else { return };
    let id = state.next_id();
    for fd in [first, second] {
        let mut socket = new_socket(call);
        socket.pair = Some(id);
        socket.state = SocketState::Connected;
        open(state, call, fd, socket, call.arg(1) & SOCK_CLOEXEC != 0);
    }
}
