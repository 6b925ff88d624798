//! What makes a conversation one: of connections made the peer, of connections accepted the own address and the peer's host.

use std::net::IpAddr;

use afterimage_format::Event;

use super::{Action, Direction, action_of, datagram_peer, is_talk};
use crate::{
    fds::{Socket, SocketState},
    peer,
    sockaddr::SocketAddress,
};

/// Which of a container's conversations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationKey(Key);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Out(&'static str, SocketAddress),
    /// To whom is not known.
    OutUnknown(&'static str),
    In(&'static str, Option<SocketAddress>, Option<IpAddr>),
}

impl ConversationKey {
    /// The conversation of a socket with a peer.
    pub(super) fn new(socket: &Socket, peer: Option<&SocketAddress>) -> Self {
        let protocol = socket.protocol_name();
        let is_out = !socket.accepted && socket.state == SocketState::Connected;
        Self(match peer {
            Some(peer) if !socket.accepted => Key::Out(protocol, peer.clone()),
            None if is_out => Key::OutUnknown(protocol),
            peer => Key::In(protocol, socket.local.clone(), peer.and_then(SocketAddress::ip)),
        })
    }

    /// The conversation that an event on a socket belongs to, whose program told this address; none where it is no socket for
    /// conversations. What only an io_uring told of the socket is not known here.
    pub fn of_event(socket: &Socket, event: &Event<'_>, told: Option<&[u8]>) -> Option<Self> {
        let named = match action_of(event) {
            Some(Action::Connect) => peer::of_message(event, told).map(|peer| peer.address),
            Some(Action::Send | Action::Receive) => datagram_peer(told),
            _ => None,
        };
        is_talk(socket).then(|| Self::new(socket, named.as_ref().or(socket.peer.as_ref())))
    }

    /// Who began it.
    pub(super) fn direction(&self) -> Direction {
        if matches!(self.0, Key::In(..)) { Direction::In } else { Direction::Out }
    }
}
