//! Whom a call that connects, accepts, sends or receives was with: as the kernel's socket has it, or as the program
//! claimed it.
//!
//! The kernel's socket is read when the call returns. Of a connection that was refused it has no port any more, and may
//! have the address of an earlier one: what was attempted is known from the program alone then.

use afterimage_format::{Event, FieldTag};

use crate::{sockaddr::SocketAddress, syscalls};

const EINTR: i64 = -4;
/// The socket is connected.
pub(crate) const EISCONN: i64 = -106;
/// The socket is about to be connected.
pub(crate) const EALREADY: i64 = -114;
/// The connection is begun, and its outcome comes later.
pub(crate) const EINPROGRESS: i64 = -115;
/// `ERESTARTSYS` and its kin: a signal came while the connection was under way.
const RESTARTED: std::ops::RangeInclusive<i64> = -516..=-512;

/// The other end of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddress,
    /// The address is the one in the program's memory: the kernel's socket had none, or not that of this attempt.
    pub claimed: bool,
}

/// Whom the event was with; `None` where neither the kernel nor the program told.
pub fn of_event(event: &Event<'_>) -> Option<Peer> {
    of_message(event, event.bytes(FieldTag::SOCKADDR))
}

/// The same of one message of a call that moves many, by the address that the program told for it.
pub fn of_message(event: &Event<'_>, told: Option<&[u8]>) -> Option<Peer> {
    let parse = |bytes| SocketAddress::parse(bytes).filter(SocketAddress::is_named);
    let kernel = event.bytes(FieldTag::PEER).and_then(parse);
    let claimed = told.and_then(parse);
    let claim = |address| Peer { address, claimed: true };
    let fact = |address| Peer { address, claimed: false };
    if attempt_failed(event) {
        // What the socket has is left from before.
        return claimed.map(claim);
    }
    match (kernel, claimed) {
        (Some(kernel), Some(claimed)) if lacks_port(&kernel) && !lacks_port(&claimed) => Some(claim(claimed)),
        (Some(kernel), _) => Some(fact(kernel)),
        (None, claimed) => claimed.map(claim),
    }
}

/// Whether it is a `connect`, or a call that connects as it sends, that came to nothing, and not for being connected or under way
/// already.
pub fn attempt_failed(event: &Event<'_>) -> bool {
    let goes_on = matches!(event.ret, EISCONN | EALREADY | EINPROGRESS) || is_interrupted(event.ret);
    event.ret < 0 && !goes_on && (syscalls::base_name(event.code) == "connect" || opens_fast(event))
}

/// Whether it is a call that sends to an address with `MSG_FASTOPEN`: of a socket that has connections it makes one, with the first
/// bytes in it.
pub(crate) fn opens_fast(event: &Event<'_>) -> bool {
    const MSG_FASTOPEN: u64 = 0x2000_0000;
    let flags = match syscalls::base_name(event.code) {
        "sendto" | "sendmmsg" => 3,
        "sendmsg" => 2,
        _ => return false,
    };
    let is_asked = event.args.get(flags).is_some_and(|flags| flags & MSG_FASTOPEN != 0);
    is_asked && event.field(FieldTag::SOCKADDR).is_some()
}

/// Whether a signal interrupted the call that has this result: what it began may come to its end without it.
pub(crate) fn is_interrupted(ret: i64) -> bool {
    ret == EINTR || RESTARTED.contains(&ret)
}

/// Whether it is a `connect` of a socket that was connected, or about to be, before.
pub(crate) fn was_before(event: &Event<'_>) -> bool {
    matches!(event.ret, EISCONN | EALREADY)
}

/// Whether a call on a socket whose connection was under way says by its result that it came to nothing. What is wrong with the call
/// alone, such as a bad address, says nothing of the connection.
pub(crate) fn says_connection_failed(ret: i64) -> bool {
    const ENETDOWN: i64 = -100;
    const ENETUNREACH: i64 = -101;
    const ECONNABORTED: i64 = -103;
    const ETIMEDOUT: i64 = -110;
    const ECONNREFUSED: i64 = -111;
    const EHOSTDOWN: i64 = -112;
    const EHOSTUNREACH: i64 = -113;
    matches!(ret, ENETDOWN | ENETUNREACH | ECONNABORTED | ETIMEDOUT | ECONNREFUSED | EHOSTDOWN | EHOSTUNREACH)
}

/// The peer that the kernel's socket still has, where it is one with a port.
pub(crate) fn of_socket(event: &Event<'_>) -> Option<SocketAddress> {
    let kernel = event.bytes(FieldTag::PEER).and_then(SocketAddress::parse);
    kernel.filter(|address| address.is_named() && !lacks_port(address))
}

/// Whether it is an IP address whose port is 0: the kernel's socket is not connected, or below the ports.
pub(crate) fn lacks_port(address: &SocketAddress) -> bool {
    address.port() == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build, call};

    fn peer(ret: i64, claimed: &str, kernel: Option<&str>) -> Option<(String, bool)> {
        let mut event = call(1, 1, "connect", &[3, 0, 16], ret).with_address(FieldTag::SOCKADDR, claimed);
        if let Some(kernel) = kernel {
            event = event.with_address(FieldTag::PEER, kernel);
        }
        event.with(of_event).map(|peer| (peer.address.to_string(), peer.claimed))
    }

    fn is(address: &str, claimed: bool) -> Option<(String, bool)> {
        Some((address.to_owned(), claimed))
    }

    #[test]
    fn a_refused_connection_keeps_the_port_that_was_asked_for() {
        for ret in [-111, -110, -113, -101, -13] {
            let found = peer(ret, "10.0.0.9:22", Some("10.0.0.9:0"));
            assert_eq!(found, is("10.0.0.9:22", true), "{ret}");
        }
    }

    #[test]
    fn a_failed_attempt_is_not_told_as_the_one_before() {
        let found = peer(-101, "10.0.0.9:22", Some("127.0.0.1:0"));
        assert_eq!(found, is("10.0.0.9:22", true));
        let found = peer(-101, "10.0.0.9:22", Some("127.0.0.1:80"));
        assert_eq!(found, is("10.0.0.9:22", true), "a datagram socket stays connected");
        let event = call(1, 1, "connect", &[3, 0, 16], -14).with_address(FieldTag::PEER, "127.0.0.1:80");
        assert_eq!(event.with(of_event), None, "what was asked for could not be read");
    }

    #[test]
    fn what_the_kernel_connects_to_comes_before_what_is_claimed() {
        for ret in [0, -115, -114, -4, -512] {
            let found = peer(ret, "10.0.0.9:22", Some("10.0.0.8:80"));
            assert_eq!(found, is("10.0.0.8:80", false), "{ret}");
        }
        let found = peer(-106, "10.0.0.9:22", Some("10.0.0.8:80"));
        assert_eq!(found, is("10.0.0.8:80", false), "it is connected, and stays so");
    }

    #[test]
    fn a_connection_that_was_gone_when_it_was_looked_at_is_the_claimed_one() {
        assert_eq!(peer(-115, "10.0.0.9:22", Some("10.0.0.9:0")), is("10.0.0.9:22", true));
        assert_eq!(peer(0, "10.0.0.9:22", Some("0.0.0.0:0")), is("10.0.0.9:22", true));
        assert_eq!(peer(0, "10.0.0.9:0", Some("10.0.0.9:0")), is("10.0.0.9:0", false), "asked for a route");
    }
}
