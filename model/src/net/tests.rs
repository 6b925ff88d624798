use afterimage_format::{FieldTag, OwnedEvent};

use super::{greeting::tests::client_hello, *};
use crate::dns::tests::message;
use crate::testing::{Build, call, completed, exec, fork, submitted, task};

const BOX: ContainerUid = ContainerUid(7);

fn network(events: &[OwnedEvent]) -> Network {
    let (mut world, mut net) = (World::new(), Network::new());
    for event in events {
        event.with(|e| {
            world.apply(BOX, e);
            net.apply(&world, BOX, e);
        });
    }
    net
}

fn send(time: u64, pid: u32, fd: u64, bytes: &[u8]) -> OwnedEvent {
    call(time, pid, "write", &[fd, 0, 0], bytes.len() as i64).with_field(FieldTag::PAYLOAD, bytes)
}

fn connect(time: u64, pid: u32, fd: u64, to: &str, ret: i64) -> [OwnedEvent; 2] {
    [
        call(time, pid, "socket", &[2, 1, 0], fd.cast_signed()),
        call(time + 1, pid, "connect", &[fd, 0, 16], ret).with_address(FieldTag::SOCKADDR, to),
    ]
}

#[test]
fn a_conversation_counts_both_ways_whoever_takes_part() {
    let mut events = connect(10, 1, 3, "198.51.100.7:443", -115).to_vec();
    events.extend([
        send(20, 1, 3, &client_hello("api.example.com")),
        call(21, 1, "read", &[3, 0, 100], 100),
        fork(22, 1, 2),
        send(23, 2, 3, b"more"),
        call(24, 2, "recvfrom", &[3, 0, 50, 2, 0, 0], 50),
        call(25, 2, "recvfrom", &[3, 0, 50, 0, 0, 0], 50),
        call(26, 2, "read", &[3, 0, 50], -11),
    ]);
    events.extend(connect(30, 1, 4, "198.51.100.7:443", -111));
    let net = network(&events);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((one.protocol, one.direction), ("tcp", Direction::Out));
    assert_eq!((one.connections, one.failures, one.last_error), (1, 1, Some(-111)));
    assert_eq!((one.sent, one.received), (client_hello("api.example.com").len() as u64 + 4, 150));
    let by: Vec<_> = one.processes.iter().map(|by| (by.process, by.first.0)).collect();
    assert_eq!(by, [(task(1).into(), 11), (task(2).into(), 23)]);
    assert_eq!(one.names, [Name { name: b"api.example.com".to_vec(), source: NameSource::Tls }]);
    assert_eq!((one.first.0, one.last.0), (11, 31));
}

/// The connections and failures of each peer.
fn told(net: &Network) -> Vec<(String, u64, u64, bool)> {
    let talks = net.conversations(BOX).iter();
    talks.map(|c| (c.peer.as_ref().unwrap().to_string(), c.connections, c.failures, c.claimed)).collect()
}

#[test]
fn a_scan_of_ports_is_there_with_its_ports_though_the_kernel_forgets_them() {
    let mut events = Vec::new();
    for port in 20..23 {
        let [socket, refused] = connect(10 * port, 1, 3, &format!("10.0.0.9:{port}"), -111);
        events.extend([socket, refused.with_address(FieldTag::PEER, "10.0.0.9:0")]);
    }
    let [_, made] = connect(400, 1, 3, "10.0.0.9:22", 0);
    events.push(made.with_address(FieldTag::PEER, "10.0.0.9:22"));
    let all = told(&network(&events));
    let expected = [("10.0.0.9:20", 0, 1, true), ("10.0.0.9:21", 0, 1, true), ("10.0.0.9:22", 1, 1, false)];
    assert_eq!(all, expected.map(|(peer, made, failed, claimed)| (peer.to_owned(), made, failed, claimed)));
}

#[test]
fn a_connection_that_was_under_way_and_is_refused_later_was_not_made() {
    let again = |time, ret, peer: &str| {
        call(time, 1, "connect", &[3, 0, 16], ret)
            .with_address(FieldTag::SOCKADDR, "10.0.0.8:80")
            .with_address(FieldTag::PEER, peer)
    };
    let begun = || connect(10, 1, 3, "10.0.0.9:22", -115).to_vec();
    let is = |peer: &str, made, failed| vec![(peer.to_owned(), made, failed, true)];
    for later in [
        again(20, -111, "10.0.0.9:0"),
        call(20, 1, "write", &[3, 0, 1], -111),
        call(20, 1, "read", &[3, 0, 1], -110),
    ] {
        let net = network(&[begun(), vec![later]].concat());
        assert_eq!(told(&net), is("10.0.0.9:22", 0, 1), "whatever the second attempt names");
    }
    // The usual ways to learn that it succeeded count no second connection and no failure.
    for later in [-114, -106, 0].map(|ret| again(20, ret, "10.0.0.9:22")) {
        let net = network(&[begun(), vec![later]].concat());
        assert_eq!(told(&net), [("10.0.0.9:22".to_owned(), 1, 0, false)]);
    }
    // What is wrong with a call alone says nothing of the connection.
    let wrong = call(20, 1, "connect", &[3, 0, 16], -14).with_address(FieldTag::PEER, "10.0.0.9:22");
    assert_eq!(told(&network(&[begun(), vec![wrong]].concat())), is("10.0.0.9:22", 1, 0));
    // One that carried bytes was made, whatever comes after.
    let net = network(&[begun(), vec![send(20, 1, 3, b"x"), call(21, 1, "read", &[3, 0, 1], -110)]].concat());
    assert_eq!(told(&net), is("10.0.0.9:22", 1, 0));
}

#[test]
fn a_connection_that_is_opened_by_sending_is_one() {
    const FAST: u64 = 0x2000_0000;
    let opened = |kind: u64, name: &str, ret: i64| {
        let args: &[u64] = if name == "sendmsg" { &[3, 0, FAST] } else { &[3, 0, 21, FAST, 0, 16] };
        let send = call(11, 1, name, args, ret).with_address(FieldTag::SOCKADDR, "203.0.113.9:4444");
        vec![call(10, 1, "socket", &[2, kind, 0], 3), send]
    };
    let is = |made, failed| vec![("203.0.113.9:4444".to_owned(), made, failed, true)];
    for name in ["sendto", "sendmsg"] {
        let net = network(&opened(1, name, 21));
        assert_eq!(told(&net), is(1, 0), "{name}");
        let one = &net.conversations(BOX)[0];
        assert_eq!((one.protocol, one.direction, one.sent), ("tcp", Direction::Out, 21));
        // It goes on without bytes, as one that asks for a cookie does, and comes to nothing.
        assert_eq!(told(&network(&opened(1, name, -115))), is(1, 0));
        for failed in [-111, -95] {
            assert_eq!(told(&network(&opened(1, name, failed))), is(0, 1));
        }
        // Datagrams have no connections.
        let net = network(&opened(2, name, 21));
        assert_eq!(told(&net), is(0, 0));
        assert_eq!(net.conversations(BOX)[0].sent, 21);
    }
    // Who did not wait is told of the failure by the next call, and of the end by one that moves bytes.
    let later = |ret| [opened(1, "sendto", 21), vec![call(20, 1, "read", &[3, 0, 9], ret)]].concat();
    assert_eq!(told(&network(&later(-111))), is(0, 1));
    assert_eq!(told(&network(&later(5))), is(1, 0));
    // The socket is connected: what is sent without an address goes to the same.
    let more = [opened(1, "sendto", 21), vec![send(20, 1, 3, b"more")]].concat();
    let net = network(&more);
    assert_eq!((told(&net), net.conversations(BOX)[0].sent), (is(1, 0), 25));
    let mut world = World::new();
    more.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
    let socket = world.fd(task(1), 3).unwrap().kind.socket().unwrap();
    assert_eq!((socket.state, socket.peer.is_some()), (SocketState::Connected, true));
}

#[test]
fn sockets_that_came_unseen_are_counted_as_far_as_they_are_known() {
    let to = |event: OwnedEvent| event.with_address(FieldTag::SOCKADDR, "203.0.113.9:4444");
    let net = network(&[
        // As a descriptor that came with a message: nothing tells what it is.
        send(1, 1, 7, b"SCM_EXFIL"),
        // And one that was taken from another process, and a copy of it.
        call(2, 1, "pidfd_getfd", &[5, 3, 0], 8),
        call(3, 1, "dup2", &[8, 9], 9),
        send(4, 1, 9, b"GETFD"),
        // A datagram has its address; the kernel tells that of the other end.
        to(call(5, 1, "sendto", &[6, 0, 5, 0, 0, 16], 5)),
        to(call(6, 1, "connect", &[8, 0, 16], -106)).with_address(FieldTag::PEER, "203.0.113.9:4444"),
        send(7, 1, 9, b"known"),
        // What a runtime left open is mostly no socket.
        send(8, 1, 1, b"hello"),
    ]);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((one.peer.as_ref().unwrap().to_string().as_str(), one.sent), ("203.0.113.9:4444", 10));
    assert_eq!(net.unknown(BOX), 14);
}

#[test]
fn names_from_dns_stand_with_the_addresses_they_gave() {
    let answer = message(9, "pypi.internal", &[(5, b"\x01c\xc0\x0c"), (1, &[10, 0, 3, 7])]);
    let mut events = vec![
        call(10, 1, "socket", &[2, 2, 0], 3),
        call(11, 1, "connect", &[3, 0, 16], 0).with_address(FieldTag::SOCKADDR, "10.96.0.10:53"),
        send(12, 1, 3, &message(9, "pypi.internal", &[])),
        send(13, 1, 3, &message(9, "pypi.internal", &[])),
        call(14, 1, "recvfrom", &[3, 0, 512, 0, 0, 0], answer.len() as i64)
            .with_field(FieldTag::PAYLOAD, &answer),
    ];
    events.extend(connect(20, 1, 4, "10.0.3.7:80", 0));
    events.push(send(22, 1, 4, b"GET / HTTP/1.1\r\nHost: pypi.internal\r\n\r\n"));
    let net = network(&events);
    let [lookup] = net.lookups(BOX) else { panic!("{:?}", net.lookups(BOX)) };
    assert_eq!(
        (lookup.name.as_slice(), lookup.kind, lookup.asked, lookup.code),
        (&b"pypi.internal"[..], 1, 2, 0)
    );
    assert_eq!((lookup.time.0, lookup.answered.unwrap().0), (12, 14));
    assert_eq!(lookup.addresses, ["10.0.3.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(lookup.aliases, [b"c.pypi.internal"]);
    let http = net.conversations(BOX).iter().find(|c| c.protocol == "tcp").unwrap();
    let names: Vec<_> = http.names.iter().map(|n| (n.name.as_slice(), n.source.as_str())).collect();
    assert_eq!(names, [(&b"pypi.internal"[..], "dns"), (b"pypi.internal", "host")]);
    assert_eq!(net.names(BOX, "10.0.3.7".parse().unwrap()), [b"pypi.internal"]);
}

#[test]
fn a_server_lists_its_clients_by_host() {
    let mut events = vec![
        exec(5, 1, "/usr/sbin/nginx", &["nginx"]),
        call(10, 1, "socket", &[2, 1, 0], 3),
        call(11, 1, "bind", &[3, 0, 16], 0).with_address(FieldTag::SOCKADDR, "0.0.0.0:80"),
        call(12, 1, "listen", &[3, 128], 0),
        call(13, 1, "listen", &[3, 256], 0),
    ];
    for n in 0..50_u16 {
        let time = 20 + u64::from(n) * 3;
        events.push(
            call(time, 1, "accept4", &[3, 0, 0, 0], 4)
                .with_address(FieldTag::LOCAL, "10.0.0.2:80")
                .with_address(FieldTag::PEER, &format!("10.0.0.9:{}", 40_000 + n)),
        );
        events.push(call(time + 1, 1, "read", &[4, 0, 10], 10));
        events.push(call(time + 2, 1, "close", &[4], 0));
    }
    let net = network(&events);
    let [client] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((client.direction, client.connections, client.received), (Direction::In, 50, 500));
    let [listener] = net.listeners(BOX) else { panic!("{:?}", net.listeners(BOX)) };
    assert_eq!(
        (listener.local.as_ref().unwrap().to_string().as_str(), listener.accepted),
        ("0.0.0.0:80", 50)
    );
}

#[test]
fn datagrams_without_a_connection_go_to_whom_they_name() {
    let net = network(&[
        call(10, 1, "socket", &[2, 2, 0], 3),
        call(11, 1, "sendto", &[3, 0, 5, 0, 0, 16], 5).with_address(FieldTag::SOCKADDR, "10.0.0.1:514"),
        call(12, 1, "sendto", &[3, 0, 6, 0, 0, 16], 6).with_address(FieldTag::SOCKADDR, "10.0.0.2:514"),
        call(13, 1, "write", &[9, 0, 6], 6),
    ]);
    let sent: Vec<_> =
        net.conversations(BOX).iter().map(|c| (c.peer.as_ref().unwrap().to_string(), c.sent)).collect();
    assert_eq!(sent, [("10.0.0.1:514".to_owned(), 5), ("10.0.0.2:514".to_owned(), 6)]);
}

#[test]
fn unix_sockets_with_a_name_are_listed_and_pairs_are_not() {
    let net = network(&[
        call(10, 1, "socket", &[1, 1, 0], 3),
        call(11, 1, "connect", &[3, 0, 20], -13)
            .with_field(FieldTag::SOCKADDR, b"\x01\0/run/containerd.sock\0"),
        call(12, 1, "socketpair", &[1, 1, 0, 0], 0).with_fds([4, 5]),
        call(13, 1, "write", &[4, 0, 6], 6),
    ]);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((one.failures, one.last_error), (1, Some(-13)));
    assert_eq!(one.peer.as_ref().unwrap().to_string(), "unix:/run/containerd.sock");
}

#[test]
fn a_scan_is_bounded_and_counted() {
    let events: Vec<OwnedEvent> = (0..9_000_u32)
        .flat_map(|n| connect(u64::from(n) * 2, 1, 3, &format!("10.{}.{}.1:22", n / 250, n % 250), -111))
        .collect();
    let net = network(&events);
    assert_eq!(net.conversations(BOX).len(), MOST);
    assert_eq!(net.dropped(BOX), 9_000 - MOST as u64);
}

#[test]
fn each_address_of_one_call_with_several_messages_is_a_conversation() {
    let many = |time, name: &str| {
        call(time, 1, name, &[3, 0, 3, 0], 3)
            .with_field(FieldTag::PAYLOAD, b"first")
            .with_address(FieldTag::SOCKADDR, "198.51.100.1:9")
            .with_address(FieldTag::SOCKADDR, "198.51.100.2:9")
            .with_address(FieldTag::SOCKADDR, "198.51.100.2:9")
    };
    let unaddressed = call(13, 1, "sendmmsg", &[3, 0, 2, 0], 2)
        .with_field(FieldTag::PAYLOAD, b"to whom it is connected")
        .with_field(FieldTag::SOCKADDR, b"")
        .with_address(FieldTag::SOCKADDR, "198.51.100.3:9");
    let net = network(&[
        call(10, 1, "socket", &[2, 2, 0], 3),
        many(11, "sendmmsg"),
        many(12, "recvmmsg"),
        unaddressed,
    ]);
    let told: Vec<_> = net
        .conversations(BOX)
        .iter()
        .map(|c| (c.peer.as_ref().map(ToString::to_string), c.sent, c.messages_sent, c.messages_received))
        .collect();
    let to = |address: &str| told.iter().find(|c| c.0.as_deref() == Some(address)).unwrap();
    assert_eq!((to("198.51.100.1:9").1, to("198.51.100.1:9").2, to("198.51.100.1:9").3), (5, 1, 1));
    assert_eq!((to("198.51.100.2:9").1, to("198.51.100.2:9").2, to("198.51.100.2:9").3), (0, 2, 2));
    assert_eq!((to("198.51.100.3:9").1, to("198.51.100.3:9").2), (0, 1), "{told:?}");
    let unread = |address: &str| {
        let all = net.conversations(BOX).iter();
        let mut to = all.filter(|c| c.peer.as_ref().is_some_and(|peer| peer.to_string() == address));
        to.next().map(|c| (c.unread_sent, c.unread_received))
    };
    assert_eq!(unread("198.51.100.1:9"), Some((0, 0)), "its one message is the first");
    assert_eq!(unread("198.51.100.2:9"), Some((2, 2)));
    assert_eq!(unread("198.51.100.3:9"), Some((1, 0)));
}

/// `net -b T` told the sums of the whole recording, because only the end was cut.
#[test]
fn what_was_said_before_the_range_is_not_counted() {
    let mut events = connect(10, 1, 3, "198.51.100.7:443", 0).to_vec();
    events.extend([
        send(20, 1, 3, &client_hello("api.example.com")),
        call(21, 1, "read", &[3, 0, 100], 100),
        send(30, 1, 3, b"more"),
    ]);
    events.extend(connect(40, 1, 4, "198.51.100.8:80", 0));
    events.extend(connect(5, 1, 5, "198.51.100.9:80", 0));
    events.sort_by_key(|event| event.time);
    let (mut world, mut net) = (World::new(), Network::new().counting_from(Some(BootNanos(30))));
    for event in &events {
        event.with(|e| {
            world.apply(BOX, e);
            net.apply(&world, BOX, e);
        });
    }
    let counted: Vec<_> = net
        .counted(BOX)
        .map(|(talk, before)| {
            let peer = talk.peer.as_ref().unwrap().to_string();
            (peer, talk.connections, talk.sent, talk.received, talk.first.0, before)
        })
        .collect();
    assert_eq!(
        counted,
        [
            ("198.51.100.7:443".to_owned(), 0, 4, 0, 30, true),
            ("198.51.100.8:80".to_owned(), 1, 0, 0, 41, false),
        ]
    );
    let (talk, _) = net.counted(BOX).next().unwrap();
    assert_eq!(talk.names[0].name, b"api.example.com", "its name is known from before");
}

/// The protocol, direction and counts of each conversation.
fn sums(net: &Network) -> Vec<(&'static str, Direction, Option<String>, [u64; 4])> {
    let talks = net.conversations(BOX).iter();
    talks
        .map(|c| {
            let peer = c.peer.as_ref().map(ToString::to_string);
            (c.protocol, c.direction, peer, [c.connections, c.failures, c.sent, c.received])
        })
        .collect()
}

#[test]
fn what_goes_through_a_ring_is_counted_though_nobody_tells_to_whom() {
    const ACCEPT: u64 = 13;
    const CONNECT: u64 = 16;
    const SEND: u64 = 26;
    const RECV: u64 = 27;
    const SOCKET: u64 = 45;
    let mut events = vec![
        submitted(10, 1, SOCKET, 1, 0),
        completed(11, 1, SOCKET, 1, 5),
        call(12, 1, "socket", &[2, 1, 0], 6),
        call(13, 1, "bind", &[6, 0, 16], 0).with_address(FieldTag::SOCKADDR, "127.0.0.1:5555"),
        call(14, 1, "listen", &[6, 50], 0),
        call(15, 1, "socket", &[2, 1, 0], 8),
    ];
    let requests = [
        (CONNECT, 5, -111),
        (CONNECT, 5, 0),
        (SEND, 5, 6),
        (ACCEPT, 6, 7),
        (RECV, 7, 27),
        (CONNECT, 8, 0),
        (RECV, 8, 40),
        (SEND, 9, 100),
    ];
    for (at, (operation, fd, ret)) in (20..).zip(requests) {
        events.extend([submitted(at, 1, operation, 1, fd), completed(at, 1, operation, 1, ret)]);
    }
    events.push(send(40, 1, 5, b"plain"));
    events.push(send(41, 1, 7, b"back"));
    let net = network(&events);
    assert_eq!(
        sums(&net),
        [
            ("socket", Direction::Out, None, [1, 1, 6 + 5, 0]),
            ("tcp", Direction::In, None, [1, 0, 4, 27]),
            ("tcp", Direction::Out, None, [1, 0, 0, 40]),
        ]
    );
    assert_eq!(net.listeners(BOX)[0].accepted, 1);
}

/// Who asks in vain with a call first is not taken at its word.
#[test]
fn whom_a_call_named_in_vain_is_not_whom_a_ring_connected_to() {
    const CONNECT: u64 = 16;
    let mut events = connect(10, 1, 3, "192.0.2.1:443", -111).to_vec();
    events.extend([submitted(20, 1, CONNECT, 1, 3), completed(21, 1, CONNECT, 1, 0)]);
    events.push(send(22, 1, 3, b"secret"));
    let in_vain = Some("192.0.2.1:443".to_owned());
    let mut sums_then =
        vec![("tcp", Direction::Out, in_vain, [0, 1, 0, 0]), ("tcp", Direction::Out, None, [1, 0, 6, 0])];
    assert_eq!(sums(&network(&events)), sums_then);
    // As soon as the kernel tells, it is known.
    events.push(call(23, 1, "getpeername", &[3, 0, 0], 0).with_address(FieldTag::PEER, "198.51.100.7:443"));
    events.push(send(24, 1, 3, b"more"));
    sums_then.push(("tcp", Direction::Out, Some("198.51.100.7:443".to_owned()), [0, 0, 4, 0]));
    assert_eq!(sums(&network(&events)), sums_then);
}

#[test]
fn whom_a_call_told_is_whom_a_ring_speaks_with() {
    const SEND: u64 = 26;
    let mut events = connect(10, 1, 3, "198.51.100.7:443", 0).to_vec();
    events.extend([submitted(20, 1, SEND, 1, 3), completed(21, 1, SEND, 1, 300)]);
    let peer = Some("198.51.100.7:443".to_owned());
    assert_eq!(sums(&network(&events)), [("tcp", Direction::Out, peer, [1, 0, 300, 0])]);
}

/// `net` told nothing of what was spliced into a socket.
#[test]
fn what_the_kernel_moves_into_and_out_of_a_socket_is_counted() {
    let mut events = connect(10, 1, 3, "198.51.100.7:443", 0).to_vec();
    events.extend([
        call(20, 1, "pipe2", &[0, 0], 0).with_fds([4, 5]),
        call(21, 1, "splice", &[4, 0, 3, 0, 5_000, 0], 4_000),
        call(22, 1, "splice", &[3, 0, 5, 0, 5_000, 0], 300),
        call(23, 1, "sendfile", &[3, 9, 0, 50], 50),
        call(24, 1, "splice", &[4, 0, 3, 0, 5_000, 0], -32),
        call(25, 1, "tee", &[4, 5, 100, 0], 100),
    ]);
    let net = network(&events);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((one.sent, one.received), (4_050, 300));
    assert_eq!((one.messages_sent, one.messages_received), (2, 1));
}

#[test]
fn messages_without_an_address_are_the_connections_though_their_lengths_are_unknown() {
    let mut events = connect(10, 1, 3, "198.51.100.7:514", 0).to_vec();
    events.push(call(20, 1, "sendmmsg", &[3, 0, 9, 0], 9).with_field(FieldTag::PAYLOAD, b"first"));
    let net = network(&events);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!((one.sent, one.unread_sent, one.unread_received), (5, 8, 0));
}

/// A connection whose program was killed while it waited was told as made.
#[test]
fn a_connection_that_was_interrupted_is_neither_made_nor_failed() {
    const ERESTARTSYS: i64 = -512;
    let told = |later: &[OwnedEvent]| {
        let events = [&connect(10, 1, 3, "10.77.0.99:80", ERESTARTSYS)[..], later].concat();
        let net = network(&events);
        let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
        (one.connections, one.failures, one.interrupted)
    };
    let again =
        |ret| call(20, 1, "connect", &[3, 0, 16], ret).with_address(FieldTag::SOCKADDR, "10.77.0.99:80");
    assert_eq!(told(&[]), (0, 0, 1));
    assert_eq!(told(&[again(-114)]), (0, 0, 1), "it goes on");
    // It is restarted, or something else tells what became of it.
    for made in [again(0), again(-106), send(20, 1, 3, b"x")] {
        assert_eq!(told(&[made]), (1, 0, 0));
    }
    for failed in [again(-110), call(20, 1, "read", &[3, 0, 1], -111)] {
        assert_eq!(told(&[failed]), (0, 1, 0));
    }
}

#[test]
fn an_address_is_no_name_and_a_name_is_told_once_with_all_that_told_it() {
    let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let mut events = connect(10, 1, 3, "198.51.100.7:80", 0).to_vec();
    events.extend([
        send(20, 1, 3, &client_hello("cdn.example")),
        send(21, 1, 3, &request("198.51.100.7")),
        send(22, 1, 3, &request("[2001:db8::1]")),
        send(23, 1, 3, &request("other.example")),
        send(24, 1, 3, &request("cdn.example:80")),
    ]);
    let net = network(&events);
    let [one] = net.conversations(BOX) else { panic!("{:?}", net.conversations(BOX)) };
    assert_eq!(
        one.called(),
        [
            (&b"cdn.example"[..], vec![NameSource::Tls, NameSource::Http]),
            (b"other.example", vec![NameSource::Http])
        ]
    );
}
