//! What goes over the network through an io_uring: that something did and how much is recorded, to whom is not, unless calls
//! told it of the same socket.

use afterimage_format::EventCode;

use super::{Look, MOST, is_talk};
use crate::{
    fds::{Socket, SocketState},
    peer,
    sockaddr::SocketAddress,
};

/// What a ring did with a socket.
#[derive(Debug, Clone)]
pub(super) enum ByRing {
    /// Connected it; whom calls had named before, in vain.
    Connected(Option<SocketAddress>),
    /// Accepted it: what its listener was.
    Accepted(Socket),
}

impl ByRing {
    /// The socket as it is by that, where calls know it as this.
    pub(super) fn seen(&self, socket: Socket) -> Socket {
        match self {
            Self::Accepted(accepted) if socket.family == 0 => accepted.clone(),
            Self::Accepted(_) => socket,
            Self::Connected(before) => {
                let peer = socket.peer.clone().filter(|peer| before.as_ref() != Some(peer));
                Socket { state: SocketState::Connected, peer, ..socket }
            }
        }
    }
}

impl Look<'_> {
    /// A request, or its completion.
    pub(super) fn ring(&mut self) {
        let Some(request) = self.net.requests.apply(self.process, self.event) else { return };
        if self.event.code != EventCode::URING_COMPLETE {
            return;
        }
        match request.operation {
            "IORING_OP_CONNECT" => self.ring_connect(request.fd),
            "IORING_OP_ACCEPT" => self.ring_accept(request.fd),
            "IORING_OP_SEND"
            | "IORING_OP_SENDMSG"
            | "IORING_OP_SEND_ZC"
            | "IORING_OP_SENDMSG_ZC"
            | "IORING_OP_WRITE"
            | "IORING_OP_WRITEV"
            | "IORING_OP_WRITE_FIXED"
            | "IORING_OP_WRITEV_FIXED" => {
                self.ring_transfer(request.fd, true);
            }
            "IORING_OP_RECV"
            | "IORING_OP_RECVMSG"
            | "IORING_OP_RECV_ZC"
            | "IORING_OP_READ"
            | "IORING_OP_READV"
            | "IORING_OP_READ_FIXED"
            | "IORING_OP_READV_FIXED"
            | "IORING_OP_READ_MULTISHOT" => {
                self.ring_transfer(request.fd, false);
            }
            _ => {}
        }
    }

    fn ring_connect(&mut self, fd: i32) {
        let Some(socket) = self.socket(fd) else { return };
        let connected = ByRing::Connected(socket.peer.clone());
        // Also an attempt that failed was one to connect.
        let socket = connected.seen(socket);
        if !is_talk(&socket) {
            return;
        }
        let (ret, counts) = (self.event.ret, self.counts);
        if ret >= 0 {
            self.known_by_ring(fd, connected);
        }
        let told = peer::of_event(self.event);
        let claimed = told.as_ref().map(|peer| peer.claimed);
        let peer = told.map(|peer| peer.address);
        let Some(conversation) = self.conversation_signed(&socket, peer, claimed) else { return };
        if counts && ret >= 0 {
            conversation.connections += 1;
        } else if counts {
            conversation.failures += 1;
            conversation.last_error = Some(ret);
        }
    }

    fn ring_accept(&mut self, listener: i32) {
        let Ok(fd) = i32::try_from(self.event.ret) else { return };
        if let Some(listener) = self.socket(listener) {
            let accepted = Socket { state: SocketState::Connected, accepted: true, peer: None, ..listener };
            self.known_by_ring(fd, ByRing::Accepted(accepted));
        }
        self.accepted_by(listener);
    }

    /// What is known of a socket from the ring alone.
    fn known_by_ring(&mut self, fd: i32, known: ByRing) {
        let Some(description) = self.description(fd) else { return };
        let (world, container) = (self.world, self.container);
        if self.net.by_ring.len() >= MOST {
            self.net.by_ring.retain(|id, _| world.is_open(container, *id));
        }
        if self.net.by_ring.len() < MOST {
            self.net.by_ring.insert(description, known);
        }
    }

    fn ring_transfer(&mut self, fd: i32, sends: bool) {
        let Some(bytes) = u64::try_from(self.event.ret).ok().filter(|&n| n > 0) else { return };
        let Some(socket) = self.socket(fd).filter(is_talk) else { return };
        let counts = self.counts;
        let Some(conversation) = self.conversation_signed(&socket, socket.peer.clone(), None) else { return };
        if counts {
            conversation.moved(sends, bytes);
        }
    }
}
