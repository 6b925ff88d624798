//! Linux socket addresses from the bytes of a `struct sockaddr`.
//!
//! The bytes come from a program or from the kernel; every length is checked, what is too short or of a family
//! that is not decoded keeps its bytes.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
};

use afterimage_format::{Event, FieldTag};

use crate::{
    codec::{Input, SnapshotError, Stored},
    symbols,
    text::{self, Safe},
};

/// A socket address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    /// `AF_UNSPEC`: no address (disconnects a datagram socket).
    Unspecified,
    /// `AF_INET`.
    V4(SocketAddrV4),
    /// `AF_INET6`.
    V6(SocketAddrV6),
    /// `AF_UNIX` without a name.
    UnixUnnamed,
    /// `AF_UNIX` with a path.
    UnixPath(Vec<u8>),
    /// `AF_UNIX` with a name in the abstract namespace, without its leading NUL.
    UnixAbstract(Vec<u8>),
    /// `AF_NETLINK`.
    Netlink {
        /// Port id: mostly a pid, 0 for the kernel.
        port: u32,
        /// Multicast groups.
        groups: u32,
    },
    /// `AF_PACKET`.
    Packet {
        /// Ethernet protocol, host order.
        protocol: u16,
        /// Interface index.
        interface: i32,
    },
    /// `AF_VSOCK`.
    Vsock {
        /// Context id.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// Another family, or too short for its own.
    Other {
        /// The family.
        family: u16,
        /// Everything behind it.
        bytes: Vec<u8>,
    },
}

/// The family's numbers.
mod family {
    pub(super) const UNSPEC: u16 = 0;
    pub(super) const UNIX: u16 = 1;
    pub(super) const INET: u16 = 2;
    pub(super) const INET6: u16 = 10;
    pub(super) const NETLINK: u16 = 16;
    pub(super) const PACKET: u16 = 17;
    pub(super) const VSOCK: u16 = 40;
}

impl SocketAddress {
    /// The addresses of the messages behind the first of a call of many, as far as they had one.
    pub(crate) fn of_further_messages(event: &Event<'_>) -> impl Iterator<Item = Self> {
        let fields = event.fields.iter().filter(|field| field.tag == FieldTag::SOCKADDR);
        fields.skip(1).filter_map(|field| Self::parse(field.bytes))
    }

    /// Decodes a `struct sockaddr`; `None` where not even the family is there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        let family = u16::from_le_bytes(*head);
        let decoded = match family {
            family::UNSPEC => Some(Self::Unspecified),
            family::UNIX => Some(Self::unix(rest)),
            family::INET => Self::v4(rest),
            family::INET6 => Self::v6(rest),
            family::NETLINK => Self::netlink(rest),
            family::PACKET => Self::packet(rest),
            family::VSOCK => Self::vsock(rest),
            _ => None,
        };
        Some(decoded.unwrap_or_else(|| Self::Other { family, bytes: rest.to_vec() }))
    }

    fn unix(rest: &[u8]) -> Self {
        match rest.split_first() {
            None => Self::UnixUnnamed,
            Some((0, name)) if name.iter().all(|&b| b == 0) => Self::UnixUnnamed,
            Some((0, name)) => Self::UnixAbstract(name.to_vec()),
            Some(_) => Self::UnixPath(rest.split(|&b| b == 0).next().unwrap_or(rest).to_vec()),
        }
    }

    fn v4(rest: &[u8]) -> Option<Self> {
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (ip, _) = rest.split_first_chunk::<4>()?;
        Some(Self::V4(SocketAddrV4::new(Ipv4Addr::from(*ip), u16::from_be_bytes(*port))))
    }

    fn v6(rest: &[u8]) -> Option<Self> {
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (flow, rest) = rest.split_first_chunk::<4>()?;
        let (ip, rest) = rest.split_first_chunk::<16>()?;
        let scope = rest.first_chunk::<4>().map_or(0, |s| u32::from_le_bytes(*s));
        let port = u16::from_be_bytes(*port);
        Some(Self::V6(SocketAddrV6::new(Ipv6Addr::from(*ip), port, u32::from_be_bytes(*flow), scope)))
    }

    fn netlink(rest: &[u8]) -> Option<Self> {
        let (port, rest) = rest.get(2..)?.split_first_chunk::<4>()?;
        let groups = rest.first_chunk::<4>().map_or(0, |g| u32::from_le_bytes(*g));
        Some(Self::Netlink { port: u32::from_le_bytes(*port), groups })
    }

    fn packet(rest: &[u8]) -> Option<Self> {
        let (protocol, rest) = rest.split_first_chunk::<2>()?;
        let (interface, _) = rest.split_first_chunk::<4>()?;
        Some(Self::Packet {
            protocol: u16::from_be_bytes(*protocol),
            interface: i32::from_le_bytes(*interface),
        })
    }

    fn vsock(rest: &[u8]) -> Option<Self> {
        let (port, rest) = rest.get(2..)?.split_first_chunk::<4>()?;
        let (cid, _) = rest.split_first_chunk::<4>()?;
        Some(Self::Vsock { cid: u32::from_le_bytes(*cid), port: u32::from_le_bytes(*port) })
    }

    /// The bytes of a `struct sockaddr` that [`Self::parse`] reads as this.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.family().to_le_bytes().to_vec();
        match self {
            Self::Unspecified | Self::UnixUnnamed => {}
            Self::V4(a) => {
                out.extend_from_slice(&a.port().to_be_bytes());
                out.extend_from_slice(&a.ip().octets());
                out.extend_from_slice(&[0; 8]);
            }
            Self::V6(a) => {
                out.extend_from_slice(&a.port().to_be_bytes());
                out.extend_from_slice(&a.flowinfo().to_be_bytes());
                out.extend_from_slice(&a.ip().octets());
                out.extend_from_slice(&a.scope_id().to_le_bytes());
            }
            Self::UnixPath(path) => out.extend_from_slice(path),
            Self::UnixAbstract(name) => {
                out.push(0);
                out.extend_from_slice(name);
            }
            Self::Netlink { port: first, groups: second } | Self::Vsock { port: first, cid: second } => {
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&second.to_le_bytes());
            }
            Self::Packet { protocol, interface } => {
                out.extend_from_slice(&protocol.to_be_bytes());
                out.extend_from_slice(&interface.to_le_bytes());
            }
            Self::Other { bytes, .. } => out.extend_from_slice(bytes),
        }
        out
    }

    /// Its family's number.
    pub fn family(&self) -> u16 {
        match self {
            Self::Unspecified => family::UNSPEC,
            Self::V4(_) => family::INET,
            Self::V6(_) => family::INET6,
            Self::UnixUnnamed | Self::UnixPath(_) | Self::UnixAbstract(_) => family::UNIX,
            Self::Netlink { .. } => family::NETLINK,
            Self::Packet { .. } => family::PACKET,
            Self::Vsock { .. } => family::VSOCK,
            Self::Other { family, .. } => *family,
        }
    }

    /// The IP address; one of version 4 also where it is mapped into version 6.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::V4(a) => Some((*a.ip()).into()),
            Self::V6(a) => Some(a.ip().to_canonical()),
            _ => None,
        }
    }

    /// The port of an IP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::V4(a) => Some(a.port()),
            Self::V6(a) => Some(a.port()),
            _ => None,
        }
    }

    /// Its port as an end of a socket of this protocol: below TCP and UDP there are none.
    pub fn port_seen_by(&self, protocol: &str) -> Option<u16> {
        self.port().filter(|_| !matches!(protocol, "raw" | "icmp"))
    }

    /// Its text as an end of a socket of this protocol: without a port where there are none.
    pub fn seen_by(&self, protocol: &str) -> Safe {
        match (self.ip(), self.port_seen_by(protocol)) {
            (Some(ip), None) => Safe::format(format_args!("{ip}")),
            _ => Safe::format(format_args!("{self}")),
        }
    }

    /// Whether it names anything: not unspecified, not unnamed, not `0.0.0.0:0`.
    pub fn is_named(&self) -> bool {
        match self {
            Self::Unspecified | Self::UnixUnnamed => false,
            Self::V4(_) | Self::V6(_) => {
                self.port() != Some(0) || !self.ip().is_some_and(|ip| ip.is_unspecified())
            }
            _ => true,
        }
    }
}

/// Safe to print: names are escaped.
impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => f.write_str("unspecified"),
            Self::V4(a) => write!(f, "{a}"),
            Self::V6(a) => write!(f, "{a}"),
            Self::UnixUnnamed => f.write_str("unix:"),
            Self::UnixPath(path) => write!(f, "unix:{}", text::escape(path)),
            Self::UnixAbstract(name) => write!(f, "unix:@{}", text::escape(name)),
            Self::Netlink { port, groups } => write!(f, "netlink:{port} groups {groups:#x}"),
            Self::Packet { protocol, interface } => write!(f, "packet:{protocol:#06x} interface {interface}"),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Other { family, bytes } => {
                write!(f, "{}:{}", symbols::FAMILY.symbol((*family).into()), text::escape(bytes))
            }
        }
    }
}

impl Stored for SocketAddress {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_bytes().put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        Self::parse(&Vec::<u8>::get(input)?).ok_or_else(|| input.invalid())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> String {
        SocketAddress::parse(bytes).unwrap().to_string()
    }

    #[test]
    fn addresses_read_as_people_write_them() {
        assert_eq!(shown(&[2, 0, 0x11, 0x5c, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), "127.0.0.1:4444");
        let mut v6 = vec![10, 0, 0, 80, 0, 0, 0, 0];
        v6.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        v6.extend_from_slice(&[0; 4]);
        assert_eq!(shown(&v6), "[::1]:80");
        assert_eq!(shown(b"\x01\0/run/x\0rest"), "unix:/run/x");
        assert_eq!(shown(b"\x01\0/run/\x1b[2J"), r"unix:/run/\x1b[2J");
        assert_eq!(shown(b"\x01\0\0abs\0t"), r"unix:@abs\x00t");
        assert_eq!(shown(b"\x01\0"), "unix:");
        assert_eq!(shown(&[16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0]), "netlink:7 groups 0x1");
        assert_eq!(shown(&[2, 0, 1]), r"AF_INET:\x01");
        assert_eq!(SocketAddress::parse(&[2]), None);
    }

    #[test]
    fn an_end_of_a_raw_socket_has_no_port() {
        let address = SocketAddress::parse(&[2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        for protocol in ["raw", "icmp"] {
            assert_eq!(address.seen_by(protocol).as_str(), "127.0.0.1");
            assert_eq!(address.port_seen_by(protocol), None);
        }
        assert_eq!(address.seen_by("udp").as_str(), "127.0.0.1:0");
        assert_eq!(address.port_seen_by("udp"), Some(0));
        assert_eq!(SocketAddress::UnixPath(b"/x".to_vec()).seen_by("raw").as_str(), "unix:/x");
    }

    #[test]
    fn an_address_mapped_into_version_six_is_told_as_version_four() {
        let mut v6 = vec![10, 0, 0, 80, 0, 0, 0, 0];
        v6.extend_from_slice(&Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets());
        assert_eq!(SocketAddress::parse(&v6).unwrap().ip(), Some(Ipv4Addr::new(10, 1, 2, 3).into()));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_and_print_safely(bytes in prop::collection::vec(any::<u8>(), 2..140)) {
            let address = SocketAddress::parse(&bytes).unwrap();
            let shown = address.to_string();
            prop_assert_eq!(Safe::format(format_args!("{shown}")).into_string(), shown);
            prop_assert_eq!(SocketAddress::parse(&address.to_bytes()), Some(address));
        }
    }
}
