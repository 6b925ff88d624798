//! `fd.*`: the descriptor that a call makes, uses or ends.

use std::{borrow::Cow, net::IpAddr};

use afterimage_format::FieldTag;

use super::{FieldArg, family, path};
use crate::{
    context::EventContext,
    facts::{Descriptor, DescriptorKind, Family, Protocol, Role, Socket},
    value::Value,
};

family! {
    /// Descriptors.
    Fd as Fd {
        Num = "fd.num", Number, One, Never: "The descriptor's number; -1 where a call should have made one and failed.";
        Type = "fd.type", Text, One, Never:
            "file, directory, ipv4, ipv6, unix, netlink, pipe, event, signalfd, eventpoll, inotify, timerfd, bpf, \
             userfaultfd, io_uring, memfd, pidfd; `<NA>` of another; absent where nothing is known of the descriptor.";
        Typechar = "fd.typechar", Text, One, Never:
            "The type as one character: f file, d directory, 4 and 6 IP, u unix, p pipe, e event, s signal, l epoll, \
             i inotify, b bpf, r io_uring, m memfd, o other.";
        Name = "fd.name", Text, Sides, Never:
            "A file's path, or a connection as `client:port->server:port`. Where the path that the program claimed \
             and the kernel's own differ, both are asked and the kernel's is shown.";
        Directory = "fd.directory", Text, Sides, Never: "The directory of a file's path (of both, where they differ).";
        Filename = "fd.filename", Text, Sides, Never: "The last part of a file's path (of both, where they differ).";
        Nameraw = "fd.nameraw", Text, One, Never: "The path as the program gave it when it opened the file.";
        Ip = "fd.ip", Address, Sides, Never: "The address of either end.";
        Cip = "fd.cip", Address, One, Never: "The client's address.";
        Sip = "fd.sip", Address, One, Never: "The server's address.";
        Lip = "fd.lip", Address, One, Never: "The own address.";
        Rip = "fd.rip", Address, One, Never: "The other end's address.";
        Port = "fd.port", Port, Sides, Never: "The port of either end.";
        Cport = "fd.cport", Port, One, Never: "The client's port.";
        Sport = "fd.sport", Port, One, Never: "The server's port.";
        Lport = "fd.lport", Port, One, Never: "The own port.";
        Rport = "fd.rport", Port, One, Never: "The other end's port.";
        L4proto = "fd.l4proto", Text, One, Never: "tcp, udp, icmp, raw; `<NA>` of a descriptor that is no IP socket, and of an IP socket that is not known or has not connected, \
             listened, sent or received yet, as in Falco; absent where nothing is known of the descriptor.";
        Sockfamily = "fd.sockfamily", Text, One, Never: "ip or unix.";
        IsServer = "fd.is_server", Bool, One, Never: "Whether the process is the server's end.";
        Uid = "fd.uid", Text, One, Never: "Thread id and descriptor number, one after the other.";
        Containername = "fd.containername", Text, One, Never: "`container.id:fd.name`.";
        Containerdirectory = "fd.containerdirectory", Text, One, Never: "`container.id:fd.directory`.";
        Proto = "fd.proto", Port, Sides, Never: "As `fd.port`.";
        Cproto = "fd.cproto", Text, One, Never: "The client's port as text.";
        Sproto = "fd.sproto", Text, One, Never: "The server's port as text.";
        Lproto = "fd.lproto", Text, One, Never: "The own port as text.";
        Rproto = "fd.rproto", Text, One, Never: "The other end's port as text.";
        Net = "fd.net", Network, Sides, Never: "The address of either end, compared with networks.";
        Cnet = "fd.cnet", Network, One, Never: "The client's address, compared with networks.";
        Snet = "fd.snet", Network, One, Never: "The server's address, compared with networks.";
        Lnet = "fd.lnet", Network, One, Never: "The own address, compared with networks.";
        Rnet = "fd.rnet", Network, One, Never: "The other end's address, compared with networks.";
        Connected = "fd.connected", Bool, One, Never: "Whether the socket is connected.";
        NameChanged = "fd.name_changed", Bool, One, Never:
            "Whether this event changed what the descriptor is called: a connect, a datagram to another peer.";
        CipName = "fd.cip.name", Text, Sides, Never: "Names that DNS answers seen in the container gave `fd.cip`.";
        SipName = "fd.sip.name", Text, Sides, Never:
            "Names that DNS answers seen in the container gave `fd.sip`, and `kubernetes.default.svc.cluster.local` \
             where `KUBERNETES_SERVICE_HOST` of the process is that address.";
        LipName = "fd.lip.name", Text, Sides, Never: "Names that DNS answers seen in the container gave `fd.lip`.";
        RipName = "fd.rip.name", Text, Sides, Never: "As `fd.sip.name`, of the other end.";
        Dns = "fd.dns", Text, Sides, Never: "As `fd.rip.name`. Ours.";
        Sni = "fd.sni", Text, One, Never:
            "The server name that the client of a TLS connection said in its greeting, from then on: what it asked for, no proof of who answered. Ours.";
        Dev = "fd.dev", Number, One, Never: "The device of the file system.";
        DevMajor = "fd.dev.major", Number, One, Never: "Its major number.";
        DevMinor = "fd.dev.minor", Number, One, Never: "Its minor number.";
        Ino = "fd.ino", Number, One, Never: "The inode's number.";
        Types = "fd.types", Text, List, MayIndex:
            "The types of all open descriptors, each once; `fd.types[N]` of the one with that number.";
        IsUpperLayer = "fd.is_upper_layer", Bool, One, Never: "Whether the file is on an overlay's upper layer.";
        IsLowerLayer = "fd.is_lower_layer", Bool, One, Never: "Whether the file is on an overlay's lower layer.";
    }
}

/// The end that a field asks for.
#[derive(Clone, Copy)]
enum End {
    Client,
    Server,
    Local,
    Remote,
}

pub(super) fn get<'c>(field: Fd, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    if !cx.shape().has_fd() && cx.fd_number().is_none() {
        return None;
    }
    match field {
        Fd::Num => return Some(Value::number(cx.fd_number()?)),
        Fd::Typechar => {
            return Some(Value::text(cx.descriptor().map_or_else(|| failed_typechar(cx), typechar)));
        }
        Fd::Uid => return Some(Value::made(format!("{}{}", cx.task().tid, cx.fd_number()?))),
        Fd::Types => return types(arg, cx),
        Fd::Name | Fd::Directory | Fd::Filename | Fd::Nameraw => return names(field, cx),
        Fd::Containername => return prefixed(Fd::Name, cx),
        Fd::Containerdirectory => return prefixed(Fd::Directory, cx),
        _ => {}
    }
    let descriptor = cx.descriptor()?;
    if let Some(value) = ends(field, cx, descriptor) {
        return Some(value);
    }
    Some(match field {
        Fd::Type => Value::text(type_name(descriptor)),
        Fd::L4proto => {
            Value::text(descriptor.socket.filter(Socket::is_ip).map_or(NOTHING, |socket| protocol(&socket)))
        }
        Fd::Sockfamily => match descriptor.socket?.family {
            Family::Ipv4 | Family::Ipv6 => Value::text(b"ip"),
            Family::Unix => Value::text(b"unix"),
            _ => return None,
        },
        Fd::IsServer => {
            Value::Bool(matches!(descriptor.socket.map(|s| s.role), Some(Role::Server | Role::Listener)))
        }
        Fd::Connected => Value::Bool(descriptor.socket.is_some_and(|s| s.connected)),
        Fd::NameChanged => Value::Bool(descriptor.renamed == Some(cx.event().time)),
        Fd::Dev => Value::number(descriptor.dev?),
        Fd::DevMajor => Value::number(descriptor.dev? >> 20),
        Fd::DevMinor => Value::number(descriptor.dev? & 0xf_ffff),
        Fd::Ino => Value::number(descriptor.ino?),
        Fd::IsUpperLayer => Value::Bool(descriptor.upper_layer?),
        Fd::IsLowerLayer => Value::Bool(!descriptor.upper_layer?),
        _ => return None,
    })
}

/// Fields of a connection's ends.
fn ends<'c>(field: Fd, cx: &'c EventContext<'_>, descriptor: &Descriptor<'_>) -> Option<Value<'c>> {
    let socket = descriptor.socket.filter(Socket::is_ip)?;
    let both = |value: fn((IpAddr, u16)) -> Value<'static>| {
        let ends: Vec<_> = [socket.local, socket.remote].into_iter().flatten().map(value).collect();
        (!ends.is_empty()).then_some(Value::Many(ends))
    };
    let end = |end: End| match end {
        End::Client => socket.client(),
        End::Server => socket.server(),
        End::Local => socket.local,
        End::Remote => socket.remote,
    };
    let address = |which| end(which).map(|(address, _)| Value::Address(address));
    let port = |which| end(which).map(|(_, port)| Value::number(port));
    let text = |which| end(which).map(|(_, port)| Value::made(port.to_string()));
    let domains = |which| end(which).and_then(|(address, _)| domain_names(cx, address));
    match field {
        Fd::Ip | Fd::Net => both(|(address, _)| Value::Address(address)),
        Fd::Port | Fd::Proto => both(|(_, port)| Value::number(port)),
        Fd::Cip | Fd::Cnet => address(End::Client),
        Fd::Sip | Fd::Snet => address(End::Server),
        Fd::Lip | Fd::Lnet => address(End::Local),
        Fd::Rip | Fd::Rnet => address(End::Remote),
        Fd::Cport => port(End::Client),
        Fd::Sport => port(End::Server),
        Fd::Lport => port(End::Local),
        Fd::Rport => port(End::Remote),
        Fd::Cproto => text(End::Client),
        Fd::Sproto => text(End::Server),
        Fd::Lproto => text(End::Local),
        Fd::Rproto => text(End::Remote),
        Fd::CipName => domains(End::Client),
        Fd::SipName => domains(End::Server),
        Fd::LipName => domains(End::Local),
        Fd::RipName | Fd::Dns => domains(End::Remote),
        Fd::Sni => cx.facts().server_name(cx.container(), &socket).map(Value::text),
        _ => None,
    }
}

/// The name that Kubernetes gives the address in every container's environment.
const API_SERVER: &str = "kubernetes.default.svc.cluster.local";

fn domain_names(cx: &EventContext<'_>, address: IpAddr) -> Option<Value<'static>> {
    let mut names: Vec<Value<'static>> = Vec::new();
    cx.facts().domains(cx.container(), address, &mut |name| {
        if names.len() < 64 {
            names.push(Value::made(name));
        }
    });
    let host = cx.process().and_then(|p| super::process::env_value(p, b"KUBERNETES_SERVICE_HOST"));
    let is_api =
        host.and_then(|host| std::str::from_utf8(host).ok()?.parse::<IpAddr>().ok()) == Some(address);
    if is_api {
        names.push(Value::made(API_SERVER));
    }
    (!names.is_empty()).then_some(Value::Many(names))
}

fn prefixed<'c>(field: Fd, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let name = names(field, cx)?;
    let mut out = super::container::short_id(cx)?.to_vec();
    out.push(b':');
    out.extend_from_slice(&name.each().first()?.to_bytes());
    Some(Value::made(out))
}

/// Whether Falco has an empty text where there is no value: a known descriptor that has no name.
pub(super) fn is_empty(field: Fd, cx: &EventContext<'_>) -> bool {
    matches!(field, Fd::Name | Fd::Nameraw) && cx.descriptor().is_some()
}

/// The name, its directory, its last part, and the name as given.
fn names<'c>(field: Fd, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let Some(descriptor) = cx.descriptor() else {
        // A failed open: all there is is what was asked for.
        let opening = cx.shape().opens || cx.shape().name == "creat";
        return match field {
            _ if !opening => None,
            Fd::Nameraw => cx.event().bytes(FieldTag::PATH).map(raw),
            Fd::Filename => None,
            Fd::Name => path::first(cx).map(Value::made),
            _ => path::first(cx).map(|path| Value::made(path::directory(&path))),
        };
    };
    let is_file = matches!(descriptor.kind, DescriptorKind::File | DescriptorKind::Directory);
    if field == Fd::Nameraw {
        return descriptor.claimed.or(descriptor.path).map(raw);
    }
    if !is_file && field != Fd::Name {
        return None;
    }
    if let Some(socket) = descriptor.socket.filter(Socket::is_ip) {
        return connection(&socket).map(Value::made);
    }
    let is_plain = descriptor.kind == DescriptorKind::File;
    let kernel = descriptor.path;
    // Most paths are claimed as they are: no second one has to be made then.
    let claimed = descriptor.claimed.filter(|claimed| Some(*claimed) != kernel).and_then(|_| path::first(cx));
    let claimed = claimed.filter(|claimed| Some(claimed.as_slice()) != kernel);
    let kernel = kernel.map(|path| Value::text(part(field, is_plain, path)));
    let claimed = claimed.map(|path| Value::made(part(field, is_plain, &path)));
    let inside = inside(cx).map(|path| Value::text(part(field, is_plain, path)));
    let mut all: Vec<Value<'_>> = [kernel, claimed, inside].into_iter().flatten().collect();
    if all.len() > 1 { Some(Value::Many(all)) } else { all.pop() }
}

/// The path that an open has in its process's root, where that is not the container's: the root is known by the name that the
/// process gave it, which may be a link.
fn inside<'c>(cx: &'c EventContext<'_>) -> Option<&'c [u8]> {
    let root = cx.process().and_then(|process| process.root).filter(|root| !root.is_empty());
    root.filter(|_| cx.shape().opens).and_then(|_| cx.event().bytes(FieldTag::KPATH))
}

/// The part of a path that a field shows.
fn part(field: Fd, is_plain: bool, path: &[u8]) -> &[u8] {
    match field {
        Fd::Directory if is_plain => path::directory(path),
        Fd::Filename => path::filename(path),
        _ => path,
    }
}

fn raw(path: &[u8]) -> Value<'_> {
    Value::Text(path::single_slashes(path))
}

/// `client:port->server:port`, or what a listener listens on.
fn connection(socket: &Socket) -> Option<String> {
    let (first, second) = match socket.role {
        Role::Server => (socket.remote, socket.local),
        _ => (socket.local, socket.remote),
    };
    match (first, second) {
        (Some((a, p)), Some((b, q))) => Some(format!("{a}:{p}->{b}:{q}")),
        (Some((a, p)), None) | (None, Some((a, p))) => Some(format!("{a}:{p}")),
        (None, None) => None,
    }
}

/// The name of a descriptor that is not the event's own.
pub(super) fn name_of<'d>(descriptor: &Descriptor<'d>) -> Cow<'d, [u8]> {
    let ends = descriptor.socket.filter(Socket::is_ip).and_then(|socket| connection(&socket));
    ends.map_or_else(|| descriptor.path.unwrap_or(b"").into(), |ends| ends.into_bytes().into())
}

/// The letter that Falco puts behind a socket's [`typechar`] for its protocol.
pub(super) fn protocol_char(descriptor: &Descriptor<'_>) -> &'static [u8] {
    match descriptor.socket.filter(Socket::is_ip).and_then(|socket| socket.protocol) {
        Some(Protocol::Tcp) => b"t",
        Some(Protocol::Udp) => b"u",
        Some(Protocol::Icmp) => b"i",
        Some(Protocol::Raw) => b"r",
        None => b"",
    }
}

fn types<'c>(arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    if let FieldArg::Index(fd) = arg {
        let descriptor = cx.facts().descriptor(cx.task(), i32::try_from(*fd).ok()?)?;
        return Some(Value::Many(vec![Value::text(type_name(&descriptor))]));
    }
    let mut types: Vec<&'static [u8]> = Vec::new();
    cx.facts().descriptors(cx.task(), &mut |_, descriptor| {
        let name = type_name(descriptor);
        if !types.contains(&name) {
            types.push(name);
        }
    });
    Some(Value::Many(types.into_iter().map(Value::text).collect()))
}

/// What Falco says of a known descriptor where it has no word.
const NOTHING: &[u8] = b"<NA>";

/// Falco's `fd.type`.
pub(super) fn type_name(descriptor: &Descriptor<'_>) -> &'static [u8] {
    match descriptor.kind {
        DescriptorKind::File => b"file",
        DescriptorKind::Directory => b"directory",
        DescriptorKind::Pipe => b"pipe",
        DescriptorKind::Event => b"event",
        DescriptorKind::Signal => b"signalfd",
        DescriptorKind::Epoll => b"eventpoll",
        DescriptorKind::Inotify => b"inotify",
        DescriptorKind::Timer => b"timerfd",
        DescriptorKind::Bpf => b"bpf",
        DescriptorKind::Userfault => b"userfaultfd",
        DescriptorKind::IoUring => b"io_uring",
        DescriptorKind::Memfd => b"memfd",
        DescriptorKind::Pidfd => b"pidfd",
        DescriptorKind::Unknown => NOTHING,
        DescriptorKind::Socket => match descriptor.socket.map(|s| s.family) {
            Some(Family::Ipv4) => b"ipv4",
            Some(Family::Ipv6) => b"ipv6",
            Some(Family::Unix) => b"unix",
            Some(Family::Netlink) => b"netlink",
            _ => NOTHING,
        },
    }
}

/// Falco's `fd.typechar` of a descriptor.
pub(super) fn typechar(descriptor: &Descriptor<'_>) -> &'static [u8] {
    let listens = descriptor.socket.is_some_and(|s| s.role == Role::Listener);
    match type_name(descriptor) {
        b"file" => b"f",
        b"directory" => b"d",
        b"ipv4" if listens => b"2",
        b"ipv6" if listens => b"3",
        b"ipv4" => b"4",
        b"ipv6" => b"6",
        b"unix" | b"userfaultfd" => b"u",
        b"netlink" => b"n",
        b"pipe" => b"p",
        b"event" => b"e",
        b"signalfd" => b"s",
        b"eventpoll" => b"l",
        b"inotify" => b"i",
        b"timerfd" => b"t",
        b"bpf" => b"b",
        b"io_uring" => b"r",
        b"memfd" => b"m",
        b"pidfd" => b"P",
        _ => b"o",
    }
}

/// The type that a call would have made.
fn failed_typechar(cx: &EventContext<'_>) -> &'static [u8] {
    match cx.shape().name {
        "open" | "openat" | "openat2" | "creat" => b"f",
        "socket" | "accept" | "accept4" => b"4",
        "pipe" | "pipe2" => b"p",
        "eventfd" | "eventfd2" => b"e",
        "signalfd" | "signalfd4" => b"s",
        "timerfd_create" => b"t",
        "inotify_init" | "inotify_init1" => b"i",
        _ => b"o",
    }
}

/// An IP socket's protocol: one that is not bound or connected to anything has none yet, as in Falco.
fn protocol(socket: &Socket) -> &'static [u8] {
    match socket.protocol.filter(|p| socket.role != Role::None || *p == Protocol::Raw) {
        Some(Protocol::Tcp) => b"tcp",
        Some(Protocol::Udp) => b"udp",
        Some(Protocol::Icmp) => b"icmp",
        Some(Protocol::Raw) => b"raw",
        None => NOTHING,
    }
}
