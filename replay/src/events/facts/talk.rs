//! The ends of a connection that an event is about, and what it asked a DNS server or was told by one.

use afterimage_format::{Event, EventCode, FieldTag};
use afterimage_model::{
    World,
    dns::{self, DnsAnswer, DnsMessage},
    fds::{Socket, SocketState},
    peer,
    sockaddr::SocketAddress,
    streams::counts_messages,
    syscalls,
    text::{Safe, escape},
};

use super::act;
use crate::output::facts::{Act, Dns, Endpoint, Talk};

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// The ends, where any is known, and the DNS message, where it is one.
pub(super) fn of(world: &World, event: &Event<'_>, act: Act, code: EventCode) -> (Option<Talk>, Option<Dns>) {
    let name = syscalls::base_name(code);
    let socket = act::descriptor(world, event, code).and_then(|(_, info)| info.kind.socket());
    let protocol = socket.map_or("socket", Socket::protocol_name);
    let field = |tag| event.bytes(tag).and_then(SocketAddress::parse);
    let of_socket = |end: fn(&Socket) -> Option<&SocketAddress>| socket.and_then(end).cloned();
    let is_own = matches!(name, "bind" | "getsockname");
    let claimed =
        || field(FieldTag::SOCKADDR).filter(|_| event.ret >= 0 || matches!(name, "connect" | "sendto"));
    let own = field(FieldTag::LOCAL).or_else(|| claimed().filter(|_| is_own));
    let own = own.filter(SocketAddress::is_named).or_else(|| of_socket(|socket| socket.local.as_ref()));
    // Of calls that failed, only those that were about an address tell whose it is.
    let told = peer::of_event(event).filter(|peer| !peer.claimed || claimed().is_some());
    let peer = told.filter(|peer| !peer.claimed || !is_own).map(|peer| peer.address);
    // Whom a socket without a fixed peer spoke with last is no end of this message.
    let joined = socket.is_some_and(|socket| {
        matches!(socket.state, SocketState::Connected | SocketState::Connecting | SocketState::Failed)
    });
    let peer = peer.or_else(|| of_socket(|socket| socket.peer.as_ref()).filter(|_| joined));
    let accepted = act == Act::Accept || socket.is_some_and(|socket| socket.accepted);
    let receives = name.starts_with("recv") || matches!(name, "read" | "readv");
    let inbound = match act {
        Act::Accept | Act::Listen => Some(true),
        Act::Connect => Some(false),
        _ if accepted => Some(true),
        _ if joined => Some(false),
        Act::Traffic => Some(receives),
        _ => None,
    };
    let dns = message(event, protocol).filter(|_| {
        let port = |address: &Option<SocketAddress>| address.as_ref().and_then(SocketAddress::port);
        act == Act::Traffic && (port(&peer) == Some(DNS_PORT) || port(&own) == Some(DNS_PORT))
    });
    let end = |address: Option<SocketAddress>| {
        address.filter(SocketAddress::is_named).map(|address| endpoint(&address, protocol))
    };
    let (own, peer) = (end(own), end(peer));
    let moved = u64::try_from(event.ret).ok().filter(|_| act == Act::Traffic && !counts_messages(name));
    let is_v6 = [&own, &peer].into_iter().flatten().any(|end| end.ip.is_some_and(|ip| ip.is_ipv6()));
    if own.is_none() && peer.is_none() {
        return (None, dns);
    }
    let (source, destination) = if inbound == Some(true) { (peer, own) } else { (own, peer) };
    let talk = Talk {
        source,
        destination,
        transport: match protocol {
            "mptcp" | "tcp" => Some("tcp"),
            "udp" => Some("udp"),
            "sctp" => Some("sctp"),
            "icmp" if is_v6 => Some("ipv6-icmp"),
            "icmp" => Some("icmp"),
            _ => None,
        },
        inbound,
        bytes: moved,
    };
    (Some(talk), dns)
}

fn endpoint(address: &SocketAddress, protocol: &str) -> Endpoint {
    let written = match address {
        SocketAddress::UnixPath(path) => escape(path),
        SocketAddress::UnixAbstract(name) => Safe::format(format_args!("@{}", escape(name))),
        address => match address.ip() {
            Some(ip) => Safe::format(format_args!("{ip}")),
            None => address.seen_by(protocol),
        },
    };
    Endpoint { address: written, ip: address.ip(), port: address.port_seen_by(protocol) }
}

/// The DNS message that was sent or received, as far as it was recorded.
fn message(event: &Event<'_>, protocol: &str) -> Option<Dns> {
    let payload = event.bytes(FieldTag::PAYLOAD)?;
    // Over TCP a message has its length in front.
    let message = if protocol == "tcp" { payload.get(2..)? } else { payload };
    let message = DnsMessage::parse(message)?;
    let addresses = message.answers.iter().filter_map(|answer| match answer.data {
        DnsAnswer::Address(ip) => Some(ip),
        _ => None,
    });
    Some(Dns {
        id: Some(message.id),
        is_answer: message.is_response,
        name: message.question.as_deref().map(escape),
        kind: record_type(message.kind),
        code: message.is_response.then_some(message.code),
        addresses: addresses.collect(),
    })
}

/// The name of a record's kind, else its number.
pub(crate) fn record_type(kind: u16) -> Safe {
    dns::kind_name(kind).map_or_else(|| Safe::format(format_args!("{kind}")), Safe::literal)
}
