use afterimage_format::{FieldFlags, FieldTag, OwnedEvent, OwnedField};
use proptest::prelude::*;

use super::*;
use crate::testing::{Build, call, exec, fork, open_fd, task};

const BOX: ContainerUid = ContainerUid(7);
const ALL: usize = 1 << 20;

fn streams(events: &[OwnedEvent]) -> Streams {
    streams_within(StreamLimits::default(), events)
}

fn streams_within(limits: StreamLimits, events: &[OwnedEvent]) -> Streams {
    let (mut world, mut streams) = (World::new(), Streams::with_limits(limits));
    for event in events {
        event.with(|e| {
            world.apply(BOX, e);
            streams.apply(&world, BOX, e);
        });
    }
    streams
}

fn moved(time: u64, pid: u32, name: &str, fd: u64, bytes: &[u8]) -> OwnedEvent {
    call(time, pid, name, &[fd, 0, 0, 0], bytes.len() as i64).with_field(FieldTag::PAYLOAD, bytes)
}

#[test]
fn a_shell_on_a_socket_is_one_session_whoever_speaks() {
    let streams = streams(&[
        call(10, 1, "socket", &[2, 1, 0], 4),
        call(11, 1, "connect", &[4, 0, 16], 0).with_address(FieldTag::SOCKADDR, "203.0.113.9:4444"),
        fork(12, 1, 2),
        call(13, 2, "dup2", &[4, 0], 0),
        call(14, 2, "dup2", &[4, 1], 1),
        exec(15, 2, "/bin/sh", &["sh", "-i"]),
        moved(20, 2, "read", 0, b"id\n"),
        fork(21, 2, 3),
        exec(22, 3, "/usr/bin/id", &["id"]),
        moved(23, 3, "write", 1, b"uid=0\n"),
        moved(30, 2, "read", 0, b"exit\n"),
        call(31, 2, "read", &[0, 0, 1], 0),
    ]);
    let [session] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((session.kind, session.label.as_str()), ("tcp", "tcp 203.0.113.9:4444"));
    assert_eq!(session.reassemble(Way::In, ALL).bytes, b"id\nexit\n");
    assert_eq!(session.reassemble(Way::Out, ALL).bytes, b"uid=0\n");
    assert_eq!(session.users, [(task(2).into(), 0), (task(3).into(), 1)]);
    assert_eq!((session.bytes_in, session.bytes_out, session.is_complete()), (8, 6, true));
    assert_eq!(streams.of_process(BOX, task(3).into()).count(), 1);
}

#[test]
fn what_was_cut_is_a_gap_of_known_length_and_what_was_masked_is_in_its_place() {
    let mut cut = moved(20, 1, "write", 1, b"abc");
    cut.ret = 5000;
    let mut masked = moved(30, 1, "write", 1, b"XXXX");
    masked.ret = 4;
    masked.fields[0].flags = FieldFlags::REDACTED;
    let streams = streams(&[
        open_fd(1, 1, 1, "pipe:[7]"),
        cut,
        call(25, 1, "write", &[1, 0, 10], 10),
        moved(26, 1, "write", 1, b"d"),
        masked,
    ]);
    let whole = streams.list(BOX)[0].reassemble(Way::Out, ALL);
    assert_eq!(whole.bytes, b"abcdXXXX");
    assert_eq!(whole.gaps, [Gap { at: 3, len: 4997 + 10 }]);
    assert!(!streams.list(BOX)[0].is_complete());
}

#[test]
fn of_several_messages_the_first_is_there_and_the_others_are_told() {
    let mut cut = moved(12, 1, "recvmmsg", 4, b"answer");
    (cut.ret, cut.fields[0].full_len) = (1, 9);
    let mut two = moved(11, 1, "sendmmsg", 4, b"query");
    two.ret = 2;
    let mut peeked = moved(13, 1, "recvmmsg", 4, b"later");
    peeked.args = vec![4, 0, 1, transfer::MSG_PEEK];
    let streams = streams(&[call(10, 1, "socket", &[2, 2, 0], 4), two, cut, peeked]);
    let [stream] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((stream.bytes_out, stream.bytes_in), (5, 9), "bytes, not messages");
    assert_eq!(stream.reassemble(Way::Out, ALL).bytes, b"query");
    let unread: Vec<u64> = stream.chunks.iter().map(|chunk| chunk.transfer.unread).collect();
    assert_eq!(unread, [1, 0]);
    assert!(!stream.is_complete());
}

#[test]
fn what_the_kernel_moves_is_a_gap_of_known_length_at_both_ends() {
    let streams = streams(&[
        open_fd(1, 1, 0, "pipe:[7]"),
        open_fd(1, 1, 1, "socket:[8]"),
        call(20, 1, "splice", &[0, 0, 1, 0, 4096, 0], 43),
        call(21, 1, "sendfile", &[1, 5, 0, 4096], 7),
        call(22, 1, "sendfile", &[1, 5, 0, 4096], 0),
    ]);
    let moved: Vec<_> =
        streams.list(BOX).iter().map(|s| (s.bytes_in, s.bytes_out, s.is_complete())).collect();
    assert_eq!(moved, [(43, 0, false), (0, 50, false)]);
}

#[test]
fn vectors_are_joined_up_to_the_first_cut() {
    let mut event = moved(20, 1, "writev", 1, b"abc");
    event.fields.push(OwnedField { full_len: 9, bytes: b"def".to_vec(), ..event.fields[0].clone() });
    event.fields.push(event.fields[0].clone());
    event.ret = 15;
    let streams = streams(&[open_fd(1, 1, 1, "pipe:[7]"), event]);
    assert_eq!(streams.list(BOX)[0].chunks[0].transfer.bytes, b"abcdef");
    assert_eq!(streams.list(BOX)[0].chunks[0].transfer.missing(), 9);
}

#[test]
fn a_terminal_is_one_stream_and_files_are_none() {
    let streams = streams(&[
        open_fd(1, 1, 0, "/dev/pts/0"),
        open_fd(1, 1, 1, "/dev/pts/0"),
        open_fd(1, 1, 3, "/etc/passwd"),
        open_fd(1, 1, 4, "/dev/null"),
        moved(10, 1, "read", 0, b"ls\r"),
        moved(11, 1, "write", 1, b"a b\r\n"),
        moved(12, 1, "read", 3, b"root"),
        moved(13, 1, "write", 4, b"x"),
    ]);
    let [terminal] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((terminal.kind, terminal.label.as_str(), terminal.chunks.len()), ("tty", "/dev/pts/0", 2));
}

/// Who opened the terminal by its master had no terminal to play back.
#[test]
fn a_terminal_that_its_master_opened_is_one_stream() {
    const TIOCGPTPEER: u64 = 0x5441;
    let streams = streams(&[
        call(1, 1, "openat", &[0xffff_ff9c, 0, 2, 0], 3).with_kpath("/dev/pts/ptmx"),
        call(2, 1, "ioctl", &[3, TIOCGPTPEER, 0o402], 4),
        fork(3, 1, 2),
        call(4, 2, "dup2", &[4, 0], 0),
        call(5, 2, "dup2", &[4, 1], 1),
        moved(10, 2, "read", 0, b"ls\r"),
        moved(11, 2, "write", 1, b"a b\r\n"),
        moved(12, 1, "write", 4, b"c"),
        moved(13, 1, "read", 3, b"a b\r\nc"),
    ]);
    let [terminal] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((terminal.kind, terminal.label.as_str(), terminal.chunks.len()), ("tty", "/dev/pts/?", 3));
}

#[test]
fn standard_descriptors_are_followed_even_when_unknown() {
    let streams = streams(&[moved(10, 1, "write", 1, b"hello"), moved(11, 1, "write", 7, b"lost")]);
    let [out] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!(out.key, StreamKey::Standard(task(1).into(), 1));
}

#[test]
fn bytes_that_were_only_peeked_at_are_told_once() {
    let mut peek = moved(10, 1, "recvfrom", 3, b"once");
    peek.args = vec![3, 0, 4, 2];
    let streams = streams(&[call(9, 1, "socket", &[2, 1, 0], 3), peek, moved(11, 1, "recvfrom", 3, b"once")]);
    assert_eq!(streams.list(BOX)[0].bytes_in, 4);
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let limits = StreamLimits { streams: 2, chunks: 5, stream_bytes: 30, total_bytes: 45 };
    let mut events =
        vec![open_fd(1, 1, 1, "pipe:[7]"), open_fd(1, 1, 2, "pipe:[8]"), open_fd(1, 1, 0, "pipe:[9]")];
    for n in 0..10 {
        events.push(moved(10 + n, 1, "write", 1, b"0123456789"));
        events.push(moved(10 + n, 1, "write", 2, b"0123456789"));
        events.push(moved(10 + n, 1, "write", 0, b"0123456789"));
    }
    let streams = streams_within(limits, &events);
    let kept: Vec<usize> = streams.list(BOX).iter().map(|s| s.chunks.len()).collect();
    assert_eq!(kept, [2, 2], "45 bytes for both");
    assert_eq!(streams.list(BOX)[0].bytes_out, 100);
    assert_eq!(streams.dropped(BOX), 8 + 8 + 10);
}

proptest! {
    #[test]
    fn bytes_come_out_in_the_order_they_went_through(parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..30)), 0..30)) {
        let mut events = vec![call(1, 1, "socket", &[2, 1, 0], 3)];
        for (at, (out, bytes)) in parts.iter().enumerate() {
            events.push(moved(2 + at as u64, 1, if *out { "write" } else { "read" }, 3, bytes));
        }
        let streams = streams(&events);
        for (way, wanted) in [(Way::Out, true), (Way::In, false)] {
            let sent: Vec<u8> = parts.iter().filter(|(out, _)| *out == wanted).flat_map(|(_, b)| b.clone()).collect();
            let got = streams.list(BOX).first().map(|s| s.reassemble(way, ALL)).unwrap_or_default();
            prop_assert_eq!(got.bytes, sent);
            prop_assert!(got.gaps.is_empty());
        }
    }
}

/// A shell with `echo >&2` in it made three streams of one.
#[test]
fn a_standard_stream_is_one_whatever_its_numbers_and_whoever_has_it() {
    let dup2 = |time, old: u64, new: u64| call(time, 1, "dup2", &[old, new], new.cast_signed());
    let streams = streams(&[
        exec(1, 1, "/bin/sh", &["sh"]),
        moved(2, 1, "write", 1, b"out1"),
        call(3, 1, "fcntl", &[1, 0, 10], 10),
        dup2(4, 2, 1),
        moved(5, 1, "write", 1, b"err1"),
        dup2(6, 10, 1),
        fork(7, 1, 2),
        exec(8, 2, "/bin/ls", &["ls"]),
        moved(9, 2, "write", 2, b"err2"),
        moved(10, 2, "write", 1, b"out2"),
        fork(11, 2, 3),
        call(12, 3, "dup", &[2], 9),
        moved(13, 3, "write", 9, b"err3"),
        // Somebody came in with streams of its own.
        exec(20, 8, "/bin/id", &["id"]),
        moved(21, 8, "write", 1, b"uid=0"),
    ]);
    let told: Vec<_> = streams.list(BOX).iter().map(|s| s.reassemble(Way::Out, ALL).bytes).collect();
    assert_eq!(told, [&b"out1out2"[..], b"err1err2err3", b"uid=0"]);
}

#[test]
fn what_tee_copies_went_into_the_second_pipe_alone() {
    let streams = streams(&[
        call(1, 1, "pipe2", &[0, 0], 0).with_fds([3, 4]),
        call(2, 1, "pipe2", &[0, 0], 0).with_fds([5, 6]),
        call(3, 1, "tee", &[3, 6, 100, 0], 100),
        call(4, 1, "vmsplice", &[6, 0, 1, 0], 50),
    ]);
    let [one] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((one.bytes_in, one.bytes_out), (0, 150));
}
