//! The descriptor that an event is about: the state's knowledge of it, corrected by what the event itself carries.

use std::net::IpAddr;

use afterimage_format::{Event, FieldTag};
use afterimage_model::{peer, sockaddr::SocketAddress};

use crate::{
    context::EventContext,
    facts::{Descriptor, DescriptorKind, Family, Role, Socket},
};

/// `-EINPROGRESS`: a connect that goes on in the background.
const IN_PROGRESS: i64 = -115;

/// What the event's descriptor is open on; `None` where it has none, or where nothing is known of it.
pub(crate) fn descriptor_of<'a>(cx: &EventContext<'a>) -> Option<Descriptor<'a>> {
    let fd = cx.fd_number().filter(|fd| *fd >= 0)?;
    let known = cx.facts().descriptor(cx.task(), fd);
    let event = cx.event();
    let mut own = known.unwrap_or_default();
    if cx.shape().opens || cx.shape().name == "creat" {
        if known.is_none() || own.socket.is_some() {
            own.kind = DescriptorKind::File;
        }
        // What had the number before was no longer there.
        own.socket = None;
        // The kernel tells the path that it has in the process's root; the state knows it from the container's.
        let is_outside = cx.process().is_some_and(|process| process.root.is_some());
        own.path = own.path.filter(|_| is_outside).or(event.bytes(FieldTag::KPATH)).or(own.path);
        own.claimed = event.bytes(FieldTag::PATH).or(own.claimed);
        own.renamed = Some(event.time);
        return Some(own);
    }
    if let Some(socket) = ends(cx, event, own.socket) {
        own.kind = DescriptorKind::Socket;
        if known.is_none() {
            own.renamed = Some(event.time);
        }
        if socket.family == Family::Unix {
            own.path = unix_path(cx).or(own.path);
        }
        own.socket = Some(socket);
        return Some(own);
    }
    known
}

/// The socket with the addresses of the event put in: those of the kernel before those that the program claimed.
fn ends(cx: &EventContext<'_>, event: &Event<'_>, known: Option<Socket>) -> Option<Socket> {
    let local = address(event, FieldTag::LOCAL);
    let claimed = cx.claimed().and_then(SocketAddress::parse);
    let remote = address(event, FieldTag::PEER);
    let mut socket = known.unwrap_or_default();
    let family = [&remote, &claimed, &local].into_iter().flatten().find_map(family_of);
    match cx.shape().name {
        "connect" if event.ret >= 0 || event.ret == IN_PROGRESS || peer::attempt_failed(event) => {
            let peer = peer::of_message(event, cx.claimed()).map(|peer| peer.address);
            socket.remote = end(peer).or(socket.remote);
            socket.local = end(local).or(socket.local).or_else(|| unknown_end(socket.remote));
            socket.role = Role::Client;
            // A datagram socket stays connected where another attempt fails.
            socket.connected = event.ret >= 0 || peer::attempt_failed(event) && socket.connected;
        }
        "sendto" | "sendmsg" | "sendmmsg" | "recvfrom" | "recvmsg" | "recvmmsg" | "recvmmsg_time64" => {
            let other = end(remote).or_else(|| end(claimed));
            if other.is_none() && local.is_none() {
                return None;
            }
            socket.remote = other.or(socket.remote);
            socket.local = end(local).or(socket.local).or_else(|| unknown_end(socket.remote));
            if socket.role == Role::None && socket.remote.is_some() {
                let sends = cx.shape().name.starts_with("send");
                socket.role = if sends { Role::Client } else { Role::Server };
            }
        }
        "accept" | "accept4" => {
            socket.remote = end(remote).or_else(|| end(claimed)).or(socket.remote);
            socket.local = end(local).or(socket.local).or_else(|| unknown_end(socket.remote));
            socket.role = Role::Server;
            socket.connected = true;
        }
        "bind" if event.ret >= 0 => socket.local = end(local).or_else(|| end(claimed)).or(socket.local),
        _ => return None,
    }
    if let Some(family) = family {
        socket.family = family;
    } else if known.is_none() {
        return None;
    }
    Some(socket)
}

/// The path of the unix socket that the event names.
fn unix_path<'a>(cx: &EventContext<'a>) -> Option<&'a [u8]> {
    let bytes = cx.claimed().or_else(|| cx.event().bytes(FieldTag::PEER))?;
    let name = bytes.get(2..)?;
    name.split(|b| *b == 0).find(|part| !part.is_empty())
}

/// The end of which only the family is known: Falco has zeros there.
fn unknown_end(other: Option<(IpAddr, u16)>) -> Option<(IpAddr, u16)> {
    other.map(|(address, _)| match address {
        IpAddr::V4(_) => (IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
        IpAddr::V6(_) => (IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0),
    })
}

fn address(event: &Event<'_>, tag: FieldTag) -> Option<SocketAddress> {
    event.bytes(tag).and_then(SocketAddress::parse)
}

fn end(address: Option<SocketAddress>) -> Option<(IpAddr, u16)> {
    let address = address?;
    Some((address.ip()?, address.port()?))
}

fn family_of(address: &SocketAddress) -> Option<Family> {
    match address {
        SocketAddress::Unspecified => None,
        SocketAddress::UnixUnnamed | SocketAddress::UnixPath(_) | SocketAddress::UnixAbstract(_) => {
            Some(Family::Unix)
        }
        SocketAddress::Netlink { .. } => Some(Family::Netlink),
        other => Some(match other.ip() {
            Some(IpAddr::V4(_)) => Family::Ipv4,
            Some(IpAddr::V6(_)) => Family::Ipv6,
            None => Family::Other,
        }),
    }
}
