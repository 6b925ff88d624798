//! Connections made and awaited.

use super::{Memory, Seen, Severity, act::Act, places, tried};
use crate::{
    peer::{self, EINPROGRESS},
    sockaddr::SocketAddress,
    text::{self, Safe},
};

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_PACKET: u64 = 17;
const SOCK_RAW: u64 = 3;
const ICMP: u64 = 1;
const ICMPV6: u64 = 58;
const EACCES: i64 = -13;
/// Ports that ordinary clients of ordinary services use.
const USUAL: [u16; 12] = [22, 25, 53, 80, 123, 443, 853, 3306, 5432, 6379, 8080, 8443];

pub(super) fn look(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    match act.call() {
        "connect" => memory.tried.connect(act).or_else(|| connect(act, memory)),
        // A connection and its first bytes at once.
        _ if peer::opens_fast(act.event) => connect(act, memory),
        "listen" if act.succeeded() => listen(act, memory),
        "socket" => raw_socket(act),
        "write" | "writev" | "send" | "sendto" | "sendmsg" | "sendfile" | "sendfile64" => {
            tried::sent(act, act.arg(0) as i32)
        }
        "splice" => tried::sent(act, act.arg(2) as i32),
        _ => None,
    }
}

/// A connection through an io_uring: to whom is not recorded. Whom a call named before is not whom the ring connected to.
pub(super) fn ring(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    let request = memory.requests.apply(act.process.key, act.event)?;
    if request.operation != "IORING_OP_CONNECT" || !act.succeeded() {
        return None;
    }
    let socket = act.socket(request.fd);
    let protocol = socket.map_or("socket", crate::fds::Socket::protocol_name);
    if let Some(peer) = peer::of_event(act.event) {
        return connected(act, memory, protocol, &peer.address);
    }
    let detail =
        Safe::format(format_args!("{protocol} to an unknown peer through io_uring by {}", act.who()));
    Some(Seen::new(Severity::Notice, "connection made", "T1071", detail))
}

fn connect(act: &Act<'_>, memory: &Memory) -> Option<Seen> {
    let peer = peer::of_event(act.event)?.address;
    let protocol = act.socket(act.arg(0) as i32).map_or("socket", crate::fds::Socket::protocol_name);
    connected(act, memory, protocol, &peer)
}

fn connected(act: &Act<'_>, memory: &Memory, protocol: &str, peer: &SocketAddress) -> Option<Seen> {
    if let SocketAddress::UnixPath(path) = peer {
        let severity = if act.event.ret == EACCES { Severity::Notice } else { Severity::Critical };
        return places::is_runtime_socket(path).then(|| {
            let detail = Safe::format(format_args!("{} by {}", text::escape(path), act.who()));
            Seen::new(severity, "container runtime's socket used", "T1611", act.with_outcome(detail))
        });
    }
    let (ip, port) = (peer.ip()?, peer.port()?);
    // A datagram socket that looks up names, or asks for the route to an address.
    if port == 53 || port == 0 || !(act.succeeded() || act.event.ret == EINPROGRESS) {
        return None;
    }
    let unusual = !USUAL.contains(&port);
    let detail = Safe::format(format_args!("{protocol} {peer} by {}", act.who()));
    if unusual && memory.is_foreign(act) {
        return Some(Seen::new(Severity::Warning, "connection to an unusual port", "T1571", detail));
    }
    let severity = if ip.is_loopback() { Severity::Info } else { Severity::Notice };
    Some(Seen::new(severity, "connection made", "T1071", detail))
}

fn listen(act: &Act<'_>, memory: &Memory) -> Option<Seen> {
    let socket = act.socket(act.arg(0) as i32).filter(|s| s.is_network())?;
    let address = socket.local.as_ref().map_or_else(|| "unknown address".to_owned(), ToString::to_string);
    let detail = Safe::format(format_args!("{} {address} by {}", socket.protocol_name(), act.who()));
    let severity = if memory.is_foreign(act) { Severity::Notice } else { Severity::Info };
    Some(Seen::new(severity, "listens for connections", "", detail))
}

fn raw_socket(act: &Act<'_>) -> Option<Seen> {
    let (family, kind) = (act.arg(0) & 0xffff_ffff, act.arg(1) & 0xf);
    let raw = family == AF_PACKET || matches!(family, AF_INET | AF_INET6) && kind == SOCK_RAW;
    raw.then(|| {
        let name = crate::symbols::FAMILY.symbol(family);
        let detail = Safe::format(format_args!("{name} by {}", act.who()));
        // What `ping` opens carries nothing but echoes.
        let echoes = matches!(act.arg(2) & 0xffff_ffff, ICMP | ICMPV6);
        let severity = if echoes { Severity::Info } else { Severity::Warning };
        Seen::new(severity, "raw socket opened", "T1040", act.with_outcome(detail))
    })
}
