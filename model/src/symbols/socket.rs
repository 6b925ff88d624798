//! Constants of sockets.

use super::{field, flag, hex, push_or, symbol_sets};

symbol_sets! {
    SOCKET_SETS;
    /// Address families.
    FAMILY: 32, "family" [
        flag(0, "AF_UNSPEC"), flag(1, "AF_UNIX"), flag(2, "AF_INET"), flag(3, "AF_AX25"), flag(4, "AF_IPX"),
        flag(5, "AF_APPLETALK"), flag(6, "AF_NETROM"), flag(7, "AF_BRIDGE"), flag(8, "AF_ATMPVC"), flag(9, "AF_X25"),
        flag(10, "AF_INET6"), flag(11, "AF_ROSE"), flag(12, "AF_DECnet"), flag(13, "AF_NETBEUI"),
        flag(14, "AF_SECURITY"), flag(15, "AF_KEY"), flag(16, "AF_NETLINK"), flag(17, "AF_PACKET"), flag(18, "AF_ASH"),
        flag(19, "AF_ECONET"), flag(20, "AF_ATMSVC"), flag(21, "AF_RDS"), flag(22, "AF_SNA"), flag(23, "AF_IRDA"),
        flag(24, "AF_PPPOX"), flag(25, "AF_WANPIPE"), flag(26, "AF_LLC"), flag(27, "AF_IB"), flag(28, "AF_MPLS"),
        flag(29, "AF_CAN"), flag(30, "AF_TIPC"), flag(31, "AF_BLUETOOTH"), flag(32, "AF_IUCV"), flag(33, "AF_RXRPC"),
        flag(34, "AF_ISDN"), flag(35, "AF_PHONET"), flag(36, "AF_IEEE802154"), flag(37, "AF_CAIF"), flag(38, "AF_ALG"),
        flag(39, "AF_NFC"), flag(40, "AF_VSOCK"), flag(41, "AF_KCM"), flag(42, "AF_QIPCRTR"), flag(43, "AF_SMC"),
        flag(44, "AF_XDP"), flag(45, "AF_MCTP"),
    ];
    /// Socket types.
    SOCK_TYPE: 32, "sock_type" [
        flag(1, "SOCK_STREAM"), flag(2, "SOCK_DGRAM"), flag(3, "SOCK_RAW"), flag(4, "SOCK_RDM"),
        flag(5, "SOCK_SEQPACKET"), flag(6, "SOCK_DCCP"), flag(10, "SOCK_PACKET"),
    ];
    /// Flags beside a socket's type, and of `accept4`.
    SOCK: 32, "sock" [flag(0o2_000_000, "SOCK_CLOEXEC"), flag(0o4000, "SOCK_NONBLOCK"),];
    /// Protocols of `AF_INET` and `AF_INET6`.
    IPPROTO: 32, "ipproto" [
        flag(0, "IPPROTO_IP"), flag(1, "IPPROTO_ICMP"), flag(2, "IPPROTO_IGMP"), flag(4, "IPPROTO_IPIP"),
        flag(6, "IPPROTO_TCP"), flag(8, "IPPROTO_EGP"), flag(12, "IPPROTO_PUP"), flag(17, "IPPROTO_UDP"),
        flag(22, "IPPROTO_IDP"), flag(29, "IPPROTO_TP"), flag(33, "IPPROTO_DCCP"), flag(41, "IPPROTO_IPV6"),
        flag(46, "IPPROTO_RSVP"), flag(47, "IPPROTO_GRE"), flag(50, "IPPROTO_ESP"), flag(51, "IPPROTO_AH"),
        flag(58, "IPPROTO_ICMPV6"), flag(92, "IPPROTO_MTP"), flag(94, "IPPROTO_BEETPH"), flag(98, "IPPROTO_ENCAP"),
        flag(103, "IPPROTO_PIM"), flag(108, "IPPROTO_COMP"), flag(115, "IPPROTO_L2TP"), flag(132, "IPPROTO_SCTP"),
        flag(136, "IPPROTO_UDPLITE"), flag(137, "IPPROTO_MPLS"), flag(143, "IPPROTO_ETHERNET"),
        flag(255, "IPPROTO_RAW"), flag(256, "IPPROTO_SMC"), flag(262, "IPPROTO_MPTCP"),
    ];
    /// Protocols of `AF_NETLINK`.
    NETLINK: 32, "netlink" [
        flag(0, "NETLINK_ROUTE"), flag(1, "NETLINK_UNUSED"), flag(2, "NETLINK_USERSOCK"), flag(3, "NETLINK_FIREWALL"),
        flag(4, "NETLINK_SOCK_DIAG"), flag(5, "NETLINK_NFLOG"), flag(6, "NETLINK_XFRM"), flag(7, "NETLINK_SELINUX"),
        flag(8, "NETLINK_ISCSI"), flag(9, "NETLINK_AUDIT"), flag(10, "NETLINK_FIB_LOOKUP"),
        flag(11, "NETLINK_CONNECTOR"), flag(12, "NETLINK_NETFILTER"), flag(13, "NETLINK_IP6_FW"),
        flag(14, "NETLINK_DNRTMSG"), flag(15, "NETLINK_KOBJECT_UEVENT"), flag(16, "NETLINK_GENERIC"),
        flag(18, "NETLINK_SCSITRANSPORT"), flag(19, "NETLINK_ECRYPTFS"), flag(20, "NETLINK_RDMA"),
        flag(21, "NETLINK_CRYPTO"), flag(22, "NETLINK_SMC"),
    ];
    /// `send`, `recv` flags.
    MSG: 32, "msg" [
        flag(1, "MSG_OOB"), flag(2, "MSG_PEEK"), flag(4, "MSG_DONTROUTE"), flag(8, "MSG_CTRUNC"),
        flag(0x10, "MSG_PROBE"), flag(0x20, "MSG_TRUNC"), flag(0x40, "MSG_DONTWAIT"), flag(0x80, "MSG_EOR"),
        flag(0x100, "MSG_WAITALL"), flag(0x200, "MSG_FIN"), flag(0x400, "MSG_SYN"), flag(0x800, "MSG_CONFIRM"),
        flag(0x1000, "MSG_RST"), flag(0x2000, "MSG_ERRQUEUE"), flag(0x4000, "MSG_NOSIGNAL"), flag(0x8000, "MSG_MORE"),
        flag(0x10000, "MSG_WAITFORONE"), flag(0x40000, "MSG_BATCH"), flag(0x0400_0000, "MSG_ZEROCOPY"),
        flag(0x2000_0000, "MSG_FASTOPEN"), flag(0x4000_0000, "MSG_CMSG_CLOEXEC"),
    ];
    /// `shutdown` directions.
    SHUTDOWN: 32, "shutdown" [flag(0, "SHUT_RD"), flag(1, "SHUT_WR"), flag(2, "SHUT_RDWR"),];
    /// Levels of socket options.
    SOCK_LEVEL: 32, "sock_level" [
        flag(0, "SOL_IP"), flag(1, "SOL_SOCKET"), flag(6, "SOL_TCP"), flag(17, "SOL_UDP"), flag(41, "SOL_IPV6"),
        flag(58, "SOL_ICMPV6"), flag(132, "SOL_SCTP"), flag(136, "SOL_UDPLITE"), flag(255, "SOL_RAW"),
        flag(263, "SOL_PACKET"), flag(270, "SOL_NETLINK"), flag(279, "SOL_ALG"), flag(282, "SOL_TLS"),
        flag(283, "SOL_XDP"), flag(284, "SOL_MPTCP"), flag(287, "SOL_VSOCK"),
    ];
    /// Options of `SOL_SOCKET`.
    SO: 32, "so" [
        flag(1, "SO_DEBUG"), flag(2, "SO_REUSEADDR"), flag(3, "SO_TYPE"), flag(4, "SO_ERROR"),
        flag(5, "SO_DONTROUTE"), flag(6, "SO_BROADCAST"), flag(7, "SO_SNDBUF"), flag(8, "SO_RCVBUF"),
        flag(9, "SO_KEEPALIVE"), flag(10, "SO_OOBINLINE"), flag(11, "SO_NO_CHECK"), flag(12, "SO_PRIORITY"),
        flag(13, "SO_LINGER"), flag(14, "SO_BSDCOMPAT"), flag(15, "SO_REUSEPORT"), flag(16, "SO_PASSCRED"),
        flag(17, "SO_PEERCRED"), flag(18, "SO_RCVLOWAT"), flag(19, "SO_SNDLOWAT"), flag(20, "SO_RCVTIMEO_OLD"),
        flag(21, "SO_SNDTIMEO_OLD"), flag(22, "SO_SECURITY_AUTHENTICATION"),
        flag(23, "SO_SECURITY_ENCRYPTION_TRANSPORT"), flag(24, "SO_SECURITY_ENCRYPTION_NETWORK"),
        flag(25, "SO_BINDTODEVICE"), flag(26, "SO_ATTACH_FILTER"), flag(27, "SO_DETACH_FILTER"),
        flag(28, "SO_PEERNAME"), flag(29, "SO_TIMESTAMP_OLD"), flag(30, "SO_ACCEPTCONN"), flag(31, "SO_PEERSEC"),
        flag(32, "SO_SNDBUFFORCE"), flag(33, "SO_RCVBUFFORCE"), flag(34, "SO_PASSSEC"), flag(35, "SO_TIMESTAMPNS_OLD"),
        flag(36, "SO_MARK"), flag(37, "SO_TIMESTAMPING_OLD"), flag(38, "SO_PROTOCOL"), flag(39, "SO_DOMAIN"),
        flag(40, "SO_RXQ_OVFL"), flag(41, "SO_WIFI_STATUS"), flag(42, "SO_PEEK_OFF"), flag(43, "SO_NOFCS"),
        flag(44, "SO_LOCK_FILTER"), flag(45, "SO_SELECT_ERR_QUEUE"), flag(46, "SO_BUSY_POLL"),
        flag(47, "SO_MAX_PACING_RATE"), flag(48, "SO_BPF_EXTENSIONS"), flag(49, "SO_INCOMING_CPU"),
        flag(50, "SO_ATTACH_BPF"), flag(51, "SO_ATTACH_REUSEPORT_CBPF"), flag(52, "SO_ATTACH_REUSEPORT_EBPF"),
        flag(53, "SO_CNX_ADVICE"), flag(55, "SO_MEMINFO"), flag(56, "SO_INCOMING_NAPI_ID"), flag(57, "SO_COOKIE"),
        flag(59, "SO_PEERGROUPS"), flag(60, "SO_ZEROCOPY"), flag(61, "SO_TXTIME"), flag(62, "SO_BINDTOIFINDEX"),
        flag(63, "SO_TIMESTAMP_NEW"), flag(64, "SO_TIMESTAMPNS_NEW"), flag(65, "SO_TIMESTAMPING_NEW"),
        flag(66, "SO_RCVTIMEO_NEW"), flag(67, "SO_SNDTIMEO_NEW"), flag(68, "SO_DETACH_REUSEPORT_BPF"),
        flag(69, "SO_PREFER_BUSY_POLL"), flag(70, "SO_BUSY_POLL_BUDGET"), flag(71, "SO_NETNS_COOKIE"),
        flag(72, "SO_BUF_LOCK"), flag(73, "SO_RESERVE_MEM"), flag(74, "SO_TXREHASH"), flag(75, "SO_RCVMARK"),
        flag(76, "SO_PASSPIDFD"), flag(77, "SO_PEERPIDFD"),
    ];
    /// Options of `SOL_TCP`.
    TCP: 32, "tcp" [
        flag(1, "TCP_NODELAY"), flag(2, "TCP_MAXSEG"), flag(3, "TCP_CORK"), flag(4, "TCP_KEEPIDLE"),
        flag(5, "TCP_KEEPINTVL"), flag(6, "TCP_KEEPCNT"), flag(7, "TCP_SYNCNT"), flag(8, "TCP_LINGER2"),
        flag(9, "TCP_DEFER_ACCEPT"), flag(10, "TCP_WINDOW_CLAMP"), flag(11, "TCP_INFO"), flag(12, "TCP_QUICKACK"),
        flag(13, "TCP_CONGESTION"), flag(14, "TCP_MD5SIG"), flag(18, "TCP_USER_TIMEOUT"), flag(19, "TCP_REPAIR"),
        flag(20, "TCP_REPAIR_QUEUE"), flag(21, "TCP_QUEUE_SEQ"), flag(22, "TCP_REPAIR_OPTIONS"),
        flag(23, "TCP_FASTOPEN"), flag(24, "TCP_TIMESTAMP"), flag(25, "TCP_NOTSENT_LOWAT"), flag(26, "TCP_CC_INFO"),
        flag(27, "TCP_SAVE_SYN"), flag(28, "TCP_SAVED_SYN"), flag(29, "TCP_REPAIR_WINDOW"),
        flag(30, "TCP_FASTOPEN_CONNECT"), flag(31, "TCP_ULP"), flag(32, "TCP_MD5SIG_EXT"), flag(33, "TCP_FASTOPEN_KEY"),
        flag(34, "TCP_FASTOPEN_NO_COOKIE"), flag(35, "TCP_ZEROCOPY_RECEIVE"), flag(36, "TCP_INQ"),
        flag(37, "TCP_TX_DELAY"),
    ];
    /// Options of `SOL_IP`.
    IP: 32, "ip" [
        flag(1, "IP_TOS"), flag(2, "IP_TTL"), flag(3, "IP_HDRINCL"), flag(4, "IP_OPTIONS"), flag(5, "IP_ROUTER_ALERT"),
        flag(6, "IP_RECVOPTS"), flag(7, "IP_RETOPTS"), flag(8, "IP_PKTINFO"), flag(9, "IP_PKTOPTIONS"),
        flag(10, "IP_MTU_DISCOVER"), flag(11, "IP_RECVERR"), flag(12, "IP_RECVTTL"), flag(13, "IP_RECVTOS"),
        flag(14, "IP_MTU"), flag(15, "IP_FREEBIND"), flag(16, "IP_IPSEC_POLICY"), flag(17, "IP_XFRM_POLICY"),
        flag(18, "IP_PASSSEC"), flag(19, "IP_TRANSPARENT"), flag(20, "IP_ORIGDSTADDR"), flag(21, "IP_MINTTL"),
        flag(22, "IP_NODEFRAG"), flag(23, "IP_CHECKSUM"), flag(24, "IP_BIND_ADDRESS_NO_PORT"),
        flag(25, "IP_RECVFRAGSIZE"), flag(26, "IP_RECVERR_RFC4884"), flag(32, "IP_MULTICAST_IF"),
        flag(33, "IP_MULTICAST_TTL"), flag(34, "IP_MULTICAST_LOOP"), flag(35, "IP_ADD_MEMBERSHIP"),
        flag(36, "IP_DROP_MEMBERSHIP"), flag(37, "IP_UNBLOCK_SOURCE"), flag(38, "IP_BLOCK_SOURCE"),
        flag(39, "IP_ADD_SOURCE_MEMBERSHIP"), flag(40, "IP_DROP_SOURCE_MEMBERSHIP"), flag(41, "IP_MSFILTER"), flag(42, "MCAST_JOIN_GROUP"), flag(43, "MCAST_BLOCK_SOURCE"), flag(44, "MCAST_UNBLOCK_SOURCE"), flag(45, "MCAST_LEAVE_GROUP"), flag(46, "MCAST_JOIN_SOURCE_GROUP"), flag(47, "MCAST_LEAVE_SOURCE_GROUP"), flag(48, "MCAST_MSFILTER"),
        flag(49, "IP_MULTICAST_ALL"), flag(50, "IP_UNICAST_IF"), flag(64, "IPT_SO_SET_REPLACE"),
    ];
    /// Options of `SOL_IPV6`.
    IPV6: 32, "ipv6" [
        flag(1, "IPV6_ADDRFORM"), flag(2, "IPV6_2292PKTINFO"), flag(3, "IPV6_2292HOPOPTS"), flag(6, "IPV6_2292PKTOPTIONS"),
        flag(7, "IPV6_CHECKSUM"), flag(8, "IPV6_2292HOPLIMIT"), flag(16, "IPV6_UNICAST_HOPS"),
        flag(17, "IPV6_MULTICAST_IF"), flag(18, "IPV6_MULTICAST_HOPS"), flag(19, "IPV6_MULTICAST_LOOP"),
        flag(20, "IPV6_ADD_MEMBERSHIP"), flag(21, "IPV6_DROP_MEMBERSHIP"), flag(22, "IPV6_ROUTER_ALERT"),
        flag(23, "IPV6_MTU_DISCOVER"), flag(24, "IPV6_MTU"), flag(25, "IPV6_RECVERR"), flag(26, "IPV6_V6ONLY"),
        flag(27, "IPV6_JOIN_ANYCAST"), flag(28, "IPV6_LEAVE_ANYCAST"), flag(49, "IPV6_RECVPKTINFO"),
        flag(50, "IPV6_PKTINFO"), flag(51, "IPV6_RECVHOPLIMIT"), flag(52, "IPV6_HOPLIMIT"), flag(66, "IPV6_RECVTCLASS"),
        flag(67, "IPV6_TCLASS"), flag(70, "IPV6_AUTOFLOWLABEL"), flag(72, "IPV6_ADDR_PREFERENCES"),
        flag(75, "IPV6_TRANSPARENT"), flag(78, "IPV6_FREEBIND"),
    ];
    /// Options of `SOL_NETLINK`.
    NETLINK_OPTION: 32, "netlink_option" [
        flag(1, "NETLINK_ADD_MEMBERSHIP"), flag(2, "NETLINK_DROP_MEMBERSHIP"), flag(3, "NETLINK_PKTINFO"),
        flag(4, "NETLINK_BROADCAST_ERROR"), flag(5, "NETLINK_NO_ENOBUFS"), flag(8, "NETLINK_LISTEN_ALL_NSID"),
        flag(9, "NETLINK_LIST_MEMBERSHIPS"), flag(10, "NETLINK_CAP_ACK"), flag(11, "NETLINK_EXT_ACK"),
        flag(12, "NETLINK_GET_STRICT_CHK"),
    ];
    /// Options of `SOL_PACKET`.
    PACKET: 32, "packet" [
        flag(1, "PACKET_ADD_MEMBERSHIP"), flag(2, "PACKET_DROP_MEMBERSHIP"), flag(3, "PACKET_RECV_OUTPUT"),
        flag(5, "PACKET_RX_RING"), flag(6, "PACKET_STATISTICS"), flag(8, "PACKET_AUXDATA"), flag(10, "PACKET_VERSION"),
        flag(13, "PACKET_TX_RING"), flag(15, "PACKET_VNET_HDR"), flag(18, "PACKET_FANOUT"),
    ];
    /// Well-known protocols of Ethernet frames, as `AF_PACKET` sockets name them.
    ETHER: 32, "ether" [
        field(u64::MAX, 0x0003, "ETH_P_ALL"), field(u64::MAX, 0x0800, "ETH_P_IP"), field(u64::MAX, 0x0806, "ETH_P_ARP"),
        field(u64::MAX, 0x86dd, "ETH_P_IPV6"),
    ];
}

/// A socket's type with its flags: `SOCK_STREAM|SOCK_CLOEXEC`.
pub fn socket_type(value: u64) -> String {
    let value = value & 0xffff_ffff;
    let mut out = SOCK_TYPE.symbol(value & 0xf);
    if value & !0xf != 0 {
        push_or(&mut out, &SOCK.flags(value & !0xf));
    }
    out
}

/// A socket's protocol in its family.
pub fn socket_protocol(family: u64, protocol: u64) -> String {
    const INET: u64 = 2;
    const INET6: u64 = 10;
    const NETLINK_FAMILY: u64 = 16;
    const PACKET_FAMILY: u64 = 17;
    let protocol = protocol & 0xffff_ffff;
    match family & 0xffff_ffff {
        INET | INET6 => IPPROTO.symbol(protocol),
        NETLINK_FAMILY => NETLINK.symbol(protocol),
        PACKET_FAMILY => match u16::try_from(protocol).map(u16::swap_bytes) {
            Ok(host) if ETHER.name_of(host.into()).is_some() => {
                format!("htons({})", ETHER.symbol(host.into()))
            }
            _ => hex(protocol),
        },
        _ => protocol.to_string(),
    }
}

/// The name of a socket option at its level.
pub fn socket_option(level: u64, option: u64) -> String {
    let set = match level & 0xffff_ffff {
        0 => &IP,
        1 => &SO,
        6 => &TCP,
        41 => &IPV6,
        263 => &PACKET,
        270 => &NETLINK_OPTION,
        _ => return hex(option & 0xffff_ffff),
    };
    set.symbol(option)
}
