//! Who tries many doors, and who carries much away.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    net::IpAddr,
};

use super::{MOST_REMEMBERED, Seen, Severity, act::Act};
use crate::{fds::SocketState, peer, text::Safe};

/// What a connection is answered with where nobody listens, nobody is, or nobody answers.
const FAILED: [i64; 4] = [-111, -110, -113, -101];
/// So many ports of a host, or hosts with a port, are tried by no ordinary client that fails at them.
const MANY: usize = 8;
/// And so many ports of a host by none at all.
const VERY_MANY: usize = 32;
/// So many bytes are told of that a program sent on a connection it made.
const MUCH: u64 = 1 << 20;

/// Ports and hosts at which connections failed, and those at which they were begun.
#[derive(Debug, Default)]
pub(super) struct Tried {
    ports: HashMap<IpAddr, BTreeSet<u16>>,
    begun: HashMap<IpAddr, BTreeSet<u16>>,
    hosts: HashMap<u16, BTreeSet<IpAddr>>,
}

impl Tried {
    /// Takes in a connection that was not made at once. Told when there are many for the first time.
    pub(super) fn connect(&mut self, act: &Act<'_>) -> Option<Seen> {
        let failed = FAILED.contains(&act.event.ret);
        if !failed && act.event.ret != peer::EINPROGRESS {
            return None;
        }
        let peer = peer::of_event(act.event)?.address;
        let (host, port) = (peer.ip()?, peer.port().filter(|port| *port != 0)?);
        let (of_host, many) = if failed { (&mut self.ports, MANY) } else { (&mut self.begun, VERY_MANY) };
        if let Some(ports) = one_of_many(of_host, host, port, many) {
            let (first, last) = (ports.first()?, ports.last()?);
            let detail = Safe::format(format_args!("{many} of {host}, {first} to {last}, by {}", act.who()));
            return Some(Seen::new(Severity::Warning, "many ports tried", "T1046", detail));
        }
        failed.then(|| one_of_many(&mut self.hosts, port, host, MANY)).flatten().map(|_| {
            let detail = Safe::format(format_args!(
                "port {port} of {MANY}, the last of them {host}, by {}",
                act.who()
            ));
            Seen::new(Severity::Warning, "many hosts tried", "T1046", detail)
        })
    }
}

/// The values of a key, where this one makes them `many`; none where there is no room for another key.
fn one_of_many<K: Hash + Eq, V: Ord>(
    all: &mut HashMap<K, BTreeSet<V>>,
    key: K,
    value: V,
    many: usize,
) -> Option<&BTreeSet<V>> {
    if all.len() >= MOST_REMEMBERED && !all.contains_key(&key) {
        return None;
    }
    let values = all.entry(key).or_default();
    (values.len() < many && values.insert(value) && values.len() == many).then_some(values)
}

/// Bytes that went into `fd`: told where with them a connection that this side made has taken much.
pub(super) fn sent(act: &Act<'_>, fd: i32) -> Option<Seen> {
    let moved = u64::try_from(act.event.ret).ok()?;
    let info =
        act.fd(fd).filter(|info| info.written >= MUCH && info.written - moved.min(info.written) < MUCH)?;
    let socket = info.kind.socket().filter(|socket| socket.is_network() && !socket.accepted)?;
    let peer = socket.peer.as_ref().filter(|_| socket.state == SocketState::Connected)?;
    // What is asked for is more than what is asked with.
    if info.read > info.written {
        return None;
    }
    let detail =
        Safe::format(format_args!("over 1 MiB to {} {peer} by {}", socket.protocol_name(), act.who()));
    Some(Seen::new(Severity::Notice, "much sent", "T1041", detail))
}
