//! Who a container has to do with: the one it was started from, those it started, and those it talks to.
//!
//! Two containers talk when a connection's two ends were seen in them, each from its side. What an address translator
//! stands between has other ends on each side, and is not known.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
};

use afterimage_format::{ContainerUid, Event, EventCode, FieldTag};
use afterimage_model::{peer, sockaddr::SocketAddress, syscalls};

/// Most ends that wait for their other ones.
const MAX_ENDS: usize = 65_536;
/// Most containers that one is known to have talked to.
const MAX_TALKS: usize = 256;

/// Both ends of a connection as a container sees it: its own first.
pub type Ends = (SocketAddr, SocketAddr);

/// Who talked to whom.
#[derive(Debug, Default)]
pub struct Neighbours {
    ends: HashMap<Ends, ContainerUid>,
    order: VecDeque<Ends>,
    talks: HashMap<ContainerUid, BTreeSet<ContainerUid>>,
}

impl Neighbours {
    /// Learns of a connection.
    pub fn learn(&mut self, uid: ContainerUid, ends: Ends) {
        let (own, other) = ends;
        if let Some(peer) = self.ends.get(&(other, own)).copied().filter(|peer| *peer != uid) {
            for (a, b) in [(uid, peer), (peer, uid)] {
                let known = self.talks.entry(a).or_default();
                if known.len() < MAX_TALKS {
                    known.insert(b);
                }
            }
        }
        if self.ends.insert(ends, uid).is_none() {
            self.order.push_back(ends);
        }
        while self.order.len() > MAX_ENDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ends.remove(&oldest);
        }
    }

    /// Whom it talked to.
    pub fn of(&self, uid: ContainerUid) -> impl Iterator<Item = ContainerUid> {
        self.talks.get(&uid).into_iter().flatten().copied()
    }

    /// Forgets a container.
    pub fn forget(&mut self, uid: ContainerUid) {
        for other in self.talks.remove(&uid).unwrap_or_default() {
            if let Some(known) = self.talks.get_mut(&other) {
                known.remove(&uid);
            }
        }
    }
}

/// Both ends, where an event makes a connection.
pub fn ends(event: &Event<'_>) -> Option<Ends> {
    if !is_connection(event.code) {
        return None;
    }
    let of = |tag| event.bytes(tag).and_then(SocketAddress::parse).as_ref().and_then(internet);
    let other = peer::of_event(event).as_ref().and_then(|peer| internet(&peer.address))?;
    let own = of(FieldTag::LOCAL)?;
    // Loopback is each container's own.
    (!own.ip().is_loopback() && own.port() != 0).then_some((own, other))
}

fn is_connection(code: EventCode) -> bool {
    static CODES: std::sync::OnceLock<Vec<EventCode>> = std::sync::OnceLock::new();
    let codes = CODES.get_or_init(|| {
        let names = ["connect", "accept", "accept4"].iter();
        names.flat_map(|name| syscalls::codes_by_name(name)).copied().collect()
    });
    codes.contains(&code)
}

/// An internet address; an IPv4 one in IPv6's clothes is itself.
fn internet(address: &SocketAddress) -> Option<SocketAddr> {
    match address {
        SocketAddress::V4(v4) => Some(SocketAddr::V4(*v4)),
        SocketAddress::V6(v6) => Some(SocketAddr::new(v6.ip().to_canonical(), v6.port())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_containers_with_both_ends_of_a_connection_talk() {
        let (web, db, other) = (ContainerUid(1), ContainerUid(2), ContainerUid(3));
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c) = (at("10.0.0.1:40000"), at("10.0.0.2:5432"), at("10.0.0.3:1"));
        let mut neighbours = Neighbours::default();
        neighbours.learn(web, (a, b));
        neighbours.learn(other, (c, b));
        assert_eq!(neighbours.of(web).count(), 0, "one end is a claim");
        neighbours.learn(db, (b, a));
        assert_eq!(neighbours.of(web).collect::<Vec<_>>(), [db]);
        assert_eq!(neighbours.of(db).collect::<Vec<_>>(), [web]);
        assert_eq!(neighbours.of(other).count(), 0);
        neighbours.forget(db);
        assert_eq!(neighbours.of(web).count(), 0);
    }

    #[test]
    fn room_for_ends_is_bounded() {
        let mut neighbours = Neighbours::default();
        let end = |port: usize| SocketAddr::from(([10, 0, (port >> 16) as u8, 1], port as u16));
        for port in 0..MAX_ENDS + 10 {
            neighbours.learn(ContainerUid(1), (end(port), end(1)));
        }
        assert_eq!((neighbours.ends.len(), neighbours.order.len()), (MAX_ENDS, MAX_ENDS));
    }
}
