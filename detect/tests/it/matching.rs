//! What filters keep: Falco's semantics, value by value.

use afterimage_detect::{Filter, Mode, RuleSet, Verdict, syntax};
use afterimage_format::{
    BlockInfo, BootNanos, ContainerUid, Engine, EventCode, FactKey, FieldTag, layout::exec::EXE_FD,
};

use crate::scene::{CONTAINER, ENOENT, Program, READ, REWRITE, SECOND, SYS_ADMIN, Scene};

/// A shell under a server opens a file by a link, writes another and connects.
fn scene() -> Scene {
    let program = Program {
        env: &["HOME=/root", "A=b c"],
        cwd: "/srv",
        tty: (136 << 20) | 2,
        caps: SYS_ADMIN,
        ..Program::new("/bin/bash", &["bash", "-c", "cat x"])
    };
    Scene::new()
        .fact(FactKey::Label, "app=web")
        .fact(FactKey::Mount, "/proc:/host/proc:ro")
        .fact(FactKey::PodNamespace, "prod")
        .run(1, 100, "/usr/sbin/nginx", &["nginx"])
        .start(100, 101, &program)
}

fn read_passwd() -> Scene {
    scene().open_as(101, "../etc//alternatives/p", "/etc/passwd", READ, 5)
}

fn connected() -> Scene {
    scene().tcp(101, 3).connect(101, 3, "172.17.0.2:40000", "93.184.216.34:443", 0)
}

/// (scene, filter, whether its last event passes)
fn check(scene: &Scene, cases: &[(&str, bool)]) {
    for (filter, passes) in cases {
        assert_eq!(scene.last_passes(filter), *passes, "{filter}");
    }
}

#[test]
fn arguments_that_are_descriptors_tell_what_these_are() {
    let tuple = "172.17.0.2:40000->93.184.216.34:443";
    let equal = |arg: &str, value: &str| format!("evt.arg.{arg} = '{value}'");
    let cases = |scene: &Scene, cases: &[(&str, &str)]| {
        for (arg, value) in cases {
            assert!(scene.last_passes(&equal(arg, value)), "{arg} = {value}");
        }
    };
    let dup = connected().call(101, "dup2", &[3, 0], 0, &[]);
    let socket = format!("<4t>{tuple}");
    cases(&dup, &[("oldfd", &socket), ("newfd", &socket), ("res", &socket)]);
    check(
        &dup,
        &[
            ("evt.rawarg.oldfd = 3", true),
            ("evt.rawarg.newfd = 0", true),
            ("evt.arg.oldfd startswith '<4t>' and evt.arg.oldfd endswith ':443'", true),
            ("evt.args contains 'oldfd=<4t>172.17.0.2:40000->93.184.216.34:443'", true),
            ("fd.rport = 443", true),
        ],
    );
    let files = read_passwd().open(101, "/srv/out", REWRITE, 6);
    let sent = files.clone().call(101, "sendfile", &[6, 5, 0, 10], 10, &[]);
    cases(&sent, &[("out_fd", "<f>/srv/out"), ("in_fd", "<f>/etc/passwd")]);
    // Of a descriptor that is not known there is its number.
    cases(&files.call(101, "dup2", &[77, 78], -9, &[]), &[("oldfd", "77"), ("newfd", "78")]);
}

#[test]
fn processes_and_their_ancestors() {
    check(
        &read_passwd(),
        &[
            ("proc.name = bash", true),
            ("proc.pname = nginx", true),
            ("proc.aname = nginx", true),
            ("proc.aname = bash", false),
            ("proc.aname[0] = bash", true),
            ("proc.aname[1] = nginx", true),
            ("proc.aname[2] exists", false),
            ("proc.aname[2] != x", false),
            ("proc.aname != bash", true),
            ("proc.aname in (a, nginx)", true),
            ("proc.apid = 100", true),
            ("proc.exe = bash", true),
            ("proc.exepath = /bin/bash", true),
            ("proc.args = '-c cat x'", true),
            ("proc.args[1] = 'cat x'", true),
            ("proc.cmdline = 'bash -c cat x'", true),
            ("proc.pcmdline = nginx", true),
            ("proc.cmdnargs = 2", true),
            ("proc.env[A] = 'b c'", true),
            ("proc.env contains 'HOME='", true),
            ("proc.cwd = /srv/", true),
            ("proc.tty = 34818", true),
            ("proc.pid = 101 and proc.ppid = 100 and proc.vpid = 101", true),
            ("proc.is_vpgid_leader = true", true),
            ("proc.duration < 1s", true),
            ("proc.duration <= 1", false),
            ("proc.vmsize exists", false),
            ("thread.cap_effective contains CAP_SYS_ADMIN", true),
            ("thread.cap_effective icontains sys_admin", true),
            ("user.name = root and user.uid = 0 and user.loginuid = -1", true),
            ("user.loginname = '<NA>'", true),
            ("group.gid = 0", true),
        ],
    );
}

#[test]
fn files_by_both_of_their_names() {
    check(
        &read_passwd(),
        &[
            ("fd.name = /etc/passwd", true),
            ("fd.name = /etc/alternatives/p", true),
            ("fd.name != /etc/passwd", false),
            ("fd.name != /etc/x", true),
            ("fd.nameraw = ../etc/alternatives/p", true),
            ("fd.directory = /etc", true),
            ("fd.filename in (passwd)", true),
            ("fd.name pmatch (/var, /etc)", true),
            ("fd.name pmatch (/et)", false),
            ("fd.name glob '/etc/p*'", true),
            ("fd.name regex '/etc/[a-z]+'", true),
            ("fd.name regex etc", false),
            ("fd.name ~ etc", true),
            ("fd.num = 5 and fd.type = file and fd.typechar = f", true),
            ("evt.type = openat and syscall.type = openat", true),
            ("evt.type != open", true),
            ("evt.is_open_read = true and evt.is_open_write = false", true),
            ("evt.arg.flags contains O_CLOEXEC", true),
            ("evt.arg.name = /etc/alternatives/p", true),
            ("evt.rawarg.flags = 0x80000", true),
            ("evt.arg.dirfd = AT_FDCWD", true),
            ("evt.rawarg.dirfd = -100", true),
            ("evt.rawres >= 0 and evt.res = SUCCESS and evt.failed = false", true),
            ("fs.path.name = /etc/alternatives/p", true),
            ("evt.category = file", true),
            ("evt.dir = <", true),
            ("evt.dir = >", true),
            ("not evt.dir = <", true),
            ("fd.sip exists", false),
            ("not fd.sip = 1.2.3.4", true),
            ("fd.sip != 1.2.3.4", false),
            ("fd.types in (file, pipe)", true),
            ("proc.fdopencount = 1", true),
        ],
    );
}

/// Of a tmpfs it was `<UNKNOWN>/tmpfs`, and pipes had the category `ipc` beside the `IPC` of others.
#[test]
fn mounts_take_what_they_were_given_and_categories_have_one_spelling() {
    let mount = |source: &str, flags: u64| {
        let fields: [(FieldTag, &[u8]); 2] =
            [(FieldTag::PATH, source.as_bytes()), (FieldTag::PATH2, b"/mnt")];
        scene().call(101, "mount", &[0, 0, 0, flags, 0], 0, &fields)
    };
    let source = |scene: &Scene, path: &str| scene.last_passes(&format!("fs.path.source = '{path}'"));
    assert!(source(&mount("tmpfs", 0), "tmpfs"));
    assert!(source(&mount("data", 4096), "/srv/data"));
    assert!(source(&mount("/dev//sda", 0), "/dev/sda"));
    check(&mount("", 0), &[("fs.path.source exists", false), ("fs.path.target = /mnt", true)]);
    let fds: Vec<u8> = [3i32, 4].iter().flat_map(|fd| fd.to_le_bytes()).collect();
    let pipe = scene().call(101, "pipe", &[0], 0, &[(FieldTag::FDS, &fds)]);
    check(&pipe, &[("evt.category = IPC", true)]);
    check(&pipe.call(101, "write", &[4, 0, 1], 1, &[]), &[("evt.category = IPC and fd.type = pipe", true)]);
}

#[test]
fn failed_opens_have_the_path_that_was_asked_for() {
    check(
        &scene().open(101, "sub/none", READ, ENOENT),
        &[
            ("fd.name = /srv/sub/none", true),
            ("fd.directory = /srv/sub", true),
            ("fd.filename exists", false),
            ("fd.num = -1 and fd.typechar = f", true),
            ("fd.type exists", false),
            ("evt.res = ENOENT and evt.res startswith E and evt.rawres = -2", true),
            ("fs.path.name exists", false),
            ("evt.count.error.file = 1", true),
        ],
    );
    check(
        &scene().open(101, "/x", REWRITE, 3),
        &[("evt.is_open_write = true", true), ("evt.is_open_read=true", false)],
    );
}

#[test]
fn connections_by_either_end() {
    check(
        &connected(),
        &[
            ("fd.name = 172.17.0.2:40000->93.184.216.34:443", true),
            ("fd.ip = 172.17.0.2 and fd.ip = 93.184.216.34", true),
            ("fd.ip != 93.184.216.34", false),
            ("fd.ip != 1.1.1.1", true),
            ("fd.sip = 93.184.216.34 and fd.cip = 172.17.0.2", true),
            ("fd.rip = 93.184.216.34 and fd.lport = 40000", true),
            ("fd.net = 172.16.0.0/12", true),
            ("fd.net != 172.16.0.0/12", false),
            ("fd.net != 127.0.0.0/8", true),
            ("fd.snet in (10.0.0.0/8, 93.184.0.0/16)", true),
            ("fd.snet in 10.0.0.0/8", false),
            ("fd.net != ::/0", true),
            ("fd.port = 443 and fd.port = https", true),
            ("fd.port in 400..500", true),
            ("fd.sport in (443, 444) and fd.cport = 40000", true),
            ("fd.sport > 443", false),
            ("fd.l4proto = tcp and fd.typechar = 4 and fd.type = ipv4 and fd.sockfamily = ip", true),
            ("fd.connected = true and fd.name_changed = true and fd.is_server = false", true),
            ("fd.directory exists", false),
            ("evt.arg.tuple contains 443", true),
        ],
    );
    // The kernel's socket has no port any more when a connection was refused.
    let told =
        |port: u16| [&[2, 0][..], &port.to_be_bytes(), &[10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let (asked, left, none) = (told(22), told(0), [&[2, 0][..], &[0; 14]].concat());
    let fields: [(FieldTag, &[u8]); 3] =
        [(FieldTag::SOCKADDR, &asked), (FieldTag::LOCAL, &none), (FieldTag::PEER, &left)];
    for ret in [-111, -110, -113] {
        check(
            &scene().tcp(101, 3).call(101, "connect", &[3, 0, 16], ret, &fields),
            &[
                ("evt.type = connect and fd.sport = 22", true),
                ("fd.rport = 22 and fd.rip = 10.0.0.9 and fd.sip = 10.0.0.9", true),
                ("fd.name = 0.0.0.0:0->10.0.0.9:22", true),
                ("fd.sport = 0 or fd.connected = true", false),
            ],
        );
    }
    let reading = connected().call(101, "read", &[3, 0, 100], 3, &[(FieldTag::PAYLOAD, b"\xca\xfe\xba\xbe")]);
    check(
        &reading,
        &[
            ("fd.name_changed = true", false),
            ("fd.sport = 443", true),
            ("evt.buffer bcontains febabe", true),
            ("evt.buffer bstartswith cafe", true),
            (
                "evt.is_io_read = true and evt.io_dir = read and evt.buflen = 3 and evt.buflen.net.in = 3",
                true,
            ),
            ("evt.buflen.file exists", false),
            ("evt.category = net", true),
        ],
    );
    let closing = reading.call(101, "close", &[3], 0, &[]);
    check(&closing, &[("fd.sport = 443 and fd.num = 3", true), ("proc.fdopencount = 0", true)]);
}

#[test]
fn datagrams_change_a_name_when_the_peer_changes() {
    let send = |scene: Scene, peer: &str| {
        let peer = crate::scene::address(peer);
        scene.call(101, "sendto", &[3, 0, 9, 0, 0, 16], 9, &[(FieldTag::SOCKADDR, &peer)])
    };
    let first = send(scene().call(101, "socket", &[2, 2, 0], 3, &[]), "8.8.8.8:53");
    check(
        &first,
        &[
            ("fd.l4proto = udp and fd.connected = false and fd.name_changed = true", true),
            ("fd.sip = 8.8.8.8 and fd.sport = 53 and fd.rip = 8.8.8.8", true),
        ],
    );
    let again = send(first, "8.8.8.8:53");
    check(&again, &[("fd.name_changed = true", false)]);
    check(&send(again, "9.9.9.9:53"), &[("fd.name_changed = true", true)]);
}

#[test]
fn a_peer_behind_the_first_of_one_call_is_seen_by_filters_and_rules() {
    let harmless = crate::scene::address("8.8.8.8:53");
    let other = crate::scene::address("203.0.113.9:4444");
    let udp = || scene().call(101, "socket", &[2, 2, 0], 3, &[]);
    let send = |scene: Scene, messages: i64, peers: &[&[u8]]| {
        let fields: Vec<_> = peers.iter().map(|peer| (FieldTag::SOCKADDR, *peer)).collect();
        scene.call(101, "sendmmsg", &[3, 0, messages as u64, 0], messages, &fields)
    };
    let hidden = send(udp(), 2, &[&harmless, &other]);
    let seen = [
        ("fd.sip = 203.0.113.9 and fd.rport = 4444 and fd.snet = 203.0.113.0/24", true),
        ("fd.name endswith \"->203.0.113.9:4444\"", true),
        ("fd.sip = 8.8.8.8", true),
        // As two calls would: neither is to both.
        ("fd.sip = 203.0.113.9 and fd.rport = 53", false),
        ("fd.sip != 8.8.8.8", true),
        ("not fd.sip in (8.8.8.8)", true),
        ("not fd.sip in (8.8.8.8, 203.0.113.9)", false),
        ("fd.sip = 9.9.9.9", false),
    ];
    check(&hidden, &seen);
    // The last peer is the same as ever, but for the hidden one.
    let first = send(udp(), 1, &[&harmless]);
    check(&first, &[("not fd.sip = 8.8.8.8", false)]);
    check(&send(send(udp(), 1, &[&harmless]), 1, &[&harmless]), &[("fd.name_changed = true", false)]);
    check(&send(first, 3, &[&harmless, &other, &harmless]), &[("fd.name_changed = true", true)]);
    // A message without an address goes to the socket's peer.
    let connected = udp().connect(101, 3, "10.0.0.2:40000", "203.0.113.9:4444", 0);
    check(&send(connected, 2, &[&harmless]), &[("fd.sip = 203.0.113.9", true), ("fd.sip = 8.8.8.8", true)]);
    let connected = udp().connect(101, 3, "10.0.0.2:40000", "203.0.113.9:4444", 0);
    check(&send(connected, 2, &[b"", &harmless]), &seen);
    let yaml = "- rule: out\n  desc: d\n  priority: INFO\n  output: \"to %fd.sip\"\n  \
                condition: evt.type = sendmmsg and not fd.sip in (8.8.8.8)\n";
    let hits = hidden.hits(&RuleSet::parse(&[("rules", yaml)]).unwrap());
    let [hit] = &hits[..] else { panic!("{hits:?}") };
    assert!(hit.message.starts_with("to 203.0.113.9 "), "{}", hit.message);
    // Both steps of a sequence in one call.
    assert_eq!(hidden.kept("seq(fd.sip = 8.8.8.8; fd.sip = 203.0.113.9 within 1s)").len(), 1);
}

#[test]
fn containers_pods_and_the_host() {
    check(
        &read_passwd(),
        &[
            ("container.id = 3ad7b26ded6d and container.id != host", true),
            ("container.full_id startswith 3ad7b26ded6d8e7b", true),
            ("container.name = web and container.type = docker", true),
            ("container.image.repository endswith library/web and container.image.tag = 1.0", true),
            ("container.privileged exists", false),
            ("container.privileged = false", false),
            ("container.mount.dest[/proc*] in (/host/proc)", true),
            ("container.mount.dest[/etc] exists", false),
            ("container.label[app] = web and container.label.app = web", true),
            ("k8s.ns.name = prod", true),
            ("k8s.pod.name exists", false),
            ("container.duration > 8s", true),
            ("container.start_ts = 1795262401000000000", true),
        ],
    );
    let host = read_passwd().on_host();
    check(
        &host,
        &[("container.id = host and container.name = host", true), ("container.image exists", false)],
    );
}

/// Falco's name of a container that Kubernetes made is the one in its pod, but of Docker it is Docker's.
#[test]
fn containers_of_pods_have_the_name_that_falco_gives_them() {
    let of_pod = |engine, name: Option<&str>| {
        let mut scene = read_passwd();
        scene.record.engine = engine;
        scene.record.facts.retain(|fact| fact.key != FactKey::Name);
        let scene = scene.fact(FactKey::PodContainer, "nginx").fact(FactKey::PodName, "web-0");
        name.into_iter().fold(scene, |scene, name| scene.fact(FactKey::Name, name))
    };
    let long = "k8s_nginx_web-0_shop_f05c_0";
    for (engine, name, shown) in [
        (Engine::Containerd, None, "nginx"),
        (Engine::Crio, Some(long), "nginx"),
        (Engine::Docker, Some(long), long),
        (Engine::Docker, None, "nginx"),
    ] {
        check(
            &of_pod(engine, name),
            &[(&format!("container.name = {shown} and k8s.pod.name = web-0"), true)],
        );
    }
    let docker = read_passwd().fact(FactKey::ImageId, "sha256:6f7e2741b66b");
    check(&docker, &[("container.image.id = 6f7e2741b66b", true)]);
}

#[test]
fn execs_are_both_falcos_and_ours_by_name() {
    check(
        &scene(),
        &[
            ("evt.type = execve", true),
            ("evt.type = exec", true),
            ("evt.type in (execve, execveat)", true),
            ("evt.type = execveat", false),
            ("evt.type.is.execve = 1", true),
            ("syscall.type = execve", true),
            ("syscall.type != open", true),
            ("evt.res = SUCCESS and evt.arg.exe = bash", true),
            ("evt.arg.flags = 0", true),
        ],
    );
    let by_fd = Program { flags: EXE_FD, ..Program::new("/x", &["x"]) };
    let scene = Scene::new().start(1, 100, &by_fd);
    check(&scene, &[("evt.type = execveat", true), ("evt.type = execve", false), ("evt.type = exec", true)]);
}

#[test]
fn functions_and_comparisons_of_fields() {
    check(
        &read_passwd(),
        &[
            ("tolower(proc.name) = bash and toupper(proc.name) = BASH", true),
            ("basename(proc.exepath) = val(proc.name)", true),
            ("dirname(proc.exepath) = /bin", true),
            ("len(proc.name) = 4", true),
            ("proc.name = val(proc.pname)", false),
            ("proc.name != val(proc.pname)", true),
            ("proc.cmdline startswith val(proc.name)", true),
            ("join('-', (proc.name, proc.pname)) = bash-nginx", true),
            ("concat(proc.name, '/', proc.pname) = bash/nginx", true),
            ("getopt((proc.args[0], proc.args[1]), 'c:')[c] = 'cat x'", true),
            ("getopt((proc.args[0], proc.args[1]), 'c:x')[x] exists", false),
            ("len(getopt((proc.args[0]), 'c')) = 1", true),
            ("proc.name = anyof (sh, bash) and proc.name != allof (sh, zsh)", true),
            ("proc.cmdline contains allof (bash, cat)", true),
            ("proc.cmdline contains oneof (bash, cat)", false),
            ("proc.pid = val(proc.vpid)", true),
            ("proc.pname = val(proc.env[NONE])", false),
            ("b64(proc.name) exists", true),
        ],
    );
}

#[test]
fn bare_text_is_searched_in_what_a_row_shows() {
    let scene = read_passwd();
    check(&scene, &[("bash", true), ("openat shadow", false), ("openat passwd", true), ("OPENAT", false)]);
    let filter = Filter::parse("Secret").unwrap();
    scene.each(|_| {});
    let mut found = 0;
    scene.each(|cx| found += u32::from(filter.matches(cx)));
    assert_eq!(found, 0);
}

#[test]
fn scopes_over_processes() {
    let scene = read_passwd().run(101, 102, "/bin/cat", &["cat"]).run(1, 200, "/bin/other", &["other"]);
    assert_eq!(scene.kept("within proc.pid = 101 and evt.type = execve"), [4, 7]);
    assert_eq!(scene.kept("under proc.pid = 101"), [7]);
    assert_eq!(scene.kept("under (proc.name = nginx and proc.pid = 100) and evt.type = exec"), [4, 7]);
    assert_eq!(scene.kept("not within proc.name = nginx and evt.type = exec"), [9]);
}

#[test]
fn times_and_lives() {
    let scene = scene().wait(SECOND).open(101, "/late", READ, 3);
    let last = scene.events.len() as u64;
    for (filter, kept) in [
        ("time >= +10s evt.type = openat", vec![last]),
        ("time in +9s .. +9500ms evt.type = openat", vec![]),
        ("time > 12:00:10.5", vec![last]),
        ("time in 2026-11-21T12:00:10.9Z .. 2026-11-21T12:00:11.1Z", vec![last]),
        ("time >= alert:1+500ms", vec![last]),
        ("time >= mark:a", vec![last]),
        ("time >= mark:b", vec![]),
        ("time >= -1ms evt.type=openat", vec![last]),
        ("evt.around[1795262411000000000]=100", vec![last]),
        ("life > 9s evt.type = openat", vec![last]),
        ("life < 9s", vec![]),
    ] {
        assert_eq!(scene.kept(filter), kept, "{filter}");
    }
}

#[test]
fn near_and_seq_need_a_first_pass() {
    let scene = scene()
        .open(101, "/a", READ, 3)
        .wait(5 * SECOND)
        .open(101, "/b", READ, 4)
        .wait(SECOND)
        .open(100, "/c", READ, 3)
        .wait(20 * SECOND)
        .open(101, "/d", READ, 5);
    assert_eq!(scene.kept("near(fd.name = /b, 2s)"), [6, 7]);
    assert_eq!(scene.kept("near(fd.name = /b, 2s by proc.pid)"), [6]);
    assert_eq!(scene.kept("near(fd.name = /b, 10s) evt.type = openat"), [5, 6, 7]);
    assert_eq!(scene.kept("seq(fd.name = /a; fd.name = /c within 10s)"), [5, 7]);
    assert_eq!(scene.kept("seq(fd.name = /a; fd.name = /c within 10s by proc.pid)"), [0u64; 0]);
    assert_eq!(scene.kept("seq(fd.name = /a; fd.name = /b within 10s by proc.pid)"), [5, 6]);
    assert_eq!(scene.kept("seq(fd.name = /a; fd.name = /d within 10s)"), [0u64; 0]);
    assert_eq!(scene.kept("seq(fd.name = /c; fd.name = /a within 1h)"), [0u64; 0]);
    assert!(Filter::parse("near(near(a, 1s), 1s)").is_err());
    assert!(Filter::parse("within fd.name = x").is_err());
}

#[test]
fn what_cannot_be_is_an_error_with_a_suggestion() {
    for (filter, message) in [
        ("proc.nmae = x", "column 1: unknown field `proc.nmae`; did you mean `proc.name`?"),
        ("pid = 4", "column 1: unknown field `pid`; did you mean `proc.pid`?"),
        ("evt.type = opne", "column 12: `opne` is not an event type; did you mean `open`?"),
        (
            "fd.num glob x",
            "column 1: operator `glob` does not apply to `fd.num`, which is a number; it has `=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `intersects`",
        ),
        ("proc.pid = x", "column 12: `x` is not a number"),
        (
            "fd.sip = 300.1.1.1",
            "column 10: `300.1.1.1` is not an IP address or network; write `10.1.2.3`, `10.0.0.0/8` or `fd00::/8`",
        ),
        ("evt.failed = maybe", "column 14: `maybe` is not `true` or `false`"),
        ("proc.name[1] = x", "column 1: field `proc.name` takes no argument"),
        ("proc.aname[x] = x", "column 1: field `proc.aname` takes a number in brackets"),
        ("evt.arg = x", "column 1: field `evt.arg` needs an argument in brackets"),
        ("evt.arg.nothing = x", "column 1: field `evt.arg.nothing` has an argument that no call has"),
        ("evt.arg[nothing] = x", "column 1: field `evt.arg.nothing` has an argument that no call has"),
        ("evt.buffer bcontains abc", "column 22: `abc` is not an even number of hex digits"),
        ("$none", "column 2: no saved filter `$none`"),
        ("join(proc.name) = x", "column 1: function `join` takes a separator and a list"),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.to_string(), message, "{filter}");
    }
    let error = Filter::parse("proc.name regex '(a'").expect_err("open group");
    assert!(error.to_string().starts_with("column 17: regular expression refused: "), "{error}");
    assert!(Filter::parse("proc.name regex '(((a{1000}){1000}){1000})'").is_err(), "too large a regex");
}

#[test]
fn saved_filters_are_put_in_and_may_not_loop() {
    let saved = |name: &str, text: &str| (name.to_owned(), syntax::parse(text, Mode::Lenient).unwrap());
    let all = [saved("shells", "proc.name in (bash, sh)"), saved("a", "$b"), saved("b", "$a")]
        .into_iter()
        .collect();
    let filter = Filter::parse_with("not $shells", &all).unwrap();
    assert_eq!(filter.to_string(), "not $shells");
    let mut kept = 0;
    scene().each(|cx| kept += u32::from(filter.matches(cx)));
    assert_eq!(kept, 3, "the server's fork and exec, the shell's fork");
    let error = Filter::parse_with("$a", &all).unwrap_err();
    assert!(error.to_string().contains("refers to itself"), "{error}");
}

#[test]
fn surprising_filters_are_warned_of() {
    for (filter, part) in [
        ("evt.dir = <", "is ignored"),
        ("proc.vmsize > 5", "not recorded"),
        ("proc.aname != sh", "any ancestor differs"),
        ("evt.dir = > and evt.type = switch", "are not recorded"),
        ("evt.type = switch", "are not recorded"),
        ("fd.type = ipv5", "did you mean `ipv4`?"),
        ("fd.sockfamily = '<NA>'", "write `not fd.sockfamily exists`"),
        ("not fd.l4proto in (tcp, sctp)", "`fd.l4proto` never is `sctp`; it is one of tcp, udp, icmp, raw"),
        ("container.state = dead", "never is `dead`"),
        ("evt.class != network", "never is `network`"),
        ("evt.category in (file, ipc)", "did you mean `IPC`?"),
        ("fd.sport = 99999", "`fd.sport` is from 0 to 65535, never `99999`"),
        ("fd.port in (22, 60000..70000)", "never `70000`"),
        ("proc.pid = -1", "`proc.pid` is from 0 to 4194304, never `-1`"),
        ("fd.num >= -2", "`fd.num` is from -1"),
        ("find.sev >= warning", "write `find.sev in (...)`"),
        ("alert.priority < Critical", "letter by letter"),
    ] {
        let filter = Filter::parse(filter).unwrap();
        assert!(
            filter.warnings().iter().any(|w| w.message.contains(part)),
            "{filter}: {:?}",
            filter.warnings()
        );
    }
}

#[test]
fn values_that_a_field_has_are_warned_of_nowhere() {
    for filter in [
        "fd.type in (ipv4, ipv6, file, io_uring)",
        "fd.types intersects (pipe)",
        "fd.l4proto in (tcp, <NA>)",
        "container.state in (running, exited, deleted, unknown)",
        "evt.class = net",
        "evt.io_dir = read",
        "fd.sport in (0, 65535, https) and fd.num = -1 and user.loginuid != -1 and proc.pid in (0..4194304)",
        "user.uid = 4294967295 and evt.rawres = -99999 and evt.type.is.open = 1",
        "evt.category in (file, IPC, internal)",
        "fd.sockfamily = unix",
        "fd.type startswith ipv",
    ] {
        let filter = Filter::parse(filter).unwrap();
        assert_eq!(filter.warnings(), [], "{filter}");
    }
}

#[test]
fn a_prefilter_never_refuses_what_matches() {
    let scene = connected();
    let frame = scene.frame();
    for filter in [
        "evt.type in (openat, connect)",
        "not evt.type = connect",
        "evt.type = connect and container.name = web",
        "evt.type = connect or proc.name = nginx",
        "container.id = 3ad7b26ded6d and time >= +1s",
        "life > 1s and not container.id = host",
        "evt.type != execve",
    ] {
        let parsed = Filter::parse(filter).unwrap();
        let pre = parsed.prefilter(&frame);
        scene.each(|cx| {
            if parsed.matches(cx) {
                assert!(pre.admits_code(cx.event().code), "{filter}");
                assert_ne!(pre.container(cx.container(), cx.record()), Verdict::Never, "{filter}");
            }
        });
    }
}

#[test]
fn blocks_that_cannot_match_are_skipped() {
    let scene = connected();
    let frame = scene.frame();
    let (first, last) = (BootNanos(5 * SECOND), BootNanos(6 * SECOND));
    let block = BlockInfo { index: 0, container: CONTAINER, first_row: 0, rows: 1, first, last, stored: 1 };
    for (filter, verdict) in [
        ("container.name = other", Verdict::Never),
        ("container.name = web", Verdict::Always),
        ("container.name = web and evt.type = open", Verdict::Maybe),
        ("container.name = other or evt.type = open", Verdict::Maybe),
        ("not container.name = other", Verdict::Always),
        ("container.id = host", Verdict::Never),
        ("time > +10s", Verdict::Never),
        ("time >= +1s and time <= +10s", Verdict::Always),
        ("time in +4500ms .. +10s", Verdict::Maybe),
        ("life < 1s and bash", Verdict::Never),
        ("evt.num = 0", Verdict::Never),
        ("evt.type = switch", Verdict::Never),
    ] {
        let parsed = Filter::parse(filter).unwrap();
        assert_eq!(parsed.prefilter(&frame).block(&block, Some(&scene.record)), verdict, "{filter}");
    }
    let parsed = Filter::parse("evt.type in (openat, execve) and proc.name = x").unwrap();
    let pre = parsed.prefilter(&frame);
    assert!(
        pre.admits_code(EventCode(257)) && pre.admits_code(EventCode::EXEC) && !pre.admits_code(EventCode(0))
    );
    assert_eq!(pre.container(ContainerUid(9), None), Verdict::Maybe);
    let timed = Filter::parse("time in 12:00:01 .. 12:00:02 and bash").unwrap();
    let range = timed.prefilter(&frame).range();
    assert_eq!(range, (Some(BootNanos(SECOND)), Some(BootNanos(2 * SECOND))));
}

#[test]
fn an_explanation_says_what_is_read() {
    let scene = connected();
    let frame = scene.frame();
    let block = |index: usize, container, first: u64| BlockInfo {
        index,
        container,
        first_row: 0,
        rows: 1,
        first: BootNanos(first * SECOND),
        last: BootNanos((first + 1) * SECOND),
        stored: 100,
    };
    let blocks = [block(0, CONTAINER, 0), block(1, CONTAINER, 50), block(2, ContainerUid::HOST, 0)];
    let filter =
        Filter::parse("container.name = web time in 12:00:00..12:00:10 evt.type=connect evt.dir=<").unwrap();
    let selected =
        filter.prefilter(&frame).select(&blocks, |uid| (uid == CONTAINER).then_some(&scene.record));
    let explained = filter.explain(&frame, &blocks, &selected);
    assert_eq!(explained.blocks, (1, 3));
    assert_eq!(explained.bytes, (100, 300));
    assert_eq!(explained.types.as_deref(), Some(&["connect".to_owned()][..]));
    let text = explained.to_string();
    assert!(text.contains("reads    1 of 3 blocks, 100 of 300 bytes"), "{text}");
    assert!(text.contains("warning  `evt.dir` is ignored"), "{text}");
}

#[test]
fn filters_that_nothing_passes_are_known() {
    for (filter, never) in [
        ("evt.num = 0", true),
        ("evt.type = open and evt.type = close", true),
        ("evt.type = switch", true),
        ("proc.vmsize > 1", true),
        ("not evt.num >= 0", true),
        ("evt.type = open or evt.num = 0", false),
        ("proc.name = x", false),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().is_never(), never, "{filter}");
    }
}

#[test]
fn hostile_filters_cost_a_bounded_amount() {
    let many = vec!["proc.name regex a"; 300].join(" or ");
    assert!(Filter::parse(&many).unwrap_err().to_string().contains("200 regular expressions"));
    let deep = |name: &str, inner: &str| {
        let text = format!("{}{inner}{}", "(not ".repeat(25), ")".repeat(25));
        (name.to_owned(), syntax::parse(&text, Mode::Lenient).unwrap())
    };
    let mut saved: afterimage_detect::Saved = [deep("s0", "a")].into_iter().collect();
    for i in 1..200 {
        let (name, tree) = deep(&format!("s{i}"), &format!("$s{}", i - 1));
        saved.insert(name, tree);
    }
    let error = Filter::parse_with("$s199", &saved).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 120 levels"), "{error}");
}
