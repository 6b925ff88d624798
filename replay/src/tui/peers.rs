//! Who was talked to, as text that fits: an address is never cut into what reads as another one.

use afterimage_model::{
    net::{Conversation, Direction},
    sockaddr::SocketAddress,
    text::Safe,
};

use crate::tui::text::{fit_middle, safe, width};

/// An address as an end of a socket of this protocol; one of IPv4 that is mapped into IPv6 as people write it.
pub(crate) fn address(address: &SocketAddress, protocol: &str) -> Safe {
    match (is_mapped(address), address.ip(), address.port_seen_by(protocol)) {
        (true, Some(ip), Some(port)) => safe!("{ip}:{port}"),
        _ => address.seen_by(protocol),
    }
}

/// Whether it is told as IPv4 and the program used IPv6. With a scope it is not: that would be lost.
pub(crate) fn is_mapped(address: &SocketAddress) -> bool {
    matches!(address, SocketAddress::V6(v6) if v6.scope_id() == 0 && v6.ip().to_ipv4_mapped().is_some())
}

/// Whether it stands for many connections from one address: each had a port of its own, so that none is the peer's.
pub(crate) fn from_many(talk: &Conversation) -> bool {
    let has_port = talk.peer.as_ref().is_some_and(|peer| peer.port_seen_by(talk.protocol).is_some());
    talk.direction == Direction::In && talk.connections > 1 && has_port
}

/// The other end.
fn other(talk: &Conversation) -> Safe {
    let peer = talk.peer.as_ref();
    match peer.and_then(SocketAddress::ip).filter(|_| from_many(talk)) {
        Some(ip) => safe!("{ip}"),
        None => peer.map_or_else(|| Safe::literal("somebody"), |peer| address(peer, talk.protocol)),
    }
}

/// The peer's address, of accepted connections with the own one.
pub(crate) fn peer(talk: &Conversation) -> Safe {
    let local = talk.local.as_ref().filter(|_| talk.direction == Direction::In || talk.peer.is_none());
    match local {
        Some(local) => safe!("{} at {}", other(talk), address(local, talk.protocol)),
        None => other(talk),
    }
}

/// As [`peer`] in at most so many columns: of the own address only the port is left first, then nothing; the peer's own
/// is cut, and marked as cut, only where it alone has no room.
pub(crate) fn peer_within(talk: &Conversation, columns: usize, mark: &'static str) -> Safe {
    let whole = peer(talk);
    let fits = |text: &Safe| width(text.as_str()) <= columns;
    let alone = other(talk);
    let port = talk.local.as_ref().and_then(|local| local.port_seen_by(talk.protocol));
    let with_port = port.filter(|_| talk.direction == Direction::In).map(|port| safe!("{alone} at :{port}"));
    let shorter = || with_port.into_iter().chain([alone.clone()]).find(fits);
    if fits(&whole) { whole } else { shorter().unwrap_or_else(|| fit_middle(alone.as_str(), columns, mark)) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

    use afterimage_format::{BootNanos, TaskKey};
    use afterimage_model::net::Participant;

    use super::*;

    fn mapped(port: u16, scope: u32) -> SocketAddress {
        SocketAddress::V6(SocketAddrV6::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port, 0, scope))
    }

    fn accepted(peer: SocketAddress, local: SocketAddress) -> Conversation {
        Conversation {
            protocol: "tcp",
            direction: Direction::In,
            peer: Some(peer),
            claimed: false,
            local: Some(local),
            names: Vec::new(),
            first: BootNanos(1),
            last: BootNanos(1),
            connections: 1,
            failures: 0,
            interrupted: 0,
            last_error: None,
            sent: 0,
            received: 0,
            unread_sent: 0,
            unread_received: 0,
            messages_sent: 0,
            messages_received: 0,
            processes: vec![Participant { process: TaskKey::default().into(), first: BootNanos(1) }],
        }
    }

    #[test]
    fn what_is_left_of_an_accepted_connection_is_never_another_address() {
        let talk = accepted(mapped(54_424, 0), mapped(7_007, 0));
        for (columns, shown) in [
            (40, "127.0.0.1:54424 at 127.0.0.1:7007"),
            (33, "127.0.0.1:54424 at 127.0.0.1:7007"),
            (32, "127.0.0.1:54424 at :7007"),
            (24, "127.0.0.1:54424 at :7007"),
            (23, "127.0.0.1:54424"),
            (15, "127.0.0.1:54424"),
            (14, "127.…0.1:54424"),
        ] {
            assert_eq!(peer_within(&talk, columns, "…").as_str(), shown, "{columns}");
        }
    }

    #[test]
    fn of_many_connections_the_last_ones_port_is_not_the_peers() {
        let talk = Conversation { connections: 2, ..accepted(mapped(54_424, 0), mapped(7_007, 0)) };
        assert_eq!(peer(&talk).as_str(), "127.0.0.1 at 127.0.0.1:7007");
        assert_eq!(peer_within(&talk, 20, "…").as_str(), "127.0.0.1 at :7007");
    }

    #[test]
    fn an_address_that_would_lose_its_scope_is_told_as_it_was_used() {
        assert_eq!(address(&mapped(80, 0), "tcp").as_str(), "127.0.0.1:80");
        assert_eq!(address(&mapped(80, 3), "tcp").as_str(), mapped(80, 3).to_string());
        let other = SocketAddress::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 0));
        assert_eq!(address(&other, "tcp").as_str(), "[::1]:80");
        assert!(is_mapped(&mapped(1, 0)) && !is_mapped(&mapped(1, 3)) && !is_mapped(&other));
    }
}
