use afterimage_format::{EventFlags, FieldTag, OwnedEvent, layout};
use proptest::prelude::*;

use super::*;
use crate::{
    bytes::Bytes,
    codec::SnapshotError,
    fds::{FdKind, SocketState},
    testing::{Build, call, exec, exit, fork, open_fd, task, thread},
};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;

fn world(events: &[OwnedEvent]) -> World {
    let mut world = World::new();
    feed(&mut world, events);
    world
}

fn feed(world: &mut World, events: &[OwnedEvent]) {
    for event in events {
        event.with(|e| world.apply(BOX, e));
    }
}

fn label(world: &World, pid: u32, fd: i32) -> String {
    world.fd(task(pid), fd).map_or("unknown".to_owned(), |info| info.label().into_string())
}

fn lines(world: &World) -> Vec<String> {
    world
        .tree(BOX)
        .iter()
        .map(|r| format!("{}{} {}", "  ".repeat(r.depth), r.process.key.tgid, r.process.title()))
        .collect()
}

#[test]
fn a_shell_and_its_children_make_a_tree() {
    let world = world(&[
        exec(10, 1, "/bin/sh", &["sh", "-c", "a | b"]),
        fork(20, 1, 2),
        fork(21, 1, 3),
        exec(30, 2, "/bin/a", &["a"]),
        fork(31, 3, 4),
        exec(32, 3, "/bin/b", &["b", "-x"]),
        exit(40, 2, 0),
        exit(41, 3, 1),
    ]);
    assert_eq!(
        lines(&world),
        ["1 /bin/sh -c \"a | b\"", "  2 /bin/a", "  3 /bin/b -x", "    4 /bin/sh -c \"a | b\""]
    );
    let b = world.process_by_pid(3).unwrap();
    assert!(matches!(b.end, End::Exited { status: 1, .. }));
    assert_eq!(b.parent, Some(task(1).into()));
    assert_eq!(b.origin, Origin::Forked);
    let ancestors: Vec<u32> = world.ancestors(world.process_by_pid(4).unwrap()).map(|p| p.key.tgid).collect();
    assert_eq!(ancestors, [3, 1]);
    // The child forked before its parent's exec still runs what the parent ran then.
    assert_eq!(world.process_by_pid(4).unwrap().execs.len(), 0);
}

#[test]
fn who_only_set_the_container_up_is_left_out_of_the_tree() {
    let setup = |mut event: OwnedEvent| {
        event.flags = EventFlags::SETUP;
        event
    };
    let world = world(&[
        setup(exec(10, 1, "/usr/bin/runc", &["runc", "init"])),
        setup(fork(11, 1, 2)),
        setup(call(12, 2, "getpid", &[], 2)),
        exec(20, 2, "/bin/sh", &["sh"]),
        fork(30, 2, 3),
    ]);
    assert_eq!(lines(&world), ["2 /bin/sh", "  3 /bin/sh"]);
    assert_eq!(world.tree_with_setup(BOX).len(), 3);
}

#[test]
fn what_was_not_seen_is_unknown() {
    let world = world(&[call(10, 5, "read", &[3, 0, 10], 10), exit(20, 5, 0)]);
    let p = world.process_by_pid(5).unwrap();
    assert_eq!((p.origin, p.parent, p.exec(), p.cwd.as_ref()), (Origin::Seen, None, None, None));
    assert_eq!(p.title().as_str(), "[5]");
    assert_eq!(p.credentials.uid, None);
    assert_eq!(label(&world, 5, 3), "unknown");
    assert_eq!(lines(&world), ["5 [5]"]);
}

#[test]
fn a_reused_pid_is_another_process() {
    let mut again = exec(50, 9, "/bin/new", &["new"]);
    again.task.start = BootNanos(45);
    let world = world(&[exec(10, 9, "/bin/old", &["old"]), call(20, 9, "getpid", &[], 9), again]);
    assert_eq!(lines(&world), ["9 /bin/new", "9 /bin/old"]);
    let old = world.process(task(9).into()).unwrap();
    assert_eq!(old.end, End::Unseen { before: BootNanos(50) });
    assert_eq!(world.process_by_pid(9).unwrap().title().as_str(), "/bin/new");
}

#[test]
fn threads_belong_to_their_process_and_end_without_it() {
    let mut in_thread = call(30, 1, "openat", &[CWD, 0, 0, 0], 3).with_kpath("/etc/passwd");
    in_thread.task.tid = 11;
    in_thread.task.start = BootNanos(20);
    let mut thread_exit = exit(40, 1, 0).with_number(layout::exit::GROUP_DEAD, 0);
    thread_exit.task.tid = 11;
    let mut world = world(&[exec(10, 1, "/bin/a", &["a"]), thread(20, 1, 11), in_thread]);
    assert_eq!(world.process_by_pid(1).unwrap().threads.len(), 1);
    assert_eq!(label(&world, 1, 3), "/etc/passwd");
    feed(&mut world, &[thread_exit]);
    let p = world.process_by_pid(1).unwrap();
    assert!(p.is_running());
    assert_eq!((p.threads.len(), p.threads_seen), (0, 2));
    feed(&mut world, &[exit(50, 1, -9)]);
    assert!(matches!(world.process_by_pid(1).unwrap().end, End::Exited { status: -9, .. }));
}

#[test]
fn a_process_keeps_the_history_of_its_programs_and_names() {
    let world = world(&[
        exec(10, 1, "/bin/sh", &["sh"]).with_field(FieldTag::COMM, b"sh"),
        call(20, 1, "prctl", &[15, 1], 0).with_field(FieldTag::DATA, b"kworker/0:1\0"),
        exec(30, 1, "/tmp/.x", &["/tmp/.x"])
            .with_field(FieldTag::COMM, b".x")
            .with_number(layout::exec::EXE_FLAGS, layout::exec::EXE_UPPER_LAYER)
            .with_field(FieldTag::ENVP, b"A=1\0LD_PRELOAD=/x\0"),
        fork(40, 1, 2),
        exit(50, 2, 0),
    ]);
    let p = world.process_by_pid(1).unwrap();
    assert_eq!(p.environment().collect::<Vec<_>>(), [&b"A=1"[..], b"LD_PRELOAD=/x"]);
    assert_eq!(world.process_by_pid(2).unwrap().environment().count(), 0, "forgotten at the end");
    let names: Vec<&[u8]> = p.comms.iter().map(|(_, n)| n.as_slice()).collect();
    assert_eq!(names, [&b"sh"[..], b"kworker/0:1", b".x"]);
    let at =
        |(since, _): &(BootNanos, Bytes), by: i64| p.comm_at(BootNanos(since.0.saturating_add_signed(by)));
    assert_eq!(at(&p.comms[1], 0), Some(&b"kworker/0:1"[..]));
    assert_eq!(
        at(&p.comms[2], -1),
        Some(&b"kworker/0:1"[..]),
        "what it was called later is not what it was called"
    );
    assert_eq!((at(&p.comms[0], -1), at(&p.comms[2], 9)), (Some(&b"sh"[..]), Some(&b".x"[..])));
    assert_eq!(p.execs.iter().map(|e| e.program()).collect::<Vec<_>>(), [&b"/bin/sh"[..], b"/tmp/.x"]);
    assert_eq!(p.title().as_str(), "/tmp/.x [upper layer]");
}

#[test]
fn descriptors_follow_dup_fork_and_exec() {
    let mut world = world(&[
        exec(10, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/app"),
        call(20, 1, "openat", &[CWD, 0, 0o101, 0o644], 3).with_path("../tmp/x"),
        call(21, 1, "openat", &[CWD, 0, 0o2_000_000, 0], 4).with_path("/etc/secret").with_kpath("/etc/real"),
        call(22, 1, "dup2", &[3, 1], 1),
        call(23, 1, "fcntl", &[3, 1030, 10], 10),
        fork(30, 1, 2),
        call(31, 1, "close", &[3], 0),
    ]);
    assert_eq!(label(&world, 1, 1), "/tmp/x");
    assert_eq!(label(&world, 1, 4), "/etc/real");
    assert_eq!(label(&world, 1, 3), "unknown");
    assert_eq!(world.fd_name(task(1), 3).unwrap().as_str(), "/tmp/x", "the closing event can still tell");
    assert_eq!(label(&world, 2, 3), "/tmp/x", "the child has its own table");
    let claimed = |fd| matches!(world.fd(task(1), fd).unwrap().kind, FdKind::File { claimed, .. } if claimed);
    assert!(claimed(1) && !claimed(4));
    feed(&mut world, &[exec(40, 2, "/bin/cat", &["cat"])]);
    let left: Vec<i32> = world.fds(world.process_by_pid(2).unwrap()).iter().map(|(fd, ..)| *fd).collect();
    assert_eq!(left, [1, 3], "4 and 10 were to be closed on exec");
    feed(&mut world, &[call(50, 2, "write", &[1, 0, 5], 5)]);
    assert_eq!(world.fd(task(1), 1).unwrap().written, 5, "parent and child share the description");
    assert_eq!(world.process_by_pid(2).unwrap().bytes_written, 5);
}

/// It was told as `12:unknown`, while every other call had the number alone.
#[test]
fn a_closed_descriptor_of_which_nothing_was_known_has_no_name() {
    let world = world(&[
        exec(10, 1, "/bin/sh", &["sh"]),
        call(20, 1, "dup2", &[12, 1], 1),
        call(30, 1, "close", &[1], 0),
    ]);
    assert_eq!(world.fd_name(task(1), 1), None);
}

#[test]
fn close_range_and_shared_tables() {
    let world = world(&[
        exec(10, 1, "/bin/a", &["a"]),
        call(20, 1, "pipe2", &[0, 0], 0).with_fds([3, 4]),
        fork(30, 1, 2),
        call(31, 1, "clone", &[0x400 | 17], 2),
        call(32, 2, "epoll_create1", &[0], 5),
        call(33, 1, "close_range", &[3, 3, 0], 0),
        call(34, 2, "close_range", &[4, u64::from(u32::MAX), 4], 0),
    ]);
    assert_eq!(label(&world, 1, 5), "epoll", "CLONE_FILES shares the table");
    assert_eq!(label(&world, 2, 3), "unknown");
    let cloexec: Vec<bool> =
        world.fds(world.process_by_pid(1).unwrap()).iter().map(|(_, s, _)| s.cloexec).collect();
    assert_eq!(cloexec, [true, true]);
}

#[test]
fn sockets_have_two_ends_and_a_state() {
    let mut world = world(&[
        call(10, 1, "socket", &[2, 0o2_000_001, 0], 3),
        call(11, 1, "connect", &[3, 0, 16], -115)
            .with_address(FieldTag::SOCKADDR, "203.0.113.9:4444")
            .with_address(FieldTag::LOCAL, "10.0.0.2:50000"),
        call(20, 1, "socket", &[10, 1, 0], 4),
        call(21, 1, "bind", &[4, 0, 28], 0).with_address(FieldTag::SOCKADDR, "[::]:80"),
        call(22, 1, "listen", &[4, 5], 0),
        call(23, 1, "accept4", &[4, 0, 0, 0], 5)
            .with_address(FieldTag::LOCAL, "[::1]:80")
            .with_address(FieldTag::PEER, "[::1]:9999"),
        call(24, 1, "socket", &[2, 2, 0], 6),
        call(25, 1, "sendto", &[6, 0, 30, 0, 0, 16], 30).with_address(FieldTag::SOCKADDR, "8.8.8.8:53"),
        call(26, 1, "socketpair", &[1, 1, 0, 0], 0).with_fds([7, 8]),
    ]);
    assert_eq!(label(&world, 1, 3), "tcp 203.0.113.9:4444");
    assert_eq!(world.fd(task(1), 3).unwrap().kind.socket().unwrap().state, SocketState::Connecting);
    feed(&mut world, &[call(30, 1, "write", &[3, 0, 9], 9)]);
    let out = world.fd(task(1), 3).unwrap();
    assert_eq!((out.kind.socket().unwrap().state, out.written), (SocketState::Connected, 9));
    assert_eq!(label(&world, 1, 4), "tcp listening [::]:80");
    assert_eq!(label(&world, 1, 5), "tcp [::1]:9999");
    assert!(world.fd(task(1), 5).unwrap().kind.socket().unwrap().accepted);
    assert_eq!(label(&world, 1, 6), "udp 8.8.8.8:53");
    assert_eq!(label(&world, 1, 7), "unix pair");
    assert_eq!(world.listeners(BOX).len(), 1);
    let p = world.process_by_pid(1).unwrap();
    assert_eq!(p.bytes_sent, 39);
}

#[test]
fn a_connection_that_failed_is_no_connection() {
    let world = world(&[
        call(10, 1, "socket", &[2, 1, 0], 3),
        call(11, 1, "connect", &[3, 0, 16], -111).with_address(FieldTag::SOCKADDR, "127.0.0.1:1"),
        call(12, 1, "connect", &[9, 0, 16], -9).with_address(FieldTag::SOCKADDR, "127.0.0.1:1"),
    ]);
    assert_eq!(world.fd(task(1), 3).unwrap().kind.socket().unwrap().state, SocketState::Failed);
    assert_eq!(label(&world, 1, 9), "unknown", "a bad descriptor does not become a socket");
}

/// A datagram socket that a call fails to connect elsewhere goes on sending to where it is connected.
#[test]
fn a_socket_stays_connected_where_another_attempt_fails() {
    let connect = |time, to: &str, ret, kernel: &str| {
        call(time, 1, "connect", &[3, 0, 16], ret)
            .with_address(FieldTag::SOCKADDR, to)
            .with_address(FieldTag::PEER, kernel)
    };
    let peer = |events: &[OwnedEvent]| {
        let world = world(events);
        let socket = world.fd(task(1), 3).unwrap().kind.socket().unwrap().clone();
        (socket.state, socket.peer.unwrap().to_string())
    };
    let made = [call(1, 1, "socket", &[2, 2, 0], 3), connect(2, "10.0.0.9:53", 0, "10.0.0.9:53")];
    let elsewhere = connect(3, "10.0.0.8:80", -101, "10.0.0.9:53");
    let all = [&made[..], &[elsewhere]].concat();
    assert_eq!(peer(&all), (SocketState::Connected, "10.0.0.9:53".to_owned()));
    let refused = connect(3, "10.0.0.8:80", -111, "10.0.0.9:0");
    let all = [&made[..1], &[refused]].concat();
    assert_eq!(peer(&all), (SocketState::Failed, "10.0.0.8:80".to_owned()));
}

#[test]
fn pipes_know_who_has_the_other_end() {
    let world = world(&[
        call(10, 1, "pipe", &[0], 0).with_fds([3, 4]),
        fork(20, 1, 2),
        call(21, 1, "close", &[3], 0),
        call(22, 2, "close", &[4], 0),
    ]);
    let p = world.process_by_pid(1).unwrap();
    let peers = world.peers(p, world.fd(task(1), 4).unwrap());
    assert_eq!(peers, [(task(2).into(), 3)]);
}

#[test]
fn a_ring_opens_and_closes_descriptors() {
    let request = |time, code, numbers: &[u64], ret| OwnedEvent {
        code,
        args: numbers.to_vec(),
        ..call(time, 1, "getpid", &[], ret)
    };
    let mut world = world(&[
        request(10, EventCode::URING_SUBMIT, &[18, 1, CWD], 0).with_path("shadow"),
        request(11, EventCode::URING_COMPLETE, &[18, 1, u64::MAX], 5).with_kpath("/etc/shadow"),
        request(12, EventCode::URING_COMPLETE, &[18, 1, u64::MAX], 0),
    ]);
    assert_eq!(label(&world, 1, 5), "/etc/shadow");
    assert_eq!(label(&world, 1, 0), "unknown", "a slot of the ring's own table is no descriptor");
    feed(&mut world, &[request(20, EventCode::URING_SUBMIT, &[19, 2, 5], 0)]);
    assert_eq!(label(&world, 1, 5), "unknown");
}

#[test]
fn a_snapshot_of_the_host_fills_tables() {
    let world = world(&[
        open_fd(1, 1, 0, "/dev/null"),
        open_fd(1, 1, 3, "socket:[77]").with_address(FieldTag::PEER, "10.0.0.9:5432"),
        open_fd(1, 1, 4, "anon_inode:[eventpoll]"),
        open_fd(1, 1, 5, "pipe:[12]"),
        open_fd(1, 1, 6, "/memfd:x (deleted)"),
        open_fd(1, 1, 7, "anon_inode:[strange]\n"),
    ]);
    let labels: Vec<String> = [0, 3, 4, 5, 6, 7].map(|fd| label(&world, 1, fd)).to_vec();
    assert_eq!(
        labels,
        ["/dev/null", "ip 10.0.0.9:5432", "epoll", "pipe", "memfd:x", r"anon_inode:[strange]\n"]
    );
}

/// Who was in a renamed directory was where nothing is, and so was what it named from there.
#[test]
fn a_renamed_directory_takes_along_who_is_in_it() {
    let there =
        |pid: u32, cwd: &str| exec(10, pid, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, cwd.as_bytes());
    let renames = |time, pid, from: &str, to: &str| {
        call(time, pid, "rename", &[0, 0], 0).with_path(from).with_field(FieldTag::PATH2, to.as_bytes())
    };
    let mut world = world(&[there(1, "/a/b"), there(2, "/a"), there(3, "/ab"), there(4, "/c")]);
    let all = |world: &World| {
        let cwd = |pid| String::from_utf8(world.process_by_pid(pid)?.cwd.as_ref()?.to_vec()).ok();
        [1, 2, 3, 4].map(|pid| cwd(pid).unwrap_or_default())
    };
    let mut step = |events: &[OwnedEvent]| {
        events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
        all(&world)
    };
    // A file, and one that was refused.
    assert_eq!(step(&[renames(20, 4, "/a/b/f", "/a/f")]), ["/a/b", "/a", "/ab", "/c"]);
    let mut refused = renames(21, 4, "/a", "/z");
    refused.ret = -13;
    assert_eq!(step(&[refused]), ["/a/b", "/a", "/ab", "/c"]);
    assert_eq!(step(&[renames(22, 4, "/a", "/z/")]), ["/z/b", "/z", "/ab", "/c"]);
    // By relative names, which go from the new place on; who came since is known too.
    assert_eq!(step(&[renames(23, 2, "b", "../c/d")]), ["/c/d", "/z", "/ab", "/c"]);
    let moved = call(24, 3, "chdir", &[0], 0).with_path("/new/place");
    assert_eq!(step(&[moved, renames(25, 4, "/new", "/old")]), ["/c/d", "/z", "/old/place", "/c"]);
    let swapped = call(26, 4, "renameat2", &[CWD, 0, CWD, 0, 2], 0).with_path("/c");
    assert_eq!(step(&[swapped.with_field(FieldTag::PATH2, b"/old")]), ["/old/d", "/z", "/c/place", "/old"]);
    // What a call names is the same when it is asked for afterwards: by these words it would be another directory from the new place.
    let words = renames(27, 1, "../../old", "../../far/off");
    assert_eq!(step(&[words])[0], "/old/d");
    // A child is where its maker was, a root too, and who has ended stays where it was.
    let jailed = [
        call(27, 2, "mkdir", &[0, 0], 0).with_path("jail"),
        call(28, 2, "chroot", &[0], 0).with_path("jail"),
    ];
    step(&jailed);
    assert_eq!(
        step(&[exit(29, 1, 0), renames(30, 4, "/z", "/y"), renames(31, 4, "/old", "/x")])[..2],
        ["/old/d", "/y"]
    );
    assert_eq!(world.process_by_pid(2).unwrap().root.as_deref(), Some(&b"/y/jail"[..]));
}

/// A world in whose one container `count` processes are somewhere below `/there`, and what renames a directory in it.
fn crowd(count: u32) -> (World, impl Fn(u64, &str, &str) -> OwnedEvent) {
    let mut world =
        World::with_limits(Limits { container_bytes: 1 << 30, total_bytes: 1 << 31, ..Limits::default() });
    for pid in 1..=count {
        let cwd = format!("/there/{pid}");
        exec(1, pid, "/bin/sh", &["sh"])
            .with_field(FieldTag::CWD, cwd.as_bytes())
            .with(|event| world.apply(BOX, event));
    }
    let renames = |time, from: &str, to: &str| {
        call(time, 1, "rename", &[0, 0], 0).with_path(from).with_field(FieldTag::PATH2, to.as_bytes())
    };
    (world, renames)
}

#[test]
fn places_are_learned_anew_when_many_came_and_went() {
    let (mut world, renames) = crowd(2);
    let mut apply = |event: OwnedEvent| event.with(|event| world.apply(BOX, event));
    apply(renames(2, "/x", "/y"));
    for number in 0..70_000_u64 {
        apply(call(3 + number, 2, "chdir", &[0], 0).with_path(&format!("/many/{number}")));
    }
    apply(renames(80_000, "/there", "/elsewhere"));
    apply(renames(80_001, "/many", "/few"));
    let cwd = |pid| world.process_by_pid(pid).unwrap().cwd.as_deref().unwrap().to_vec();
    assert_eq!((cwd(1), cwd(2)), (b"/elsewhere/1".to_vec(), b"/few/69999".to_vec()));
    assert_eq!(world.overflow(BOX).others, 0);
}

/// Each of these renames moves a thousand processes: whoever makes them would have the recorder work a thousand times as much.
#[test]
fn who_renames_a_crowded_directory_again_and_again_is_not_followed_for_ever() {
    let (mut world, renames) = crowd(1000);
    let names = ["/there", "/elsewhere"];
    for turn in 0..3000 {
        let (from, to) = (names[turn % 2], names[(turn + 1) % 2]);
        renames(2 + turn as u64, from, to).with(|event| world.apply(BOX, event));
        if turn == 100 {
            assert_eq!(world.process_by_pid(7).unwrap().cwd.as_deref(), Some(&b"/elsewhere/7"[..]));
            assert_eq!(world.overflow(BOX).others, 0);
        }
    }
    let refused = world.overflow(BOX).others;
    assert!((1000..2900).contains(&refused), "{refused} are told");
}

#[test]
fn directories_are_followed() {
    let world = world(&[
        exec(10, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/a/b"),
        call(20, 1, "chdir", &[0], 0).with_path("../c"),
        call(21, 1, "openat", &[CWD, 0, 0o200_000, 0], 5).with_kpath("/srv"),
        call(22, 1, "openat", &[5, 0, 1, 0], 6).with_path("data/x"),
    ]);
    assert_eq!(world.process_by_pid(1).unwrap().cwd.as_deref(), Some(&b"/a/c"[..]));
    assert_eq!(label(&world, 1, 6), "/srv/data/x");
    assert_eq!(world.resolve(task(1), Some(5), b"../y"), b"/y");
    assert_eq!(world.resolve(task(1), None, b"y"), b"/a/c/y");
    assert_eq!(world.resolve(task(99), None, b"y"), b"y");
}

#[test]
fn a_process_moves_to_the_container_it_acts_in() {
    let mut world = World::new();
    let host = ContainerUid::HOST;
    for event in [exec(10, 1, "/usr/bin/runc", &["runc"]), open_fd(11, 1, 3, "/run/x"), fork(20, 1, 2)] {
        event.with(|e| world.apply(host, e));
    }
    exec(30, 2, "/bin/sh", &["sh"]).with(|e| world.apply(BOX, e));
    assert_eq!(lines(&world), ["2 /bin/sh"]);
    assert_eq!(world.processes(host).len(), 1);
    let moved = world.process_by_pid(2).unwrap();
    assert_eq!((moved.container, moved.parent), (BOX, Some(task(1).into())));
    assert_eq!(label(&world, 2, 3), "/run/x", "its descriptors came with it");
    assert_eq!(world.ancestors(moved).count(), 1);
}

#[test]
fn mounts_and_namespaces_are_noted() {
    let world = world(&[
        exec(10, 1, "/bin/sh", &["sh"]).with_number(layout::exec::NS_NET, 4_026_531_840),
        call(20, 1, "unshare", &[0x4002_0000], 0),
        call(21, 1, "mount", &[0, 0, 0, 0x1000, 0], 0).with_path("/a").with_field(FieldTag::PATH2, b"/b"),
        call(22, 1, "mount", &[0, 0, 0, 0, 0], 0)
            .with_path("none")
            .with_field(FieldTag::PATH2, b"/t")
            .with_field(FieldTag::DATA, b"tmpfs\0"),
        call(23, 1, "umount2", &[0, 2], 0).with_path("/b"),
        call(24, 1, "mount", &[0, 0, 0, 0, 0], -1).with_path("x").with_field(FieldTag::PATH2, b"/x"),
    ]);
    let p = world.process_by_pid(1).unwrap();
    assert_eq!((p.namespaces.net, p.namespaces.changed), (None, 0x4002_0000));
    let mounts = world.mounts(BOX).unwrap();
    assert_eq!(mounts.operations().len(), 3);
    let current: Vec<&[u8]> = mounts.current().iter().map(|m| m.target.as_slice()).collect();
    assert_eq!(current, [b"/t"]);
    assert_eq!(mounts.current()[0].kind.as_slice(), b"tmpfs");
}

#[test]
fn a_hostile_container_costs_only_itself() {
    let limits = Limits { container_bytes: 60_000, total_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let other = ContainerUid(8);
    exec(1, 1, "/bin/quiet", &["quiet"]).with(|e| world.apply(other, e));
    for pid in 10..2000_u32 {
        let time = u64::from(pid);
        let long = "a".repeat(300);
        exec(time, pid, &format!("/bin/{long}"), &[&long]).with(|e| world.apply(BOX, e));
        exit(time, pid, 0).with(|e| world.apply(BOX, e));
    }
    assert!(world.overflow(BOX).forgotten > 1500, "{:?}", world.overflow(BOX));
    assert!(world.containers[&BOX].budget.used() <= 60_000);
    assert_eq!(world.processes(other).len(), 1);
    assert!(!world.overflow(other).any() && world.lacks_room());
    // The latest are still there, the oldest are gone.
    assert!(world.process_by_pid(1999).is_some());
    assert!(world.process_by_pid(10).is_none());
    // One that never ends cannot be forgotten: what does not fit is counted.
    for fd in 0..5000_u64 {
        call(5000 + fd, 3000, "openat", &[CWD, 0, 0, 0], fd.cast_signed())
            .with_kpath("/x")
            .with(|e| world.apply(BOX, e));
    }
    assert!(world.overflow(BOX).descriptors > 4000 && world.lacks_room());
    assert!(world.containers[&BOX].budget.used() <= 60_000);
}

#[test]
fn trees_of_lying_traces_end() {
    let parent = |pid: u32, of: u64| {
        exec(10, pid, "/x", &["x"])
            .with_number(layout::exec::PPID, of)
            .with_number(layout::exec::PPID_START, of * 1000)
    };
    let world = world(&[parent(1, 2), parent(2, 1), parent(3, 3)]);
    assert_eq!(world.tree(BOX).len(), 3);
    assert_eq!(world.ancestors(world.process_by_pid(1).unwrap()).count(), 1024);
}

#[test]
fn snapshots_that_lie_are_refused() {
    assert!(matches!(World::load(&[9]), Err(SnapshotError::Version { found: 9, .. })));
    assert!(matches!(World::load(&[2]), Err(SnapshotError::Short { .. })));
    let good = world(&[
        exec(10, 1, "/bin/sh", &["sh"]),
        fork(11, 1, 2),
        call(12, 1, "pipe", &[0], 0).with_fds([3, 4]),
    ]);
    let bytes = good.save(BOX);
    for cut in 1..bytes.len() {
        assert!(World::load(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(World::load(&longer).is_err());
    assert_eq!(World::load(&bytes), Ok(good));
}

/// Events of a small world, in which ids, descriptors and names are often the same.
pub(crate) fn any_event() -> impl Strategy<Value = OwnedEvent> {
    let names = prop::sample::select(vec![
        "openat",
        "close",
        "dup",
        "dup2",
        "dup3",
        "fcntl",
        "pipe2",
        "socket",
        "connect",
        "bind",
        "listen",
        "accept4",
        "socketpair",
        "read",
        "write",
        "sendto",
        "chdir",
        "fchdir",
        "setuid",
        "setresuid",
        "prctl",
        "unshare",
        "clone",
        "close_range",
        "memfd_create",
        "epoll_create1",
        "mount",
        "umount2",
        "capset",
        "setsid",
        "splice",
        "chroot",
    ]);
    let pid = 1_u32..6;
    let arg = prop_oneof![
        0_u64..8,
        Just(0o2_000_000),
        Just(CWD),
        Just(0x400),
        Just(0x600),
        Just(0x1_0000),
        any::<u64>()
    ];
    let fields = prop::collection::vec((0_u8..19, prop::collection::vec(any::<u8>(), 0..24)), 0..4);
    let calls = (pid.clone(), names, prop::collection::vec(arg, 0..6), -3_i64..12, fields).prop_map(
        |(pid, name, args, ret, fields)| {
            let mut call = call(0, pid, name, &args, ret);
            // Some are another thread's.
            call.task.tid += u32::try_from(ret).map_or(0, |ret| ret / 8 * 9);
            fields.into_iter().fold(call, |e, (tag, bytes)| e.with_field(FieldTag(tag), &bytes))
        },
    );
    prop_oneof![
        6 => calls,
        1 => (pid.clone(), pid.clone()).prop_map(|(a, b)| fork(0, a, b)),
        1 => (pid.clone(), 10_u32..14).prop_map(|(a, t)| thread(0, a, t)),
        1 => (pid.clone(), "[a-c]{1,3}").prop_map(|(a, s)| exec(0, a, &s, &[&s]).with_field(FieldTag::COMM, s.as_bytes())),
        1 => pid.clone().prop_map(|a| exit(0, a, 0)),
        1 => (pid, 0_u64..9, "(pipe|socket):\\[[1-3]\\]|/[a-c]").prop_map(|(a, fd, t)| open_fd(0, a, fd, &t)),
    ]
}

/// Gives events their times, and a process that comes back after its end a new start.
fn timed(mut events: Vec<OwnedEvent>) -> Vec<OwnedEvent> {
    for (at, event) in events.iter_mut().enumerate() {
        event.time = BootNanos(100_000 + at as u64);
    }
    events
}

proptest! {
    // Each case is a hundred events and more, checked after each.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn state_by_keyframe_equals_state_by_full_replay(
        events in prop::collection::vec(any_event(), 1..120),
        cut in 0_usize..120,
        tight in any::<bool>(),
    ) {
        let events = timed(events);
        let cut = cut.min(events.len());
        let limits = if tight { Limits { container_bytes: 12_000, ..Limits::default() } } else { Limits::default() };
        let mut full = World::with_limits(limits);
        feed(&mut full, &events[..cut]);
        let mut resumed = World::with_limits(limits);
        prop_assert_eq!(resumed.restore(&full.save(BOX)), Ok(()));
        prop_assert_eq!(&resumed, &full);
        feed(&mut full, &events[cut..]);
        feed(&mut resumed, &events[cut..]);
        prop_assert_eq!(&resumed, &full);
        prop_assert_eq!(resumed.save(BOX), full.save(BOX));
    }

    #[test]
    fn what_is_paid_for_is_what_is_there(events in prop::collection::vec(any_event(), 1..200), limit in 3_000_u64..40_000) {
        let mut world = World::with_limits(Limits { container_bytes: limit, ..Limits::default() });
        for event in timed(events) {
            event.with(|e| world.apply(BOX, e));
            let state = &world.containers[&BOX];
            prop_assert_eq!(state.budget.used(), state.cost());
            prop_assert!(state.budget.used() <= limit);
            prop_assert_eq!(world.used, state.budget.used());
        }
    }

    #[test]
    fn moving_between_containers_keeps_the_books(events in prop::collection::vec((any_event(), 0_u64..3), 1..150)) {
        let (events, uids): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let mut world = World::new();
        for (event, uid) in timed(events).iter().zip(uids) {
            event.with(|e| world.apply(ContainerUid(uid), e));
            let sum: u64 = world.containers.values().map(|s| s.cost()).sum();
            prop_assert_eq!(world.used, sum);
            for (tgid, (uid, key)) in &world.holders {
                prop_assert_eq!(*tgid, key.tgid);
                prop_assert!(world.containers[uid].processes.contains_key(key));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = World::load(&bytes);
        let _ = World::load(&[&[2_u8, 7][..], &bytes].concat());
    }
}

/// A tester's sums were 120 bytes over what came (peeked at) and 1500 under what went (in messages).
#[test]
fn a_process_has_sent_and_received_what_its_streams_have() {
    let sized = |event: OwnedEvent, length: u32| {
        let mut event = event.with_field(FieldTag::PAYLOAD, b"x");
        event.fields[0].full_len = length;
        event
    };
    let events = [
        call(1, 1, "socket", &[2, 1, 0], 4),
        call(2, 1, "connect", &[4, 0, 16], 0).with_address(FieldTag::SOCKADDR, "203.0.113.9:80"),
        call(3, 1, "recvfrom", &[4, 0, 100, 2], 60),
        call(4, 1, "recvmsg", &[4, 0, 2], 60),
        call(5, 1, "recvfrom", &[4, 0, 100, 0], 12),
        sized(call(6, 1, "sendmmsg", &[4, 0, 1, 0], 1), 1500),
        sized(call(7, 1, "recvmmsg", &[4, 0, 1, 0, 0], 1), 7),
        sized(call(8, 1, "recvmmsg", &[4, 0, 1, 2, 0], 1), 7),
        sized(call(9, 1, "sendmmsg", &[4, 0, 1, 0], -11), 1500),
        call(10, 1, "sendto", &[4, 0, 5, 0], 5),
    ];
    let (mut world, mut streams) = (World::new(), crate::streams::Streams::new());
    for event in &events {
        event.with(|event| {
            world.apply(BOX, event);
            streams.apply(&world, BOX, event);
        });
    }
    let process = world.process_by_pid(1).unwrap();
    assert_eq!((process.bytes_received, process.bytes_sent), (19, 1505));
    let [stream] = streams.list(BOX) else { panic!("{:?}", streams.list(BOX)) };
    assert_eq!((stream.bytes_in, stream.bytes_out), (19, 1505));
}
